/**
 * `imgadm publish` and `imgadm create -p`, with their odd headers, against a mirror with and without sources.
 */
import {createHash} from 'node:crypto';
import {randomUUID} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {NotFoundError} from '../../src/errors.js';
import type {Uuid} from '../../src/image/manifest.js';
import {Imgadm, type Json} from '../helpers/imgadm.js';
import {makeImage, pseudoRandom} from '../helpers/make-image.js';
import {addUser} from '../helpers/run-command.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startMirror} from '../helpers/start-mirror.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {get, Talker} from '../helpers/talker.js';

const publishingNetwork = {access: {networks: [{cidrs: ['127.0.0.0/8'], may: ['publish']}]}};

function imageOf(file: Buffer, more: Json = {}): Json {
	return {
		v: 2,
		uuid: randomUUID(),
		name: 'web',
		version: '1.0.0',
		type: 'zone-dataset',
		os: 'smartos',
		requirements: {min_platform: {'7.0': '20190101T000000Z'}},
		files: [{size: file.length, sha1: createHash('sha1').update(file).digest('hex'), compression: 'gzip'}],
		...more,
	};
}

const file = gzipSync(pseudoRandom(400_000, 3));

test('imgadm publish works from a network that may, without any login, and the fleet imports it', async t => {
	const mirror = await startMirror(t, {sources: [], config: publishingNetwork});
	const imgadm = new Imgadm(`${mirror.url}/`);
	const manifest = imageOf(file);
	t.like(await imgadm.publish(manifest, file), {uuid: manifest['uuid'], state: 'active'});
	const [imported] = await imgadm.import(String(manifest['uuid']));
	sameBytes(t, imported?.file, file);
	t.like(imported?.manifest, {
		owner: '00000000-0000-0000-0000-000000000000',
		public: false,
		requirements: {min_platform: {'7.0': '20190101T000000Z'}},
	});
	t.is((await imgadm.avail()).length, 1);
	// And after a restart, to the letter.
	const before = (await mirror.get(`/images/${String(manifest['uuid'])}`)).text;
	const again = await mirror.restart();
	t.is((await again.get(`/images/${String(manifest['uuid'])}`)).text, before);
	sameBytes(t, (await new Imgadm(again.url).import(String(manifest['uuid'])))[0]?.file, file);
});

test('imgadm publish with the login in the URL works from anywhere; a wrong login is refused before the file is sent', async t => {
	const mirror = await startMirror(t, {sources: []});
	await addUser(mirror.data, 'pub', 'p:ss w/örd', 'publish');
	const at = (password: string): string => mirror.url.replace('//', `//pub:${encodeURIComponent(password)}@`);
	const manifest = imageOf(file);
	await t.throwsAsync(new Imgadm(at('wrong')).publish(manifest, file), {message: /^UnauthorizedError: /});
	await t.throwsAsync(new Imgadm(mirror.url).publish(manifest, file), {message: /^UnauthorizedError: /});
	t.is((await mirror.get(`/images/${String(manifest['uuid'])}`)).status, 404);
	t.like(await new Imgadm(at('p:ss w/örd')).publish(manifest, file), {state: 'active'});
});

test('imgadm create -p of an incremental image: its origin may be upstream, and its version a number', async t => {
	const origin = makeImage({size: 1000});
	const upstream = await startUpstream(t, {images: [origin]});
	const mirror = await startMirror(t, {sources: [upstream.url], config: publishingNetwork});
	const imgadm = new Imgadm(mirror.url);
	const manifest = imageOf(file, {origin: origin.uuid, version: 2});
	await imgadm.publish(manifest, file);
	const imported = await imgadm.import(String(manifest['uuid']));
	sameBytes(t, Buffer.concat(imported.map(({file}) => file)), Buffer.concat([origin.bytes, file]));
	t.is(imported[1]?.manifest['version'], '2');
	await t.throwsAsync(imgadm.publish(imageOf(file, {origin: randomUUID()}), file), {message: /^OriginDoesNotExist: /});
});

