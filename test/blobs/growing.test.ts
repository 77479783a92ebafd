import type {FileHandle} from 'node:fs/promises';
import {randomBytes} from 'node:crypto';
import fc from 'fast-check';
import test from 'ava';
import {sumOf, writeAll} from '../../src/blobs/growing.js';

const pieceBytes = 262_144;

/** A file in memory whose disk takes some of what it is given, and tells how it was asked. */
function fakeFile(bytes: number, takes: (offered: number) => number) {
	const content = Buffer.alloc(bytes);
	const writes: {readonly from: number; readonly to: number}[] = [];
	const handle = {
		async writev(chunks: readonly Buffer[], position: number) {
			const all = Buffer.concat(chunks);
			writes.push({from: position, to: position + all.length});
			const bytesWritten = takes(all.length);
			all.copy(content, position, 0, bytesWritten);
			return {bytesWritten};
		},
	};
	return {content, writes, handle: handle as unknown as FileHandle};
}

test('every byte gets to its place, in pieces that cross no multiple of their size', async t => {
	const random = randomBytes(3 * pieceBytes);
	await fc.assert(
		fc.asyncProperty(
			fc.nat(2 * pieceBytes),
			fc.array(fc.oneof(fc.nat(pieceBytes / 2), fc.nat(100)), {maxLength: 12}),
			fc.array(fc.double({min: 0.01, max: 1, noNaN: true}), {minLength: 1, maxLength: 5}),
			async (position, sizes, shares) => {
				const chunks = sizes.map((size, at) => random.subarray(at, at + size));
				let asked = 0;
				const {content, writes, handle} = fakeFile(position + sumOf(chunks), offered =>
					Math.ceil(offered * (shares[asked++ % shares.length] ?? 1)),
				);
				let told = 0;
				await writeAll(handle, chunks, position, bytes => {
					told += bytes;
				});
				const isWithin = writes.every(
					({from, to}) => Math.floor(from / pieceBytes) === Math.floor((to - 1) / pieceBytes),
				);
				return isWithin && told === sumOf(chunks) && content.subarray(position).equals(Buffer.concat(chunks));
			},
		),
		{numRuns: 60},
	);
	t.pass();
});

test('where the disk refuses in the middle, what got there counts', async t => {
	const chunks = [randomBytes(pieceBytes), randomBytes(10)];
	let calls = 0;
	const {content, handle} = fakeFile(pieceBytes + 10, offered => {
		if (++calls === 2) {
			throw Object.assign(new Error('no space'), {code: 'ENOSPC'});
		}
		return offered;
	});
	let told = 0;
	await t.throwsAsync(
		writeAll(handle, chunks, 0, bytes => {
			told += bytes;
		}),
		{code: 'ENOSPC'},
	);
	t.is(told, pieceBytes);
	t.true(content.subarray(0, pieceBytes).equals(chunks[0] ?? Buffer.alloc(0)));
});
