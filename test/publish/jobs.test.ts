import {readFile, readdir, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {
	InvalidParameterError,
	NoSpaceError,
	RefusedError,
	SourceUnavailableError,
	ValidationError,
} from '../../src/errors.js';
import type {Refusal} from '../../src/errors.js';
import {readJob} from '../../src/publish/job-record.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {ended, fileOf, idOf, startImporter} from './other-server.js';
import {basic, basicImport, change, offer, sha1Of, uuid} from './start-publisher.js';

const weekMs = 7 * 24 * 3_600_000;

test('an image of another server becomes ours with its origins, base first, each as it was there', async t => {
	const base = makeImage({size: 3000});
	const middle = makeImage({size: 4000, origin: base});
	const image = makeImage({
		...{size: 5000, origin: middle, icon: Buffer.from('icon'), urn: 'sdc:sdc:x:1', public: false, acl: [uuid()]},
		extra: {requirements: {min_ram: 256}, tags: {role: 'os'}, homepage: 'https://example.com'},
	});
	const upstream = await startUpstream(t, {images: [base, middle, image]});
	const rig = await startImporter(t);

	const job = await rig.publisher.importRemote(idOf(image), upstream.url, change({as: 'joe'}));
	t.is(job.image_uuid, idOf(image));
	t.true(['queued', 'running'].includes(job.execution));
	const done = await ended(rig, job);
	t.is(done.execution, 'succeeded');
	t.deepEqual(
		done.chain_results.map(({name, error}) => [name, error]),
		[
			['origin_import_image', ''],
			['origin_import_image', ''],
			['import_image', ''],
		],
	);
	t.deepEqual(upstream.fileRequests, [base.uuid, middle.uuid, image.uuid]);
	for (const one of [base, middle, image]) {
		sameBytes(t, await fileOf(rig, idOf(one)), one.bytes);
		const manifest = rig.publisher.get(idOf(one));
		t.deepEqual(JSON.parse(manifest?.text ?? ''), one.manifest, 'as its source says it');
		t.is(manifest?.state, 'active');
	}
	sameBytes(t, (await rig.publisher.icon(idOf(image))).bytes, image.icon);
	t.deepEqual(rig.publisher.jobsOf(idOf(image)), [done]);
	t.deepEqual(rig.publisher.jobsOf(idOf(base)), []);
	t.is(rig.publisher.writes.get(idOf(image))?.by, 'joe');

	// It stays so without its source.
	await upstream.stop();
	const later = await rig.restart();
	sameBytes(t, await fileOf(later, idOf(image)), image.bytes);
	t.deepEqual(later.publisher.job(job.uuid), done);
});

test('the manifest is the same text that the other server gives', async t => {
	const image = makeImage({description: 'ünïcode "quotes" \u0000', extra: {tags: {a: 1}}});
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	await ended(rig, await rig.publisher.importRemote(idOf(image), upstream.url, change()));
	t.is(rig.publisher.get(idOf(image))?.text, image.text);
});

test('an image that is switched off there is so here', async t => {
	const image = makeImage({state: 'disabled'});
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	await ended(rig, await rig.publisher.importRemote(idOf(image), upstream.url, change()));
	t.is(rig.publisher.get(idOf(image))?.state, 'disabled');
});

test('origins that are ours already end the chain', async t => {
	const base = makeImage();
	const image = makeImage({origin: base});
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	await rig.publisher.importImage(idOf(base), basicImport(idOf(base)), change());
	await rig.publisher.addFile(idOf(base), offer('x'), change());
	const inactive = await t.throwsAsync(rig.publisher.importRemote(idOf(image), upstream.url, change()), {
		instanceOf: RefusedError,
	});
	t.is(inactive.refusal, 'OriginIsNotActive');
	await rig.publisher.activate(idOf(base), change());
	const done = await ended(rig, await rig.publisher.importRemote(idOf(image), upstream.url, change()));
	t.is(done.execution, 'succeeded');
	t.deepEqual(done['chain'], [image.uuid]);
});

test('what cannot be imported is refused before there is a job', async t => {
	const offOrigin = makeImage({state: 'disabled'});
	const newOrigin = makeImage({state: 'unactivated'});
	const onOff = makeImage({origin: offOrigin});
	const onNew = makeImage({origin: newOrigin});
	const onNothing = makeImage({origin: uuid()});
	const empty = makeImage({extra: {files: []}});
	const selfish = uuid();
	const circle = makeImage({uuid: selfish, origin: selfish});
	const images = [offOrigin, newOrigin, onOff, onNew, onNothing, empty, circle];
	const upstream = await startUpstream(t, {images});
	const rig = await startImporter(t);
	const {publisher} = rig;

	for (const source of [undefined, '']) {
		const missing = await t.throwsAsync(publisher.importRemote(uuid(), source, change()), {
			instanceOf: ValidationError,
		});
		t.deepEqual(
			missing.errors.map(({field, code}) => [field, code]),
			[['source', 'MissingParameter']],
		);
	}
	await t.throwsAsync(publisher.importRemote(uuid(), 'x', change()), {instanceOf: InvalidParameterError});
	const refusals: readonly (readonly [string, Refusal])[] = [
		[onOff.uuid, 'OriginIsNotActive'],
		[onNew.uuid, 'OriginIsNotActive'],
	];
	for (const [image, refusal] of refusals) {
		const error = await t.throwsAsync(publisher.importRemote(uuid(image), upstream.url, change()), {
			instanceOf: RefusedError,
		});
		t.is(error.refusal, refusal);
	}
	for (const image of [onNothing.uuid, empty.uuid, circle.uuid, uuid()]) {
		await t.throwsAsync(publisher.importRemote(uuid(image), upstream.url, change()), {
			instanceOf: SourceUnavailableError,
		});
	}
	const account = change({account: uuid()});
	const operatorOnly = await t.throwsAsync(publisher.importRemote(idOf(onOff), upstream.url, account), {
		instanceOf: RefusedError,
	});
	t.is(operatorOnly.refusal, 'OperatorOnly');
	await publisher.importImage(idOf(onNew), basicImport(idOf(onNew)), change());
	const there = await t.throwsAsync(publisher.importRemote(idOf(onNew), upstream.url, change()), {
		instanceOf: RefusedError,
	});
	t.is(there.refusal, 'ImageUuidAlreadyExists');
	t.deepEqual(await readdir(rig.layout.jobs), []);
	t.deepEqual(upstream.fileRequests, []);
});

test('who asks for the same image while it is imported is given the same job, with how far it has come', async t => {
	const image = makeImage({size: 400_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 300_000});
	const rig = await startImporter(t);
	const [one, two] = await Promise.all([
		rig.publisher.importRemote(idOf(image), upstream.url, change()),
		rig.publisher.importRemote(idOf(image), upstream.url, change()),
	]);
	t.is(one.uuid, two.uuid);
	await upstream.holding();
	const running = await rig.publisher.importRemote(idOf(image), 'http://elsewhere.example.com', change());
	t.is(running.uuid, one.uuid);
	t.is(running.execution, 'running');
	t.like(running, {progress: {image: image.uuid, size: 400_000}});
	t.is(rig.publisher.get(idOf(image)), undefined, 'nobody sees it before it is whole');
	upstream.release();
	const done = await ended(rig, one);
	t.is(done.execution, 'succeeded');
	t.is(done['progress'], undefined);
	t.deepEqual(upstream.fileRequests, [image.uuid]);
});

test('a job that fails takes back what it made', async t => {
	const base = makeImage();
	const image = makeImage({origin: base, size: 50_000});
	const upstream = await startUpstream(t, {images: [base, image]});
	const rig = await startImporter(t);
	upstream.misbehave('file', {wrongBytes: 'tail'}, {uuid: image.uuid});
	const done = await ended(rig, await rig.publisher.importRemote(idOf(image), upstream.url, change()));
	t.is(done.execution, 'failed');
	t.is(done.chain_results.length, 2);
	t.is(done.chain_results[0]?.error, '');
	t.not(done.chain_results[1]?.error, '');
	t.deepEqual(rig.publisher.list(), []);
	t.deepEqual(await rig.litter(), {uploads: [], published: [], blobs: []});

	// It can be asked for again.
	upstream.behave();
	const again = await ended(rig, await rig.publisher.importRemote(idOf(image), upstream.url, change()));
	t.is(again.execution, 'succeeded');
	t.deepEqual(
		rig.publisher.jobsOf(idOf(image)).map(({execution}) => execution),
		['succeeded', 'failed'],
	);
});

test('a restart goes on with a job that was under way', async t => {
	const base = makeImage();
	const image = makeImage({origin: base, size: 100_000});
	const upstream = await startUpstream(t, {images: [base, image]});
	upstream.misbehave('file', {holdAt: 50_000}, {uuid: image.uuid});
	const rig = await startImporter(t);
	const job = await rig.publisher.importRemote(idOf(image), upstream.url, change({as: 'joe'}));
	await upstream.holding();
	await rig.close();
	upstream.release();
	const later = await rig.restart();
	const done = await ended(later, job);
	t.is(done.execution, 'succeeded');
	t.is(done.created_at, job.created_at);
	sameBytes(t, await fileOf(later, idOf(image)), image.bytes);
	t.deepEqual(
		upstream.fileRequests.filter(file => file === base.uuid),
		[base.uuid],
		'what was whole is not fetched twice',
	);
	t.is(later.publisher.writes.get(idOf(image))?.by, 'joe');
	t.deepEqual((await later.litter()).uploads, []);
});

test('a job that fails after a restart takes back what it made before', async t => {
	const base = makeImage();
	const image = makeImage({origin: base, size: 100_000});
	const upstream = await startUpstream(t, {images: [base, image]});
	upstream.misbehave('file', {holdAt: 50_000}, {uuid: image.uuid});
	const rig = await startImporter(t);
	const job = await rig.publisher.importRemote(idOf(image), upstream.url, change());
	await upstream.holding();
	t.is(rig.publisher.list().length, 1);
	await rig.close();
	upstream.remove(image);
	const later = await rig.restart();
	t.is((await ended(later, job)).execution, 'failed');
	t.deepEqual(later.publisher.list(), []);
	t.deepEqual((await later.litter()).blobs, []);
});

test('passwords in the URL of a source are written nowhere, and a restart cannot go on without them', async t => {
	const image = makeImage({size: 100_000});
	const auth = {user: 'joe', password: 'geheim'};
	const upstream = await startUpstream(t, {images: [image], holdAfter: 50_000, auth});
	const rig = await startImporter(t);
	const source = upstream.url.replace('://', '://joe:geheim@');
	const job = await rig.publisher.importRemote(idOf(image), source, change());
	await upstream.holding();
	t.false(JSON.stringify(rig.publisher.job(job.uuid)).includes('geheim'));
	t.false((await readFile(rig.layout.job(job.uuid), 'utf8')).includes('geheim'));
	await rig.close();
	const later = await rig.restart();
	const done = await ended(later, job);
	t.is(done.execution, 'failed');
	t.regex(done.chain_results.at(-1)?.error ?? '', /passwords/);
	upstream.release();
	const again = await ended(later, await later.publisher.importRemote(idOf(image), source, change()));
	t.is(again.execution, 'succeeded');
	t.false(JSON.stringify([...rig.host.lines, ...later.host.lines]).includes('geheim'));
});

test('jobs that have an origin in common run one after the other', async t => {
	const base = makeImage();
	const images = [makeImage({origin: base}), makeImage({origin: base}), makeImage({origin: base})];
	const upstream = await startUpstream(t, {images: [base, ...images]});
	const rig = await startImporter(t);
	const jobs = await Promise.all(images.map(image => rig.publisher.importRemote(idOf(image), upstream.url, change())));
	for (const job of jobs) {
		t.is((await ended(rig, job)).execution, 'succeeded');
	}
	t.is(rig.publisher.list().length, 4);
	t.is(upstream.fileRequests.filter(file => file === base.uuid).length, 1);
});

test('what jobs did can be asked for a week', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	const job = await rig.publisher.importRemote(idOf(image), upstream.url, change());
	await ended(rig, job);
	await rig.host.clock.advance(weekMs - 1);
	await rig.publisher.sweep();
	t.not(rig.publisher.job(job.uuid), undefined);
	await rig.host.clock.advance(2);
	await rig.publisher.sweep();
	t.is(rig.publisher.job(job.uuid), undefined);
	t.deepEqual(await readdir(rig.layout.jobs), []);
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes, 'the image stays');
});

