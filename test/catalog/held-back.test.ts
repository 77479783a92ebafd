import {readFile, writeFile} from 'node:fs/promises';
import test from 'ava';
import {NotFoundError, SourceUnavailableError, StoppingError} from '../../src/errors.js';
import type {MirrorEvent} from '../../src/host.js';
import type {Manifest} from '../../src/image/manifest.js';
import {tempDir} from '../helpers/temp-dir.js';
import {
	changed,
	day,
	disabled,
	entry,
	FakeSource,
	files,
	image,
	images,
	minute,
	quiet,
	someAsk,
} from './fake-source.js';
import {hold, TestHoldsFile} from './holds-file.js';
import {startCatalog, uuidsOf, type Started} from './start-catalog.js';

/** The clock of tests begins on this day. */
const today = Date.parse('2026-01-01T00:00:00Z');

function published(daysAgo: number, fields: Readonly<Record<string, unknown>> = {}): Manifest {
	return image({published_at: new Date(today - daysAgo * day).toISOString(), ...fields});
}

const listed = ({catalog}: Started): string[] => uuidsOf(catalog.snapshot().images);
const find = ({catalog}: Started, manifest: Manifest): Promise<{source: string}> =>
	catalog.find(manifest.uuid, someAsk());

async function eventsOf({host}: Started, types: RegExp, run: () => Promise<unknown>): Promise<MirrorEvent[]> {
	const told: MirrorEvent[] = [];
	const end = host.events.listen(event => {
		if (types.test(event.type)) {
			told.push(event);
		}
	});
	await run();
	end();
	return told;
}

test('a week of a source whose images are offered a week after they were published', async t => {
	const [old, young] = [published(8), published(3)];
	const source = new FakeSource('s', [old, young]);
	const started = await startCatalog(t, [entry(source, {listTtlMs: day, ...hold({publishedMs: 7 * day})})]);
	const {catalog, clock} = started;
	await catalog.current(someAsk());
	t.deepEqual(listed(started), [old.uuid]);
	t.is((await find(started, old)).source, 's');
	await t.throwsAsync(find(started, young), {instanceOf: NotFoundError});
	t.deepEqual(catalog.holds.reasons(young, 's'), [{source: 's', why: 'age', until: '2026-01-05T00:00:00.000Z'}]);
	t.deepEqual(catalog.holds.reasons(old, 's'), []);

	await clock.advance(4 * day - 1);
	await catalog.settled();
	t.deepEqual(listed(started), [old.uuid]);
	const told = await eventsOf(started, /^image|^catalog/, async () => {
		await clock.advance(1);
		await catalog.settled();
	});
	t.deepEqual(listed(started), [old.uuid, young.uuid]);
	t.is((await find(started, young)).source, 's');
	t.deepEqual(
		told.map(({type, image: about, source: from, by}) => [type, about?.uuid, from, by]),
		[
			['image.released', young.uuid, 's', 'age'],
			['catalog.changed', undefined, undefined, undefined],
		],
	);
});

test('the other clock begins when an image is seen here, but in the first list ever, when it was published', async t => {
	const [old, young] = [published(400), published(1)];
	const source = new FakeSource('s', [old, young]);
	const started = await startCatalog(t, [entry(source, {listTtlMs: day, ...hold({seenMs: 7 * day})})]);
	const {catalog, clock} = started;
	await catalog.current(someAsk());
	t.deepEqual(listed(started), [old.uuid]);

	// Published long ago, and new here.
	await clock.advance(2 * day);
	const late = published(300);
	source.images.push(late);
	await catalog.refresh();
	t.deepEqual(listed(started), [old.uuid]);
	t.like(catalog.heldImages(), [
		{manifest: late, firstSeenMs: today + 2 * day, reasons: [{why: 'age', until: '2026-01-10T00:00:00.000Z'}]},
		{manifest: young, firstSeenMs: today - day, reasons: [{why: 'age', until: '2026-01-07T00:00:00.000Z'}]},
	]);

	await clock.advance(4 * day);
	await catalog.settled();
	t.deepEqual(listed(started), [old.uuid, young.uuid]);
	await clock.advance(3 * day);
	await catalog.settled();
	t.deepEqual(listed(started), [old.uuid, late.uuid, young.uuid]);
	t.deepEqual(catalog.heldImages(), []);
});

