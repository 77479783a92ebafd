import {execFileSync} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {gunzipSync, gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {compressionOf, decompressed} from '../../src/airgap/compressed.js';
import {asError, IntegrityError} from '../../src/errors.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {collect, Pieces, rawEnd, rawFile, readWhole} from './raw-tar.js';
import {zstd} from './zstd-made.js';

const {signal} = new AbortController();
const tar = Buffer.concat([rawFile('oci-layout', '{}'), rawFile('blob', randomBytes(50_000)), rawEnd]);

async function undone(bytes: Buffer, pieceSize = 4096): Promise<readonly [string, Buffer]> {
	const {stream, kind} = await decompressed(new Pieces(bytes, pieceSize), signal);
	return [kind, await collect(stream)];
}

async function isUndone(
	t: ExecutionContext,
	made: Buffer,
	kind: string,
	expected: Buffer,
	pieceSize?: number,
): Promise<void> {
	const [found, bytes] = await undone(made, pieceSize);
	t.is(found, kind);
	sameBytes(t, bytes, expected);
}

async function failure(bytes: Buffer): Promise<string> {
	try {
		await undone(bytes);
		return 'none';
	} catch (error) {
		return error instanceof IntegrityError ? error.message : `${asError(error).stack}`;
	}
}

test('by its first bytes, in whatever pieces they come, a stream is what it was', async t => {
	const small = tar.subarray(0, 3000);
	for (const pieceSize of [1, 3, 16, 100_000]) {
		await isUndone(t, small, 'plain', small, pieceSize);
		await isUndone(t, gzipSync(small), 'gzip', small, pieceSize);
		await isUndone(t, zstd(small), 'zstd', small, pieceSize);
	}
	for (const length of [0, 1, 2, 15, 16, 17]) {
		const bytes = tar.subarray(0, length);
		await isUndone(t, bytes, 'plain', bytes);
		await isUndone(t, gzipSync(bytes), 'gzip', bytes);
		await isUndone(t, zstd(bytes), 'zstd', bytes);
	}
});

test('what we cannot unpack is named, and its source let go of', async t => {
	for (const [program, message] of [
		['xz', 'this is compressed by xz: unpack it first'],
		['bzip2', 'this is compressed by bzip2: unpack it first'],
	] as const) {
		const bytes = execFileSync(program, ['-c'], {input: tar});
		const source = new Pieces(bytes, 100);
		await t.throwsAsync(decompressed(source, signal), {instanceOf: IntegrityError, message});
		t.true(source.isClosed);
		t.true(source.given <= 200);
	}
	t.throws(() => compressionOf(Buffer.from('PK\u0003\u0004 and so on')), {
		message: 'this is a zip archive: unpack it first',
	});
	t.throws(() => compressionOf(Buffer.from('04224d18', 'hex')), {message: /by lz4/});
	const zfs = Buffer.alloc(16);
	zfs.writeBigUInt64LE(0x2f5bacbacn, 8);
	t.throws(() => compressionOf(zfs), {instanceOf: IntegrityError, message: 'this is a zfs stream, not a tar'});
	t.is(compressionOf(Buffer.alloc(0)), 'plain');
	t.is(compressionOf(Buffer.from('502a4d18', 'hex')), 'zstd');
	t.is(compressionOf(Buffer.from('5f2a4d18', 'hex')), 'zstd');
	t.is(compressionOf(Buffer.from('602a4d18', 'hex')), 'plain');
});

test('a source that fails at its first bytes fails plainly', async t => {
	const lost = new Error('the line broke');
	await t.throwsAsync(decompressed(new Pieces(tar.subarray(0, 10), 4, lost), signal), {is: lost});
});

test('gzip files one after another are one, whatever made them', async t => {
	const gnu = execFileSync('gzip', ['-9c'], {input: tar});
	sameBytes(t, gunzipSync(gnu), tar);
	const three = Buffer.concat([gnu, gzipSync(Buffer.alloc(0)), gzipSync(tar, {level: 1})]);
	for (const pieceSize of [1000, 77, 1_000_000]) {
		await isUndone(t, three, 'gzip', Buffer.concat([tar, tar]), pieceSize);
	}
});

test('zeros behind gzip files are passed over, and do not hold anything up; other things are damage', async t => {
	for (const more of [Buffer.alloc(1), Buffer.alloc(1_000_000), Buffer.from('\0rubbish'.repeat(100_000))]) {
		const source = new Pieces(Buffer.concat([gzipSync(tar), more]));
		const {stream} = await decompressed(source, signal);
		sameBytes(t, await collect(stream), tar);
	}
	t.is(
		await failure(Buffer.concat([gzipSync(tar), Buffer.from('rubbish')])),
		'the gzip data is damaged (incorrect header check)',
	);
});

test('gzip data that is cut off, or damaged, is called so', async t => {
	const whole = gzipSync(tar);
	for (const length of [2, 9, 10, 100, whole.length - 9, whole.length - 8, whole.length - 1]) {
		t.is(await failure(whole.subarray(0, length)), 'the gzip data is cut off', String(length));
	}
	const wrong = Buffer.from(whole);
	wrong[wrong.length - 5] = (wrong.at(-5) ?? 0) ^ 1;
	t.is(await failure(wrong), 'the gzip data is damaged (incorrect data check)');
	const broken = Buffer.from(whole);
	broken.fill(0xff, 100, 1000);
	t.regex(await failure(broken), /^the gzip data is damaged \(/);
});

test('where a gzip file is damaged or cut, nothing wrong comes out before it is said', async t => {
	const whole = gzipSync(tar);
	await fc.assert(
		fc.asyncProperty(fc.nat(whole.length - 1), fc.option(fc.integer({min: 1, max: 255})), async (where, flip) => {
			const bytes = Buffer.from(flip === null ? whole.subarray(0, where) : whole);
			if (flip !== null) {
				bytes[where] = (bytes[where] ?? 0) ^ flip;
			}
			const pieces: Buffer[] = [];
			try {
				const {stream} = await decompressed(new Pieces(bytes, 1000), signal);
				for await (const piece of stream) {
					pieces.push(piece);
				}
			} catch (error) {
				t.true(error instanceof IntegrityError, asError(error).stack);
			}
			// zlib's own check comes last; tars and digests have theirs.
			t.true(Buffer.concat(pieces).length <= tar.length + 600);
			if (flip === null) {
				const out = Buffer.concat(pieces);
				sameBytes(t, out, where < 2 ? bytes : tar.subarray(0, out.length));
			}
		}),
		{numRuns: 150},
	);
});

test('what the source throws comes through, and an abort ends everything', async t => {
	for (const bytes of [tar, gzipSync(tar), zstd(tar)]) {
		const lost = new Error('the line broke');
		const {stream} = await decompressed(new Pieces(bytes.subarray(0, 20_000), 1000, lost), signal);
		await t.throwsAsync(collect(stream), {is: lost});
	}
	for (const pack of [(bytes: Buffer) => gzipSync(bytes), (bytes: Buffer) => zstd(bytes)]) {
		const large = pack(Buffer.alloc(20_000_000, 'a'));
		const abort = new AbortController();
		const reason = new Error('that is enough');
		const {stream} = await decompressed(new Pieces(large), abort.signal);
		let bytes = 0;
		const error = await t.throwsAsync(async () => {
			for await (const piece of stream) {
				bytes += piece.length;
				abort.abort(reason);
			}
		});
		t.is(error, reason);
		t.true(bytes > 0 && bytes < 20_000_000);

		const late = await decompressed(new Pieces(large), abort.signal);
		await t.throwsAsync(collect(late.stream), {is: reason});
	}
});

test('an abort is felt while the source is silent', async t => {
	for (const bytes of [gzipSync(tar), zstd(tar)]) {
		const abort = new AbortController();
		const reason = new Error('that is enough');
		async function* silent(): AsyncGenerator<Buffer, void, undefined> {
			yield bytes.subarray(0, 1000);
			queueMicrotask(() => setImmediate(() => abort.abort(reason)));
			await new Promise(() => undefined);
		}
		const {stream} = await decompressed(silent(), abort.signal);
		await t.throwsAsync(collect(stream), {is: reason});
	}
});

test('tars that GNU tar compressed are read from a file', async t => {
	const folder = await tempDir(t);
	await mkdir(path.join(folder, 'bundle'));
	await writeFile(path.join(folder, 'bundle/index.json'), '{}'.repeat(1000));
	for (const option of ['-cf', '-czf', '--zstd -cf']) {
		const file = path.join(folder, 'out');
		execFileSync('bash', ['-c', `tar ${option} ${file} bundle`], {cwd: folder});
		const {stream} = await decompressed(createReadStream(file), signal);
		const {entries, error} = await readWhole(stream);
		t.is(error, undefined);
		t.deepEqual(entries, [['bundle/index.json', '{}'.repeat(1000)]]);
	}
});

test('rubbish behind a compressed tar is not missed', async t => {
	const {stream} = await decompressed(new Pieces(Buffer.concat([zstd(tar), Buffer.from('rubbish')])), signal);
	const {entries, error} = await readWhole(stream);
	t.is(entries.length, 2);
	t.is(error, undefined);
});

test('a compressed tar that is cut in its trailer gives what it has, as far as Node.js hands it out', async t => {
	const whole = await readWhole(new Pieces(tar));
	const {stream} = await decompressed(new Pieces(gzipSync(tar).subarray(0, -3)), signal);
	const {entries, error} = await readWhole(stream);
	// Since Node.js 22 the last piece goes down with the error.
	t.true(entries.length >= whole.entries.length - 1);
	t.deepEqual(entries, whole.entries.slice(0, entries.length));
	t.true(error === undefined || error instanceof IntegrityError);
});
