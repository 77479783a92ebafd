/**
 * What every Source promises, run on all there are: each protocol, found out by asking, behind several addresses,
 * watched and limited.
 *
 * Only what the interface says is asserted; what a protocol does on the wire is in test/sources.
 */
import {once} from 'node:events';
import test, {type ExecutionContext} from 'ava';
import {NotFoundError, SourceUnavailableError} from '../../src/errors.js';
import type {Source} from '../../src/sources/source.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {deadUrl, hostileEntries, startUpstream, type Upstream} from '../helpers/start-upstream.js';
import {ask, makeAddress, manifestOf, openTestSource, readBody, readList, uuidOf} from '../sources/make-source.js';

interface Variant {
	readonly name: string;
	readonly kind: 'imgapi' | 'dsapi';
	/** `ranges`: whether the upstream honours them. */
	readonly make: (
		t: ExecutionContext,
		images: readonly TestImage[],
		options?: {readonly ranges?: boolean},
	) => Promise<{readonly source: Source; readonly upstream: Upstream}>;
}

const variants: readonly Variant[] = [
	{
		name: 'IMGAPI',
		kind: 'imgapi',
		async make(t, images, {ranges = true} = {}) {
			const upstream = await startUpstream(t, {images, ranges});
			return {upstream, source: makeAddress(t, 'imgapi', upstream.url)};
		},
	},
	{
		name: 'DSAPI',
		kind: 'dsapi',
		async make(t, images, {ranges = true} = {}) {
			const upstream = await startUpstream(t, {kind: 'dsapi', images, ranges});
			return {upstream, source: makeAddress(t, 'dsapi', upstream.url)};
		},
	},
	{
		name: 'IMGAPI, found out by asking',
		kind: 'imgapi',
		async make(t, images, {ranges = true} = {}) {
			const upstream = await startUpstream(t, {images, ranges, basePath: '/base'});
			return {upstream, source: makeAddress(t, 'auto', upstream.url)};
		},
	},
	{
		name: 'DSAPI, found out by asking',
		kind: 'dsapi',
		async make(t, images, {ranges = true} = {}) {
			const upstream = await startUpstream(t, {kind: 'dsapi', images, ranges});
			return {upstream, source: makeAddress(t, 'auto', upstream.url)};
		},
	},
	{
		name: 'two addresses, the first of them dead',
		kind: 'imgapi',
		async make(t, images, {ranges = true} = {}) {
			const upstream = await startUpstream(t, {images, ranges});
			return {upstream, source: openTestSource(t, [await deadUrl(t), upstream.url])};
		},
	},
	{
		name: 'DSAPI as openSource makes it, with limits',
		kind: 'dsapi',
		async make(t, images, {ranges = true} = {}) {
			const upstream = await startUpstream(t, {kind: 'dsapi', images, ranges});
			const limits = {type: 'auto', transfers: 1, bandwidth: 1_000_000_000, retries: 2} as const;
			return {upstream, source: openTestSource(t, `${upstream.url}/datasets`, limits)};
		},
	},
];

const absent = '11111111-2222-4333-8444-555555555555';

