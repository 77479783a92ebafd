import {rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {smallDisk} from '../helpers/small-disk.js';
import {startMirror} from '../helpers/start-mirror.js';
import {startProcess} from '../helpers/start-process.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';

test('a file for which the disk has no room is passed through, verified, and not kept', async t => {
	const data = await smallDisk(t, 4);
	const image = makeImage({size: 8_000_000});
	const small = makeImage({size: 100_000});
	const upstream = await startUpstream(t, {images: [image, small]});
	if (data === undefined) {
		t.pass();
		return;
	}
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}], data});
	for (const answer of await Promise.all([mirror.file(image), mirror.file(image)])) {
		t.true(answer.complete);
		t.true(answer.body.equals(image.bytes));
		t.is(answer.headers['x-cache'], 'pass');
	}
	await mirror.idle();
	t.is((await mirror.until(({store}) => store)).files, 0);
	t.true((await mirror.host.metric('imgmirror_disk_errors_total', {code: 'ENOSPC'})) > 0);
	// What fits is kept as ever.
	t.true((await mirror.file(small)).body.equals(small.bytes));
	await mirror.idle();
	t.is((await mirror.file(small)).headers['x-cache'], 'hit');
	await mirror.stop();
});

test('a disk that fills up in the middle: clients are carried on, nothing hangs, the next fits again', async t => {
	const data = await smallDisk(t, 8);
	if (data === undefined) {
		t.pass();
		return;
	}
	const image = makeImage({size: 6_000_000});
	const upstream = await startUpstream(t, {kind: 'static', images: [image]});
	upstream.misbehave('file', {holdAt: 1_000_000}, {times: 1});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url, type: 'imgapi'}], data});
	const readers = [mirror.file(image), mirror.file(image, {headers: {range: 'bytes=2000000-'}})];
	await upstream.reached(1_000_000);
	await mirror.followers(image, 2);
	// Somebody else takes the room that was there when the transfer began.
	const ballast = path.join(data, 'ballast');
	await writeFile(ballast, Buffer.alloc(5_000_000));
	upstream.release();
	const [whole, part] = await Promise.all(readers);
	t.true(whole?.body.equals(image.bytes));
	sameBytes(t, part?.body, image.bytes.subarray(2_000_000));
	await mirror.idle();
	t.is(mirror.host.linesLike(/does not take this file/).length, 1);

	await rm(ballast);
	t.true((await mirror.file(image)).body.equals(image.bytes));
	await mirror.idle();
	t.is((await mirror.file(image)).headers['x-cache'], 'hit');
	await mirror.stop();
});

test('writes that the system refuses in the middle: the same, without a file system of its own', async t => {
	const image = makeImage({size: 6_000_000});
	const upstream = await startUpstream(t, {images: [image]});
	const data = path.join(await tempDir(t), 'data');
	// No file may become longer than 2 MiB: a full disk as far as a big file is concerned.
	const mirror = await startProcess(t, {data, sources: [upstream.url], maxFileBlocks: 4096});
	const answer = await mirror.file(image);
	t.true(answer.complete);
	t.true(answer.body.equals(image.bytes));
	await mirror.logged(/does not take this file/);
	t.is((await mirror.get('/ping')).status, 200);
	t.deepEqual(await mirror.end('SIGTERM'), {code: 0, signal: null});
});
