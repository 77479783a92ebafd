import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {Agent} from 'node:http';
import test from 'ava';
import {SourceUnavailableError} from '../../src/errors.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {fill, type FakeImage} from './fake-mirror.js';
import {answersIn, ask, heard, open, settings, startFront} from './front.js';

/** An image of any size that costs no memory. */
function largeImage(size: number): FakeImage {
	const {uuid, manifest, text} = makeImage({bytes: Buffer.alloc(0), claimedSize: size, claimedSha1: '0'.repeat(40)});
	return {uuid, manifest, text};
}

function bytesOf(image: FakeImage, start: number, end: number): Buffer {
	const bytes = Buffer.alloc(end - start);
	fill(bytes, image, start);
	return bytes;
}

test('a file has all that a client may check it by', async t => {
	const image = makeImage({size: 2_500_000});
	const {url, mirror, host} = await startFront(t, {images: [image]});
	mirror.cache = 'hit';
	mirror.cacheOnceOpen = 'join';
	const {status, headers, body} = await ask(url, `/images/${image.uuid}/file`);
	t.is(status, 200);
	sameBytes(t, body, image.bytes);
	t.is(headers['content-type'], 'application/octet-stream');
	t.is(headers['content-length'], String(image.size));
	t.is(headers['transfer-encoding'], undefined);
	t.is(headers['accept-ranges'], 'bytes');
	t.is(headers.etag, `"${image.sha1}"`);
	t.is(headers['content-md5'], image.contentMd5);
	t.is(headers['last-modified'], 'Tue, 02 Jan 2024 03:04:05 GMT');
	// Only the open file knew.
	t.is(headers['x-cache'], 'join');
	t.is(headers['x-source'], 'upstream');
	t.is(mirror.openFiles, 0);
	t.is(await host.metric('imgmirror_client_bytes_total', {cache: 'join'}), image.size);
	const line = await host.logged({route: '/images/:uuid/file'});
	t.like(line, {
		status: 200,
		bytes: image.size,
		cache: 'join',
		source: 'upstream',
		image: image.uuid,
		remote: '127.0.0.1',
	});
});

test('what is not known of a file is not said', async t => {
	const image = makeImage({claimedSha1: undefined});
	const {url, mirror} = await startFront(t, {
		images: [{uuid: image.uuid, manifest: image.manifest, text: image.text, bytes: image.bytes}],
	});
	mirror.storedAtMs = undefined;
	const {status, headers, body} = await ask(url, `/images/${image.uuid}/file`, {headers: {'if-match': '*'}});
	t.is(status, 200);
	sameBytes(t, body, image.bytes);
	for (const name of ['etag', 'last-modified', 'content-md5']) {
		t.is(headers[name], undefined, name);
	}
	// Nothing tells that it is still the same file.
	const headers2 = {range: 'bytes=5-', 'if-range': '"x"'};
	t.is((await ask(url, `/images/${image.uuid}/file`, {headers: headers2})).status, 200);
});

test('an empty file is an answer of no bytes', async t => {
	const image = makeImage({bytes: Buffer.alloc(0)});
	const {url, mirror} = await startFront(t, {images: [image]});
	mirror.cacheOnceOpen = 'miss';
	const {status, headers, body} = await ask(url, `/images/${image.uuid}/file`);
	t.is(status, 200);
	t.is(headers['content-length'], '0');
	t.is(headers['x-cache'], 'miss');
	t.is(body.length, 0);
	t.is((await ask(url, `/images/${image.uuid}/file`, {headers: {range: 'bytes=0-'}})).status, 416);
	t.is(mirror.openFiles, 0);
});

const size = 300_000;
for (const [range, start, end] of [
	['bytes=0-0', 0, 1],
	['bytes=0-99999', 0, 100_000],
	['bytes=100000-', 100_000, size],
	['bytes=299999-', size - 1, size],
	['bytes=-1', size - 1, size],
	['bytes=-70000', size - 70_000, size],
	['bytes=-400000', 0, size],
	['bytes=5-999999', 5, size],
] as const) {
	test(`${range} is a part of the file`, async t => {
		const image = makeImage({size});
		const {url, mirror} = await startFront(t, {images: [image]});
		const {status, headers, body} = await ask(url, `/images/${image.uuid}/file`, {headers: {range}});
		t.is(status, 206);
		t.is(headers['content-range'], `bytes ${start}-${end - 1}/${size}`);
		t.is(headers['content-length'], String(end - start));
		t.is(headers.etag, `"${image.sha1}"`);
		// It would be taken for the digest of the part.
		t.is(headers['content-md5'], undefined);
		sameBytes(t, body, image.bytes.subarray(start, end));
		t.is(mirror.openFiles, 0);
		const head = await ask(url, `/images/${image.uuid}/file`, {method: 'HEAD', headers: {range}});
		t.is(head.status, 200);
		t.is(head.headers['content-length'], String(size));
	});
}

