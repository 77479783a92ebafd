/**
 * Bundles written as tars, whole, in parts and into pipes: right at last, whatever happened on the way.
 */
import {createHash} from 'node:crypto';
import {mkdir, open, readFile, readdir, rename, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import test from 'ava';
import fc from 'fast-check';
import {diskError} from '../../src/airgap/disk.js';
import {openBundle} from '../../src/airgap/open-bundle.js';
import {folderSpool} from '../../src/airgap/spool.js';
import {largestFatFile, LacksRoomError, ThereAlreadyError} from '../../src/airgap/write-options.js';
import {streamTar} from '../../src/airgap/write-stream.js';
import {checkTar, writeTar} from '../../src/airgap/write-tar.js';
import {IntegrityError, MirrorError, NoSpaceError} from '../../src/errors.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {makeBundle, type TestBundle} from './make-bundle.js';
import {Killed, TestDisk, TestFiles, TestWrite, eventsOf, makePlan, planOf, treeOf, type Made} from './write-bench.js';

const icon = Buffer.from('89504e470d0a1a0a00ff', 'hex');
const base = makeImage({size: 5000, name: 'base', seed: 1});
const child = makeImage({size: 3000, name: 'child', origin: base, icon, seed: 2});
const other = makeImage({size: 4000, name: 'other', icon, seed: 3});
const sign = (): string => '-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n';

const first = (): Made => makePlan({images: [base, child], sign});
const second = (): Made => makePlan({images: [base, other]});

/** What there is under the names of a tar, put end to end. */
async function bytesOf(file: string): Promise<Buffer> {
	const folder = join(file, '..');
	const names = (await readdir(folder)).filter(name => join(folder, name).startsWith(file)).sort();
	return Buffer.concat(await Promise.all(names.map(name => readFile(join(folder, name)))));
}

async function streamed(made: Made): Promise<Buffer> {
	const chunks: Buffer[] = [];
	await streamTar(async bytes => void chunks.push(Buffer.from(bytes)), new TestWrite(made));
	return Buffer.concat(chunks);
}

/** Read as an import reads it. */
async function checkBundle(file: string, bundle: TestBundle): Promise<void> {
	const files = await openBundle([file], {signal: new AbortController().signal, spool: () => folderSpool('/nowhere')});
	try {
		for (const [path, bytes] of bundle.files) {
			const hex = /[0-9a-f]{64}$/.exec(path)?.[0];
			const found = hex === undefined ? undefined : await files.blob(`sha256:${hex}`);
			const chunks: Buffer[] = [];
			for await (const chunk of found?.read() ?? []) {
				chunks.push(chunk);
			}
			if (hex !== undefined && !Buffer.concat(chunks).equals(bytes)) {
				throw new Error(`${path} is not as it should be`);
			}
		}
		if (!(await files.index()).equals(bundle.index) || files.odd.length > 0) {
			throw new Error(`the index is another, or there is something odd: ${files.odd.join()}`);
		}
	} finally {
		await files.close();
	}
}

test('a tar has every file of the bundle in its order, and is the same each time', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'x.tar');
	const made = first();
	const write = new TestWrite(made);
	const {paths, bytes, keptBytes} = await writeTar(file, write);
	t.deepEqual(paths, [file]);
	t.is(keptBytes, 0);
	t.deepEqual(await readdir(folder), ['x.tar']);
	const tar = await readFile(file);
	t.is(tar.length, bytes);
	t.is(write.total, bytes);
	t.is(write.done, bytes);
	await t.notThrowsAsync(checkBundle(file, made.bundle));
	sameBytes(t, await streamed(first()), tar);
	t.is(tar.subarray(0, 10).toString(), 'oci-layout');
});

