import {monitorEventLoopDelay} from 'node:perf_hooks';
import test from 'ava';
import {Memory} from '../../src/catalog/memory.js';
import {merge} from '../../src/catalog/merge.js';
import type {Manifest} from '../../src/image/manifest.js';
import {parseManifest} from '../../src/image/manifest.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {changed, day, entry, FakeSource, image, images, someAsk} from './fake-source.js';
import {hold, TestHoldsFile} from './holds-file.js';
import {noSqlite, query, startCatalog} from './start-catalog.js';

const count = 25_000;
// Made once: nobody changes a manifest.
const pool = images(count);

/** What it took, and the longest time that nobody else had a turn. */
async function measured<T>(run: () => Promise<T>): Promise<{value: T; said: string}> {
	const delay = monitorEventLoopDelay({resolution: 1});
	delay.enable();
	const startedAt = performance.now();
	const value = await run();
	const tookMs = performance.now() - startedAt;
	// The histogram sees a pause only when it is over.
	await new Promise(resolve => setTimeout(resolve, 5));
	delay.disable();
	return {value, said: `${tookMs.toFixed(0)} ms, longest pause ${(delay.max / 1e6).toFixed(0)} ms`};
}

for (const backend of ['sqlite', 'files'] as const) {
	test.serial(`25,000 manifests are remembered (${backend})`, async t => {
		const host = testHost();
		const directory = await tempDir(t);
		const bring = backend === 'files' ? {importSqlite: noSqlite} : {};
		const list = {
			...{fetchedAt: host.clock.now(), skipped: 0, reasons: [], kind: 'imgapi' as const},
			...{listed: pool, gone: []},
		};
		const memory = await Memory.open({directory, file: 'memory.sqlite', host, ...bring});
		t.log('first save', (await measured(() => memory.saveList('a', list, day, true))).said);
		t.log('second save', (await measured(() => memory.saveList('a', list, day, true))).said);
		t.log('save of nothing new', (await measured(() => memory.saveList('a', list, day, false))).said);
		await memory.close();

		const opened = await measured(() => Memory.open({directory, file: 'memory.sqlite', host, ...bring}));
		t.log('open', opened.said);
		const loaded = await measured(() => opened.value.loadList('a'));
		t.log('load', loaded.said);
		t.is(loaded.value?.listed.length, count);
		await opened.value.close();
	});
}

test.serial('25,000 manifests from several sources are merged', async t => {
	const sources = [0, 1, 2, 3].map(number => {
		const listed = pool.filter((_, at) => at % 4 !== number);
		const known = new Map(listed.map(manifest => [manifest.uuid, manifest]));
		return {name: String(number), images: listed, hidden: [], get: (uuid: Manifest['uuid']) => known.get(uuid)};
	});
	const first = await measured(() => merge(sources));
	t.log('merge of 4 x 18,750', first.said);
	const again = await measured(() => merge(sources, [], first.value));
	t.log('again', again.said);
	t.is(first.value.images.length, count);
	t.is(again.value.images, first.value.images);
});

test.serial('25,000 images with rules and holds are split and merged', async t => {
	const sources = [0, 1, 2, 3].map(
		number =>
			new FakeSource(
				String(number),
				pool.filter((_, at) => at % 4 !== number),
			),
	);
	const rules = [hold({seenMs: day}), hold({publishedMs: day}), {}, {}];
	const {catalog, clock, directory, end} = await startCatalog(
		t,
		sources.map((source, at) => entry(source, {listTtlMs: 100 * day, ...rules[at]})),
		{holds: new TestHoldsFile(await tempDir(t))},
	);
	t.truthy(directory);
	await catalog.refresh();
	t.log('merge without holds', (await measured(() => catalog.localChanged())).said);
	const first = await measured(() => Promise.resolve(catalog.overview()));
	t.log('overview', first.said);
	t.is(first.value.length, count);
	const [one, two] = pool;
	if (one === undefined || two === undefined) {
		return;
	}
	t.log('a hold', (await measured(() => catalog.holds.hold(one.uuid, {by: 'x'}))).said);
	t.log('overview after it', (await measured(() => Promise.resolve(catalog.overview()))).said);
	t.log('merge with a hold', (await measured(() => catalog.localChanged())).said);
	t.log('a release', (await measured(() => catalog.holds.release(one.uuid, {by: 'x'}))).said);
	sources[0]?.images.push(image({published_at: new Date(clock.now()).toISOString()}));
	t.log('refresh with one more', (await measured(() => catalog.refresh('0'))).said);
	t.is(catalog.snapshot().images.length, count);
	t.log('a day later', (await measured(() => clock.advance(day).then(() => catalog.settled()))).said);
	t.is(catalog.snapshot().images.length, count + 1);
	t.log('last words', (await measured(end)).said);
});

test.serial('25,000 manifests are a normal day', async t => {
	const texts = pool.map(({text}) => text);
	const bytes = texts.reduce((sum, text) => sum + text.length, 0);
	const source = new FakeSource('a');
	// As a source does: each one read anew, with the event loop's turn now and then.
	let extra: Manifest[] = [];
	source.list = async function* list() {
		for (const [at, text] of texts.entries()) {
			if (at % 100 === 0) {
				await new Promise(resolve => setImmediate(resolve));
			}
			yield parseManifest(text);
		}
		yield* extra;
		return {skipped: 0, reasons: []};
	};
	const importSqlite = (): Promise<unknown> => import('@keyv/sqlite');
	const before = process.memoryUsage();
	const {catalog, directory, host, end} = await startCatalog(t, [entry(source)], {importSqlite});
	t.log('manifests', `${(bytes / 1e6).toFixed(1)} MB`);
	t.log('first list', (await measured(() => catalog.current(someAsk()))).said);
	t.log('refresh of nothing new', (await measured(() => catalog.refresh())).said);
	extra = [image(), image()];
	t.log('refresh with two more', (await measured(() => catalog.refresh())).said);
	const first = await measured(() => catalog.list(query(), someAsk()));
	t.log('the whole list as bytes', first.said, `${(first.value.length / 1e6).toFixed(1)} MB`);
	t.log('the same again', (await measured(() => catalog.list(query(), someAsk()))).said);
	t.log('a page', (await measured(() => catalog.list(query('limit=1000'), someAsk()))).said);
	t.log('a search', (await measured(() => catalog.search(query('name=~api'), someAsk()))).said);
	t.is((await catalog.current(someAsk())).images.length, count + 2);
	const after = process.memoryUsage();
	t.log(
		`memory: rss ${mega(before.rss)} -> ${mega(after.rss)} MB, heap ${mega(before.heapUsed)} -> ${mega(after.heapUsed)} MB`,
	);
	await end();

	const mirror = new FakeSource(
		'b',
		texts.map(text => changed(parseManifest(text), {})),
	);
	const second = await startCatalog(t, [entry(source), entry(mirror)], {
		importSqlite,
		directory,
		host,
		unstarted: true,
	});
	t.log('restart', (await measured(() => second.catalog.start())).said);
	t.is(second.catalog.snapshot().images.length, count + 2);
	await second.catalog.refresh();
	t.is(second.catalog.snapshot().images.length, count + 2);
	await second.end();
});

function mega(bytes: number): string {
	return (bytes / 1e6).toFixed(0);
}
