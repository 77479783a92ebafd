import test from 'ava';
import {SourceUnavailableError} from '../../src/errors.js';
import type {MirrorEvent} from '../../src/host.js';
import {makeImage} from '../helpers/make-image.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {deadUrl, startUpstream} from '../helpers/start-upstream.js';
import {testHost} from '../helpers/test-host.js';
import {ask, manifestOf, openTestSource, readBody, readList, uuidOf} from './make-source.js';

const absent = uuidOf({uuid: '11111111-2222-4333-8444-555555555555'});

test('a source is up after an answer, 404 being one, and down after a failure', async t => {
	const image = makeImage();
	const host = testHost({clock: new ManualClock('2026-01-01T00:00:00.000Z')});
	const start = host.clock.now();
	const upstream = await startUpstream(t, {images: [image]});
	const source = openTestSource(t, upstream.url, {host});

	t.deepEqual(source.health(), {
		state: 'unknown',
		sinceMs: start,
		lastSuccessMs: undefined,
		lastFailureMs: undefined,
		lastError: undefined,
		consecutiveFailures: 0,
		latencyMs: undefined,
		requests: 0,
		failures: 0,
		retryAtMs: undefined,
		marks: 0,
		lastMark: undefined,
	});

	t.regex(await host.metrics.registry.metrics(), /^imgmirror_verification_failures_total\{source="upstream"\} 0$/m);

	await host.clock.advance(1000);
	t.is(await source.find(absent, ask()), undefined);
	t.like(source.health(), {state: 'up', sinceMs: start + 1000, lastSuccessMs: start + 1000, requests: 1});
	t.is(await host.metric('imgmirror_source_up', {source: 'upstream'}), 1);

	await host.clock.advance(1000);
	upstream.misbehave('any', {status: 500});
	for (const fail of [() => readList(source), () => source.find(uuidOf(image), ask())]) {
		await t.throwsAsync(fail, {instanceOf: SourceUnavailableError});
	}
	t.like(source.health(), {
		state: 'down',
		sinceMs: start + 2000,
		lastFailureMs: start + 2000,
		consecutiveFailures: 2,
		failures: 2,
		requests: 3,
	});
	t.regex(source.health().lastError ?? '', /answered 500 Internal Server Error/);
	t.is(await host.metric('imgmirror_source_up', {source: 'upstream'}), 0);

	upstream.behave();
	await host.clock.advance(1000);
	await readList(source);
	t.like(source.health(), {
		state: 'up',
		sinceMs: start + 3000,
		consecutiveFailures: 0,
		failures: 2,
		retryAtMs: undefined,
	});
	t.is(host.linesLike({msg: 'source is down'}).length, 1);
	t.is(host.linesLike({msg: 'source is back'}).length, 1);
});

test('it is told once that a source goes down, and once that it is back', async t => {
	const host = testHost({clock: new ManualClock()});
	const upstream = await startUpstream(t, {images: [makeImage()]});
	const source = openTestSource(t, upstream.url, {host});
	const told: MirrorEvent[] = [];
	host.events.listen(event => {
		told.push(event);
		// Whoever is told and looks finds it so.
		t.is(source.health().state, event.type === 'source.down' ? 'down' : 'up');
	});
	await readList(source);
	t.deepEqual(told, []);

	upstream.misbehave('any', {status: 500});
	for (let time = 0; time < 3; time++) {
		await t.throwsAsync(readList(source), {instanceOf: SourceUnavailableError});
	}
	t.is(told.length, 1);
	t.like(told[0], {type: 'source.down', source: 'upstream', more: {failures: 1}});
	t.regex(told[0]?.problem ?? '', /500 Internal Server Error/);

	upstream.behave();
	await host.clock.advance(5000);
	await readList(source);
	await readList(source);
	t.is(told.length, 2);
	t.like(told[1], {type: 'source.up', source: 'upstream', more: {failures: 3, downMs: 5000}});
});

test('the time to ask again doubles up to five minutes, with jitter', async t => {
	const url = await deadUrl(t);
	const waits = async (random: number): Promise<number[]> => {
		const host = testHost({clock: new ManualClock(), random: () => random});
		const source = openTestSource(t, url, {host});
		const seen: number[] = [];
		for (let count = 0; count < 11; count++) {
			await t.throwsAsync(source.find(absent, ask()));
			seen.push((source.health().retryAtMs ?? 0) - host.clock.now());
		}
		return seen;
	};

	t.deepEqual(
		await waits(0.5),
		[1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map(seconds => seconds * 1000),
	);
	t.deepEqual((await waits(0)).slice(0, 3), [750, 1500, 3000]);
	t.deepEqual((await waits(1)).slice(0, 3), [1250, 2500, 5000]);
});

test('Retry-After is respected, within bounds', async t => {
	const host = testHost();
	const upstream = await startUpstream(t);
	const source = openTestSource(t, upstream.url, {host});

	for (const [retryAfter, expected] of [
		['60', 60_000],
		['0', 2000],
		['86400', 300_000],
	] as const) {
		upstream.misbehave('manifest', {status: 503, retryAfter}, {times: 1});
		await t.throwsAsync(source.find(absent, ask()));
		t.is((source.health().retryAtMs ?? 0) - host.clock.now(), expected);
	}
});

test('a stream that breaks is a failure of that file, and found in the health by who is told of it', async t => {
	const image = makeImage({size: 100_000});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {cutAt: 0.5});
	const source = openTestSource(t, upstream.url);

	const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	t.is(source.health().state, 'up');
	await t.throwsAsync(readBody(body));

	t.like(source.health(), {state: 'up', failures: 1, consecutiveFailures: 0, retryAtMs: undefined});
	t.regex(source.health().lastError ?? '', /file/);
});

