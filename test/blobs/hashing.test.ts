import {createHash} from 'node:crypto';
import {appendFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {Hashing} from '../../src/blobs/hashing.js';
import {makeImage} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';

test('a growing file is hashed behind its writer', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const file = path.join(await tempDir(t), 'file');
	const {bytes, sha1, sha256, md5} = makeImage({size: 5_000_000});
	await writeFile(file, bytes.subarray(0, 1_500_000));
	const hash = hashing.follow(file, ['sha1', 'sha256', 'md5']);
	hash.advance(1_500_000);
	await appendFile(file, bytes.subarray(1_500_000));
	hash.advance(5_000_000);
	t.deepEqual(await hash.digests(5_000_000), {sha1, sha256, md5});
});

test('several files are hashed at once, the background last but not never', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const folder = await tempDir(t);
	const images = Array.from({length: 6}, () => makeImage({size: 700_000}));
	const digests = await Promise.all(
		images.map(async (image, number) => {
			const file = path.join(folder, String(number));
			await writeFile(file, image.bytes);
			return hashing.follow(file, ['sha1'], {urgency: number % 2 === 0 ? 'idle' : 'now'}).digests(image.size);
		}),
	);
	t.deepEqual(
		digests.map(({sha1}) => sha1),
		images.map(({sha1}) => sha1),
	);
});

test('an empty file has the digest of nothing', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const file = path.join(await tempDir(t), 'file');
	await writeFile(file, '');
	const expected = createHash('sha1').digest('hex');
	t.deepEqual(await hashing.follow(file, ['sha1']).digests(0), {sha1: expected});
});

test('a file that is missing, or shorter than told, is an error', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const file = path.join(await tempDir(t), 'file');
	const missing = await t.throwsAsync(hashing.follow(file, ['sha1']).digests(1), {message: /ENOENT/});
	t.like(missing.cause, {code: 'ENOENT'});
	await writeFile(file, 'abc');
	await t.throwsAsync(hashing.follow(file, ['sha1']).digests(10), {message: /ends at 3/});
});

test('what was abandoned is forgotten, and the rest goes on', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const file = path.join(await tempDir(t), 'file');
	await writeFile(file, 'abc');
	const left = hashing.follow(file, ['sha1']);
	left.abandon();
	left.abandon();
	left.advance(2_000_000);
	const {sha1} = await hashing.follow(file, ['sha1']).digests(3);
	t.is(sha1, createHash('sha1').update('abc').digest('hex'));
});

test('when the thread is gone whoever waits is told, and the next file has a new one', async t => {
	const hashing = new Hashing();
	const file = path.join(await tempDir(t), 'file');
	await writeFile(file, 'abc');
	const waiting = hashing.follow(file, ['sha1']);
	const unbegun = hashing.follow(file, ['sha1']);
	waiting.advance(8 * 2 ** 20);
	await hashing.close();
	await t.throwsAsync(waiting.digests(3), {message: /has ended/});
	t.is((await hashing.follow(file, ['sha1']).digests(3)).sha1?.length, 40);
	// Of which nothing had been asked of it.
	t.is((await unbegun.digests(3)).sha1?.length, 40);
	await hashing.close();
	await rm(file);
});

test('the end of an old thread is not held against the jobs of the new one', async t => {
	const hashing = new Hashing();
	const file = path.join(await tempDir(t), 'file');
	await writeFile(file, 'abc');
	hashing.follow(file, ['sha1']).advance(8 * 2 ** 20);
	const closing = hashing.close();
	const next = hashing.follow(file, ['sha1']).digests(3);
	await closing;
	t.is((await next).sha1, createHash('sha1').update('abc').digest('hex'));
	await hashing.close();
});

test('whoever asks hears how far the thread is, and can wait for it', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const file = path.join(await tempDir(t), 'file');
	const {bytes, md5} = makeImage({size: 20_000_000});
	await writeFile(file, bytes);
	const told: number[] = [];
	const hash = hashing.follow(file, ['md5'], {aside: true, onDone: done => told.push(done)});
	await hash.within(0);
	t.deepEqual(told, []);
	hash.advance(12_000_000);
	await hash.within(4_000_000);
	t.true((told.at(-1) ?? 0) >= 8_000_000);
	hash.advance(20_000_000);
	await hash.within(0);
	t.is(told.at(-1), 20_000_000);
	t.deepEqual(await hash.digests(20_000_000), {md5});
	await hash.within(0);
});

test('nobody waits for a thread that is gone, nor for a file that nobody wants', async t => {
	const hashing = new Hashing();
	const file = path.join(await tempDir(t), 'file');
	await writeFile(file, 'abc');
	const follow = (): ReturnType<Hashing['follow']> => hashing.follow(file, ['sha1'], {onDone: () => undefined});
	// Told of more than there is, so that it never gets there.
	const failing = follow();
	failing.advance(5_000_000);
	await failing.within(0);
	await t.throwsAsync(failing.digests(5_000_000), {message: /ends at 3/});
	const unwanted = follow();
	unwanted.advance(5_000_000);
	const within = unwanted.within(0);
	unwanted.abandon();
	await within;
	const orphaned = follow();
	orphaned.advance(5_000_000);
	await Promise.all([orphaned.within(0), hashing.close()]);
	await t.throwsAsync(orphaned.digests(3));
});

test('what is wanted soon is done, too, while others are urgent', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const file = path.join(await tempDir(t), 'file');
	const {bytes, sha1, sha256} = makeImage({size: 12_000_000});
	await writeFile(file, bytes);
	const soon = hashing.follow(file, ['sha256'], {urgency: 'soon'});
	soon.advance(12_000_000);
	const now = await Promise.all([1, 2, 3].map(() => hashing.follow(file, ['sha1']).digests(12_000_000)));
	t.deepEqual(now, [{sha1}, {sha1}, {sha1}]);
	t.deepEqual(await soon.digests(12_000_000), {sha256});
});

test('a file that grows faster than messages come is hashed as far as it has come', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const file = path.join(await tempDir(t), 'file');
	const {bytes, sha1} = makeImage({size: 40_000_000});
	await writeFile(file, bytes);
	let done = 0;
	const hash = hashing.follow(file, ['sha1'], {onDone: now => (done = now)});
	for (let at = 1_048_576; at < bytes.length; at += 1_048_576) {
		hash.advance(at);
	}
	hash.advance(bytes.length);
	await hash.within(1_048_576);
	t.true(done >= 38_000_000);
	t.deepEqual(await hash.digests(bytes.length), {sha1});
});

test('what is wanted soon has its turn even if there is always something urgent', async t => {
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const file = path.join(await tempDir(t), 'file');
	const {bytes, sha1, sha256} = makeImage({size: 3_000_000});
	await writeFile(file, bytes);
	const soon = hashing.follow(file, ['sha256'], {urgency: 'soon'}).digests(bytes.length);
	let isOver = false;
	// Three at any time, so that the thread never finds that nothing is urgent.
	const busy = [1, 2, 3].map(async () => {
		while (!isOver) {
			t.deepEqual(await hashing.follow(file, ['sha1']).digests(bytes.length), {sha1});
		}
	});
	t.deepEqual(await soon, {sha256});
	isOver = true;
	await Promise.all(busy);
});
