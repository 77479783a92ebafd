import {createHash, randomUUID} from 'node:crypto';
import test from 'ava';
import {
	ForbiddenError,
	NotFoundError,
	PreconditionError,
	RefusedError,
	ValidationError,
	type Refusal,
} from '../../src/errors.js';
import {manifestEtag, parseManifest, servedText, type Manifest} from '../../src/image/manifest.js';
import type {JobStatus} from '../../src/publish/api.js';
import {makeImage} from '../helpers/make-image.js';
import type {Scope} from '../helpers/temp-dir.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import type {PublishVerb} from './fake-publish.js';
import {ask, startFront, type Answer, type AskOptions, type FrontOptions, type StartedFront} from './front.js';

const authorization = basicLogin('pub');
const type = {'content-type': 'application/json'};

function ours(options: Parameters<typeof makeImage>[0] = {}, channels: readonly string[] = []): Manifest {
	const manifest = parseManifest(makeImage(options).text);
	return {...manifest, local: {channels, billingTags: [], stor: 'local'}};
}

interface Started extends StartedFront {
	readonly image: Manifest;
	/** As somebody who may publish. */
	readonly send: (method: string, path: string, options?: AskOptions) => Promise<Answer>;
}

async function start(t: Scope, options: FrontOptions = {}): Promise<Started> {
	const access = new FakeAccess({pub: ['publish'], op: ['operate']});
	const started = await startFront(t, {access, ...options});
	const image = ours();
	started.mirror.publish.put(image);
	return {
		...started,
		image,
		send: (method, path, {headers, ...rest} = {}) =>
			ask(started.url, path.replace('UUID', image.uuid), {
				method,
				headers: {authorization, ...type, ...headers},
				...rest,
			}),
	};
}

interface ErrorAnswer {
	readonly code: string;
	readonly message: string;
	readonly errors?: readonly {readonly field: string; readonly code: string}[];
}

/** `code`, or `code field errorCode`. */
function faultOf({json}: Answer): string {
	const {code, errors = []} = json as ErrorAnswer;
	return [code, ...errors.map(error => `${error.field} ${error.code}`)].join(' ');
}

const url = 'https://other.example/base';

/** Every verb: how it is asked for, and what the publish room is told. */
const verbs: readonly {
	readonly method: string;
	readonly path: string;
	readonly body?: string;
	readonly verb: PublishVerb;
	readonly given?: unknown;
	readonly audit: string;
}[] = [
	{method: 'POST', path: '/images/UUID?action=activate', verb: 'activate', audit: 'activate'},
	{method: 'POST', path: '/images/UUID?action=activate', body: '{}', verb: 'activate', audit: 'activate'},
	{method: 'POST', path: '/images/UUID?action=enable', verb: 'enable', audit: 'enable'},
	{method: 'POST', path: '/images/UUID?action=disable', verb: 'disable', audit: 'disable'},
	{
		...{method: 'POST', path: '/images/UUID?action=update', body: '{"name":"x","tags":null}'},
		...{verb: 'update', given: {name: 'x', tags: null}, audit: 'update'},
	},
	{method: 'POST', path: '/images/UUID?action=update', verb: 'update', given: undefined, audit: 'update'},
	{method: 'POST', path: '/images/UUID?action=update', body: 'null', verb: 'update', given: null, audit: 'update'},
	{
		...{method: 'POST', path: '/images/UUID?action=import', body: '{"v":2,"__proto__":{"x":1}}'},
		...{verb: 'importImage', given: JSON.parse('{"v":2,"__proto__":{"x":1}}') as unknown, audit: 'import'},
	},
	{
		...{method: 'POST', path: `/images/UUID?action=import&source=${encodeURIComponent(url)}`, body: 'not read'},
		...{verb: 'importFrom', given: url, audit: 'import'},
	},
	{
		...{method: 'POST', path: '/images/UUID/acl', body: '["a","b"]'},
		...{verb: 'addAcl', given: ['a', 'b'], audit: 'acl add'},
	},
	{method: 'POST', path: '/images/UUID/acl?action=', verb: 'addAcl', given: undefined, audit: 'acl add'},
	{
		...{method: 'POST', path: '/images/UUID/acl?action=remove', body: '["a"]'},
		...{verb: 'removeAcl', given: ['a'], audit: 'acl remove'},
	},
	{method: 'DELETE', path: '/images/UUID/icon', verb: 'deleteIcon', audit: 'delete-icon'},
	{
		...{method: 'PUT', path: `/images/UUID/file?source=${encodeURIComponent(`${url}?channel=dev`)}`},
		...{verb: 'addFileFrom', given: `${url}?channel=dev`, audit: 'add-file'},
	},
	{
		...{method: 'POST', path: '/images/UUID/file/from-url?compression=xz&sha1=AB&dataset_guid=5&storage=local'},
		...{body: '{"file_url":"https://x/y"}', verb: 'addFileFromUrl', audit: 'add-file-from-url'},
		given: {url: 'https://x/y', compression: 'xz', sha1: 'AB', datasetGuid: '5', storage: 'local'},
	},
	...[undefined, '[]', '{"file_urls":1}', '"https://x"'].map(body => ({
		...{method: 'POST', path: '/images/UUID/file/from-url?sha1=', ...(body === undefined ? {} : {body})},
		...{verb: 'addFileFromUrl' as const, audit: 'add-file-from-url'},
		given: {url: undefined, compression: undefined, sha1: undefined, datasetGuid: undefined, storage: undefined},
	})),
	{
		method: 'POST',
		path: '/images/UUID?action=change-stor&stor=local',
		verb: 'changeStor',
		given: 'local',
		audit: 'change-stor',
	},
	{method: 'POST', path: '/images/UUID?action=change-stor', verb: 'changeStor', given: undefined, audit: 'change-stor'},
];

