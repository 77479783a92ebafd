import {createVerify, generateKeyPairSync} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {LookupFunction} from 'node:net';
import test from 'ava';
import {ConfigError, SourceUnavailableError} from '../../src/errors.js';
import {SourceFailure} from '../../src/sources/failure.js';
import {testCertificates} from '../helpers/certificates.js';
import {makeImage} from '../helpers/make-image.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {deadUrl, startUpstream, unreachableUrl} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {ask, makeAddress, makeRemote, manifestOf, openTestSource, readBody, readList, uuidOf} from './make-source.js';

// Redirects.

test('safe redirects are followed on the own host, with credentials only to the own server', async t => {
	const image = makeImage();
	const files = await startUpstream(t, {images: [image]});
	const upstream = await startUpstream(t, {images: [image], basePath: '/base'});
	upstream.misbehave(
		'manifest',
		{redirect: ({path}) => `/base${path}?again`},
		{when: ({url}) => !url.includes('again')},
	);
	upstream.misbehave('file', {redirect: ({path}) => `${files.url}${path}`});
	const source = makeAddress(t, 'imgapi', upstream.url.replace('//', '//user:secret@'));

	t.truthy(await source.find(uuidOf(image), ask()));
	sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);

	t.is(upstream.of('manifest').length, 2);
	t.true(upstream.requests.every(({headers}) => headers.authorization !== undefined));
	t.deepEqual(
		files.requests.map(({headers}) => headers.authorization),
		[undefined],
	);
});

test('a range goes along with a redirect', async t => {
	const image = makeImage({size: 50_000});
	const files = await startUpstream(t, {images: [image], ranges: true});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {status: 307, redirect: ({path}) => `${files.url}${path}`});
	const source = makeAddress(t, 'imgapi', upstream.url);

	const body = await source.openFile(manifestOf(image), 0, {offset: 20_000, etag: image.sha1}, ask());

	t.is(body.offset, 20_000);
	sameBytes(t, await readBody(body), image.bytes.subarray(20_000));
});

for (const [what, redirect, message] of [
	['to a private address by name', 'http://localhost:PORT/x', /private address/],
	['to a private address by number', 'http://10.0.0.1/', /private address/],
	['to a private address in disguise', 'http://[::ffff:192.168.0.1]/', /private address/],
	['to the metadata of a cloud', 'http://169.254.169.254/latest', /private address/],
	['to another scheme', 'ftp://127.0.0.1/x', /neither http nor https/],
	['to a file', 'file:///etc/passwd', /neither http nor https/],
	['to nowhere', 'http://', /not a URL/],
] as const) {
	test(`a redirect ${what} is refused`, async t => {
		const upstream = await startUpstream(t, {images: [makeImage()]});
		upstream.misbehave('list', {redirect: redirect.replace('PORT', String(upstream.port))});
		const source = makeAddress(t, 'imgapi', upstream.url);

		await t.throwsAsync(readList(source), {instanceOf: SourceUnavailableError, message});
		t.is(upstream.requests.length, 1);
	});
}

test('redirects in a circle end', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('list', {redirect: '/images?a'}, {when: ({url}) => url.endsWith('/images')});
	upstream.misbehave('list', {redirect: '/images'}, {when: ({url}) => url.endsWith('?a')});
	const source = makeAddress(t, 'imgapi', upstream.url);

	await t.throwsAsync(readList(source), {message: /in a circle/});
	t.is(upstream.requests.length, 2);
});

test('redirects without end end', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('list', {redirect: ({number}) => `/images?${number}`});
	const source = makeAddress(t, 'imgapi', upstream.url);

	await t.throwsAsync(readList(source), {message: /more than 5 redirects/});
	t.is(upstream.requests.length, 6);
});

test('a redirect without Location is an error', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('list', {status: 302, body: 'empty'});

	await t.throwsAsync(readList(makeAddress(t, 'imgapi', upstream.url)), {message: /answered 302 Found/});
});

test('redirects are not followed where they are not wanted', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('list', {redirect: '/images?again'});
	const source = makeAddress(t, 'imgapi', upstream.url, {settings: {redirects: 'none'}});

	await t.throwsAsync(readList(source), {message: /a redirect to .*\/images\?again: redirects are not followed/});
	t.is(upstream.requests.length, 1);
});

test('any redirect is followed where the operator says so, credentials staying behind', async t => {
	const image = makeImage();
	const other = await startUpstream(t, {images: [image]});
	const upstream = await startUpstream(t, {tls: true});
	upstream.misbehave('list', {redirect: `http://user:pass@localhost:${other.port}/images`});
	const source = openTestSource(t, upstream.url, {
		redirects: 'any',
		caFile: testCertificates.caFile,
		auth: {kind: 'basic', user: 'me', password: 'secret'},
		headers: {'X-Key': 'k'},
	});

	t.is((await readList(source)).images.length, 1);
	t.is(typeof upstream.requests[0]?.headers.authorization, 'string');
	t.is(upstream.requests[0]?.headers['x-key'], 'k');
	t.is(other.requests[0]?.headers.authorization, undefined);
	t.is(other.requests[0]?.headers['x-key'], undefined);
});

