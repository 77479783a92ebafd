import {randomBytes} from 'node:crypto';
import {readFile, readdir, rm, stat, truncate, writeFile} from 'node:fs/promises';
import test from 'ava';
import type {BlobInfo} from '../../src/blobs/blob-info.js';
import type {Layout} from '../../src/blobs/layout.js';
import {settle} from '../helpers/manual-clock.js';
import {finished, plainHashing, startScrub} from './scrub-rig.js';

/** As a disk may do it: one bit, and everything about the file is as before. */
async function flipBit(layout: Layout, {sha1}: BlobInfo, at: number): Promise<void> {
	const bytes = await readFile(layout.blob(sha1));
	bytes[at] = (bytes[at] ?? 0) ^ 1;
	await writeFile(layout.blob(sha1), bytes);
}

test('files that are right are read whole, found right, and remembered to be', async t => {
	const rig = await startScrub(t);
	const infos = [
		await rig.keep(randomBytes(3_000_000)),
		await rig.keep(Buffer.alloc(0)),
		await rig.keep(randomBytes(1)),
	];
	const steps = await rig.all();
	t.deepEqual(steps[0], {what: 'begin', files: 3, bytes: 3_000_001});
	t.deepEqual(
		finished(steps).map(({info, outcome}) => [info.sha1, outcome]),
		infos.map(({sha1}) => [sha1, 'right']),
	);
	t.deepEqual(steps.at(-1), {what: 'end', right: 3, wrong: 0, unreadable: 0});
	t.deepEqual(
		steps.flatMap(step => (step.what === 'progress' ? [step.bytesDone] : [])),
		[3_000_000, 3_000_000, 3_000_001],
	);
	t.is(await rig.host.metric('imgmirror_scrubbed_bytes_total'), 3_000_001);
	t.deepEqual(
		rig.events.map(({type}) => type),
		['scrub.begun', 'scrub.ended'],
	);
	t.like(rig.events[1]?.more, {files: 3, filesDone: 3, right: 3, wrong: 0, unreadable: 0, asked: true});
	t.is(rig.verifiedAtMs(infos[0]), rig.host.clock.now());
	t.like(rig.scrub.report(), {
		running: false,
		files: 3,
		filesDone: 3,
		bytes: 3_000_001,
		bytesDone: 3_000_001,
		wrong: 0,
	});
});

test('a bit that has flipped is found, wherever it is; the file is moved aside with a note, and asked for anew', async t => {
	const rig = await startScrub(t);
	const infos: BlobInfo[] = [];
	for (const at of [0, 1_048_575, 1_048_576, 2_499_999]) {
		const info = await rig.keep(randomBytes(2_500_000));
		await flipBit(rig.layout, info, at);
		infos.push(info);
	}
	const right = await rig.keep(randomBytes(1000));
	const steps = await rig.all();
	for (const {info, outcome, problem} of finished(steps)) {
		t.is(outcome, info === right ? 'right' : 'refetching');
		t.regex(problem ?? '', info === right ? /^$/ : /^SHA-1 is [0-9a-f]{40}, should be [0-9a-f]{40}$/);
	}
	t.deepEqual(steps.at(-1), {what: 'end', right: 1, wrong: 4, unreadable: 0});
	t.deepEqual(
		rig.wrong.map(({sha1}) => sha1),
		infos.map(({sha1}) => sha1),
	);
	t.deepEqual([...rig.blobs.keys()], [right.sha1]);
	const kept = await rig.quarantine.list();
	t.is(kept.length, 4);
	t.like(kept.find(({name}) => name.endsWith(infos[0]?.sha1 ?? ''))?.note, {
		expected: {sha1: infos[0]?.sha1, sha256: infos[0]?.sha256, size: 2_500_000},
		suppliers: ['a'],
	});
	t.is(await rig.host.metric('imgmirror_scrub_failures_total', {outcome: 'refetching'}), 4);
	t.is(rig.verifiedAtMs(infos[0]), undefined);
	t.like(rig.scrub.report(), {filesDone: 5, wrong: 4});
});