for (const {method, path, body, verb, given, audit} of verbs) {
	test(`${method} ${path} with ${body ?? 'no body'} is ${verb}, and answers with the image`, async t => {
		const {image, mirror, host, send} = await start(t);
		const answer = await send(method, `${path}${path.includes('?') ? '&' : '?'}account=A&channel=C`, {
			...(body === undefined ? {} : {body}),
		});
		t.is(answer.status, 200);
		t.is(answer.headers['content-type'], 'application/json');
		const call = mirror.publish.calls[0];
		t.is(mirror.publish.calls.length, 1);
		t.is(call?.verb, verb);
		t.is(call?.uuid, image.uuid);
		t.deepEqual(call?.given, given);
		t.deepEqual(call?.change.actor, {name: 'pub', operator: false});
		t.is(call?.change.account, 'A');
		t.is(call?.change.channel, 'C');
		t.is(call?.change.precondition, undefined);
		t.is(call?.change.ask.requestId, answer.headers['x-request-id'] as string);
		t.false(call?.change.ask.signal.aborted);
		const shown = {channels: false, admin: verb === 'changeStor'};
		t.deepEqual(answer.json, JSON.parse(servedText(image, shown)));
		t.is(answer.headers.etag, verb === 'changeStor' ? undefined : `"${manifestEtag(image, shown)}"`);
		const line = await host.logged(/"msg":"audit"/);
		t.deepEqual(line['audit'], {
			...{user: 'pub', credential: 'password', address: '127.0.0.1'},
			...{action: audit, image: image.uuid, status: 200},
		});
		t.is(host.linesLike(/"msg":"audit"/).length, 1);
	});
}

test('create answers 200 with the new image, which the audit names', async t => {
	const {mirror, host, send} = await start(t);
	const {made} = mirror.publish;
	const answer = await send('POST', '/images?account=A&channel=C', {body: '{"name":"n"}'});
	t.is(answer.status, 200);
	t.is(answer.text, JSON.stringify(JSON.parse(made.text), null, 2));
	t.is(answer.headers.etag, `"${manifestEtag(made)}"`);
	t.like(mirror.publish.calls[0], {verb: 'create', given: {name: 'n'}, change: {account: 'A', channel: 'C'}});
	t.like((await host.logged(/"msg":"audit"/))['audit'], {action: 'create', image: made.uuid, status: 200});
});

test('an operator is told from others, and the sender of a manifest from older ones', async t => {
	const {mirror, send} = await start(t);
	await send('POST', '/images/UUID?action=import', {
		headers: {authorization: basicLogin('op'), 'user-agent': 'imgadm/3.7.3 (x)'},
		body: '{}',
	});
	t.like(mirror.publish.calls[0]?.change, {actor: {name: 'op', operator: true}, userAgent: 'imgadm/3.7.3 (x)'});
});

