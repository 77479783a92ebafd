import {setImmediate} from 'node:timers/promises';
import test from 'ava';
import type {EvictOutcome, StorageReport} from '../../src/mirror-operate-api.js';
import {makeImage} from '../helpers/make-image.js';
import {fetched, listed, operator, post, rowOf, startSite, storage} from './site.js';

const hour = 3_600_000;
const day = 24 * hour;

function staysOf({all}: StorageReport, {sha1}: {readonly sha1: string}): readonly string[] | undefined {
	return all.find(file => file.sha1 === sha1)?.stays;
}

test('a pinned image keeps the origin of its origin, though what is between them is not here', async t => {
	const base = makeImage({name: 'base'});
	const middle = makeImage({name: 'middle', origin: base});
	const top = makeImage({name: 'top', origin: middle});
	const {mirror} = await startSite(t, [base, middle, top]);
	await fetched(mirror, base);
	await fetched(mirror, top);
	await post(mirror, `/mirror/images/${top.uuid}?action=pin`);
	mirror.ahead(hour);
	const [outcome] = await post<readonly EvictOutcome[]>(mirror, '/mirror/evict', {uuids: [base.uuid], force: true});
	t.regex(outcome?.problem ?? '', /top .*is built upon it, and is pinned/);
	t.deepEqual(staysOf(await storage(mirror), base), [
		`top 1.0.0 (${top.uuid.slice(0, 8)}) is built upon it, and stays`,
	]);
});

test('what its source has no more goes after what can be had again, however long ago it was used', async t => {
	const vanishing = makeImage({size: 1_000_000});
	const other = makeImage({size: 1_000_000});
	const wanted = makeImage({size: 1_000_000});
	const store = {minFree: '0', maxSize: '2.5 MB', highMark: '100%', lowMark: '99%'};
	const {mirror, upstream} = await startSite(t, [vanishing, other, wanted], {config: {access: operator, store}});
	await fetched(mirror, vanishing);
	mirror.ahead(hour);
	await fetched(mirror, other);
	upstream.remove(vanishing);
	await post(mirror, '/mirror/refresh');
	t.like(await rowOf(mirror, vanishing), {vanished: true, here: 'here', sources: ['up']});
	mirror.ahead(hour);
	await fetched(mirror, wanted);
	t.like(await rowOf(mirror, vanishing), {here: 'here'});
	t.like(await rowOf(mirror, other), {here: 'away'});
	const [refused] = await post<readonly EvictOutcome[]>(mirror, '/mirror/evict', {uuids: [vanishing.uuid]});
	t.regex(refused?.problem ?? '', /no source offers it any more/);
});

test('what is to go together is judged once, each is told what came of it, and a file of two goes once', async t => {
	const base = makeImage({size: 30_000});
	const child = makeImage({size: 20_000, origin: base});
	const twin = makeImage({bytes: child.bytes, origin: base});
	const pinned = makeImage();
	const away = makeImage();
	const {mirror} = await startSite(t, [base, child, twin, pinned, away]);
	for (const image of [base, child, twin, pinned]) {
		await fetched(mirror, image);
	}
	await post(mirror, `/mirror/images/${pinned.uuid}?action=pin`);
	const nobodys = makeImage().uuid;
	const uuids = [base, pinned, twin, away, child].map(({uuid}) => uuid);
	const outcomes = await post<readonly EvictOutcome[]>(mirror, '/mirror/evict', {uuids: [nobodys, ...uuids]});
	t.deepEqual(outcomes.toSpliced(2, 1), [
		{uuid: nobodys, bytes: 0, problem: 'there is no such image'},
		{uuid: base.uuid, bytes: 30_000},
		{uuid: twin.uuid, bytes: 20_000},
		{uuid: away.uuid, bytes: 0, problem: 'it is not here'},
		{uuid: child.uuid, bytes: 0, problem: 'it is not here'},
	]);
	t.like(outcomes[2], {uuid: pinned.uuid, bytes: 0});
	t.regex(outcomes[2]?.problem ?? '', /pinned .*unpin it first/);
	t.deepEqual(
		mirror.host.linesLike({msg: 'files were evicted'}).map(line => line['files']),
		[2],
	);
	t.like(await storage(mirror), {files: 1, bytes: pinned.size});
});

test('what a rule wants stays until the rule wants it no more, and is away when it is evicted', async t => {
	const image = makeImage({name: 'web'});
	const rules = [{name: 'webs', include: {name: 'web'}}];
	const config = {access: operator, store: {minFree: '0'}};
	const {mirror, upstream} = await startSite(t, [image], {config: {...config, prefetch: {rules}}});
	await listed(mirror);
	await fetched(mirror, image);
	// Rules are looked at once all first lists are dealt with.
	while ((await rowOf(mirror, image))?.wantedBy.length === 0) {
		await setImmediate();
	}
	t.like(await rowOf(mirror, image), {wantedBy: ['webs']});
	mirror.ahead(hour);
	const evict = async (): Promise<EvictOutcome | undefined> =>
		(await post<readonly EvictOutcome[]>(mirror, '/mirror/evict', {uuids: [image.uuid]}))[0];
	t.regex((await evict())?.problem ?? '', /rule webs wants it/);
	const sources = [{name: 'up', url: upstream.url, type: 'imgapi', listTtl: '1s'}];
	await mirror.reload({sources, config});
	t.like(await rowOf(mirror, image), {wantedBy: []});
	t.deepEqual(await evict(), {uuid: image.uuid, bytes: image.size});
	t.like(await rowOf(mirror, image), {here: 'away', lastUsedAt: undefined});
});

test('an image that is held back can be pinned, counts as offered by its source, and stays away from clients', async t => {
	const image = makeImage();
	const {mirror} = await startSite(t, [image]);
	await fetched(mirror, image);
	await post(mirror, `/mirror/images/${image.uuid}?action=hold`);
	await post(mirror, `/mirror/images/${image.uuid}?action=pin`);
	t.like(await rowOf(mirror, image), {pinned: true, held: {why: 'operator'}, sources: ['up'], here: 'here'});
	mirror.ahead(30 * day);
	await mirror.running.tidy();
	t.is((await mirror.file(image)).status, 404);
	await post(mirror, `/mirror/images/${image.uuid}?action=unpin`);
	const [gone] = await post<readonly EvictOutcome[]>(mirror, '/mirror/evict', {uuids: [image.uuid]});
	t.deepEqual(gone, {uuid: image.uuid, bytes: image.size}, 'it can be had again');
});
