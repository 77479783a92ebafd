import {readFile, stat, utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {countDisk} from '../helpers/disk-count.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {startMirror, type MirrorOptions, type TestMirror} from '../helpers/start-mirror.js';
import {startUpstream, type Upstream} from '../helpers/start-upstream.js';
import type {EvictOutcome, ImageRow, PinOutcome, StorageReport, TransferReport} from '../../src/mirror-operate-api.js';

const operator = {networks: [{cidrs: ['127.0.0.1'], may: ['operate']}]};
const megabyte = 1_000_000;

interface Site {
	readonly upstream: Upstream;
	readonly mirror: TestMirror;
	readonly images: readonly TestImage[];
}

async function startSite(
	t: ExecutionContext,
	images: readonly TestImage[],
	store: Readonly<Record<string, unknown>>,
	options: Partial<MirrorOptions> = {},
): Promise<Site> {
	const upstream = await startUpstream(t, {images});
	const mirror = await startMirror(t, {
		sources: [{name: 'up', url: upstream.url, type: 'imgapi'}],
		...options,
		config: {access: operator, store: {minFree: '0', ...store}, ...options.config},
	});
	return {upstream, mirror, images};
}

async function fetchAll(mirror: TestMirror, ...images: readonly TestImage[]): Promise<readonly string[]> {
	const outcomes: string[] = [];
	for (const image of images) {
		const answer = await mirror.file(image);
		if (!answer.body.equals(image.bytes)) {
			throw new Error(`${image.uuid} came wrong`);
		}
		outcomes.push(String(answer.headers['x-cache']));
		await mirror.idle();
	}
	return outcomes;
}

async function here(mirror: TestMirror, images: readonly TestImage[]): Promise<readonly number[]> {
	const rows = (await mirror.get('/mirror/images')).json() as readonly ImageRow[];
	return images.flatMap(({uuid}, at) => (rows.find(row => row.uuid === uuid)?.here === 'here' ? [at] : []));
}

async function storage(mirror: TestMirror): Promise<StorageReport> {
	return (await mirror.get('/mirror/storage?files=all')).json() as StorageReport;
}

async function act<T>(mirror: TestMirror, image: TestImage, action: string): Promise<T> {
	const answer = await mirror.get(`/mirror/images/${image.uuid}?action=${action}`, {method: 'POST'});
	if (answer.status >= 300) {
		throw new Error(`${action}: ${answer.status} ${answer.text}`);
	}
	return answer.json() as T;
}

/** What the mirror says of its store is what lies on the disk. */
async function isCounted(t: ExecutionContext, mirror: TestMirror): Promise<void> {
	const report = await storage(mirror);
	const disk = countDisk(mirror.data);
	t.deepEqual(
		{blobs: report.files, blobBytes: report.bytes, partials: report.partials, partialBytes: report.partialBytes},
		disk,
	);
}

/** The grace after a use keeps what was just used: here, uses are minutes apart. */
test('the least recently used file goes when another needs its room, and is fetched again when it is asked for', async t => {
	const images = Array.from({length: 4}, () => makeImage({size: megabyte}));
	const {mirror} = await startSite(t, images, {maxSize: '3.5 MB', highMark: '99%', lowMark: '98%'});
	const clock = aheadClock(mirror);
	const [a, b, c, d] = images as [TestImage, TestImage, TestImage, TestImage];
	for (const image of [a, b, c]) {
		await fetchAll(mirror, image);
		clock.minutes(5);
	}
	t.deepEqual(await fetchAll(mirror, a), ['hit']);
	clock.minutes(5);
	t.deepEqual(await fetchAll(mirror, d), ['miss']);
	t.deepEqual(await here(mirror, images), [0, 2, 3], 'b had not been used for longest');
	await isCounted(t, mirror);
	clock.minutes(5);
	t.deepEqual(await fetchAll(mirror, b), ['miss']);
	t.deepEqual(await here(mirror, images), [0, 1, 3]);
	await isCounted(t, mirror);
});

test('what was used last is still known after a restart', async t => {
	const images = Array.from({length: 4}, () => makeImage({size: megabyte}));
	const {mirror} = await startSite(t, images, {maxSize: '3.5 MB', highMark: '99%', lowMark: '98%'});
	const clock = aheadClock(mirror);
	const [a, b, c, d] = images as [TestImage, TestImage, TestImage, TestImage];
	for (const image of [a, b, c, a]) {
		await fetchAll(mirror, image);
		clock.minutes(5);
	}
	const again = await mirror.restart();
	aheadClock(again).minutes(60);
	t.deepEqual(await fetchAll(again, d), ['miss']);
	t.deepEqual(await here(again, images), [0, 2, 3]);
	await isCounted(t, again);
});

test('pinned images stay with their origins, and where nothing can go files pass through, and say so', async t => {
	const base = makeImage({size: megabyte});
	const child = makeImage({size: megabyte, origin: base});
	const other = makeImage({size: megabyte});
	const {mirror} = await startSite(t, [base, child, other], {maxSize: '2.5 MB'});
	const clock = aheadClock(mirror);
	await fetchAll(mirror, base, child);
	const pinned = await act<PinOutcome>(mirror, child, 'pin');
	t.deepEqual(
		pinned.chain.map(({uuid, here: isHere}) => [uuid, isHere]),
		[
			[child.uuid, true],
			[base.uuid, true],
		],
	);
	clock.minutes(60);
	t.deepEqual(await fetchAll(mirror, other), ['pass']);
	t.deepEqual(await here(mirror, [base, child, other]), [0, 1]);
	// The disk has nothing to do with it.
	t.is(
		mirror.host
			.linesLike({level: 40})
			.filter(({msg}) => msg.startsWith('what files may take has no room for this file')).length,
		1,
	);
	t.is(await mirror.host.metric('imgmirror_disk_errors_total', {code: 'ENOSPC'}), 0);
	t.deepEqual(mirror.host.linesLike({level: 50}), []);
	await isCounted(t, mirror);

	const again = await mirror.restart();
	aheadClock(again).minutes(120);
	t.deepEqual(await fetchAll(again, other), ['pass'], 'pins survive a restart');
	await act<PinOutcome>(again, child, 'unpin');
	t.deepEqual(await fetchAll(again, other), ['miss']);
	t.deepEqual(await here(again, [base, child, other]), [0, 2], 'the child goes before what it is built upon');
	await isCounted(t, again);
});

test('a fleet that wants a file for which there is no room has it fetched once', async t => {
	const image = makeImage({size: 3 * megabyte});
	const {mirror, upstream} = await startSite(t, [image], {maxSize: '2 MB'});
	upstream.misbehave('file', {holdAt: megabyte}, {times: 1});
	const early = Array.from({length: 10}, () => mirror.file(image));
	await upstream.reached(megabyte);
	// These come when a third of it has gone by.
	const late = Array.from({length: 10}, (_, n) =>
		mirror.file(image, n % 2 === 0 ? {} : {headers: {range: `bytes=${2 * megabyte}-`}}),
	);
	await mirror.followers(image, 20);
	const [transfer, ...others] = (await mirror.get('/mirror/transfers')).json() as readonly TransferReport[];
	t.like(transfer, {size: image.size, followers: 20, passing: true, source: 'up', waiting: false, background: false});
	t.deepEqual(others, []);
	t.deepEqual((await mirror.get('/mirror/images?here=coming')).json(), []);
	upstream.release();
	for (const {status, headers, body, complete} of await Promise.all([...early, ...late])) {
		t.true(complete);
		t.is(headers['x-cache'], 'pass');
		t.true(body.equals(status === 206 ? image.bytes.subarray(2 * megabyte) : image.bytes));
	}
	t.is(upstream.of('file').length, 1);
	await mirror.idle();
	t.is((await storage(mirror)).files, 0);
});

test('two images with one file: it counts once, and stays while either is pinned', async t => {
	const a = makeImage({size: megabyte, seed: 77});
	const b = makeImage({size: megabyte, seed: 77});
	const other = makeImage({size: megabyte});
	const {mirror} = await startSite(t, [a, b, other], {maxSize: '1.5 MB'});
	await fetchAll(mirror, a, b);
	t.is((await storage(mirror)).files, 1);
	await act(mirror, b, 'pin');
	aheadClock(mirror).minutes(60);
	t.deepEqual(await fetchAll(mirror, other), ['pass']);
	const refused = await mirror.get('/mirror/evict', {
		method: 'POST',
		body: JSON.stringify({uuids: [a.uuid], force: true}),
	});
	const [outcome] = refused.json() as readonly EvictOutcome[];
	t.regex(outcome?.problem ?? '', /pinned/);
	await act(mirror, b, 'unpin');
	t.deepEqual(await fetchAll(mirror, other), ['miss']);
	await isCounted(t, mirror);
});

test('what is published here is never evicted, and may take more than the limit', async t => {
	const [before, after] = [makeImage({size: megabyte}), makeImage({size: megabyte})];
	const {mirror} = await startSite(t, [before, after], {maxSize: '1.5 MB'});
	await fetchAll(mirror, before);
	aheadClock(mirror).minutes(60);
	const made = await mirror.get('/publish?name=ours&version=1&os=smartos&type=zone-dataset', {
		method: 'PUT',
		body: Buffer.alloc(2 * megabyte, 7),
	});
	t.is(made.status, 200, made.text);
	const {uuid} = made.json() as {uuid: string};
	t.deepEqual(await here(mirror, [before, after]), [], 'the cache made room');
	t.deepEqual(await fetchAll(mirror, after), ['pass']);
	const refused = await mirror.get('/mirror/evict', {
		method: 'POST',
		body: JSON.stringify({uuids: [uuid], force: true}),
	});
	t.regex((refused.json() as readonly EvictOutcome[])[0]?.problem ?? '', /published/);
	t.is((await mirror.get(`/images/${uuid}/file`)).status, 200);
	await isCounted(t, mirror);
});

test('files that nobody used for long go, but not those that a rule wants', async t => {
	const wanted = makeImage({size: megabyte, name: 'wanted'});
	const unused = makeImage({size: megabyte, name: 'unused'});
	const {mirror} = await startSite(
		t,
		[wanted, unused],
		{maxUnused: '10d'},
		{
			config: {
				access: operator,
				store: {minFree: '0', maxUnused: '10d'},
				prefetch: {rules: [{name: 'w', include: {name: 'wanted'}}]},
			},
		},
	);
	await fetchAll(mirror, wanted, unused);
	const clock = aheadClock(mirror);
	clock.minutes(60 * 24 * 11);
	await mirror.running.tidy();
	t.deepEqual(await here(mirror, [wanted, unused]), [0]);
	await isCounted(t, mirror);
});

test('evict lets go of what it is told to, children before origins, and says why not otherwise', async t => {
	const base = makeImage({size: megabyte});
	const child = makeImage({size: megabyte, origin: base});
	const {mirror} = await startSite(t, [base, child], {});
	await fetchAll(mirror, base, child);
	aheadClock(mirror).minutes(60);
	const evict = async (...uuids: readonly string[]): Promise<readonly EvictOutcome[]> =>
		(
			await mirror.get('/mirror/evict', {method: 'POST', body: JSON.stringify({uuids})})
		).json() as readonly EvictOutcome[];
	t.truthy((await evict(base.uuid))[0]?.problem, 'its child is here');
	t.deepEqual(await evict(base.uuid, child.uuid), [
		{uuid: base.uuid, bytes: megabyte},
		{uuid: child.uuid, bytes: megabyte},
	]);
	t.regex((await evict(base.uuid))[0]?.problem ?? '', /not here/);
	t.deepEqual(await here(mirror, [base, child]), []);
	await isCounted(t, mirror);
	t.deepEqual(await fetchAll(mirror, base), ['miss']);
});

test('a file that rotted on the disk is found by verify, put into quarantine and fetched again', async t => {
	const good = makeImage({size: megabyte});
	const rotten = makeImage({size: megabyte});
	const {mirror} = await startSite(t, [good, rotten], {});
	await fetchAll(mirror, good, rotten);
	await rot(mirror, rotten.sha1);
	const answer = await mirror.get('/mirror/verify', {method: 'POST', body: '{}'});
	t.is(answer.status, 200, answer.text);
	const lines = answer.text
		.trim()
		.split('\n')
		.map(line => JSON.parse(line) as {what: string; sha1?: string; outcome?: string});
	t.is(lines.find(({sha1}) => sha1 === rotten.sha1)?.outcome, 'refetching');
	t.is(lines.find(({sha1}) => sha1 === good.sha1)?.outcome, 'right');
	t.like(lines.at(-1), {what: 'end', right: 1, wrong: 1});
	await mirror.host.logged(/has been fetched again/);
	t.deepEqual(await fetchAll(mirror, rotten), ['hit']);
	t.is((await storage(mirror)).quarantine.length, 1);
	await isCounted(t, mirror);
});

test('a published file that rotted is shouted about, and the image is never served wrong', async t => {
	const {mirror} = await startSite(t, [], {});
	const made = await mirror.get('/publish?name=ours&version=1&os=smartos&type=zone-dataset', {
		method: 'PUT',
		body: Buffer.alloc(megabyte, 9),
	});
	const {uuid, files} = made.json() as {uuid: string; files: readonly {sha1: string}[]};
	const sha1 = files[0]?.sha1 ?? '';
	await rot(mirror, sha1);
	const answer = await mirror.get('/mirror/verify', {method: 'POST', body: JSON.stringify({uuids: [uuid]})});
	t.regex(answer.text, /"outcome":"lost"/);
	t.is((await mirror.host.logged(/DAMAGED/)).level, 60);
	t.is((await storage(mirror)).scrub.damaged[0]?.uuid, uuid);
	t.true((await mirror.get(`/images/${uuid}/file`)).status >= 500);
	const ready = (await mirror.get('/readyz')).json() as {status: string; warnings?: readonly string[]};
	t.is(ready.status, 'ready');
	t.true(ready.warnings?.some(warning => warning.includes(uuid) || /damaged/i.test(warning)));
	await isCounted(t, mirror);
});

test('what was half fetched and is wanted by nobody any more is swept', async t => {
	const image = makeImage({size: megabyte});
	const gone = makeImage({size: megabyte});
	const {mirror, upstream} = await startSite(t, [image, gone], {keepPartials: '7d'});
	upstream.misbehave('file', {holdAt: 400_000});
	const leaving = [new AbortController(), new AbortController()];
	const clients = [image, gone].map((each, at) =>
		mirror.file(each, {signal: leaving[at]?.signal as AbortSignal}).catch(() => undefined),
	);
	await upstream.reached(400_000);
	await mirror.until(({transfers}) => transfers.length === 2 && transfers.every(({written}) => written > 0));
	const again = await mirror.restart();
	await Promise.all(clients);
	t.is((await storage(again)).partials, 2);
	await isCounted(t, again);
	aheadClock(again).minutes(60 * 24 * 8);
	await again.running.tidy();
	t.is((await storage(again)).partials, 0);
	await isCounted(t, again);
});

/** Moves the clock of a mirror ahead of the machine's. */
function aheadClock(mirror: TestMirror): {minutes(count: number): void} {
	return {
		minutes: count => {
			mirror.ahead(count * 60_000);
		},
	};
}

/** One bit, as a disk forgets it: size and date stay as they were. */
async function rot(mirror: TestMirror, sha1: string): Promise<void> {
	const file = path.join(mirror.data, 'blobs', sha1.slice(0, 2), sha1);
	const bytes = await readFile(file);
	const {atime, mtime} = await stat(file);
	bytes[500_000] = (bytes[500_000] ?? 0) ^ 1;
	await writeFile(file, bytes);
	await utimes(file, atime, mtime);
}