test('both clocks must have run out, and what says no date is as old as we know it', async t => {
	const source = new FakeSource('s', images(1));
	const rule = hold({publishedMs: 5 * day, seenMs: 2 * day});
	const started = await startCatalog(t, [entry(source, {listTtlMs: day, ...rule})]);
	const {catalog, clock} = started;
	await catalog.current(someAsk());
	const [now, before, dateless] = [published(0), published(30), image({published_at: undefined})];
	source.images.push(now, before, dateless);
	await catalog.refresh();
	const left = (manifest: Manifest): unknown => catalog.holds.reasons(manifest, 's')[0]?.until;
	t.is(left(now), '2026-01-06T00:00:00.000Z');
	t.is(left(before), '2026-01-03T00:00:00.000Z');
	t.is(left(dateless), '2026-01-06T00:00:00.000Z');
	await clock.advance(2 * day);
	await catalog.settled();
	t.true(listed(started).includes(before.uuid));
	t.false(listed(started).includes(now.uuid));
	await clock.advance(3 * day);
	await catalog.settled();
	t.is(listed(started).length, 4);
});

test('a source whose images wait for an operator offers what is released, and that stays over restarts', async t => {
	const directory = await tempDir(t);
	const [one, two] = [published(400), published(300)];
	const source = new FakeSource('s', [one, two]);
	const file = new TestHoldsFile(directory);
	const entries = [entry(source, {...hold({untilReleased: true, publishedMs: day})})];
	const before = await startCatalog(t, entries, {directory, holds: file});
	await before.catalog.current(someAsk());
	t.deepEqual(listed(before), []);
	t.deepEqual(before.catalog.holds.reasons(one, 's'), [{source: 's', why: 'rule'}]);
	t.is(before.catalog.status().sources[0]?.held, 2);

	const told = await eventsOf(before, /^image/, () => before.catalog.holds.release(one.uuid, {by: 'anna'}));
	t.deepEqual(listed(before), [one.uuid]);
	t.is(before.catalog.status().sources[0]?.held, 1);
	t.like(told, [{type: 'image.released', image: {uuid: one.uuid}, by: 'anna'}]);
	t.is(told.length, 1);
	await before.end();

	const after = await startCatalog(t, entries, {directory, holds: file, host: before.host});
	t.deepEqual(listed(after), [one.uuid]);
	const again = await eventsOf(after, /^image/, () => after.catalog.holds.hold(one.uuid, {by: 'bert'}));
	t.deepEqual(listed(after), []);
	t.like(again, [{type: 'image.held', image: {uuid: one.uuid, name: one.name}, by: 'bert', more: {why: 'operator'}}]);
	t.deepEqual(
		after.catalog.holds.reasons(one, 's').map(({why}) => why),
		['operator', 'rule'],
	);
});

test('what an operator holds is in no list and found by nobody, whoever has it', async t => {
	const shared = image(files('a'.repeat(40)));
	const other = image();
	const [first, second] = [new FakeSource('a', [shared, other]), new FakeSource('b', [shared])];
	const started = await startCatalog(t, [entry(first), entry(second)], {
		held: [{manifest: shared, source: 'a'}],
	});
	const {catalog} = started;
	await catalog.current(someAsk());
	await catalog.refresh();
	t.is(listed(started).length, 2);
	await catalog.holds.hold(shared.uuid, {by: 'anna', note: 'breaks boot'});
	t.deepEqual(listed(started), [other.uuid]);
	await t.throwsAsync(find(started, shared), {instanceOf: NotFoundError});
	t.deepEqual([first.finds, second.finds], [[], []]);
	t.true(catalog.holds.isHeldByOperator(shared.uuid));
	t.deepEqual(catalog.heldImages(), [
		{
			manifest: shared,
			source: 'a',
			reasons: [{source: 'a', why: 'operator', by: 'anna', note: 'breaks boot'}],
			firstSeenMs: shared.publishedMs,
		},
	]);
	t.like(catalog.known(shared.uuid), {sources: ['a', 'b'], held: {why: 'operator', by: 'anna'}});

	await catalog.holds.release(shared.uuid, {by: undefined});
	t.is(listed(started).length, 2);
	t.is((await find(started, shared)).source, 'a');
	t.like(catalog.known(shared.uuid), {sources: ['a', 'b']});
	t.is(catalog.known(shared.uuid)?.held, undefined);
});

