import test from 'ava';
import {NotFoundError, SourceUnavailableError} from '../../src/errors.js';
import {makeImage, makeManifests, type TestManifest} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {ask, makeAddress, manifestOf, openTestSource, readBody, readList, uuidOf} from './make-source.js';

const queries = (requests: readonly {readonly query: URLSearchParams}[]): readonly string[] =>
	requests.map(({query}) => query.toString());

/** The same images, once each. A failed comparison of thousands would print them all. */
function isSame(a: readonly {readonly uuid: string}[], b: readonly {readonly uuid: string}[]): boolean {
	const sorted = (images: readonly {readonly uuid: string}[]): string =>
		images
			.map(({uuid}) => uuid)
			.sort()
			.join();
	return sorted(a) === sorted(b);
}

/** As `makeManifests`, but published in the same instant. */
function tied(count: number, publishedAt: string): readonly TestManifest[] {
	return makeManifests(count).map(({uuid, manifest}) => {
		const changed = {...manifest, published_at: publishedAt};
		return {uuid, manifest: changed, text: JSON.stringify(changed)};
	});
}

test('a list of fewer than 1000 images is taken as whole', async t => {
	const upstream = await startUpstream(t, {images: makeManifests(999)});
	const source = makeAddress(t, 'imgapi', upstream.url);

	t.is((await readList(source)).images.length, 999);
	t.deepEqual(queries(upstream.listRequests), ['']);
});

test('a first answer of 1000 and more is asked about once more', async t => {
	const images = makeManifests(2345);
	const upstream = await startUpstream(t, {images});
	const source = makeAddress(t, 'imgapi', upstream.url);

	const {images: listed, end} = await readList(source);

	t.true(isSame(listed, images));
	t.deepEqual(end, {skipped: 0, reasons: []});
	t.deepEqual(queries(upstream.listRequests), ['', `marker=${images.at(-1)?.uuid ?? ''}&limit=1000`]);
});

for (const paging of ['inclusive', 'exclusive'] as const) {
	test(`pages of a server that caps them are put together, the marker ${paging}`, async t => {
		const images = makeManifests(3500);
		const upstream = await startUpstream(t, {images, maxPage: 1000});
		upstream.misbehave('list', paging === 'exclusive' ? {paging} : {});
		const source = makeAddress(t, 'imgapi', upstream.url);

		const {images: listed, end} = await readList(source);

		t.true(isSame(listed, images));
		t.is(end.skipped, 0);
	});
}

test('a server that knows neither marker nor limit is asked once more, and no image is listed twice', async t => {
	const images = makeManifests(1500);
	const upstream = await startUpstream(t, {kind: 'static', images});
	const source = makeAddress(t, 'imgapi', upstream.url);

	const {images: listed, end} = await readList(source);

	t.is(listed.length, 1500);
	t.is(end.skipped, 0);
	t.is(upstream.listRequests.length, 2);
});

test('what such a server gives over again is not read to its end', async t => {
	const images = makeManifests(3000);
	const upstream = await startUpstream(t, {kind: 'static', images});
	upstream.misbehave('list', {cutAt: 0.9}, {when: ({query}) => query.has('marker')});
	const source = makeAddress(t, 'imgapi', upstream.url, {retries: 0});

	const {images: listed, end} = await readList(source);

	t.true(isSame(listed, images));
	t.is(end.skipped, 0);
	t.is(upstream.listRequests.length, 2);
});

test('25,000 images are listed while they arrive', async t => {
	const upstream = await startUpstream(t, {images: makeManifests(25_000)});
	upstream.misbehave('list', {holdAt: 0.5}, {times: 1});
	const source = makeAddress(t, 'imgapi', upstream.url);
	const listed = new Set<string>();

	for await (const {uuid} of source.list(ask())) {
		listed.add(uuid);
		// Half of the list has been sent, and no more will come until these have been seen.
		if (listed.size === 10_000) {
			upstream.release();
		}
	}

	t.is(listed.size, 25_000);
	t.is(upstream.listRequests.length, 2);
});

test('a server that ignores both and has exactly 1000 images comes to an end', async t => {
	const upstream = await startUpstream(t, {kind: 'static', images: makeManifests(1000)});
	const source = makeAddress(t, 'imgapi', upstream.url);

	t.is((await readList(source)).images.length, 1000);
	t.is(upstream.listRequests.length, 3);
});

