import {mkdir, readFile, writeFile} from 'node:fs/promises';
import test from 'ava';
import fc from 'fast-check';
import {FirstSeen} from '../../src/catalog/first-seen.js';
import {Holds} from '../../src/catalog/holds.js';
import {explainStartupFailure} from '../../src/cli/startup-failure.js';
import {atOnce} from '../../src/host-slices.js';
import {MirrorError} from '../../src/errors.js';
import type {Uuid} from '../../src/image/manifest.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {day, images} from './fake-source.js';
import {TestHoldsFile} from './holds-file.js';

const [a, b, c] = uuids(3);

function uuids(count: number): [Uuid, Uuid, Uuid, ...Uuid[]] {
	return images(count).map(({uuid}) => uuid) as unknown as [Uuid, Uuid, Uuid, ...Uuid[]];
}

async function open(
	t: Scope,
	{directory, host = testHost()}: {directory?: string; host?: TestHost} = {},
): Promise<{holds: Holds; file: TestHoldsFile; host: TestHost}> {
	const file = new TestHoldsFile(directory ?? (await tempDir(t)));
	const holds = new Holds({host, file});
	return {holds, file, host};
}

test('what an operator holds or releases is on disk before it is said to be done', async t => {
	const {holds, file, host} = await open(t);
	await holds.load();
	await holds.hold(a, {by: 'anna', note: 'breaks boot'});
	await holds.hold(b, {by: undefined, note: undefined});
	await holds.release(b, {by: 'bert'});
	const atMs = host.clock.now();
	t.like(await file.content(), {
		held: {[a]: {atMs, by: 'anna', note: 'breaks boot'}},
		released: {[b]: {atMs, by: 'bert'}},
	});

	// Killed: nothing more is written.
	const again = new Holds({host, file});
	await again.load();
	t.deepEqual([...again.held], [[a, {atMs, by: 'anna', note: 'breaks boot'}]]);
	t.true(again.isReleased(b));
	t.false(again.isReleased(a));
});

test('what cannot be written does not hold', async t => {
	const {holds, file} = await open(t);
	await holds.load();
	await holds.hold(a, {by: undefined, note: undefined});
	const {version} = holds;
	file.failure = new Error('ENOSPC');
	await t.throwsAsync(holds.hold(b, {by: undefined, note: undefined}), {message: 'ENOSPC'});
	await t.throwsAsync(holds.release(a, {by: undefined}), {message: 'ENOSPC'});
	t.deepEqual([...holds.held.keys()], [a]);
	t.is(holds.version, version);
	file.failure = undefined;
	await holds.release(a, {by: undefined});
	t.is(holds.held.size, 0);
});

test('verbs that are said at once are done one after another, and none is lost', async t => {
	const {holds, file} = await open(t);
	await holds.load();
	const all = uuids(20);
	await Promise.all(all.map(uuid => holds.hold(uuid, {by: 'x', note: undefined})));
	await Promise.all([holds.release(all[0], {by: 'y'}), holds.hold(all[1], {by: 'z', note: undefined})]);
	const content = await file.content();
	t.deepEqual(new Set(Object.keys(content['held'] ?? {})), new Set(all.slice(1)));
	t.deepEqual(Object.keys(content['released'] ?? {}), [all[0]]);
});

test('when images were first seen is written some seconds later, once for all, and at the end', async t => {
	const {holds, file, host} = await open(t);
	await holds.load();
	holds.firstSeen.note('s', [a], undefined);
	holds.seenChanged();
	await host.clock.advance(3000);
	holds.firstSeen.note('s', [b], host.clock.now());
	holds.seenChanged();
	t.is(file.writes, 0);
	await host.clock.advance(2000);
	await holds.stop();
	t.is(file.writes, 1);

	const seenMs = host.clock.now() - 2000;
	const again = await open(t, {directory: file.path.replace('/holds.json', ''), host});
	await again.holds.load();
	t.deepEqual([again.holds.firstSeen.ms('s', a), again.holds.firstSeen.ms('s', b)], [undefined, seenMs]);
	again.holds.firstSeen.note('s', [c], 5);
	again.holds.seenChanged();
	await again.holds.stop();
	t.is(again.file.writes, 1);
	t.is(host.clock.pending, 0);
});