test('delete answers 204 and no more, and is about a channel, or all of them', async t => {
	const {image, mirror, send} = await start(t);
	const answer = await send('DELETE', '/images/UUID?force_all_channels=true&channel=dev', {
		headers: {'content-length': 0},
	});
	t.is(answer.status, 204);
	t.is(answer.body.length, 0);
	t.is(answer.headers.etag, undefined);
	t.like(mirror.publish.calls[0], {verb: 'delete', given: {forceAllChannels: true}, change: {channel: 'dev'}});
	t.is((await send('DELETE', '/images/UUID')).status, 404);
	t.deepEqual(mirror.publish.calls[1]?.given, {forceAllChannels: false});
	t.is((await send('DELETE', '/images/UUID?force_all_channels=yes')).status, 422);
	t.is(mirror.publish.calls.length, 2);
	t.is((await send('GET', `/images/${image.uuid}`)).status, 404);
});

for (const [method, path, status, fault, body] of [
	['POST', '/images/UUID', 422, 'InvalidParameter action MissingParameter'],
	['POST', '/images/UUID?action=', 422, 'InvalidParameter action MissingParameter'],
	['POST', '/images/UUID?action=burn', 422, 'InvalidParameter action Invalid'],
	['POST', '/images/UUID?action=copy-remote', 422, 'InvalidParameter action Invalid'],
	['POST', '/images/UUID?action=channel-add', 422, 'InvalidParameter action Invalid'],
	['POST', '/images/UUID?action=constructor', 422, 'InvalidParameter action Invalid'],
	['POST', '/images/UUID?action=enable&action=disable', 422, 'InvalidParameter action Invalid'],
	['POST', '/images/NONE', 404, 'ResourceNotFound'],
	['POST', '/images/NONE?action=burn', 404, 'ResourceNotFound'],
	['POST', '/images?action=burn', 422, 'InvalidParameter action Invalid'],
	['POST', '/images?action=create-from-vm', 501, 'NotAvailable'],
	['POST', '/images?action=import-docker-image', 501, 'NotAvailable'],
	['POST', '/images?action=import-lxd-image', 501, 'NotAvailable'],
	['POST', '/images/UUID/acl?action=burn', 422, 'InvalidParameter action Invalid'],
	['POST', '/images/UUID?action=import&skip_owner_check=1', 422, 'InvalidParameter skip_owner_check Invalid'],
	['POST', '/images/UUID?action=import-from-datacenter', 422, 'ValidationFailed account MissingParameter'],
	['POST', '/images/UUID?action=import-from-datacenter&account=x', 422, 'ValidationFailed datacenter MissingParameter'],
	[
		...(['POST', '/images/UUID?action=import-from-datacenter&account=x&datacenter=y', 422] as const),
		'ValidationFailed datacenter Invalid',
	],
	['POST', '/images/NONE?action=export', 404, 'ResourceNotFound'],
	['POST', '/images/UUID?action=export', 422, 'ValidationFailed manta_path MissingParameter'],
	['POST', '/images/UUID?action=export&manta_path=here', 422, 'InvalidParameter manta_path Invalid'],
	['POST', '/images/UUID?action=export&manta_path=/me/elsewhere', 422, 'InvalidParameter manta_path Invalid'],
	['POST', '/images/UUID?action=export&manta_path=/me/stor/dir', 503, 'StorageUnsupported'],
	['POST', '/images/UUID/push', 422, 'ValidationFailed type Invalid'],
	['POST', '/images/NONE/push', 404, 'ResourceNotFound'],
	['POST', '/images/UUID/clone?account=x', 501, 'NotAvailable'],
	['PUT', '/images/UUID/icon?storage=local&account=x', 422, 'InvalidParameter storage NotAllowed'],
	['PUT', '/images/UUID/file?compression=xz&compression=xz', 422, 'InvalidParameter compression Invalid'],
	['POST', '/images/UUID?action=enable&inclAdminFields=1', 422, 'InvalidParameter inclAdminFields Invalid'],
	['POST', '/images/UUID?action=enable&account=a&account=b', 422, 'InvalidParameter account Invalid'],
	['POST', '/images/UUID?action=update', 400, 'InvalidContent', '{'],
	['POST', '/images', 400, 'InvalidContent', '{"a":1}}'],
	['POST', '/images/UUID/acl', 400, 'InvalidContent', '['],
] as const) {
	test(`${method} ${path} ${body ?? ''} is ${status} ${fault}, and changes nothing`, async t => {
		const {mirror, host, send} = await start(t);
		const answer = await send(method, path.replace('NONE', randomUUID()), {...(body === undefined ? {} : {body})});
		t.is(answer.status, status);
		t.is(faultOf(answer), fault);
		t.is(mirror.publish.calls.length, 0);
		t.like((await host.logged(/"msg":"audit"/))['audit'], {user: 'pub', status, code: fault.split(' ')[0]});
	});
}

