import {Readable} from 'node:stream';
import test from 'ava';
import {Batches} from '../../src/blobs/batches.js';
import {settle} from '../helpers/manual-clock.js';

test('a sender of tiny chunks is paused before they cost much memory', async t => {
	let sent = 0;
	const stream = new Readable({
		highWaterMark: 100,
		read() {
			sent++;
			this.push(Buffer.alloc(1));
		},
	});
	const batches = new Batches(stream);
	for (let before = -1; before !== sent;) {
		before = sent;
		await settle();
	}
	t.true(sent < 5000, `${sent} chunks`);
	t.true(((await batches.next(new AbortController().signal))?.length ?? 0) > 0);
	batches.close();
});

test('a stream that was over before anybody looked does not keep its reader waiting', async t => {
	const stream = new Readable({read: () => undefined});
	stream.on('error', () => undefined);
	stream.destroy(new Error('reset'));
	await settle();
	await t.throwsAsync(new Batches(stream).next(new AbortController().signal), {message: 'reset'});

	const closed = new Readable({read: () => undefined});
	closed.destroy();
	await settle();
	await t.throwsAsync(new Batches(closed).next(new AbortController().signal), {message: /closed before/});
});

test('what came before a failure is handed out first', async t => {
	const stream = new Readable({read: () => undefined});
	const batches = new Batches(stream);
	stream.push('abc');
	await settle();
	stream.destroy(new Error('cut'));
	await settle();
	const {signal} = new AbortController();
	t.is(Buffer.concat((await batches.next(signal)) ?? []).toString(), 'abc');
	await t.throwsAsync(batches.next(signal), {message: 'cut'});
});
