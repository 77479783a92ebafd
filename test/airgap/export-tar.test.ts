import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import type {ExportRequest} from '../../src/airgap/api.js';
import {checkBundle} from '../../src/airgap/check-bundle.js';
import {openBundle} from '../../src/airgap/open-bundle.js';
import {VirtualTar, type TarContent} from '../../src/airgap/export-tar.js';
import {IntegrityError, MirrorError} from '../../src/errors.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeCarryOut, id} from './fake-carry-out.js';
import {all, bytesOf, startExporter} from './start-exporter.js';

const run = promisify(execFile);
const icon = {bytes: Buffer.from('a picture'), contentType: 'image/png'};
const never = new AbortController().signal;

function madeOf(carry: FakeCarryOut, items: readonly TarContent[]): Promise<VirtualTar> {
	return VirtualTar.of(items, {carry, etag: 'x', fileName: 'x.tar', close: () => undefined});
}

function known(path: string, bytes: Buffer): TarContent {
	return {path, size: bytes.length, content: {bytes: () => bytes}};
}

test('a bundle streams as a tar that tar unpacks to an OCI image layout', async t => {
	const started = await startExporter(t);
	const {carry, exporter, ask} = started;
	started.signature = 'signed';
	await carry.add(1, {files: [3_000_000], icon});
	await carry.add(2, {files: [0], origin: 1});
	const tar = await exporter.export({origins: true, selection: {uuids: [id(2)]}}, ask);
	const bytes = await bytesOf(tar);
	t.is(bytes.length, tar.size);
	sameBytes(t, bytes.subarray(-1024), Buffer.alloc(1024));

	const folder = await tempDir(t);
	await writeFile(join(folder, 'x.tar'), bytes);
	await mkdir(join(folder, 'out'));
	await run('tar', ['-xf', '../x.tar'], {cwd: join(folder, 'out')});
	const list = (await run('tar', ['-tf', 'x.tar'], {cwd: folder})).stdout.trim().split('\n');
	t.deepEqual(list.slice(0, 3), ['oci-layout', 'index.json', 'index.json.sig']);
	const index = await readFile(join(folder, 'out', 'index.json'));
	const name = createHash('sha256').update(index).digest('hex').slice(0, 12);
	t.is(tar.fileName, `imgmirror-${name}.tar`);
	t.is(await readFile(join(folder, 'out', 'index.json.sig'), 'utf8'), 'signed');
	for (const path of list.slice(3)) {
		const blob = await readFile(join(folder, 'out', path));
		t.is(path, `blobs/sha256/${createHash('sha256').update(blob).digest('hex')}`);
	}
	t.is(list.length, 3 + 4 + 3);
	t.true(list.includes(`blobs/sha256/${createHash('sha256').update(carry.fileOf(1).bytes).digest('hex')}`));
	t.is(carry.opened, 0);
	tar.close();
});

test('a tar of ours is right in the eyes of those who check bundles, a delta as well', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	await carry.add(1, {files: [5000, 200], icon, saysSha1: false});
	await carry.add(2, {files: [], origin: 1});
	await carry.add(3, {files: [5000], compression: 'xz', origin: 2, state: 'disabled'});
	const have = await exporter.have();
	carry.setText(3, carry.textOf(3).replace('"os"', '"description": "new words", "os"'));
	const check = async (request: Partial<ExportRequest>): Promise<readonly string[]> => {
		const tar = await exporter.export({origins: true, all: true, ...request}, ask);
		const path = join(await tempDir(t), tar.fileName);
		await writeFile(path, await bytesOf(tar));
		tar.close();
		const files = await openBundle([path], {
			signal: never,
			spool() {
				throw new Error('nothing comes too early');
			},
		});
		const events = await all(checkBundle(files, {deep: true, signal: never}));
		await files.close();
		return events.flatMap(event => (event.what === 'image' ? `${event.image.name} ${event.image.outcome}` : []));
	};
	t.deepEqual(await check({}), ['image-1 right', 'image-2 right', 'image-3 right']);
	t.deepEqual(await check({have}), ['image-3 left-out']);
});

test('the same images make the same tar, and its etag says so', async t => {
	const tars = await Promise.all(
		[
			{order: [1, 2, 3], here: true, signature: undefined},
			{order: [3, 1, 2], here: false, signature: undefined},
			{order: [3, 1, 2], here: false, signature: 'signed'},
		].map(async ({order, here, signature}) => {
			const started = await startExporter(t);
			started.signature = signature;
			for (const number of order) {
				await started.carry.add(number, {here, ...(number === 1 ? {origin: 3} : {})});
			}
			const selection = {uuids: order.map(number => id(number))};
			const tar = await started.exporter.export({origins: true, selection}, started.ask);
			return {tar, bytes: await bytesOf(tar)};
		}),
	);
	const [first, second, signed] = tars;
	sameBytes(t, first?.bytes, second?.bytes);
	t.is(first?.tar.etag, second?.tar.etag);
	t.is(first?.tar.fileName, second?.tar.fileName);
	t.is(first?.tar.fileName, signed?.tar.fileName);
	t.not(first?.tar.etag, signed?.tar.etag);
	t.notDeepEqual(first?.bytes, signed?.bytes);
});

