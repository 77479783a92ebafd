import test from 'ava';
import type {EvictOutcome, HeldReport} from '../../src/mirror-operate-api.js';
import {countDisk} from '../helpers/disk-count.js';
import {makeImage} from '../helpers/make-image.js';
import {eventsOf, fetched, listed, operator, post, rot, rowOf, startSite, storage, until, verify} from './site.js';

test('an image that nobody offers any more leaves the list when its file is evicted', async t => {
	const image = makeImage();
	const {mirror} = await startSite(t, [image]);
	await fetched(mirror, image);
	await mirror.reload({sources: []});
	t.deepEqual(await listed(mirror), [image.uuid], 'what is here is offered on');
	t.like(await rowOf(mirror, image), {here: 'here', sources: []});
	mirror.ahead(3_600_000);
	const [refused] = await post<readonly EvictOutcome[]>(mirror, '/mirror/evict', {uuids: [image.uuid]});
	t.regex(refused?.problem ?? '', /no source offers it/);
	const [gone] = await post<readonly EvictOutcome[]>(mirror, '/mirror/evict', {uuids: [image.uuid], force: true});
	t.deepEqual(gone, {uuid: image.uuid, bytes: image.size});
	await until(async () => (await listed(mirror)).length === 0);
	t.is((await mirror.get(`/images/${image.uuid}`)).status, 404);
	t.is(await rowOf(mirror, image), undefined);
});

test('the beginning of a file is kept while its source has the image, though no list shows it', async t => {
	const image = makeImage({state: 'disabled', size: 1_000_000});
	const {mirror, upstream} = await startSite(t, [image], {config: {transfers: {finishAbandoned: '0'}}});
	await listed(mirror);
	upstream.misbehave('file', {holdAt: 400_000}, {times: 1});
	const leaving = new AbortController();
	const client = mirror.file(image, {signal: leaving.signal}).catch(() => undefined);
	await upstream.reached(400_000);
	await mirror.until(({transfers}) => transfers.some(({written}) => written > 0));
	leaving.abort();
	await client;
	await mirror.idle();
	await mirror.running.tidy();
	const {partialBytes} = await storage(mirror);
	t.true(partialBytes > 0, 'it can be gone on with');
	t.is(await fetched(mirror, image), 'miss');
	t.true(
		upstream.requests.some(({headers}) => headers.range !== undefined),
		'and is',
	);
});

test('a rotten file of an image that no list shows is fetched again from the source that has it', async t => {
	const image = makeImage({state: 'disabled'});
	const {mirror} = await startSite(t, [image]);
	await listed(mirror);
	await fetched(mirror, image);
	await rot(mirror, image);
	const steps = await verify(mirror, image);
	t.like(
		steps.find(({what}) => what === 'file'),
		{outcome: 'refetching', images: [{uuid: image.uuid}]},
	);
	await mirror.host.logged(/has been fetched again/);
	t.is(await fetched(mirror, image), 'hit');
});

test('a rotten file that two images have is theirs again when it has been fetched again', async t => {
	const one = makeImage({seed: 5});
	const two = makeImage({seed: 5});
	const {mirror} = await startSite(t, [one, two]);
	await fetched(mirror, one);
	await fetched(mirror, two);
	const names = async (): Promise<readonly string[]> =>
		(await storage(mirror)).all.flatMap(({images}) => images.map(({uuid}) => uuid)).sort();
	const both = [one.uuid, two.uuid].sort();
	t.deepEqual(await names(), both);
	await rot(mirror, one);
	const step = (await verify(mirror, two)).find(({what}) => what === 'file');
	t.deepEqual(step?.what === 'file' && step.images.map(({uuid}) => uuid).sort(), both);
	await mirror.host.logged(/has been fetched again/);
	await until(async () => (await names()).length === 2);
	t.deepEqual(await names(), both);
	const again = await mirror.restart({sources: []});
	t.deepEqual((await listed(again)).toSorted(), both, 'both manifests lie beside the file');
});

test('an image is told of as cached once, however its manifest changes later', async t => {
	const image = makeImage();
	const {mirror, upstream} = await startSite(t, [image]);
	const events = eventsOf(mirror);
	await fetched(mirror, image);
	t.is(events('image.cached').length, 1);
	upstream.add(makeImage({uuid: image.uuid, bytes: image.bytes, description: 'in other words'}));
	await post(mirror, '/mirror/refresh');
	t.is(events('image.changed').length, 1);
	t.is(await fetched(mirror, image), 'hit');
	t.is(events('image.cached').length, 1);
});

