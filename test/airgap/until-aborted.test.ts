import test from 'ava';
import {untilAborted} from '../../src/airgap/until-aborted.js';

async function* pieces(onReturn: () => void = () => undefined): AsyncGenerator<Buffer, void, undefined> {
	try {
		yield Buffer.from('a');
		yield Buffer.from('b');
	} finally {
		onReturn();
	}
}

test('what comes goes through', async t => {
	const got: string[] = [];
	for await (const piece of untilAborted(pieces(), new AbortController().signal)) {
		got.push(piece.toString());
	}
	t.deepEqual(got, ['a', 'b']);
});

test('a source that stands still is given up at once', async t => {
	const controller = new AbortController();
	const still: AsyncIterable<Buffer> = {
		[Symbol.asyncIterator]: () => ({
			next: () => new Promise(() => undefined),
			return: () => new Promise(() => undefined),
		}),
	};
	const stream = untilAborted(still, controller.signal);
	const next = stream.next();
	controller.abort(new Error('enough'));
	await t.throwsAsync(next, {message: 'enough'});
	t.is((await stream.next()).done, true);
});

test('nothing is asked of a source after the signal', async t => {
	const controller = new AbortController();
	let isLet = false;
	const stream = untilAborted(
		pieces(() => {
			isLet = true;
		}),
		controller.signal,
	);
	t.is((await stream.next()).value?.toString(), 'a');
	controller.abort(new Error('enough'));
	await t.throwsAsync(stream.next(), {message: 'enough'});
	t.true(isLet);
});

test('who leaves lets go of the source, and what that throws comes through', async t => {
	let isLet = false;
	for await (const piece of untilAborted(
		pieces(() => {
			isLet = true;
		}),
		new AbortController().signal,
	)) {
		t.is(piece.toString(), 'a');
		break;
	}
	t.true(isLet);
	const broken = (async function* (): AsyncGenerator<Buffer, void, undefined> {
		yield Buffer.from('a');
		throw new Error('socket hang up');
	})();
	const stream = untilAborted(broken, new AbortController().signal);
	await stream.next();
	await t.throwsAsync(stream.next(), {message: 'socket hang up'});
});
