import {once} from 'node:events';
import {chmod, copyFile, readFile, stat, writeFile} from 'node:fs/promises';
import {Agent as TlsAgent, request as tlsRequest} from 'node:https';
import {connect, createServer, type AddressInfo} from 'node:net';
import {join} from 'node:path';
import {connect as tlsConnect} from 'node:tls';
import test from 'ava';
import {UsageError} from '../../src/errors.js';
import {startHttp, type ListenOptions, type TlsFiles} from '../../src/http/server.js';
import {testCertificates} from '../helpers/certificates.js';
import {makeImage} from '../helpers/make-image.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {FakeAccess} from './fake-access.js';
import {FakeMirror} from './fake-mirror.js';
import {ask, behind, hears, heard, open, settings, startFront, tcp, version} from './front.js';

function unix(path: string, mode?: number): ListenOptions {
	return {address: `unix:${path}`, host: undefined, port: undefined, path, mode, tls: undefined};
}

function secure(options: Partial<TlsFiles> = {}): ListenOptions {
	const {certFile, keyFile} = testCertificates;
	return {...tcp(), tls: {certFile, keyFile, minVersion: 'TLSv1.2', ...options}};
}

async function askTls(url: string, path: string, options: object = {}): Promise<{status: number; text: string}> {
	const ca = await readFile(testCertificates.caFile);
	return new Promise((resolve, reject) => {
		const request = tlsRequest(`${url}${path}`, {ca, agent: new TlsAgent(), ...options}, response => {
			let text = '';
			response.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
			response.on('error', reject);
			response.on('end', () => resolve({status: response.statusCode ?? 0, text}));
		});
		request.on('error', reject);
		request.end();
	});
}

/** A port that nobody listens on, as far as one can know. */
async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	const {port} = server.address() as AddressInfo;
	await new Promise(resolve => server.close(resolve));
	return port;
}

