import {createHash} from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import type {Scope} from '../helpers/temp-dir.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ask, hears, open, startFront, type Answer, type StartedFront} from './front.js';

const authorization = basicLogin('pub');
const json = 'application/json';
const form = 'application/x-www-form-urlencoded';

interface Started extends StartedFront {
	readonly create: (body: string | Buffer, headers: Readonly<Record<string, string>>) => Promise<Answer>;
	/** What the publish room was given last. */
	readonly given: () => unknown;
}

async function start(t: Scope): Promise<Started> {
	const started = await startFront(t, {access: new FakeAccess({pub: ['publish']})});
	const {url, mirror} = started;
	return {
		...started,
		create: (body, headers) => ask(url, '/images', {method: 'POST', body, headers: {authorization, ...headers}}),
		given: () => mirror.publish.calls.at(-1)?.given,
	};
}

function codeOf(answer: Answer): string {
	return (answer.json as {code: string}).code;
}

const manifest = '{"name":"ünï","tags":{"a":[1,null,true]}}';
const parsed: unknown = JSON.parse(manifest);

for (const [what, type, body, value] of [
	['JSON', json, manifest, parsed],
	['JSON with parameters', 'Application/JSON ; charset="UTF-8"; x=y', manifest, parsed],
	['JSON of a dialect', 'application/vnd.x+json', manifest, parsed],
	['JSON after a byte order mark', json, `\uFEFF${manifest}`, parsed],
	['JSON that curl takes for a form', form, manifest, parsed],
	['JSON that curl takes for a form, after white space', form, `\n  ${manifest}\n`, parsed],
	['an array that curl takes for a form', form, '["a"]', ['a']],
	['JSON without a type', '', manifest, undefined],
	['an array', json, '[]', []],
	['null', json, 'null', null],
	['a string', json, '"x"', 'x'],
	['a number', json, '42', 42],
	['nothing', json, '', undefined],
	['white space', json, ' \r\n\t', undefined],
	['nothing in a form', form, '', undefined],
	['text without a type', '', 'name=x', undefined],
	['JSON called text', 'text/plain', manifest, undefined],
	['JSON called text of that kind', 'text/json', manifest, undefined],
	['JSON called a dialect of text', 'text/x+json; charset=utf-8', manifest, undefined],
	['JSON called nothing known', 'application/octet-stream', manifest, undefined],
	['a form', form, 'name=a+b%26&public=true&x', {name: 'a b&', public: 'true', x: ''}],
	['a form with a key that comes again', form, 'a=1&a=2&b=3\n', {a: ['1', '2'], b: '3'}],
] as const) {
	test(`${what} is read as ${JSON.stringify(value)}`, async t => {
		const {create, given} = await start(t);
		t.is((await create(body, type === '' ? {} : {'content-type': type})).status, 200);
		t.deepEqual(given(), value);
	});
}

test('names that mean something to JavaScript are data', async t => {
	const {create, given} = await start(t);
	for (const [type, body] of [
		[json, '{"__proto__":{"x":"y"},"constructor":"c"}'],
		[form, '__proto__=x&constructor=c'],
	] as const) {
		await create(body, {'content-type': type});
		t.deepEqual(Object.keys(given() as object), ['__proto__', 'constructor']);
		t.is(Object.getPrototypeOf(given()), Object.prototype);
	}
});