for (const range of ['bytes=1-2,5-6', 'bytes=9-5', 'items=0-5', 'bytes=', 'nonsense', 'bytes=0-1-2']) {
	test(`the range ${range} is answered with the whole file`, async t => {
		const image = makeImage({size});
		const {url} = await startFront(t, {images: [image]});
		const {status, headers, body} = await ask(url, `/images/${image.uuid}/file`, {headers: {range}});
		t.is(status, 200);
		t.is(headers['content-range'], undefined);
		sameBytes(t, body, image.bytes);
	});
}

for (const range of ['bytes=300000-', 'bytes=999999-1000000', 'bytes=-0']) {
	test(`the range ${range} is 416`, async t => {
		const image = makeImage({size});
		const {url, mirror} = await startFront(t, {images: [image]});
		const {status, headers, json} = await ask(url, `/images/${image.uuid}/file`, {headers: {range}});
		t.is(status, 416);
		t.is(headers['content-range'], `bytes */${size}`);
		t.is(headers['content-type'], 'application/json');
		t.is((json as {code: string}).code, 'RequestedRangeNotSatisfiableError');
		t.is(mirror.callsOf('body'), 0);
		t.is(mirror.openFiles, 0);
	});
}

test('a range goes on only from the same file', async t => {
	const image = makeImage({size});
	const {url} = await startFront(t, {images: [image]});
	for (const [ifRange, status] of [
		[`"${image.sha1}"`, 206],
		[image.sha1, 206],
		['Tue, 02 Jan 2024 03:04:05 GMT', 206],
		[`W/"${image.sha1}"`, 200],
		['"other"', 200],
		['Tue, 02 Jan 2024 03:04:06 GMT', 200],
	] as const) {
		const answer = await ask(url, `/images/${image.uuid}/file`, {headers: {range: 'bytes=9-', 'if-range': ifRange}});
		t.is(answer.status, status, ifRange);
		t.is(answer.body.length, status === 206 ? size - 9 : size);
	}
	const since = {'if-modified-since': 'Tue, 02 Jan 2024 03:04:05 GMT'};
	t.is((await ask(url, `/images/${image.uuid}/file`, {headers: since})).status, 304);
	const unmodified = {'if-unmodified-since': 'Mon, 01 Jan 2024 03:04:05 GMT'};
	t.is((await ask(url, `/images/${image.uuid}/file`, {headers: unmodified})).status, 412);
});

for (const [query, status] of [
	['index=0', 200],
	['index=', 200],
	['index=abc', 200],
	['index=1', 404],
	['index=-1', 404],
	['index=99999999999999999999', 404],
] as const) {
	test(`a file with ${query} is ${status}`, async t => {
		const image = makeImage();
		const {url} = await startFront(t, {images: [image]});
		t.is((await ask(url, `/images/${image.uuid}/file?${query}`)).status, status);
	});
}

test('reads that come in any size make the same file', async t => {
	const image = makeImage({size: 200_000});
	const {url, mirror} = await startFront(t, {images: [image]});
	for (const readSize of [1000, 65_535, 65_536, 199_999, 200_000]) {
		mirror.readSize = readSize;
		sameBytes(t, (await ask(url, `/images/${image.uuid}/file`)).body, image.bytes, String(readSize));
	}
});

test('a hundred clients at once, each from another offset, get what is theirs', async t => {
	const size = 4_000_000;
	const image = largeImage(size);
	const {url, mirror} = await startFront(t, {images: [image]});
	await Promise.all(
		Array.from({length: 100}, async (_, number) => {
			const start = number * 38_001;
			const {status, body} = await ask(url, `/images/${image.uuid}/file`, {headers: {range: `bytes=${start}-`}});
			t.is(status, 206);
			t.true(body.equals(bytesOf(image, start, size)));
		}),
	);
	t.is(mirror.openFiles, 0);
	t.is(mirror.openedFiles, 100);
});

