/**
 * The same answers whichever way files go out: by the system's sendfile, or read and written by Node.
 */
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {connect, type Socket} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {loadNativeSend} from '../../src/http/native-send.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {startMirror, type TestMirror} from '../helpers/start-mirror.js';
import {startUpstream, type Upstream} from '../helpers/start-upstream.js';

const size = 7_654_321;
const {native} = await loadNativeSend();

async function startBoth(
	t: ExecutionContext,
	image: TestImage,
	sendfile: 'auto' | 'off',
): Promise<{mirror: TestMirror; upstream: Upstream}> {
	const upstream = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {sources: [upstream.url], config: {http: {sendfile}}});
	await mirror.host.logged(
		sendfile === 'auto' && native !== undefined ? /files are sent by the system/ : /files are read and written/,
	);
	return {mirror, upstream};
}

function socketTo(t: ExecutionContext, mirror: TestMirror): Socket {
	const {hostname, port} = new URL(mirror.url);
	const socket = connect(Number(port), hostname);
	socket.on('error', () => undefined);
	t.teardown(() => socket.destroy());
	return socket;
}

function asking(image: TestImage, method: string, range?: string): string {
	return `${method} /images/${image.uuid}/file HTTP/1.1\r\nHost: x\r\n${range === undefined ? '' : `Range: ${range}\r\n`}\r\n`;
}

/** Heads and bodies in the order in which they come; `bodies` says which answers have one. */
async function answersOn(socket: Socket, bodies: readonly boolean[]): Promise<{head: string; body: Buffer}[]> {
	let parts: Buffer[] = [];
	let got = 0;
	socket.on('data', (part: Buffer) => {
		parts.push(part);
		got += part.length;
	});
	const take = async (bytes: number): Promise<Buffer> => {
		while (got < bytes) {
			await once(socket, 'data');
		}
		const all = Buffer.concat(parts);
		parts = [all.subarray(bytes)];
		got -= bytes;
		return all.subarray(0, bytes);
	};
	const takeHead = async (): Promise<string> => {
		for (;;) {
			const end = Buffer.concat(parts).indexOf('\r\n\r\n');
			if (end >= 0) {
				return (await take(end + 4)).toString();
			}
			await once(socket, 'data');
		}
	};
	const answers: {head: string; body: Buffer}[] = [];
	for (const hasBody of bodies) {
		const head = await takeHead();
		const length = hasBody ? Number(/content-length: (\d+)/i.exec(head)?.[1]) : 0;
		answers.push({head, body: await take(length)});
	}
	return answers;
}

for (const sendfile of ['auto', 'off'] as const) {
	test(`${sendfile}: files, parts of them, HEAD and what was asked ahead on one connection`, async t => {
		const image = makeImage({size});
		const {mirror} = await startBoth(t, image, sendfile);
		t.true((await mirror.file(image)).body.equals(image.bytes));
		await mirror.idle();
		const wishes: readonly (readonly [string, string | undefined, number, number])[] = [
			['GET', undefined, 0, size],
			['HEAD', undefined, 0, 0],
			['GET', 'bytes=5000000-', 5_000_000, size],
			['GET', 'bytes=0-0', 0, 1],
			['GET', 'bytes=-3', size - 3, size],
			['GET', undefined, 0, size],
			['GET', 'bytes=1000000-3999999', 1_000_000, 4_000_000],
			['HEAD', undefined, 0, 0],
			['GET', 'bytes=16384-', 16_384, size],
		];
		const socket = socketTo(t, mirror);
		socket.write(wishes.map(([method, range]) => asking(image, method, range)).join(''));
		const answers = await answersOn(
			socket,
			wishes.map(([method]) => method === 'GET'),
		);
		for (const [at, [method, range, start, end]] of wishes.entries()) {
			const {head = '', body = Buffer.alloc(0)} = answers[at] ?? {};
			t.true(head.startsWith(`HTTP/1.1 ${range === undefined ? 200 : 206}`), `${at}: ${head.slice(0, 40)}`);
			t.true(body.equals(method === 'HEAD' ? Buffer.alloc(0) : image.bytes.subarray(start, end)), `body ${at}`);
		}
		const sent = await mirror.host.metric('imgmirror_client_bytes_total', {cache: 'hit'});
		t.is(
			sent,
			answers.reduce((sum, {body}) => sum + body.length, 0),
			'what was sent is counted, whichever way it went',
		);
	});

	test(`${sendfile}: clients that leave in the middle take nothing away from those who come after them`, async t => {
		const image = makeImage({size});
		const {mirror} = await startBoth(t, image, sendfile);
		await mirror.file(image);
		await mirror.idle();
		for (let round = 0; round < 6; round++) {
			const leaving = socketTo(t, mirror);
			leaving.write(asking(image, 'GET') + asking(image, 'GET'));
			await once(leaving, 'data');
			const staying = mirror.file(image, {hashOnly: true});
			if (round % 2 === 0) {
				leaving.resetAndDestroy();
			} else {
				leaving.destroy();
			}
			const {complete, sha1} = await staying;
			t.true(complete);
			t.is(sha1, image.sha1);
		}
		await mirror.host.logged({msg: 'client left'});
	});

	test(`${sendfile}: who follows a file that arrives has it as it comes, and its tail when it is right`, async t => {
		const image = makeImage({size});
		const {mirror, upstream} = await startBoth(t, image, sendfile);
		upstream.misbehave('file', {holdAt: [100, 1_000_000, 5_000_000]});
		const first = mirror.file(image);
		await upstream.reached(100);
		const others = [0, 17, 999_999, 1_000_000, 6_000_000, size - 1].map(offset =>
			mirror.file(image, {headers: {range: `bytes=${offset}-`}}).then(answer => [offset, answer] as const),
		);
		await mirror.followers(image, 7);
		upstream.release();
		await upstream.reached(1_000_000);
		upstream.release();
		await upstream.reached(5_000_000);
		upstream.release();
		t.true((await first).body.equals(image.bytes));
		for (const [offset, {body, complete}] of await Promise.all(others)) {
			t.true(complete && body.equals(image.bytes.subarray(offset)), `from ${offset}`);
		}
		t.deepEqual(upstream.fileRequests, [image.uuid]);
	});

	test(`${sendfile}: a file that turns out wrong completes for nobody`, async t => {
		const image = makeImage({size});
		const {mirror, upstream} = await startBoth(t, image, sendfile);
		upstream.misbehave('file', {wrongBytes: {at: 0.5}});
		const answers = await Promise.all(Array.from({length: 8}, () => mirror.file(image, {hashOnly: true})));
		for (const {complete, sha1} of answers) {
			t.false(complete && sha1 !== image.sha1);
			t.not(sha1, image.sha1);
		}
	});
}

test('many clients at once, some slow, all have the whole file', async t => {
	const image = makeImage({size});
	const {mirror} = await startBoth(t, image, 'auto');
	await mirror.file(image);
	await mirror.idle();
	const clients = Array.from({length: 40}, (_, number) =>
		mirror.file(image, {hashOnly: true, ...(number % 10 === 0 ? {bytesPerSecond: 20_000_000} : {})}),
	);
	for (const {complete, sha1, headers} of await Promise.all(clients)) {
		t.true(complete);
		t.is(sha1, image.sha1);
		t.is(headers['x-cache'], 'hit');
	}
	t.is(createHash('sha1').update(image.bytes).digest('hex'), image.sha1);
});
