/**
 * The write half of IMGAPI over HTTP with the real publish room behind it: the answers of contract 6 and 18, by table.
 */
import {createHash, randomUUID} from 'node:crypto';
import {mkdir, rm, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {startMirror, type MirrorOptions, type TestMirror} from '../helpers/start-mirror.js';
import {startUpstream} from '../helpers/start-upstream.js';
import type {Scope} from '../helpers/temp-dir.js';
import {ask, type Answer} from './front.js';

const config = {access: {networks: [{cidrs: ['127.0.0.0/8'], may: ['operate']}]}};
const owner = '930896af-bf8c-48d4-885c-6573a94b1853';
const base = {owner, name: 'foo', version: '1.0.0', type: 'zone-dataset', os: 'smartos', public: true};
const bytes = Buffer.from('sixteen bytes ok');
const sha1 = createHash('sha1').update(bytes).digest('hex');

interface Fields {
	readonly uuid: string;
	readonly state: string;
	readonly [name: string]: unknown;
}

interface Server {
	readonly mirror: TestMirror;
	readonly post: (path: string, body?: unknown, headers?: Readonly<Record<string, string>>) => Promise<Answer>;
	readonly send: (method: string, path: string, body?: Buffer | string, headers?: object) => Promise<Answer>;
	readonly get: (path: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>;
	/** An image as far as it is wanted. */
	readonly make: (how: {
		readonly file?: boolean;
		readonly active?: boolean;
		readonly fields?: object;
	}) => Promise<string>;
}

async function start(t: Scope, more: object = {}, sources: MirrorOptions['sources'] = []): Promise<Server> {
	const mirror = await startMirror(t, {sources, config: {...config, ...more}});
	const {url} = mirror;
	const type = {'content-type': 'application/json'};
	const post: Server['post'] = (path, body, headers = {}) =>
		ask(url, path, {
			...{method: 'POST', headers: {...type, ...headers}},
			...(body === undefined ? {} : {body: typeof body === 'string' ? body : JSON.stringify(body)}),
		});
	const send: Server['send'] = (method, path, body, headers = {}) =>
		ask(url, path, {method, headers: {...headers}, ...(body === undefined ? {} : {body})});
	return {
		mirror,
		post,
		send,
		get: (path, headers = {}) => ask(url, path, {headers}),
		async make({file = false, active = false, fields = {}}) {
			const {uuid} = (await post('/images', {...base, ...fields})).json as Fields;
			if (file || active) {
				await send('PUT', `/images/${uuid}/file?compression=gzip`, bytes);
			}
			if (active) {
				await post(`/images/${uuid}?action=activate`);
			}
			return uuid;
		},
	};
}

function isPlain(body: unknown): body is Readonly<Record<string, unknown>> {
	return typeof body === 'object' && body !== null && !Array.isArray(body);
}

function faultOf({status, json}: Answer): string {
	const {code, errors = []} = json as {code: string; errors?: {field: string; code: string}[]};
	return [status, code, ...errors.map(error => `${error.field}:${error.code}`)].join(' ');
}

test('a file of ours that is lost is said to be, whether or not there is a source', async t => {
	const upstream = await startUpstream(t, {images: [makeImage()]});
	for (const sources of [[], [{name: 'up', url: upstream.url, type: 'imgapi'}]]) {
		for (const [what, harm] of [
			['gone', (file: string) => rm(file)],
			['cut', (file: string) => truncate(file, 7)],
			['overwritten', (file: string) => writeFile(file, Buffer.alloc(bytes.length, 7))],
			['a directory', (file: string) => rm(file).then(() => mkdir(file))],
		] as const) {
			const {mirror, make, get} = await start(t, {}, sources);
			const uuid = await make({active: true});
			await harm(path.join(mirror.data, 'blobs', sha1.slice(0, 2), sha1));
			for (const answer of [await get(`/images/${uuid}/file`), await get(`/images/${uuid}/file`)]) {
				t.is(faultOf(answer), '503 StorageIsDown', what);
				const {message} = answer.json as {message: string};
				t.is(
					message,
					`the file of image ${uuid} (foo 1.0.0), which was published here, is gone from the disk or damaged, ` +
						'and cannot be had from any source',
				);
			}
			const lines = mirror.host.linesLike({code: 'StorageIsDown', image: uuid});
			t.is(lines.length, 2, what);
			t.regex(String(lines[0]?.['problem']), /is gone from the disk or damaged/);
			t.like((await get(`/images/${uuid}`)).json, {state: 'active'});
			await mirror.stop();
		}
	}
});

test('the transcript of the contract is what is said here', async t => {
	const {post, send, get} = await start(t);
	const created = await post('/images', base);
	t.is(created.status, 200);
	t.is(created.headers['content-type'], 'application/json');
	const {uuid} = created.json as Fields;
	t.is(
		created.text,
		JSON.stringify(
			{
				...{v: 2, uuid, owner, name: 'foo', version: '1.0.0', state: 'unactivated', disabled: false, public: true},
				...{type: 'zone-dataset', os: 'smartos', files: []},
			},
			null,
			2,
		),
	);
	const at = `/images/${uuid}`;
	const zeros = '0'.repeat(40);
	t.is(faultOf(await send('PUT', `${at}/file?compression=none&sha1=${zeros}`, bytes)), '400 Download');
	const added = await send('PUT', `${at}/file?compression=gzip&sha1=${sha1}`, bytes);
	t.deepEqual((added.json as Fields)['files'], [{sha1, size: 16, compression: 'gzip'}]);
	const active = await post(`${at}?action=activate`);
	t.like(active.json, {state: 'active'});
	t.regex(String((active.json as Fields)['published_at']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
	t.is(faultOf(await send('PUT', `${at}/file?compression=gzip`, bytes)), '422 ImageFilesImmutable');
	const file = await get(`${at}/file`);
	t.true(file.body.equals(bytes));
	t.like(file.headers, {
		...{etag: `"${sha1}"`, 'content-length': '16', 'content-type': 'application/octet-stream'},
		'content-md5': createHash('md5').update(bytes).digest('base64'),
		...{'x-cache': 'local', 'x-source': 'local'},
	});
	t.truthy(file.headers['last-modified']);
	t.is((await get(`${at}/file`, {'if-none-match': `"${sha1}"`})).status, 304);
	const etags = [active.headers.etag, (await get(at)).headers.etag, (await post(`${at}?action=enable`)).headers.etag];
	t.is(new Set(etags).size, 1);
	t.is((await send('DELETE', at)).status, 204);
	for (const path of [at, `${at}/file`, `${at}/icon`]) {
		t.is(faultOf(await get(path)), '404 ResourceNotFound');
	}
	t.is(faultOf(await send('DELETE', at)), '404 ResourceNotFound');
});

const importable = {v: 2, ...base, published_at: '2012-05-02T15:14:45.805Z', state: 'active'};

test('an import keeps its uuid and date, and no second one takes its place', async t => {
	const {post, send, get} = await start(t);
	const uuid = randomUUID();
	const at = `/images/${uuid}`;
	const imported = await post(`${at}?action=import`, {...importable, uuid});
	t.is(imported.status, 200);
	t.like(imported.json, {
		...{uuid, owner: '00000000-0000-0000-0000-000000000000', state: 'unactivated'},
		...{published_at: '2012-05-02T15:14:45.805Z', files: []},
	});
	t.is(faultOf(await post(`${at}?action=import`, {...importable, uuid})), '409 ImageUuidAlreadyExists');
	await send('PUT', `${at}/file?compression=xz`, bytes);
	t.like((await post(`${at}?action=activate`, {})).json, {state: 'active', published_at: importable.published_at});
	t.deepEqual(
		((await get('/images')).json as Fields[]).map(image => image.uuid),
		[uuid],
	);
	const many = randomUUID();
	const answers = await Promise.all(
		Array.from({length: 8}, () => post(`/images/${many}?action=import`, {...importable, uuid: many})),
	);
	t.deepEqual(answers.map(({status}) => status).sort(), [200, ...Array.from({length: 7}, () => 409)]);
});

// `U` is an image without a file, `F` one with, `A` an active one, `P` an active one with a child, `N` nobody's.
for (const [method, path, body, fault] of [
	[
		'POST',
		'/images',
		{owner},
		'422 ValidationFailed name:MissingParameter version:MissingParameter type:MissingParameter os:MissingParameter',
	],
	['POST', '/images', {...base, uuid: randomUUID(), nonsense: 1}, '422 InvalidParameter uuid:Invalid nonsense:Invalid'],
	['POST', '/images', {...base, state: 'active'}, '422 ValidationFailed state:NotAllowed'],
	['POST', '/images', {...base, origin: randomUUID()}, '422 OriginDoesNotExist'],
	['POST', '/images', {...base, tags: 'x'}, '422 ValidationFailed tags:Invalid'],
	['POST', '/images?account=x', base, '422 InvalidParameter account:Invalid'],
	['POST', '/images?account=U', base, '422 InvalidParameter owner:Invalid'],
	['POST', '/images/N?action=import', {...importable, uuid: owner}, '422 InvalidParameter uuid:Invalid'],
	['POST', '/images/N?action=import&account=U', importable, '403 OperatorOnly'],
	['POST', '/images/N?action=import-remote', undefined, '422 ValidationFailed source:MissingParameter'],
	['POST', '/images/N?action=import-remote&source=http://127.0.0.1:1&account=U', undefined, '403 OperatorOnly'],
	['POST', '/images/N?action=activate', undefined, '404 ResourceNotFound'],
	['POST', '/images/U?action=activate', undefined, '422 NoActivationNoFile'],
	['POST', '/images/A?action=activate', undefined, '422 ImageAlreadyActivated'],
	['POST', '/images/A?action=enable&account=U', undefined, '422 NotImageOwner'],
	['POST', '/images/A?action=enable&account=x', undefined, '422 InvalidParameter account:Invalid'],
	['POST', '/images/U?action=update', undefined, '422 ValidationFailed body:MissingParameter'],
	['POST', '/images/U?action=update', {}, '422 ValidationFailed'],
	['POST', '/images/A?action=update', {type: 'zvol', v: 3}, '422 ValidationFailed type:NotAllowed v:NotAllowed'],
	['POST', '/images/A?action=update', {name: null}, '422 ValidationFailed name:MissingParameter'],
	['POST', '/images/U/acl', {acl: []}, '422 InvalidParameter acl:Invalid'],
	['POST', '/images/U/acl', ['x'], '422 InvalidParameter acl:Invalid'],
	['POST', '/images/A?action=change-stor', undefined, '422 ValidationFailed stor:MissingParameter'],
	['POST', '/images/A?action=change-stor&stor=manta', undefined, '422 ValidationFailed stor:Invalid'],
	['POST', '/images/A?action=change-stor&stor=local&account=U', undefined, '403 OperatorOnly'],
	['PUT', '/images/U/file', 'x', '422 InvalidParameter compression:Missing'],
	['PUT', '/images/U/file?compression=zip', 'x', '422 InvalidParameter compression:Invalid'],
	['PUT', '/images/U/file?compression=gzip&storage=x', 'x', '422 InvalidParameter storage:Invalid'],
	['PUT', '/images/U/file?compression=gzip', '', '400 Download'],
	['PUT', '/images/A/file', 'x', '422 ImageFilesImmutable'],
	['PUT', '/images/N/file?compression=gzip', 'x', '404 ResourceNotFound'],
	['POST', '/images/U/file/from-url?compression=gzip', undefined, '422 InvalidParameter file_url:Missing'],
	[
		'POST',
		'/images/U/file/from-url?compression=gzip',
		{file_url: 'http://x/y'},
		'422 InvalidParameter file_url:Invalid',
	],
	['POST', '/images/U/file/from-url?compression=gzip', {file_url: 5}, '422 InvalidParameter file_url:Invalid'],
	['PUT', '/images/U/icon', 'x', '400 Upload'],
	['DELETE', '/images/U/icon', undefined, '404 ResourceNotFound'],
	['DELETE', '/images/P', undefined, '422 ImageHasDependentImages'],
	['DELETE', '/images/N', undefined, '404 ResourceNotFound'],
] as const) {
	test(`${method} ${path} ${body === undefined ? '' : JSON.stringify(body)} is ${fault}`, async t => {
		const {make, post, send, get} = await start(t);
		const parent = path.includes('/P') ? await make({active: true}) : '';
		if (parent !== '') {
			await make({fields: {origin: parent}});
		}
		const letter = /^\/images\/([A-Z])/.exec(path)?.[1];
		const uuid =
			letter === 'P'
				? parent
				: letter === 'N'
					? randomUUID()
					: await make({file: letter === 'F', active: letter === 'A'});
		const at = path.replace(/\/[A-Z](?=[/?]|$)/, `/${uuid}`).replace('account=U', `account=${randomUUID()}`);
		const before = (await get(`/images/${uuid}`)).text.replace(uuid, '');
		const sent =
			letter === 'N' && isPlain(body) && !('uuid' in body)
				? Object.assign({uuid}, body)
				: (body as object | string | undefined);
		const answer = await (method === 'POST' ? post(at, sent) : send(method, at, sent as string | undefined));
		t.is(faultOf(answer), fault, answer.text);
		t.is((await get(`/images/${uuid}`)).text.replace(uuid, ''), before);
	});
}

test('an icon comes, is served with what it is, is replaced, and goes', async t => {
	const {make, send, get} = await start(t);
	const at = `/images/${await make({active: true})}`;
	const type = {'content-type': 'image/png'};
	t.is(faultOf(await send('PUT', `${at}/icon?sha1=${sha1}`, 'other', type)), '400 Upload');
	t.is(faultOf(await send('PUT', `${at}/icon`, '', type)), '400 Upload');
	t.is(faultOf(await send('PUT', `${at}/icon`, Buffer.alloc(131_073), type)), '400 Upload');
	t.like((await send('PUT', `${at}/icon?sha1=${sha1}`, bytes, type)).json, {icon: true});
	t.like((await send('POST', `${at}/icon`, 'second', {'content-type': 'image/gif'})).json, {icon: true});
	const icon = await get(`${at}/icon`);
	t.is(icon.text, 'second');
	t.is(icon.headers['content-type'], 'image/gif');
	t.false('icon' in ((await send('DELETE', `${at}/icon`)).json as Fields));
	t.is(faultOf(await get(`${at}/icon`)), '404 ResourceNotFound');
});

test('of two who change what they both know, one is told that it has changed', async t => {
	const {make, post, get} = await start(t);
	const at = `/images/${await make({active: true})}`;
	const {etag = ''} = (await get(at)).headers;
	const answers = await Promise.all(
		['one', 'two', 'three'].map(name => post(`${at}?action=update`, {name}, {'if-match': etag})),
	);
	t.deepEqual(answers.map(({status}) => status).sort(), [200, 412, 412]);
	const won = answers.find(({status}) => status === 200);
	t.is((await get(at)).headers.etag, won?.headers.etag);
	t.not(won?.headers.etag, etag);
	const fields = ['description', 'homepage', 'eula', 'tags', 'acl'] as const;
	const values = {description: 'd', homepage: 'http://h/', eula: 'http://e/', tags: {a: 1}, acl: [owner]};
	await Promise.all(fields.map(field => post(`${at}?action=update`, {[field]: values[field]})));
	t.like((await get(at)).json, values);
});

test('an image is in its channels and nowhere else', async t => {
	const channels = [
		{name: 'dev', description: 'new', default: true},
		{name: 'release', description: 'good'},
	];
	const {make, post, send, get} = await start(t, {channels});
	t.deepEqual((await get('/channels')).json, channels);
	const uuid = await make({active: true});
	const at = `/images/${uuid}`;
	const two = {'accept-version': '~2'};
	t.deepEqual(((await get(at, two)).json as Fields)['channels'], ['dev']);
	t.false('channels' in ((await get(at)).json as Fields));
	t.is((await get(`${at}?channel=release`)).status, 404);
	t.is(faultOf(await get(`${at}?channel=x`)), '422 ValidationFailed channel:Invalid');
	t.is(faultOf(await post('/images?channel=*', base)), '422 ValidationFailed channel:Invalid');
	t.is(faultOf(await post(`${at}?action=channel-add`, {channel: 'x'})), '422 ValidationFailed channel:Invalid');
	const added = await post(`${at}?action=channel-add`, {channel: 'release'}, two);
	t.deepEqual((added.json as Fields)['channels'], ['dev', 'release']);
	t.is(added.headers.etag, (await get(`${at}?channel=release`, two)).headers.etag);
	t.not(added.headers.etag, (await get(at)).headers.etag);
	const listed = async (query: string): Promise<readonly unknown[]> =>
		((await get(`/images${query}`, two)).json as Fields[]).map(image => image['channels']);
	t.deepEqual(await listed('?channel=release'), [['dev', 'release']]);
	t.is((await send('DELETE', `${at}?channel=dev`)).status, 204);
	t.deepEqual(await listed(''), []);
	t.deepEqual(await listed('?channel=*'), [['release']]);
	t.is((await send('DELETE', `${at}?channel=*&force_all_channels=true`)).status, 422);
	t.is((await send('DELETE', `${at}?channel=release`)).status, 204);
	t.deepEqual(await listed('?channel=*'), []);
});

test('a larger file than is taken is refused before it comes', async t => {
	const {mirror, make} = await start(t, {publish: {maxFileSize: 1000}});
	const at = `/images/${await make({})}/file?compression=none`;
	const head = {method: 'PUT', headers: {'content-length': 1001, expect: '100-continue'}};
	t.is(faultOf(await ask(mirror.url, at, head)), '400 Upload');
	const chunked = await ask(mirror.url, at, {
		...{method: 'PUT', headers: {'transfer-encoding': 'chunked'}, body: Buffer.alloc(1001)},
	});
	t.is(faultOf(chunked), '400 Upload');
	t.is((await ask(mirror.url, at, {method: 'PUT', body: Buffer.alloc(1000)})).status, 200);
});