test('a push of a docker image is what this server does not do', async t => {
	const {mirror, send} = await start(t);
	const docker = ours({type: 'docker'});
	mirror.publish.put(docker);
	const answer = await send('POST', `/images/${docker.uuid}/push`);
	t.is(answer.status, 501);
	t.is(faultOf(answer), 'NotAvailable');
});

const refusals: readonly (readonly [Refusal, number])[] = [
	['ImageFilesImmutable', 422],
	['ImageAlreadyActivated', 422],
	['NoActivationNoFile', 422],
	['OperatorOnly', 403],
	['ImageUuidAlreadyExists', 409],
	['Upload', 400],
	['Download', 400],
	['StorageUnsupported', 503],
	['NotImageOwner', 422],
	['OriginDoesNotExist', 422],
	['OriginIsNotActive', 422],
	['ImageHasDependentImages', 422],
	['NotAvailable', 501],
	['NotImplemented', 400],
];

test("what the publish room refuses is told in IMGAPI's words", async t => {
	const {mirror, send} = await start(t);
	const told = async (error: unknown): Promise<Answer> => {
		mirror.publish.before.activate = () => {
			throw error;
		};
		return send('POST', '/images/UUID?action=activate');
	};
	for (const [refusal, status] of refusals) {
		const answer = await told(new RefusedError(refusal, 'why'));
		t.is(answer.status, status, refusal);
		t.deepEqual(answer.json, {code: refusal, message: 'why'});
	}
	const errors = [
		{field: 'name', code: 'MissingParameter'},
		{field: 'requirements.max_ram', code: 'Invalid', message: 'too small'},
	] as const;
	t.deepEqual((await told(new ValidationError('wrong', errors))).json, {
		code: 'ValidationFailed',
		message: 'wrong',
		errors,
	});
	t.deepEqual((await told(new ValidationError('nothing to do', []))).json, {
		...{code: 'ValidationFailed', message: 'nothing to do', errors: []},
	});
	for (const [error, status, code] of [
		[new ForbiddenError('no'), 403, 'NotAuthorizedError'],
		[new PreconditionError('no'), 412, 'PreconditionFailed'],
		[new NotFoundError('no'), 404, 'ResourceNotFound'],
	] as const) {
		const answer = await told(error);
		t.is(answer.status, status);
		t.deepEqual(answer.json, {code, message: 'no'});
	}
});

test('a remote import is a job, which its client finds where the answer says', async t => {
	const access = new FakeAccess({pub: ['publish'], op: ['operate']});
	const {image, mirror, send, url: base} = await start(t, {access});
	const job: JobStatus = {
		...{uuid: randomUUID() as JobStatus['uuid'], name: 'import-remote', execution: 'running'},
		...{image_uuid: image.uuid, created_at: '2026-01-01T00:00:00.000Z', chain_results: []},
		task: 'import-remote-image',
	};
	mirror.publish.jobs = [job, {...job, uuid: randomUUID() as JobStatus['uuid'], execution: 'succeeded'}];
	const path = `/images/UUID?action=import-remote&source=${encodeURIComponent(url)}`;
	const answer = await send('POST', path);
	t.is(answer.status, 200);
	t.deepEqual(answer.json, {image_uuid: image.uuid, job_uuid: job.uuid});
	t.is(answer.headers.etag, undefined);
	t.is(answer.headers['workflow-api'], base);
	t.is(mirror.publish.calls[0]?.given, url);
	t.deepEqual((await ask(base, `/jobs/${job.uuid}`)).json, job);
	t.is((await ask(base, `/jobs/${randomUUID()}`)).status, 404);
	t.is((await ask(base, '/jobs/x')).status, 404);
	const listed = async (query: string, uuid: string = image.uuid): Promise<readonly string[]> =>
		((await ask(base, `/images/${uuid}/jobs${query}`)).json as JobStatus[]).map(({execution}) => execution);
	t.deepEqual(await listed(''), ['running', 'succeeded']);
	t.deepEqual(await listed('?execution=running&task='), ['running']);
	t.deepEqual(await listed('?task=import-remote-image&execution=succeeded'), ['succeeded']);
	t.deepEqual(await listed('?task=import-remote'), ['running', 'succeeded']);
	t.deepEqual(await listed('?task=create-from-vm'), []);
	const coming = randomUUID();
	mirror.publish.jobs = [{...job, image_uuid: coming as JobStatus['uuid']}];
	t.deepEqual(await listed('', coming), ['running'], 'of an image that is still to come');
	access.network = ['read'];
	t.deepEqual(await listed(''), [], 'strangers do not hear where images come from');
	t.is((await ask(base, `/images/${coming}/jobs`)).status, 404);
	await send('POST', '/images/UUID?action=import-remote');
	t.is(mirror.publish.calls.at(-1)?.given, undefined);
});