test('property: every part of a tar is that part of the whole', async t => {
	const carry = new FakeCarryOut(await tempDir(t));
	await carry.add(1, {files: [1_300_000]});
	await carry.add(2, {files: [512]});
	await carry.add(3, {files: [0]});
	const items: readonly TarContent[] = [
		known('first', Buffer.from('hello')),
		known('empty', Buffer.alloc(0)),
		...[1, 2, 3].map(number => {
			const {sha1, bytes} = carry.fileOf(number);
			return {path: `file-${number}`, size: bytes.length, content: {sha1}};
		}),
		known('even', pseudoRandom(1024, 1)),
		known('large', pseudoRandom(300_000, 2)),
	];
	const tar = await madeOf(carry, items);
	const whole = await bytesOf(tar);
	t.is(whole.length, tar.size);
	t.is(whole.length % 512, 0);
	const edges = [0, 5, 511, 512, 513, 1024, 1536, tar.size - 1024, tar.size - 1, tar.size];
	const place = fc.oneof(fc.constantFrom(...edges), fc.nat(4096), fc.nat(tar.size));
	await fc.assert(
		fc.asyncProperty(place, place, async (one, other) => {
			const [start, end] = [Math.min(one, other), Math.max(one, other)];
			const part = await bytesOf(tar, start, end);
			t.is(Buffer.compare(part, whole.subarray(start, end)), 0, `${start}-${end}`);
		}),
		{numRuns: 400},
	);
	sameBytes(t, await bytesOf(tar, tar.size - 10, tar.size + 10), Buffer.alloc(10));
	t.is(carry.opened, 0);
});

test('small pieces go out together, and large ones as they are read', async t => {
	const carry = new FakeCarryOut(await tempDir(t));
	await carry.add(1, {files: [2_500_000]});
	const {sha1} = carry.fileOf(1);
	const small = Array.from({length: 1000}, (_, number) => known(`small-${number}`, Buffer.from(String(number))));
	const tar = await madeOf(carry, [...small, {path: 'large', size: 2_500_000, content: {sha1}}]);
	const pieces = await all(tar.read(0, tar.size, never));
	t.true(pieces.length < 15, String(pieces.length));
	t.true(pieces.every(({length}) => length <= 1_048_576));
});

test('a file that has gone, or is another now, breaks the tar off', async t => {
	const carry = new FakeCarryOut(await tempDir(t));
	await carry.add(1);
	await carry.add(2);
	const files = [1, 2].map(number => ({path: `f${number}`, size: 1000, content: {sha1: carry.fileOf(number).sha1}}));
	const tar = await madeOf(carry, files);
	await writeFile(carry.path(carry.fileOf(2).sha1), 'short');
	await t.throwsAsync(bytesOf(tar), {instanceOf: IntegrityError, message: /has 5 bytes now, and not 1000/u});
	await carry.lose(carry.fileOf(1).sha1);
	await t.throwsAsync(bytesOf(tar), {instanceOf: MirrorError, message: /was here, and has gone/u});
	t.is((await bytesOf(tar, 0, 512)).length, 512, 'what comes before it can still be had');
	t.is(carry.opened, 0);
});

test('a file that is cut while it is read breaks the tar off', async t => {
	const carry = new FakeCarryOut(await tempDir(t));
	await carry.add(1, {files: [3_000_000]});
	const {sha1} = carry.fileOf(1);
	const tar = await madeOf(carry, [{path: 'file', size: 3_000_000, content: {sha1}}]);
	const pieces = tar.read(0, tar.size, never);
	await pieces.next();
	await pieces.next();
	await writeFile(carry.path(sha1), 'cut');
	await t.throwsAsync(all(pieces), {instanceOf: IntegrityError, message: /ended \d+ bytes early/u});
	t.is(carry.opened, 0);
});

test('whoever leaves in the middle leaves no file open', async t => {
	const carry = new FakeCarryOut(await tempDir(t));
	await carry.add(1, {files: [3_000_000]});
	const tar = await madeOf(carry, [{path: 'file', size: 3_000_000, content: {sha1: carry.fileOf(1).sha1}}]);
	for await (const piece of tar.read(0, tar.size, never)) {
		t.true(piece.length > 0);
		t.is(carry.opened, 1);
		break;
	}
	t.is(carry.opened, 0);
	const stop = new AbortController();
	const pieces = tar.read(0, tar.size, stop.signal);
	await pieces.next();
	stop.abort(new Error('gone'));
	await t.throwsAsync(all(pieces), {message: 'gone'});
	t.is(carry.opened, 0);
});