test('a file with the SHA-1 of another is told by its SHA-256', async t => {
	const rig = await startScrub(t);
	const info = await rig.keep(randomBytes(100));
	rig.blobs.set(info.sha1, {...info, sha256: '0'.repeat(64)});
	const [step] = finished(await rig.all());
	t.is(step?.outcome, 'refetching');
	t.regex(step?.problem ?? '', /^SHA-256 is/);
});

test('a file that was cut, has grown, or is not there any more is told so, and asked for anew', async t => {
	const rig = await startScrub(t, {outcome: 'lost'});
	const [cut, grown, vanished] = [
		await rig.keep(randomBytes(5000)),
		await rig.keep(randomBytes(5000)),
		await rig.keep(randomBytes(5000)),
	];
	await truncate(rig.layout.blob(cut.sha1), 4000);
	await truncate(rig.layout.blob(grown.sha1), 6000);
	await rm(rig.layout.blob(vanished.sha1));
	t.deepEqual(
		finished(await rig.all()).map(({outcome, problem}) => [outcome, problem]),
		[
			['lost', 'it has 4000 bytes, should have 5000'],
			['lost', 'it has 6000 bytes, should have 5000'],
			['lost', 'it is not there any more'],
		],
	);
	t.is(rig.blobs.size, 0);
	t.is((await rig.quarantine.list()).length, 2);
	t.is((await readdir(rig.layout.quarantine)).length, 4, 'what is not there leaves no note');
});

test('a file that is deleted or stored anew while it is read is neither right nor wrong', async t => {
	const rig = await startScrub(t);
	const [deleted, anew] = [await rig.keep(randomBytes(3_000_000)), await rig.keep(randomBytes(3_000_000))];
	await flipBit(rig.layout, anew, 5);
	const signal = new AbortController().signal;
	const outcomes: string[] = [];
	for await (const step of rig.scrub.run({sha1s: undefined, bytesPerSecond: 0, signal})) {
		if (step.what === 'begin') {
			rig.blobs.delete(deleted.sha1);
			rig.blobs.set(anew.sha1, {...anew, storedAtMs: 1});
		} else if (step.what === 'file') {
			outcomes.push(step.outcome);
		}
	}
	t.deepEqual(outcomes, ['gone', 'gone']);
	t.deepEqual(rig.wrong, []);
	t.is((await stat(rig.layout.blob(anew.sha1))).size, 3_000_000);
});

test('what the disk does not give is not thrown away: it is told, and tried again a day later', async t => {
	const eio = Object.assign(new Error('EIO: i/o error, read'), {code: 'EIO', errno: -5});
	let sick = true;
	const rig = await startScrub(t, {
		options: {everyMs: 1000 * 3_600_000},
		hashing: () =>
			plainHashing(() => {
				if (sick) {
					throw eio;
				}
			}),
	});
	const info = await rig.keep(randomBytes(5000), 0);
	rig.scrub.start();
	await rig.pass(60_000);
	t.is(rig.reads.length, 2, 'a second look before it is believed');
	t.like(rig.scrub.report(), {files: 1, filesDone: 1, wrong: 1});
	t.deepEqual(
		rig.events.map(({type, sha1, problem}) => [type, sha1, problem]),
		[
			['scrub.begun', undefined, undefined],
			['disk.error', info.sha1, 'EIO: i/o error, read'],
			['verification.failed', info.sha1, 'EIO: i/o error, read'],
			['scrub.ended', undefined, undefined],
		],
	);
	t.is(await rig.host.metric('imgmirror_disk_errors_total', {code: 'EIO'}), 1);
	t.is((await stat(rig.layout.blob(info.sha1))).size, 5000);
	t.deepEqual(rig.wrong, []);
	await rig.pass(23 * 3_600_000);
	t.is(rig.reads.length, 2);
	sick = false;
	await rig.pass(2 * 3_600_000);
	t.is(rig.reads.length, 3);
	t.not(rig.scrub.verifiedAtMs(info.sha1), undefined);
});