test('a record of a job that cannot be read is left alone', async t => {
	const rig = await startImporter(t);
	await rig.close();
	const broken = uuid();
	await writeFile(rig.layout.job(broken), '{"uuid":');
	await writeFile(path.join(rig.layout.jobs, 'notes.txt'), 'x');
	const later = await rig.restart();
	t.is(later.publisher.job(broken), undefined);
	t.is(later.host.linesLike({job: broken}).length, 1);
	t.deepEqual((await readdir(rig.layout.jobs)).sort(), [`${broken}.json`, 'notes.txt'].sort());
	for (const text of ['', '[]', 'null', '{}', '{"uuid":1}']) {
		t.throws(() => readJob(text), undefined, text);
	}
});

test('a file that is here already is not fetched for a job', async t => {
	const image = makeImage({bytes: Buffer.from('these very bytes')});
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	const other = uuid();
	await rig.publisher.importImage(other, basicImport(other), change());
	await rig.publisher.addFile(other, offer('these very bytes'), change());
	await ended(rig, await rig.publisher.importRemote(idOf(image), upstream.url, change()));
	t.deepEqual(upstream.fileRequests, []);
	t.is(rig.publisher.get(idOf(image))?.files[0]?.sha1, sha1Of(image.bytes));
	await rig.publisher.delete(other, {forceAllChannels: false}, change());
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes, 'it is needed still');
});

