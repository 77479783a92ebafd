import {randomUUID} from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import {RefusedError, SourceUnavailableError} from '../../src/errors.js';
import {withoutPasswords} from '../../src/http/access-log.js';
import {parseManifest} from '../../src/image/manifest.js';
import {makeImage} from '../helpers/make-image.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ask, startFront} from './front.js';

const authorization = basicLogin('pub');

test('every write leaves one line of who, from where, what and with what outcome, reads leave none', async t => {
	const {url, mirror, host} = await startFront(t, {access: new FakeAccess({pub: ['publish'], reader: []})});
	const image = parseManifest(makeImage().text);
	mirror.publish.put(image);
	const at = `/images/${image.uuid}`;
	const who = {user: 'pub', credential: 'password', address: '127.0.0.1'};
	const nobody = {user: undefined, credential: 'none', address: '127.0.0.1'};
	mirror.publish.before.enable = () => {
		throw new RefusedError('NotImageOwner', 'it is not yours');
	};
	mirror.publish.before.disable = () => {
		throw new RangeError('a fault of ours');
	};
	for (const [method, path, headers, line] of [
		['POST', `${at}?action=activate`, {authorization}, {...who, action: 'activate', image: image.uuid, status: 200}],
		['POST', `${at}?action=enable`, {authorization}, {...who, action: 'enable', status: 422, code: 'NotImageOwner'}],
		['POST', `${at}?action=disable`, {authorization}, {...who, action: 'disable', status: 500, code: 'InternalError'}],
		['POST', `${at}?action=burn`, {authorization}, {...who, action: 'burn', status: 422, code: 'InvalidParameter'}],
		['DELETE', at, {}, {...nobody, action: 'DELETE /images/:uuid', image: image.uuid, status: 401}],
		['DELETE', at, {authorization: basicLogin('pub', 'x')}, {...nobody, status: 401, code: 'UnauthorizedError'}],
		['DELETE', at, {authorization: basicLogin('reader')}, {...who, user: 'reader', status: 403}],
		['DELETE', at, {authorization, origin: 'http://x'}, {...who, status: 403, code: 'NotAuthorizedError'}],
		['DELETE', at, {authorization}, {...who, action: 'delete', image: image.uuid, status: 204}],
	] as const) {
		const before = host.linesLike({msg: 'audit'}).length;
		await ask(url, path, {method, headers});
		const lines = host.linesLike({msg: 'audit'}).slice(before);
		t.is(lines.length, 1, path);
		t.like(lines[0]?.['audit'], line);
		t.is(lines[0]?.level, 30);
	}
	const before = host.linesLike({msg: 'audit'}).length;
	for (const path of ['/images', at, '/ping', '/state', '/status', '/nothing']) {
		await ask(url, path, {headers: {authorization}});
	}
	await ask(url, '/images', {method: 'OPTIONS'});
	await ask(url, '/images', {method: 'PATCH'});
	t.is(host.linesLike({msg: 'audit'}).length, before);
});

test('what comes of a write after its client has left is told all the same', async t => {
	const {url, mirror, host} = await startFront(t, {access: new FakeAccess({pub: ['publish']})});
	const image = parseManifest(makeImage().text);
	mirror.publish.put(image);
	for (const [verb, failure, outcome] of [
		['activate', undefined, {status: 200, clientLeft: true}],
		[
			'enable',
			new RefusedError('NotImageOwner', 'it is not yours'),
			{status: 422, code: 'NotImageOwner', clientLeft: true},
		],
		['disable', new RangeError('a fault of ours'), {status: 500, code: 'InternalError', clientLeft: true}],
	] as const) {
		let reached = (): void => undefined;
		const isReached = new Promise<void>(resolve => {
			reached = resolve;
		});
		let go = (): void => undefined;
		const may = new Promise<void>(resolve => {
			go = resolve;
		});
		mirror.publish.before[verb] = async () => {
			reached();
			await may;
			if (failure !== undefined) {
				throw failure;
			}
		};
		const client = new AbortController();
		const asked = ask(url, `/images/${image.uuid}?action=${verb}`, {
			method: 'POST',
			headers: {authorization},
			signal: client.signal,
		}).catch(() => undefined);
		await isReached;
		client.abort();
		await asked;
		await host.logged({msg: 'client left', url: `/images/${image.uuid}?action=${verb}`});
		t.is(host.linesLike({msg: 'audit'}).filter(line => (line['audit'] as {action: string}).action === verb).length, 0);
		go();
		const line = await host.logged(new RegExp(`"action":"${verb}"`));
		t.like(line['audit'], outcome);
	}
	t.is(host.linesLike({msg: 'a request failed after its client had left'}).length, 1);
});

