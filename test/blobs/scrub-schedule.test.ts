import {randomBytes} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import fc from 'fast-check';
import test from 'ava';
import type {BlobInfo} from '../../src/blobs/blob-info.js';
import {isWithin, opensAtMs} from '../../src/blobs/day-window.js';
import {settle} from '../helpers/manual-clock.js';
import {finished, plainHashing, startScrub, type ScrubRig} from './scrub-rig.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const hashing = () => plainHashing();

/** How often each file was read so far. */
function counts(rig: ScrubRig): number[] {
	return [...rig.blobs.keys()].map(sha1 => rig.reads.filter(one => one === sha1).length);
}

test('what is due is read, oldest first; what is not waits until it is', async t => {
	const rig = await startScrub(t, {hashing});
	const now = rig.host.clock.now();
	const young = await rig.keep(randomBytes(10), now);
	const old = await rig.keep(randomBytes(20), now - 3 * dayMs);
	const oldest = await rig.keep(randomBytes(30), now - 9 * dayMs);
	t.is(rig.scrub.report().nextAt, undefined, 'nothing is scheduled');
	rig.scrub.start();
	rig.scrub.start();
	t.is(rig.scrub.report().nextAt, new Date(now + 60_000).toISOString());
	await rig.pass(60_000);
	t.deepEqual(rig.reads, [oldest.sha1, old.sha1]);
	t.is(rig.scrub.report().nextAt, new Date(now + dayMs).toISOString());
	await rig.pass(dayMs - 60_000);
	t.deepEqual(rig.reads.slice(2), [young.sha1]);
	await rig.scrub.stop();
	await rig.pass(9 * dayMs);
	t.is(rig.reads.length, 3);
	t.is(rig.host.clock.pending, 0);
});

test('what became due while nothing ran is read one after the other; a restart goes on where it was', async t => {
	const rig = await startScrub(t, {hashing, options: {bytesPerSecond: 1_048_576}});
	const infos: BlobInfo[] = [];
	for (let number = 0; number < 6; number++) {
		infos.push(await rig.keep(randomBytes(1_048_576), number));
	}
	rig.scrub.start();
	await rig.host.clock.advance(60_000);
	for (let number = 1; number <= 4; number++) {
		while (rig.reads.length < number) {
			await settle();
		}
		// It has begun, and owes its second: time that passed before that would pay for nothing.
		await rig.host.clock.timerDueIn(1000, 1000);
		if (number < 4) {
			await rig.host.clock.advance(1000);
		}
	}
	t.like(rig.scrub.report(), {running: true, files: 6, filesDone: 3});
	await rig.scrub.stop();
	const again = await rig.again({bytesPerSecond: 0});
	again.start();
	await rig.pass(60_000);
	t.deepEqual(
		rig.reads,
		[0, 1, 2, 3, 3, 4, 5].flatMap(number => infos[number]?.sha1 ?? []),
		'the one in the middle is read anew',
	);
	await again.stop();
});

test('what is remembered is on the disk a minute later, without anybody stopping', async t => {
	const rig = await startScrub(t, {hashing});
	const info = await rig.keep(randomBytes(10));
	await rig.all();
	await rig.host.clock.advance(60_000);
	const written = async (): Promise<string> => readFile(rig.layout.scrub, 'utf8').catch(() => '');
	while ((await written()) === '') {
		await settle();
	}
	const again = await rig.again();
	t.is(again.verifiedAtMs(info.sha1), rig.host.clock.now() - 60_000);
	t.is(again.report().endedAt, undefined);
	t.is(again.report().rightAt, new Date(rig.host.clock.now() - 60_000).toISOString());
});

