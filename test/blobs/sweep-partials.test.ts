import {readdir, utimes, writeFile} from 'node:fs/promises';
import test from 'ava';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import {Quarantine} from '../../src/blobs/quarantine.js';
import {sweepLeftovers, type PartialsStore} from '../../src/blobs/sweep-partials.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';

interface Left {
	readonly key: string;
	readonly size: number;
	readonly changedAtMs: number;
	readonly open: boolean;
}

function storeOf(left: readonly Left[]): PartialsStore & {readonly keys: Set<string>} {
	const keys = new Set(left.map(({key}) => key));
	return {
		keys,
		partialsOnDisk: async () => left,
		removePartial: async key => {
			if (key === 'stuck') {
				throw new Error('read-only');
			}
			return key !== 'taken' && keys.delete(key);
		},
	};
}

const dayMs = 24 * 3_600_000;

test('what was left for long, or whose image is gone, is deleted; what is open, ours, or cannot be told stays', async t => {
	const host = testHost();
	const now = host.clock.now();
	const store = storeOf([
		{key: 'old', size: 1, changedAtMs: now - 8 * dayMs, open: false},
		{key: 'young', size: 2, changedAtMs: now - 6 * dayMs, open: false},
		{key: 'orphan', size: 4, changedAtMs: now, open: false},
		{key: 'open', size: 8, changedAtMs: now - 8 * dayMs, open: true},
		{key: 'ours', size: 16, changedAtMs: 0, open: false},
		{key: 'untold', size: 32, changedAtMs: now, open: false},
		{key: 'taken', size: 64, changedAtMs: 0, open: false},
		{key: 'stuck', size: 128, changedAtMs: 0, open: false},
	]);
	const removed: string[] = [];
	const options = {
		...{store, host, keepMs: 7 * dayMs},
		isWanted: (key: string) => (key === 'untold' ? undefined : key !== 'orphan'),
		isOurs: (key: string) => key === 'ours',
		digests: {
			names: () => ['aaaa.0', 'aaaa.1', 'bbbb.0', 'cccc.12', 'dddd.0'],
			isKnown: (uuid: string) => (uuid === 'bbbb' ? true : uuid === 'cccc' ? undefined : false),
			remove: async (name: string) => {
				if (name === 'dddd.0') {
					throw new Error('read-only');
				}
				removed.push(name);
			},
		},
	};
	t.deepEqual(await sweepLeftovers(options), {partials: 2, bytes: 5, digests: 2});
	t.deepEqual([...store.keys], ['young', 'open', 'ours', 'untold', 'taken', 'stuck']);
	t.deepEqual(removed, ['aaaa.0', 'aaaa.1']);
	t.is(host.linesLike({partials: 2, bytes: 5, digests: 2}).length, 1);
	t.is(host.linesLike({level: 40}).length, 2);
});

test('where nothing is left over nothing is said', async t => {
	const host = testHost();
	const swept = await sweepLeftovers({
		...{store: storeOf([]), host, keepMs: 0},
		isWanted: () => false,
		isOurs: () => false,
	});
	t.deepEqual(swept, {partials: 0, bytes: 0, digests: 0});
	t.deepEqual(host.lines, []);
});

test('in quarantine no note stays without its file, nor a file without its note, once both have had their time', async t => {
	const layout = new Layout(await tempDir(t));
	await prepareLayout(layout);
	const clock = new ManualClock(Date.now());
	const host = testHost({clock});
	const quarantine = new Quarantine({layout, host, limits: {keepForMs: dayMs, maxBytes: 1e9}});
	for (const name of ['whole', 'whole.json', 'file', 'note.json', 'half.json.00112233.new']) {
		await writeFile(layout.quarantined(name), '{"expected": {"size": 5}}');
		await utimes(layout.quarantined(name), 1, 1);
	}
	await quarantine.sweep();
	t.is((await readdir(layout.quarantine)).length, 5, 'they may be coming yet');
	await clock.advance(2 * 3_600_000);
	await quarantine.sweep();
	t.deepEqual((await readdir(layout.quarantine)).sort(), ['whole', 'whole.json']);
	t.deepEqual(
		(await quarantine.list()).map(({name, note}) => [name, note]),
		[['whole', {expected: {size: 5}}]],
	);
	await writeFile(layout.quarantined('whole.json'), 'spoilt');
	t.is((await quarantine.list())[0]?.note, undefined);
});