test('an image can be held before anybody has seen it', async t => {
	const [known, coming] = images(2);
	t.truthy(known && coming);
	if (known === undefined || coming === undefined) {
		return;
	}
	const source = new FakeSource('s', [known]);
	const started = await startCatalog(t, [entry(source)]);
	const {catalog} = started;
	await catalog.current(someAsk());
	const told = await eventsOf(started, /^image/, () => catalog.holds.hold(coming.uuid, {by: 'anna'}));
	t.like(told, [{type: 'image.held', image: {uuid: coming.uuid, name: ''}}]);
	source.down();
	// It need not be asked for: nobody will have it.
	await t.throwsAsync(find(started, coming), {instanceOf: NotFoundError});
	source.up();
	source.images.push(coming);
	const later = await eventsOf(started, /^image/, () => catalog.refresh());
	t.deepEqual(
		later.map(({type, by}) => [type, by]),
		[
			['image.new', undefined],
			['image.held', 'anna'],
		],
	);
	t.deepEqual(listed(started), [known.uuid]);
	t.deepEqual([...catalog.holds.heldByOperators().keys()], [coming.uuid]);
});

test('what is built upon an image that is held is held with it, however far down, and comes back with it', async t => {
	const base = image();
	const middle = image({origin: base.uuid});
	const top = image({origin: middle.uuid});
	const source = new FakeSource('s', [base, middle]);
	const started = await startCatalog(t, [entry(source), entry(new FakeSource('t', [top]))]);
	const {catalog} = started;
	await catalog.refresh();
	t.is(listed(started).length, 3);
	const told = await eventsOf(started, /^image/, () => catalog.holds.hold(base.uuid, {by: 'anna', note: 'bad'}));
	t.deepEqual(listed(started), []);
	await t.throwsAsync(find(started, top), {instanceOf: NotFoundError});
	t.deepEqual(catalog.holds.reasons(top, 't'), [
		{source: 't', why: 'operator', by: 'anna', note: `its origin ${base.uuid} is held: bad`},
	]);
	t.deepEqual(
		told.map(({type, image: about, by}) => [type, about?.uuid, by]).sort(),
		[
			['image.held', base.uuid, 'anna'],
			['image.held', middle.uuid, 'anna'],
			['image.held', top.uuid, 'anna'],
		].sort(),
	);
	// To release what is above it helps nothing.
	await catalog.holds.release(top.uuid, {by: 'bert'});
	t.deepEqual(listed(started), []);
	const back = await eventsOf(started, /^image/, () => catalog.holds.release(base.uuid, {by: 'anna'}));
	t.is(listed(started).length, 3);
	t.is(back.filter(({type}) => type === 'image.released').length, 3);
});

test('the origin of what is offered is found, however young, and in no list before its time', async t => {
	const base = published(1);
	const middle = published(2, {origin: base.uuid});
	const top = published(30, {origin: middle.uuid});
	const alone = published(1);
	const source = new FakeSource('s', [base, middle, top, alone]);
	const started = await startCatalog(t, [entry(source, {listTtlMs: day, ...hold({publishedMs: 7 * day})})]);
	await started.catalog.current(someAsk());
	t.deepEqual(listed(started), [top.uuid]);
	t.is((await find(started, middle)).source, 's');
	t.is((await find(started, base)).source, 's');
	await t.throwsAsync(find(started, alone), {instanceOf: NotFoundError});

	await started.catalog.holds.hold(top.uuid, {});
	await t.throwsAsync(find(started, middle), {instanceOf: NotFoundError});
	await started.catalog.holds.release(top.uuid, {});
	t.is((await find(started, base)).source, 's');
	await started.catalog.holds.hold(base.uuid, {});
	for (const each of [base, middle, top]) {
		await t.throwsAsync(find(started, each), {instanceOf: NotFoundError});
	}
});

