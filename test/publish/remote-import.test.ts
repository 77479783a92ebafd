import test from 'ava';
import {InvalidParameterError, RefusedError, SourceUnavailableError} from '../../src/errors.js';
import {deadUrl, startUpstream} from '../helpers/start-upstream.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {ended, fileOf, idOf, startImporter} from './other-server.js';
import {basicImport, change, offer, published, served, sha1Of, unread, uuid} from './start-publisher.js';

const fromUrl = {compression: 'gzip', sha1: undefined, datasetGuid: undefined, storage: undefined};

test('a manifest is imported from another server, then its file, then the image is activated', async t => {
	const image = makeImage({
		icon: Buffer.from('icon'),
		file: {dataset_guid: '17'},
		extra: {channels: ['dev'], tags: {role: 'os'}},
	});
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	const id = idOf(image);

	const imported = await rig.publisher.importFrom(id, upstream.url, change());
	t.is(imported.state, 'unactivated');
	t.deepEqual(imported.files, []);
	t.is(imported.publishedAt, image.manifest['published_at'] as string);
	t.is(imported.owner, '00000000-0000-0000-0000-000000000000');
	t.false(imported.icon);
	t.deepEqual(served(imported)['tags'], {role: 'os'});

	const filled = await rig.publisher.addFileFrom(id, upstream.url, change());
	t.deepEqual(served(filled)['files'], [{sha1: image.sha1, size: image.size, compression: 'gzip', dataset_guid: '17'}]);
	const active = await rig.publisher.activate(id, change());
	t.is(active.publishedAt, image.manifest['published_at'] as string);
	sameBytes(t, await fileOf(rig, id), image.bytes);
	t.deepEqual((await rig.litter()).uploads, []);
});

test('what another server says and we do not take from clients is read by both imports alike', async t => {
	const image = makeImage({
		publishedAt: '2014-08-01T12:30:45.123456789Z',
		extra: {provider: 'joyent', builder: {name: 'x'}, requirements: {min_ram: 256, odd: 1}},
	});
	const upstream = await startUpstream(t, {images: [image]});
	const [atOnce, byJob] = [await startImporter(t), await startImporter(t)];
	const imported = await atOnce.publisher.importFrom(idOf(image), upstream.url, change());
	t.like(imported, {state: 'unactivated', publishedAt: '2014-08-01T12:30:45.123Z', files: []});
	await atOnce.publisher.addFileFrom(idOf(image), upstream.url, change());
	const active = served(await atOnce.publisher.activate(idOf(image), change()));
	t.is(
		(await ended(byJob, await byJob.publisher.importRemote(idOf(image), upstream.url, change()))).execution,
		'succeeded',
	);
	const whole = byJob.publisher.get(idOf(image));
	t.deepEqual({...active, owner: image.manifest['owner']}, whole && served(whole));
	t.deepEqual(active['builder'], {name: 'x'});
	t.false('provider' in active);
});

test('an import that the other server cannot serve is a failure of that source and changes nothing', async t => {
	const image = makeImage();
	const other = makeImage();
	const upstream = await startUpstream(t, {images: [image, other]});
	const rig = await startImporter(t);
	const tries: readonly (readonly [string, () => void, string])[] = [
		['unknown there', () => upstream.remove(image), upstream.url],
		['another image', () => upstream.misbehave('manifest', {text: other.text}, {times: 1}), upstream.url],
		['no JSON', () => upstream.misbehave('manifest', {text: '{"v":2'}, {times: 1}), upstream.url],
		['an error', () => upstream.misbehave('manifest', {status: 500}, {times: 1}), upstream.url],
		['nobody there', () => undefined, await deadUrl(t)],
		['a private address', () => undefined, 'http://10.0.0.1'],
	];
	for (const [what, prepare, source] of tries) {
		upstream.add(image);
		prepare();
		await t.throwsAsync(
			rig.publisher.importFrom(idOf(image), source, change()),
			{instanceOf: SourceUnavailableError},
			what,
		);
	}
	t.deepEqual(rig.publisher.list(), []);
	t.deepEqual(await rig.litter(), {uploads: [], published: [], blobs: []});
});