test('one thing that cannot be had of a source that answers does not take it down, however often it is asked for', async t => {
	const [broken, fine] = [makeImage(), makeImage()];
	const host = testHost();
	const upstream = await startUpstream(t, {images: [broken, fine]});
	const source = openTestSource(t, upstream.url, {host});
	await readList(source);
	for (const how of [
		{status: 500},
		{status: 503},
		{status: 403},
		{text: 'no JSON'},
		{status: 200, body: 'html'},
	] as const) {
		upstream.misbehave('manifest', how, {uuid: broken.uuid});
		for (let time = 0; time < 5; time++) {
			await t.throwsAsync(source.find(uuidOf(broken), ask()), {instanceOf: SourceUnavailableError});
		}
		t.like(source.health(), {state: 'up', retryAtMs: undefined}, JSON.stringify(how));
	}
	for (const [route, open] of [
		['file', () => source.openFile(manifestOf(broken), 0, {offset: 0}, ask())],
		['icon', () => source.readIcon(manifestOf(broken), ask())],
	] as const) {
		upstream.misbehave(route, {status: 500}, {uuid: broken.uuid});
		await t.throwsAsync(open(), {instanceOf: SourceUnavailableError});
	}
	// That were three: a manifest, a file and an icon.
	t.like(source.health(), {state: 'down', failures: 27});
	t.truthy(await source.find(uuidOf(fine), ask()));
	t.like(source.health(), {state: 'up', retryAtMs: undefined});
	t.is(host.linesLike({msg: 'source is down'}).length, 1);
});

test('a source of which nothing can be had is down after three different things, and stays so', async t => {
	const images = Array.from({length: 4}, () => makeImage());
	const upstream = await startUpstream(t, {images});
	const source = openTestSource(t, upstream.url);
	upstream.misbehave('any', {status: 500});
	const states: string[] = [];
	for (const image of images) {
		await t.throwsAsync(source.find(uuidOf(image), ask()));
		states.push(source.health().state);
	}
	t.deepEqual(states, ['unknown', 'unknown', 'down', 'down']);
	// It answers: whoever asks for something else may be luckier, at once.
	t.like(source.health(), {consecutiveFailures: 2, retryAtMs: undefined});
});

test('what is not for us says nothing about a source, however many ask for it', async t => {
	const images = Array.from({length: 5}, () => makeImage());
	const upstream = await startUpstream(t, {images});
	const source = openTestSource(t, upstream.url);
	await readList(source);
	upstream.misbehave('manifest', {status: 403});
	for (const image of images) {
		await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});
	}
	t.like(source.health(), {state: 'up', failures: 5, retryAtMs: undefined});
});

test('one that hangs takes down a source that answers nothing else, and none that does', async t => {
	const [hung, fine] = [makeImage({size: 1000}), makeImage()];
	const clock = new ManualClock();
	const host = testHost({clock});
	const upstream = await startUpstream(t, {images: [hung, fine]});
	const source = openTestSource(t, upstream.url, {host, headerTimeoutMs: 50});
	await readList(source);
	const open = (): Promise<unknown> => source.openFile(manifestOf(hung), 0, {offset: 0}, ask());
	for (const answersMeanwhile of [true, false]) {
		await clock.advance(1000);
		upstream.misbehave('file', {stallHeaders: true}, {uuid: hung.uuid});
		const opening = t.throwsAsync(open(), {message: /did not answer within/});
		if (answersMeanwhile) {
			await clock.advance(1);
			await source.find(uuidOf(fine), ask());
		}
		await opening;
		t.is(source.health().state, answersMeanwhile ? 'up' : 'down');
	}
});

test('parts of files that are refused take nobody down', async t => {
	const images = Array.from({length: 4}, () => makeImage({size: 1000}));
	const upstream = await startUpstream(t, {kind: 'static', images});
	const source = openTestSource(t, upstream.url);
	await readList(source);
	upstream.misbehave('file', {range: 'refused'});
	for (const image of images) {
		await t.throwsAsync(source.openFile(manifestOf(image), 0, {offset: 500}, ask()), {message: /416/});
	}
	t.like(source.health(), {state: 'up', failures: 4});
});