test('parts are the tar when they are put end to end', async t => {
	const folder = await tempDir(t);
	const tar = await streamed(first());
	for (const partBytes of [1000, 4096, 5120, tar.length - 1, tar.length, tar.length + 1]) {
		const file = join(folder, `p${partBytes}.tar`);
		const made = first();
		const {paths} = await writeTar(file, new TestWrite(made, {partBytes}));
		t.is(paths.length, Math.ceil(tar.length / partBytes));
		t.is(paths[0], `${file}.001`);
		sameBytes(t, await bytesOf(file), tar);
		for (const [index, path] of paths.entries()) {
			t.is((await stat(path)).size, index < paths.length - 1 ? partBytes : tar.length - index * partBytes);
		}
		await t.notThrowsAsync(checkBundle(file, made.bundle));
		await t.notThrowsAsync(checkBundle(paths.at(-1) ?? '', made.bundle));
	}
	const error = await t.throwsAsync(writeTar(join(folder, 'many.tar'), new TestWrite(first(), {partBytes: 10})));
	t.regex(error.message, /^that would be \d+ parts, and 999 are the most: let them be larger$/);
});

test('an interrupted run is gone on with, as long as the plan and the parts are the same', async t => {
	const folder = await tempDir(t);
	for (const partBytes of [undefined, 3000]) {
		const file = join(folder, `${partBytes ?? 'one'}.tar`);
		const made = first();
		const part = partBytes === undefined ? {} : {partBytes};
		made.files.breakAfter = {bytes: 6000, error: new MirrorError('cut')};
		await t.throwsAsync(writeTar(file, new TestWrite(made, part)), {message: 'cut'});
		const {served} = made.files;
		made.files.breakAfter = undefined;
		const write = new TestWrite(made, part);
		const {keptBytes} = await writeTar(file, write);
		t.is(keptBytes, served);
		t.is(made.files.served, 8000);
		t.deepEqual(write.said, []);
		t.is(write.done, write.total);
		sameBytes(t, await bytesOf(file), await streamed(first()));
	}
	const file = join(folder, 'anew.tar');
	const made = first();
	made.files.breakAfter = {bytes: 6000, error: new MirrorError('cut')};
	await t.throwsAsync(writeTar(file, new TestWrite(made, {partBytes: 2000})), {message: 'cut'});
	const write = new TestWrite(second());
	await writeTar(file, write);
	t.deepEqual(write.said, ['what an earlier export began there is of other images, or in other parts: it begins anew']);
	sameBytes(t, await bytesOf(file), await streamed(second()));
	t.deepEqual(
		(await readdir(folder)).filter(name => name.startsWith('anew')),
		['anew.tar'],
	);
});

test('killed at any operation, or at the loss of power, again and again: the result is the same to the last byte', async t => {
	const folder = await tempDir(t);
	const [a, b] = [first(), second()];
	const golden = await streamed(first());
	let run = 0;
	let kills = 0;
	await fc.assert(
		fc.asyncProperty(
			fc.constantFrom(undefined, 700, 4096, 15_000),
			fc.array(
				fc.record({
					killAt: fc.integer({min: 1, max: 90}),
					powerGoes: fc.boolean(),
					changed: fc.integer({min: 0, max: 6}).map(chance => chance === 0),
					otherParts: fc.integer({min: 0, max: 8}).map(chance => chance === 0),
					damaged: fc.option(fc.record({file: fc.nat(), at: fc.nat()}), {freq: 3}),
				}),
				{minLength: 1, maxLength: 5},
			),
			async (partBytes, attempts) => {
				const below = join(folder, `run-${run++}`);
				const file = join(below, 'x.tar');
				await mkdir(below);
				const writeOf = (made: Made, bytes: number | undefined): TestWrite =>
					new TestWrite(made, {replace: true, ...(bytes === undefined ? {} : {partBytes: bytes})});
				for (const {killAt, powerGoes, changed, otherParts, damaged} of attempts) {
					const write = writeOf(changed ? b : a, otherParts ? 2048 : partBytes);
					write.disk.killAt = killAt;
					write.disk.powerGoes = powerGoes;
					try {
						await writeTar(file, write);
					} catch (error) {
						if (!(error instanceof Killed)) {
							throw error;
						}
						kills++;
					}
					const files = [...(await treeOf(below))].filter(([, bytes]) => bytes.length > 0);
					const [path, bytes] = files[(damaged?.file ?? 0) % Math.max(1, files.length)] ?? [];
					if (damaged !== null && path !== undefined && bytes !== undefined) {
						const at = damaged.at % bytes.length;
						bytes[at] = (bytes[at] ?? 0) ^ 1;
						await writeFile(join(below, path), bytes);
					}
				}
				const {paths} = await writeTar(file, writeOf(a, partBytes));
				const right =
					(await bytesOf(file)).equals(golden) &&
					(await readdir(below)).sort().join() === paths.map(path => path.slice(below.length + 1)).join();
				await rm(below, {recursive: true});
				return right;
			},
		),
		{numRuns: 50},
	);
	t.true(kills > 30);
});