test('a safe redirect never leaves https', async t => {
	const upstream = await startUpstream(t, {tls: true});
	upstream.misbehave('list', {redirect: ({path}) => `${upstream.origin.replace('https', 'http')}${path}`});
	const source = openTestSource(t, upstream.url, {insecure: true});

	await t.throwsAsync(readList(source), {message: /from https to http/});
});

test('a name is looked at when it is connected to, not before', async t => {
	const upstream = await startUpstream(t, {images: [makeImage()]});
	upstream.serve('/moved', '[]', {'Content-Type': 'application/json'});
	upstream.misbehave('list', {redirect: `http://rebinding.example.com:${upstream.port}/moved`});
	const asked: string[] = [];
	// Whatever anybody asked before: at the time of connecting, this is what the name resolves to.
	const lookup: LookupFunction = (hostname, options, callback) => {
		asked.push(hostname);
		callback(null, options.all ? [{address: '127.0.0.1', family: 4}] : '127.0.0.1', 4);
	};

	const safe = makeAddress(t, 'imgapi', upstream.url, {settings: {lookup}});
	await t.throwsAsync(readList(safe), {message: /private address/});
	t.deepEqual(asked, ['rebinding.example.com']);

	const any = makeAddress(t, 'imgapi', upstream.url, {settings: {lookup, redirects: 'any'}});
	t.deepEqual((await readList(any)).images, []);
});

test('an error does not tell what a redirect had in its query', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('list', {redirect: 'http://10.1.2.3/file?X-Amz-Signature=opensesame'});

	const error = await t.throwsAsync(readList(makeAddress(t, 'imgapi', upstream.url)));

	t.false(error.message.includes('opensesame'));
	t.true(error.message.includes('http://10.1.2.3/file?…'));
});

// Failures.

test('errors name the URL without its credentials', async t => {
	const url = await deadUrl(t);
	const source = makeAddress(t, 'imgapi', url.replace('//', '//user:hunter2@'));

	const error = await t.throwsAsync(readList(source), {instanceOf: SourceFailure});

	t.regex(error.message, /^source upstream: http:\/\/127\.0\.0\.1:\d+\/images refused the connection \(.*ECONNREFUSED/);
	t.false(error.message.includes('hunter2'));
	t.true(error.transient);
	t.true(error.cause instanceof Error);
});

test('an error status comes with what the server says about it', async t => {
	const upstream = await startUpstream(t, {kind: 'dsapi'});
	upstream.misbehave('list', {status: 503, retryAfter: '17'});

	const error = await t.throwsAsync(readList(makeAddress(t, 'dsapi', upstream.url)), {instanceOf: SourceFailure});

	t.regex(error.message, /\/datasets answered 503 Service Unavailable \(fake upstream says 503\)$/);
	t.is(error.status, 503);
	t.is(error.retryAfterMs, 17_000);
	t.false(error.transient);
});

test('Retry-After may be a date', async t => {
	const host = testHost({clock: new ManualClock('2026-01-01T00:00:00.000Z')});
	const upstream = await startUpstream(t);
	const source = makeAddress(t, 'imgapi', upstream.url, {host});

	for (const [retryAfter, expected] of [
		['Thu, 01 Jan 2026 00:02:00 GMT', 120_000],
		['Wed, 31 Dec 2025 00:00:00 GMT', 0],
		['soon', undefined],
	] as const) {
		upstream.misbehave('list', {status: 429, retryAfter}, {times: 1});
		const error = await t.throwsAsync(readList(source), {instanceOf: SourceFailure});
		t.is(error.retryAfterMs, expected);
	}
});

test('control characters of a server do not get into errors', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('list', {status: 500, body: {text: '{"code":"X\\n\\u001b[2J","message":"a\\u2028b"}'}});

	const error = await t.throwsAsync(readList(makeAddress(t, 'imgapi', upstream.url)));

	t.notRegex(error.message, /[\u0000-\u001f\u2028]/);
});

test('a server that never answers runs into the header timeout', async t => {
	const upstream = await startUpstream(t, {state: 'blackhole'});
	const source = makeAddress(t, 'imgapi', upstream.url, {settings: {headerTimeoutMs: 100}});

	await t.throwsAsync(readList(source), {message: /did not answer within 100 ms/});
});

