import test from 'ava';
import {Follower} from '../../src/blobs/follower.js';
import {Watermark} from '../../src/blobs/watermark.js';
import {IntegrityError} from '../../src/errors.js';
import {settle} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';

const size = 200_000;

function followerOf(watermark: Watermark, file: () => Buffer): Follower {
	return new Follower({
		start: 0,
		end: size,
		watermark,
		read: async (into, length, position) => file().copy(into, 0, position, position + length),
		fd: () => 7,
		passThrough: () => {
			throw new Error('not here');
		},
		onClose: () => undefined,
		supplier: () => undefined,
		contentMd5: () => undefined,
	});
}

test('a file that begins again between a wait and its read: nothing of the old one is handed out', async t => {
	const watermark = new Watermark(size);
	let file = Buffer.alloc(size, 'old');
	const follower = followerOf(watermark, () => file);
	watermark.advance(50_000);
	const into = Buffer.alloc(1000);
	const reading = follower.read(into);
	watermark.restart();
	await settle();
	file = Buffer.alloc(size, 'new');
	watermark.advance(60_000);
	t.is(await reading, 1000);
	sameBytes(t, into, file.subarray(0, 1000));
});

test('a file that begins again while it is read: who had bytes of it is cut off', async t => {
	const watermark = new Watermark(size);
	const follower = followerOf(watermark, () => Buffer.alloc(size));
	watermark.advance(50_000);
	await follower.read(Buffer.alloc(1000));
	const reading = follower.read(Buffer.alloc(1000));
	watermark.restart();
	await t.throwsAsync(reading, {instanceOf: IntegrityError});
});

test('what is there is read without waiting for more, and nothing of a file that began again meanwhile', async t => {
	const watermark = new Watermark(size);
	let file = Buffer.alloc(size, 'old');
	const follower = followerOf(watermark, () => file);
	const into = Buffer.alloc(1000);
	t.is(await follower.readStretch(into), 0, 'nothing has come yet');
	watermark.advance(700);
	t.is(await follower.readStretch(into), 700);
	sameBytes(t, into.subarray(0, 700), file.subarray(0, 700));
	watermark.advance(50_000);
	const other = followerOf(watermark, () => file);
	const {content} = other;
	const [reading, others] = [follower.readStretch(into), other.readStretch(Buffer.alloc(1000))];
	watermark.restart();
	file = Buffer.alloc(size, 'new');
	t.deepEqual(await Promise.all([reading, others]), [0, 0]);
	t.not(other.content, content);
	t.throws(() => follower.stretch(), {instanceOf: IntegrityError});
	watermark.advance(60_000);
	t.is(await other.readStretch(into), 1000);
	sameBytes(t, into, file.subarray(0, 1000));
	watermark.fail(new Error('gone'));
	t.is(await other.readStretch(into), 0);
	await t.throwsAsync(other.read(into), {message: 'gone'});
});
