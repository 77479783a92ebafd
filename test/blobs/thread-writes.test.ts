import {randomBytes} from 'node:crypto';
import {open, readFile, rm} from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import test, {type ExecutionContext} from 'ava';
import {Hashing, type FileHash} from '../../src/blobs/hashing.js';
import {NoSpaceError} from '../../src/errors.js';
import {PartialBlob} from '../../src/blobs/partial.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {wantedOf} from './start-store.js';

const beginsAt = 8 * 2 ** 20;

/** The same bytes where other threads see them. */
function shared(bytes: Buffer): Buffer {
	const chunk = Buffer.from(new SharedArrayBuffer(bytes.length));
	bytes.copy(chunk);
	return chunk;
}

function startHashing(t: ExecutionContext, writes = true): Hashing {
	const hashing = new Hashing({writes});
	t.teardown(() => hashing.close());
	return hashing;
}

/** A file whose first bytes, so many that there is a thread, have been written by the test. */
async function begin(t: ExecutionContext, hashing: Hashing, bytes: Buffer) {
	const file = path.join(await tempDir(t), 'file');
	const handle = await open(file, 'w+');
	t.teardown(() => handle.close().catch(() => undefined));
	await handle.write(bytes, 0, beginsAt, 0);
	const hash = hashing.follow(file, ['sha1']);
	hash.advance(beginsAt);
	return {file, handle, hash};
}

/** As the thread has it written; how much it said it wrote. */
async function write(hash: FileHash, fd: number, chunks: readonly Buffer[], at: number) {
	let written = 0;
	const isDone = await hash.write(fd, chunks, at, bytes => {
		written += bytes;
	});
	return {isDone, written};
}

test('what other threads see is written by the one that hashes', async t => {
	const {bytes, sha1} = makeImage({size: beginsAt + 3_000_000});
	const {file, handle, hash} = await begin(t, startHashing(t), bytes);
	const rest = shared(bytes.subarray(beginsAt));
	const chunks = [rest.subarray(0, 100_000), rest.subarray(100_000, 2_000_000)];
	t.deepEqual(await write(hash, handle.fd, chunks, beginsAt), {isDone: true, written: 2_000_000});
	const last = [rest.subarray(2_000_000)];
	t.deepEqual(await write(hash, handle.fd, last, beginsAt + 2_000_000), {isDone: true, written: 1_000_000});
	t.deepEqual(await hash.digests(bytes.length), {sha1});
	sameBytes(t, await readFile(file), bytes);
	t.deepEqual(await write(hash, handle.fd, last, bytes.length), {isDone: false, written: 0});
});

test('the rest is left to the caller: own memory, small chunks, more digests, no thread yet, many processors', async t => {
	const {bytes} = makeImage({size: beginsAt + 100_000});
	const {file, handle, hash} = await begin(t, startHashing(t), bytes);
	const rest = shared(bytes.subarray(beginsAt));
	const left = {isDone: false, written: 0};
	const own = bytes.subarray(beginsAt);
	t.deepEqual(await write(hash, handle.fd, [own], beginsAt), left);
	t.deepEqual(await write(hash, handle.fd, [rest, own], beginsAt), left);
	const small = Array.from({length: 10}, (_, at) => rest.subarray(at, at + 1));
	t.deepEqual(await write(hash, handle.fd, small, beginsAt), left);
	const all = startHashing(t).follow(file, ['sha1', 'sha256', 'md5']);
	all.advance(beginsAt);
	t.deepEqual(await write(all, handle.fd, [rest], beginsAt), left);
	const early = startHashing(t).follow(file, ['sha1']);
	t.deepEqual(await write(early, handle.fd, [rest], beginsAt), left);
	const many = startHashing(t, false).follow(file, ['sha1']);
	many.advance(beginsAt);
	t.deepEqual(await write(many, handle.fd, [rest], beginsAt), left);
	t.is((await handle.stat()).size, beginsAt);
});

test('whoever writes, in whatever parts, the file and its digest are right', async t => {
	const size = beginsAt + 6_000_000;
	const {bytes, sha1} = makeImage({size});
	const hashing = startHashing(t);
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.tuple(fc.boolean(), fc.integer({min: 20_000, max: 2_500_000})), {minLength: 1, maxLength: 8}),
			async steps => {
				const {file, handle, hash} = await begin(t, hashing, bytes);
				let at = beginsAt;
				for (const [byThread, most] of [...steps, [true, size] as const]) {
					const part = bytes.subarray(at, at + most);
					const half = part.length >> 1;
					const chunks = [part.subarray(0, half), part.subarray(half)].map(byThread ? shared : chunk => chunk);
					if (!(await write(hash, handle.fd, chunks, at)).isDone) {
						await handle.write(part, 0, part.length, at);
					}
					at += part.length;
					hash.advance(at);
				}
				const digests = await hash.digests(size);
				const isRight = digests.sha1 === sha1 && bytes.equals(await readFile(file));
				await handle.close();
				await rm(file);
				return isRight;
			},
		),
		{numRuns: 15},
	);
	t.pass();
});