test('an import that cannot be is refused before another server is asked', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	const operatorOnly = await t.throwsAsync(
		rig.publisher.importFrom(idOf(image), upstream.url, change({account: uuid()})),
		{instanceOf: RefusedError},
	);
	t.is(operatorOnly.refusal, 'OperatorOnly');
	await t.throwsAsync(rig.publisher.importFrom(idOf(image), 'nonsense', change()), {instanceOf: InvalidParameterError});
	t.is(upstream.requests.length, 0);

	await rig.publisher.importImage(idOf(image), basicImport(idOf(image)), change());
	const there = await t.throwsAsync(rig.publisher.importFrom(idOf(image), upstream.url, change()), {
		instanceOf: RefusedError,
	});
	t.is(there.refusal, 'ImageUuidAlreadyExists');
});

test('the origin of an image that is imported from another server need not exist', async t => {
	const image = makeImage({origin: uuid()});
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	t.is((await rig.publisher.importFrom(idOf(image), upstream.url, change())).origin, image.manifest['origin'] as never);
});

test('a file that breaks off on its way is gone on with', async t => {
	const image = makeImage({size: 200_000});
	for (const ranges of [true, false]) {
		const upstream = await startUpstream(t, {images: [image], ranges});
		const rig = await startImporter(t);
		await rig.publisher.importFrom(idOf(image), upstream.url, change());
		upstream.misbehave('file', {cutAt: 0.5}, {times: 2});
		const added = rig.publisher.addFileFrom(idOf(image), upstream.url, change());
		await rig.host.logged({msg: 'a transfer broke and is gone on with'});
		const ticking = new AbortController();
		const over = added.finally(() => ticking.abort());
		while (!ticking.signal.aborted) {
			await rig.host.clock.advance(1000);
			await new Promise(resolve => setImmediate(resolve));
		}
		t.is((await over).files[0]?.sha1, sha1Of(image.bytes));
		sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
		t.true(upstream.fileRequests.length >= 2);
	}
});

test('a file that is not what its manifest says is a failed download, and is not kept', async t => {
	const image = makeImage({size: 50_000});
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	await rig.publisher.importFrom(idOf(image), upstream.url, change());
	for (const how of [{wrongBytes: 'tail'}, {file: Buffer.from('short')}, {file: Buffer.alloc(60_000)}] as const) {
		upstream.misbehave('file', how, {times: 1});
		const error = await t.throwsAsync(rig.publisher.addFileFrom(idOf(image), upstream.url, change()), {
			instanceOf: RefusedError,
		});
		t.is(error.refusal, 'Download');
	}
	t.deepEqual(rig.publisher.get(idOf(image))?.files, []);
	t.deepEqual((await rig.litter()).blobs, []);
	t.deepEqual((await rig.litter()).uploads, []);
});

test('a file that we hold already is not fetched again', async t => {
	const image = makeImage({bytes: Buffer.from('the same bytes')});
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	await published(rig, {content: 'the same bytes'});
	await rig.publisher.importFrom(idOf(image), upstream.url, change());
	await rig.publisher.addFileFrom(idOf(image), upstream.url, change());
	t.deepEqual(upstream.fileRequests, []);
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
});

test('a file for an image that takes none is refused before another server is asked', async t => {
	const upstream = await startUpstream(t, {tls: true});
	const rig = await startImporter(t);
	const id = await published(rig);
	for (const work of [
		rig.publisher.addFileFrom(id, upstream.url, change()),
		rig.publisher.addFileFromUrl(id, `${upstream.url}/file`, fromUrl, change()),
	]) {
		const error = await t.throwsAsync(work, {instanceOf: RefusedError});
		t.is(error.refusal, 'ImageFilesImmutable');
	}
	t.is(upstream.requests.length, 0);
});

