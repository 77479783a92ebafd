import {access, mkdir, readdir, stat, statfs, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {HeldBlobs} from '../../src/airgap/held-blobs.js';
import {folderSpool, type Spool} from '../../src/airgap/spool.js';
import {IntegrityError, NoSpaceError} from '../../src/errors.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {bytesOf, inPieces} from './make-bundle.js';

test('a spool keeps blobs in a folder of its own, and takes all of it away again', async t => {
	const folder = join(await tempDir(t), 'not', 'there', 'yet');
	const spool = folderSpool(folder);
	await spool.close();
	await t.throwsAsync(access(folder));

	const bytes = pseudoRandom(700_000, 1);
	const file = await spool.create(bytes.length);
	for await (const piece of inPieces(bytes, 100_001)) {
		await file.write(piece);
	}
	const blob = await file.end();
	t.is(blob.size, bytes.length);
	sameBytes(t, await bytesOf(blob), bytes);
	sameBytes(t, await bytesOf(blob, 699_999), bytes.subarray(699_999));
	const [name = ''] = await readdir(folder);
	t.is((await stat(join(folder, name))).mode & 0o777, 0o700);
	const second = await spool.create(10);
	await second.discard();
	t.is((await readdir(join(folder, name))).length, 1);
	await blob.remove();
	t.deepEqual(await readdir(join(folder, name)), []);
	await (await spool.create(3)).end();
	await spool.close();
	t.deepEqual(await readdir(folder), []);
	await spool.close();
});

test('a spool promises no room that is not there', async t => {
	const folder = await tempDir(t);
	const spool = folderSpool(folder);
	await t.throwsAsync(spool.create(2 ** 50), {instanceOf: NoSpaceError, message: /has room for \d+ to put them aside/});
	await t.throwsAsync(folderSpool(folder, 2 ** 52).create(1), {instanceOf: NoSpaceError, message: /has room for 0/});
	// What has been promised to one is not promised to another; what is not needed after all, is free again.
	const {bavail, bsize} = await statfs(folder);
	const most = Math.floor(bavail * bsize * 0.6);
	const first = await spool.create(most);
	await t.throwsAsync(spool.create(most), {instanceOf: NoSpaceError});
	await first.discard();
	await (await spool.create(most)).discard();
	await spool.close();
});

test('a blob that is shorter than announced is cut for whoever reads it, one that is longer is not taken', async t => {
	const spool = folderSpool(await tempDir(t));
	const file = await spool.create(10);
	await file.write(Buffer.from('12345'));
	await t.throwsAsync(file.write(Buffer.from('678901')), {instanceOf: IntegrityError});
	const blob = await file.end();
	await t.throwsAsync(bytesOf(blob), {instanceOf: IntegrityError, message: /cut off: it ends after 5 of 10/});
	await spool.close();
});

test('a spool that cannot be made says so', async t => {
	const folder = join(await tempDir(t), 'file');
	await writeFile(folder, '');
	await t.throwsAsync(folderSpool(folder).create(1), {code: 'EEXIST'});
	await mkdir(join(`${folder}s`));
});

test('small blobs are held in memory, others on the disk', async t => {
	const folder = await tempDir(t);
	const held = new HeldBlobs(folderSpool(folder));
	const small = pseudoRandom(1000, 1);
	const large = pseudoRandom(100_000, 2);
	t.is(held.get('small'), undefined);
	await held.keep('small', small.length, inPieces(small, 7));
	t.deepEqual(await readdir(folder), []);
	await held.keep('large', large.length, inPieces(large));
	const [name = ''] = await readdir(folder);
	t.is((await readdir(join(folder, name))).length, 1);
	t.true(held.has('small'));
	sameBytes(t, await bytesOf(held.get('small'), 10), small.subarray(10));
	sameBytes(t, await bytesOf(held.get('large'), 10), large.subarray(10));
	await held.drop('small');
	await held.drop('large');
	await held.drop('neither');
	t.false(held.has('large'));
	t.deepEqual(await readdir(join(folder, name)), []);
	await held.close();
	t.deepEqual(await readdir(folder), []);
});

test('memory for held blobs is bounded: the rest goes to the disk', async t => {
	const folder = await tempDir(t);
	const held = new HeldBlobs(folderSpool(folder));
	const bytes = pseudoRandom(60_000, 1);
	for (let number = 0; number < 300; number++) {
		await held.keep(`blob ${number}`, bytes.length, inPieces(bytes, 60_000));
	}
	const [name = ''] = await readdir(folder);
	t.is((await readdir(join(folder, name))).length, 300 - Math.floor((16 * 1024 * 1024) / 60_000));
	sameBytes(t, await bytesOf(held.get('blob 299')), bytes);
	await held.close();
});

test('what is held of a blob that breaks off is told with why it does', async t => {
	async function* breaking(error: Error): AsyncGenerator<Buffer> {
		yield Buffer.from('abc');
		throw error;
	}
	const folder = await tempDir(t);
	const held = new HeldBlobs(folderSpool(folder));
	const cut = new IntegrityError('the tar ends here');
	await held.keep('small', 10, breaking(cut));
	await t.throwsAsync(bytesOf(held.get('small')), {is: cut});
	await held.keep('large', 100_000, breaking(cut));
	await t.throwsAsync(bytesOf(held.get('large')), {instanceOf: IntegrityError, message: /cut off/});
	// What the source throws is nothing that a blob could be blamed for.
	const failure = new Error('the line is gone');
	await t.throwsAsync(held.keep('other', 10, breaking(failure)), {is: failure});
	await t.throwsAsync(held.keep('others', 100_000, breaking(failure)), {is: failure});
	t.false(held.has('other') || held.has('others'));
	await held.close();
});

test('that there was no room for a blob is said when it is asked for', async t => {
	const none: Spool = {
		async create(size) {
			throw new NoSpaceError(`no room for ${size}`);
		},
		async close() {
			// There is nothing.
		},
	};
	const held = new HeldBlobs(none);
	await t.throwsAsync(held.keep(`sha256:${'a'.repeat(64)}`, 100_000, inPieces(Buffer.alloc(0))), {
		instanceOf: NoSpaceError,
	});
	t.true(held.has(`sha256:${'a'.repeat(64)}`));
	t.throws(() => held.get(`sha256:${'a'.repeat(64)}`), {
		instanceOf: NoSpaceError,
		message: 'blob sha256:aaaaaaaaaaaa… came too early in the stream: no room for 100000',
	});
	await held.drop(`sha256:${'a'.repeat(64)}`);
	t.is(held.get(`sha256:${'a'.repeat(64)}`), undefined);
});