test('several files are written and hashed at once, one that was found on the disk among them', async t => {
	const hashing = startHashing(t);
	const size = beginsAt + 12_000_000;
	const found = makeImage({size: 60_000_000});
	const foundFile = path.join(await tempDir(t), 'found');
	const foundHandle = await open(foundFile, 'w+');
	t.teardown(() => foundHandle.close());
	await foundHandle.writeFile(found.bytes);
	const ofFound = hashing.follow(foundFile, ['sha1']);
	ofFound.advance(found.size);
	const digests = await Promise.all(
		[1, 2, 3].map(async () => {
			const {bytes, sha1} = makeImage({size});
			const {handle, hash} = await begin(t, hashing, bytes);
			for (let at = beginsAt; at < size; at += 1_000_000) {
				const {isDone} = await write(hash, handle.fd, [shared(bytes.subarray(at, at + 1_000_000))], at);
				t.true(isDone);
			}
			return {...(await hash.digests(size)), expected: sha1};
		}),
	);
	t.true(digests.every(({sha1, expected}) => sha1 === expected));
	t.deepEqual(await ofFound.digests(found.size), {sha1: found.sha1});
});

test('what the system refuses is said in its words, and what got there counts', async t => {
	const {bytes, sha1} = makeImage({size: beginsAt + 1_000_000});
	const {file, hash, handle} = await begin(t, startHashing(t), bytes);
	const full = await open('/dev/full', 'r+');
	t.teardown(() => full.close());
	const rest = [shared(bytes.subarray(beginsAt))];
	const refused = await t.throwsAsync(write(hash, full.fd, rest, beginsAt), {message: /ENOSPC/});
	t.like(refused, {code: 'ENOSPC'});
	const reading = await open(file, 'r');
	t.teardown(() => reading.close());
	await t.throwsAsync(write(hash, reading.fd, rest, beginsAt), {message: /EBADF/});
	// Nothing is lost by it.
	t.deepEqual(await write(hash, handle.fd, rest, beginsAt), {isDone: true, written: 1_000_000});
	t.deepEqual(await hash.digests(bytes.length), {sha1});
});

test('where the thread ends meanwhile the caller writes it', async t => {
	const hashing = startHashing(t);
	const {bytes} = makeImage({size: beginsAt + 1_000_000});
	const {hash, handle} = await begin(t, hashing, bytes);
	const asked = [1, 2, 3].map(() => write(hash, handle.fd, [shared(bytes.subarray(beginsAt))], beginsAt));
	await hashing.close();
	for (const {isDone, written} of await Promise.all(asked)) {
		t.is(written, isDone ? 1_000_000 : 0);
	}
	t.deepEqual(await write(hash, handle.fd, [shared(bytes)], 0), {isDone: false, written: 0});
});

test('nobody’s digest is no reason not to write', async t => {
	const {bytes} = makeImage({size: beginsAt + 1_000_000});
	const {file, hash, handle} = await begin(t, startHashing(t), bytes);
	const writing = write(hash, handle.fd, [shared(bytes.subarray(beginsAt))], beginsAt);
	hash.abandon();
	t.deepEqual(await writing, {isDone: true, written: 1_000_000});
	sameBytes(t, await readFile(file), bytes);
});

test('a partial resolves with memory that nobody looks at any more, whoever wrote it', async t => {
	const size = beginsAt + 20_000_000;
	const image = makeImage({size});
	const {bytes, sha1, sha256} = image;
	const folder = await tempDir(t);
	const partial = await PartialBlob.open({
		...{wanted: wantedOf(image), file: path.join(folder, 'partial')},
		...{hashing: startHashing(t), onClose: () => undefined},
	});
	t.teardown(() => partial.close());
	let given = 0;
	let back = 0;
	const spoil = (chunks: readonly Buffer[]): void => {
		for (const chunk of chunks) {
			back += chunk.length;
			chunk.fill(0);
		}
	};
	for (let at = 0; at < size; at += 1_500_000) {
		const part = bytes.subarray(at, at + 1_500_000);
		given += part.length;
		// Each fourth as from a connection whose memory is its own.
		spoil(await partial.write([at % 6_000_000 === 0 ? Buffer.from(part) : shared(part)]));
	}
	t.true(back < given);
	t.deepEqual(await partial.deciding(), {sha1});
	spoil(partial.rest());
	t.is(back, given);
	t.like(await partial.digests(), {sha1, sha256});
	sameBytes(t, await readFile(partial.file), bytes);
});

test('a partial that cannot be written says so, and has what got there', async t => {
	const image = makeImage({size: beginsAt + 5_000_000});
	const folder = await tempDir(t);
	const hashing = startHashing(t);
	const full = await open('/dev/full', 'r+');
	t.teardown(() => full.close());
	const follow = hashing.follow.bind(hashing);
	hashing.follow = (...asked) => {
		const hash = follow(...asked);
		const onDisk = hash.write.bind(hash);
		hash.write = (_, ...rest) => onDisk(full.fd, ...rest);
		return hash;
	};
	const file = path.join(folder, 'partial');
	const partial = await PartialBlob.open({wanted: wantedOf(image), file, hashing, onClose: () => undefined});
	t.teardown(() => partial.close());
	await partial.write([image.bytes.subarray(0, beginsAt)]);
	const error = await t.throwsAsync(partial.write([shared(randomBytes(1_000_000))]), {instanceOf: NoSpaceError});
	t.regex(error.message, /ENOSPC/);
	t.is(partial.written, beginsAt);
});
