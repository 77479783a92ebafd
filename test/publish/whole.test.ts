import test from 'ava';
import type {JsonObject} from '../../src/image/manifest.js';
import type {WholeImage} from '../../src/publish/api.js';
import {
	SlowBody,
	basic,
	bodyOf,
	change,
	failure,
	offer,
	published,
	served,
	sha1Of,
	startPublisher,
	threeChannels,
	unread,
	uuid,
} from './start-publisher.js';

const nobody = '00000000-0000-0000-0000-000000000000';
const someone = '930896af-bf8c-48d4-885c-6573a94b1853';
const xz = Buffer.from('fd377a585a000004', 'hex');
const zip = Buffer.from('504b030414000000', 'hex');

function whole(manifest: JsonObject, more: Partial<WholeImage> = {}): WholeImage {
	return {manifest, adopt: false, activate: true, ...more};
}

test('a name and a version are enough for an image that is active at once', async t => {
	const {publisher, changes} = await startPublisher(t);
	const made = await publisher.publishFile(
		whole({name: 'x', version: '1'}),
		offer(xz, {compression: undefined}),
		change({as: 'ann'}),
	);
	t.deepEqual(served(made), {
		v: 2,
		uuid: made.uuid,
		owner: nobody,
		name: 'x',
		version: '1',
		state: 'active',
		disabled: false,
		public: false,
		published_at: '2026-01-01T00:00:00.000Z',
		type: 'zone-dataset',
		os: 'smartos',
		files: [{sha1: sha1Of(xz), size: 8, compression: 'xz'}],
	});
	t.is(changes(), 1);
	t.is(await failure(publisher.disable(made.uuid, change({as: 'bob'}))), 'NotImageOwner');
});

test('nobody sees the image before it is whole', async t => {
	const {publisher} = await startPublisher(t);
	const body = new SlowBody('x');
	const making = publisher.publishFile(whole(basic), offer(body), change());
	await body.begun;
	t.deepEqual(publisher.list(), []);
	body.finish();
	t.is((await making).state, 'active');
});

test('what begins as nothing known is not compressed, and what SmartOS cannot unpack is refused', async t => {
	const {publisher} = await startPublisher(t);
	const made = await publisher.publishFile(whole(basic), offer('plain', {compression: undefined}), change());
	t.is(made.files[0]?.compression, 'none');
	t.is(await failure(publisher.publishFile(whole(basic), offer(zip, {compression: undefined}), change())), 'Upload');
	t.is(
		await failure(publisher.publishFile(whole(basic), offer(unread, {compression: 'zip'}), change())),
		'InvalidParameter compression:Invalid',
	);
});

test('an image with a uuid is imported under it, and may stay unactivated', async t => {
	const {publisher} = await startPublisher(t);
	const id = uuid();
	const manifest = {...basic, uuid: id, published_at: '2012-05-02T15:14:45.805Z'};
	const made = await publisher.publishFile(whole(manifest, {activate: false}), offer('x'), change());
	t.like(served(made), {uuid: id, state: 'unactivated', published_at: manifest.published_at});
	t.is(await failure(publisher.publishFile(whole(manifest), offer(unread), change())), 'ImageUuidAlreadyExists');
	t.is((await publisher.activate(id, change())).publishedAt, manifest.published_at);
	t.is(
		await failure(publisher.publishFile(whole({...basic, uuid: uuid()}), offer(unread), change({account: nobody}))),
		'OperatorOnly',
	);
});

test('an adopted image keeps its state, its owner and its date', async t => {
	const {publisher} = await startPublisher(t);
	const manifest = {
		...basic,
		v: 2,
		uuid: uuid(),
		owner: someone,
		state: 'disabled',
		disabled: true,
		published_at: '2012-05-02T15:14:45Z',
	};
	const made = await publisher.publishFile(whole(manifest, {adopt: true}), offer('x'), change());
	t.like(served(made), {owner: someone, state: 'disabled', published_at: '2012-05-02T15:14:45Z'});
	const unactivated = {...basic, v: 2, uuid: uuid(), owner: someone, state: 'unactivated'};
	t.is((await publisher.publishFile(whole(unactivated, {adopt: true}), offer('x'), change())).state, 'unactivated');
});

const refusals: readonly (readonly [string, JsonObject, Parameters<typeof change>[0], string])[] = [
	['without a name', {version: '1'}, {}, 'ValidationFailed name:MissingParameter'],
	['whose uuid is none', {...basic, uuid: '../x'}, {}, 'InvalidParameter uuid:Invalid'],
	['with an unknown origin', {...basic, origin: someone}, {}, 'OriginDoesNotExist'],
	['in an unknown channel', basic, {channel: 'x'}, 'ValidationFailed channel:Invalid'],
	['with a field that nobody knows', {...basic, zz: 1}, {}, 'InvalidParameter zz:Invalid'],
];

for (const [what, manifest, how, expected] of refusals) {
	test(`an image ${what} is refused before its file is read`, async t => {
		const {publisher} = await startPublisher(t, {settings: {channels: threeChannels}});
		t.is(await failure(publisher.publishFile(whole(manifest), offer(unread), change(how))), expected);
	});
}

test('of two whole images of one uuid at once, one is there with its file', async t => {
	const rig = await startPublisher(t);
	const manifest = {...basic, uuid: uuid()};
	const bodies = [new SlowBody('one'), new SlowBody('two')];
	const making = bodies.map(body => failure(rig.publisher.publishFile(whole(manifest), offer(body), change())));
	await Promise.all(bodies.map(body => body.begun));
	for (const body of bodies) {
		body.finish();
	}
	t.deepEqual((await Promise.all(making)).sort(), ['ImageUuidAlreadyExists', 'nothing']);
	t.deepEqual((await rig.litter()).blobs, [rig.publisher.get(manifest.uuid)?.files[0]?.sha1]);
});

test('an origin that goes while the file is on its way keeps the image from being made', async t => {
	const rig = await startPublisher(t);
	const origin = await published(rig);
	const body = new SlowBody('x');
	const making = rig.publisher.publishFile(whole({...basic, origin}), offer(body), change());
	await body.begun;
	await rig.publisher.delete(origin, {forceAllChannels: false}, change());
	body.finish();
	t.is(await failure(making), 'OriginDoesNotExist');
	t.deepEqual(await rig.litter(), {uploads: [], published: [], blobs: []});
});

test('a body that breaks leaves no image', async t => {
	const rig = await startPublisher(t);
	const broken = async function* (): AsyncGenerator<Buffer> {
		yield* bodyOf('x');
		throw new Error('cut');
	};
	await t.throwsAsync(rig.publisher.publishFile(whole(basic), offer(broken()), change()), {message: 'cut'});
	t.deepEqual(await rig.litter(), {uploads: [], published: [], blobs: []});
});
