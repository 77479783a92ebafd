import {once} from 'node:events';
import {PassThrough, Readable} from 'node:stream';
import test from 'ava';
import {Relay} from '../../src/sources/relay.js';

test('bytes pass as they are, and are counted', async t => {
	let counted = 0;
	const bytes = Buffer.from('0123456789'.repeat(100_000));
	const pieces = Array.from({length: 100}, (_, place) => bytes.subarray(place * 10_000, (place + 1) * 10_000));
	const relay = new Relay(Readable.from(pieces, {objectMode: false}), {onBytes: count => (counted += count)});

	const received: Buffer[] = [];
	for await (const chunk of relay as AsyncIterable<Buffer>) {
		received.push(chunk);
	}

	t.true(Buffer.concat(received).equals(bytes));
	t.is(counted, bytes.length);
});

test('nothing is read before somebody reads', async t => {
	const from = new PassThrough();
	from.write('early');
	const relay = new Relay(from);

	await new Promise(resolve => setImmediate(resolve));
	t.is(from.readableFlowing, null);
	relay.once('data', () => undefined);
	await once(relay, 'data');
	relay.destroy();
});

test('a sender that is silent is let go of at once', async t => {
	const from = new PassThrough();
	const relay = new Relay(from);
	relay.resume();

	relay.destroy();
	await once(from, 'close');
	t.true(from.destroyed);
});

test('a sender that just closes is an error, mapped like others', async t => {
	const from = new PassThrough();
	const mapped = new Error('in our words');
	const relay = new Relay(from, {mapError: () => mapped});
	relay.resume();

	const failed = once(relay, 'error');
	from.destroy();
	t.deepEqual(await failed, [mapped]);

	const plain = new PassThrough();
	const unmapped = new Relay(plain);
	const closed = once(unmapped, 'error');
	plain.destroy();
	t.regex(((await closed) as [Error])[0].message, /closed before its end/);
});