test('an origin that is in no list is found for what is offered, and else waits like the rest', async t => {
	const base = disabled(published(400));
	const top = published(400, {origin: base.uuid});
	const other = disabled(published(400));
	const source = new FakeSource('s', [top]);
	source.loose = [base, other];
	const started = await startCatalog(t, [entry(source, {listTtlMs: day, ...hold({seenMs: 2 * day})})]);
	const {catalog, clock} = started;
	await catalog.current(someAsk());
	t.is((await find(started, base)).source, 's');
	await t.throwsAsync(find(started, other), {instanceOf: NotFoundError});
	t.like(await catalog.lookUp(other.uuid, someAsk()), {manifest: other, source: 's', held: {why: 'age'}});
	await t.throwsAsync(catalog.lookUp(image().uuid, someAsk()), {instanceOf: NotFoundError});
	await clock.advance(2 * day);
	t.is((await find(started, other)).source, 's');
});

test('a source without a rule offers what another holds back', async t => {
	const young = published(1, files('b'.repeat(40)));
	const [careful, open] = [new FakeSource('careful', [young]), new FakeSource('open')];
	const started = await startCatalog(t, [entry(careful, hold({publishedMs: 7 * day})), entry(open)]);
	const {catalog} = started;
	await catalog.refresh();
	t.deepEqual(listed(started), []);
	await t.throwsAsync(find(started, young), {instanceOf: NotFoundError});
	t.deepEqual(open.finds, [young.uuid]);
	t.deepEqual(careful.finds, []);
	open.down();
	await started.clock.advance(2 * minute);
	await t.throwsAsync(find(started, young), {instanceOf: SourceUnavailableError});
	open.up();
	open.images.push(young);
	await started.clock.advance(2 * minute);
	await catalog.refresh();
	t.deepEqual(listed(started), [young.uuid]);
	t.is((await find(started, young)).source, 'open');
	t.like(catalog.known(young.uuid), {source: 'open', sources: ['open']});
	// Whoever has the bytes may give them: they are the same.
	t.deepEqual(
		catalog.suppliersFor(young, 0).map(({source}) => source.name),
		['careful', 'open'],
	);
});

test('a file that another image has as well comes from whoever lists it, held back or not', async t => {
	const bytes = files('c'.repeat(40));
	const [old, young] = [published(30, bytes), published(1, bytes)];
	const [careful, open] = [new FakeSource('careful', [young]), new FakeSource('open', [old])];
	const started = await startCatalog(t, [entry(careful, hold({publishedMs: 7 * day})), entry(open)]);
	await started.catalog.refresh();
	t.deepEqual(listed(started), [old.uuid]);
	t.deepEqual(
		started.catalog.suppliersFor(old, 0).map(({source, manifest}) => [source.name, manifest.uuid]),
		[
			['open', old.uuid],
			['careful', young.uuid],
		],
	);
});

test('a file that is here already is held back with its image, also when its source is away', async t => {
	const [young, held] = [published(1), published(400)];
	const source = new FakeSource('s').down();
	const started = await startCatalog(t, [entry(source, hold({publishedMs: 7 * day}))], {
		held: [
			{manifest: young, source: 's'},
			{manifest: held, source: 'once'},
		],
	});
	const {catalog, clock} = started;
	t.deepEqual(listed(started), [held.uuid]);
	await t.throwsAsync(find(started, young));
	await catalog.holds.hold(held.uuid, {});
	t.deepEqual(listed(started), []);
	await t.throwsAsync(find(started, held), {instanceOf: NotFoundError});
	await clock.advance(6 * day);
	await catalog.settled();
	t.deepEqual(listed(started), [young.uuid]);
});

test('our own images know no rule, and can be held', async t => {
	const ours = published(0);
	const started = await startCatalog(t, [], {
		local: {list: () => [ours], get: uuid => (uuid === ours.uuid ? ours : undefined)},
	});
	t.deepEqual(listed(started), [ours.uuid]);
	await started.catalog.holds.hold(ours.uuid, {});
	t.deepEqual(listed(started), []);
	t.like(started.catalog.known(ours.uuid), {source: 'local', sources: ['local'], held: {why: 'operator'}});
	await t.throwsAsync(find(started, ours), {instanceOf: NotFoundError});
});

