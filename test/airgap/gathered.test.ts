import test from 'ava';
import {gathered} from '../../src/airgap/gathered.js';

async function lengthsOf(lengths: readonly number[], enough: number): Promise<readonly number[]> {
	const pieces = lengths.map((length, number) => Buffer.alloc(length, number));
	const all: Buffer[] = [];
	async function* source(): AsyncGenerator<Buffer, void, undefined> {
		yield* pieces;
	}
	for await (const piece of gathered(source(), enough)) {
		all.push(piece);
	}
	if (!Buffer.concat(all).equals(Buffer.concat(pieces))) {
		throw new Error('the bytes are others');
	}
	return all.map(({length}) => length);
}

test('small pieces go out together as soon as they are enough, large ones as they are, in their order', async t => {
	t.deepEqual(await lengthsOf([4, 4, 4, 4, 1], 10), [12, 5]);
	t.deepEqual(await lengthsOf([4, 10, 4, 25, 0], 10), [4, 10, 4, 25]);
	t.deepEqual(await lengthsOf([0, 0], 10), []);
	t.deepEqual(await lengthsOf([], 10), []);
});
