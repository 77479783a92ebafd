import test from 'ava';
import {NotFoundError, SourceUnavailableError} from '../../src/errors.js';
import {SourceFailure} from '../../src/sources/failure.js';
import type {FileBody} from '../../src/sources/source.js';
import {makeImage, makeManifests} from '../helpers/make-image.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {deadUrl, startUpstream} from '../helpers/start-upstream.js';
import {testHost} from '../helpers/test-host.js';
import {ask, manifestOf, openTestSource, readBody, readList, uuidOf} from './make-source.js';

const absent = uuidOf({uuid: '11111111-2222-4333-8444-555555555555'});

test('the first address is asked while it answers', async t => {
	const image = makeImage();
	const first = await startUpstream(t, {images: [image]});
	const second = await startUpstream(t, {images: [image]});
	const source = openTestSource(t, [first.url, second.url]);

	await readList(source);
	await source.find(uuidOf(image), ask());
	await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask()));

	t.is(first.requests.length, 3);
	t.deepEqual(second.requests, []);
});

for (const [what, how] of [
	['answers 503', {status: 503}],
	['answers HTML', {body: 'html'}],
	['cuts its answer', {cutAt: 0.5}],
] as const) {
	test(`an address that ${what} steps back for a while`, async t => {
		const image = makeImage();
		const host = testHost({clock: new ManualClock()});
		const first = await startUpstream(t, {images: [image]});
		const second = await startUpstream(t, {images: [image]});
		const source = openTestSource(t, [first.url, second.url], {host});
		first.misbehave('manifest', how);

		t.truthy(await source.find(uuidOf(image), ask()));
		first.behave();
		t.truthy(await source.find(uuidOf(image), ask()));
		t.is(first.of('manifest').length, 1);
		t.is(second.of('manifest').length, 2);

		await host.clock.advance(60_000);
		t.truthy(await source.find(uuidOf(image), ask()));
		t.is(first.of('manifest').length, 2);
		t.is(source.health().state, 'up');
	});
}

test('404 from one address is the answer', async t => {
	const first = await startUpstream(t);
	const second = await startUpstream(t);
	const source = openTestSource(t, [first.url, second.url]);

	t.is(await source.find(absent, ask()), undefined);
	t.is(await source.readIcon(manifestOf(makeImage()), ask()), undefined);
	t.deepEqual(second.requests, []);
});

test('what is no image server at one address does not make images absent', async t => {
	const image = makeImage();
	const wrong = await startUpstream(t, {basePath: '/elsewhere'});
	const right = await startUpstream(t, {images: [image]});
	const source = openTestSource(t, [`${wrong.origin}/typo`, right.url]);

	t.truthy(await source.find(uuidOf(image), ask()));
	t.is(await source.find(absent, ask()), undefined);
});

test('when no address answers, the error tells of each, and waits for the first to come back', async t => {
	const [dead, upstream, other] = [await deadUrl(t), await startUpstream(t), await startUpstream(t)];
	upstream.misbehave('any', {status: 503, retryAfter: '30'});
	other.misbehave('any', {status: 503, retryAfter: '20'});
	const source = openTestSource(t, [dead, upstream.url, other.url]);

	const error = await t.throwsAsync(source.find(absent, ask()), {instanceOf: SourceFailure});

	for (const url of [dead, upstream.url, other.url]) {
		t.true(error.message.includes(`${url}/images/${absent}`));
	}
	t.is(error.message.split('source upstream').length, 2);
	t.is(error.retryAfterMs, 20_000);
	t.false(error.transient);
	await t.throwsAsync(readList(source), {message: /no address answered/});
});

test('a list that breaks off at one address is read to its end at another, each image once', async t => {
	const images = makeManifests(200);
	const first = await startUpstream(t, {images});
	const second = await startUpstream(t, {images});
	first.misbehave('list', {cutAt: 0.5});
	const source = openTestSource(t, [first.url, second.url]);

	const {images: listed} = await readList(source);

	t.is(listed.length, 200);
	t.is(new Set(listed.map(({uuid}) => uuid)).size, 200);
	t.deepEqual([first.listRequests.length, second.listRequests.length], [1, 1]);
});

