import test from 'ava';
import {NotFoundError, SourceUnavailableError} from '../../src/errors.js';
import type {FileBody} from '../../src/sources/source.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {deadUrl, startUpstream} from '../helpers/start-upstream.js';
import {ask, makeAddress, manifestOf, openTestSource, readBody, readList, uuidOf} from './make-source.js';

test('the base URL may end in /datasets or not', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image], basePath: '/some/path'});

	for (const url of [upstream.url, `${upstream.url}/datasets`, `${upstream.url}/datasets/`]) {
		upstream.forget();
		const source = makeAddress(t, 'dsapi', url);
		await readList(source);
		await source.find(uuidOf(image), ask());
		await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask()));

		t.deepEqual(
			upstream.requests.map(request => request.path),
			['/datasets', `/datasets/${image.uuid}`, `/datasets/${image.uuid}/${image.path}`],
		);
	}
});

test('v1 manifests come out as v2, among v2 ones', async t => {
	const newer = makeImage();
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [makeImage({compression: 'bzip2'})]});
	upstream.misbehave('list', {insert: [newer.text]});
	const source = makeAddress(t, 'dsapi', upstream.url);

	const {images, end} = await readList(source);

	t.is(images.length, 2);
	t.is(end.skipped, 0);
	t.deepEqual(images.map(({files}) => files[0]?.compression).sort(), [
		'bzip2',
		newer.manifest['compression'] ?? manifestOf(newer).files[0]?.compression,
	] as never);
});

for (const [datasetUrls, what] of [
	['none', 'missing'],
	['placeholder', 'a placeholder'],
	['http://%zz', 'no URL'],
	['file:///etc', 'of another scheme'],
	['http://127.0.0.1:1', 'elsewhere'],
] as const) {
	test(`a file is had below its image where its url is ${what}`, async t => {
		const image = makeImage();
		const upstream = await startUpstream(t, {kind: 'dsapi', images: [image], datasetUrls});
		const source = makeAddress(t, 'dsapi', upstream.url);
		await readList(source);

		sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);
	});
}

test('after a restart the manifest is asked for again, once, to know where the file is', async t => {
	const image = makeImage({path: 'some-odd-name.zfs.gz'});
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image]});
	const source = makeAddress(t, 'dsapi', upstream.url);

	for (let times = 0; times < 2; times++) {
		sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);
	}

	t.deepEqual(
		upstream.requests.map(({route}) => route),
		['manifest', 'file', 'file'],
	);
});

test('a path with odd characters goes out encoded', async t => {
	const image = makeImage({path: 'some name+100% (größer).zfs.gz'});
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image]});
	const source = makeAddress(t, 'dsapi', upstream.url);

	sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);
});

for (const path of [
	'../../../etc/passwd',
	'..',
	'.',
	'',
	'a/b.zfs',
	'a\\b.zfs',
	'nul\u0000.zfs',
	'line\nfeed',
	'/abs',
	'\ud800',
]) {
	test(`a hostile path is not followed: ${JSON.stringify(path)}`, async t => {
		const image = makeImage({path});
		const upstream = await startUpstream(t, {kind: 'dsapi', images: [image], datasetUrls: 'none'});
		const source = makeAddress(t, 'dsapi', upstream.url);
		await readList(source);

		await t.throwsAsync(source.openFile(manifestOf(image), 0, {offset: 0}, ask()), {instanceOf: NotFoundError});

		// What is asked for instead is the name that DSAPI servers derive.
		for (const {path: asked} of upstream.of('file')) {
			t.regex(asked, new RegExp(`^/datasets/${image.uuid}/image-\\d+-1\\.0\\.0\\.zfs(\\.gz)?$`));
		}
	});
}

test('where there is nothing below the image, its url is tried: on the same server', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image]});
	upstream.misbehave(
		'any',
		{text: text => text.replaceAll(/"url": "[^"]*"/g, '"url": "/files/elsewhere.gz"')},
		{when: ({route}) => route === 'list'},
	);
	upstream.misbehave('file', {status: 404});
	upstream.serve('/files/elsewhere.gz', image.bytes, {'Content-Type': 'application/octet-stream'});
	const source = makeAddress(t, 'dsapi', upstream.url);
	await readList(source);

	sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);
});