test('what nobody has any more stays held, is shown, and can be released', async t => {
	const image = makeImage();
	const {mirror, upstream} = await startSite(t, [image], {source: {vanished: 'drop'}});
	await listed(mirror);
	await post(mirror, `/mirror/images/${image.uuid}?action=hold`, {note: 'bad'});
	upstream.remove(image);
	await post(mirror, '/mirror/refresh');
	await until(async () => (await rowOf(mirror, image)) === undefined);
	const held = async (): Promise<readonly HeldReport[]> =>
		(await mirror.get('/mirror/held')).json() as readonly HeldReport[];
	t.like(await held(), [{uuid: image.uuid, reasons: [{why: 'operator', note: 'bad'}]}]);
	t.deepEqual(await post(mirror, `/mirror/images/${image.uuid}?action=release`), {released: [image.uuid]});
	t.deepEqual(await held(), []);
	const answer = await mirror.get(`/mirror/images/${image.uuid}?action=release`, {method: 'POST'});
	t.is(answer.status, 404, 'it is nobody’s and not held');
});

test('stopping waits for the housekeeping that is under way', async t => {
	const {mirror} = await startSite(t, []);
	const ended: string[] = [];
	// Long enough for all else to have stopped.
	mirror.running.mirror.operating = {
		report: () => Promise.resolve({}),
		readiness: async () => {
			await new Promise(resolve => setTimeout(resolve, 1000));
			return {ready: true, problems: [], warnings: []};
		},
	};
	const tidying = mirror.running.tidy().then(() => ended.push('tidied'));
	await mirror.stop().then(() => ended.push('stopped'));
	t.deepEqual(ended, ['tidied', 'stopped']);
	await tidying;
});

test('an image without a SHA-1 in its manifest is pinned, counted and evicted by the digest that was found out', async t => {
	const image = makeImage({claimedSha1: undefined, size: 50_000});
	const {mirror} = await startSite(t, [image]);
	await fetched(mirror, image);
	t.like(await rowOf(mirror, image), {here: 'here', pinned: false});
	await post(mirror, `/mirror/images/${image.uuid}?action=pin`);
	t.like(await rowOf(mirror, image), {here: 'here', pinned: true});
	t.is((await storage(mirror)).all[0]?.stays[0], 'pinned');
	mirror.ahead(3_600_000);
	const evict = (): Promise<readonly EvictOutcome[]> =>
		post<readonly EvictOutcome[]>(mirror, '/mirror/evict', {uuids: [image.uuid]});
	t.regex((await evict())[0]?.problem ?? '', /pinned/);
	await post(mirror, `/mirror/images/${image.uuid}?action=unpin`);
	t.deepEqual(await evict(), [{uuid: image.uuid, bytes: 50_000}]);
	t.like(await rowOf(mirror, image), {here: 'away', pinned: false});
	const {blobs} = countDisk(mirror.data);
	t.is(blobs, 0);
});

test('a row changes with everything that it shows', async t => {
	const image = makeImage({size: 1_000_000, name: 'web'});
	const rules = {concurrent: 1, rules: [{name: 'later', include: {name: 'web'}, window: '00:00-00:01'}]};
	const {mirror, upstream} = await startSite(t, [image], {config: {prefetch: {...rules, rules: []}}});
	await listed(mirror);
	t.like(await rowOf(mirror, image), {here: 'away', pinned: false, wantedBy: [], lastUsedAt: undefined});
	upstream.misbehave('file', {holdAt: 400_000}, {times: 1});
	const leaving = new AbortController();
	const client = mirror.file(image, {signal: leaving.signal}).catch(() => undefined);
	await upstream.reached(400_000);
	await until(async () => (await rowOf(mirror, image))?.here === 'coming');
	await mirror.until(({transfers}) => transfers.some(({written}) => written > 0));
	const again = await mirror.restart({config: {access: operator, store: {minFree: '0', keepPartials: '1d'}}});
	leaving.abort();
	await client;
	t.like(await rowOf(again, image), {here: 'part'});
	again.ahead(2 * 86_400_000);
	await again.running.tidy();
	t.like(await rowOf(again, image), {here: 'away'});
	await fetched(again, image);
	const here = await rowOf(again, image);
	t.like(here, {here: 'here', vanished: false});
	again.ahead(3_600_000);
	await fetched(again, image);
	const used = await rowOf(again, image);
	t.true((used?.lastUsedAt ?? '') > (here?.lastUsedAt ?? ''));
	await post(again, `/mirror/images/${image.uuid}?action=hold`);
	t.like(await rowOf(again, image), {held: {why: 'operator'}});
	await post(again, `/mirror/images/${image.uuid}?action=release`);
	t.is((await rowOf(again, image))?.held, undefined);
	upstream.remove(image);
	await post(again, '/mirror/refresh');
	t.like(await rowOf(again, image), {vanished: true, here: 'here'});
});

test('origins are released before what is built upon them', async t => {
	const base = makeImage();
	const middle = makeImage({origin: base});
	const top = makeImage({origin: middle});
	const {mirror} = await startSite(t, [base, middle, top], {source: {hold: {untilReleased: true}}});
	await listed(mirror);
	const events = eventsOf(mirror);
	t.deepEqual(await post(mirror, `/mirror/images/${top.uuid}?action=release`), {
		released: [top.uuid, middle.uuid, base.uuid],
	});
	t.deepEqual(
		events('image.released').map(({image}) => image?.uuid),
		[base.uuid, middle.uuid, top.uuid],
	);
});