test('several listeners serve the same mirror, each under the address that it really has', async t => {
	const directory = await tempDir(t);
	const path = join(directory, 'socket');
	const {front} = await startFront(t, {listen: [tcp(), secure(), unix(path)]});
	const [plain = '', tls = '', socket = ''] = front.addresses;
	t.regex(plain, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
	t.regex(tls, /^https:\/\/127\.0\.0\.1:[1-9]\d*$/);
	t.is(socket, `unix:${path}`);
	t.is((await ask(plain, '/ping')).status, 200);
	t.is((await askTls(tls, '/ping')).status, 200);
	t.is((await ask('', '/ping', {socketPath: path})).status, 200);
});

test('over TLS files come whole, and URLs are https', async t => {
	const image = makeImage({size: 3_000_000});
	const {url} = await startFront(t, {images: [image], listen: [secure()]});
	const file = await askTls(url, `/images/${image.uuid}/file`);
	t.true(Buffer.from(file.text, 'latin1').equals(image.bytes));
	const dataset = await askTls(url, `/datasets/${image.uuid}`);
	t.true(dataset.text.includes(`"url": "${url}/datasets/${image.uuid}/`));
});

test('over a unix socket, URLs are at the Host that is named', async t => {
	const image = makeImage();
	const path = join(await tempDir(t), 'socket');
	await startFront(t, {images: [image], listen: [unix(path)]});
	const {text} = await ask('', `/datasets/${image.uuid}`, {socketPath: path, headers: {host: 'mirror'}});
	t.true(text.includes(`"url": "http://mirror/datasets/`));
});

test('TLS 1.2 with the ciphers of an OpenSSL 1.0.1 is possible, unless it is configured away', async t => {
	const ca = await readFile(testCertificates.caFile);
	const old = await startFront(t, {listen: [secure()]});
	const handshake = (port: number): Promise<string | null> =>
		new Promise((resolve, reject) => {
			const socket = tlsConnect(
				{
					port,
					host: '127.0.0.1',
					ca,
					maxVersion: 'TLSv1.2',
					ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
				},
				() => {
					resolve(socket.getProtocol());
					socket.destroy();
				},
			);
			socket.on('error', reject);
		});
	t.is(await handshake(old.port), 'TLSv1.2');
	const modern = await startFront(t, {listen: [secure({minVersion: 'TLSv1.3'})]});
	await t.throwsAsync(handshake(modern.port));
	t.is((await askTls(modern.url, '/ping')).status, 200);
	await modern.host.logged({msg: 'TLS handshake failed'});
});

test('what is no TLS does no harm to a TLS listener', async t => {
	const {url, port, host} = await startFront(t, {listen: [secure()]});
	const socket = await open(port);
	const rest = heard(socket);
	socket.write('GET /ping HTTP/1.1\r\nHost: x\r\n\r\n');
	await rest;
	await host.logged({msg: 'TLS handshake failed'});
	t.is((await askTls(url, '/ping')).status, 200);
});

test('who leaves a TLS listener without a word is not waited for', async t => {
	const {host, port} = await startFront(t, {listen: [secure()]});
	const client = connect({port, host: '127.0.0.1', allowHalfOpen: true});
	client.end();
	client.resume();
	// Long before the headers of a request would have to be there.
	await once(client, 'close');
	t.is(await host.metric('imgmirror_connections'), 0);
});

test('an address that cannot be had is said plainly, and nothing else stays open', async t => {
	const taken = await startFront(t);
	const directory = await tempDir(t);
	const path = join(directory, 'socket');
	const host = testHost();
	const start = (listen: ListenOptions): Promise<unknown> =>
		startHttp({
			...settings,
			...behind(),
			...{access: new FakeAccess(), mirror: new FakeMirror()},
			host,
			version,
			instanceId: 'x',
			listen: [unix(path), listen],
		});
	for (const [listen, message] of [
		[tcp(`127.0.0.1:${taken.port}`), `cannot listen on 127.0.0.1:${taken.port}: the address is in use`],
		[tcp('192.0.2.1:0'), 'cannot listen on 192.0.2.1:0: this machine does not have that address'],
		[unix('/nonexistent/dir/socket'), /cannot listen on unix:\/nonexistent\/dir\/socket/],
		[unix(join(directory, 'x'.repeat(200))), /cannot listen on unix/],
		[secure({certFile: '/nonexistent/cert'}), 'cannot use the certificate of 127.0.0.1:0'],
		[secure({keyFile: testCertificates.clientKeyFile}), 'cannot use the certificate of 127.0.0.1:0'],
		[secure({keyFile: testCertificates.caFile}), 'cannot use the certificate of 127.0.0.1:0'],
	] as const) {
		await t.throwsAsync(start(listen), {instanceOf: UsageError, message});
		await t.throwsAsync(stat(path), {code: 'ENOENT'});
	}
});

test('a unix socket has the permissions asked for, and is gone after the stop', async t => {
	const path = join(await tempDir(t), 'socket');
	const {front} = await startFront(t, {listen: [unix(path, 0o660)]});
	t.is((await stat(path)).mode & 0o777, 0o660);
	await front.setListeners([unix(path, 0o600)]);
	t.is((await stat(path)).mode & 0o777, 0o600);
	t.is((await ask('', '/ping', {socketPath: path})).status, 200);
	await front.stop({drainMs: 0});
	await t.throwsAsync(stat(path), {code: 'ENOENT'});
});

test('a socket left by a process that was killed is no obstacle, one in use is, and so is any other file', async t => {
	const directory = await tempDir(t);
	const path = join(directory, 'socket');
	const file = join(directory, 'file');
	const stale = createServer();
	await new Promise<void>(resolve => stale.listen(join(directory, 'stale'), resolve));
	// A link keeps the socket's file when its server goes: what a kill leaves behind.
	const {link} = await import('node:fs/promises');
	await link(join(directory, 'stale'), path);
	await new Promise(resolve => stale.close(resolve));
	t.true((await stat(path)).isSocket());

	const {front} = await startFront(t, {listen: [unix(path)]});
	t.is((await ask('', '/ping', {socketPath: path})).status, 200);
	await t.throwsAsync(startFront(t, {listen: [unix(path)]}), {
		message: `cannot listen on unix:${path}: another process does`,
	});
	t.is((await ask('', '/ping', {socketPath: path})).status, 200);
	await writeFile(file, 'precious');
	await t.throwsAsync(front.setListeners([unix(path), unix(file)]), {message: /there is a file that is no socket/});
	t.is(await readFile(file, 'utf8'), 'precious');
	await chmod(path, 0o777);
});

test('new listeners are opened, those gone are closed, those that stay keep their connections', async t => {
	const path = join(await tempDir(t), 'socket');
	const {front, port, url} = await startFront(t);
	const kept = await open(port);
	await front.setListeners([tcp(), unix(path)]);
	t.deepEqual(front.addresses, [url, `unix:${path}`]);
	t.is((await ask('', '/ping', {socketPath: path})).status, 200);
	const answered = hears(kept, '"pong"');
	kept.write('GET /ping HTTP/1.1\r\nHost: x\r\n\r\n');
	await answered;

	const ended = heard(kept);
	await front.setListeners([unix(path)]);
	t.deepEqual(front.addresses, [`unix:${path}`]);
	// Idle, so there is nothing to wait for.
	await ended;
	await t.throwsAsync(ask(url, '/ping'), {code: 'ECONNREFUSED'});
	t.is((await ask('', '/ping', {socketPath: path})).status, 200);
	kept.destroy();
});

test('where one of the new listeners cannot be opened, all stays as it was', async t => {
	const other = await startFront(t);
	const path = join(await tempDir(t), 'socket');
	const {front, url} = await startFront(t);
	await t.throwsAsync(front.setListeners([unix(path), tcp(`127.0.0.1:${other.port}`)]), {message: /in use/});
	t.deepEqual(front.addresses, [url]);
	t.is((await ask(url, '/ping')).status, 200);
	await t.throwsAsync(stat(path), {code: 'ENOENT'});
});

test('a listener may change between plain and TLS, or to another host, on its own port', async t => {
	const port = await freePort();
	const plain = tcp(`127.0.0.1:${port}`);
	const {front, url} = await startFront(t, {listen: [plain]});
	await front.setListeners([{...secure(), address: plain.address, port}]);
	t.deepEqual(front.addresses, [`https://127.0.0.1:${port}`]);
	t.is((await askTls(`https://127.0.0.1:${port}`, '/ping')).status, 200);
	await front.setListeners([tcp(`0.0.0.0:${port}`)]);
	t.deepEqual(front.addresses, [`http://0.0.0.0:${port}`]);
	t.is((await ask(url, '/ping')).status, 200);
});

test('what is being sent goes on when its listener is closed', async t => {
	const image = makeImage({size: 2_000_000});
	const path = join(await tempDir(t), 'socket');
	const {front, url, mirror} = await startFront(t, {images: [image]});
	let release: () => void = () => undefined;
	mirror.before.body = () => new Promise<void>(resolve => (release = resolve));
	const answer = ask(url, `/images/${image.uuid}/file`);
	await mirror.until(() => mirror.callsOf('body') === 1);
	await front.setListeners([unix(path)]);
	release();
	const {headers, body} = await answer;
	t.is(headers.connection, 'close');
	sameBytes(t, body, image.bytes);
	await front.stop({drainMs: 0});
});

/** Whose certificate a listener shows. */
function subjectAt(port: number): Promise<unknown> {
	return new Promise((resolve, reject) => {
		const socket = tlsConnect({port, host: '127.0.0.1', rejectUnauthorized: false}, () => {
			resolve(socket.getPeerCertificate().subject.CN);
			socket.destroy();
		});
		socket.on('error', reject);
	});
}

async function certificateIn(directory: string): Promise<{certFile: string; keyFile: string}> {
	const [certFile, keyFile] = [join(directory, 'cert'), join(directory, 'key')];
	await copyFile(testCertificates.certFile, certFile);
	await copyFile(testCertificates.keyFile, keyFile);
	return {certFile, keyFile};
}

test('certificates are read again, for connections to come', async t => {
	const {certFile, keyFile} = await certificateIn(await tempDir(t));
	const listen = secure({certFile, keyFile});
	const {front, port, host} = await startFront(t, {listen: [listen]});
	t.is(await subjectAt(port), 'localhost');
	await copyFile(testCertificates.clientCertFile, certFile);
	await t.throwsAsync(front.setListeners([listen]), {message: /cannot use the certificate/});
	t.is(await subjectAt(port), 'localhost');
	await copyFile(testCertificates.clientKeyFile, keyFile);
	await front.setListeners([listen]);
	t.is(await subjectAt(port), 'imgmirror');
	t.is(front.addresses.length, 1);
	await front.setListeners([listen]);
	t.is(host.linesLike(/certificate has changed: new connections see/).length, 1);
});

const everyMs = 60_000;
const dayMs = 86_400_000;

async function nextLook(clock: ManualClock): Promise<void> {
	await clock.advance(everyMs);
	// It ends with the timer for the next one.
	await clock.timerDueIn(everyMs, everyMs);
}

test('a certificate that was renewed is taken without being told of', async t => {
	const {certFile, keyFile} = await certificateIn(await tempDir(t));
	const host = testHost({clock: new ManualClock()});
	const {port} = await startFront(t, {listen: [secure({certFile, keyFile})], host});
	const look = (): Promise<void> => nextLook(host.clock);
	await look();
	t.is(await subjectAt(port), 'localhost');
	t.is(host.linesLike(/certificate/).length, 0);

	// The key comes a moment later.
	await copyFile(testCertificates.clientCertFile, certFile);
	await look();
	t.is(await subjectAt(port), 'localhost');
	t.is(host.linesLike(/certificate/).length, 0);
	await look();
	await look();
	t.is(host.linesLike(/cannot be read again: the old one stays/).length, 1);
	t.is(await subjectAt(port), 'localhost');
	await copyFile(testCertificates.clientKeyFile, keyFile);
	await look();
	t.is(host.linesLike(/has changed: new connections see the new one/).length, 1);
	t.is(await subjectAt(port), 'imgmirror');
});

test('a certificate that runs out is told of in time, in the log, as a trouble and as a number', async t => {
	const endMs = Date.parse('2120-01-01T00:00:00.000Z');
	const host = testHost({clock: new ManualClock(endMs - 14 * dayMs - everyMs)});
	const listen = secure();
	const {front} = await startFront(t, {listen: [listen, tcp()], host});
	const look = (): Promise<void> => nextLook(host.clock);
	t.deepEqual(host.troubles.list(), []);
	const text = await host.metrics.text();
	t.true(text.includes(`certificate_expires_timestamp_seconds{address="${listen.address}"} ${endMs / 1000}`));
	await look();
	t.deepEqual(host.troubles.list(), []);
	await look();
	const soon = `the certificate of ${listen.address} runs out in 13 days (2120-01-01T00:00:00.000Z)`;
	t.deepEqual(host.troubles.list(), [`${soon}: put a new one in its place, it is taken by itself`]);
	await look();
	t.is(host.linesLike(/"level":40.*runs out/).length, 1, 'once');
	await front.setListeners([tcp()]);
	t.deepEqual(host.troubles.list(), []);
	t.false((await host.metrics.text()).includes('expires_timestamp_seconds{'));
});

test('a certificate that has run out is told of, from the moment it has', async t => {
	const endMs = Date.parse('2120-01-01T00:00:00.000Z');
	const host = testHost({clock: new ManualClock(endMs - everyMs)});
	await startFront(t, {listen: [secure()], host});
	t.regex(host.troubles.list().join(), /runs out in 0 hours/);
	await nextLook(host.clock);
	t.is(host.linesLike({level: 50}).length, 0);
	await nextLook(host.clock);
	t.regex(host.troubles.list().join(), /has run out \(2120.*clients refuse it$/);
	await nextLook(host.clock);
	t.is(host.linesLike(/"level":50.*has run out/).length, 1);
});

test('a certificate that does not hold yet is told of at the start', async t => {
	const host = testHost({clock: new ManualClock(Date.parse('2019-12-31T00:00:00.000Z'))});
	await startFront(t, {listen: [secure()], host});
	t.regex(host.troubles.list().join(), /holds from 2020-01-01T00:00:00.000Z on only/);
	t.is(host.linesLike(/"level":50.*holds from/).length, 1);
});

test('IPv6 addresses stand in brackets', async t => {
	const started = await startFront(t, {listen: [tcp('[::1]:0')]}).catch((error: unknown) => error);
	if (started instanceof Error) {
		t.regex(started.message, /this machine does not have that address/);
		return;
	}
	t.regex((started as {url: string}).url, /^http:\/\/\[::1\]:\d+$/);
});