test('killed at every single operation: the same plan goes on without being told to replace anything', async t => {
	const folder = await tempDir(t);
	const golden = await streamed(first());
	for (const partBytes of [undefined, 4000]) {
		const made = first();
		const part = partBytes === undefined ? {} : {partBytes};
		for (let killAt = 1, killed = true; killed; killAt++) {
			const below = join(folder, `${partBytes ?? 'one'}-${killAt}`);
			await mkdir(below);
			const file = join(below, 'x.tar');
			const write = new TestWrite(made, part);
			write.disk.killAt = killAt;
			killed = await writeTar(file, write).then(
				() => false,
				(error: unknown) => error instanceof Killed,
			);
			const journal = (await readdir(below)).includes('x.tar.part.json');
			if (killed && (journal || killAt < 30)) {
				const {paths} = await writeTar(file, new TestWrite(made, part));
				t.is((await readdir(below)).length, paths.length, `killed at ${killAt}`);
			} else {
				// Killed when all was done: that is a tar like any other.
				t.true(killAt > 30);
			}
			t.true((await bytesOf(file)).equals(golden), `killed at ${killAt}`);
		}
	}
});

test('a tar never has its name before it is whole, and the old one is there until then', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'x.tar');
	const [before, after] = [await streamed(second()), await streamed(first())];
	for (let killAt = 1, killed = true; killed; killAt++) {
		await writeFile(file, before);
		const write = new TestWrite(first(), {replace: true});
		write.disk.killAt = killAt;
		killed = await writeTar(file, write).then(
			() => false,
			() => true,
		);
		const found = await readFile(file);
		t.true(found.equals(killed ? before : after) || found.equals(after), `killed at ${killAt}`);
	}
	t.deepEqual(await readdir(folder), ['x.tar']);
});

test('bytes that have been damaged meanwhile are fetched anew, and what follows them is kept', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'x.tar');
	const made = first();
	made.files.breakAfter = {bytes: 7000, error: new MirrorError('cut')};
	await t.throwsAsync(writeTar(file, new TestWrite(made)), {message: 'cut'});
	const part = await open(`${file}.part`, 'r+');
	const tar = await streamed(first());
	const at = tar.indexOf(base.bytes);
	await part.write(Buffer.from([(base.bytes[40] ?? 0) ^ 255]), 0, 1, at + 40);
	await part.write(Buffer.from('X'), 0, 1, 3);
	await part.close();
	made.files.breakAfter = undefined;
	made.files.asked.length = 0;
	const write = new TestWrite(made);
	await writeTar(file, write);
	t.is(made.files.asked[0], `${base.uuid} 0`);
	t.not(made.files.asked[1], `${child.uuid} 0`);
	t.is(made.files.asked.length, 2);
	t.is(write.done, write.total);
	sameBytes(t, await readFile(file), tar);
});

