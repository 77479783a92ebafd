/**
 * Bundles between the tools of others: skopeo carries each image into a registry and back into another layout.
 *
 * Both are Debian's own; the registry listens on this machine alone and keeps its files in a folder of the test.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {createInterface} from 'node:readline';
import test, {type ExecutionContext} from 'ava';
import {
	blobPath,
	checkConfig,
	digestOf,
	emptyLayerText,
	hexOf,
	indexText,
	layoutText,
	makeImage,
	parseImage,
	parseIndex,
	type IndexEntry,
} from '../../src/airgap/oci.js';
import {parseManifest} from '../../src/image/manifest.js';
import {makeImage as makeTestImage, type TestImage} from '../helpers/make-image.js';
import {has} from '../helpers/programs.js';
import {run} from '../helpers/run-command.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';

interface Layout {
	readonly folder: string;
	/** By the uuids of the images. */
	readonly entries: ReadonlyMap<string, IndexEntry>;
	/** What each image consists of, its OCI manifest first. */
	readonly blobs: ReadonlyMap<string, ReadonlyMap<string, Buffer>>;
}

const base = makeTestImage({state: 'disabled', name: 'base', description: 'Ä "base" of 50 % \u{1F600}'});
const middle = makeTestImage({origin: base, compression: 'bzip2', extra: {channels: ['dev', 'staging']}});
const top = makeTestImage({origin: middle, compression: 'xz', icon: Buffer.from('\u0089PNG and so on')});
const plain = makeTestImage({compression: 'none', type: 'zvol', os: 'linux'});
const bare = makeTestImage({extra: {files: []}});
const twins = makeTestImage({size: 3000});
const twoFiles = makeTestImage({
	bytes: twins.bytes,
	extra: {files: [1, 2].map(() => ({sha1: twins.sha1, size: twins.size, compression: 'gzip'}))},
});

async function writeLayout(t: Scope, images: readonly TestImage[]): Promise<Layout> {
	const folder = await tempDir(t);
	await mkdir(path.join(folder, 'blobs/sha256'), {recursive: true});
	const entries = new Map<string, IndexEntry>();
	const all = new Map<string, ReadonlyMap<string, Buffer>>();
	for (const image of images) {
		const text = image.pretty;
		const manifest = parseManifest(text);
		const {sha1, sha256, size} = image;
		const icon = image.icon === undefined ? undefined : {bytes: image.icon, contentType: 'image/png'};
		const made = makeImage({manifest, text, files: manifest.files.map(() => ({sha1, sha256, size})), icon});
		const parts = [
			...[made.manifestText, text].map(part => Buffer.from(part)),
			...(manifest.files.length === 0 ? [] : [image.bytes]),
			...(image.icon === undefined ? [] : [image.icon]),
			...(manifest.files.length === 0 && image.icon === undefined ? [Buffer.from(emptyLayerText)] : []),
		];
		const blobs = new Map(parts.map(part => [digestOf(part), part]));
		for (const [digest, bytes] of blobs) {
			await writeFile(path.join(folder, blobPath(digest)), bytes);
		}
		const {digest, size: bytes} = made;
		const {uuid, name, version} = manifest;
		entries.set(uuid, {digest, size: bytes, uuid, name, version, filesElsewhere: false});
		all.set(uuid, blobs);
	}
	await writeFile(path.join(folder, 'oci-layout'), layoutText);
	await writeFile(path.join(folder, 'index.json'), indexText([...entries.values()]));
	return {folder, entries, blobs: all};
}

/** `host:port` of a registry that ends with the test. */
async function startRegistry(t: Scope): Promise<string> {
	const folder = await tempDir(t);
	const config = path.join(folder, 'config.json');
	// JSON is YAML.
	await writeFile(
		config,
		JSON.stringify({
			version: 0.1,
			log: {level: 'info', formatter: 'json'},
			storage: {filesystem: {rootdirectory: path.join(folder, 'data')}, delete: {enabled: false}},
			http: {addr: '127.0.0.1:0'},
		}),
	);
	const child = spawn('docker-registry', ['serve', config], {stdio: ['ignore', 'ignore', 'pipe']});
	const ended = once(child, 'exit');
	t.teardown(async () => {
		child.kill('SIGKILL');
		await ended;
	});
	const said: string[] = [];
	for await (const line of createInterface(child.stderr)) {
		said.push(line);
		const address = /listening on (127\.0\.0\.1:\d+)/u.exec(line)?.[1];
		if (address !== undefined) {
			child.stderr.resume();
			return address;
		}
	}
	throw new Error(`the registry ended: ${said.join('\n')}`);
}