test('a job that fails leaves what others have begun to build on', async t => {
	const base = makeImage();
	const image = makeImage({origin: base, size: 50_000});
	const upstream = await startUpstream(t, {images: [base, image]});
	const rig = await startImporter(t);
	upstream.misbehave('file', {wrongBytes: 'tail', holdAt: 1000}, {uuid: image.uuid});
	const job = await rig.publisher.importRemote(idOf(image), upstream.url, change());
	await upstream.reached(1000, image);
	const child = await rig.publisher.create({...basic, origin: base.uuid}, change());
	upstream.release();
	t.is((await ended(rig, job)).execution, 'failed');
	t.deepEqual(
		rig.publisher
			.list()
			.map(one => one.uuid)
			.sort(),
		[base.uuid, child.uuid].sort() as (typeof child.uuid)[],
	);
});

test('an origin that is deleted while an image is imported keeps it from becoming ours', async t => {
	const base = makeImage();
	const image = makeImage({origin: base, size: 50_000});
	const upstream = await startUpstream(t, {images: [base, image]});
	const rig = await startImporter(t);
	await ended(rig, await rig.publisher.importRemote(idOf(base), upstream.url, change()));
	upstream.misbehave('file', {holdAt: 1000}, {uuid: image.uuid});
	const job = await rig.publisher.importRemote(idOf(image), upstream.url, change());
	await upstream.reached(1000, image);
	await rig.publisher.delete(idOf(base), {forceAllChannels: false}, change());
	upstream.release();
	t.is((await ended(rig, job)).execution, 'failed');
	t.deepEqual(rig.publisher.list(), []);
	t.deepEqual((await rig.litter()).blobs, []);
});

