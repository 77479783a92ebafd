/**
 * Images that a source has: nothing else comes to be under their uuids here, by whatever way.
 */
import test from 'ava';
import {RefusedError} from '../../src/errors.js';
import {parseManifest, type Manifest} from '../../src/image/manifest.js';
import type {Upstream} from '../../src/publish/internal.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {ended, fileOf, idOf, startImporter} from './other-server.js';
import {basicImport, change, failure, nobodyElse, published, startPublisher} from './start-publisher.js';

/** A source that has these, and offers none of them. */
function heldBack(...images: readonly TestImage[]): Upstream {
	const manifests = new Map<string, Manifest>(images.map(({uuid, text}) => [uuid, parseManifest(text)]));
	return {
		...nobodyElse,
		async claimOf(uuid) {
			const manifest = manifests.get(uuid);
			return manifest && {manifest, source: 'joyent', isHeldBack: true};
		},
	};
}

test('what is held back is not free to be taken', async t => {
	const theirs = makeImage();
	const rig = await startPublisher(t, {upstream: heldBack(theirs)});
	const id = idOf(theirs);
	t.is(await failure(rig.publisher.importImage(id, basicImport(id), change())), 'ImageUuidAlreadyExists');
	const ours = await published(rig, {activate: false});
	const operator = change({operator: true});
	t.is(await failure(rig.publisher.update(ours, {uuid: id}, operator)), 'ImageUuidAlreadyExists');
	t.deepEqual(
		rig.publisher.list().map(({uuid}) => uuid),
		[ours],
	);
});

test('another server’s image does not take the place of a source’s, neither itself nor as an origin', async t => {
	const base = makeImage({size: 3000});
	const image = makeImage({size: 4000, origin: base});
	const falseBase = makeImage({size: 3000, seed: 7, uuid: base.uuid});
	const shorter = makeImage({size: 2999, uuid: base.uuid, extra: {files: []}});
	const operator = change({operator: true});
	for (const [theirs, asked] of [
		[falseBase, base],
		[falseBase, image],
		[shorter, image],
	] as const) {
		const other = await startUpstream(t, {images: [base, image]});
		const rig = await startImporter(t, {upstream: heldBack(theirs)});
		const refused = await t.throwsAsync(rig.publisher.importRemote(idOf(asked), other.url, operator), {
			instanceOf: RefusedError,
		});
		t.is(refused.refusal, 'ImageUuidAlreadyExists');
		t.regex(refused.message, /source joyent has other files under that uuid/u);
		t.deepEqual(rig.publisher.jobsOf(idOf(asked)), []);
		t.deepEqual(other.fileRequests, []);
	}
});

test('a server that says something else once its job runs gets nothing in', async t => {
	const honest = makeImage({size: 3000});
	const other = await startUpstream(t, {images: [honest]});
	let checks = 0;
	const lie = parseManifest(makeImage({size: 3000, seed: 9, uuid: honest.uuid}).text);
	const rig = await startImporter(t, {
		upstream: {
			...nobodyElse,
			// The same as if the server's manifest had become another: the two differ from the second look on.
			claimOf: async () => ({
				manifest: checks++ === 0 ? parseManifest(honest.text) : lie,
				source: 'joyent',
				isHeldBack: false,
			}),
		},
	});
	const done = await ended(rig, await rig.publisher.importRemote(idOf(honest), other.url, change()));
	t.is(done.execution, 'failed');
	t.regex(done.chain_results.at(-1)?.error ?? '', /other files under that uuid/u);
	t.deepEqual(rig.publisher.list(), []);
	t.deepEqual(other.fileRequests, []);
});

test('the same files are taken wherever they come from; what is held back by operators only', async t => {
	const base = makeImage({size: 3000});
	const image = makeImage({size: 4000, origin: base});
	const other = await startUpstream(t, {images: [base, image]});
	const rig = await startImporter(t, {upstream: heldBack(base, image)});
	const importIt = (operator: boolean): ReturnType<typeof rig.publisher.importRemote> =>
		rig.publisher.importRemote(idOf(image), other.url, change({operator}));
	const refused = await t.throwsAsync(importIt(false), {instanceOf: RefusedError});
	t.is(refused.refusal, 'ImageUuidAlreadyExists');
	t.regex(refused.message, /held back here/u);
	t.is((await ended(rig, await importIt(true))).execution, 'succeeded');
	sameBytes(t, await fileOf(rig, idOf(base)), base.bytes);
});