async function skopeo(t: ExecutionContext, args: readonly string[]): Promise<string> {
	const {code, stdout, stderr} = await run('skopeo', ['--insecure-policy', ...args]);
	t.is(code, 0, `skopeo ${args.join(' ')}: ${stderr}`);
	return stdout;
}

test('images go by skopeo into a registry and back, and are the same to the byte', async t => {
	if (!has(t, 'skopeo', 'docker-registry')) {
		return;
	}
	const images = [base, middle, top, plain, bare, twoFiles];
	const {folder, entries, blobs} = await writeLayout(t, images);
	const registry = await startRegistry(t);
	const back = await tempDir(t);
	for (const uuid of entries.keys()) {
		const there = `docker://${registry}/images/${uuid}:${uuid}`;
		await skopeo(t, ['copy', '--dest-tls-verify=false', `oci:${folder}:${uuid}`, there]);
		t.is(
			digestOf(await skopeo(t, ['inspect', '--tls-verify=false', '--raw', there])),
			entries.get(uuid)?.digest ?? '',
			'the registry gives out the very manifest',
		);
		await skopeo(t, ['copy', '--src-tls-verify=false', there, `oci:${back}:${uuid}`]);
	}

	const index = parseIndex(await readFile(path.join(back, 'index.json')));
	t.deepEqual(
		index.map(({descriptor, name, foreign}) => ({digest: descriptor.digest, size: descriptor.size, name, foreign})),
		[...entries.values()].map(({digest, size, uuid}) => ({digest, size, name: uuid, foreign: false})),
	);
	const expected = new Map([...blobs.values()].flatMap(some => [...some]));
	t.deepEqual((await readdir(path.join(back, 'blobs/sha256'))).sort(), [...expected.keys()].map(hexOf).sort());
	for (const [digest, bytes] of expected) {
		t.true(bytes.equals(await readFile(path.join(back, blobPath(digest)))), digest);
	}
	// skopeo writes it with a blank.
	t.deepEqual(JSON.parse(await readFile(path.join(back, 'oci-layout'), 'utf8')), JSON.parse(layoutText));

	for (const {descriptor, name} of index) {
		const read = parseImage(await readFile(path.join(back, blobPath(descriptor.digest))));
		const {manifest, text} = checkConfig(read, await readFile(path.join(back, blobPath(read.config.digest))));
		const image = images.find(({uuid}) => uuid === name);
		t.is(String(manifest.uuid), name);
		t.is(text, image?.pretty ?? '');
		t.deepEqual(
			read.files.map(({sha1}) => String(sha1)),
			manifest.files.map(() => image?.sha1),
		);
		t.is(read.icon?.size, image?.icon?.length);
	}
});

test('a layout that skopeo wrote by tags of its own is read by what the images are', async t => {
	if (!has(t, 'skopeo', 'docker-registry')) {
		return;
	}
	const {folder, entries} = await writeLayout(t, [base]);
	const back = await tempDir(t);
	await skopeo(t, ['copy', `oci:${folder}:${base.uuid}`, `oci:${back}:latest`]);
	await skopeo(t, ['copy', `oci:${folder}:${base.uuid}`, `oci:${back}:stable`]);
	const [entry, ...more] = parseIndex(await readFile(path.join(back, 'index.json')));
	t.deepEqual(more, []);
	t.is(entry?.descriptor.digest, entries.get(base.uuid)?.digest);
	t.false(entry?.filesElsewhere);
	t.regex(entry?.name ?? '', /^(?:latest|stable)$/u);
});

test('skopeo inspects an image where it lies', async t => {
	if (!has(t, 'skopeo', 'docker-registry')) {
		return;
	}
	const {folder, entries} = await writeLayout(t, [base, top]);
	const raw = await skopeo(t, ['inspect', '--raw', `oci:${folder}:${top.uuid}`]);
	t.is(digestOf(raw), entries.get(top.uuid)?.digest ?? '');
	const config = await skopeo(t, ['inspect', '--raw', '--config', `oci:${folder}:${top.uuid}`]);
	t.is(config, top.pretty);
	const archive = path.join(await tempDir(t), 'one.tar');
	await skopeo(t, ['copy', `oci:${folder}:${top.uuid}`, `oci-archive:${archive}:${top.uuid}`]);
	const listed = await run('tar', ['-tf', archive]);
	t.true(listed.stdout.includes(hexOf(entries.get(top.uuid)?.digest ?? '')));
});