test('the line of a request says who it was, and how much came', async t => {
	const {url, mirror, host} = await startFront(t, {access: new FakeAccess({pub: ['publish']})});
	const image = parseManifest(makeImage().text);
	mirror.publish.put(image);
	await ask(url, `/images/${image.uuid}/file`, {method: 'PUT', body: 'abc', headers: {authorization}});
	t.like(await host.logged({route: '/images/:uuid/file'}), {user: 'pub', received: 3, remote: '127.0.0.1'});
	await ask(url, '/ping');
	const line = await host.logged({route: '/ping'});
	t.false('user' in line || 'received' in line || 'client' in line);
});

test('no password is ever in the log', async t => {
	const {url, mirror, host} = await startFront(t, {access: new FakeAccess({pub: ['publish']})});
	const image = parseManifest(makeImage().text);
	mirror.publish.put(image);
	const source = 'https://joe:hunter2@images.example/x?channel=dev';
	mirror.publish.before.importFrom = () => {
		throw new SourceUnavailableError(source, `GET ${source}/images: refused`);
	};
	const at = `/images/${image.uuid}`;
	for (const text of [source, encodeURIComponent(source), source.replaceAll(':', '%3a').replaceAll('/', '%2f')]) {
		t.is(
			(await ask(url, `${at}?action=import&source=${text}`, {method: 'POST', headers: {authorization}})).status,
			503,
		);
		await ask(url, `${at}/file?source=${text}&x=y`, {method: 'PUT', headers: {authorization}});
		await ask(url, `${at}?source=${text}`, {headers: {authorization: basicLogin('pub', 'hunter2')}});
	}
	await ask(url, 'http://joe:hunter2@host.example/images');
	const log = host.lines.map(line => JSON.stringify(line)).join('\n');
	t.true(log.includes('images.example'));
	for (const secret of ['hunter2', 'secret', authorization, basicLogin('pub', 'hunter2')]) {
		t.false(log.includes(secret), secret);
	}
	t.true(log.includes('x=y'));
});

for (const [text, masked] of [
	['https://u:p@host/x', 'https://***@host/x'],
	[
		'/images/x?action=import&source=http://u:p@h/x?sig=abc&account=y',
		'/images/x?action=import&source=http://***@h/x?***&account=y',
	],
	['/images/x?source=http%3A%2F%2Fh%2Fx%3fsig%3Dabc', '/images/x?source=http%3A%2F%2Fh%2Fx%3f***'],
	['/images?source=smartos&name=x?y', '/images?source=smartos&name=x?y'],
	['x=https://u:p@host/x&y=a@b', 'x=https://***@host/x&y=a@b'],
	['x=https%3A%2F%2Fu%3Ap%40host%2Fx%40y', 'x=https%3A%2F%2F***@host%2Fx%40y'],
	['https://u:p@q@host/', 'https://***@host/'],
	['https://u:p%40q@host', 'https://***@host'],
	['x=http:u:p@host', 'x=http:***@host'],
	['x=http:/u:p@host', 'x=http:/***@host'],
	['x=http%3A%5C%5Cu%3Ap%40host', 'x=http%3A%5C%5C***@host'],
	['x=http%253A%252F%252Fu%253Ap%2540host', 'x=http%253A%252F%252F***@host'],
	['https://host/a@b', 'https://host/a@b'],
	['https%3a%2f%2fhost%2fa%40b', 'https%3a%2f%2fhost%2fa%40b'],
	['https://host?a@b', 'https://host?a@b'],
	['name@example', 'name@example'],
	['source https://u:p@a: and https://v:w@b', 'source https://***@a: and https://***@b'],
] as const) {
	test(`${text} is logged as ${masked}`, t => {
		t.is(withoutPasswords(text), masked);
	});
}

test('a login in any URL is masked, and long text costs nothing', t => {
	fc.assert(
		fc.property(
			fc.webUrl({withQueryParameters: true}),
			fc.stringMatching(/^[a-z0-9!$%:*+,=~@-]{1,20}$/),
			(url, login) => {
				const secret = `${randomUUID()}${login}`;
				const logged = withoutPasswords(url.replace('://', `://user:${secret}@`));
				t.false(logged.includes(secret.slice(0, 36)));
			},
		),
	);
	const before = performance.now();
	for (const hostile of ['://', '%3a%2f%2f', '://@', ':/'].map(part => part.repeat(200_000))) {
		withoutPasswords(hostile);
	}
	withoutPasswords(`://${'x'.repeat(1_000_000)}`);
	withoutPasswords('http:'.repeat(200_000));
	t.true(performance.now() - before < 2000);
});
