import {createHash} from 'node:crypto';
import test from 'ava';
import type {ImportEvent} from '../../src/airgap/api.js';
import {allRoutes} from '../../src/http/all-routes.js';
import {operations} from '../../src/http/openapi-operations.js';
import {openApi, template} from '../../src/http/openapi.js';
import {rowParams} from '../../src/http/image-rows.js';
import {testHost} from '../helpers/test-host.js';
import {makeImage} from '../helpers/make-image.js';
import {FakeAccess} from './fake-access.js';
import {imported} from './fake-airgap.js';
import {FakeMirror} from './fake-mirror.js';
import {uuidNumber} from './fake-operate.js';
import {ask, behind, settings, startFront, version} from './front.js';

interface Described {
	readonly operationId: string;
	readonly tags: readonly string[];
	readonly summary: string;
	readonly parameters?: readonly {
		readonly name: string;
		readonly in: string;
		readonly required?: boolean;
		readonly schema: object;
	}[];
	readonly requestBody?: {readonly content: Readonly<Record<string, {readonly schema: object}>>};
	readonly responses: Readonly<
		Record<string, {readonly content?: Readonly<Record<string, {readonly schema: object}>>}>
	>;
	readonly security: readonly object[];
}

interface Document {
	readonly openapi: string;
	readonly servers: readonly {readonly url: string}[];
	readonly tags: readonly {readonly name: string}[];
	readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
	readonly components: Readonly<Record<string, Readonly<Record<string, object>>>>;
}

const document = openApi({version, base: 'http://here'}) as unknown as Document;
const described = Object.entries(document.paths).flatMap(([path, item]) =>
	Object.entries(item).map(([method, operation]) => ({path, method, operation})),
);

const routes = allRoutes({
	...behind(),
	...{mirror: new FakeMirror(), access: new FakeAccess(), host: testHost(), version, instanceId: 'x'},
	...{settings: () => settings, page: undefined, stopping: new AbortController().signal, native: undefined},
});

test('every route and method is described, and nothing else', t => {
	const served = routes.flatMap(({path, methods}) => Object.keys(methods).map(method => `${method} ${path}`)).sort();
	t.deepEqual(operations.map(({method, path}) => `${method} ${path}`).sort(), served);
	for (const path of new Set(routes.map(route => route.path))) {
		const methods = new Set(routes.filter(route => route.path === path).flatMap(({methods: own}) => Object.keys(own)));
		const all = [...methods, 'OPTIONS', ...(methods.has('GET') ? ['HEAD'] : [])];
		t.deepEqual(
			Object.keys(document.paths[template(path)] ?? {}).sort(),
			[...new Set(all)].map(method => method.toLowerCase()).sort(),
			path,
		);
	}
});

test('each needs the right that it is said to need', t => {
	for (const {path, methods} of routes) {
		for (const [method, given] of Object.entries(methods)) {
			const right =
				typeof given === 'function' ? 'read' : (given.right ?? (given.auth === 'strict' ? 'publish' : undefined));
			const told = operations.find(operation => operation.path === path && operation.method === method)?.right;
			// Only looked at by whoever sends a login.
			const expected = path === '/ping' ? 'read' : right;
			t.is(told, path === '/uploads' && method === 'OPTIONS' ? undefined : expected, `${method} ${path}`);
		}
	}
});

test('the document holds together', t => {
	t.is(document.openapi, '3.1.0');
	const text = JSON.stringify(document);
	for (const [, reference = ''] of text.matchAll(/"\$ref":"([^"]+)"/g)) {
		const [hash, ...steps] = reference.split('/');
		t.is(hash, '#');
		let found: unknown = document;
		for (const step of steps) {
			found = (found as Record<string, unknown>)[step];
		}
		t.is(typeof found, 'object', reference);
	}
	const used = new Set([...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name));
	t.deepEqual([...used].sort(), Object.keys(document.components['schemas'] ?? {}).sort());
	const ids = described.map(({operation}) => operation.operationId);
	t.is(new Set(ids).size, ids.length);
	const tags = document.tags.map(({name}) => name);
	for (const {path, method, operation} of described) {
		const at = `${method} ${path}`;
		const parameters = operation.parameters ?? [];
		t.deepEqual(
			parameters.filter(each => each.in === 'path').map(({name}) => name),
			[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? ''),
			at,
		);
		t.true(
			parameters.every(each => each.in !== 'path' || each.required === true),
			at,
		);
		t.is(new Set(parameters.map(({name, in: where}) => `${where} ${name}`)).size, parameters.length, at);
		t.true(tags.includes(operation.tags[0] ?? ''), at);
		t.true(operation.summary.length > 0 && !operation.summary.endsWith('.'), at);
		t.true('default' in operation.responses, at);
		for (const name of operation.security.flatMap(each => Object.keys(each))) {
			t.true(name in (document.components['securitySchemes'] ?? {}), name);
		}
		t.true(method !== 'get' || operation.requestBody === undefined, at);
	}
	t.deepEqual(Object.keys(document.components['securitySchemes'] ?? {}), ['basic', 'bearer', 'signature', 'session']);
	t.deepEqual(
		document.paths['/mirror/images']?.['get']?.parameters?.map(({name}) => name),
		rowParams,
	);
});

