import {setImmediate as nextTurn} from 'node:timers/promises';
import test from 'ava';
import type {ListOwner} from '../../src/catalog/list-owner.js';
import {Memory} from '../../src/catalog/memory.js';
import {SourceList} from '../../src/catalog/source-list.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {entry, FakeSource, images} from './fake-source.js';

test('what is forgotten behind a refresh is forgotten one after the other, and before the list has stopped', async t => {
	const host = testHost();
	const importSqlite = async (): Promise<unknown> => {
		throw new Error('files will do');
	};
	const memory = await Memory.open({directory: await tempDir(t), file: 'memory.sqlite', host, importSqlite});
	t.teardown(() => memory.close());
	const log: string[] = [];
	const ends: (() => void)[] = [];
	const owner: ListOwner = {
		changed: () => undefined,
		dropped: () => undefined,
		heldFrom: () => [],
		shared: manifest => manifest,
		remembered: () => undefined,
		inTurn: take => take(),
		prepare: async () => undefined,
		listed: () => undefined,
		refreshed: () => log.push('refreshed'),
		sweep: async () => {
			log.push('begins');
			await new Promise<void>(resolve => ends.push(resolve));
			log.push('ends');
		},
	};
	const list = new SourceList({entry: entry(new FakeSource('one', images(3))), host, memory, owner});
	await list.load();
	const refreshes = [list.refresh()];
	while (ends.length < 1) {
		await nextTurn();
	}
	refreshes.push(list.refresh());
	while (log.filter(line => line === 'refreshed').length < 2) {
		await nextTurn();
	}
	t.deepEqual(log, ['refreshed', 'begins', 'refreshed'], 'the second waits for the first');
	let isStopped = false;
	const stopped = list.stop().then(() => {
		isStopped = true;
	});
	for (let at = 0; at < 2; at++) {
		while (ends.length <= at) {
			await nextTurn();
		}
		await nextTurn();
		t.false(isStopped);
		ends[at]?.();
	}
	await stopped;
	await Promise.all(refreshes);
	t.deepEqual(log.slice(3), ['ends', 'begins', 'ends']);
});