for (const [settings, headers, base] of [
	[{basePath: '/m'}, {host: 'images.example:81'}, 'http://images.example:81/m'],
	[{basePath: '/m', publicUrl: 'https://images.example/m'}, {}, 'https://images.example/m'],
] as const) {
	test(`workflow-api is ${base}, as is the rest of the server`, async t => {
		const {image, mirror, send} = await start(t, settings);
		mirror.publish.jobs = [
			{
				...{uuid: randomUUID() as JobStatus['uuid'], name: 'x', execution: 'queued', image_uuid: image.uuid},
				...{created_at: '', chain_results: []},
			},
		];
		const answer = await send('POST', '/m/images/UUID?action=import-remote&source=x', {headers});
		t.is(answer.headers['workflow-api'], base);
	});
}

test('channels are listed, belong to manifests of the second version, and have their ETag', async t => {
	const {url: base, mirror, send} = await start(t);
	t.is((await ask(base, '/channels')).status, 404);
	mirror.publish.channels = [
		{name: 'dev', description: 'what is new', default: true},
		{name: 'release', description: 'what is good'},
	];
	t.deepEqual((await ask(base, '/channels')).json, mirror.publish.channels);
	const image = ours({}, ['dev', 'release']);
	const elsewhere = ours({}, ['release']);
	mirror.publish.put(image);
	mirror.publish.put(elsewhere);
	const at = `/images/${image.uuid}`;
	const etags = new Map<string, string>();
	for (const [range, shows] of [
		['~1', false],
		['', false],
		['~2', true],
		['*', true],
		['>=2', true],
		['~1||~2', true],
	] as const) {
		const headers = {'accept-version': range};
		const {json, headers: got, text} = await ask(base, at, {headers});
		t.deepEqual((json as {channels?: unknown}).channels, shows ? ['dev', 'release'] : undefined, range);
		t.is(
			got.etag,
			`"${createHash('sha1')
				.update(JSON.stringify(JSON.parse(text)))
				.digest('hex')}"`,
		);
		t.is((await ask(base, at, {headers: {...headers, 'if-none-match': got.etag ?? ''}})).status, 304);
		etags.set(String(shows), got.etag ?? '');
		const added = await send('POST', `${at}?action=channel-add`, {
			headers: {...headers, 'if-match': got.etag ?? ''},
			body: '{"channel":"release"}',
		});
		t.is(added.status, 200);
		t.is(added.text, text);
		t.is(added.headers.etag, got.etag);
	}
	t.is(new Set(etags.values()).size, 2);
	t.like(mirror.publish.calls[0], {verb: 'channelAdd', given: {channel: 'release'}});
	for (const [path, status] of [
		[`/images/${elsewhere.uuid}`, 404],
		[`/images/${elsewhere.uuid}/jobs`, 404],
		[`/images/${elsewhere.uuid}?channel=dev`, 404],
		[`/images/${elsewhere.uuid}?channel=release`, 200],
		[`/images/${elsewhere.uuid}?channel=*`, 200],
		[`/datasets/${elsewhere.uuid}`, 200],
		[`/datasets/${elsewhere.uuid}?channel=dev`, 404],
	] as const) {
		t.is((await ask(base, path)).status, status, path);
	}
});

test('a channel that there is not is said before a manifest is read', async t => {
	const {mirror, send} = await start(t);
	mirror.publish.readChannel = () => {
		throw new ValidationError('no such channel', [{field: 'channel', code: 'Invalid'}]);
	};
	t.is(faultOf(await send('POST', '/images?channel=x', {body: '{'})), 'ValidationFailed channel Invalid');
	t.is(faultOf(await send('GET', '/images/UUID?channel=x&account=x')), 'ValidationFailed channel Invalid');
	t.is(faultOf(await send('GET', '/images?channel=x&limit=x')), 'ValidationFailed channel Invalid');
});