test('what is called so already stays, unless it may be replaced', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'x.tar');
	const disk = new TestDisk();
	await writeTar(file, new TestWrite(second(), {partBytes: 3000}));
	const count = (await readdir(folder)).length;
	t.true(count > 3);
	const error = await t.throwsAsync(checkTar(disk, file, {replace: false}), {instanceOf: ThereAlreadyError});
	t.regex(error.message, /x\.tar\.001 is there already: --replace replaces it$/);
	await t.throwsAsync(writeTar(file, new TestWrite(first())), {instanceOf: ThereAlreadyError});
	t.is((await readdir(folder)).length, count);
	await writeFile(join(folder, 'x.tar.sha256'), 'mine');
	await writeFile(join(folder, 'x.tar.1'), 'mine');
	// Fewer parts than before: what is left over would be read as part of it.
	await writeTar(file, new TestWrite(first(), {replace: true, partBytes: 15_000}));
	t.deepEqual((await readdir(folder)).sort(), ['x.tar.001', 'x.tar.002', 'x.tar.1', 'x.tar.sha256'].sort());
	await rm(join(folder, 'x.tar.1'));
	await rm(join(folder, 'x.tar.sha256'));
	sameBytes(t, await bytesOf(file), await streamed(first()));
	await writeTar(file, new TestWrite(first(), {replace: true}));
	t.deepEqual(await readdir(folder), ['x.tar']);
	await t.throwsAsync(writeTar(file, new TestWrite(first())), {message: /x\.tar is there already/});
	await t.throwsAsync(checkTar(disk, join(folder, 'no', 'x.tar'), {replace: true}), {
		message: /^there is no folder .*no to write the tar to$/,
	});
});

test('a partial file that nobody knows of stays, unless it may be replaced', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'x.tar');
	await writeFile(`${file}.part`, "somebody's");
	await t.throwsAsync(writeTar(file, new TestWrite(first())), {message: /x\.tar\.part is there already/});
	await writeFile(`${file}.part.json`, '{"etag": 5}');
	await t.throwsAsync(writeTar(file, new TestWrite(first())), {message: /x\.tar\.part is there already/});
	t.is(await readFile(`${file}.part`, 'utf8'), "somebody's");
	await writeTar(file, new TestWrite(first(), {replace: true}));
	t.deepEqual(await readdir(folder), ['x.tar']);
	await rm(file);
	await mkdir(`${file}.part`);
	await t.throwsAsync(writeTar(file, new TestWrite(first(), {replace: true})), {message: /x\.tar\.part/});
});

test('an export that ended while its files got their names is a tar like any other for the next', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'x.tar');
	const tar = await streamed(second());
	const journal = {etag: second().plan.etag, size: tar.length, bytes: tar.length, naming: true};
	await writeFile(file, tar);
	await writeFile(`${file}.part.json`, JSON.stringify(journal));
	await t.throwsAsync(writeTar(file, new TestWrite(first())), {instanceOf: ThereAlreadyError});
	t.deepEqual(await readdir(folder), ['x.tar']);
	sameBytes(t, await readFile(file), tar);
	// Half of them had: nobody can use that, so it may go.
	await rm(file);
	await writeFile(`${file}.001`, tar.subarray(0, 9000));
	await writeFile(`${file}.002.part`, tar.subarray(9000));
	await writeFile(`${file}.part.json`, JSON.stringify({...journal, partBytes: 9000}));
	const write = new TestWrite(first());
	await writeTar(file, write);
	t.is(write.said.length, 1);
	t.deepEqual(await readdir(folder), ['x.tar']);
	// One that somebody has carried off before its export was done with it.
	await writeFile(`${file}.part.json`, JSON.stringify({...journal, etag: first().plan.etag}));
	await rename(file, join(folder, 'mine.tar'));
	await writeTar(file, new TestWrite(first()));
	sameBytes(t, await readFile(file), await readFile(join(folder, 'mine.tar')));
});

