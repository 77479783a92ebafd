import test, {type ExecutionContext} from 'ava';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {startMirror, type TestMirror} from '../helpers/start-mirror.js';
import {startUpstream} from '../helpers/start-upstream.js';
import type {ImageRow} from '../../src/mirror-operate-api.js';
import type {PrefetchEvent, PrefetchPlan, RuleReport} from '../../src/prefetch/api.js';

const operator = {networks: [{cidrs: ['127.0.0.1'], may: ['operate']}]};

async function here(mirror: TestMirror): Promise<ReadonlySet<string>> {
	const rows = (await mirror.get('/mirror/images?here=here')).json() as readonly ImageRow[];
	return new Set(rows.map(({uuid}) => uuid));
}

async function untilHere(mirror: TestMirror, ...images: readonly TestImage[]): Promise<void> {
	for (;;) {
		const found = await here(mirror);
		if (images.every(({uuid}) => found.has(uuid))) {
			return;
		}
		await new Promise(resolve => setTimeout(resolve, 5));
	}
}

function prefetch(mirror: TestMirror, body: object): Promise<{status: number; text: string; json(): unknown}> {
	return mirror.get('/mirror/prefetch', {method: 'POST', body: JSON.stringify(body)});
}

function events(text: string): readonly PrefetchEvent[] {
	return text
		.trim()
		.split('\n')
		.map(line => JSON.parse(line) as PrefetchEvent);
}

async function startSite(
	t: ExecutionContext,
	images: readonly TestImage[],
	rules: readonly object[],
): Promise<TestMirror> {
	const upstream = await startUpstream(t, {images});
	return startMirror(t, {
		sources: [{name: 'up', url: upstream.url, type: 'imgapi'}],
		config: {access: operator, prefetch: {rules}},
	});
}

test('a rule fetches what it chooses and its origins before anybody asks, and clients find it here', async t => {
	const origin = makeImage({name: 'base-64'});
	const newest = makeImage({name: 'web', version: '2.0.0', origin});
	const older = makeImage({name: 'web', version: '1.0.0', publishedAt: '2015-01-01T00:00:00Z'});
	const other = makeImage({name: 'db'});
	const mirror = await startSite(
		t,
		[older, origin, newest, other],
		[{name: 'webs', include: {name: 'web*'}, newest: 1, every: '1h'}],
	);
	await untilHere(mirror, newest, origin);
	t.deepEqual([...(await here(mirror))].sort(), [newest.uuid, origin.uuid].sort());
	t.is((await mirror.file(newest)).headers['x-cache'], 'hit');
	const [rule] = (await mirror.get('/mirror/prefetch')).json() as readonly RuleReport[];
	t.like(rule, {name: 'webs', images: 2, imagesHere: 2, bytes: 20_000, bytesHere: 20_000});
});

test('a one-off tells its plan, every file, and a sum; a dry run only the plan', async t => {
	const origin = makeImage({name: 'base', size: 300_000});
	const images = [1, 2, 3].map(version => makeImage({name: 'app', version: `${version}.0.0`, origin, size: 200_000}));
	const mirror = await startSite(t, [origin, ...images], []);
	await mirror.get('/images');
	const planned = await prefetch(mirror, {selection: {name: ['app'], newest: 2}, dryRun: true});
	t.is(planned.status, 200, planned.text);
	const plan = planned.json() as PrefetchPlan;
	t.deepEqual(plan.images[0]?.uuid, origin.uuid, 'origins first');
	t.like(plan, {bytes: 700_000, bytesToFetch: 700_000, leftOut: 0, missing: []});
	t.is((await here(mirror)).size, 0);

	const done = await prefetch(mirror, {selection: {name: ['app'], newest: 2}});
	const seen = events(done.text);
	t.is(seen[0]?.what, 'plan');
	t.like(seen.at(-1), {what: 'end', fetched: 3, there: 0, failed: 0, bytes: 700_000});
	t.is(seen.filter(event => event.what === 'done' && event.outcome === 'fetched').length, 3);
	const again = events((await prefetch(mirror, {selection: {name: ['app'], newest: 2}})).text);
	t.like(again.at(-1), {what: 'end', fetched: 0, there: 3, failed: 0});
	const unknown = await prefetch(mirror, {selection: {rule: 'nothing'}});
	t.is(unknown.status, 404);
	const wrong = await prefetch(mirror, {selection: {newest: -1}});
	t.is(wrong.status, 422);
	const mistyped = await prefetch(mirror, {selection: {sources: ['upp']}, dryRun: true});
	t.is(mistyped.status, 422);
	t.regex(mistyped.text, /no source upp: there is up/);
});

test("a client's request goes before what is fetched ahead, and joins it where it is the same file", async t => {
	const ahead = makeImage({name: 'ahead', size: 2_000_000});
	const wanted = makeImage({name: 'wanted', size: 500_000});
	const upstream = await startUpstream(t, {images: [ahead, wanted]});
	upstream.misbehave('file', {holdAt: 500_000}, {times: 1});
	const mirror = await startMirror(t, {
		sources: [{name: 'up', url: upstream.url, type: 'imgapi'}],
		config: {access: operator, transfers: {concurrent: 1}, prefetch: {concurrent: 1}},
	});
	await mirror.get('/images');
	const running = prefetch(mirror, {selection: {uuids: [ahead.uuid]}});
	await upstream.reached(500_000);
	const answer = await mirror.file(wanted);
	t.true(answer.body.equals(wanted.bytes), 'though one is under way, and only one may be');
	const joined = mirror.file(ahead);
	await mirror.followers(ahead, 1);
	upstream.release();
	t.is((await joined).headers['x-cache'], 'join');
	t.like(events((await running).text).at(-1), {what: 'end', fetched: 1, failed: 0});
	t.deepEqual(upstream.fileRequests.filter(uuid => uuid === ahead.uuid).length, 1);
});

test('leaving ends a one-off, and the next one goes on where it was', async t => {
	const image = makeImage({size: 1_000_000});
	const upstream = await startUpstream(t, {images: [image], kind: 'both'});
	upstream.misbehave('file', {holdAt: 400_000}, {times: 1});
	const mirror = await startMirror(t, {
		sources: [{name: 'up', url: upstream.url, type: 'imgapi'}],
		config: {access: operator},
	});
	await mirror.get('/images');
	const leaving = new AbortController();
	const first = mirror
		.get('/mirror/prefetch', {
			method: 'POST',
			body: JSON.stringify({selection: {uuids: [image.uuid]}}),
			signal: leaving.signal,
		})
		.catch(() => undefined);
	await upstream.reached(400_000);
	await mirror.until(({transfers}) => transfers.some(({written}) => written > 0));
	leaving.abort();
	await first;
	await mirror.idle();
	const done = events((await prefetch(mirror, {selection: {uuids: [image.uuid]}})).text);
	t.like(done.at(-1), {what: 'end', fetched: 1});
	t.true(
		upstream.requests.some(({headers}) => headers.range !== undefined),
		'with a range',
	);
	t.is((await mirror.file(image)).headers['x-cache'], 'hit');
});