test('a body that stops runs into the idle timeout, a file or not', async t => {
	const image = makeImage({size: 100_000});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('any', {holdAt: 0.5});
	const source = makeAddress(t, 'imgapi', upstream.url, {settings: {idleTimeoutMs: 100}});

	await t.throwsAsync(readList(source), {instanceOf: SourceUnavailableError, message: /sent nothing more for 100 ms/});
	const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	await t.throwsAsync(readBody(body), {instanceOf: SourceUnavailableError, message: /sent nothing more for 100 ms/});
});

test('a server that sends a byte now and then does not keep a manifest for ever', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('manifest', {trickle: 50});
	const settings = {connectTimeoutMs: 100, headerTimeoutMs: 100, idleTimeoutMs: 200};
	const source = makeAddress(t, 'imgapi', upstream.url, {settings});

	await t.throwsAsync(source.find(uuidOf(image), ask()), {message: /did not answer in full within 400 ms/});
});

test('a server that sends a byte now and then does not keep a list for ever, either', async t => {
	const upstream = await startUpstream(t, {images: [makeImage({size: 10, description: 'x'.repeat(5000)})]});
	upstream.misbehave('list', {trickle: 100});
	const settings = {connectTimeoutMs: 100, headerTimeoutMs: 100, idleTimeoutMs: 100};
	const source = makeAddress(t, 'imgapi', upstream.url, {settings});

	// Where the machine is busy, a pause may be long enough for the idle timeout.
	await t.throwsAsync(readList(source), {
		message: /did not answer in full within 3200 ms|sent nothing more for 100 ms/,
	});
});

test('a host that cannot be reached runs into the connect timeout', async t => {
	const source = makeAddress(t, 'imgapi', await unreachableUrl(t), {
		settings: {connectTimeoutMs: 200, headerTimeoutMs: 300},
	});

	await t.throwsAsync(readList(source), {
		message: /could not be connected to within 200 ms|did not answer within 300 ms/,
	});
});

test('a host without a name is said to be that', async t => {
	const lookup: LookupFunction = (hostname, _options, callback) => {
		callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), {code: 'ENOTFOUND'}), '');
	};
	const source = makeAddress(t, 'imgapi', 'http://nowhere.example.com', {settings: {lookup}});

	await t.throwsAsync(readList(source), {message: /has a host name that cannot be resolved/});
});

test('connections are used again, also after errors and 404s', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('icon', {status: 500});
	const source = makeAddress(t, 'imgapi', upstream.url);

	for (let times = 0; times < 10; times++) {
		await readList(source);
		await t.throwsAsync(source.readIcon(manifestOf(image), ask()));
		await source.find(uuidOf({uuid: '11111111-2222-4333-8444-555555555555'}), ask());
		await source.find(uuidOf(image), ask());
	}

	// One more than one at a time: an answer has ended for us a moment before its connection is free.
	const connections = new Set(upstream.requests.map(({connection}) => connection));
	t.is(upstream.requests.length, 40);
	t.true(connections.size <= 3, String(connections.size));
});

test('file transfers do not keep manifests waiting', async t => {
	const image = makeImage({size: 200_000});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {holdAt: 0.5});
	const source = openTestSource(t, upstream.url, {transfers: 3});
	const bodies = [];
	for (let count = 0; count < 3; count++) {
		bodies.push(await source.openFile(manifestOf(image), 0, {offset: 0}, ask()));
	}

	t.truthy(await source.find(uuidOf(image), ask()));
	for (const {stream} of bodies) {
		stream.destroy();
	}
});

test('closing waits for what is under way', async t => {
	const image = makeImage({size: 200_000});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {holdAt: 0.5});
	const source = openTestSource(t, upstream.url);

	const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	const closed = source.close();
	upstream.release();

	sameBytes(t, await readBody(body), image.bytes);
	await closed;
	await upstream.until(() => upstream.connections === 0);
	t.is(upstream.connections, 0);
});

// TLS.

test('a certificate that nobody vouches for is refused, unless the operator does', async t => {
	const upstream = await startUpstream(t, {tls: true, images: [makeImage()]});

	const error = await t.throwsAsync(readList(openTestSource(t, upstream.url)), {instanceOf: SourceFailure});
	t.false(error.transient);
	t.is((await readList(openTestSource(t, upstream.url, {caFile: testCertificates.caFile}))).images.length, 1);
	t.is((await readList(openTestSource(t, upstream.url, {insecure: true}))).images.length, 1);
});

test('a client certificate is shown to the source, and to nobody else', async t => {
	const mutual = await startUpstream(t, {tls: 'mutual', images: [makeImage()]});
	const {caFile, clientCertFile: certFile, clientKeyFile: keyFile} = testCertificates;

	await t.throwsAsync(readList(openTestSource(t, mutual.url, {caFile})), {instanceOf: SourceUnavailableError});
	t.is((await readList(openTestSource(t, mutual.url, {caFile, certFile, keyFile}))).images.length, 1);

	const upstream = await startUpstream(t, {tls: true});
	upstream.misbehave('list', {redirect: `https://localhost:${mutual.port}/images`});
	const source = openTestSource(t, upstream.url, {caFile, certFile, keyFile, redirects: 'any'});
	await t.throwsAsync(readList(source), {instanceOf: SourceUnavailableError});
});