test('a file is had from an https URL', async t => {
	const {bytes, sha1} = makeImage({size: 120_000});
	const upstream = await startUpstream(t, {tls: true});
	upstream.serve('/image.zfs.gz', bytes);
	const rig = await startImporter(t);
	const id = await published(rig, {activate: false});
	const given = {...fromUrl, sha1, datasetGuid: '99'};
	const manifest = await rig.publisher.addFileFromUrl(id, `${upstream.url}/image.zfs.gz`, given, change());
	t.deepEqual(served(manifest)['files'], [{sha1, size: bytes.length, compression: 'gzip', dataset_guid: '99'}]);
	sameBytes(t, await fileOf(rig, id), bytes);
	t.deepEqual((await rig.litter()).blobs, [sha1Of(bytes)], 'the file before is gone');
});

test('what is wrong with a URL is said of file_url, after what is wrong with the query', async t => {
	const rig = await startImporter(t);
	const id = await published(rig, {activate: false});
	const tries: readonly (readonly [unknown, 'Missing' | 'Invalid'])[] = [
		[undefined, 'Missing'],
		[null, 'Missing'],
		['', 'Missing'],
		[5, 'Invalid'],
		[{}, 'Invalid'],
		['nonsense', 'Invalid'],
		['http://127.0.0.1/file', 'Invalid'],
		['https://', 'Invalid'],
		['file:///etc/passwd', 'Invalid'],
	];
	for (const [url, code] of tries) {
		const error = await t.throwsAsync(rig.publisher.addFileFromUrl(id, url, fromUrl, change()), {
			instanceOf: InvalidParameterError,
		});
		t.deepEqual(
			error.errors.map(fault => [fault.field, fault.code]),
			[['file_url', code]],
			String(url),
		);
		const other = await t.throwsAsync(
			rig.publisher.addFileFromUrl(id, url, {...fromUrl, compression: undefined}, change()),
			{instanceOf: InvalidParameterError},
		);
		t.is(other.errors[0]?.field, 'compression');
	}
});

test('a URL that gives no whole right file is a failed download, and the file before stays', async t => {
	const {bytes} = makeImage({size: 5000});
	const upstream = await startUpstream(t, {tls: true});
	upstream.serve('/file', bytes);
	const rig = await startImporter(t);
	const id = await published(rig, {activate: false, content: 'as it was'});
	const url = `${upstream.url}/file`;
	const tries = [
		{status: 404},
		{status: 403},
		{status: 206},
		{redirect: '/elsewhere'},
		{cutAt: 0.5},
		{file: Buffer.alloc(0)},
		{raw: 'x'},
	] as const;
	for (const how of tries) {
		upstream.misbehave('any', how, {times: 1});
		const error = await t.throwsAsync(
			rig.publisher.addFileFromUrl(id, url, fromUrl, change()),
			{instanceOf: RefusedError},
			JSON.stringify(how),
		);
		t.is(error.refusal, 'Download', JSON.stringify(how));
	}
	const wrong = {...fromUrl, sha1: '0'.repeat(40)};
	const error = await t.throwsAsync(rig.publisher.addFileFromUrl(id, url, wrong, change()), {instanceOf: RefusedError});
	t.is(error.refusal, 'Download');
	const guarded = await t.throwsAsync(
		rig.publisher.addFileFromUrl(id, 'https://169.254.169.254/latest', fromUrl, change()),
		{instanceOf: RefusedError},
	);
	t.is(guarded.refusal, 'Download');
	sameBytes(t, await fileOf(rig, id), Buffer.from('as it was'));
	t.deepEqual((await rig.litter()).blobs, [sha1Of(Buffer.from('as it was'))]);
	t.deepEqual((await rig.litter()).uploads, []);
});

test('a URL with a file that is too big is refused as an upload', async t => {
	const upstream = await startUpstream(t, {tls: true});
	upstream.serve('/file', Buffer.alloc(5000));
	const rig = await startImporter(t, {settings: {maxFileBytes: 4000}});
	const id = await published(rig, {activate: false});
	for (const how of [{}, {contentLength: 'none'}] as const) {
		upstream.misbehave('any', how, {times: 1});
		const error = await t.throwsAsync(rig.publisher.addFileFromUrl(id, `${upstream.url}/file`, fromUrl, change()), {
			instanceOf: RefusedError,
		});
		t.is(error.refusal, 'Upload');
	}
	await t.throwsAsync(rig.publisher.addFile(id, offer(unread, {size: 5000}), change()), {instanceOf: RefusedError});
});
