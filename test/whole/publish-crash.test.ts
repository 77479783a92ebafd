/**
 * kill -9 and full disks while images are published: afterwards either the old state is there or the new one.
 */
import {createHash, randomUUID} from 'node:crypto';
import {readdir, rename, rm, writeFile} from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import {gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import {Layout} from '../../src/blobs/layout.js';
import type {Uuid} from '../../src/image/manifest.js';
import {get, type Answer} from '../helpers/http-client.js';
import type {Json} from '../helpers/imgadm.js';
import {makeImage, pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {smallDisk} from '../helpers/small-disk.js';
import {startMirror} from '../helpers/start-mirror.js';
import {startProcess, type MirrorProcess} from '../helpers/start-process.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';

const config = {access: {networks: [{cidrs: ['127.0.0.0/8'], may: ['publish']}]}};
const sha1Of = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex');

type Verb = (path: string, method: string, body?: string | Buffer) => Promise<Answer>;

function verbs(url: string): Verb {
	return (at, method, body) =>
		get(url + at, {method, ...(body === undefined ? {} : {body}), headers: {'content-type': 'application/json'}});
}

const imported = (uuid: string, name = 'crash'): string =>
	JSON.stringify({v: 2, uuid, name, version: '1', type: 'zone-dataset', os: 'smartos', owner: uuid});

async function start(t: ExecutionContext, data: string): Promise<MirrorProcess> {
	return startProcess(t, {data, sources: [], config});
}

/** An upload that sends its first half and then waits. Resolves once the server has that half on disk. */
async function halfUpload(url: string, at: string, bytes: Buffer, data: string): Promise<void> {
	const request = http.request(url + at, {method: 'PUT', headers: {'content-length': bytes.length}});
	request.on('error', () => undefined);
	const half = bytes.subarray(0, bytes.length / 2);
	request.write(half);
	const {uploads} = new Layout(data);
	for (;;) {
		const names = await readdir(uploads);
		if (names.length > 0) {
			return;
		}
		await new Promise(resolve => setImmediate(resolve));
	}
}

test('an image whose record cannot be read is not said to be absent, and somebody is told', async t => {
	const mirror = await startMirror(t, {sources: [], config});
	const uuid = randomUUID();
	t.is((await verbs(mirror.url)(`/images/${uuid}?action=import`, 'POST', imported(uuid))).status, 200);
	t.deepEqual((await mirror.get('/readyz')).json(), {status: 'ready', problems: []});
	await mirror.stop();
	await writeFile(new Layout(mirror.data).publishedRecord(uuid as Uuid), '{');
	const again = await mirror.restart();
	const answer = await again.get(`/images/${uuid}`);
	t.is(answer.status, 503);
	t.like(answer.json(), {code: 'RemoteSourceError'});
	t.regex(answer.text, /was published here, and its record cannot be read/u);
	const warnings = [`the record of the published image ${uuid} cannot be read: it is not offered`];
	t.like((await again.get('/readyz')).json(), {status: 'ready', warnings});
	await again.running.tidy();
	t.regex((await again.get('/metrics')).text, /^imgmirror_damaged_images 1$/mu);
	t.is((await again.get(`/images/${randomUUID()}`)).status, 404);
});

test('published files whose records are missing at a start stay, somebody is told, and the records may come back', async t => {
	const mirror = await startMirror(t, {sources: [], config});
	const images = [makeImage({size: 5000}), makeImage({size: 5000})];
	for (const {uuid, bytes, sha1} of images) {
		const verb = verbs(mirror.url);
		t.is((await verb(`/images/${uuid}?action=import`, 'POST', imported(uuid))).status, 200);
		t.is((await verb(`/images/${uuid}/file?compression=none&sha1=${sha1}`, 'PUT', bytes)).status, 200);
		t.is((await verb(`/images/${uuid}?action=activate`, 'POST')).status, 200);
	}
	await mirror.stop();
	const {published} = new Layout(mirror.data);
	await rename(published, `${published}-away`);

	const without = await mirror.restart();
	t.deepEqual((await without.get('/images')).json(), []);
	const ready = (await without.get('/readyz')).json() as {warnings: readonly string[]};
	t.deepEqual(ready.warnings, [
		'2 published files (10 kB) belong to no image: records of images are missing (see the log)',
	]);
	await without.stop();
	await rm(published, {recursive: true});
	await rename(`${published}-away`, published);

	const again = await without.restart();
	for (const image of images) {
		sameBytes(t, (await again.file(image)).body, image.bytes);
	}
	t.deepEqual((await again.get('/readyz')).json(), {status: 'ready', problems: []});
	// What is taken back goes, with its file.
	for (const {uuid} of images) {
		t.is((await verbs(again.url)(`/images/${uuid}`, 'DELETE')).status, 204);
	}
	await again.stop();
	const last = await again.restart();
	t.is((await last.until(({store}) => store)).files, 0);
	t.deepEqual((await last.get('/readyz')).json(), {status: 'ready', problems: []});
	t.deepEqual(await readdir(new Layout(last.data).own), []);
});

test('what an image of a source is built on is not deleted, as long as nobody else has it', async t => {
	const uuid = randomUUID();
	const child = makeImage({extra: {origin: uuid}});
	const upstream = await startUpstream(t, {images: [child]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}], config});
	const call = verbs(mirror.url);
	t.is((await call(`/images/${uuid}?action=import`, 'POST', imported(uuid))).status, 200);
	await mirror.until(({merged}) => merged > 0);
	const refused = await call(`/images/${uuid}`, 'DELETE');
	t.is(refused.status, 422);
	t.like(refused.json(), {code: 'ImageHasDependentImages'});
	t.is((await call(`/images/${uuid}`, 'GET')).status, 200);
	upstream.remove(child);
	await mirror.reload({sources: []});
	t.is((await call(`/images/${uuid}`, 'DELETE')).status, 204);
});

