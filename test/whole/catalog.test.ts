import {rm} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startMirror} from '../helpers/start-mirror.js';
import {hostileEntries, startUpstream} from '../helpers/start-upstream.js';

type List = readonly {readonly uuid: string}[];

test('one of three sources dead from the start: the others are served, the absent stays unknown', async t => {
	const [a, b] = [makeImage(), makeImage()];
	const first = await startUpstream(t, {images: [a]});
	const dead = await startUpstream(t, {state: 'dead'});
	const third = await startUpstream(t, {images: [b]});
	const mirror = await startMirror(t, {sources: [dead.url, first.url, third.url]});
	await mirror.until(({sources}) => sources.filter(({fetchedAt}) => fetchedAt !== undefined).length === 2);
	const list = (await mirror.get('/images')).json() as List;
	t.deepEqual(
		list.map(({uuid}) => uuid),
		[a.uuid, b.uuid],
	);
	t.true((await mirror.file(b)).body.equals(b.bytes));
	const unknown = makeImage();
	const answer = await mirror.get(`/images/${unknown.uuid}`);
	t.is(answer.status, 503);
	t.like(answer.json(), {code: 'RemoteSourceError'});
});

test('a source that says nothing for ever is waited for by nobody once another has answered', async t => {
	const image = makeImage();
	const hole = await startUpstream(t, {state: 'blackhole'});
	const up = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {
		sources: [
			{name: 'hole', url: hole.url, type: 'imgapi', headerTimeout: '10m'},
			{name: 'up', url: up.url},
		],
	});
	await mirror.until(({sources}) => sources[1]?.fetchedAt !== undefined);
	t.is(((await mirror.get('/images')).json() as List).length, 1);
	t.is((await mirror.get(`/images/${image.uuid}`)).status, 200);
	t.true((await mirror.file(image)).body.equals(image.bytes));
});

test('whatever anybody asks for that a source has not got right, the rest of it is there', async t => {
	const child = makeImage();
	const upstream = await startUpstream(t, {images: [child]});
	const mirror = await startMirror(t, {sources: [{url: upstream.url, retries: 0}]});
	await mirror.until(({merged}) => merged === 1);
	for (const status of [403, 422, 500]) {
		const broken = Array.from({length: 8}, () => makeImage().uuid);
		for (const uuid of broken) {
			upstream.misbehave('manifest', {status}, {uuid});
		}
		for (const uuid of broken) {
			t.is((await mirror.get(`/images/${uuid}`)).status, 503, String(status));
		}
		const {uuid} = makeImage();
		t.is((await mirror.get(`/images/${uuid}`)).status, 404, String(status));
	}
	t.true((await mirror.file(child)).complete);
});

test('a source that dies later keeps its last answer, marked stale; what is gone at all sources is 404', async t => {
	const image = makeImage({size: 100_000});
	const upstream = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url, listTtl: '1s'}]});
	t.is((await mirror.get(`/images/${makeImage().uuid}`)).status, 404);
	await mirror.file(image);
	await mirror.idle();
	await upstream.stop();
	await mirror.until(({sources}) => sources[0]?.lastError !== undefined && !sources[0].fresh);
	const list = await mirror.get('/images');
	t.like(list.headers, {'x-cache': 'stale'});
	t.is((list.json() as List).length, 1);
	t.is((await mirror.get(`/images/${image.uuid}`)).headers['x-cache'], 'stale');
	t.like((await mirror.file(image)).headers, {'x-cache': 'hit'});
	t.is((await mirror.get(`/images/${makeImage().uuid}`)).status, 503);
});

test('a list that breaks in the middle is no list: the one before stays', async t => {
	const [a, b] = [makeImage(), makeImage()];
	const upstream = await startUpstream(t, {images: [a]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url, listTtl: '1s'}]});
	await mirror.until(({merged}) => merged === 1);
	upstream.add(b);
	upstream.misbehave('list', {truncateAt: 0.7});
	await mirror.until(({sources}) => sources[0]?.lastError !== undefined);
	t.deepEqual(
		((await mirror.get('/images')).json() as List).map(({uuid}) => uuid),
		[a.uuid],
	);
	upstream.behave();
	await mirror.until(({merged}) => merged === 2);
	t.is(((await mirror.get('/images')).json() as List).length, 2);
});

test('hostile entries in a list are passed over and counted', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const entries = hostileEntries();
	upstream.misbehave('list', {insert: entries});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}]});
	const status = await mirror.until(found => (found.sources[0]?.fetchedAt === undefined ? undefined : found));
	t.true((status.sources[0]?.skipped ?? 0) > 0);
	const list = (await mirror.get('/images')).json() as List;
	t.true(list.some(({uuid}) => uuid === image.uuid));
});

test('the first source in order wins; the same uuid with another file is a conflict that is told', async t => {
	const mine = makeImage({size: 1000, name: 'mine'});
	const theirs = makeImage({size: 2000, name: 'theirs', uuid: mine.uuid});
	const first = await startUpstream(t, {images: [mine]});
	const second = await startUpstream(t, {images: [theirs]});
	const mirror = await startMirror(t, {
		sources: [
			{name: 'first', url: first.url},
			{name: 'second', url: second.url},
		],
	});
	await mirror.until(({conflictCount}) => conflictCount === 1);
	const found = await mirror.get(`/images/${mine.uuid}`);
	t.is(found.text, mine.pretty);
	t.is(found.headers['x-source'], 'first');
	t.true((await mirror.file(mine)).body.equals(mine.bytes));
	t.deepEqual(second.fileRequests, []);
	t.is(await mirror.host.metric('imgmirror_catalog_conflicts'), 1);
	t.is(
		mirror.host.linesLike({level: 40, image: mine.uuid}).length +
			mirror.host.linesLike({level: 40, uuid: mine.uuid}).length,
		1,
	);
});