test('one bad read is not the end of a file', async t => {
	let first = true;
	const rig = await startScrub(t, {
		hashing: () =>
			plainHashing(() => {
				if (first) {
					first = false;
					throw new Error('a bit that flipped on its way');
				}
			}),
	});
	await rig.keep(randomBytes(5000));
	t.deepEqual(
		finished(await rig.all()).map(({outcome}) => outcome),
		['right'],
	);
	t.is(rig.host.linesLike(/right when it was read again/).length, 1);
});

test('what cannot be moved away is told, and stays', async t => {
	const rig = await startScrub(t);
	const info = await rig.keep(randomBytes(5000));
	await flipBit(rig.layout, info, 1);
	rig.quarantine.add = async () => {
		throw new Error('read-only');
	};
	const [step] = finished(await rig.all());
	t.is(step?.outcome, 'unreadable');
	t.regex(step?.problem ?? '', /SHA-1 is .*could not be moved away: read-only/);
});

test('reading keeps to its rate, over many files as over one', async t => {
	const rig = await startScrub(t);
	await rig.keep(randomBytes(3 * 1_048_576));
	for (let number = 0; number < 64; number++) {
		await rig.keep(randomBytes(16_384));
	}
	const began = rig.host.clock.now();
	const state = {over: false};
	const running = rig.all({bytesPerSecond: 1_048_576}).finally(() => {
		state.over = true;
	});
	while (!state.over) {
		await settle();
		// What is due later is nobody's wait for its share.
		if ((rig.host.clock.nextInMs ?? Infinity) <= 2000) {
			await rig.host.clock.next();
		}
	}
	const steps = await running;
	t.is(finished(steps).length, 65);
	const took = rig.host.clock.now() - began;
	t.true(took >= 3900 && took <= 4100, String(took));
	t.true(rig.events.filter(({type}) => type === 'scrub.progress').length >= 3);
});

test('whoever stops watching ends the reading, and the next may read', async t => {
	const rig = await startScrub(t);
	await rig.keep(randomBytes(5_000_000));
	for await (const step of rig.scrub.run({sha1s: undefined, bytesPerSecond: 0, signal: new AbortController().signal})) {
		if (step.what === 'begin') {
			break;
		}
	}
	const abort = new AbortController();
	const reason = new Error('enough');
	const slow = rig.all({bytesPerSecond: 10, signal: abort.signal});
	await rig.host.clock.timers();
	t.true(rig.scrub.report().running);
	const waiting = rig.all({signal: abort.signal});
	abort.abort(reason);
	await t.throwsAsync(slow, {is: reason});
	await t.throwsAsync(waiting, {is: reason});
	t.is(finished(await rig.all()).length, 1);
	t.is(rig.events.filter(({type}) => type === 'scrub.ended').length, 3);
});

test('runs that are asked for take turns', async t => {
	const rig = await startScrub(t);
	const [first, second] = [await rig.keep(randomBytes(2_000_000)), await rig.keep(randomBytes(1000))];
	const order: string[] = [];
	const ask = (info: BlobInfo, bytesPerSecond: number) =>
		rig.all({sha1s: [info.sha1, info.sha1], bytesPerSecond}).then(steps => order.push(`${finished(steps).length}`));
	const both = [ask(first, 1_000_000), ask(second, 0)];
	await rig.host.clock.timers();
	await settle();
	t.deepEqual(order, []);
	while (order.length < 2) {
		await settle();
		if (rig.host.clock.pending > 0) {
			await rig.host.clock.next();
		}
	}
	await Promise.all(both);
	t.deepEqual(order, ['1', '1']);
	t.deepEqual(await rig.all({sha1s: ['0'.repeat(40) as BlobInfo['sha1']]}), [
		{what: 'begin', files: 0, bytes: 0},
		{what: 'end', right: 0, wrong: 0, unreadable: 0},
	]);
});