for (const {name, kind, make} of variants) {
	test(`${name}: lists every image once`, async t => {
		const images = [makeImage(), makeImage({compression: 'gzip'}), makeImage({type: 'zvol'})];
		const {source} = await make(t, images);

		const {images: listed, end} = await readList(source);

		t.deepEqual(listed.map(({uuid}) => uuid as string).sort(), images.map(({uuid}) => uuid).sort());
		t.deepEqual(end, {skipped: 0, reasons: []});
		t.is(source.kind, kind);
	});

	test(`${name}: lists nothing where there is nothing`, async t => {
		const {source} = await make(t, []);

		t.deepEqual(await readList(source), {images: [], end: {skipped: 0, reasons: []}});
	});

	test(`${name}: leaves out hostile entries and counts them`, async t => {
		const image = makeImage();
		const {source, upstream} = await make(t, [image]);
		const hostile = hostileEntries();
		upstream.misbehave('list', {insert: hostile});

		const {images, end} = await readList(source);

		const usable = images.filter(({uuid}) => (uuid as string) !== image.uuid);
		t.true(images.some(({uuid}) => (uuid as string) === image.uuid));
		t.is(usable.length + end.skipped, hostile.length);
		t.true(end.reasons.length > 0 && end.reasons.length <= 10);
		t.true(usable.every(({files}) => files.length > 0));
		t.false('polluted' in {});
	});

	for (const [what, how] of [
		['is cut off', {cutAt: 0.5}],
		['ends in the middle', {truncateAt: 0.5}],
		['is no array', {text: '{"images":[]}'}],
		['is no JSON', {text: 'images: none today'}],
		['is empty', {body: 'empty', status: 200}],
		['is HTML with status 200', {body: 'html', status: 200}],
		['is HTML and says it is JSON', {text: '<html></html>'}],
		['is an error', {status: 500}],
		['is not there', {status: 404}],
		['ends in garbage', {text: (honest: string) => `${honest}]`}],
	] as const) {
		test(`${name}: throws for a list that ${what}`, async t => {
			const {source, upstream} = await make(t, [makeImage(), makeImage()]);
			await source.find(uuidOf(makeImage()), ask());
			upstream.misbehave('list', how);

			const error = await t.throwsAsync(readList(source), {instanceOf: SourceUnavailableError});

			t.true(error.problem.includes(`${upstream.url}/`), error.message);
			t.is(error.source, 'upstream');
		});
	}

	test(`${name}: lets go of the connection when a list is left early`, async t => {
		const {source, upstream} = await make(
			t,
			Array.from({length: 50}, () => makeImage({size: 10, description: 'x'.repeat(5000)})),
		);
		upstream.misbehave('list', {holdAt: 0.9});

		for await (const manifest of source.list(ask())) {
			t.truthy(manifest.uuid);
			break;
		}

		await upstream.until(() => upstream.listRequests.some(({outcome}) => outcome === 'left'));
	});

	test(`${name}: finds an image`, async t => {
		const image = makeImage({description: 'ein Bild, "größer"'});
		const {source} = await make(t, [image, makeImage()]);

		const found = await source.find(uuidOf(image), ask());

		t.is(found?.uuid, uuidOf(image));
		t.is(found?.files[0]?.sha1, image.sha1 as never);
		t.is(found?.files[0]?.size, image.size);
		t.true(found?.text.includes(`"description":${JSON.stringify('ein Bild, "größer"')}`));
		if (kind === 'imgapi') {
			t.is(found?.text, image.text);
		}
	});

	test(`${name}: finds nothing where the source says so`, async t => {
		const {source} = await make(t, [makeImage()]);

		t.is(await source.find(uuidOf({uuid: absent}), ask()), undefined);
	});

	for (const [what, how] of [
		['an error', {status: 500}],
		['a refusal', {status: 401}],
		['HTML with status 200', {body: 'html', status: 200}],
		['no JSON', {text: 'never mind'}],
		['half a manifest', {truncateAt: 0.5}],
		['a body that is cut', {cutAt: 0.5}],
		['nothing', {body: 'empty', status: 200}],
		['204', {body: 'empty', status: 204}],
		['an array', {text: '[]'}],
		['another image', {text: makeImage().text}],
		['no HTTP', {raw: 'SSH-2.0-OpenSSH_9.2\r\n'}],
		['two megabytes', {text: (honest: string) => honest + ' '.repeat(2 * 1024 * 1024)}],
	] as const) {
		test(`${name}: throws when asked for an image and answered ${what}`, async t => {
			const image = makeImage();
			const {source, upstream} = await make(t, [image]);
			await readList(source);
			upstream.misbehave('manifest', how);

			const error = await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});

			t.true(error.problem.includes(`${upstream.url}/`), error.message);
		});
	}

	test(`${name}: opens a file`, async t => {
		const image = makeImage({size: 300_000});
		const {source} = await make(t, [image]);

		const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());

		t.is(body.offset, 0);
		t.is(body.size, image.size);
		sameBytes(t, await readBody(body), image.bytes);
	});

	test(`${name}: opens a file in the middle where ranges are honoured`, async t => {
		const image = makeImage({size: 300_000});
		const {source} = await make(t, [image], {ranges: true});

		const body = await source.openFile(manifestOf(image), 0, {offset: 123_456}, ask());

		t.is(body.offset, 123_456);
		t.is(body.size, image.size);
		sameBytes(t, await readBody(body), image.bytes.subarray(123_456));
	});

	test(`${name}: says that it begins at 0 where ranges are ignored`, async t => {
		const image = makeImage({size: 300_000});
		const {source} = await make(t, [image], {ranges: false});

		const body = await source.openFile(manifestOf(image), 0, {offset: 123_456}, ask());

		t.is(body.offset, 0);
		t.is(body.size, image.size);
		sameBytes(t, await readBody(body), image.bytes);
	});

	for (const range of ['shifted', 'mislabelled', 'unlabelled', 'refused'] as const) {
		test(`${name}: throws for a part of a file that is ${range}`, async t => {
			const image = makeImage({size: 300_000});
			const {source, upstream} = await make(t, [image]);
			upstream.misbehave('file', {range});

			await t.throwsAsync(source.openFile(manifestOf(image), 0, {offset: 1000}, ask()), {
				instanceOf: SourceUnavailableError,
			});
		});
	}

	for (const [what, how] of [
		['an error', {status: 503}],
		['HTML with status 200', {body: 'html', status: 200}],
		['204', {body: 'empty', status: 204}],
		['compressed bytes', {gzip: true}],
	] as const) {
		test(`${name}: throws when asked for a file and answered ${what}`, async t => {
			const image = makeImage();
			const {source, upstream} = await make(t, [image]);
			await readList(source);
			upstream.misbehave('file', how);

			const error = await t.throwsAsync(source.openFile(manifestOf(image), 0, {offset: 0}, ask()), {
				instanceOf: SourceUnavailableError,
			});

			t.true(error.problem.includes(upstream.url), error.message);
			await upstream.until(() => upstream.of('file').every(({outcome}) => outcome !== 'open'));
		});
	}

	test(`${name}: takes a stored .gz that a plain web server labels as encoded`, async t => {
		const image = makeImage();
		const {source, upstream} = await make(t, [image]);
		await readList(source);
		upstream.misbehave('file', {headers: {'Content-Encoding': 'x-gzip'}});

		const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
		t.is(body.size, image.size);
		sameBytes(t, await readBody(body), image.bytes);
	});

	test(`${name}: tells a missing file from a failure`, async t => {
		const image = makeImage();
		const {source, upstream} = await make(t, [image]);
		await readList(source);
		upstream.misbehave('file', {status: 404});

		await t.throwsAsync(source.openFile(manifestOf(image), 0, {offset: 0}, ask()), {instanceOf: NotFoundError});
	});

	for (const [what, how] of [
		['is cut off', {cutAt: 0.5}],
		['is reset', {cutAt: 0.5, reset: true}],
		['is shorter than it said', {contentLength: 1000}],
	] as const) {
		test(`${name}: a file that ${what} breaks its stream`, async t => {
			const image = makeImage({size: 300_000});
			const {source, upstream} = await make(t, [image]);
			upstream.misbehave('file', how);

			const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());

			const error = await t.throwsAsync(readBody(body), {instanceOf: SourceUnavailableError});
			t.true(error.problem.includes(upstream.url), error.message);
		});
	}

	test(`${name}: lets go of the connection when a file's stream is destroyed`, async t => {
		const image = makeImage({size: 300_000});
		const {source, upstream} = await make(t, [image]);
		upstream.misbehave('file', {holdAt: 0.5});

		const {stream} = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
		await once(stream, 'readable');
		stream.destroy();

		await upstream.until(() => upstream.of('file').some(({outcome}) => outcome === 'left'));
		t.true(stream.destroyed);
	});

	test(`${name}: throws the caller's own reason when he goes away`, async t => {
		const image = makeImage({size: 300_000});
		const {source, upstream} = await make(t, [image]);
		await readList(source);
		upstream.misbehave('any', {stallHeaders: true});
		const gone = new Error('the client has gone');
		const asked = upstream.requests.length;

		const caller = new AbortController();
		const waiting = [
			readList(source, ask(caller.signal)),
			source.find(uuidOf(image), ask(caller.signal)),
			source.openFile(manifestOf(image), 0, {offset: 0}, ask(caller.signal)),
		];
		await upstream.until(() => upstream.requests.length >= asked + waiting.length);
		caller.abort(gone);

		for (const outcome of await Promise.allSettled(waiting)) {
			t.is(outcome.status === 'rejected' ? outcome.reason : undefined, gone);
		}
		await t.throwsAsync(source.find(uuidOf(image), ask(caller.signal)), {is: gone});
	});

	test(`${name}: a file's stream ends with the caller's reason`, async t => {
		const image = makeImage({size: 300_000});
		const {source, upstream} = await make(t, [image]);
		upstream.misbehave('file', {holdAt: 0.5});
		const gone = new Error('the transfer was given up');

		const caller = new AbortController();
		const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask(caller.signal));
		await upstream.holding();
		caller.abort(gone);

		await t.throwsAsync(readBody(body), {is: gone});
	});

	test(`${name}: reads icons where the protocol has them`, async t => {
		const icon = Buffer.from('not really a picture');
		const image = makeImage({icon});
		const {source} = await make(t, [image, makeImage()]);

		const read = await source.readIcon(manifestOf(image), ask());

		t.deepEqual(read, kind === 'imgapi' ? {bytes: icon, contentType: 'image/png'} : undefined);
		t.is(await source.readIcon(manifestOf(makeImage()), ask()), undefined);
	});

	test(`${name}: is no more use once it is closed`, async t => {
		const image = makeImage();
		const {source} = await make(t, [image]);
		await readList(source);

		await source.close();
		await source.close();

		await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});
	});
}
