import {mkdir, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {brotliDecompressSync, gunzipSync} from 'node:zlib';
import test from 'ava';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {FakeAccess} from './fake-access.js';
import {ask, say, startFront} from './front.js';

const html = `<!DOCTYPE html><title>page</title>${'<p>text</p>'.repeat(200)}`;
const browser = {accept: 'text/html,application/xhtml+xml,*/*;q=0.8'};

async function builtPage(t: Scope): Promise<{readonly directory: string}> {
	const directory = join(await tempDir(t), 'page');
	await mkdir(join(directory, 'vendor'), {recursive: true});
	await writeFile(join(directory, '..', 'secret.txt'), 'secret');
	for (const [name, text] of [
		['index.html', html],
		['app.js', 'export const x = 1;\n'],
		['app.js.map', '{}'],
		['app.ts', 'export const x = 1;\n'],
		['style.css', 'p{}'],
		['icon.svg', '<svg/>'],
		['favicon.ico', 'icon'],
		['vendor/preact.js', 'export {};'],
		['vendor/LICENSE.txt', 'MIT'],
	] as const) {
		await writeFile(join(directory, name), text);
	}
	await symlink('../secret.txt', join(directory, 'link.txt'));
	return {directory};
}

test('the page is there with its files, each as what it is', async t => {
	const {url} = await startFront(t, {page: await builtPage(t), access: new FakeAccess({}, {network: []})});
	for (const [path, type] of [
		['/ui/', 'text/html; charset=utf-8'],
		['/ui/index.html', 'text/html; charset=utf-8'],
		['/ui/app.js', 'text/javascript; charset=utf-8'],
		['/ui/style.css', 'text/css; charset=utf-8'],
		['/ui/icon.svg', 'image/svg+xml'],
		['/ui/vendor/preact.js', 'text/javascript; charset=utf-8'],
		['/ui/vendor/LICENSE.txt', 'text/plain; charset=utf-8'],
		['/favicon.ico', 'image/x-icon'],
	] as const) {
		const {status, headers} = await ask(url, path);
		t.is(status, 200, path);
		t.is(headers['content-type'], type);
		t.like(headers, {
			'cache-control': 'no-cache',
			'content-security-policy':
				"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			'x-content-type-options': 'nosniff',
			'referrer-policy': 'no-referrer',
			'cross-origin-opener-policy': 'same-origin',
			'access-control-allow-origin': undefined,
		});
		const again = await ask(url, path, {headers: {'if-none-match': String(headers.etag)}});
		t.is(again.status, 304);
		t.is(again.headers['content-security-policy'], headers['content-security-policy']);
		const head = await ask(url, path, {method: 'HEAD'});
		t.is(head.headers['content-length'], headers['content-length']);
		t.is(head.body.length, 0);
	}
	t.is((await ask(url, '/ui/app.js', {method: 'POST'})).status, 405);
});

test('the page’s own addresses are the page; what is missing is missing', async t => {
	const {url} = await startFront(t, {page: await builtPage(t)});
	for (const path of ['/ui/images', '/ui/images/0b1c-2d', '/ui/storage/', '/ui//now']) {
		const {status, text} = await ask(url, path);
		t.is(status, 200, path);
		t.is(text, html);
	}
	for (const path of ['/ui/app.ts', '/ui/app.js.map', '/ui/gone.js', '/ui/vendor/gone.css', '/ui/link.txt', '/uix']) {
		t.is((await ask(url, path)).status, 404, path);
	}
});

test('nothing outside of the page is to be had by it', async t => {
	const {url, port} = await startFront(t, {page: await builtPage(t)});
	for (const path of [
		...['/ui/../../etc/passwd', '/ui/../secret.txt', '/ui/..%2fsecret.txt', '/ui/%2e%2e/secret.txt'],
		...[
			'/ui/%2e%2e%2fsecret',
			'/ui/..%5csecret',
			'/ui/....//secret.txt',
			'/ui//etc/passwd.txt',
			'/ui/%2fetc%2fpasswd.txt',
		],
		...['/ui/..;/secret', '/ui/vendor/../../secret', '/ui/index.html%00.txt', '/ui/%00', '/ui/..', '/ui/.'],
		...['/ui/%252e%252e%252fsecret.txt', '/ui/..\\secret', '/ui/constructor.js', '/ui/__proto__.js'],
	]) {
		const {status, text} = await ask(url, path);
		t.is(status === 200 ? text : status, status === 200 ? html : 404, path);
		t.false(text.includes('secret\n') || text === 'secret', path);
	}
	t.regex(await say(port, 'GET /ui/../../etc/passwd HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 404/);
	t.regex(await say(port, 'GET /ui/%zz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 400/);
});

test('what is worth it goes compressed to those who take it so', async t => {
	const {url} = await startFront(t, {page: await builtPage(t)});
	const as = (encoding: string): ReturnType<typeof ask> => ask(url, '/ui/', {headers: {'accept-encoding': encoding}});
	const [plain, gzip, br, both] = await Promise.all([as('identity'), as('gzip'), as('br'), as('gzip, deflate, br')]);
	t.is(plain.text, html);
	t.is(gunzipSync(gzip.body).toString(), html);
	t.is(brotliDecompressSync(br.body).toString(), html);
	t.is(both.headers['content-encoding'], 'br');
	t.is((await as('br;q=0, gzip;q=0')).headers['content-encoding'], undefined);
	t.is(new Set([plain, gzip, br].map(({headers}) => headers.etag)).size, 3);
	t.is(plain.headers.vary, 'Accept-Encoding');
	t.is((await ask(url, '/ui/app.js', {headers: {'accept-encoding': 'gzip'}})).headers['content-encoding'], undefined);
});

test('browsers are led to the page, programs are not', async t => {
	const {url} = await startFront(t, {page: await builtPage(t)});
	const led = await ask(url, '/', {headers: browser});
	t.is(led.status, 302);
	t.is(led.headers.location, 'ui/');
	t.is(led.headers.vary, 'Accept');
	t.is((await ask(url, '/')).headers.location, 'docs/');
	t.is((await ask(url, '/', {headers: {accept: 'application/json'}})).status, 200);
	t.is((await ask(url, '/ui')).headers.location, 'ui/');
	t.is((await ask(url, '/ui')).status, 301);

	const below = await startFront(t, {page: await builtPage(t), basePath: '/img'});
	t.is((await ask(below.url, '/img', {headers: browser})).headers.location, 'img/ui/');
	t.is((await ask(below.url, '/img/', {headers: browser})).headers.location, 'ui/');
	t.is((await ask(below.url, '/img/ui')).headers.location, 'ui/');
	t.is((await ask(below.url, '/img/ui/')).text, html);
	t.is((await ask(below.url, '/ui/')).status, 404);
	t.is((await ask(below.url, '/img/ui/../../etc/passwd')).status, 404);
});

test('the page comes through a unix socket as well', async t => {
	const path = join(await tempDir(t), 'socket');
	await startFront(t, {
		page: await builtPage(t),
		listen: [{address: `unix:${path}`, host: undefined, port: undefined, path, mode: undefined, tls: undefined}],
	});
	t.is((await ask('', '/ui/', {socketPath: path})).text, html);
	t.is((await ask('', '/ui/app.js', {socketPath: path})).status, 200);
});

test('without a page there are the documents, and one line that says why', async t => {
	const missing = join(await tempDir(t), 'none');
	const empty = await tempDir(t);
	for (const [page, lines] of [
		[undefined, 0],
		[{directory: missing}, 1],
		[{directory: empty}, 1],
	] as const) {
		const {url, host} = await startFront(t, {page});
		t.is((await ask(url, '/', {headers: browser})).headers.location, 'docs/');
		t.is((await ask(url, '/ui/')).status, 404);
		t.is((await ask(url, '/ui')).status, 404);
		t.is((await ask(url, '/favicon.ico')).status, 204);
		t.is(host.linesLike({level: 40}).length, lines);
	}
});
