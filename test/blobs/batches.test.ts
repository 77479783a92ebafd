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

test('what comes right after a batch is gathered with what follows it', async t => {
	const {signal} = new AbortController();
	let gathered = false;
	// A machine that stands still for a moment lets the time for it pass.
	for (let round = 0; round < 100 && !gathered; round++) {
		const stream = new Readable({read: () => undefined});
		const batches = new Batches(stream);
		stream.push('a');
		t.is(Buffer.concat((await batches.next(signal)) ?? []).toString(), 'a');
		stream.push('b');
		await new Promise(setImmediate);
		const next = batches.next(signal);
		stream.push('c');
		stream.push(null);
		const second = Buffer.concat((await next) ?? []).toString();
		gathered = second === 'bc';
		t.is(second + Buffer.concat((await batches.next(signal)) ?? []).toString(), 'bc');
	}
	t.true(gathered);
});

test('what is gathered does not wait for more than comes', async t => {
	const {signal} = new AbortController();
	const stream = new Readable({read: () => undefined});
	const batches = new Batches(stream);
	for (const text of ['a', 'b', 'c']) {
		stream.push(text);
		t.is(Buffer.concat((await batches.next(signal)) ?? []).toString(), text);
	}
	const waiting = batches.next(AbortSignal.abort(new Error('left')));
	await t.throwsAsync(waiting, {message: 'left'});
	batches.close();
});

test('the first chunk goes alone, all others go with what has come meanwhile', async t => {
	const {signal} = new AbortController();
	const stream = new Readable({read: () => undefined});
	const batches = new Batches(stream);
	for (const text of ['a', 'b', 'c']) {
		stream.push(text);
	}
	stream.push(null);
	await settle();
	const texts: string[] = [];
	for (let batch = await batches.next(signal); batch !== undefined; batch = await batches.next(signal)) {
		texts.push(Buffer.concat(batch).toString());
	}
	t.deepEqual(texts, ['a', 'bc']);
});