test('more images of one instant than fit a page are not lost', async t => {
	const images = [
		...makeManifests(500),
		...tied(2600, '2024-05-05T05:05:05.000Z'),
		...tied(1, '2024-06-06T00:00:00.000Z'),
	];
	const upstream = await startUpstream(t, {images});
	upstream.misbehave(
		'list',
		{text: text => JSON.stringify((JSON.parse(text) as unknown[]).slice(0, 1000))},
		{times: 1},
	);
	const source = makeAddress(t, 'imgapi', upstream.url);

	const {images: listed} = await readList(source);

	t.true(isSame(listed, images));
});

test('a list that cannot be read to its end because the server caps its pages throws', async t => {
	const images = [...makeManifests(500), ...tied(1700, '2024-05-05T05:05:05.000Z')];
	const upstream = await startUpstream(t, {images, maxPage: 1000});
	const source = makeAddress(t, 'imgapi', upstream.url);

	await t.throwsAsync(readList(source), {instanceOf: SourceUnavailableError, message: /of one instant/});
});

test('pages without end stop at the limit in bytes', async t => {
	const upstream = await startUpstream(t, {images: makeManifests(1)});
	upstream.misbehave('list', {paging: 'endless'});
	const source = makeAddress(t, 'imgapi', upstream.url, {maxListBytes: 5_000_000});

	await t.throwsAsync(readList(source), {instanceOf: SourceUnavailableError, message: /longer than/});
});

test('a list whose second page fails throws', async t => {
	const upstream = await startUpstream(t, {images: makeManifests(1500), maxPage: 1000});
	upstream.misbehave('list', {status: 500}, {when: ({query}) => query.has('marker')});
	const source = makeAddress(t, 'imgapi', upstream.url);

	await t.throwsAsync(readList(source), {
		message: /500 Internal Server Error \(InternalError: fake upstream says 500\)/,
	});
});

test('a page whose connection breaks is asked for again, and nothing is listed twice', async t => {
	const images = makeManifests(1500);
	const upstream = await startUpstream(t, {images, maxPage: 1000});
	upstream.misbehave('list', {cutAt: 0.5}, {times: 2, when: ({query}) => query.has('marker')});
	const source = makeAddress(t, 'imgapi', upstream.url, {retries: 2});

	const {images: listed, end} = await readList(source);

	t.true(isSame(listed, images));
	t.is(end.skipped, 0);
	t.is(upstream.listRequests.length, 4);
});

test('an image that is listed twice counts once; the first wins', async t => {
	const image = makeImage({name: 'first'});
	const again = makeImage({uuid: image.uuid, name: 'second'});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('list', {insert: ['{}', again.text]});
	const source = makeAddress(t, 'imgapi', upstream.url);

	const {images, end} = await readList(source);

	t.deepEqual(
		images.map(({name}) => name),
		['first'],
	);
	t.is(end.skipped, 2);
	t.true(end.reasons.includes(`image ${image.uuid} is listed twice`));
});

test('an entry that cannot be used does not hide a good one of the same image, on its page or on the next', async t => {
	const images = Array.from({length: 1001}, () => makeImage({size: 10}));
	const image = images.at(-1) ?? makeImage();
	const broken = JSON.stringify({...image.manifest, files: 'none'});
	for (const count of [1, images.length]) {
		const upstream = await startUpstream(t, {images: images.slice(-count)});
		upstream.misbehave('list', {insert: [broken]}, {times: 1});
		const source = makeAddress(t, 'imgapi', upstream.url);
		const {images: listed} = await readList(source);
		t.is(listed.length, count);
		t.true(listed.some(({uuid}) => uuid === image.uuid));
	}
});

test('an image without files is left out of the list, and found all the same', async t => {
	const image = makeImage({extra: {files: []}});
	const upstream = await startUpstream(t, {images: [image]});
	const source = makeAddress(t, 'imgapi', upstream.url);

	t.deepEqual((await readList(source)).end, {skipped: 1, reasons: [`image ${image.uuid} has no files`]});
	t.deepEqual((await source.find(uuidOf(image), ask()))?.files, []);
});

test('v1 manifests among the others are upgraded', async t => {
	const old = makeImage();
	const upstream = await startUpstream(t, {images: [makeImage()]});
	upstream.misbehave('list', {insert: [JSON.stringify(old.dataset)]});
	const source = makeAddress(t, 'imgapi', upstream.url);

	const {images} = await readList(source);

	t.true(images.some(({uuid, text}) => (uuid as string) === old.uuid && text.startsWith('{"v":2,')));
});

