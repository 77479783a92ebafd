import {execFile} from 'node:child_process';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {TarFile} from '../../src/airgap/api.js';
import {datasetPath, manifestFromAny} from '../../src/image/dataset.js';
import {parseManifest} from '../../src/image/manifest.js';
import {InvalidParameterError, MirrorError, NotFoundError} from '../../src/errors.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {id} from './fake-carry-out.js';
import {bytesOf, startExporter} from './start-exporter.js';

const run = promisify(execFile);

async function unpacked(t: ExecutionContext, tar: TarFile): Promise<ReadonlyMap<string, Buffer>> {
	const folder = await tempDir(t);
	const bytes = await bytesOf(tar);
	t.is(bytes.length, tar.size);
	await writeFile(join(folder, 'image.tar'), bytes);
	await run('tar', ['-xf', 'image.tar'], {cwd: folder});
	const names = (await readdir(folder)).filter(name => name !== 'image.tar').sort();
	return new Map(await Promise.all(names.map(async name => [name, await readFile(join(folder, name))] as const)));
}

test('an image goes as two manifests and its file, as dsapid has them', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	await carry.add(1, {name: 'base', version: '14.2.0', files: [5000]});
	const tar = await exporter.exportForDsapid(id(1), ask);
	t.is(tar.fileName, 'base-14.2.0.tar');
	t.regex(tar.etag, /^[0-9a-f]{64}$/u);
	t.deepEqual(carry.held, [carry.fileOf(1).sha1]);
	const files = await unpacked(t, tar);
	tar.close();
	t.deepEqual(
		[...files.keys()],
		['base-14.2.0-dsapi.dsmanifest', 'base-14.2.0-imgapi.dsmanifest', 'base-14.2.0.zfs.gz'],
	);
	sameBytes(t, files.get('base-14.2.0.zfs.gz'), carry.fileOf(1).bytes);
	t.is(files.get('base-14.2.0-imgapi.dsmanifest')?.toString(), carry.textOf(1));
	const dataset = files.get('base-14.2.0-dsapi.dsmanifest')?.toString() ?? '';
	t.like(JSON.parse(dataset), {
		...{uuid: id(1), urn: 'sdc:us:base:14.2.0', creator_name: 'us'},
		files: [{path: 'base-14.2.0.zfs.gz', url: `/datasets/${id(1)}/base-14.2.0.zfs.gz`}],
	});
	t.is(manifestFromAny(dataset).files[0]?.sha1, carry.fileOf(1).sha1);
	t.deepEqual(carry.held, []);
});

test('what is not here is fetched first, and further files have names of their own', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	await carry.add(1, {name: 'vm', type: 'zvol', files: [10, 20], compression: 'none', here: false, saysSha1: false});
	const files = await unpacked(t, await exporter.exportForDsapid(id(1), ask));
	t.deepEqual(carry.fetched, [id(1)]);
	t.deepEqual(
		[...files].filter(([name]) => name.endsWith('.zvol')).map(([name, {length}]) => [name, length]),
		[
			['vm-1.0.0-1.zvol', 20],
			['vm-1.0.0.zvol', 10],
		],
	);
});

test('names that no header could take are made safe', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	const name = `../ü"\\:${'x'.repeat(300)}`;
	await carry.add(1, {name, version: '1'});
	const tar = await exporter.exportForDsapid(id(1), ask);
	t.regex(tar.fileName, /^\.\.-----x+\.tar$/u);
	const files = await unpacked(t, tar);
	t.is(files.size, 3);
	for (const path of files.keys()) {
		t.true(path.length <= 100, path);
		t.regex(path, /^\.\.-----x+(?:\.zfs\.gz|-(?:dsapi|imgapi)\.dsmanifest)$/u);
	}
	t.true(datasetPath(parseManifest(carry.textOf(1)), 0).length > 100);
});

test('the same image makes the same tar', async t => {
	const tars = await Promise.all(
		[true, false].map(async here => {
			const {carry, exporter, ask} = await startExporter(t);
			await carry.add(1, {here});
			return exporter.exportForDsapid(id(1), ask);
		}),
	);
	t.is(tars[0]?.etag, tars[1]?.etag);
	t.is(tars[0]?.size, tars[1]?.size);
});

test('what is no image, or cannot go, is refused, and nothing is held', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	await carry.add(1, {here: false});
	await carry.add(2, {state: 'unactivated'});
	carry.fetchMishaps.set(id(1), new MirrorError('it will not come'));
	await t.throwsAsync(exporter.exportForDsapid(id(9), ask), {instanceOf: NotFoundError});
	await t.throwsAsync(exporter.exportForDsapid('no uuid', ask), {instanceOf: InvalidParameterError});
	await t.throwsAsync(exporter.exportForDsapid(id(2), ask), {instanceOf: InvalidParameterError});
	await t.throwsAsync(exporter.exportForDsapid(id(1), ask), {message: 'it will not come'});
	carry.fetch = () => Promise.resolve();
	await t.throwsAsync(exporter.exportForDsapid(id(1), ask), {message: /was here, and has gone/u});
	t.deepEqual(carry.held, []);
});