test('after a restart with all upstreams down everything known is served, before any packet goes out', async t => {
	const [held, listed] = [makeImage({size: 100_000}), makeImage()];
	const upstream = await startUpstream(t, {images: [held, listed]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}]});
	await mirror.file(held);
	await mirror.idle();
	await mirror.stop();
	await upstream.stop();
	const again = await mirror.restart();
	t.is(((await again.get('/images')).json() as List).length, 2);
	t.is((await again.get(`/images/${listed.uuid}`)).text, listed.pretty);
	t.true((await again.file(held)).body.equals(held.bytes));
	t.is((await again.file(listed)).status, 503);
});

for (const state of ['down', 'up'] as const) {
	test(`the database deleted between runs with upstream ${state}: nothing is lost but time`, async t => {
		const [held, listed] = [makeImage({size: 100_000}), makeImage()];
		const upstream = await startUpstream(t, {images: [held, listed]});
		const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}]});
		await mirror.file(held);
		await mirror.idle();
		await mirror.stop();
		await rm(path.join(mirror.data, 'memory'), {recursive: true});
		upstream.forget();
		if (state === 'down') {
			await upstream.stop();
		}
		const again = await mirror.restart();
		const list = (await again.get('/images')).json() as List;
		t.is(list.length, state === 'down' ? 1 : 2);
		t.is((await again.get(`/images/${held.uuid}`)).text, held.pretty);
		const file = await again.file(held);
		t.true(file.body.equals(held.bytes));
		t.like(file.headers, {'x-cache': 'hit', 'x-source': 'up'});
		t.deepEqual(upstream.fileRequests, []);
	});
}

test('with no sources at all the list is empty, nothing is unknown, and it is ready', async t => {
	const mirror = await startMirror(t, {sources: []});
	t.is((await mirror.get('/images')).text, '[]');
	t.is((await mirror.get(`/images/${makeImage().uuid}`)).status, 404);
	t.is((await mirror.get('/readyz')).status, 200);
});

test('nothing known and nobody answering is 503, and not ready', async t => {
	const dead = await startUpstream(t, {state: 'dead'});
	const mirror = await startMirror(t, {sources: [dead.url]});
	const answer = await mirror.get('/images');
	t.is(answer.status, 503);
	t.like(answer.json(), {code: 'RemoteSourceError'});
	t.is((await mirror.get('/readyz')).status, 503);
	t.is((await mirror.get('/healthz')).status, 200);
});

test('two mirrors that name each other as sources do not ask in circles', async t => {
	const image = makeImage({size: 100_000});
	const upstream = await startUpstream(t, {images: [image]});
	const placeholder = await startUpstream(t, {state: 'dead'});
	const one = await startMirror(t, {sources: [{name: 'up', url: upstream.url}]});
	const two = await startMirror(t, {sources: [{name: 'one', url: one.url, type: 'imgapi'}]});
	await placeholder.close();
	await one.reload({
		sources: [
			{name: 'up', url: upstream.url},
			{name: 'two', url: two.url, type: 'imgapi'},
		],
	});
	await one.until(({sources}) => sources.length === 2 && sources.every(({fetchedAt}) => fetchedAt !== undefined));
	t.true((await two.file(image)).body.equals(image.bytes));
	const absent = await two.get(`/images/${makeImage().uuid}`);
	t.is(absent.status, 404, absent.text);
	t.is((await one.get(`/images/${makeImage().uuid}`)).status, 404);
});

test('a mirror that is its own source says so, and lists what the others have', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const up = {name: 'up', url: upstream.url, listTtl: '1s', vanished: 'drop'} as const;
	const mirror = await startMirror(t, {sources: [up]});
	await mirror.reload({sources: [up, {name: 'self', url: mirror.url, type: 'imgapi'}]});
	const problem = await mirror.until(({sources: [, self]}) => self?.lastError);
	t.regex(problem, /this mirror asks itself: one of its sources is its own address/u);
	t.is((await mirror.get(`/images/${image.uuid}`)).status, 200);
	// From itself it would have it for ever.
	upstream.remove(image);
	await mirror.until(({merged}) => merged === 0);
	t.deepEqual((await mirror.get('/images')).json(), []);
	// What others have asked before is another matter.
	const other = await mirror.get('/images', {headers: {'x-imgmirror-via': 'somebody'}});
	t.is(other.status, 200);
});

test('an image dropped upstream is dropped here, with its file, if the operator wants it so', async t => {
	const [gone, stays] = [makeImage({size: 100_000}), makeImage()];
	const upstream = await startUpstream(t, {images: [gone, stays]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url, listTtl: '1s', vanished: 'drop'}]});
	await mirror.file(gone);
	await mirror.idle();
	upstream.remove(gone);
	await mirror.until(({merged, store}) => merged === 1 && store.files === 0);
	while ((await mirror.get(`/images/${gone.uuid}`)).status !== 404) {
		// The list is made anew behind; each look is an event.
	}
	t.is((await mirror.file(gone)).status, 404);
});

test('icons come through, and stay when upstream goes', async t => {
	const icon = Buffer.from('89504e470d0a1a0a', 'hex');
	const image = makeImage({icon});
	const upstream = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const first = await mirror.get(`/images/${image.uuid}/icon`);
	sameBytes(t, first.body, icon);
	t.is(first.headers['content-type'], 'image/png');
	await upstream.stop();
	sameBytes(t, (await mirror.get(`/images/${image.uuid}/icon`)).body, icon);
	const bare = makeImage();
	await upstream.start();
	upstream.add(bare);
	t.is((await mirror.get(`/images/${bare.uuid}/icon`)).status, 404);
});