test('lists and manifests may be compressed', async t => {
	const images = makeManifests(700);
	const upstream = await startUpstream(t, {images});
	upstream.misbehave('any', {gzip: true});
	const source = makeAddress(t, 'imgapi', upstream.url);

	t.is((await readList(source)).images.length, 700);
	t.is((await source.find(uuidOf(images[0] ?? {uuid: ''}), ask()))?.uuid, images[0]?.uuid as never);
	t.is(upstream.requests[0]?.headers['accept-encoding'], 'gzip');
});

test('what inflates to more than a manifest may be is refused', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('manifest', {gzip: true, text: honest => honest + ' '.repeat(8_000_000)});
	const source = makeAddress(t, 'imgapi', upstream.url);

	await t.throwsAsync(source.find(uuidOf(image), ask()), {message: /answered more than 1048576 bytes/});
	await upstream.until(() => upstream.of('manifest').every(({outcome}) => outcome !== 'open'));
});

for (const [what, headers] of [
	['brotli, which was not asked for', {'Content-Encoding': 'br'}],
	['gzip that is none', {'Content-Encoding': 'gzip'}],
] as const) {
	test(`an answer in ${what}, is refused`, async t => {
		const image = makeImage();
		const upstream = await startUpstream(t, {images: [image]});
		upstream.misbehave('manifest', {headers});
		const source = makeAddress(t, 'imgapi', upstream.url);

		await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});
	});
}

test('the channel comes first in every query but that of ping', async t => {
	const images = makeManifests(1500);
	const file = makeImage({icon: Buffer.from('icon'), extra: {channels: ['dev']}});
	const upstream = await startUpstream(t, {
		images: [...images, file],
		channels: ['dev', 'staging'],
		maxPage: 1000,
	});
	const source = makeAddress(t, 'auto', `${upstream.url}?channel=dev`);

	await readList(source);
	await source.find(uuidOf(file), ask());
	await readBody(await source.openFile(manifestOf(file), 0, {offset: 0}, ask()));
	await source.readIcon(manifestOf(file), ask());

	t.deepEqual(
		upstream.requests.map(({route, url}) => `${route} ${url.includes('?channel=dev') ? 'dev' : 'no channel'}`),
		['ping no channel', 'list dev', 'list dev', 'manifest dev', 'file dev', 'icon dev'],
	);
});

test('a file other than the first is asked for by its index', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const source = makeAddress(t, 'imgapi', upstream.url);

	await t.throwsAsync(source.openFile(manifestOf(image), 1, {offset: 0}, ask()), {instanceOf: NotFoundError});
	t.is(upstream.of('file')[0]?.url, `/images/${image.uuid}/file?index=1`);
});

test('requests say what imgadm says, and who we are', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const source = openTestSource(t, upstream.url);
	const from = {...ask(), requestId: 'b9b07c5e-0000-4000-8000-000000000000', via: 'other-mirror'};

	await source.find(uuidOf(image), from);
	await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask()));

	const [manifest, file] = upstream.requests.map(({headers}) => headers);
	t.like(manifest, {
		accept: 'application/json',
		'accept-version': '~2',
		'user-agent': 'imgmirror/0.0.0-test',
		'x-request-id': 'b9b07c5e-0000-4000-8000-000000000000',
		'x-imgmirror-via': 'other-mirror, mirror-under-test',
	});
	t.like(file, {accept: '*/*', 'accept-encoding': 'identity', 'x-imgmirror-via': 'mirror-under-test'});
	t.is(file?.['x-request-id'], undefined);
});

test('a 404 from what is no image server is no answer', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image], basePath: '/base'});
	const source = makeAddress(t, 'imgapi', `${upstream.origin}/wrong`);

	const error = await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});

	t.regex(error.message, /has never answered like an IMGAPI server/);
	await t.throwsAsync(source.openFile(manifestOf(image), 0, {offset: 0}, ask()), {instanceOf: SourceUnavailableError});
	await t.throwsAsync(source.readIcon(manifestOf(image), ask()), {instanceOf: SourceUnavailableError});
});