test('room is looked for before anything is written, and what is there counts', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'x.tar');
	const made = first();
	const write = new TestWrite(made);
	write.disk.roomIs = {freeBytes: 10_000, blockBytes: 512, isFat: false};
	const error = await t.throwsAsync(writeTar(file, write), {instanceOf: LacksRoomError});
	t.is(error.folder, folder);
	t.is(error.neededBytes, (await streamed(first())).length);
	t.deepEqual(await readdir(folder), []);
	made.files.served = 0;
	made.files.breakAfter = {bytes: 6000, error: new MirrorError('cut')};
	await t.throwsAsync(writeTar(file, new TestWrite(made)), {message: 'cut'});
	made.files.breakAfter = undefined;
	await t.notThrowsAsync(writeTar(file, write));
});

test('what FAT cannot hold is said at once', async t => {
	const folder = await tempDir(t);
	const bundle = makeBundle({images: [base]});
	const events = eventsOf(bundle, [base]).map(event =>
		event.what === 'image'
			? {...event, blobs: event.blobs.map(one => (one.file === undefined ? one : {...one, size: 2 ** 33}))}
			: event,
	);
	const write = new TestWrite({plan: planOf(events), files: new TestFiles([base])});
	write.disk.roomIs = {freeBytes: 1e12, blockBytes: 512, isFat: true};
	await t.throwsAsync(writeTar(join(folder, 'x.tar'), write), {
		message: /is FAT, which takes no files of 4 GiB and more: write it in parts, --split fat$/,
	});
	t.deepEqual(await readdir(folder), []);
	write.partBytes = largestFatFile;
	// There it is asked for, and the server has less than it said.
	await t.throwsAsync(writeTar(join(folder, 'x.tar'), write), {message: /ends after 5000 of 8589934592 bytes/});
	t.deepEqual((await readdir(folder)).sort(), ['x.tar.001.part', 'x.tar.part.json']);
});

test('a disk that is full ends it with what is there to go on with', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'x.tar');
	const made = first();
	const write = new TestWrite(made);
	let writes = 0;
	write.disk.refuse = (operation, path) =>
		operation === 'write' && !path.endsWith('.new') && ++writes > 9
			? diskError(path, Object.assign(new Error('x'), {code: 'ENOSPC'}))
			: undefined;
	await t.throwsAsync(writeTar(file, write), {instanceOf: NoSpaceError});
	const {served} = made.files;
	t.true(served > 2000);
	await writeTar(file, new TestWrite(made));
	t.true(made.files.served <= 8000 + made.files.pieceBytes);
	sameBytes(t, await readFile(file), await streamed(first()));
});

test('what is on a disk that took no journal any more is written over, and needs no room twice', async t => {
	for (const partBytes of [undefined, 3000]) {
		const folder = await tempDir(t);
		const file = join(folder, 'x.tar');
		const made = first();
		const write = new TestWrite(made);
		write.partBytes = partBytes;
		let writes = 0;
		write.disk.refuse = operation =>
			operation === 'write' && ++writes > 9
				? diskError(file, Object.assign(new Error('x'), {code: 'ENOSPC'}))
				: undefined;
		await t.throwsAsync(writeTar(file, write), {instanceOf: NoSpaceError});
		const parts = (await readdir(folder)).filter(name => name.endsWith('.part'));
		const sizes = await Promise.all(parts.map(async name => (await stat(join(folder, name))).size));
		const there = sizes.reduce((sum, size) => sum + size, 0);
		t.true(there > 2000);
		const whole = await streamed(first());
		const again = new TestWrite(made);
		again.partBytes = partBytes;
		again.disk.roomIs = {freeBytes: whole.length - there - 1, blockBytes: 512, isFat: false};
		await t.throwsAsync(writeTar(file, again), {instanceOf: LacksRoomError});
		again.disk.roomIs = {freeBytes: whole.length - there, blockBytes: 512, isFat: false};
		await writeTar(file, again);
		sameBytes(t, await bytesOf(file), whole);
		t.false((await readdir(folder)).some(name => name.includes('part')));
	}
});

