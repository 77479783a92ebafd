import {brotliDecompressSync, gunzipSync} from 'node:zlib';
import test from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ask, open, startFront, type Answer} from './front.js';

const images = Array.from({length: 40}, (_, number) => makeImage({name: `image-${number % 4}`}));
const plainText = JSON.stringify(
	images.map(({manifest}) => manifest),
	null,
	2,
);

function textOf({headers, body}: Answer): string {
	const form = headers['content-encoding'];
	const plain = form === 'br' ? brotliDecompressSync(body) : form === 'gzip' ? gunzipSync(body) : body;
	return plain.toString();
}

for (const [accepted, form] of [
	[undefined, undefined],
	['', undefined],
	['identity', undefined],
	['gzip', 'gzip'],
	['gzip, deflate', 'gzip'],
	['br', 'br'],
	['gzip, deflate, br, zstd', 'br'],
	['br;q=0.5, gzip', 'gzip'],
	['gzip;q=0.5, identity', undefined],
	['gzip;q=0, br;q=0', undefined],
	['identity;q=0, gzip', 'gzip'],
	['identity;q=0', undefined],
	['*;q=0', undefined],
	['*', 'br'],
	['br;q=0, *', 'gzip'],
	['deflate', undefined],
] as const) {
	test(`a list for Accept-Encoding ${JSON.stringify(accepted ?? 'left out')} comes ${form ?? 'as it is'}`, async t => {
		const {url} = await startFront(t, {images});
		const headers = accepted === undefined ? {} : {'accept-encoding': accepted};
		const answer = await ask(url, '/images', {headers});
		t.is(answer.status, 200);
		t.is(answer.headers['content-encoding'], form);
		t.is(answer.headers.vary, 'Accept-Encoding');
		t.is(answer.headers['content-type'], 'application/json');
		t.is(Number(answer.headers['content-length']), answer.body.length);
		t.is(textOf(answer), plainText);
		const head = await ask(url, '/images', {method: 'HEAD', headers});
		t.is(head.body.length, 0);
		for (const name of ['content-encoding', 'content-length', 'content-type', 'etag', 'vary', 'x-cache']) {
			t.is(head.headers[name], answer.headers[name], name);
		}
	});
}

test('each form of a list has its own tag, and whoever has one that it takes is told so', async t => {
	const {url, mirror} = await startFront(t, {images});
	const as = (encoding: string, more = {}): Promise<Answer> =>
		ask(url, '/images', {headers: {'accept-encoding': encoding, ...more}});
	const [plain, gzip, br] = await Promise.all(
		['identity', 'gzip', 'br'].map(async form => (await as(form)).headers.etag),
	);
	t.is(new Set([plain, gzip, br]).size, 3);
	const made = mirror.callsOf('encoded');

	for (const [encoding, known, status, etag] of [
		['identity', plain, 304, plain],
		['gzip', gzip, 304, gzip],
		['br', br, 304, br],
		['gzip, br', `${gzip}, ${br}`, 304, br],
		['gzip, br', gzip, 304, gzip],
		['gzip, br', plain, 304, plain],
		['gzip, br', '*', 304, br],
		['gzip', `W/${gzip}`, 304, gzip],
	] as const) {
		const answer = await as(encoding, {'if-none-match': known});
		t.is(answer.status, status, `${encoding} ${known}`);
		t.is(answer.headers.etag, etag, `${encoding} ${known}`);
		t.is(answer.headers.vary, 'Accept-Encoding');
		t.is(answer.headers['content-encoding'], undefined);
		t.is(answer.body.length, 0);
	}
	const unsaid = await ask(url, '/images', {headers: {'if-none-match': String(gzip)}});
	t.is(unsaid.status, 304, 'who says nothing takes anything');
	t.is(mirror.callsOf('encoded'), made, 'nothing is compressed for whoever has it');

	for (const [encoding, known] of [
		['identity;q=1, gzip;q=0', gzip],
		['gzip, identity;q=0', plain],
		['gzip', br],
		['br', '"other"'],
	] as const) {
		const answer = await as(encoding, {'if-none-match': known});
		t.is(answer.status, 200, `${encoding} ${known}`);
		t.is(textOf(answer), plainText);
	}
});

test('a list that is put together while it is sent is answered like any other', async t => {
	const {url, mirror} = await startFront(t, {images});
	const whole = await ask(url, '/images');
	mirror.isPutTogether = false;
	const answer = await ask(url, '/images');
	t.is(textOf(answer), plainText);
	const ofTheAnswer = (name: string): boolean => !['date', 'x-request-id', 'x-response-time'].includes(name);
	for (const name of Object.keys({...answer.headers, ...whole.headers}).filter(ofTheAnswer)) {
		t.is(answer.headers[name], whole.headers[name], name);
	}
	t.is(answer.headers['content-length'], String(answer.body.length));
	const head = await ask(url, '/images', {method: 'HEAD'});
	t.is(head.headers['content-length'], answer.headers['content-length']);
	t.is(head.body.length, 0);
	t.is((await ask(url, '/images', {headers: {'if-none-match': answer.headers.etag ?? ''}})).status, 304);
	t.is(textOf(await ask(url, '/images', {headers: {'accept-encoding': 'br'}})), plainText);
});