test('an image that vanished and is kept stays held back as it was', async t => {
	const young = published(1);
	const source = new FakeSource('s', [young, published(30)]);
	const started = await startCatalog(t, [entry(source, {listTtlMs: day, ...hold({publishedMs: 7 * day})})]);
	const {catalog, clock} = started;
	await catalog.current(someAsk());
	source.images.shift();
	await catalog.refresh();
	t.is(listed(started).length, 1);
	t.like(catalog.known(young.uuid), {vanished: true, held: {why: 'age'}});
	await clock.advance(6 * day);
	await catalog.settled();
	t.true(listed(started).includes(young.uuid));
});

test('first sight survives restarts, kills and the loss of the memory', async t => {
	const directory = await tempDir(t);
	const file = new TestHoldsFile(directory);
	const source = new FakeSource('s', [published(400)]);
	const entries = [entry(source, {listTtlMs: day, ...hold({seenMs: 10 * day})})];
	const first = await startCatalog(t, entries, {directory, holds: file});
	await first.catalog.current(someAsk());
	const late = published(300);
	await first.clock.advance(day);
	source.images.push(late);
	await first.catalog.refresh();
	t.is(listed(first).length, 1);
	await first.end();

	// The memory is another one: all of its list is new to it, and not to us.
	const second = await startCatalog(t, entries, {holds: file, host: first.host});
	await second.catalog.current(someAsk());
	t.is(listed(second).length, 1);
	t.like(second.catalog.holds.reasons(late, 's'), [{why: 'age', until: '2026-01-12T00:00:00.000Z'}]);
	await second.end();

	// Killed before first sight was written: it counts from the list that is remembered.
	const third = await startCatalog(t, entries, {directory, holds: file, host: first.host});
	await third.clock.advance(2 * day);
	const text = await readFile(file.path, 'utf8');
	const later = published(200);
	source.images.push(later);
	await third.catalog.refresh();
	await third.end();
	await writeFile(file.path, text);
	const fourth = await startCatalog(t, entries, {directory, holds: file, host: first.host});
	t.like(fourth.catalog.holds.reasons(later, 's'), [{why: 'age', until: '2026-01-14T00:00:00.000Z'}]);
	t.is(listed(fourth).length, 1);
	await fourth.clock.advance(11 * day);
	t.is(listed(fourth).length, 3);
});

test('what is found by uuid, or lies here, before there was a list makes the first list no later one', async t => {
	const [old, onDisk, loose] = [published(400), published(300), disabled(published(200))];
	const source = new FakeSource('s', [old, onDisk]);
	source.loose = [loose];
	const release = source.hold();
	const started = await startCatalog(t, [entry(source, hold({seenMs: 10 * day}))], {
		held: [{manifest: onDisk, source: 's'}],
	});
	const finding = find(started, loose);
	await source.asked('find');
	release();
	t.is((await finding).source, 's');
	await started.catalog.refresh();
	t.deepEqual(listed(started), [old.uuid, onDisk.uuid]);

	// The same where the image is found before the list is asked for.
	const late = new FakeSource('s').down();
	const other = await startCatalog(t, [entry(late, hold({seenMs: 10 * day}))]);
	await other.catalog.refresh();
	late.up();
	late.loose = [loose];
	await other.clock.advance(minute);
	t.is((await find(other, loose)).source, 's');
	late.images = [old];
	await other.catalog.refresh();
	t.deepEqual(listed(other), [old.uuid]);
});

test('what lies here was seen before, though nobody noted it', async t => {
	const [old, onDisk] = [published(400), published(300)];
	const source = new FakeSource('s', [old]);
	const started = await startCatalog(t, [entry(source, hold({seenMs: 10 * day}))]);
	await started.catalog.current(someAsk());
	started.held.push({manifest: onDisk, source: 's'});
	source.images.push(onDisk, published(300));
	await started.catalog.refresh();
	t.deepEqual(listed(started), [old.uuid, onDisk.uuid]);
});