test('an image that a source has cannot be published over; nothing of it changes', async t => {
	const theirs = makeImage({size: 5000});
	const upstream = await startUpstream(t, {images: [theirs]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}], config: publishingNetwork});
	const imgadm = new Imgadm(mirror.url);
	await t.throwsAsync(imgadm.publish(imageOf(file, {uuid: theirs.uuid}), file), {
		message: /^ImageUuidAlreadyExists: .*up/,
	});
	sameBytes(t, (await imgadm.import(theirs.uuid))[0]?.file, theirs.bytes);
	const refused = await mirror.get(`/images/${theirs.uuid}?action=disable`, {method: 'POST'});
	t.is(refused.status, 422);
	t.like(refused.json(), {code: 'NotImageOwner'});
	t.regex((refused.json() as Json)['message'] as string, /\bup\b/);
});

test('a file that is not what its manifest says is refused, and imgadm cleans up after itself', async t => {
	const mirror = await startMirror(t, {sources: [], config: publishingNetwork});
	const imgadm = new Imgadm(mirror.url);
	const manifest = imageOf(file);
	const wrong = Buffer.from(file);
	wrong.writeUInt8(wrong.readUInt8(1000) ^ 1, 1000);
	await t.throwsAsync(imgadm.publish(manifest, wrong), {message: /^Download: /});
	t.is((await mirror.get(`/images/${String(manifest['uuid'])}`)).status, 404);
	t.is((await mirror.until(({store}) => store)).files, 0);
	// The same uuid may be tried again.
	t.like(await imgadm.publish(manifest, file), {state: 'active'});
	await t.throwsAsync(imgadm.publish(manifest, file), {message: /^ImageUuidAlreadyExists: /});
});

test('what is declared gzip and is xz is refused in words', async t => {
	const mirror = await startMirror(t, {sources: [], config: publishingNetwork});
	const xz = Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), pseudoRandom(1000, 1)]);
	await t.throwsAsync(new Imgadm(mirror.url).publish(imageOf(xz), xz), {message: /\bxz\b.*\bgzip\b/});
});

test('import-remote makes an upstream image ours: servable without its source, with its whole chain', async t => {
	const base = makeImage({size: 80_000});
	const top = makeImage({size: 40_000, origin: base});
	const upstream = await startUpstream(t, {images: [base, top]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}]});
	await addUser(mirror.data, 'op', 'secret', 'operate');
	const headers = {authorization: `Basic ${Buffer.from('op:secret').toString('base64')}`};
	const before = (await mirror.get(`/images/${top.uuid}`)).text;
	const queued = await mirror.get(
		`/images/${top.uuid}?action=import-remote&source=${encodeURIComponent(upstream.url)}`,
		{method: 'POST', headers},
	);
	t.is(queued.status, 200, queued.text);
	t.is(queued.headers['workflow-api'], mirror.url);
	const {job_uuid: job, image_uuid: image} = queued.json() as Json;
	t.is(image, top.uuid);
	for (;;) {
		const answer = (await mirror.get(`/jobs/${String(job)}`, {headers})).json() as Json;
		if (answer['execution'] !== 'queued' && answer['execution'] !== 'running') {
			t.is(answer['execution'], 'succeeded', JSON.stringify(answer));
			break;
		}
	}
	await upstream.stop();
	const alone = await mirror.restart({sources: []});
	const imported = await new Imgadm(alone.url).import(top.uuid);
	sameBytes(t, Buffer.concat(imported.map(({file}) => file)), Buffer.concat([base.bytes, top.bytes]));
	// imgadm update sees no difference.
	t.is((await alone.get(`/images/${top.uuid}`)).text, before);
	t.is((await alone.get(`/images/${top.uuid}`)).headers['x-source'], 'local');
});

test('who comes through a proxy that is not trusted is outside: private images are not there for them', async t => {
	const mirror = await startMirror(t, {sources: []});
	await addUser(mirror.data, 'pub', 'secret', 'publish');
	const manifest = imageOf(file);
	const uuid = String(manifest['uuid']);
	await new Imgadm(mirror.url.replace('//', '//pub:secret@')).publish(manifest, file);
	for (const headers of [
		{'x-forwarded-for': '203.0.113.7'},
		{'x-forwarded-for': '10.0.0.1'},
		{forwarded: 'for=10.0.0.1'},
	]) {
		for (const path of [`/images/${uuid}`, `/images/${uuid}/file`, `/datasets/${uuid}`, `/images/${uuid}/icon`]) {
			t.is((await mirror.get(path, {headers})).status, 404, path);
		}
		for (const list of ['/images', '/images?state=all', '/datasets', `/images?name=web`]) {
			t.deepEqual((await mirror.get(list, {headers})).json(), [], list);
		}
	}
	t.is((await mirror.get(`/images/${uuid}`)).status, 200);
	const trusting = await mirror.restart({config: {access: {trustedProxies: ['127.0.0.1']}}});
	t.is((await trusting.get(`/images/${uuid}`, {headers: {'x-forwarded-for': '10.0.0.1'}})).status, 200);
	t.is((await trusting.get(`/images/${uuid}`, {headers: {'x-forwarded-for': '203.0.113.7'}})).status, 404);
	t.is((await trusting.get(`/images/${uuid}`, {headers: {'x-forwarded-for': '10.0.0.1, 203.0.113.7'}})).status, 404);
});