test('a disk that refuses is asked again, and complained of once', async t => {
	const {holds, file, host} = await open(t);
	await holds.load();
	file.failure = new Error('ENOSPC');
	holds.firstSeen.note('s', [a], 1);
	holds.seenChanged();
	await host.clock.advance(5000 + 2 * 60_000);
	t.is(file.writes, 3);
	t.is(host.linesLike({level: 50}).length, 1);
	file.failure = undefined;
	await host.clock.advance(60_000);
	await holds.stop();
	t.is(file.writes, 4);
	t.truthy((await file.content())['firstSeen']?.['s']);
});

test('a damaged file loses no hold: what is named in it goes on', async t => {
	const {holds, file, host} = await open(t);
	await holds.hold(a, {by: 'anna', note: undefined});
	await holds.hold(b, {by: 'anna', note: undefined});
	await holds.release(c, {by: 'anna'});
	const text = await readFile(file.path, 'utf8');
	const damages = [
		text.slice(0, text.indexOf('"firstSeen"') + 5),
		text.slice(0, text.indexOf(c) + 40),
		text.replace(/\}\s*$/, ''),
		text.replace(`"${b}"`, `"${b} "`),
		`x${text}`,
	];
	for (const damaged of damages) {
		await writeFile(file.path, damaged);
		const again = new Holds({host, file});
		await again.load();
		t.deepEqual([...again.held.keys()], [a, b], damaged);
		t.true(again.isReleased(c));
		t.is(await readFile(`${file.path}.damaged`, 'utf8'), damaged);
		await again.stop();
		t.like(await file.content(), {version: 1});
	}
	t.is(host.linesLike({level: 50}).length, damages.length);
});

test('a file that does not have all that was held is an end, wherever it is cut or painted over', async t => {
	const {holds, file, host} = await open(t);
	await holds.hold(a, {by: 'anna', note: 'with "released" in it'});
	await holds.hold(b, {by: undefined, note: undefined});
	const text = await readFile(file.path, 'utf8');
	const whole = text.indexOf('"released": ');
	const damages = Array.from({length: whole}, (_, length) => text.slice(0, length));
	for (let at = text.indexOf('"held"'); at < whole - 30; at += 7) {
		damages.push(`${text.slice(0, at)}${'\0'.repeat(30)}${text.slice(at + 30)}`);
	}
	damages.push(
		text.replace(`"${b}"`, '"b"'),
		text.replace(/"held": \{[^]*\n\},\n"released"/, '"held": null,\n"released"'),
	);
	for (const damaged of damages) {
		await writeFile(file.path, damaged);
		const error = await t.throwsAsync(new Holds({host, file}).load(), {instanceOf: MirrorError}, damaged);
		t.regex(error.message, /^what operators hold cannot be read [^]* repair \/\S+\/holds\.json, or delete it/);
	}
});

test('a file of which nothing can be told is an end, not an offer of everything', async t => {
	for (const text of ['', 'null', '[]', '{}', 'garbage', '\0\0\0\0']) {
		const {holds, file} = await open(t);
		await writeFile(file.path, text);
		const error = await t.throwsAsync(holds.load(), {instanceOf: MirrorError});
		t.regex(error.message, /cannot be read .* repair \/\S+\/holds\.json, or delete it/);
		t.is(await readFile(file.path, 'utf8'), text);
	}
});

test('a directory in the place of the file is an end, and named', async t => {
	const {holds, file} = await open(t);
	await mkdir(file.path);
	const error = await t.throwsAsync(holds.load(), {instanceOf: MirrorError});
	t.regex(error.message, /cannot be read \(EISDIR.*\): repair \/\S+\/holds\.json, or delete it/);
	t.notRegex(explainStartupFailure(error), /--data/);
});

test('a hold that nobody wrote is a damage, too', async t => {
	const {holds, file} = await open(t);
	await writeFile(file.path, JSON.stringify({version: 1, held: {[a]: {}, [`${b} `]: {}}, released: {}}));
	await holds.load();
	t.deepEqual([...holds.held.keys()], [a, b]);
});