test('a memory that is spoilt costs the files it speaks of another reading, and nothing else', async t => {
	const rig = await startScrub(t, {hashing});
	const [known, spoilt, bogus] = [
		await rig.keep(randomBytes(10)),
		await rig.keep(randomBytes(20)),
		await rig.keep(randomBytes(30)),
	];
	const now = rig.host.clock.now();
	const lines = [
		`${known.sha1} ${now + 1000}`,
		`${spoilt.sha1} 12x`,
		'\0\0\0',
		`${bogus.sha1} ${now + 400 * dayMs}`,
		`${'0'.repeat(40)} 5`,
		spoilt.sha1,
	];
	await writeFile(rig.layout.scrub, lines.join('\n'));
	const scrub = await rig.again();
	t.is(scrub.verifiedAtMs(known.sha1), now + 1000);
	t.is(scrub.verifiedAtMs(spoilt.sha1), undefined);
	t.is(rig.host.linesLike({lines: 3}).length, 1);
	scrub.start();
	await rig.pass(60_000);
	t.deepEqual(rig.reads, [bogus.sha1], 'it was written by a clock that ran ahead');
	await scrub.stop();
	const text = await readFile(rig.layout.scrub, 'utf8');
	t.deepEqual(text.trim().split('\n').sort(), [`${known.sha1} ${now + 1000}`, `${bogus.sha1} ${now + 60_000}`].sort());

	await writeFile(rig.layout.scrub, randomBytes(100_000));
	t.is((await rig.again()).verifiedAtMs(known.sha1), undefined);
});

test('a run that is asked for goes before the schedule, which goes on in the middle of its file', async t => {
	const rig = await startScrub(t, {hashing, options: {bytesPerSecond: 1_048_576}});
	const old = await rig.keep(randomBytes(4 * 1_048_576), 0);
	const other = await rig.keep(randomBytes(1000));
	rig.scrub.start();
	await rig.host.clock.advance(60_000);
	while (!rig.scrub.report().running) {
		await settle();
	}
	await rig.host.clock.timerDueIn(1000, 1000);
	await rig.host.clock.advance(1000);
	const state = {asking: true};
	const asked = rig.all({sha1s: [other.sha1], bytesPerSecond: 100}).finally(() => {
		state.asking = false;
	});
	await rig.host.clock.timerDueIn(10_000, 10_000);
	const before = rig.events.filter(({type}) => type === 'scrub.progress').length;
	await rig.host.clock.advance(9000);
	await settle();
	t.like(rig.scrub.report(), {running: true, files: 1, bytes: 1000});
	t.true(rig.events.filter(({type}) => type === 'scrub.progress').length <= before + 1);
	while (state.asking) {
		await rig.host.clock.advance(500);
	}
	t.deepEqual(
		finished(await asked).map(({info}) => info.sha1),
		[other.sha1],
	);
	while (rig.scrub.report().running) {
		await settle();
		await rig.host.clock.advance(1000);
	}
	t.deepEqual(rig.reads, [old.sha1, other.sha1]);
	t.like(rig.scrub.report(), {filesDone: 1, wrong: 0, files: 1, bytes: old.size});
});

test('only within its part of the day is anything read; what was begun there is read to its end', async t => {
	const window = {fromMinute: 22 * 60, toMinute: 6 * 60};
	const rig = await startScrub(t, {hashing, options: {window, everyMs: 2 * hourMs}});
	const info = await rig.keep(randomBytes(10), 0);
	rig.scrub.start();
	const hours = new Map<number, number>();
	for (let hour = 0; hour < 7 * 24; hour++) {
		const before = rig.reads.length;
		await rig.pass(hourMs);
		const readAt = rig.scrub.verifiedAtMs(info.sha1) ?? 0;
		if (rig.reads.length > before) {
			const at = new Date(readAt).getHours();
			hours.set(at, (hours.get(at) ?? 0) + 1);
		}
	}
	t.true(hours.size >= 4);
	for (const hour of hours.keys()) {
		t.true(hour >= 22 || hour < 6, String(hour));
	}
	rig.scrub.setOptions({everyMs: 100 * 365 * dayMs, bytesPerSecond: 0, window: undefined});
	t.is(rig.scrub.report().nextAt, undefined);
	const before = rig.reads.length;
	await rig.pass(30 * dayMs);
	t.is(rig.reads.length, before);
	rig.scrub.setOptions({everyMs: dayMs, bytesPerSecond: 0, window: undefined});
	await rig.pass(hourMs);
	t.is(rig.reads.length, before + 1, 'other options count at once');
});