test('who cannot be reached is down at once, and so is who wants to be left alone', async t => {
	const gone = openTestSource(t, await deadUrl(t));
	await t.throwsAsync(gone.find(absent, ask()));
	t.is(gone.health().state, 'down');

	const upstream = await startUpstream(t);
	const source = openTestSource(t, upstream.url);
	upstream.misbehave('manifest', {status: 429, retryAfter: '7'});
	await t.throwsAsync(source.find(absent, ask()));
	t.is(source.health().state, 'down');
});

test('what the caller breaks off is no failure', async t => {
	const image = makeImage({size: 100_000});
	const host = testHost();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {holdAt: 0.5});
	const source = openTestSource(t, upstream.url, {host});
	const caller = new AbortController();

	for await (const manifest of source.list(ask())) {
		t.truthy(manifest);
		break;
	}
	const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask(caller.signal));
	caller.abort(new Error('gone'));
	await t.throwsAsync(readBody(body));
	await t.throwsAsync(source.find(absent, ask(caller.signal)));

	t.like(source.health(), {failures: 0, state: 'up'});
	t.is(await host.metric('imgmirror_source_requests_total', {what: 'list', outcome: 'aborted'}), 1);
	t.is(await host.metric('imgmirror_source_requests_total', {what: 'image', outcome: 'aborted'}), 1);
});

test('requests, seconds and bytes are counted', async t => {
	const image = makeImage({size: 123_456, icon: Buffer.from('icon')});
	const host = testHost();
	const upstream = await startUpstream(t, {images: [image]});
	const source = openTestSource(t, upstream.url, {host});

	await readList(source);
	await source.find(uuidOf(image), ask());
	await source.find(absent, ask());
	await source.readIcon(manifestOf(image), ask());
	await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask()));
	await t.throwsAsync(source.openFile(manifestOf(image), 1, {offset: 0}, ask()));
	upstream.misbehave('icon', {status: 500});
	await t.throwsAsync(source.readIcon(manifestOf(image), ask()));

	for (const [what, outcome] of [
		['list', 'ok'],
		['image', 'ok'],
		['image', 'absent'],
		['icon', 'ok'],
		['icon', 'failed'],
		['file', 'ok'],
		['file', 'absent'],
	] as const) {
		t.is(await host.metric('imgmirror_source_requests_total', {source: 'upstream', what, outcome}), 1, what + outcome);
	}
	t.is(await host.metric('imgmirror_source_bytes_total', {source: 'upstream'}), image.size);
	t.is(source.health().requests, 7);
});

test('the latency is smoothed', async t => {
	const upstream = await startUpstream(t);
	const host = testHost({clock: new ManualClock()});
	const source = openTestSource(t, upstream.url, {host});
	const taking = async (ms: number): Promise<void> => {
		upstream.misbehave('list', {stallHeaders: true}, {times: 1});
		const list = readList(source);
		await upstream.holding();
		await host.clock.advance(ms);
		upstream.releaseHeld();
		await list;
	};

	await taking(100);
	t.is(source.health().latencyMs, 100);
	await taking(200);
	t.is(source.health().latencyMs, 120);
});

test('a connection that breaks is tried again, the first time at once', async t => {
	const image = makeImage({icon: Buffer.from('icon')});
	const upstream = await startUpstream(t, {images: [image]});
	const host = testHost({clock: new ManualClock()});
	const source = openTestSource(t, upstream.url, {host, retries: 3});

	upstream.misbehave('any', {cutAt: 0, reset: true}, {times: 1});
	t.truthy(await source.find(uuidOf(image), ask()));
	upstream.misbehave('any', {cutAt: 0.5}, {times: 3});
	const icon = source.readIcon(manifestOf(image), ask());
	await host.clock.next();
	await host.clock.next();
	t.truthy(await icon);

	t.is(upstream.requests.length, 6);
	t.like(source.health(), {requests: 2, failures: 0});
});

test('an answer is not asked for again, however bad', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('any', {status: 500});
	const source = openTestSource(t, upstream.url, {retries: 3});

	await t.throwsAsync(source.find(absent, ask()));
	t.is(upstream.requests.length, 1);
});

test('retries come to an end', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('any', {cutAt: 0});
	const source = openTestSource(t, upstream.url, {retries: 3});

	await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});
	t.is(upstream.requests.length, 4);
	t.is(source.health().failures, 1);
});

test('a caller who leaves during the wait between two tries ends them', async t => {
	const host = testHost({clock: new ManualClock()});
	const source = openTestSource(t, await deadUrl(t), {host, retries: 3});
	const caller = new AbortController();
	const gone = new Error('gone');

	const finding = source.find(absent, ask(caller.signal));
	await host.clock.timers();
	caller.abort(gone);

	await t.throwsAsync(finding, {is: gone});
	t.is(source.health().failures, 0);
});