test('what is not done here is said only of images in the channel, and for the account, that asks', async t => {
	const {mirror, send} = await start(t);
	mirror.publish.channels = [{name: 'dev', description: 'what is new', default: true}];
	t.is(faultOf(await send('POST', '/images?channel=*', {body: '{'})), 'ValidationFailed channel Invalid');
	const image = ours({}, ['dev']);
	const elsewhere = ours({}, ['release']);
	mirror.publish.put(image);
	mirror.publish.put(elsewhere);
	for (const [path, fault] of [
		['?action=export', 'ValidationFailed manta_path MissingParameter'],
		['?action=burn', 'InvalidParameter action Invalid'],
		['/push?', 'ValidationFailed type Invalid'],
	] as const) {
		const at = `/images/${image.uuid}${path}`;
		t.is(faultOf(await send('POST', at)), fault);
		t.is(faultOf(await send('POST', `${at}&channel=*`)), 'ValidationFailed channel Invalid');
		t.is(faultOf(await send('POST', `${at}&account=x`)), 'InvalidParameter account Invalid');
		t.is(faultOf(await send('POST', `/images/${elsewhere.uuid}${path}`)), 'ResourceNotFound');
		t.is(faultOf(await send('POST', `${at}&account=${image.owner}`)), fault);
		// What is no verb at all is told to everybody.
		const toOthers = path === '?action=burn' ? fault : 'NotImageOwner';
		t.is(faultOf(await send('POST', `${at}&account=${randomUUID()}`)), toOthers);
	}
});

test('a change is made only to the image that its client knows', async t => {
	const {image, mirror, send} = await start(t);
	const etag = manifestEtag(image);
	const admin = manifestEtag(image, {channels: false, admin: true});
	t.not(etag, admin);
	for (const path of [
		'/images/UUID?action=activate',
		'/images/UUID?action=update',
		'/images/UUID?action=enable',
		'/images/UUID?action=disable',
		'/images/UUID/acl',
		'/images/UUID?action=change-stor',
	]) {
		for (const [tag, status] of [
			[`"${etag}"`, 200],
			[etag, 200],
			['*', 200],
			[`"x", ${etag}`, 200],
			['"x"', 412],
			[admin, 412],
			['', 412],
		] as const) {
			const answer = await send('POST', path, {headers: {'if-match': tag}});
			t.is(answer.status, status, `${path} ${tag}`);
			if (status === 412) {
				t.is(faultOf(answer), 'PreconditionFailed');
			}
		}
	}
	t.is(
		(await send('POST', '/images/UUID?action=enable&inclAdminFields=true', {headers: {'if-match': admin}})).status,
		200,
	);
	t.is((await send('DELETE', '/images/UUID', {headers: {'if-match': '"x"'}})).status, 412);
	t.is((await send('GET', '/images/UUID', {headers: {'if-match': '"x"'}})).status, 412);
	t.is((await send('GET', '/images/UUID', {headers: {'if-match': etag}})).status, 200);
	t.is(mirror.publish.get(image.uuid), image);
});

test('operators see where the files are, others are asked who they are', async t => {
	const {image, url: base, send} = await start(t);
	const files = ({json}: Answer): readonly {stor?: string}[] => (json as {files: {stor?: string}[]}).files;
	const plain = await send('GET', '/images/UUID');
	const admin = await send('GET', '/images/UUID?inclAdminFields=true');
	t.is(files(plain)[0]?.stor, undefined);
	t.is(files(admin)[0]?.stor, 'local');
	t.not(admin.headers.etag, plain.headers.etag);
	t.is((await ask(base, `/images/${image.uuid}?inclAdminFields=true`)).status, 401);
	t.is(files(await send('POST', '/images/UUID?action=enable&inclAdminFields=true'))[0]?.stor, 'local');
});

test('an icon is handed on with its type, as PUT and as POST', async t => {
	const {mirror, send} = await start(t);
	for (const method of ['PUT', 'POST']) {
		const answer = await send(method, '/images/UUID/icon?sha1=abc', {
			headers: {'content-type': 'image/png; charset=x'},
			body: 'an icon',
		});
		t.is(answer.status, 200);
		t.like(mirror.publish.calls.at(-1)?.given, {contentType: 'image/png; charset=x', sha1: 'abc', size: 7});
		t.is(mirror.publish.bodies.at(-1)?.toString(), 'an icon');
	}
});
