/**
 * What somebody with a login and bad intentions, or a bad program, would send to whoever takes images in.
 */
import {randomUUID} from 'node:crypto';
import {readdir} from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {Layout} from '../../src/blobs/layout.js';
import {get, type Answer} from '../helpers/http-client.js';
import type {Json} from '../helpers/imgadm.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startMirror, type TestMirror} from '../helpers/start-mirror.js';
import {tempDir} from '../helpers/temp-dir.js';

const config = {access: {networks: [{cidrs: ['127.0.0.0/8'], may: ['publish']}]}};
const base = {v: 2, name: 'a', version: '1', type: 'zone-dataset', os: 'smartos'};
const file = gzipSync(pseudoRandom(5000, 1));

function post(mirror: TestMirror, at: string, body: string | object): Promise<Answer> {
	return get(mirror.url + at, {
		method: 'POST',
		headers: {'content-type': 'application/json'},
		body: typeof body === 'string' ? body : JSON.stringify(body),
	});
}

/** Everything below the data directory, by name. */
async function filesOf(data: string): Promise<readonly string[]> {
	return (await readdir(data, {recursive: true})).filter(name => !name.startsWith('memory')).sort();
}

test('no field leads out of the data directory', async t => {
	const parent = await tempDir(t);
	const mirror = await startMirror(t, {sources: [], config, data: path.join(parent, 'data')});
	const bad = ['../../../x', '/etc/passwd', '..%2f..%2fx', 'a\0b', '..\\..\\x', '....//x', '~root', '\u202e..'];
	for (const text of bad) {
		for (const field of ['uuid', 'owner', 'origin', 'name', 'version', 'type', 'os', 'urn', 'published_at']) {
			const uuid = randomUUID();
			const answer = await post(mirror, `/images/${uuid}?action=import`, {...base, uuid, [field]: text});
			// A slash may be in a name, an urn is any text, the owner is not taken over; what matters is where files go.
			t.true(
				answer.status === 422 || (answer.status === 200 && ['owner', 'name', 'version', 'urn'].includes(field)),
				`${field} ${text}: ${answer.text}`,
			);
			if (answer.status === 200) {
				const put = `${mirror.url}/images/${uuid}/file?compression=gzip`;
				t.is((await get(put, {method: 'PUT', body: file})).status, 200);
				t.is((await post(mirror, `/images/${uuid}?action=activate`, '{}')).status, 200);
				const dataset = (await mirror.get(`/datasets/${uuid}`)).json() as Json;
				const [{path: name, url} = {}] = dataset['files'] as Json[];
				t.false(/[/\\\0]/.test(String(name)), String(name));
				sameBytes(t, (await get(String(url))).body, file);
			}
		}
		const at = encodeURIComponent(text);
		for (const where of [`/images/${at}`, `/images/${at}/file?compression=none`, `/uploads/${at}`, `/jobs/${at}`]) {
			for (const method of ['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'HEAD']) {
				const {status} = await get(mirror.url + where, {method});
				t.true(status >= 400 && status < 500, `${method} ${where}: ${status}`);
			}
		}
	}
	t.deepEqual(await readdir(parent), ['data']);
	const allowed =
		/^(blobs|published|own(?:$|\/[0-9a-f]{40}\.[0-9a-f-]{36}$)|uploads|jobs|keys|partial|quarantine|digests|memory|version|lock\.sock|control\.sock|users\.json)/;
	const ofOperating = /^(usage|scrub|alive|(holds|history|hooks|prefetch|pins)\.json)/;
	t.deepEqual(
		(await filesOf(mirror.data)).filter(name => !allowed.test(name) && !ofOperating.test(name)),
		[],
	);
	t.is((await mirror.get('/ping')).status, 200);
});

test('names of object prototypes are data like any other', async t => {
	const mirror = await startMirror(t, {sources: [], config});
	for (const body of [
		'{"__proto__": {"admin": true}, "name": "a", "version": "1", "type": "zone-dataset", "os": "smartos"}',
		'{"constructor": 1, "name": "a", "version": "1", "type": "zone-dataset", "os": "smartos"}',
		'{"name": "a", "version": "1", "type": "constructor", "os": "toString"}',
		'{"name": "a", "version": "1", "type": "zone-dataset", "os": "smartos", "requirements": {"__proto__": 1}}',
	]) {
		const answer = await post(mirror, '/images', body);
		t.is(answer.status, 422, `${body}: ${answer.text}`);
	}
	const tags = '{"__proto__": "x", "constructor": "y"}';
	const created = await post(
		mirror,
		'/images',
		`{"name":"a","version":"1","type":"zone-dataset","os":"smartos","tags":${tags}}`,
	);
	t.is(created.status, 200, created.text);
	t.true(created.text.includes('"__proto__": "x"'));
	t.is(({} as Json)['admin'], undefined);
});

test('bodies that are no JSON, too deep, too big, or not an object are refused in the contract’s words', async t => {
	const mirror = await startMirror(t, {sources: [], config});
	const deep = '['.repeat(1_000_000);
	for (const [body, status, code] of [
		[deep, 400, 'InvalidContent'],
		['{"a":'.repeat(100_000), 400, 'InvalidContent'],
		['{', 400, 'InvalidContent'],
		['[]', 422, undefined],
		['null', 422, undefined],
		['42', 422, undefined],
		['"x"', 422, undefined],
		['', 422, undefined],
		[JSON.stringify({...base, description: 'x'.repeat(8_000_000)}), 413, undefined],
	] as const) {
		const answer = await post(mirror, '/images', body);
		t.is(answer.status, status, `${body.slice(0, 20)}: ${answer.text}`);
		if (code !== undefined) {
			t.like(answer.json(), {code});
		}
	}
});

test('21 GiB announced are refused before a byte of them', async t => {
	const mirror = await startMirror(t, {sources: [], config});
	const uuid = randomUUID();
	await post(mirror, `/images/${uuid}?action=import`, {...base, uuid});
	const socket = net.connect(Number(new URL(mirror.url).port), '127.0.0.1');
	socket.write(
		`PUT /images/${uuid}/file?compression=none HTTP/1.1\r\nHost: x\r\nContent-Length: ${21 * 2 ** 30}\r\nExpect: 100-continue\r\n\r\n`,
	);
	const [head] = (await new Promise<Buffer[]>(resolve => socket.once('data', (...got: Buffer[]) => resolve(got)))).map(
		String,
	);
	socket.destroy();
	t.regex(head ?? '', /^HTTP\/1\.1 400 /);
	t.regex(head ?? '', /"Upload"/);
});

test('a body that ends before its length changes nothing, and neither does one that stops coming', async t => {
	const mirror = await startMirror(t, {sources: [], config: {...config, http: {uploadIdleTimeout: '1s'}}});
	const uuid = randomUUID();
	await post(mirror, `/images/${uuid}?action=import`, {...base, uuid});
	t.is((await get(`${mirror.url}/images/${uuid}/file?compression=gzip`, {method: 'PUT', body: file})).status, 200);
	const head = `PUT /images/${uuid}/file?compression=gzip HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n`;

	const short = net.connect(Number(new URL(mirror.url).port), '127.0.0.1');
	short.write(head);
	short.end(pseudoRandom(5000, 2));
	await new Promise(resolve => short.on('data', () => undefined).once('close', resolve));

	// The idle limit is a real second here: what is waited for is the answer, or the end of the connection.
	const slow = net.connect(Number(new URL(mirror.url).port), '127.0.0.1');
	slow.write(head);
	slow.write(pseudoRandom(5000, 2));
	await new Promise(resolve => slow.on('data', () => undefined).once('close', resolve));

	sameBytes(t, (await mirror.get(`/images/${uuid}/file`)).body, file);
	t.deepEqual(await readdir(new Layout(mirror.data).uploads), []);
});

test('odd characters go through every protocol unharmed, and never into a header as they are', async t => {
	const mirror = await startMirror(t, {sources: [], config});
	const description = 'grün "quoted" \\ back\u0000slash \r\nX-Evil: 1 😀 \u202e rtl </script>';
	const name = "a b/c'd";
	const refused = await post(mirror, '/images', {...base, name, description});
	t.like(refused.json(), {code: 'ValidationFailed', errors: [{field: 'name', code: 'Invalid'}]});
	const created = await post(mirror, '/images', {
		...base,
		name: 'a b/c-d',
		version: '1/+_2',
		description,
		public: true,
	});
	t.is(created.status, 200, created.text);
	const {uuid} = created.json() as Json;
	const at = String(uuid);
	t.is((await get(`${mirror.url}/images/${at}/file?compression=gzip`, {method: 'PUT', body: file})).status, 200);
	t.is((await post(mirror, `/images/${at}?action=activate`, '{}')).status, 200);
	for (const where of [`/images/${at}`, `/datasets/${at}`]) {
		const answer = await mirror.get(where);
		t.is((answer.json() as Json)['description'], description);
		t.is(answer.headers['x-evil'], undefined);
	}
	const listed = (await mirror.get(`/images?name=${encodeURIComponent('a b/c-d')}`)).json() as Json[];
	t.is(listed[0]?.['description'], description);
	const dataset = (await mirror.get(`/datasets/${at}`)).json() as Json;
	const [{path: filePath} = {}] = dataset['files'] as Json[];
	t.is(filePath, 'a b-c-d-1-+_2.zfs.gz');
	sameBytes(t, (await mirror.get(`/datasets/${at}/${encodeURIComponent(String(filePath))}`)).body, file);
	const again = await mirror.restart();
	t.is(((await again.get(`/images/${at}`)).json() as Json)['description'], description);
});