/** What of a value is not as the schema says; the few words that our schemas are made of. */
function* faults(schema: object, value: unknown, at = ''): Generator<string> {
	const {
		$ref,
		type,
		properties = {},
		required = [],
		items,
		additionalProperties,
	} = schema as {
		readonly $ref?: string;
		readonly type?: string;
		readonly properties?: Readonly<Record<string, object>>;
		readonly required?: readonly string[];
		readonly items?: object;
		readonly additionalProperties?: boolean | object;
	};
	const words = schema as {enum?: unknown[]; const?: unknown; oneOf?: object[]; anyOf?: object[]; pattern?: string};
	if ($ref !== undefined) {
		yield* faults(document.components['schemas']?.[$ref.split('/').at(-1) ?? ''] ?? {}, value, at);
	}
	for (const choices of [words.oneOf, words.anyOf]) {
		if (choices !== undefined && !choices.some(choice => [...faults(choice, value)].length === 0)) {
			yield `${at}: ${JSON.stringify(value)} is none of them`;
		}
	}
	if (words.enum !== undefined && !words.enum.includes(value)) {
		yield `${at}: ${JSON.stringify(value)} is not in the list`;
	}
	if ('const' in words && words.const !== value) {
		yield `${at}: is not ${JSON.stringify(words.const)}`;
	}
	const actual = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
	if (type !== undefined && actual !== (type === 'integer' ? 'number' : type)) {
		yield `${at}: is ${actual}, not ${type}`;
		return;
	}
	if (type === 'integer' && !Number.isInteger(value)) {
		yield `${at}: is not whole`;
	}
	if (Array.isArray(value) && items !== undefined) {
		for (const [place, item] of value.entries()) {
			yield* faults(items, item, `${at}[${place}]`);
		}
	}
	if (actual === 'object' && type === 'object') {
		const fields = value as Record<string, unknown>;
		for (const name of required.filter(each => !(each in fields))) {
			yield `${at}.${name}: is missing`;
		}
		for (const [name, field] of Object.entries(fields)) {
			const own = properties[name] ?? (typeof additionalProperties === 'object' ? additionalProperties : undefined);
			if (own !== undefined) {
				yield* faults(own, field, `${at}.${name}`);
			} else if (additionalProperties !== true && Object.keys(properties).length > 0) {
				yield `${at}.${name}: is not described`;
			}
		}
	}
}

test('answers are as they are described', async t => {
	const image = makeImage();
	const {url, mirror, airgap} = await startFront(t, {
		images: [image],
		access: new FakeAccess({}, {network: ['operate']}),
	});
	mirror.ready = {ready: true, problems: [], warnings: ['a source is down']};
	const known = uuidNumber(1);
	const body = JSON.stringify;
	const spoiled: ImportEvent = {...{what: 'done', uuid: known, name: 'x', version: '1', bytes: 1}, outcome: 'failed'};
	const lines = {accept: 'application/x-ndjson'};
	airgap.importing = async function* (piped, {options}) {
		for await (const piece of piped) {
			t.is(piece.toString(), 'x');
		}
		yield* options.allowUnsigned ? [spoiled, {...imported.at(-1), failed: 1} as ImportEvent] : imported;
	};
	for (const [method, path, at, sent, headers] of [
		['GET', '/ping', '/ping'],
		['GET', '/images', '/images'],
		['GET', '/images/{uuid}', `/images/${image.uuid}`],
		['GET', '/datasets', '/datasets'],
		['GET', '/datasets/{id}', `/datasets/${image.uuid}`],
		['GET', '/mirror/images', '/mirror/images'],
		['GET', '/mirror/images/{uuid}', `/mirror/images/${known}`],
		['POST', '/mirror/images/{uuid}', `/mirror/images/${known}?action=pin`],
		['POST', '/mirror/images/{uuid}', `/mirror/images/${known}?action=hold`, '{}'],
		['POST', '/mirror/images/{uuid}', `/mirror/images/${known}?action=release`],
		['POST', '/mirror/evict', '/mirror/evict', body({uuids: [known]})],
		['GET', '/mirror/storage', '/mirror/storage'],
		['POST', '/mirror/verify', '/mirror/verify'],
		['GET', '/mirror/prefetch', '/mirror/prefetch'],
		['POST', '/mirror/prefetch', '/mirror/prefetch', body({selection: {}, dryRun: true})],
		['POST', '/mirror/prefetch', '/mirror/prefetch', body({selection: {}})],
		['POST', '/mirror/prefetch/run', '/mirror/prefetch/run?rule=newest'],
		['GET', '/mirror/sources', '/mirror/sources'],
		['GET', '/mirror/conflicts', '/mirror/conflicts'],
		['GET', '/mirror/transfers', '/mirror/transfers'],
		['GET', '/mirror/failures', '/mirror/failures'],
		['GET', '/mirror/held', '/mirror/held'],
		['GET', '/mirror/history', '/mirror/history'],
		['POST', '/mirror/refresh', '/mirror/refresh'],
		['GET', '/mirror/log', '/mirror/log'],
		['PUT', '/import', '/import', 'x'],
		['PUT', '/import', '/import?dryRun=true', 'x', lines],
		['PUT', '/import', '/import?allowUnsigned=true', 'x'],
		['POST', '/mirror/export', '/mirror/export', body({all: true})],
		['POST', '/mirror/keys', '/mirror/keys'],
		['GET', '/mirror/keys', '/mirror/keys'],
		['POST', '/mirror/keys/trusted', '/mirror/keys/trusted', body({key: 'ssh-ed25519 AAAA far'})],
		['POST', '/mirror/check', '/mirror/check', body({name: 'x', typo: 1})],
		['GET', '/session', '/session'],
		['GET', '/status', '/status'],
		['GET', '/state', '/state'],
		['GET', '/healthz', '/healthz'],
		['GET', '/readyz', '/readyz'],
		['GET', '/docs/openapi.json', '/docs/openapi.json'],
	] as const) {
		const answer = await ask(url, at, {
			...{method, headers: headers ?? {}},
			...(sent === undefined ? {} : {body: sent}),
		});
		const told = document.paths[path]?.[method.toLowerCase()]?.responses[String(answer.status)];
		const type = String(answer.headers['content-type']).split(';')[0] ?? '';
		const schema = told?.content?.[type]?.schema;
		if (schema === undefined) {
			t.fail(`${method} ${at}: ${answer.status} ${type} is not described`);
			continue;
		}
		const values: readonly unknown[] =
			type === 'application/x-ndjson'
				? answer.text
						.trimEnd()
						.split('\n')
						.map(line => JSON.parse(line) as unknown)
				: [answer.json];
		for (const value of values) {
			t.deepEqual([...faults(schema, value, at)], []);
		}
	}
	const error = (await ask(url, '/mirror/images?typo=1')).json;
	t.deepEqual([...faults({$ref: '#/components/schemas/Error'}, error)], []);
});