test('whatever was seen when, comes back from the disk', async t => {
	const pool = uuids(30);
	const notes = fc.array(
		fc.record({
			source: fc.constantFrom('smartos', 'a b', '__proto__', 'ü'),
			at: fc.array(fc.nat({max: 29}), {maxLength: 10}),
			ms: fc.oneof(fc.constant(undefined), fc.integer({min: 1, max: 2e12})),
		}),
		{maxLength: 10},
	);
	await fc.assert(
		fc.asyncProperty(notes, async all => {
			const before = new FirstSeen();
			for (const {source, at, ms} of all) {
				before.note(
					source,
					at.flatMap(place => pool[place] ?? []),
					ms,
				);
			}
			const after = new FirstSeen();
			after.read(JSON.parse(JSON.stringify(await before.encode())));
			for (const {source} of all) {
				t.is(after.knows(source), before.knows(source));
				for (const uuid of pool) {
					t.is(after.ms(source, uuid), before.ms(source, uuid));
				}
			}
		}),
		{numRuns: 100},
	);
});

test('what is no record is passed over', async t => {
	const seen = new FirstSeen();
	seen.read({s: {seen: [[1], ['x', 'y'], 5, [7, 'AAAA'], null]}, t: 5, u: {seen: {}}});
	t.true(seen.knows('s'));
	t.false(seen.knows('t'));
	seen.read(undefined);
	seen.read([]);
});

test('an empty list is no beginning', t => {
	const seen = new FirstSeen();
	t.is(seen.note('s', [], undefined), 0);
	t.false(seen.knows('s'));
	t.is(seen.note('s', [a], undefined), 1);
	t.is(seen.note('s', [a, b], 1000), 1);
	t.deepEqual([seen.ms('s', a), seen.ms('s', b), seen.ms('s', c)], [undefined, 1000, undefined]);
});

test('images gone for ninety days are forgotten, and not before', async t => {
	const {holds, host} = await open(t);
	const {firstSeen} = holds;
	firstSeen.note('s', [a, b], 1000);
	const there = new Set<Uuid>([a, b]);
	const sweep = async (days: number): Promise<void> => {
		for (let each = 0; each < days; each++) {
			await host.clock.advance(day);
			atOnce(firstSeen.sweep('s', uuid => there.has(uuid), host.clock.now()));
		}
	};
	await sweep(2);
	there.delete(b);
	await sweep(90);
	t.is(firstSeen.ms('s', b), 1000);
	// It comes back, and goes again.
	there.add(b);
	await sweep(1);
	there.delete(b);
	await sweep(91);
	t.is(firstSeen.ms('s', b), 1000);
	await sweep(1);
	t.is(firstSeen.ms('s', b), undefined);
	t.is(firstSeen.ms('s', a), 1000);
	t.is(firstSeen.note('s', [b], 2000), 1);
});

test('a source that is configured no more is forgotten after ninety days', async t => {
	const {holds, host} = await open(t);
	const {firstSeen} = holds;
	firstSeen.note('s', [a], 1000);
	firstSeen.note('t', [a], 1000);
	t.true(firstSeen.use(new Set(['t']), host.clock.now()));
	t.false(firstSeen.use(new Set(['t']), host.clock.now()));
	await host.clock.advance(80 * day);
	t.true(firstSeen.use(new Set(['s', 't']), host.clock.now()));
	firstSeen.use(new Set(['t']), host.clock.now());
	await host.clock.advance(80 * day);
	firstSeen.use(new Set(['t']), host.clock.now());
	t.true(firstSeen.knows('s'));
	await host.clock.advance(11 * day);
	t.true(firstSeen.use(new Set(['t']), host.clock.now()));
	t.false(firstSeen.knows('s'));
	t.true(firstSeen.knows('t'));
});

test('25,000 images of four sources are a small file, and quickly made', async t => {
	const seen = new FirstSeen();
	const all = uuids(25_000);
	for (const source of ['a', 'b', 'c', 'd']) {
		seen.note(source, all.slice(0, -500), undefined);
		for (const [at, uuid] of all.slice(-500).entries()) {
			seen.note(source, [uuid], 1.7e12 + at);
		}
	}
	const startedAt = performance.now();
	const text = JSON.stringify(await seen.encode());
	t.log(`${(text.length / 1e6).toFixed(1)} MB in ${(performance.now() - startedAt).toFixed(0)} ms`);
	t.true(text.length < 2.5e6);
	const before = performance.now();
	const again = new FirstSeen();
	again.read(JSON.parse(text));
	t.log(`read in ${(performance.now() - before).toFixed(0)} ms`);
	t.is(again.ms('d', all.at(-1) ?? a), 1.7e12 + 499);
});
