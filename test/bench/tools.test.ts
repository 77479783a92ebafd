import {once} from 'node:events';
import {createServer, type RequestListener} from 'node:http';
import type {AddressInfo} from 'node:net';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {get} from '../helpers/http-client.js';
import {has} from '../helpers/programs.js';
import {tempDir} from '../helpers/temp-dir.js';
import {makeFile, upstreamFolder} from './files.js';
import {cpuSeconds, privateMiB, watchingMemory} from './processes.js';
import {Bench} from './servers.js';
import {Missing, fetchAll, makeTools, type Tools} from './tools.js';

/** The client in C, where it can be compiled, and the one in Node.js: they must agree. */
async function clients(t: ExecutionContext): Promise<readonly Tools[]> {
	const folder = await tempDir(t);
	const inNode = {folder, compiled: false};
	return has(t, 'cc') ? [inNode, await makeTools(folder)] : [inNode];
}

async function serve(t: ExecutionContext, listener: RequestListener): Promise<string> {
	const server = createServer(listener);
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.close();
		server.closeAllConnections();
	});
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('the client asks as often as it should, for each path in its turn, and counts bodies', async t => {
	for (const tools of await clients(t)) {
		const asked: string[] = [];
		const encodings = new Set<string>();
		const url = await serve(t, (request, response) => {
			asked.push(request.url ?? '');
			encodings.add(String(request.headers['accept-encoding']));
			response.end(Buffer.alloc(request.url === '/one' ? 1000 : 300_000));
		});
		const options = {connections: 2, requests: 4, headers: ['Accept-Encoding: gzip']};
		const result = await fetchAll(tools, [`${url}/one`, `${url}/two`], options);
		t.like(result, {requests: 8, failed: 0, bytes: 4 * 301_000});
		t.deepEqual(asked.toSorted(), [...Array<string>(4).fill('/one'), ...Array<string>(4).fill('/two')]);
		t.deepEqual([...encodings], ['gzip']);
		const {min, median, p99, max} = result.firstByteMs;
		t.true(min > 0 && min <= median && median <= p99 && p99 <= max);
		t.true(result.seconds * 1000 >= max);
		const many = Array.from({length: 30}, (_, number) => `${url}/${number}`);
		t.is((await fetchAll(tools, many, {requests: 30})).requests, 30);
		t.is(new Set(asked).size, 32);
	}
});

test('an answer that is cut short, or is another than was expected, is no success', async t => {
	for (const tools of await clients(t)) {
		const url = await serve(t, (request, response) => {
			if (request.url === '/short') {
				response.writeHead(200, {'content-length': 1000});
				response.write(Buffer.alloc(999));
				response.socket?.end();
			} else if (request.url === '/chunked') {
				response.write('no length');
				response.end();
			} else {
				response.writeHead(request.url === '/same' ? 304 : 404).end();
			}
		});
		for (const wrong of ['/short', '/chunked', '/missing', '/same']) {
			await t.throwsAsync(fetchAll(tools, url + wrong), {message: /^1 of 1 requests to .* failed$/}, wrong);
		}
		t.like(await fetchAll(tools, `${url}/same`, {requests: 3, status: 304}), {requests: 3, bytes: 0});
	}
});

test('a server that closes after each answer is asked again on a new connection', async t => {
	if (!has(t, 'cc')) {
		return;
	}
	const url = await serve(t, (_, response) =>
		response.writeHead(200, {connection: 'close', 'content-length': 9}).end('all of it'),
	);
	t.is((await fetchAll(await makeTools(await tempDir(t)), url, {connections: 2, requests: 3})).requests, 6);
});

test('without a compiler nothing reads slowly, and that is said', async t => {
	const tools = {folder: await tempDir(t), compiled: false};
	await t.throwsAsync(fetchAll(tools, 'http://127.0.0.1:1/', {bytesPerSecond: 1}), {instanceOf: Missing});
});

test('a slow client takes as long as its rate says, and the upstream counts what it sent', async t => {
	if (!has(t, 'cc')) {
		return;
	}
	const bench = new Bench(await makeTools(await tempDir(t)));
	t.teardown(() => bench.close());
	const file = await makeFile(bench.folder, 500_000);
	const upstream = await bench.upstream(await upstreamFolder(bench.folder, [file]), undefined);
	const {seconds, bytes} = await bench.fetch(upstream.url + file.path, {bytesPerSecond: 1e6});
	t.is(bytes, 500_000);
	// What came before the clock began to run is the only part that may come faster.
	t.true(seconds >= 0.4, `${seconds}`);
	t.is(await upstream.sent(), 500_000);
	const part = await get(upstream.url + file.path, {headers: {range: 'bytes=499990-'}});
	t.deepEqual([part.status, part.bytes, part.headers['content-range']], [206, 10, 'bytes 499990-499999/500000']);
	t.is(await upstream.sent(), 500_010);
	t.is((await get(`${upstream.url}/images`)).text, JSON.stringify([file.manifest], null, 2));
	t.is((await get(`${upstream.url}/none`)).status, 404);
});

test('a line of so many bytes per second is shared by all who download', async t => {
	if (!has(t, 'cc')) {
		return;
	}
	const bench = new Bench(await makeTools(await tempDir(t)));
	t.teardown(() => bench.close());
	const file = await makeFile(bench.folder, 500_000);
	const upstream = await bench.upstream(await upstreamFolder(bench.folder, [file]), 5e6);
	const [one, two] = [
		await bench.fetch(upstream.url + file.path),
		await bench.fetch(upstream.url + file.path, {connections: 2}),
	];
	// A twentieth of a second may be made up for.
	t.true(one.seconds >= 0.04, `${one.seconds}`);
	t.true(two.seconds >= 0.14, `${two.seconds}`);
	t.is(await upstream.sent(), 1_500_000);
});

test('what a process costs is told while it runs', async t => {
	if (process.platform !== 'linux') {
		t.pass();
		return;
	}
	const [before, own] = [cpuSeconds([process.pid]), privateMiB(process.pid)];
	t.true(before > 0 && own > 1);
	t.is(cpuSeconds([2 ** 30]), NaN);
	const {result, peakMiB} = await watchingMemory([process.pid], async () => {
		const held = Buffer.alloc(64 * 2 ** 20, 1);
		await writeFile(path.join(await tempDir(t), 'file'), 'x');
		return held.length;
	});
	t.is(result, 64 * 2 ** 20);
	t.true(peakMiB >= own + 50, `${peakMiB} after ${own}`);
	t.true(cpuSeconds([process.pid]) > before);
});