test('a file that breaks off at one address is opened at another next', async t => {
	const image = makeImage({size: 200_000});
	const first = await startUpstream(t, {images: [image], ranges: true});
	const second = await startUpstream(t, {images: [image], ranges: true});
	first.misbehave('file', {cutAt: 0.5});
	const source = openTestSource(t, [first.url, second.url]);

	const cut = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	t.is(cut.address, first.url);
	await t.throwsAsync(readBody(cut), {instanceOf: SourceUnavailableError});
	const rest = await source.openFile(manifestOf(image), 0, {offset: 100_000}, ask());

	t.is(rest.address, second.url);
	sameBytes(t, await readBody(rest), image.bytes.subarray(100_000));
});

test('a file that its reader gives up says nothing about its address', async t => {
	const image = makeImage({size: 200_000});
	const first = await startUpstream(t, {images: [image]});
	const second = await startUpstream(t, {images: [image]});
	const source = openTestSource(t, [first.url, second.url]);

	const {stream} = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	stream.on('error', () => undefined);
	stream.destroy(new Error('the disk is full'));
	await first.until(() => first.of('file').every(({outcome}) => outcome !== 'open'));
	const again = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	again.stream.destroy();

	t.is(again.address, first.url);
	t.is(source.health().state, 'up');
});

test('a file that turned out wrong is had from another address next', async t => {
	const image = makeImage();
	const first = await startUpstream(t, {images: [image]});
	const second = await startUpstream(t, {images: [image]});
	first.misbehave('file', {wrongBytes: 'tail'});
	const source = openTestSource(t, [first.url, second.url], {bandwidth: 1_000_000_000});

	t.notDeepEqual(await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);
	source.mark('another sha1 than the manifest says', uuidOf(image));
	source.mark('nobody knows which image');
	source.mark('an image that was never opened', absent);

	sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);
	t.like(source.health(), {marks: 3, lastMark: 'an image that was never opened', state: 'up'});
});

test('a file that is missing at one address may be at another', async t => {
	const image = makeImage();
	const first = await startUpstream(t, {images: [image]});
	const second = await startUpstream(t, {images: [image]});
	first.misbehave('file', {status: 404});
	const source = openTestSource(t, [first.url, second.url]);

	sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);
	await second.stop();
	await t.throwsAsync(source.openFile(manifestOf(image), 0, {offset: 0}, ask()), {instanceOf: NotFoundError});
});

test('a file of which one address gives no part, and which another has not, can be had', async t => {
	const image = makeImage({size: 1000});
	const first = await startUpstream(t, {kind: 'static', images: [image]});
	const second = await startUpstream(t, {kind: 'static', images: [image]});
	first.misbehave('file', {range: 'refused'});
	second.misbehave('file', {status: 404});
	const source = openTestSource(t, [first.url, second.url]);
	const open = (offset: number): Promise<FileBody> => source.openFile(manifestOf(image), 0, {offset}, ask());
	t.is((await t.throwsAsync(open(500), {instanceOf: SourceUnavailableError})).scope, 'part');
	sameBytes(t, await readBody(await open(0)), image.bytes);
});

test('the kind is that of whichever address is known', async t => {
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [makeImage()]});
	const source = openTestSource(t, [await deadUrl(t), upstream.url], {type: 'auto'});

	t.is(source.kind, undefined);
	await readList(source);
	t.is(source.kind, 'dsapi');
});

test('a caller who goes away is not sent round the other addresses', async t => {
	const image = makeImage();
	const first = await startUpstream(t, {images: [image]});
	const second = await startUpstream(t, {images: [image]});
	first.misbehave('any', {stallHeaders: true});
	const source = openTestSource(t, [first.url, second.url]);
	const caller = new AbortController();
	const gone = new Error('gone');

	const asked = Promise.allSettled([
		readList(source, ask(caller.signal)),
		source.find(uuidOf(image), ask(caller.signal)),
		source.openFile(manifestOf(image), 0, {offset: 0}, ask(caller.signal)),
	]);
	await first.holding(3);
	caller.abort(gone);

	t.true((await asked).every(outcome => outcome.status === 'rejected' && outcome.reason === gone));
	t.deepEqual(second.requests, []);
	t.like(source.health(), {state: 'unknown', failures: 0, requests: 3});
});