test('the document says where this server is', async t => {
	const {url, port} = await startFront(t, {basePath: '/img'});
	const get = async (path: string, headers: Record<string, string> = {}): Promise<Document> =>
		(await ask(url, path, {headers})).json as Document;
	t.is((await get('/img/docs/openapi.json')).servers[0]?.url, `http://127.0.0.1:${port}/img`);
	t.is((await get('/img/docs/openapi.json', {host: 'mirror.example'})).servers[0]?.url, 'http://mirror.example/img');
	const named = await startFront(t, {publicUrl: 'https://pub.example/x'});
	const answer = await ask(named.url, '/docs/openapi.json', {headers: {'accept-encoding': 'gzip'}});
	t.is(answer.headers['content-encoding'], 'gzip');
	const again = await ask(named.url, '/docs/openapi.json', {
		headers: {'accept-encoding': 'gzip', 'if-none-match': String(answer.headers.etag)},
	});
	t.is(again.status, 304);
	t.is(((await ask(named.url, '/docs/openapi.json')).json as Document).servers[0]?.url, 'https://pub.example/x');
});

test('the page for people has every operation, and needs nothing from anywhere', async t => {
	const {url, port} = await startFront(t);
	const {headers, text} = await ask(url, '/docs/');
	const [, style = ''] = /<style>(.*?)<\/style>/s.exec(text) ?? [];
	const hash = createHash('sha256').update(style).digest('base64');
	t.true(String(headers['content-security-policy']).includes(`style-src 'sha256-${hash}'`));
	t.false(/<script|<style [^>]|\bstyle=|\bsrc=|@import|url\(|https?:\/\/(?!127\.0\.0\.1)/.test(text));
	const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
	t.is(new Set(ids).size, ids.length);
	for (const [, target = ''] of text.matchAll(/href="([^"]+)"/g)) {
		t.true(target === 'openapi.json' || ids.includes(target.replace('#', '')), target);
	}
	for (const {id, method, path} of operations) {
		t.true(ids.includes(id), id);
		t.true(text.includes(`<code>${method} ${path}</code>`), path);
	}
	t.true(text.includes(`curl -N http://127.0.0.1:${port}/events`));
	t.true(text.includes('prefers-color-scheme:dark'));
	t.regex(text, /x-cache.*hit.*join.*miss.*stale/s);
	// Every element is closed, as far as they have to be.
	for (const name of ['article', 'section', 'table', 'tr', 'td', 'p', 'pre', 'code', 'a', 'ul', 'li', 'main', 'nav']) {
		const opened = text.match(new RegExp(`<${name}[ >]`, 'g'))?.length;
		t.is(text.match(new RegExp(`</${name}>`, 'g'))?.length, opened, name);
	}
	const hostile = await ask(url, '/docs/', {headers: {host: 'x<script>'}});
	t.is(hostile.status, 400);
});
