import {appendFile, mkdir, readFile, readdir, rm, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {Layout} from '../../src/blobs/layout.js';
import {Usage} from '../../src/blobs/usage.js';
import type {Sha1} from '../../src/image/manifest.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {smallDisk} from '../helpers/small-disk.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

interface Rig {
	readonly usage: Usage;
	readonly clock: ManualClock;
	readonly host: TestHost;
	readonly journal: string;
}

async function startUsage(
	t: ExecutionContext,
	{
		root,
		nowMs = 2_000_000_000_000,
		isHere = () => true,
	}: {root?: string; nowMs?: number; isHere?: (sha1: Sha1) => boolean} = {},
): Promise<Rig> {
	const layout = new Layout(root ?? (await tempDir(t)));
	const clock = new ManualClock(nowMs);
	const host = testHost({clock});
	const usage = new Usage({host, layout, isHere});
	await usage.load();
	return {usage, clock, host, journal: path.join(layout.usage, 'journal')};
}

const sha = (number: number): Sha1 => number.toString(16).padStart(40, '0') as Sha1;
const [a, b, c] = [sha(10), sha(11), sha(12)];

test('what was used is known after a restart, and after a kill but for the last seconds', async t => {
	const root = await tempDir(t);
	const first = await startUsage(t, {root});
	t.is(first.usage.lastUsedMs(a), undefined);
	first.usage.touch(a);
	await first.clock.advance(4000);
	first.usage.touch(b);
	await first.clock.advance(1000);
	// Behind what the clock has set off.
	await first.usage.flush();
	await first.clock.advance(1000);
	first.usage.touch(a);
	first.usage.touch(c);

	const killed = await startUsage(t, {root, nowMs: first.clock.now()});
	t.is(killed.usage.lastUsedMs(a), 2_000_000_000_000);
	t.is(killed.usage.lastUsedMs(b), 2_000_000_004_000);
	t.is(killed.usage.lastUsedMs(c), undefined);
	killed.usage.touch(c);
	await killed.usage.close();

	const closed = await startUsage(t, {root, nowMs: first.clock.now()});
	t.is(closed.usage.lastUsedMs(c), first.clock.now());
	t.is(closed.usage.lastUsedMs(b), 2_000_000_004_000);
});

test('nothing is written while nothing is used, and many uses of one file are one line', async t => {
	const {usage, clock, journal} = await startUsage(t);
	t.is(clock.pending, 0);
	for (let use = 0; use < 1000; use++) {
		usage.touch(a);
	}
	t.is(clock.pending, 1);
	await clock.advance(5000);
	await usage.flush();
	t.is((await readFile(journal, 'utf8')).trim().split('\n').length, 1);
	t.is(clock.pending, 0);
});

test('files that are gone are forgotten', async t => {
	const root = await tempDir(t);
	const {usage} = await startUsage(t, {root});
	for (const sha1 of [a, b, c]) {
		usage.touch(sha1);
	}
	usage.forget(b);
	t.is(usage.lastUsedMs(b), undefined);
	await usage.close();
	const after = await startUsage(t, {root, isHere: sha1 => sha1 !== c});
	t.deepEqual(
		[a, b, c].map(sha1 => after.usage.lastUsedMs(sha1) !== undefined),
		[true, false, false],
	);
});

test('a torn end costs its line, and not what is written after it', async t => {
	const root = await tempDir(t);
	const first = await startUsage(t, {root});
	first.usage.touch(a);
	await first.usage.flush();
	first.usage.touch(b);
	await first.usage.close();
	const whole = await readFile(first.journal);
	for (let cut = 1; cut < 56; cut++) {
		await writeFile(first.journal, whole);
		await truncate(first.journal, whole.length - 1 - cut);
		const second = await startUsage(t, {root, nowMs: 2_000_000_001_000});
		t.is(second.usage.lastUsedMs(a), 2_000_000_000_000);
		t.is(second.usage.lastUsedMs(b), undefined, `cut ${cut}`);
		second.usage.touch(c);
		await second.usage.close();
		const third = await startUsage(t, {root, nowMs: 2_000_000_001_000});
		t.is(third.usage.lastUsedMs(a), 2_000_000_000_000);
		t.is(third.usage.lastUsedMs(c), 2_000_000_001_000);
	}
	// Torn by this process, as by a full disk, without a restart in between.
	const torn = await startUsage(t, {root, nowMs: 2_000_000_002_000});
	await appendFile(torn.journal, `${a} 00200`);
	torn.usage.touch(b);
	await torn.usage.close();
	const after = await startUsage(t, {root, nowMs: 2_000_000_002_000});
	t.is(after.usage.lastUsedMs(b), 2_000_000_002_000);
	t.is(after.usage.lastUsedMs(a), 2_000_000_000_000);
});

test('garbage is passed over and reported, whatever it is', async t => {
	const root = await tempDir(t);
	const layout = new Layout(root);
	await mkdir(layout.usage);
	const line = `${a} ${'2000000000000'.padStart(15, '0')}`;
	await fc.assert(
		fc.asyncProperty(fc.array(fc.uint8Array({maxLength: 80}), {maxLength: 5}), async parts => {
			const lines = parts.flatMap(part => [Buffer.from(part), Buffer.from(`\n${line}\n`)]);
			await writeFile(path.join(layout.usage, 'journal'), Buffer.concat([Buffer.from(`${line}\n`), ...lines]));
			const {usage} = await startUsage(t, {root});
			return usage.lastUsedMs(a) === 2_000_000_000_000;
		}),
		{numRuns: 50},
	);
	await writeFile(path.join(layout.usage, 'journal'), `${line}\nnonsense\n`);
	const {host} = await startUsage(t, {root});
	t.is(host.linesLike(/cannot be read/).length, 1);
});

test('what a wrong clock wrote for the future counts as now', async t => {
	const root = await tempDir(t);
	const future = await startUsage(t, {root, nowMs: 4_000_000_000_000});
	future.usage.touch(a);
	await future.usage.close();
	t.is((await startUsage(t, {root})).usage.lastUsedMs(a), 2_000_000_000_000);
});

test('something else in its place is moved aside, and half-written files go', async t => {
	const root = await tempDir(t);
	const layout = new Layout(root);
	await mkdir(path.join(layout.usage, 'journal'), {recursive: true});
	await writeFile(path.join(layout.usage, 'journal.0123abcd.new'), 'half');
	const {usage, host} = await startUsage(t, {root});
	t.is(host.linesLike(/moved aside/).length, 1);
	t.deepEqual((await readdir(layout.usage)).sort(), ['journal', 'journal.unreadable']);
	usage.touch(a);
	await usage.close();
	t.is((await startUsage(t, {root})).usage.lastUsedMs(a), 2_000_000_000_000);
});

test('the journal is written anew when it has grown, and stays small', async t => {
	const root = await tempDir(t);
	const {usage, clock, journal} = await startUsage(t, {root});
	for (let round = 0; round < 40; round++) {
		for (let number = 0; number < 1000; number++) {
			usage.touch(sha(number));
		}
		await clock.advance(1000);
		await usage.flush();
	}
	const {length} = await readFile(journal);
	t.true(length < 1_400_000, String(length));
	usage.touch(a);
	await usage.close();
	const after = await startUsage(t, {root, nowMs: clock.now()});
	t.is(after.usage.lastUsedMs(a), clock.now());
	t.is(after.usage.lastUsedMs(sha(999)), clock.now() - 1000);
	t.is((await readFile(journal)).length, 57_000);
});

test('what the disk refuses is reported once, and written when it takes it again', async t => {
	const disk = await smallDisk(t, 1);
	if (disk === undefined) {
		t.pass();
		return;
	}
	const {usage, clock, host} = await startUsage(t, {root: disk});
	const ballast = path.join(disk, 'ballast');
	await writeFile(ballast, Buffer.alloc(2_000_000)).catch(() => undefined);
	for (let number = 0; number < 200; number++) {
		usage.touch(sha(number));
	}
	await usage.flush();
	await clock.advance(5000);
	await usage.flush();
	t.is(host.linesLike(/cannot be written down/).length, 1);
	t.is(await host.metric('imgmirror_disk_errors_total', {code: 'ENOSPC'}), 3);
	t.is(usage.lastUsedMs(sha(7)), 2_000_000_000_000);
	await rm(ballast);
	await clock.advance(5000);
	await usage.flush();
	t.is(host.linesLike(/written down again/).length, 1);
	const after = await startUsage(t, {root: disk, nowMs: clock.now()});
	t.is(after.usage.lastUsedMs(sha(7)), 2_000_000_000_000);
	t.is(after.usage.lastUsedMs(sha(199)), 2_000_000_000_000);
});