test('an image that was filtered out was seen all the same', async t => {
	const [wanted, other] = [published(400), published(400)];
	const source = new FakeSource('s', [wanted]);
	const rule = {listTtlMs: day, ...hold({seenMs: 10 * day})};
	const started = await startCatalog(t, [entry(source, {...rule, matches: manifest => manifest.uuid === wanted.uuid})]);
	const {catalog, clock} = started;
	await catalog.current(someAsk());
	source.images.push(other);
	await catalog.refresh();
	await clock.advance(9 * day);
	await catalog.setSources([entry(source, rule)]);
	await catalog.refresh();
	t.like(catalog.holds.reasons(other, 's'), [{why: 'age', until: '2026-01-11T00:00:00.000Z'}]);
	await clock.advance(day);
	await catalog.settled();
	t.is(listed(started).length, 2);
});

test('another rule holds at once', async t => {
	const young = published(3);
	const source = new FakeSource('s', [young]);
	const started = await startCatalog(t, [entry(source)]);
	const {catalog} = started;
	await catalog.current(someAsk());
	t.is(listed(started).length, 1);
	const held = await eventsOf(started, /^image/, () =>
		catalog.setSources([entry(source, hold({publishedMs: 7 * day}))]),
	);
	t.is(listed(started).length, 0);
	t.like(held, [{type: 'image.held', source: 's', more: {why: 'age', until: '2026-01-05T00:00:00.000Z'}}]);
	const released = await eventsOf(started, /^image/, () => catalog.setSources([entry(source)]));
	t.is(listed(started).length, 1);
	t.like(released, [{type: 'image.released', by: undefined}]);
});

test('a hold that is said while a list is read, or an image is asked for, holds', async t => {
	const [one, loose] = [image(), disabled(image())];
	const source = new FakeSource('s', [one]);
	source.loose = [loose];
	const started = await startCatalog(t, [entry(source)]);
	const {catalog} = started;
	await catalog.current(someAsk());

	const release = source.hold();
	const refreshing = catalog.refresh();
	const finding = t.throwsAsync(find(started, loose), {instanceOf: NotFoundError});
	await source.asked('find');
	source.images = [changed(one, {description: 'another'})];
	await Promise.all([catalog.holds.hold(one.uuid, {}), catalog.holds.hold(loose.uuid, {})]);
	t.deepEqual(listed(started), []);
	release();
	await Promise.all([refreshing, finding]);
	t.deepEqual(listed(started), []);
	t.is(catalog.heldImages().length, 2);
});

test('a verb is answered when the list shows it, and what the disk refuses is said', async t => {
	const file = new TestHoldsFile(await tempDir(t));
	const one = image();
	const started = await startCatalog(t, [entry(new FakeSource('s', [one]))], {holds: file});
	const {catalog} = started;
	await catalog.current(someAsk());
	let open = (): void => undefined;
	file.gate = new Promise(resolve => {
		open = resolve;
	});
	let isDone = false;
	const holding = catalog.holds.hold(one.uuid, {}).then(() => {
		isDone = true;
	});
	await quiet();
	t.false(isDone);
	t.deepEqual(listed(started), [one.uuid]);
	open();
	await holding;
	t.deepEqual(listed(started), []);

	file.failure = new Error('ENOSPC');
	const told = await eventsOf(started, /^image/, () =>
		t.throwsAsync(catalog.holds.release(one.uuid, {}), {message: 'ENOSPC'}),
	);
	t.deepEqual(told, []);
	t.deepEqual(listed(started), []);
	file.failure = undefined;
	await started.end();
	await t.throwsAsync(catalog.holds.hold(one.uuid, {}), {instanceOf: StoppingError});
});

test('a clock that is years away keeps no timer for years', async t => {
	const source = new FakeSource('s', [published(1)]);
	const started = await startCatalog(t, [
		entry(source, {listTtlMs: 400 * day, keepForMs: 500 * day, ...hold({publishedMs: 300 * day})}),
	]);
	await started.catalog.current(someAsk());
	t.true((started.clock.nextInMs ?? Infinity) <= day);
	await started.clock.advance(299 * day);
	await started.catalog.settled();
	t.is(listed(started).length, 1);
	await started.end();
	t.is(started.clock.pending, 0);
});