test('kill -9 in the middle of an upload leaves the image as it was, and no litter', async t => {
	const data = path.join(await tempDir(t), 'data');
	const first = await start(t, data);
	const uuid = randomUUID();
	const call = verbs(first.url);
	const old = gzipSync(pseudoRandom(10_000, 1));
	t.is((await call(`/images/${uuid}?action=import`, 'POST', imported(uuid))).status, 200);
	t.is((await call(`/images/${uuid}/file?compression=gzip`, 'PUT', old)).status, 200);
	await halfUpload(first.url, `/images/${uuid}/file?compression=gzip`, pseudoRandom(4_000_000, 2), data);
	await first.end('SIGKILL');

	const second = await start(t, data);
	t.deepEqual(await readdir(new Layout(data).uploads), []);
	const manifest = (await second.get(`/images/${uuid}`)).json() as Json;
	t.like(manifest, {state: 'unactivated', files: [{sha1: sha1Of(old), size: old.length, compression: 'gzip'}]});
	sameBytes(t, (await second.get(`/images/${uuid}/file`)).body, old);
	const fresh = gzipSync(pseudoRandom(20_000, 3));
	t.is((await verbs(second.url)(`/images/${uuid}/file?compression=gzip`, 'PUT', fresh)).status, 200);
	t.is((await verbs(second.url)(`/images/${uuid}?action=activate`, 'POST')).status, 200);
	sameBytes(t, (await second.get(`/images/${uuid}/file`)).body, fresh);
	await second.end('SIGTERM');
});

test('kill -9 at any moment of an image’s life: what was answered holds, what was not is done or not done', async t => {
	const data = path.join(await tempDir(t), 'data');
	const file = gzipSync(pseudoRandom(200_000, 5));
	const uuids = Array.from({length: 6}, () => randomUUID());
	/** What each image may be, by the last answer and by what was asked and not answered. */
	const may = new Map<string, Set<string>>(uuids.map(uuid => [uuid, new Set(['gone'])]));
	for (let round = 0; round < 6; round++) {
		const server = await start(t, data);
		const call = verbs(server.url);
		for (const uuid of uuids) {
			const found = await stateOf(server, uuid, file, t);
			t.true(may.get(uuid)?.has(found), `round ${round}: ${found} of ${[...(may.get(uuid) ?? [])].join()}`);
			may.set(uuid, new Set([found]));
		}
		let answers = 0;
		const enough = 5 + round * 7;
		let killed = false;
		const life = async (uuid: string): Promise<void> => {
			for (let step = 0; ; step++) {
				const [was = 'gone'] = may.get(uuid) ?? [];
				const [next, ask] = nextStep(was, step);
				may.set(uuid, new Set([was, next]));
				const answer = await ask(call, uuid, file).catch(() => undefined);
				if (answer === undefined) {
					return;
				}
				t.true(answer.status < 300, answer.text);
				may.set(uuid, new Set([next]));
				answers++;
				if (answers >= enough && !killed) {
					killed = true;
					server.child.kill('SIGKILL');
				}
			}
		};
		await Promise.all(uuids.map(life));
		await server.end('SIGKILL');
	}
});

