import {stat} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {Layout} from '../../src/blobs/layout.js';
import {open} from '../helpers/http-client.js';
import {makeImage} from '../helpers/make-image.js';
import {imgmirror} from '../helpers/run-command.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startProcess} from '../helpers/start-process.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';

/** Resolves once the partial of that file has so many bytes on disk. */
async function onDisk(data: string, sha1: string, bytes: number): Promise<void> {
	const file = new Layout(data).partial(sha1);
	for (;;) {
		const found = await stat(file).catch(() => undefined);
		if ((found?.size ?? 0) >= bytes) {
			return;
		}
		await new Promise(resolve => setImmediate(resolve));
	}
}

test('kill -9 in the middle of a transfer: after the restart only the rest is fetched', async t => {
	const image = makeImage({size: 4_000_000});
	const upstream = await startUpstream(t, {kind: 'static', images: [image], holdAfter: 2_000_000});
	const data = path.join(await tempDir(t), 'data');
	const sources = [{name: 'up', url: upstream.url, type: 'imgapi'}];
	const first = await startProcess(t, {data, sources});
	// It may be killed before the answer has begun.
	const whole = first.file(image).then(
		({complete}) => complete,
		() => false,
	);
	await upstream.reached(2_000_000);
	await onDisk(data, image.sha1, 1_900_000);
	t.deepEqual(await first.end('SIGKILL'), {code: null, signal: 'SIGKILL'});
	t.false(await whole);
	const {size: kept} = await stat(new Layout(data).partial(image.sha1));
	upstream.release();
	upstream.forget();

	const second = await startProcess(t, {data, sources});
	const answer = await second.file(image);
	t.true(answer.body.equals(image.bytes));
	t.deepEqual(upstream.rangeRequests, [`bytes=${kept}-`]);
	t.is(upstream.bytesSent, 4_000_000 - kept);
	t.deepEqual(await second.end('SIGTERM'), {code: 0, signal: null});
});

test('SIGTERM lets a running response finish, takes nothing new, and ends with 0', async t => {
	const image = makeImage({size: 2_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 1_000_000});
	const data = path.join(await tempDir(t), 'data');
	const mirror = await startProcess(t, {data, sources: [upstream.url], config: {drainTimeout: '60s'}});
	const reading = mirror.file(image);
	await upstream.reached(1_000_000);
	const ended = mirror.end('SIGTERM');
	await mirror.logged(/"stopping"/);
	for (;;) {
		const refused = await mirror.get('/ping').then(
			() => false,
			() => true,
		);
		if (refused) {
			break;
		}
	}
	upstream.release();
	sameBytes(t, (await reading).body, image.bytes);
	t.deepEqual(await ended, {code: 0, signal: null});
});

test('SIGTERM with a transfer that will not end: it is suspended after the drain, and taken up by the next start', async t => {
	const image = makeImage({size: 2_000_000});
	const upstream = await startUpstream(t, {kind: 'static', images: [image], holdAfter: 1_000_000});
	const data = path.join(await tempDir(t), 'data');
	const sources = [{name: 'up', url: upstream.url, type: 'imgapi'}];
	const mirror = await startProcess(t, {data, sources, config: {drainTimeout: '200ms'}});
	const whole = mirror.file(image).then(
		({complete}) => complete,
		() => false,
	);
	await upstream.reached(1_000_000);
	await onDisk(data, image.sha1, 900_000);
	t.deepEqual(await mirror.end('SIGTERM'), {code: 0, signal: null});
	t.false(await whole);
	upstream.release();
	upstream.forget();
	const next = await startProcess(t, {data, sources});
	t.true((await next.file(image)).body.equals(image.bytes));
	t.regex(upstream.rangeRequests[0] ?? '', /^bytes=\d{6,7}-$/);
});

test('a second signal ends it at once', async t => {
	const image = makeImage({size: 2_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 1_000_000});
	const data = path.join(await tempDir(t), 'data');
	const mirror = await startProcess(t, {data, sources: [upstream.url], config: {drainTimeout: '1h'}});
	const response = await open(`${mirror.url}/images/${image.uuid}/file`);
	response.on('error', () => undefined);
	response.resume();
	await upstream.reached(1_000_000);
	const ended = mirror.end('SIGTERM');
	await mirror.logged(/"stopping"/);
	mirror.child.kill('SIGTERM');
	t.deepEqual(await ended, {code: 1, signal: null});
});

test('SIGHUP in the middle of a transfer: new sources at once, the transfer goes on; a faulty file changes nothing', async t => {
	const image = makeImage({size: 2_000_000});
	const added = makeImage({size: 1000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 1_000_000});
	const second = await startUpstream(t, {images: [added]});
	const data = path.join(await tempDir(t), 'data');
	const mirror = await startProcess(t, {data, sources: [{name: 'one', url: upstream.url}]});
	const reading = mirror.file(image);
	await upstream.reached(1_000_000);

	await mirror.configure('{"listen": ["127.0.0.1:0"], "sauces": []}');
	mirror.child.kill('SIGHUP');
	await mirror.logged(/everything goes on as before/);
	t.is((await mirror.get(`/images/${image.uuid}`)).status, 200);
	const {code, stdout} = await imgmirror(['log', '--level', 'warn', '--data', data]);
	t.is(code, 0);
	t.regex(stdout, /configuration fault.*sauces/);
	t.regex(stdout, /everything goes on as before/);

	const sources = [
		{name: 'one', url: upstream.url, retries: 5},
		{name: 'two', url: second.url},
	];
	await mirror.configure(JSON.stringify({listen: ['127.0.0.1:0'], data, sources}));
	mirror.child.kill('SIGHUP');
	await mirror.logged(/configuration read again/);
	t.is((await mirror.get(`/images/${added.uuid}`)).status, 200);
	upstream.release();
	sameBytes(t, (await reading).body, image.bytes);
	t.is(upstream.fileRequests.length, 1);
});

test('two processes do not work on one data directory; a dead one is no hindrance', async t => {
	const upstream = await startUpstream(t, {images: []});
	const data = path.join(await tempDir(t), 'data');
	const first = await startProcess(t, {data, sources: [upstream.url]});
	await t.throwsAsync(startProcess(t, {data, sources: [upstream.url]}), {message: /another imgmirror is using/});
	await first.end('SIGKILL');
	const second = await startProcess(t, {data, sources: [upstream.url]});
	t.is((await second.get('/ping')).status, 200);
});

test('the one line on stdout says where it listens, what it fronts, and what to type', async t => {
	const upstream = await startUpstream(t, {images: []});
	const data = path.join(await tempDir(t), 'data');
	const mirror = await startProcess(t, {data, sources: [{name: 'lan', url: upstream.url}]});
	t.regex(mirror.banner, /http:\/\/127\.0\.0\.1:\d+/);
	t.true(mirror.banner.includes(upstream.url));
	t.regex(mirror.banner, /imgadm sources -a http:\/\/127\.0\.0\.1:\d+/);
});