for (const [what, body] of [
	['no JSON', 'name'],
	['JSON that breaks off', '{"a":'],
	['JSON with more behind it', '{} {}'],
	['a control character', '{"a":"\n"}'],
	['no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
	['a million brackets', '['.repeat(1_000_000)],
	['a million brackets that close', '['.repeat(500_000) + ']'.repeat(500_000)],
	['a million objects', '{"a":'.repeat(200_000)],
	['brackets in a form', '['.repeat(1_000_000)],
] as const) {
	test(`${what} is no content, and said at once`, async t => {
		const {create, mirror} = await start(t);
		const before = performance.now();
		const answer = await create(body, {'content-type': what.endsWith('form') ? form : json});
		t.true(performance.now() - before < 5000);
		t.is(answer.status, 400);
		t.is(codeOf(answer), 'InvalidContent');
		t.is(mirror.publish.calls.length, 0);
	});
}

test('a digest that is not that of the body is told so', async t => {
	const {create, mirror} = await start(t);
	const digest = createHash('md5').update(manifest).digest('base64');
	t.is((await create(manifest, {'content-type': json, 'content-md5': digest})).status, 200);
	for (const [body, md5] of [
		[manifest, createHash('md5').update('other').digest('base64')],
		[manifest, 'nonsense'],
		[manifest, Buffer.from(digest, 'base64').toString('hex')],
		['', digest],
	] as const) {
		const answer = await create(body, {'content-type': json, 'content-md5': md5});
		t.is(answer.status, 400);
		t.is(codeOf(answer), 'BadDigest');
	}
	t.is(mirror.publish.calls.length, 1);
});

test('other character sets are read if they are known', async t => {
	const {create, given} = await start(t);
	const latin = Buffer.from('{"a":"\u00fc"}', 'latin1');
	t.is((await create(latin, {'content-type': `${json}; charset=ISO-8859-1`})).status, 200);
	t.deepEqual(given(), {a: '\u00fc'});
	const wide = Buffer.from('{"a":"\u00fc"}', 'utf16le');
	t.is((await create(wide, {'content-type': `${json}; charset=utf-16le`})).status, 200);
	t.deepEqual(given(), {a: '\u00fc'});
	const unknown = await create('{}', {'content-type': `${json}; charset=klingon`});
	t.is(unknown.status, 415);
	t.is(codeOf(unknown), 'UnsupportedMediaTypeError');
});

test('a body that is packed is refused in words', async t => {
	const {create, mirror} = await start(t);
	for (const encoding of ['gzip', 'br', 'gzip, identity']) {
		const answer = await create('{}', {'content-type': json, 'content-encoding': encoding});
		t.is(answer.status, 415);
		t.is(codeOf(answer), 'UnsupportedMediaTypeError');
		t.regex((answer.json as {message: string}).message, /Content-Encoding gzip|Content-Encoding br/);
	}
	t.is((await create('{}', {'content-type': json, 'content-encoding': 'Identity'})).status, 200);
	t.is(mirror.publish.calls.length, 1);
});

test('a large manifest is read, a larger one is refused, announced or not', async t => {
	const {create, port, mirror} = await start(t);
	const limit = 2 * 1024 * 1024;
	const text = (bytes: number): string => JSON.stringify({a: 'x'.repeat(bytes - 8)});
	t.is(Buffer.byteLength(text(limit)), limit);
	t.is((await create(text(limit), {'content-type': json})).status, 200);
	const over = await create(text(limit + 1), {'content-type': json});
	t.is(over.status, 413);
	t.is(codeOf(over), 'RequestEntityTooLargeError');
	const chunked = await create(text(limit + 1), {'content-type': json, 'transfer-encoding': 'chunked'});
	t.is(chunked.status, 413);
	// Announced, it is refused before any of it has come.
	const socket = await open(port);
	socket.write(
		`POST /images HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: ${json}\r\ncontent-length: ${limit + 1}\r\n\r\n`,
	);
	t.regex(await hears(socket, 'RequestEntityTooLargeError'), /^HTTP\/1\.1 413 /);
	socket.destroy();
	t.is(mirror.publish.calls.length, 1);
});

test('whatever is sent as JSON comes to what it means', async t => {
	const {create, given} = await start(t);
	await fc.assert(
		fc.asyncProperty(fc.json(), fc.constantFrom(json, form), async (text, type) => {
			const value: unknown = JSON.parse(text);
			fc.pre(type === json || (typeof value === 'object' && value !== null));
			t.is((await create(text, {'content-type': type})).status, 200);
			t.deepEqual(given(), value);
		}),
		{numRuns: 60},
	);
});

test('whatever bytes are sent, the answer is theirs to have made', async t => {
	const {create} = await start(t);
	await fc.assert(
		fc.asyncProperty(fc.uint8Array({maxLength: 200}), fc.constantFrom(json, form, ''), async (bytes, type) => {
			const {status} = await create(Buffer.from(bytes), type === '' ? {} : {'content-type': type});
			t.true([200, 400, 422].includes(status), String(status));
		}),
		{numRuns: 100},
	);
});