type Step = readonly [next: string, ask: (call: Verb, uuid: string, file: Buffer) => Promise<Answer>];

function nextStep(was: string, step: number): Step {
	switch (was) {
		case 'gone':
			return ['empty', (call, uuid) => call(`/images/${uuid}?action=import`, 'POST', imported(uuid))];
		case 'empty':
			return ['unactivated', (call, uuid, file) => call(`/images/${uuid}/file?compression=gzip`, 'PUT', file)];
		case 'unactivated':
			return ['active', (call, uuid) => call(`/images/${uuid}?action=activate`, 'POST', '{}')];
		case 'active':
			return step % 2 === 0
				? ['disabled', (call, uuid) => call(`/images/${uuid}?action=disable`, 'POST', '{}')]
				: ['gone', (call, uuid) => call(`/images/${uuid}`, 'DELETE')];
		default:
			return ['active', (call, uuid) => call(`/images/${uuid}?action=enable`, 'POST', '{}')];
	}
}

async function stateOf(server: MirrorProcess, uuid: string, file: Buffer, t: ExecutionContext): Promise<string> {
	const answer = await server.get(`/images/${uuid}`);
	if (answer.status === 404) {
		t.is((await server.get(`/images/${uuid}/file`)).status, 404);
		return 'gone';
	}
	const manifest = answer.json() as Json;
	if ((manifest['files'] as unknown[]).length === 0) {
		return 'empty';
	}
	sameBytes(t, (await server.get(`/images/${uuid}/file`)).body, file);
	return String(manifest['state']);
}

test('an upload for which the disk has no room is refused in words, and what was there stays', async t => {
	const data = await smallDisk(t, 8);
	if (data === undefined) {
		t.pass();
		return;
	}
	const mirror = await startMirror(t, {sources: [], data, config});
	const call = verbs(mirror.url);
	const uuid = randomUUID();
	const old = gzipSync(pseudoRandom(10_000, 1));
	await call(`/images/${uuid}?action=import`, 'POST', imported(uuid));
	t.is((await call(`/images/${uuid}/file?compression=gzip`, 'PUT', old)).status, 200);
	const big = pseudoRandom(12_000_000, 2);
	// Announced, and not announced.
	for (const headers of [{}, {'transfer-encoding': 'chunked'}] as Record<string, string>[]) {
		const refused = await get(`${mirror.url}/images/${uuid}/file?compression=none`, {
			method: 'PUT',
			headers,
			body: big,
		});
		t.is(refused.status, 503, refused.text);
		t.like(refused.json(), {code: 'ServiceUnavailableError'});
		t.regex((refused.json() as Json)['message'] as string, /disk|room|space/);
	}
	t.deepEqual(await readdir(new Layout(data).uploads), []);
	sameBytes(t, (await mirror.get(`/images/${uuid}/file`)).body, old);
	const small = gzipSync(pseudoRandom(20_000, 4));
	// The thread that hashes lets go of what is deleted a moment later, and only then has the disk its room again.
	for (let put = 503; put !== 200;) {
		({status: put} = await call(`/images/${uuid}/file?compression=gzip`, 'PUT', small));
		t.true(put === 200 || put === 503);
	}
	t.is((await call(`/images/${uuid}?action=activate`, 'POST')).status, 200);
	sameBytes(t, (await mirror.get(`/images/${uuid}/file`)).body, small);
	await mirror.stop();
});

test('two uploads to one image at once: one of them is the file, whole', async t => {
	const data = path.join(await tempDir(t), 'data');
	const mirror = await startMirror(t, {sources: [], data, config});
	const call = verbs(mirror.url);
	const uuid = randomUUID();
	await call(`/images/${uuid}?action=import`, 'POST', imported(uuid));
	const files = [1, 2, 3].map(seed => gzipSync(pseudoRandom(700_000, seed)));
	const answers = await Promise.all(files.map(file => call(`/images/${uuid}/file?compression=gzip`, 'PUT', file)));
	t.deepEqual(
		answers.map(({status}) => status),
		[200, 200, 200],
	);
	const manifest = (await mirror.get(`/images/${uuid}`)).json() as Json;
	const [{sha1} = {}] = manifest['files'] as Json[];
	const body = (await mirror.get(`/images/${uuid}/file`)).body;
	t.is(sha1Of(body), String(sha1));
	t.true(files.some(file => file.equals(body)));
	t.is((await mirror.until(({store}) => store)).files, 1);
	t.deepEqual(await readdir(new Layout(data).uploads), []);
});