test('clients that take nothing cost a few buffers, however large the file', async t => {
	const image = largeImage(10_000_000_000);
	const {port, mirror} = await startFront(t, {images: [image]});
	const clients = await Promise.all(Array.from({length: 50}, () => open(port)));
	for (const client of clients) {
		client.pause();
		client.write(`GET /images/${image.uuid}/file HTTP/1.1\r\nHost: x\r\n\r\n`);
	}
	await mirror.until(() => mirror.callsOf('body') === 50);
	// Whoever reads goes on at full speed beside them.
	const {body} = await ask(`http://127.0.0.1:${port}`, `/images/${image.uuid}/file`, {
		headers: {range: 'bytes=-30000000'},
	});
	t.is(body.length, 30_000_000);
	const read = mirror.calls.filter(({verb}) => verb === 'read').length;
	// The kernel's buffers take some megabytes of each, in reads of 64 KiB and more; all would be half a million.
	t.true(read < 8000, `${read} reads`);
	for (const client of clients) {
		client.destroy();
	}
	await mirror.until();
	t.is(mirror.openFiles, 0);
});

test('a client that leaves while nobody has bytes for it lets go of the file', async t => {
	const image = makeImage();
	const {url, mirror, host} = await startFront(t, {images: [image]});
	for (const verb of ['find', 'body', 'read'] as const) {
		let signal: AbortSignal | undefined;
		const entered = new Promise<void>(resolve => {
			mirror.before[verb] = asked => {
				signal = asked?.signal;
				resolve();
				return new Promise((_, reject) =>
					asked?.signal.addEventListener('abort', () => reject(asked.signal.reason as Error)),
				);
			};
		});
		const leaving = new AbortController();
		const gone = t.throwsAsync(
			ask(url, `/images/${image.uuid}/file`, {signal: leaving.signal, headers: {'x-request-id': verb}}),
		);
		await entered;
		leaving.abort();
		await gone;
		t.like(await host.logged({requestId: verb}), {msg: 'client left', status: 499, bytes: 0, level: 30});
		await mirror.until();
		t.true(signal?.aborted);
		mirror.before[verb] = undefined;
	}
	t.is(await host.metric('imgmirror_requests_total', {status: '499'}), 3);
	t.is(host.linesLike(/problem/).length, 0);
});

test('a client that leaves in mid-file lets go of the file', async t => {
	const image = largeImage(5_000_000_000);
	const {port, mirror, host} = await startFront(t, {images: [image]});
	const socket = await open(port);
	socket.write(`GET /images/${image.uuid}/file HTTP/1.1\r\nHost: x\r\n\r\n`);
	await once(socket, 'data');
	t.is(mirror.openFiles, 1);
	socket.destroy();
	await mirror.until();
	const line = await host.logged({msg: 'client left'});
	t.is(line['status'], 200);
	t.true((line['bytes'] as number) < 5_000_000_000);
	t.is((await host.logged({msg: 'client left'}))['image'], image.uuid);
});

test('what fails before the first byte is an error, what fails after it a connection cut short', async t => {
	const image = makeImage({size: 3_000_000});
	const {url, mirror, host} = await startFront(t, {images: [image]});
	const at = `/images/${image.uuid}/file`;
	mirror.readSize = 1_000_000;
	for (const failAt of [0, 1_000_000, 2_000_000]) {
		mirror.before.read = (_, position) => {
			if (position === failAt) {
				throw new SourceUnavailableError('up', 'it broke');
			}
		};
		const id = `fails-at-${failAt}`;
		const answer = ask(url, at, {headers: {'x-request-id': id}});
		if (failAt === 0) {
			const {status, json} = await answer;
			t.is(status, 503);
			t.is((json as {code: string}).code, 'RemoteSourceError');
		} else {
			await t.throwsAsync(answer, {message: /aborted|socket hang up|ECONNRESET/});
			t.like(await host.logged({requestId: id}), {
				msg: 'answer cut short',
				level: 40,
				status: 200,
				problem: 'source up: it broke',
			});
		}
		t.is(host.linesLike({requestId: id}).length, 1);
		await mirror.until();
	}
});