test('a 404 is an answer once the server has shown what it is, and it is asked to show that only once', async t => {
	const upstream = await startUpstream(t);
	const source = makeAddress(t, 'imgapi', upstream.url);
	const absent = uuidOf({uuid: '11111111-2222-4333-8444-555555555555'});

	t.is(await source.find(absent, ask()), undefined);
	t.is(await source.find(absent, ask()), undefined);

	t.is(upstream.of('ping').length, 1);
});

test('a server without ping shows what it is by its list', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('ping', {status: 404});
	const source = makeAddress(t, 'imgapi', upstream.url);

	t.is(await source.find(uuidOf({uuid: '11111111-2222-4333-8444-555555555555'}), ask()), undefined);
});

test('410 says the same as 404', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('manifest', {status: 410});
	const source = makeAddress(t, 'imgapi', upstream.url);

	t.is(await source.find(uuidOf(image), ask()), undefined);
});

for (const [what, how] of [
	['of 200 KiB', {headers: {'Content-Type': 'image/png'}, status: 200, body: {text: 'x'.repeat(200 * 1024)}}],
	['that is HTML', {body: 'html'}],
	['without a content type', {headers: {'Content-Type': undefined}}],
	['that is compressed', {gzip: true}],
] as const) {
	test(`an icon ${what} is refused`, async t => {
		const image = makeImage({icon: Buffer.from('icon')});
		const upstream = await startUpstream(t, {images: [image]});
		upstream.misbehave('icon', how);
		const source = makeAddress(t, 'imgapi', upstream.url);

		await t.throwsAsync(source.readIcon(manifestOf(image), ask()), {instanceOf: SourceUnavailableError});
	});
}

test('a Content-MD5 that is none is not told', async t => {
	const image = makeImage({size: 1000});
	const upstream = await startUpstream(t, {images: [image]});
	const source = makeAddress(t, 'imgapi', upstream.url);
	for (const value of [image.md5, '', 'x', `${image.contentMd5}=`]) {
		upstream.misbehave('file', {headers: {'Content-MD5': value}}, {times: 1});
		const body = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
		body.stream.destroy();
		t.is(body.contentMd5, undefined, value);
	}
});

test('ETags go back as If-Range, as they came; weak ones are not told', async t => {
	const image = makeImage({size: 100_000});
	const upstream = await startUpstream(t, {images: [image], ranges: true});
	const source = makeAddress(t, 'imgapi', upstream.url);

	const first = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	first.stream.destroy();
	t.is(first.etag, image.sha1);
	t.is(first.contentMd5, image.contentMd5);
	t.is(first.address, upstream.url);

	const rest = await source.openFile(manifestOf(image), 0, {offset: 60_000, etag: image.sha1}, ask());
	sameBytes(t, await readBody(rest), image.bytes.subarray(60_000));
	t.is(rest.contentMd5, undefined);
	t.like(upstream.of('file')[1]?.headers, {range: 'bytes=60000-', 'if-range': image.sha1});

	upstream.misbehave('file', {etag: '"other"'}, {times: 1});
	const changed = await source.openFile(manifestOf(image), 0, {offset: 60_000, etag: image.sha1}, ask());
	changed.stream.destroy();
	t.is(changed.offset, 0);
	t.is(changed.etag, '"other"');

	upstream.misbehave('file', {etag: 'W/"weak"'}, {times: 1});
	const weak = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	weak.stream.destroy();
	t.is(weak.etag, undefined);
});

test('the size that a source tells is passed on, whatever the manifest says', async t => {
	const image = makeImage({size: 100_000});
	const upstream = await startUpstream(t, {images: [image], ranges: true});
	const source = makeAddress(t, 'imgapi', upstream.url);

	upstream.misbehave('file', {range: 'other-total'}, {times: 1});
	const other = await source.openFile(manifestOf(image), 0, {offset: 10}, ask());
	t.is(other.size, image.size + 7);
	other.stream.destroy();

	upstream.misbehave('file', {contentLength: 'none'}, {times: 1});
	const unknown = await source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	t.is(unknown.size, undefined);
	sameBytes(t, await readBody(unknown), image.bytes);

	upstream.misbehave('file', {range: 'short'}, {times: 1});
	const half = await source.openFile(manifestOf(image), 0, {offset: 50_000}, ask());
	t.is(half.size, image.size);
	sameBytes(t, await readBody(half), image.bytes.subarray(50_000, 75_000));
});