test('files that cannot be read are told all at once', t => {
	const error = t.throws(
		() =>
			openTestSource(t, 'http://127.0.0.1:1', {
				caFile: '/nonexistent/ca.pem',
				certFile: '/nonexistent/cert.pem',
				keyFile: '/nonexistent/key.pem',
				auth: {kind: 'signature', keyId: 'me', keyFile: testCertificates.certFile, algorithm: 'rsa-sha256'},
			}),
		{instanceOf: ConfigError},
	);

	t.is(error.faults.length, 4);
	t.true(error.faults.every(fault => fault.startsWith('source upstream: ')));
});

// Credentials.

test('basic credentials come from the configuration or from the URL', async t => {
	const auth = {user: 'me', password: 'p@ss:word/ü'};
	const upstream = await startUpstream(t, {auth, images: [makeImage()]});
	const encoded = `${encodeURIComponent(auth.user)}:${encodeURIComponent(auth.password)}`;

	const configured = openTestSource(t, upstream.url, {auth: {kind: 'basic', ...auth}});
	t.is((await readList(configured)).images.length, 1);
	const inUrl = openTestSource(t, upstream.url.replace('//', `//${encoded}@`));
	t.is((await readList(inUrl)).images.length, 1);
	await t.throwsAsync(readList(openTestSource(t, upstream.url)), {message: /answered 401 Unauthorized/});
});

for (const [algorithm, hash] of [
	['rsa-sha256', 'sha256'],
	['rsa-sha1', 'sha1'],
] as const) {
	test(`requests are signed with ${algorithm}`, async t => {
		const {publicKey, privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
		const keyFile = join(await tempDir(t), 'key.pem');
		await writeFile(keyFile, privateKey.export({type: 'pkcs8', format: 'pem'}));
		const upstream = await startUpstream(t, {images: [makeImage()]});
		const host = testHost({clock: new ManualClock('2026-01-01T00:00:00.000Z')});
		const source = openTestSource(t, upstream.url, {
			host,
			auth: {kind: 'signature', keyId: 'publisher', keyFile, algorithm},
		});

		await readList(source);

		const {headers} = upstream.requests[0] ?? {};
		t.is(headers?.date, 'Thu, 01 Jan 2026 00:00:00 GMT');
		const [, signature = ''] =
			new RegExp(`^Signature keyId="publisher",algorithm="${algorithm}",signature="([^"]+)"$`).exec(
				headers?.authorization ?? '',
			) ?? [];
		const verify = createVerify(hash).update('date: Thu, 01 Jan 2026 00:00:00 GMT');
		t.true(verify.verify(publicKey, signature, 'base64'));
	});
}

test('keys that cannot sign are told from each other', async t => {
	const directory = await tempDir(t);
	const {privateKey} = generateKeyPairSync('ed25519');
	for (const [name, content, fault] of [
		[
			'openssh',
			'-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n',
			/ssh-keygen -p -m PEM/,
		],
		['ed25519', privateKey.export({type: 'pkcs8', format: 'pem'}), /an RSA key is needed, this is ed25519/],
	] as const) {
		const keyFile = join(directory, name);
		await writeFile(keyFile, content);
		const error = t.throws(
			() =>
				openTestSource(t, 'http://127.0.0.1:1', {
					auth: {kind: 'signature', keyId: 'me', keyFile, algorithm: 'rsa-sha256'},
				}),
			{instanceOf: ConfigError, message: 'source upstream cannot be opened'},
		);
		t.regex(error.faults.join('\n'), fault);
	}
});

test('what callers hand through cannot break a header', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const remote = makeRemote(t, upstream.url);
	const from = {...ask(), requestId: 'a\r\nX-Evil: yes', via: 'größe\0'};

	await remote.readJson(`${upstream.url}/ping`, 1000, from);

	t.is(upstream.requests[0]?.headers['x-request-id'], 'aX-Evil: yes');
	t.is(upstream.requests[0]?.headers['x-imgmirror-via'], 'gre, mirror-under-test');
	t.is(upstream.requests[0]?.headers['x-evil'], undefined);
});

test('extra headers may replace who we say we are', async t => {
	const upstream = await startUpstream(t, {images: [makeImage()]});
	await readList(openTestSource(t, upstream.url, {headers: {'User-Agent': 'imgadm/3.9.5', 'X-Key': 'k'}}));

	t.like(upstream.requests[0]?.headers, {'user-agent': 'imgadm/3.9.5', 'x-key': 'k', 'accept-version': '~2'});
});