test('where its part of the day ends, the next file waits for the next', async t => {
	const window = {fromMinute: 60, toMinute: 61};
	const rig = await startScrub(t, {hashing, options: {window, bytesPerSecond: 1_048_576}});
	await rig.keep(randomBytes(1_048_576 * 61), 0);
	await rig.keep(randomBytes(1_048_576 * 2), 1);
	await rig.keep(randomBytes(10), 2);
	rig.scrub.start();
	while (rig.events.filter(({type}) => type === 'scrub.ended').length < 1) {
		await settle();
		if (rig.host.clock.pending > 0) {
			await rig.host.clock.advance(Math.min(rig.host.clock.nextInMs ?? 0, 60_000));
		}
	}
	t.like(rig.events.find(({type}) => type === 'scrub.ended')?.more, {files: 3, filesDone: 1});
	const next = new Date(rig.scrub.report().nextAt ?? 0);
	t.deepEqual([next.getHours(), next.getMinutes()], [1, 0]);
});

test('a week: every file is read once in each of its periods, however they come and go', async t => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.record({atHour: fc.nat(168), goesAfter: fc.option(fc.nat(100))}), {minLength: 1, maxLength: 8}),
			fc.constantFrom(6, 24, 48),
			fc.array(fc.nat(167), {maxLength: 3}),
			async (files, everyHours, restarts) => {
				const rig = await startScrub({teardown: () => undefined}, {hashing, options: {everyMs: everyHours * hourMs}});
				const stored = new Map<string, {readonly at: number; goneAt: number}>();
				let scrub = rig.scrub;
				scrub.start();
				for (let hour = 0; hour < 168; hour++) {
					for (const [number, {atHour, goesAfter}] of files.entries()) {
						if (atHour === hour) {
							const {sha1} = await rig.keep(Buffer.from(`file ${number}`));
							stored.set(sha1, {at: hour, goneAt: goesAfter === null ? 168 : Math.min(168, hour + goesAfter)});
						}
					}
					for (const [sha1, {goneAt}] of stored) {
						if (goneAt === hour) {
							for (const known of [...rig.blobs.keys()].filter(one => one === sha1)) {
								rig.blobs.delete(known);
							}
						}
					}
					if (restarts.includes(hour)) {
						await scrub.stop();
						scrub = await rig.again();
						scrub.start();
					}
					await rig.pass(hourMs);
				}
				await scrub.stop();
				for (const [sha1, {at, goneAt}] of stored) {
					const reads = rig.reads.filter(one => one === sha1).length;
					const periods = (goneAt - at) / everyHours;
					// An hour at most between being due and being read, each time, and one more for each restart.
					const least = Math.floor((goneAt - at) / (everyHours + 2)) - restarts.length;
					if (reads > Math.ceil(periods) || reads < least) {
						throw new Error(`read ${reads} times in ${periods} periods`);
					}
				}
			},
		),
		{numRuns: 12, endOnFailure: true, includeErrorInReport: true},
	);
	t.pass();
});

test('a part of the day begins when it says, by the calendar', t => {
	const minute = fc.nat(1439);
	fc.assert(
		fc.property(
			minute,
			minute,
			fc.date({min: new Date('2026-01-01'), max: new Date('2027-12-31'), noInvalidDate: true}),
			(from, to, at) => {
				const window = {fromMinute: from, toMinute: to};
				const opens = opensAtMs(window, at.getTime());
				if (isWithin(window, at.getTime())) {
					return opens === at.getTime();
				}
				const begin = new Date(opens);
				return (
					opens > at.getTime() &&
					opens - at.getTime() <= 25 * hourMs &&
					begin.getHours() * 60 + begin.getMinutes() === from &&
					isWithin(window, opens)
				);
			},
		),
	);
	t.true(isWithin({fromMinute: 5, toMinute: 5}, 0));
});

test('counts are of the files that are here', async t => {
	const rig = await startScrub(t, {hashing});
	await rig.keep(randomBytes(10), 0);
	rig.scrub.start();
	await rig.pass(2 * dayMs + hourMs);
	t.deepEqual(counts(rig), [3]);
});