test('channels that a reload brings or takes away show in lists as they do in images', async t => {
	const channels = [{name: 'dev', description: 'all', default: true}];
	const mirror = await startMirror(t, {sources: [], config: {...publishingNetwork, channels}});
	const manifest = imageOf(file, {public: true});
	await new Imgadm(`${mirror.url}/`).publish(manifest, file);
	const headers = {'Accept-Version': '~2'};
	const same = async (): Promise<unknown> => {
		const one = (await mirror.get(`/images/${String(manifest['uuid'])}`, {headers})).json();
		t.deepEqual((await mirror.get('/images', {headers})).json(), [one]);
		return (one as Json)['channels'];
	};
	t.deepEqual(await same(), ['dev']);
	await mirror.reload({config: publishingNetwork});
	t.is(await same(), undefined);
	await mirror.reload({config: {...publishingNetwork, channels}});
	t.deepEqual(await same(), ['dev']);
});

test('a file whose image is deleted while somebody is about to read it is not there, and no fault of ours', async t => {
	for (const sources of [[], [(await startUpstream(t, {images: [makeImage()]})).url]]) {
		const mirror = await startMirror(t, {sources, config: publishingNetwork});
		const manifest = imageOf(file);
		await new Imgadm(`${mirror.url}/`).publish(manifest, file);
		const ask = {signal: new AbortController().signal};
		const found = await mirror.running.mirror.find(manifest['uuid'] as Uuid, ask);
		const open = await mirror.running.mirror.openFile(found, 0);
		const deleted = await fetch(`${mirror.url}/images/${String(manifest['uuid'])}`, {method: 'DELETE'});
		t.is(deleted.status, 204);
		await t.throwsAsync(open.body(0, open.size, ask), {instanceOf: NotFoundError});
		open.close();
	}
});

test('who asks for the same again and again is told what was changed as soon as it was', async t => {
	const mirror = await startMirror(t, {sources: [], config: publishingNetwork});
	const manifest = imageOf(file);
	const uuid = String(manifest['uuid']);
	await new Imgadm(`${mirror.url}/`).publish(manifest, file);
	const talker = await Talker.open(t, Number(new URL(mirror.url).port));
	const ask = async (path: string): Promise<Json> => {
		const {status, body} = await talker.ask(get(path));
		return status === 200 ? (JSON.parse(body) as Json) : {status};
	};
	const all = async (): Promise<readonly Json[]> => (await ask('/images')) as unknown as Json[];
	const change = async (query: string, body: Json = {}): Promise<void> => {
		const {status} = await mirror.get(`/images/${uuid}?${query}`, {
			method: 'POST',
			headers: {'content-type': 'application/json'},
			body: JSON.stringify(body),
		});
		t.is(status, 200);
	};
	for (let round = 0; round < 20; round++) {
		await change('action=update', {description: `round ${round}`});
		for (let again = 0; again < 3; again++) {
			t.is((await ask(`/images/${uuid}`))['description'], `round ${round}`);
			t.deepEqual(
				(await all()).map(({description}) => description),
				[`round ${round}`],
			);
		}
	}
	await change('action=disable');
	t.deepEqual(await all(), []);
	t.is((await ask(`/images/${uuid}`))['state'], 'disabled');
	await change('action=enable');
	t.is((await all()).length, 1);
	t.is((await mirror.get(`/images/${uuid}`, {method: 'DELETE'})).status, 204);
	t.deepEqual(await ask(`/images/${uuid}`), {status: 404});
	t.deepEqual(await all(), []);
});