test('If-Match holds for any form that is taken', async t => {
	const {url} = await startFront(t, {images});
	const {headers} = await ask(url, '/images', {headers: {'accept-encoding': 'gzip'}});
	const matching = (encoding: string, tag: unknown): Promise<Answer> =>
		ask(url, '/images', {headers: {'accept-encoding': encoding, 'if-match': String(tag)}});
	t.is((await matching('gzip', headers.etag)).status, 200);
	t.is((await matching('identity, gzip;q=0.1', headers.etag)).headers['content-encoding'], 'gzip');
	t.is((await matching('gzip', '"other"')).status, 412);
});

test('a list too short to be compressed is not, and says that it might have been', async t => {
	const {url} = await startFront(t, {images});
	const answer = await ask(url, '/images?name=none', {headers: {'accept-encoding': 'gzip, br'}});
	t.is(answer.text, '[]');
	t.is(answer.headers['content-encoding'], undefined);
	t.is(answer.headers.vary, 'Accept-Encoding');
});

test('the same words ask for what whoever says them may see, each time anew', async t => {
	const access = new FakeAccess({op: ['operate']});
	const {url, mirror} = await startFront(t, {images, access});
	const login = {authorization: basicLogin('op')};
	const keys = async (headers: Record<string, string>): Promise<string | number | undefined> => {
		await ask(url, '/images?state=disabled', {headers});
		return mirror.calls.filter(({verb}) => verb === 'list').at(-1)?.about;
	};
	const [nobody, operator] = [await keys({}), await keys(login)];
	t.not(nobody, operator);
	t.is(await keys({}), nobody);
	t.is(await keys(login), operator);
	for (let round = 0; round < 2; round++) {
		t.is((await ask(url, '/images?limit=x')).status, 422);
		t.is((await ask(url, '/images?inclAdminFields=true')).status, 401);
		t.is((await ask(url, '/images?inclAdminFields=true', {headers: login})).status, 200);
	}
});

for (const isPutTogether of [true, false]) {
	const how = isPutTogether ? 'put together before' : 'put together meanwhile';
	test(`a client that leaves while a list is sent, ${how}, is a line in the log, and costs nobody else anything`, async t => {
		const many = Array.from({length: 40}, () => makeImage({description: 'x'.repeat(1_000_000)}));
		const {url, mirror, host, port} = await startFront(t, {images: many});
		mirror.isPutTogether = isPutTogether;
		const socket = await open(port);
		socket.write('GET /images HTTP/1.1\r\nHost: x\r\n\r\n');
		// Nothing of it is read, so the kernel takes little.
		await mirror.until(() => mirror.callsOf('list') === 1);
		socket.destroy();
		const line = await host.logged({msg: 'client left'});
		t.is(line['status'], 200);
		t.true(Number(line['bytes']) < 40_000_000);
		t.is((await ask(url, '/images?limit=1')).status, 200);
	});
}

test('the same path is answered alike however often it is asked for, by whom and how', async t => {
	const {url, mirror} = await startFront(t, {images});
	const [first, second] = images;
	const at = (image: typeof first): string => `/images/${image?.uuid ?? ''}`;
	for (let round = 0; round < 3; round++) {
		t.is((await ask(url, at(first))).text, String(first?.pretty));
		t.is((await ask(url, `${at(second)}?x=${round}`)).text, String(second?.pretty));
		t.is((await ask(url, at(first), {method: 'HEAD'})).text, '');
		t.is((await ask(url, at(first), {method: 'DELETE'})).status, 401);
		t.is((await ask(url, at(first), {headers: {accept: 'image/png'}})).status, 406);
		t.is((await ask(url, '/images/nonsense')).status, 404);
		t.is((await ask(url, '/nothing')).status, 404);
	}
	mirror.before.find = () => {
		throw new Error('a bug');
	};
	t.is((await ask(url, at(first))).status, 500);
});

test('short answers are sent byte for byte, whatever letters are in them', async t => {
	const image = makeImage({description: 'größer als 😀, \u2028 and \u00ff'});
	const {url} = await startFront(t, {images: [image]});
	const {body, headers} = await ask(url, `/images/${image.uuid}`);
	t.deepEqual(body, Buffer.from(image.pretty));
	t.is(Number(headers['content-length']), body.length);
});