test('a pipe gets the tar, and never all of a file that is wrong', async t => {
	const made = first();
	const tar = await streamed(made);
	for (const [spoil, words] of [
		[(bytes: Buffer) => Buffer.concat([bytes.subarray(0, -1), Buffer.from('x')]), /its digest is another/],
		[(bytes: Buffer) => bytes.subarray(0, -1), /ends after 4999 of 5000 bytes/],
		[(bytes: Buffer) => Buffer.concat([bytes, Buffer.from('x')]), /has more bytes/],
	] as const) {
		made.files.spoil = spoil;
		const chunks: Buffer[] = [];
		await t.throwsAsync(
			streamTar(async bytes => void chunks.push(Buffer.from(bytes)), new TestWrite(made)),
			{instanceOf: IntegrityError, message: words},
		);
		const end = tar.indexOf(base.bytes.subarray(0, 100)) + base.bytes.length;
		t.true(Buffer.concat(chunks).length < end);
	}
	made.files.spoil = bytes => bytes;
	const write = new TestWrite(made);
	let count = 0;
	await t.throwsAsync(
		streamTar(async () => {
			if (++count === 5) {
				write.controller.abort(new MirrorError('stopped'));
			}
		}, write),
		{message: 'stopped'},
	);
	t.is(count, 5);
	await t.throwsAsync(
		streamTar(() => Promise.reject(new MirrorError('gone')), new TestWrite(made)),
		{message: 'gone'},
	);
});

// Alone: what the others hold would be counted as well.
test.serial('ten thousand images, and a large one, are written in flat memory', async t => {
	const megabytes = 160;
	const piece = Buffer.alloc(1_048_576, 7);
	const hash = createHash('sha256');
	for (let index = 0; index < megabytes; index++) {
		hash.update(piece);
	}
	const large = {digest: `sha256:${hash.digest('hex')}`, size: megabytes * piece.length};
	setFlagsFromString('--expose-gc');
	const collect = runInNewContext('gc') as () => void;
	const held = (): number => {
		// Buffers that the first finds are let go of by another thread; the next begins by waiting for it.
		collect();
		collect();
		const {heapUsed, arrayBuffers} = process.memoryUsage();
		return heapUsed + arrayBuffers;
	};
	const before = held();
	const files = {
		fetch: async () =>
			(async function* () {
				for (let index = 0; index < megabytes; index++) {
					yield piece;
				}
			})(),
	};
	const text = JSON.stringify({description: 'x'.repeat(4000)});
	const events = (function* () {
		for (let index = 0; index < 10_000; index++) {
			const uuid = `01b2c898-945f-41e1-a523-${index.toString(16).padStart(12, '0')}`;
			const blobs = [`{"manifest":"${uuid}"}`, text.replace('{', `{"uuid":"${uuid}",`)].map(one => ({
				digest: `sha256:${createHash('sha256').update(one).digest('hex')}`,
				size: one.length,
				text: one,
			}));
			yield {what: 'image' as const, uuid, name: 'x', version: '1', bytes: 0, filesLeftOut: false, blobs};
		}
		const file = {uuid: base.uuid, index: 0, sha1: base.sha1};
		const one = {uuid: base.uuid, name: 'y', version: '1', bytes: large.size, filesLeftOut: false};
		yield {what: 'image' as const, ...one, blobs: [{...large, file}]};
		yield {what: 'index' as const, text: '{}'};
	})();
	const write = new TestWrite({plan: planOf(events), files: files as unknown as TestFiles});
	t.is(write.plan.entries.length, 20_003);
	// All texts together are forty megabytes.
	const planned = held() - before;
	t.true(planned < 20e6, `${planned} bytes more than before`);
	let bytes = 0;
	let most = 0;
	let looked = 0;
	await streamTar(async chunk => {
		bytes += chunk.length;
		if (bytes - looked > 20e6) {
			looked = bytes;
			most = Math.max(most, held() - before);
		}
	}, write);
	t.is(bytes, write.total);
	t.true(bytes > large.size + 40e6);
	t.true(most < 30e6, `${most} bytes more than before`);
});
