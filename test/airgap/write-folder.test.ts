/**
 * Bundles written as folders: right at last, whatever happened on the way.
 */
import {mkdir, open, readFile, readdir, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {IntegrityError, MirrorError, NoSpaceError} from '../../src/errors.js';
import {diskError} from '../../src/airgap/disk.js';
import {checkFolder, writeFolder} from '../../src/airgap/write-folder.js';
import {LacksRoomError, ThereAlreadyError} from '../../src/airgap/write-options.js';
import {makeImage} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {
	Killed,
	TestDisk,
	TestFiles,
	TestWrite,
	difference,
	makePlan,
	planOf,
	treeOf,
	eventsOf,
	type Made,
} from './write-bench.js';
import {makeBundle} from './make-bundle.js';

const icon = Buffer.from('89504e470d0a1a0a00ff', 'hex');
const base = makeImage({size: 5000, name: 'base', seed: 1});
const child = makeImage({size: 3000, name: 'child', origin: base, icon, seed: 2});
const other = makeImage({size: 4000, name: 'other', icon, seed: 3});
const sign = (): string => '-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n';

const first = (): Made => makePlan({images: [base, child], sign});
const second = (): Made => makePlan({images: [base, other]});

const blob = ({bundle}: Made, index = 0): string => bundle.image(index).file ?? '';

async function flip(file: string, at: number): Promise<void> {
	const handle = await open(file, 'r+');
	const byte = Buffer.alloc(1);
	await handle.read(byte, 0, 1, at);
	byte[0] = (byte[0] ?? 0) ^ 1;
	await handle.write(byte, 0, 1, at);
	await handle.close();
}

test('a folder has every file of the bundle, and nothing else', async t => {
	const folder = join(await tempDir(t), 'bundle');
	const made = first();
	const write = new TestWrite(made);
	t.is(await writeFolder(folder, write), 0);
	t.is(difference(await treeOf(folder), made.bundle.files), '');
	t.is(write.done, write.total);
	t.is(write.total, made.plan.bytes);
	t.is(made.files.served, 8000);
	t.is(made.plan.files, 2);
	t.is(made.plan.signedBy, 'SHA256:test');
});

test('what is there already is neither fetched nor written again', async t => {
	const folder = await tempDir(t);
	await writeFolder(folder, new TestWrite(first()));
	const again = first();
	const write = new TestWrite(again);
	t.true((await writeFolder(folder, write)) > 8000);
	t.is(again.files.served, 0);
	t.is(write.done, write.total);
	t.is(difference(await treeOf(folder), again.bundle.files), '');
});

test('an interrupted run is gone on with where it was', async t => {
	const folder = join(await tempDir(t), 'bundle');
	const made = first();
	made.files.breakAfter = {bytes: 6000, error: new MirrorError('the line is cut')};
	await t.throwsAsync(writeFolder(folder, new TestWrite(made)), {message: 'the line is cut'});
	t.is(await checkFolder(new TestDisk(), folder), 'unfinished');
	const served = made.files.served;
	made.files.breakAfter = undefined;
	t.true((await writeFolder(folder, new TestWrite(made))) >= served);
	t.is(made.files.served, 8000);
	t.deepEqual(made.files.asked, [`${base.uuid} 0`, `${child.uuid} 0`, `${child.uuid} ${served - 5000}`]);
	t.is(difference(await treeOf(folder), made.bundle.files), '');
});

test('bytes that have been damaged meanwhile are fetched anew, whether the blob was whole or not', async t => {
	const folder = join(await tempDir(t), 'bundle');
	const made = first();
	made.files.breakAfter = {bytes: 7000, error: new MirrorError('cut')};
	await t.throwsAsync(writeFolder(folder, new TestWrite(made)), {message: 'cut'});
	await flip(join(folder, blob(made, 0)), 4321);
	await flip(join(folder, `${blob(made, 1)}.part`), 17);
	await flip(join(folder, made.bundle.image(0).config), 5);
	made.files.breakAfter = undefined;
	const write = new TestWrite(made);
	await writeFolder(folder, write);
	t.is(difference(await treeOf(folder), made.bundle.files), '');
	t.is(write.done, write.total);
});

test('a partial file that is longer than the file should be begins anew', async t => {
	const folder = await tempDir(t);
	const made = first();
	await mkdir(join(folder, 'blobs', 'sha256'), {recursive: true});
	await writeFile(join(folder, 'oci-layout'), made.bundle.bytes('oci-layout'));
	await writeFile(join(folder, `${blob(made)}.part`), Buffer.concat([base.bytes, Buffer.alloc(10)]));
	await writeFolder(folder, new TestWrite(made));
	t.is(difference(await treeOf(folder), made.bundle.files), '');
});

test('killed at any operation, or at the loss of power, again and again: the result is the same to the last byte', async t => {
	const folder = await tempDir(t);
	const [a, b] = [first(), second()];
	const measured = new TestWrite(a);
	await writeFolder(join(folder, 'golden'), measured);
	const all = measured.disk.steps;
	let run = 0;
	let kills = 0;
	await fc.assert(
		fc.asyncProperty(
			fc.array(
				fc.record({
					killAt: fc.integer({min: 1, max: all + 2}),
					powerGoes: fc.boolean(),
					changed: fc.integer({min: 0, max: 5}).map(chance => chance === 0),
					damaged: fc.option(fc.record({file: fc.nat(), at: fc.nat()}), {freq: 3}),
				}),
				{minLength: 1, maxLength: 5},
			),
			async attempts => {
				const bundle = join(folder, `run-${run++}`);
				for (const {killAt, powerGoes, changed, damaged} of attempts) {
					const write = new TestWrite(changed ? b : a, {replace: true});
					write.disk.killAt = killAt;
					write.disk.powerGoes = powerGoes;
					try {
						await writeFolder(bundle, write);
					} catch (error) {
						if (!(error instanceof Killed)) {
							throw error;
						}
						kills++;
					}
					const files = [...(await treeOf(bundle).catch(() => new Map<string, Buffer>()))].filter(
						([path, bytes]) => bytes.length > 0 && path.startsWith('blobs'),
					);
					const [path, bytes] = files[(damaged?.file ?? 0) % Math.max(1, files.length)] ?? [];
					if (damaged !== null && path !== undefined && bytes !== undefined) {
						await flip(join(bundle, path), damaged.at % bytes.length);
					}
				}
				await writeFolder(bundle, new TestWrite(a, {replace: true}));
				const found = difference(await treeOf(bundle), a.bundle.files);
				await rm(bundle, {recursive: true});
				return found === '';
			},
		),
		{numRuns: 60},
	);
	t.true(kills > 50);
});

test('killed at every single operation: the same plan goes on without being told to replace anything', async t => {
	const folder = await tempDir(t);
	const made = first();
	for (let killAt = 1; ; killAt++) {
		const bundle = join(folder, String(killAt));
		const write = new TestWrite(made);
		write.disk.killAt = killAt;
		const killed = await writeFolder(bundle, write).then(
			() => false,
			(error: unknown) => error instanceof Killed,
		);
		await writeFolder(bundle, new TestWrite(made));
		t.is(difference(await treeOf(bundle), made.bundle.files), '', `killed at ${killAt}`);
		if (!killed) {
			t.true(killAt > 40);
			break;
		}
	}
});

test('the index comes last: a folder that has one is whole', async t => {
	const folder = await tempDir(t);
	const made = first();
	const before = second();
	let indexed = 0;
	for (let killAt = 1, killed = true; killed; killAt += 2) {
		const bundle = join(folder, String(killAt));
		await writeFolder(bundle, new TestWrite(before));
		const write = new TestWrite(made, {replace: true});
		write.disk.killAt = killAt;
		killed = await writeFolder(bundle, write).then(
			() => false,
			() => true,
		);
		const tree = await treeOf(bundle);
		const index = tree.get('index.json');
		if (index !== undefined) {
			indexed++;
			const wanted = index.equals(made.bundle.index) ? made.bundle : before.bundle;
			for (const [path, bytes] of wanted.files) {
				t.true(tree.get(path)?.equals(bytes), `${path}, killed at ${killAt}`);
			}
			t.is(tree.has('index.json.sig'), wanted === made.bundle);
		}
		await rm(bundle, {recursive: true});
	}
	t.true(indexed > 0);
});

test('another bundle stays, unless it may be replaced; then nothing of it is left', async t => {
	const folder = await tempDir(t);
	const [a, b] = [first(), second()];
	await writeFolder(folder, new TestWrite(a));
	const error = await t.throwsAsync(writeFolder(folder, new TestWrite(b)), {instanceOf: ThereAlreadyError});
	t.regex(error.message, /holds another bundle: --replace replaces it$/);
	t.is(difference(await treeOf(folder), a.bundle.files), '');
	t.is(b.files.served, 0);
	await writeFile(join(folder, 'README'), 'mine');
	await writeFile(join(folder, 'blobs', 'sha256', 'notes.txt'), 'mine');
	await writeFolder(folder, new TestWrite(b, {replace: true}));
	// What base is made of was there.
	t.is(b.files.served, 4000);
	const extra = new Map([
		['README', Buffer.from('mine')],
		['blobs/sha256/notes.txt', Buffer.from('mine')],
	]);
	t.is(difference(await treeOf(folder), new Map([...b.bundle.files, ...extra])), '');
});

test('a signature that somebody has made by hand stays with its index, and only with it', async t => {
	const folder = await tempDir(t);
	const [a, b] = [makePlan({images: [base]}), second()];
	await writeFolder(folder, new TestWrite(a));
	await writeFile(join(folder, 'index.json.sig'), 'by hand');
	await writeFolder(folder, new TestWrite(a));
	t.is(await readFile(join(folder, 'index.json.sig'), 'utf8'), 'by hand');
	await writeFolder(folder, new TestWrite(b, {replace: true}));
	t.is(difference(await treeOf(folder), b.bundle.files), '');
});

test('a folder that is no bundle stays as it is', async t => {
	const folder = await tempDir(t);
	const disk = new TestDisk();
	await writeFile(join(folder, 'letter.txt'), 'dear');
	t.regex((await t.throwsAsync(checkFolder(disk, folder))).message, /is no bundle, and not empty: name a bundle/);
	await t.throwsAsync(writeFolder(folder, new TestWrite(first(), {replace: true})), {instanceOf: ThereAlreadyError});
	t.regex(
		(await t.throwsAsync(checkFolder(disk, join(folder, 'letter.txt')))).message,
		/is there already, and is no folder$/,
	);
	t.regex(
		(await t.throwsAsync(checkFolder(disk, join(folder, 'no', 'bundle')))).message,
		/there is no folder .*no to make bundle in$/,
	);
	t.is(await checkFolder(disk, join(folder, 'bundle')), 'absent');
	t.deepEqual([...(await treeOf(folder)).keys()], ['letter.txt']);
});

test('a link in the place of its blobs leads nowhere: nothing is written or cleared away behind it', async t => {
	for (const [name, parent] of [
		['blobs', '.'],
		['blobs/sha256', 'blobs'],
	] as const) {
		const folder = await tempDir(t);
		const elsewhere = await tempDir(t);
		await writeFile(join(elsewhere, '0'.repeat(64)), 'precious');
		await mkdir(join(folder, parent), {recursive: true});
		await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
		await symlink(elsewhere, join(folder, name));
		await t.throwsAsync(writeFolder(folder, new TestWrite(first(), {replace: true})), {
			instanceOf: ThereAlreadyError,
			message: `${join(folder, name)} is there already, and is no folder`,
		});
		t.deepEqual(await readdir(elsewhere), ['0'.repeat(64)]);
	}
});

test('what a stick has about it from the beginning is no matter', async t => {
	const folder = await tempDir(t);
	await mkdir(join(folder, 'lost+found'));
	await mkdir(join(folder, 'System Volume Information'));
	await writeFile(join(folder, '.hidden'), '');
	t.is(await checkFolder(new TestDisk(), folder), 'empty');
	const made = first();
	await writeFolder(folder, new TestWrite(made));
	t.is(await checkFolder(new TestDisk(), folder), 'bundle');
	t.is(difference(await treeOf(folder), new Map([...made.bundle.files, ['.hidden', Buffer.alloc(0)]])), '');
});

test('a server that gives other bytes than were planned is found out', async t => {
	const folder = join(await tempDir(t), 'bundle');
	const made = first();
	for (const [spoil, words] of [
		[(bytes: Buffer) => Buffer.alloc(bytes.length), /the file of image .*, as the server gives it, is not the one/],
		[(bytes: Buffer) => bytes.subarray(0, 4000), /ends after 4000 of 5000 bytes/],
		[(bytes: Buffer) => Buffer.concat([bytes, bytes]), /has more bytes than it should/],
	] as const) {
		made.files.spoil = spoil;
		await rm(folder, {recursive: true, force: true});
		const error = await t.throwsAsync(writeFolder(folder, new TestWrite(made)), {instanceOf: IntegrityError});
		t.regex(error.message, words);
		t.is(await checkFolder(new TestDisk(), folder), 'unfinished');
	}
	// What is left of them does not spoil what comes.
	made.files.spoil = bytes => bytes;
	await writeFolder(folder, new TestWrite(made));
	t.is(difference(await treeOf(folder), made.bundle.files), '');
});

test('room is looked for before anything is written, and what is there counts', async t => {
	const folder = join(await tempDir(t), 'bundle');
	const made = first();
	const write = new TestWrite(made);
	write.disk.roomIs = {freeBytes: 9000, blockBytes: 4096, isFat: false};
	const error = await t.throwsAsync(writeFolder(folder, write), {instanceOf: LacksRoomError});
	t.true(error instanceof NoSpaceError);
	t.is(error.freeBytes, 9000);
	// Two blocks and one for the files, and one for each of what is small.
	t.is(error.neededBytes, (2 + 1 + (made.plan.entries.length - 2)) * 4096);
	t.is(await checkFolder(write.disk, folder), 'absent');
	made.files.breakAfter = {bytes: 5000, error: new MirrorError('cut')};
	await t.throwsAsync(writeFolder(folder, new TestWrite(made)), {message: 'cut'});
	made.files.breakAfter = undefined;
	const rest = new TestWrite(made);
	rest.disk.roomIs = {...write.disk.roomIs, freeBytes: error.neededBytes - 3 * 4096};
	await writeFolder(folder, rest);
	const untold = new TestWrite(made);
	untold.disk.roomIs = undefined;
	await writeFolder(folder, untold);
	t.is(difference(await treeOf(folder), made.bundle.files), '');
});

test('what FAT cannot hold is said at once', async t => {
	const folder = join(await tempDir(t), 'bundle');
	const bundle = makeBundle({images: [base]});
	const big = 2 ** 32;
	const events = eventsOf(bundle, [base]).map(event =>
		event.what === 'image'
			? {...event, blobs: event.blobs.map(one => (one.file === undefined ? one : {...one, size: big}))}
			: event,
	);
	const write = new TestWrite({plan: planOf(events), files: new TestFiles([base])});
	write.disk.roomIs = {freeBytes: 1e12, blockBytes: 512, isFat: true};
	const error = await t.throwsAsync(writeFolder(folder, write));
	t.regex(
		error.message,
		/is FAT, which takes no files of 4 GiB and more: write a tar in parts, --to NAME.tar --split fat$/,
	);
	const blobs = Array.from({length: 9001}, (_, index) => ({
		digest: `sha256:${index.toString(16).padStart(64, '0')}`,
		size: 1,
		file: {uuid: base.uuid, index: 0, sha1: base.sha1},
	}));
	const many = planOf(events.map(event => (event.what === 'image' ? {...event, blobs} : event)));
	const second = new TestWrite({plan: many, files: new TestFiles([])});
	second.disk.roomIs = write.disk.roomIs;
	t.regex((await t.throwsAsync(writeFolder(folder, second))).message, /no room for the names of 9001 files/);
	t.is(await checkFolder(write.disk, folder), 'absent');
});

test('a disk that is full, or pulled out, ends it with what is there to go on with', async t => {
	const folder = join(await tempDir(t), 'bundle');
	const made = first();
	for (const [code, words] of [
		['ENOSPC', /^there is no room left for /],
		['EDQUOT', /^there is no room left for /],
		['EIO', /the disk fails \(was it pulled out\?\)$/],
		['EFBIG', /larger than its file system takes files \(FAT: less than 4 GiB\)$/],
		['EROFS', /the disk is read-only$/],
	] as const) {
		const write = new TestWrite(made);
		let writes = 0;
		write.disk.refuse = (operation, path) =>
			operation === 'write' && ++writes > 7 ? diskError(path, Object.assign(new Error('x'), {code})) : undefined;
		await rm(folder, {recursive: true, force: true});
		const error = await t.throwsAsync(writeFolder(folder, write), {instanceOf: MirrorError});
		t.regex(error.message, words);
		t.is(error instanceof NoSpaceError, code === 'ENOSPC' || code === 'EDQUOT');
	}
	await writeFolder(folder, new TestWrite(made));
	t.is(difference(await treeOf(folder), made.bundle.files), '');
});

test('it ends where it is told to', async t => {
	const folder = join(await tempDir(t), 'bundle');
	const made = first();
	const write = new TestWrite(made);
	made.files.onPiece = () => {
		if (made.files.served > 6000) {
			write.controller.abort(new MirrorError('stopped'));
		}
	};
	await t.throwsAsync(writeFolder(folder, write), {message: 'stopped'});
	t.true(made.files.served < 8000);
	await t.throwsAsync(writeFolder(folder, write), {message: 'stopped'});
	made.files.onPiece = () => undefined;
	await writeFolder(folder, new TestWrite(made));
	// The piece that was on its way is all that comes again.
	t.true(made.files.served <= 8000 + made.files.pieceBytes);
	t.is(difference(await treeOf(folder), made.bundle.files), '');
});
