import test, {type ExecutionContext} from 'ava';
import {RefusedError} from '../../src/errors.js';
import {prettyJson} from '../../src/image/json-text.js';
import {parseManifest} from '../../src/image/manifest.js';
import type {CarriedImage} from '../../src/publish/api.js';
import {makeImage, type ImageOptions, type TestImage} from '../helpers/make-image.js';
import {fileOf, idOf} from './other-server.js';
import {change, startPublisher, threeChannels, type PublisherRig} from './start-publisher.js';

const by = {name: 'carrier', operator: true};
const ask = {signal: new AbortController().signal};

/** As a bundle brings it. */
function carried(image: TestImage, channels?: readonly string[]): CarriedImage {
	const text =
		channels === undefined ? image.text : `${image.text.slice(0, -1)},"channels":${JSON.stringify(channels)}}`;
	return {text: prettyJson(text), manifest: parseManifest(text), channels};
}

async function* bytesOf(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
	yield bytes.subarray(0, 100);
	yield bytes.subarray(100);
}

async function keep(
	{publisher}: PublisherRig,
	image: TestImage,
	{channels, icon}: {readonly channels?: readonly string[]; readonly icon?: Buffer} = {},
): Promise<string> {
	const sha1 = parseManifest(image.text).files[0]?.sha1;
	const held = await publisher.carried.take({sha1, size: image.size, body: bytesOf(image.bytes)}, ask);
	try {
		return await publisher.carried.keep(carried(image, channels), {
			...{files: [held], by},
			icon: icon === undefined ? undefined : {bytes: icon, contentType: 'image/png'},
		});
	} finally {
		await held.release();
	}
}

function textOf({publisher}: PublisherRig, image: TestImage): string | undefined {
	return publisher.get(idOf(image))?.text;
}

const odd: Readonly<Record<string, ImageOptions>> = {
	'an ordinary one': {},
	'a disabled one': {state: 'disabled'},
	'one that is not public, with traits': {
		public: false,
		extra: {traits: {ssd: true}, billing_tags: ['xl'], x_more: {7: [1]}},
	},
	'one with numbers that JavaScript would write otherwise': {
		text: `{"v":2,"uuid":"5f2ad0a7-2d3b-4c0e-9a58-2c1f6d5f0a11","owner":"00000000-1111-4222-8333-444444444444","name":"n","version":"1.0","state":"active","disabled":false,"public":true,"published_at":"2012-05-02T15:14:45.805Z","type":"zvol","os":"other","image_size":1e4,"tags":{"10":1.50,"2":"two"},"files":[{"sha1":"SHA1","size":10000,"compression":"gzip"}]}`,
	},
	'one whose name no rule would allow': {name: 'a name with blanks', version: 'ü'},
	'one that says nothing of the sha1 of its file': {claimedSha1: undefined},
	'one that says xz and is something else': {
		compression: 'xz',
		bytes: Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), Buffer.alloc(9997)]),
	},
};

for (const [what, options] of Object.entries(odd)) {
	test(`${what} is served as it came, to the letter, also after a restart and in a mode that would refuse it`, async t => {
		const plain = makeImage(options);
		const text = options.text?.replace('SHA1', plain.sha1);
		const image = text === undefined ? plain : makeImage({bytes: plain.bytes, text, uuid: plain.uuid});
		const rig = await startPublisher(t, {settings: {mode: 'public', maxFileBytes: 1000}});
		t.is(await keep(rig, image), 'imported');
		await isThere(t, rig, image);
		const again = await rig.restart();
		await isThere(t, again, image);
		t.is(await keep(again, image), 'there');
		t.is(again.publisher.carried.compare(carried(image)), 'there');
		t.is(again.publisher.carried.text(idOf(image)), prettyJson(image.text));
	});
}

async function isThere(t: ExecutionContext, rig: PublisherRig, image: TestImage): Promise<void> {
	t.is(textOf(rig, image), image.text);
	t.true((await fileOf(rig, idOf(image)))?.equals(image.bytes));
	t.is(rig.publisher.get(idOf(image))?.local, undefined, 'it looks like an image of a source');
	await rig.store.own.sweep();
	t.true(rig.store.isPinned(rig.publisher.get(idOf(image))?.files[0]?.sha1 ?? ('' as never)));
}

test('channels stay what they were, here and on the next server, whether or not this one has them', async t => {
	const image = makeImage();
	const rig = await startPublisher(t);
	await keep(rig, image, {channels: ['dev', 'release']});
	const travelling = prettyJson(`${image.text.slice(0, -1)},"channels":["dev","release"]}`);
	t.is(rig.publisher.carried.text(idOf(image)), travelling);
	t.deepEqual(rig.publisher.get(idOf(image))?.local?.channels, []);
	const withChannels = await rig.restart({settings: {channels: threeChannels.slice(0, 2)}});
	t.deepEqual(withChannels.publisher.get(idOf(image))?.local?.channels, ['dev']);
	t.is(withChannels.publisher.carried.text(idOf(image)), travelling);
	t.is(await keep(withChannels, image, {channels: ['dev', 'release']}), 'there');
	t.is(await keep(withChannels, image, {channels: ['staging']}), 'updated');
	t.deepEqual(withChannels.publisher.get(idOf(image))?.local?.channels, ['staging']);
});

test('one that said nothing of channels is in all of them, and may be changed and deleted in any', async t => {
	const image = makeImage();
	const rig = await startPublisher(t, {settings: {channels: threeChannels}});
	await keep(rig, image);
	t.is(rig.publisher.get(idOf(image))?.local, undefined);
	await rig.publisher.disable(idOf(image), change({operator: true, channel: 'release'}));
	t.is(rig.publisher.get(idOf(image))?.state, 'disabled');
	await rig.publisher.delete(idOf(image), {forceAllChannels: false}, change({operator: true, channel: 'staging'}));
	t.is(rig.publisher.get(idOf(image)), undefined);
	t.deepEqual(await rig.litter(), {uploads: [], published: [], blobs: []});
});