test('a file that ends early is cut short, never passed off as whole', async t => {
	const image = makeImage({size: 500_000});
	const {url, mirror} = await startFront(t, {images: [image]});
	let reads = 0;
	mirror.readSize = 100_000;
	mirror.before.read = () => {
		mirror.readSize = ++reads > 3 ? 0 : 100_000;
	};
	await t.throwsAsync(ask(url, `/images/${image.uuid}/file`), {message: /aborted|socket hang up|ECONNRESET/});
	await mirror.until();
	t.is(reads, 4);
});

test('who takes nothing for too long is cut, who waits for us is not', async t => {
	const image = largeImage(5_000_000_000);
	const limits = {...settings.limits, clientIdleTimeoutMs: 100};
	const {port, url, mirror, host} = await startFront(t, {images: [image], limits});
	let release: () => void = () => undefined;
	mirror.before.find = () => new Promise<void>(resolve => (release = resolve));
	const waiting = ask(url, `/images/${image.uuid}`);
	await mirror.until(() => mirror.callsOf('find') === 1);
	delete mirror.before.find;

	const socket = await open(port);
	socket.pause();
	socket.write(`GET /images/${image.uuid}/file HTTP/1.1\r\nHost: x\r\n\r\n`);
	const line = await host.logged({msg: 'answer cut short'});
	t.is(line['problem'], 'the client takes nothing any more');
	await mirror.until();
	socket.destroy();

	// It has waited for longer than the other one.
	release();
	t.is((await waiting).status, 200);
});

test('pipelined requests are answered in their order, each with what is its own', async t => {
	const first = makeImage({size: 1_500_000});
	const second = makeImage({size: 70_000});
	const {port, mirror} = await startFront(t, {images: [first, second]});
	const lines = [
		`GET /images/${first.uuid}/file`,
		'GET /ping',
		`HEAD /images/${first.uuid}/file`,
		`GET /images/${second.uuid}`,
		`GET /images/${second.uuid}/file`,
		'GET /nothing',
		'GET /images',
	];
	const socket = await open(port);
	const all = heard(socket);
	socket.write(
		lines
			.map(
				(line, number) =>
					`${line} HTTP/1.1\r\nHost: x\r\nx-request-id: ${number}\r\n${number === 6 ? 'Connection: close\r\n' : ''}\r\n`,
			)
			.join(''),
	);
	const answers = answersIn(await all, [2]);
	t.deepEqual(
		answers.map(({status}) => status),
		[200, 200, 200, 200, 200, 404, 200],
	);
	t.deepEqual(
		answers.map(({head}) => /x-request-id: (\d)/.exec(head)?.[1]),
		['0', '1', '2', '3', '4', '5', '6'],
	);
	t.true(Buffer.from(answers[0]?.body ?? '', 'latin1').equals(first.bytes));
	t.is(answers[3]?.body, second.pretty);
	t.true(Buffer.from(answers[4]?.body ?? '', 'latin1').equals(second.bytes));
	await mirror.until();
});

test('a connection is kept for the next request', async t => {
	const image = makeImage({size: 100_000});
	const {url, host} = await startFront(t, {images: [image]});
	const agent = new Agent({keepAlive: true, maxSockets: 1});
	t.teardown(() => agent.destroy());
	for (const path of ['/ping', `/images/${image.uuid}/file`, '/nothing', `/images/${image.uuid}`, '/images']) {
		const {headers} = await ask(url, path, {agent});
		t.is(headers.connection, 'keep-alive');
	}
	t.is(await host.metric('imgmirror_connections'), 1);
});

test('bytes are counted by where they came from', async t => {
	const image = makeImage({bytes: randomBytes(150_000)});
	const {url, mirror, host} = await startFront(t, {images: [image]});
	const at = `/images/${image.uuid}/file`;
	await ask(url, at);
	mirror.cache = 'miss';
	await ask(url, at, {headers: {range: 'bytes=0-999'}});
	await ask(url, at, {method: 'HEAD'});
	t.is(await host.metric('imgmirror_client_bytes_total', {cache: 'hit'}), 150_000);
	t.is(await host.metric('imgmirror_client_bytes_total', {cache: 'miss'}), 1000);
	t.is(await host.metric('imgmirror_requests_total', {route: '/images/:uuid/file', method: 'GET', status: '206'}), 1);
	t.is(await host.metric('imgmirror_requests_total', {route: '/images/:uuid/file', method: 'HEAD', status: '200'}), 1);
});