test('an import that cannot be written down is none', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	let isFull = true;
	const rig = await startImporter(t, {
		wrapStore: store =>
			new Proxy(store, {
				get(_target, name) {
					const value: unknown = Reflect.get(store, name, store);
					if (isFull && name === 'writeRecord') {
						return () => Promise.reject(new NoSpaceError('the disk is full'));
					}
					return typeof value === 'function' ? (value.bind(store) as unknown) : value;
				},
			}),
	});
	await t.throwsAsync(rig.publisher.importRemote(idOf(image), upstream.url, change()), {instanceOf: NoSpaceError});
	t.deepEqual(rig.publisher.jobsOf(idOf(image)), []);
	isFull = false;
	const done = await ended(rig, await rig.publisher.importRemote(idOf(image), upstream.url, change()));
	t.is(done.execution, 'succeeded');
});

test('a file that is gone from the disk is fetched for a job, whatever is remembered of it', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const rig = await startImporter(t);
	const {uuid: other} = await rig.publisher.create(basic, change());
	await rig.publisher.addFile(other, offer(image.bytes), change());
	await rm(rig.layout.blob(sha1Of(image.bytes)));
	const done = await ended(rig, await rig.publisher.importRemote(idOf(image), upstream.url, change()));
	t.is(done.execution, 'succeeded');
	t.true((await fileOf(rig, idOf(image)))?.equals(image.bytes));
});
