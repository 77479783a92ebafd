import test from 'ava';
import {SourceUnavailableError} from '../../src/errors.js';
import type {Catalog} from '../../src/catalog/catalog.js';
import type {Manifest} from '../../src/image/manifest.js';
import {day, entry, FakeSource, image, someAsk} from './fake-source.js';
import {hold} from './holds-file.js';
import {startCatalog} from './start-catalog.js';

async function claimed(catalog: Catalog, {uuid}: Manifest): Promise<readonly [string, boolean] | undefined> {
	const claim = await catalog.claimOf(uuid, someAsk());
	return claim && [claim.source, claim.isHeldBack];
}

test('what a source lists is its own, whether it is offered, held back or excluded', async t => {
	const [offered, young, byHand, excluded, loose] = [
		image({published_at: '2020-01-01T00:00:00Z'}),
		image({published_at: '2025-12-31T00:00:00Z'}),
		image({published_at: '2020-01-02T00:00:00Z'}),
		image({published_at: '2020-01-03T00:00:00Z'}),
		image({published_at: '2020-01-04T00:00:00Z'}),
	];
	const source = new FakeSource('s', [offered, young, byHand, excluded]);
	source.loose = [loose];
	const {catalog} = await startCatalog(t, [
		entry(source, {...hold({publishedMs: 7 * day}), matches: ({uuid}) => uuid !== excluded.uuid}),
	]);
	await catalog.refresh();
	await catalog.holds.hold(byHand.uuid, {by: 'op'});
	t.deepEqual(await claimed(catalog, offered), ['s', false]);
	t.deepEqual(await claimed(catalog, young), ['s', true]);
	t.deepEqual(await claimed(catalog, byHand), ['s', true]);
	t.is(source.finds.length, 0);
	t.deepEqual(await claimed(catalog, excluded), ['s', false]);
	t.deepEqual(await claimed(catalog, loose), ['s', false]);
	t.deepEqual(source.finds, [excluded.uuid, loose.uuid]);
	t.is(await claimed(catalog, image()), undefined);
});

test('what is on the disk of a source that has it no more is still that source’s', async t => {
	const held = image();
	const source = new FakeSource('s');
	const {catalog} = await startCatalog(t, [entry(source)], {held: [{manifest: held, source: 's'}]});
	t.deepEqual(await claimed(catalog, held), ['s', false]);
});

test('one that has it will do, whoever else cannot tell; nobody can say that nobody has it as long as one cannot', async t => {
	const [known, unknown] = [image(), image()];
	const [down, silent, up] = [new FakeSource('a').down(), new FakeSource('b'), new FakeSource('c')];
	up.loose = [known];
	const release = silent.hold();
	const {catalog} = await startCatalog(
		t,
		[down, silent, up].map(source => entry(source)),
	);
	t.deepEqual(await claimed(catalog, known), ['c', false]);
	release();
	const problem = await t.throwsAsync(catalog.claimOf(unknown.uuid, someAsk()), {instanceOf: SourceUnavailableError});
	t.regex(problem.message, /^source a: cannot tell whether it has image .*connection refused/u);
	down.up();
	await catalog.refresh('a');
	t.is(await claimed(catalog, unknown), undefined);
});

test('a wrong answer is none, and whoever asked may leave', async t => {
	const [asked, other] = [image(), image()];
	const source = new FakeSource('s');
	const {catalog} = await startCatalog(t, [entry(source)]);
	await catalog.refresh();
	source.find = async () => other;
	await t.throwsAsync(catalog.claimOf(asked.uuid, someAsk()), {message: /it gave image/u});
	const leaving = new AbortController();
	source.find = (_uuid, {signal}) =>
		new Promise((_resolve, reject) => {
			signal.addEventListener('abort', () => reject(signal.reason as Error));
		});
	const waiting = catalog.claimOf(asked.uuid, {signal: leaving.signal});
	leaving.abort(new Error('gone'));
	await t.throwsAsync(waiting, {message: 'gone'});
});