test('a url on another host gets neither credentials nor extra headers', async t => {
	const image = makeImage();
	const files = await startUpstream(t, {kind: 'both', images: [image]});
	const elsewhere = files.url.replace('127.0.0.1', 'localhost');
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image], datasetUrls: elsewhere});
	upstream.misbehave('file', {status: 404});
	const source = makeAddress(t, 'dsapi', upstream.url.replace('//', '//user:secret@'), {
		settings: {redirects: 'any', headers: {'X-Site': 'here'}},
	});

	sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);

	t.like(upstream.of('manifest')[0]?.headers, {
		authorization: `Basic ${Buffer.from('user:secret').toString('base64')}`,
		'x-site': 'here',
	});
	t.is(files.of('file')[0]?.headers.authorization, undefined);
	t.is(files.of('file')[0]?.headers['x-site'], undefined);
});

test('a url on another host that is dead takes nobody down', async t => {
	const image = makeImage();
	const elsewhere = (await deadUrl(t)).replace('127.0.0.1', 'localhost');
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image], datasetUrls: elsewhere});
	upstream.misbehave('file', {status: 404});
	const source = openTestSource(t, upstream.url, {type: 'dsapi', redirects: 'any'});
	await readList(source);
	const opened = source.openFile(manifestOf(image), 0, {offset: 0}, ask());
	t.is((await t.throwsAsync(opened, {instanceOf: SourceUnavailableError})).scope, 'item');
	t.like(source.health(), {state: 'up', failures: 1});
});

test('a url on another host that gives no part may give the whole', async t => {
	const image = makeImage({size: 1000});
	const files = await startUpstream(t, {kind: 'both', images: [image]});
	files.misbehave('file', {range: 'refused'});
	const datasetUrls = files.url.replace('127.0.0.1', 'localhost');
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image], datasetUrls});
	upstream.misbehave('file', {status: 404});
	const source = openTestSource(t, upstream.url, {type: 'dsapi', redirects: 'any'});
	const open = (offset: number): Promise<FileBody> => source.openFile(manifestOf(image), 0, {offset}, ask());
	t.is((await t.throwsAsync(open(500), {instanceOf: SourceUnavailableError})).scope, 'part');
	sameBytes(t, await readBody(await open(0)), image.bytes);
});

for (const redirects of ['safe', 'none'] as const) {
	test(`a url at a private address on another host is not asked for (redirects: ${redirects})`, async t => {
		const image = makeImage();
		const files = await startUpstream(t, {kind: 'both', images: [image]});
		const elsewhere = files.url.replace('127.0.0.1', 'localhost');
		const upstream = await startUpstream(t, {kind: 'dsapi', images: [image], datasetUrls: elsewhere});
		upstream.misbehave('file', {status: 404});
		const source = makeAddress(t, 'dsapi', upstream.url, {settings: {redirects}});

		await t.throwsAsync(source.openFile(manifestOf(image), 0, {offset: 0}, ask()), {
			instanceOf: SourceUnavailableError,
		});
		t.deepEqual(files.requests, []);
	});
}

test('a 404 from what is no image server is no answer', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image], basePath: '/base'});
	const source = makeAddress(t, 'dsapi', `${upstream.origin}/wrong`);

	await t.throwsAsync(source.find(uuidOf(image), ask()), {
		instanceOf: SourceUnavailableError,
		message: /has never answered like a DSAPI server/,
	});
});

test('a 404 is an answer from a server that has a list or a ping', async t => {
	const absent = uuidOf({uuid: '11111111-2222-4333-8444-555555555555'});
	const upstream = await startUpstream(t, {kind: 'dsapi'});

	t.is(await makeAddress(t, 'dsapi', upstream.url).find(absent, ask()), undefined);
	upstream.misbehave('ping', {body: 'html'});
	t.is(await makeAddress(t, 'dsapi', upstream.url).find(absent, ask()), undefined);
});

test('a list whose connection breaks is asked for again, and nothing is listed twice', async t => {
	const images = Array.from({length: 20}, () => makeImage({size: 10}));
	const upstream = await startUpstream(t, {kind: 'dsapi', images});
	upstream.misbehave('list', {cutAt: 0.5}, {times: 1});
	const source = makeAddress(t, 'dsapi', upstream.url, {retries: 1});

	const {images: listed} = await readList(source);

	t.is(listed.length, 20);
	t.is(upstream.listRequests.length, 2);
});

test('an image that is listed twice counts once', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image]});
	upstream.misbehave('list', {insert: ['[]', JSON.stringify(image.dataset)]});
	const source = makeAddress(t, 'dsapi', upstream.url);

	const {images, end} = await readList(source);

	t.is(images.length, 1);
	t.is(end.skipped, 2);
});
