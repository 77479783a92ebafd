import fc from 'fast-check';
import test from 'ava';
import {Watermark, heldBackBytes} from '../../src/blobs/watermark.js';

test('who waits is woken when what it waits for may be read', async t => {
	const watermark = new Watermark(200_000);
	const waiting = watermark.past(1000);
	watermark.advance(1000);
	watermark.advance(5000);
	t.is(await waiting, 5000);
	t.is(await watermark.past(0), 5000);
});

test('the tail may be read only when the file is verified', async t => {
	const watermark = new Watermark(100_000);
	watermark.advance(100_000);
	t.is(watermark.readable, 100_000 - heldBackBytes);
	const tail = watermark.past(99_999);
	watermark.verified();
	t.is(await tail, 100_000);
	t.true(watermark.ended);
});

test('a failure reaches who waits and who comes later, but not after the file is verified', async t => {
	const watermark = new Watermark(100_000);
	const waiting = watermark.past(0);
	watermark.fail(new Error('gone'));
	await t.throwsAsync(waiting, {message: 'gone'});
	await t.throwsAsync(watermark.past(0), {message: 'gone'});

	const right = new Watermark(10);
	right.verified();
	right.fail(new Error('too late'));
	t.is(await right.past(0), 10);
});

test('a wait ends when whoever waits leaves, and nobody else is disturbed', async t => {
	const watermark = new Watermark(100_000);
	const [one, other] = [{}, {}];
	const leaving = watermark.past(0, one);
	const staying = [watermark.past(0, other), watermark.past(0)];
	watermark.leave(one, new Error('left'));
	await t.throwsAsync(leaving, {message: 'left'});
	watermark.advance(100_000);
	t.deepEqual(await Promise.all(staying), [100_000 - heldBackBytes, 100_000 - heldBackBytes]);
});

test('a file that begins again counts a generation and keeps its waiters', async t => {
	const watermark = new Watermark(200_000);
	watermark.advance(50_000);
	const waiting = watermark.past(60_000);
	const {content} = watermark;
	t.is(watermark.content, content);
	watermark.restart();
	t.is(watermark.generation, 1);
	t.not(watermark.content, content);
	t.is(watermark.readable, 0);
	watermark.advance(70_000);
	t.is(await waiting, 70_000);
});

test('never more than is written, never the tail before it is verified', t => {
	fc.assert(
		fc.property(fc.nat(300_000), fc.array(fc.nat(300_000), {maxLength: 10}), (size, steps) => {
			const watermark = new Watermark(size);
			for (const step of steps.map(step => Math.min(step, size)).sort((a, b) => a - b)) {
				watermark.advance(step);
				t.true(watermark.readable <= step);
				t.true(watermark.readable <= Math.max(0, size - heldBackBytes));
			}
			watermark.verified();
			t.is(watermark.readable, size);
		}),
	);
});

test('who waits for more than the file has is told when it is verified, and later', async t => {
	const watermark = new Watermark(1000);
	const waiting = watermark.past(1000);
	watermark.verified();
	await t.throwsAsync(waiting, {message: /no more than 1000 bytes/});
	await t.throwsAsync(watermark.past(2000), {message: /no more than 1000 bytes/});
});
