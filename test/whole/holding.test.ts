import test, {type ExecutionContext} from 'ava';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {startMirror, type TestMirror} from '../helpers/start-mirror.js';
import {startUpstream, type Upstream} from '../helpers/start-upstream.js';
import type {HeldReport, ImageRow} from '../../src/mirror-operate-api.js';

const operator = {networks: [{cidrs: ['127.0.0.1'], may: ['operate']}]};
const day = 24 * 3_600_000;

async function startSite(
	t: ExecutionContext,
	images: readonly TestImage[],
	hold: Readonly<Record<string, unknown>> | null,
): Promise<{upstream: Upstream; mirror: TestMirror}> {
	const upstream = await startUpstream(t, {images});
	const mirror = await startMirror(t, {
		sources: [{name: 'up', url: upstream.url, type: 'imgapi', hold, listTtl: '1s'}],
		config: {access: operator},
	});
	return {upstream, mirror};
}

async function listed(mirror: TestMirror): Promise<readonly string[]> {
	return ((await mirror.get('/images')).json() as readonly {uuid: string}[]).map(({uuid}) => uuid);
}

async function act(mirror: TestMirror, image: TestImage, action: string, body = ''): Promise<unknown> {
	const answer = await mirror.get(`/mirror/images/${image.uuid}?action=${action}`, {method: 'POST', body});
	if (answer.status >= 300) {
		throw new Error(`${action}: ${answer.status} ${answer.text}`);
	}
	return answer.json();
}

async function refresh(mirror: TestMirror): Promise<void> {
	await mirror.get('/mirror/refresh', {method: 'POST'});
}

const isoDate = (daysAgo: number): string => new Date(Date.now() - daysAgo * day).toISOString();

test('a source whose images must be some days old: younger ones are not there, for nobody, until they are', async t => {
	const old = makeImage({publishedAt: isoDate(10)});
	const young = makeImage({publishedAt: isoDate(3)});
	const {mirror} = await startSite(t, [old, young], {published: '7d'});
	t.deepEqual(await listed(mirror), [old.uuid]);
	t.is((await mirror.get(`/images/${young.uuid}`)).status, 404);
	t.is((await mirror.file(young)).status, 404);
	t.is((await mirror.get(`/datasets/${young.uuid}`)).status, 404);
	const held = (await mirror.get('/mirror/held')).json() as readonly HeldReport[];
	t.like(held[0], {uuid: young.uuid, reasons: [{source: 'up', why: 'age'}]});
	t.is(Math.round((Date.parse(held[0]?.reasons[0]?.until ?? '') - Date.now()) / day), 4);

	mirror.ahead(5 * day);
	// Timers do not run ahead with that clock; the catalog's own tests have one that does.
	const later = await mirror.restart();
	t.deepEqual((await listed(later)).toSorted(), [old.uuid, young.uuid].toSorted());
	t.is((await later.file(young)).status, 200);
});

test('what an operator must release waits however old it is, and is released with its origins', async t => {
	const base = makeImage({publishedAt: isoDate(1000)});
	const child = makeImage({publishedAt: isoDate(900), origin: base});
	const {mirror} = await startSite(t, [base, child], {untilReleased: true});
	t.deepEqual(await listed(mirror), []);
	t.like((await mirror.get(`/mirror/images/${child.uuid}`)).json(), {held: {why: 'rule'}});
	t.deepEqual(await act(mirror, child, 'release'), {released: [child.uuid, base.uuid]});
	t.deepEqual((await listed(mirror)).toSorted(), [base.uuid, child.uuid].toSorted());
	const again = await mirror.restart();
	t.deepEqual((await listed(again)).toSorted(), [base.uuid, child.uuid].toSorted(), 'that is remembered');
});

test('an operator holds a bad image: it is gone for everybody at once, though its file is here', async t => {
	const good = makeImage();
	const bad = makeImage();
	const {mirror} = await startSite(t, [good, bad], null);
	t.is((await mirror.file(bad)).status, 200);
	await mirror.idle();
	await act(mirror, bad, 'hold', JSON.stringify({note: 'does not boot'}));
	t.deepEqual(await listed(mirror), [good.uuid]);
	t.is((await mirror.file(bad)).status, 404);
	const rows = (await mirror.get('/mirror/images?held=true')).json() as readonly ImageRow[];
	t.like(rows[0], {uuid: bad.uuid, here: 'here', held: {why: 'operator', note: 'does not boot'}});

	const again = await mirror.restart();
	t.is((await again.file(bad)).status, 404);
	await act(again, bad, 'release');
	t.is((await again.file(bad)).headers['x-cache'], 'hit');
});

test('a second source without such a rule offers the image all the same', async t => {
	const image = makeImage({publishedAt: isoDate(1)});
	const strict = await startUpstream(t, {images: [image]});
	const free = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {
		sources: [
			{name: 'strict', url: strict.url, type: 'imgapi', hold: {published: '30d'}},
			{name: 'free', url: free.url, type: 'imgapi'},
		],
		config: {access: operator},
	});
	await mirror.until(({sources}) => sources.every(({fetchedAt}) => fetchedAt !== undefined));
	t.is((await mirror.file(image)).status, 200);
	t.like((await mirror.get(`/mirror/images/${image.uuid}`)).json(), {
		source: 'free',
		sources: ['free'],
	});
});

test('the clock of first sight: what was there at first counts as seen when it was published, what comes later waits', async t => {
	const before = makeImage({publishedAt: isoDate(100)});
	const after = makeImage({publishedAt: isoDate(100)});
	const {mirror, upstream} = await startSite(t, [before], {seen: '3d'});
	t.deepEqual(await listed(mirror), [before.uuid]);
	upstream.add(after);
	await refresh(mirror);
	t.deepEqual(await listed(mirror), [before.uuid]);
	mirror.ahead(4 * day);
	const later = await mirror.restart();
	t.deepEqual((await listed(later)).toSorted(), [before.uuid, after.uuid].toSorted());
});
