import test from 'ava';
import type {ImportEvent} from '../../src/airgap/api.js';
import {Lines} from '../../src/airgap/import-lines.js';
import {Slots} from '../../src/airgap/import-slots.js';

const mebibyte = 1024 * 1024;

async function turn(): Promise<void> {
	await new Promise(resolve => setImmediate(resolve));
}

test('lines are read in their order, whenever they come', async t => {
	const lines = new Lines();
	const read: ImportEvent[] = [];
	const reading = (async () => {
		for await (const line of lines.all()) {
			read.push(line);
		}
	})();
	lines.push({what: 'warning', message: 'one'});
	await turn();
	lines.push({what: 'warning', message: 'two'});
	lines.push({what: 'warning', message: 'three'});
	await turn();
	t.is(read.length, 3);
	lines.push({what: 'warning', message: 'four'});
	lines.end();
	await reading;
	t.deepEqual(
		read.map(line => (line.what === 'warning' ? line.message : '')),
		['one', 'two', 'three', 'four'],
	);
});

test('how far files have come is told in steps, and to the last byte at the end', async t => {
	const lines = new Lines();
	for (let bytes = 0; bytes < 20; bytes++) {
		lines.progress(mebibyte);
	}
	lines.progress(1);
	lines.end();
	const told: number[] = [];
	for await (const line of lines.all()) {
		told.push(line.what === 'progress' ? line.bytesDone : NaN);
	}
	t.deepEqual(told, [8 * mebibyte, 16 * mebibyte, 20 * mebibyte + 1]);
});

test('nothing is told of no bytes', async t => {
	const lines = new Lines();
	lines.progress(0);
	lines.end();
	t.is((await lines.all().next()).done, true);
});

test('who is far ahead of the reader waits for it, until nobody reads any more', async t => {
	const lines = new Lines();
	for (let line = 0; line < 1000; line++) {
		lines.push({what: 'progress', bytesDone: line});
	}
	let hasRoom = 0;
	const wait = async (): Promise<void> => {
		await lines.room();
		hasRoom++;
	};
	const waiting = wait();
	await turn();
	t.is(hasRoom, 0);
	const reader = lines.all();
	await reader.next();
	await waiting;
	t.is(hasRoom, 1);
	for (let line = 0; line < 1000; line++) {
		lines.push({what: 'progress', bytesDone: line});
	}
	const left = wait();
	await turn();
	t.is(hasRoom, 1);
	lines.leave();
	await left;
	await wait();
	t.is(hasRoom, 3);
});

test('so many slots there are, and whoever came first is first', async t => {
	const slots = new Slots(2);
	const order: string[] = [];
	const giveBack = await slots.take();
	const run = (name: string, until: Promise<unknown>): Promise<string> =>
		slots.run(async () => {
			order.push(name);
			await until;
			return name;
		});
	let end = (): void => undefined;
	const ended = new Promise<void>(resolve => {
		end = resolve;
	});
	const runs = [run('a', ended), run('b', Promise.resolve()), run('c', Promise.resolve())];
	await turn();
	t.deepEqual(order, ['a']);
	giveBack();
	giveBack();
	await turn();
	t.deepEqual(order, ['a', 'b', 'c']);
	end();
	t.deepEqual(await Promise.all(runs), ['a', 'b', 'c']);
	await t.throwsAsync(
		slots.run(() => Promise.reject(new Error('no'))),
		{message: 'no'},
	);
	// All are free again.
	await slots.take();
	await slots.take();
	let isThird = false;
	void slots.take().then(() => {
		isThird = true;
	});
	await turn();
	t.false(isThird);
});