test('what is changed here is ours: the next bundle does not change it back; taken back, it is as it came', async t => {
	const image = makeImage({extra: {x_kept: 1}});
	const rig = await startPublisher(t);
	await keep(rig, image);
	const operator = change({operator: true});
	await rig.publisher.disable(idOf(image), operator);
	t.is(rig.publisher.carried.compare(carried(image)), 'ours');
	t.is(await keep(rig, image), 'there');
	t.is(rig.publisher.get(idOf(image))?.state, 'disabled');
	t.regex(textOf(rig, image) ?? '', /"x_kept":1/);
	await rig.publisher.enable(idOf(image), operator);
	t.is(textOf(rig, image), image.text);
	t.is(rig.publisher.carried.compare(carried(image)), 'there');
});

test('channels and an icon that were changed here stay as well, whatever the next bundle says', async t => {
	const rig = await startPublisher(t, {settings: {channels: threeChannels}});
	const operator = change({operator: true, channel: 'dev'});
	const [image, pictured] = [makeImage(), makeImage()];
	await keep(rig, image, {channels: ['dev']});
	await keep(rig, pictured, {channels: ['dev']});
	await rig.publisher.channelAdd(idOf(image), {channel: 'release'}, operator);
	await rig.publisher.addIcon(
		idOf(pictured),
		{contentType: 'image/png', sha1: undefined, size: undefined, body: bytesOf(Buffer.from('an icon of our own'))},
		operator,
	);
	for (const {uuid, bytes} of [image, pictured]) {
		const later = makeImage({uuid, bytes, description: 'said anew'});
		t.is(rig.publisher.carried.compare(carried(later, ['dev'])), 'ours');
		t.is(await keep(rig, later, {channels: ['dev']}), 'there');
	}
	t.is(rig.publisher.carried.compare(carried(image, ['dev'])), 'ours');
	t.deepEqual(rig.publisher.get(idOf(image))?.local?.channels, ['dev', 'release']);
	t.is(String((await rig.publisher.icon(idOf(pictured))).bytes), 'an icon of our own');
});

test('what is said of an image may be another the next time; its files may not', async t => {
	const icon = Buffer.from('icon one');
	const image = makeImage({icon});
	const rig = await startPublisher(t);
	await keep(rig, image, {icon});
	const later = makeImage({...{uuid: image.uuid, bytes: image.bytes, state: 'disabled'}, description: 'withdrawn'});
	t.is(rig.publisher.carried.compare(carried(later)), 'changed');
	t.is(await keep(rig, later), 'updated');
	t.is(textOf(rig, image), later.text);
	await t.throwsAsync(rig.publisher.icon(idOf(image)), {message: /no icon/});
	t.deepEqual((await rig.litter()).published, [`${image.uuid}.json`], 'the icon has gone, too');
	const other = makeImage({uuid: image.uuid});
	t.throws(() => rig.publisher.carried.compare(carried(other)), {instanceOf: RefusedError, message: /another file/});
	await t.throwsAsync(keep(rig, other), {instanceOf: RefusedError, message: /another file/});
	t.deepEqual((await rig.litter()).blobs, [image.sha1], 'nothing is left of what was refused');
	t.deepEqual(
		rig.host.events
			.recent(new Set(['image.published', 'image.updated']), 10)
			.map(({type, image: about}) => [type, about?.uuid]),
		[
			['image.updated', image.uuid],
			['image.published', image.uuid],
		],
	);
});

test('an image of our own that comes back is there, and stays what it is', async t => {
	const rig = await startPublisher(t, {settings: {channels: threeChannels}});
	const bytes = makeImage().bytes;
	const made = await rig.publisher.publishFile(
		{manifest: {name: 'mine', version: '1'}, adopt: false, activate: true},
		{
			compression: undefined,
			sha1: undefined,
			datasetGuid: undefined,
			storage: undefined,
			size: undefined,
			body: bytesOf(Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), bytes])),
		},
		change({as: 'maker', operator: true}),
	);
	const text = rig.publisher.carried.text(made.uuid) ?? '';
	t.deepEqual((JSON.parse(text) as {channels: unknown}).channels, ['dev']);
	const back: CarriedImage = {text, manifest: parseManifest(text), channels: ['dev']};
	t.is(rig.publisher.carried.compare(back), 'there');
	await rig.publisher.update(made.uuid, {description: 'another word'}, change({as: 'maker', operator: true}));
	t.is(rig.publisher.carried.compare(back), 'ours');
});

test('wrong bytes leave nothing behind, and lists are told once for many', async t => {
	const rig = await startPublisher(t);
	const image = makeImage();
	const sha1 = parseManifest(image.text).files[0]?.sha1;
	await t.throwsAsync(rig.publisher.carried.take({sha1, size: 10_000, body: bytesOf(makeImage().bytes)}, ask), {
		instanceOf: RefusedError,
	});
	await t.throwsAsync(rig.publisher.carried.take({sha1, size: 9999, body: bytesOf(image.bytes)}, ask), {
		message: /more than the 9999 bytes/,
	});
	t.deepEqual(await rig.litter(), {uploads: [], published: [], blobs: []});
	const before = rig.changes();
	for (let count = 0; count < 20; count++) {
		await keep(rig, makeImage({size: 200}));
	}
	t.is(rig.changes(), before);
	await rig.publisher.carried.settled();
	t.is(rig.changes(), before + 1);
	t.is(rig.publisher.list().length, 20);
});
