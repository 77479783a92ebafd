import test from 'ava';
import type {MirrorEvent} from '../../src/host.js';
import {
	basic,
	basicImport,
	change,
	failure,
	offer,
	published,
	startPublisher,
	threeChannels,
	uuid,
	type PublisherRig,
} from './start-publisher.js';

/** What is told from now on, in short: the type, whose it is, and who did it. */
function listen({host}: PublisherRig): {
	readonly told: () => readonly string[];
	readonly events: readonly MirrorEvent[];
} {
	const events: MirrorEvent[] = [];
	host.events.listen(event => events.push(event));
	let seen = 0;
	return {
		events,
		told() {
			const fresh = events.slice(seen);
			seen = events.length;
			return fresh.map(({type, image, by}) => `${type} ${image?.name ?? '?'}${by === undefined ? '' : ` by ${by}`}`);
		},
	};
}

test('an image is published when it becomes active, and not before', async t => {
	const rig = await startPublisher(t);
	const {publisher} = rig;
	const {told, events} = listen(rig);
	const by = change({as: 'alice'});

	const made = await publisher.create(basic, by);
	t.deepEqual(told(), []);
	await publisher.addFile(made.uuid, offer('a file'), by);
	t.deepEqual(told(), ['image.updated foo by alice']);
	await publisher.activate(made.uuid, by);
	t.deepEqual(told(), ['image.published foo by alice']);
	t.deepEqual(events.at(-1)?.image, {uuid: made.uuid, name: 'foo', version: '1.0.0', public: true});
});

test('an image that is made in one go is published at once', async t => {
	const rig = await startPublisher(t);
	const {told} = listen(rig);
	const {publisher} = rig;
	const manifest = {v: 2, ...basic, name: 'whole'};
	await publisher.publishFile({manifest, activate: true, adopt: false}, offer('x'), change({as: 'bob'}));
	t.deepEqual(told(), ['image.published whole by bob']);
	await publisher.publishFile(
		{manifest: {...manifest, name: 'later'}, activate: false, adopt: false},
		offer('y'),
		change(),
	);
	t.deepEqual(told(), []);
});

test('each kind of change is told once, and what changes nothing is not', async t => {
	const rig = await startPublisher(t, {settings: {channels: threeChannels}});
	const {publisher} = rig;
	const image = await published(rig);
	const {told} = listen(rig);
	const by = change({as: 'alice', operator: true});
	const account = '930896af-bf8c-48d4-885c-6573a94b1853';
	for (const act of [
		() => publisher.update(image, {description: 'better'}, by),
		() => publisher.disable(image, by),
		() => publisher.enable(image, by),
		() => publisher.addAcl(image, [account], by),
		() => publisher.removeAcl(image, [account], by),
		() => publisher.channelAdd(image, {channel: 'release'}, by),
	]) {
		await act();
		t.deepEqual(told(), ['image.updated foo by alice']);
	}
	await publisher.enable(image, by);
	await publisher.channelAdd(image, {channel: 'release'}, by);
	t.deepEqual(told(), []);
	t.is(await failure(publisher.activate(image, by)), 'ImageAlreadyActivated');
	t.deepEqual(told(), []);
});

test('out of one channel it is updated, out of the last it is deleted', async t => {
	const rig = await startPublisher(t, {settings: {channels: threeChannels}});
	const {publisher} = rig;
	const image = await published(rig);
	await publisher.channelAdd(image, {channel: 'release'}, change());
	const {told, events} = listen(rig);
	await publisher.delete(image, {forceAllChannels: false}, change({channel: 'release'}));
	t.deepEqual(told(), ['image.updated foo']);
	await publisher.delete(image, {forceAllChannels: false}, change({channel: 'dev', as: 'carol'}));
	t.deepEqual(told(), ['image.deleted foo by carol']);
	t.is(events.at(-1)?.image?.uuid, image);
	t.is(await failure(publisher.delete(image, {forceAllChannels: false}, change())), 'ResourceNotFound');
	t.deepEqual(told(), []);
});

test('an image that gets another uuid is gone under its old one', async t => {
	const rig = await startPublisher(t);
	const from = await published(rig, {activate: false});
	const to = uuid();
	const {events} = listen(rig);
	await rig.publisher.update(from, {uuid: to}, change());
	t.deepEqual(
		events.map(({type, image, more}) => ({type, uuid: image?.uuid, more})),
		[
			{type: 'image.deleted', uuid: from, more: {movedTo: to}},
			{type: 'image.updated', uuid: to, more: {movedFrom: from}},
		],
	);
});

test('whoever hears of a change finds it in the lists, and hears of it though they cannot be made', async t => {
	const order: string[] = [];
	let fails = false;
	const rig = await startPublisher(t, {
		onChanged: async () => {
			await Promise.resolve();
			order.push('lists');
			if (fails) {
				throw new Error('no memory');
			}
		},
	});
	rig.host.events.listen(({type}) => order.push(type));
	const id = uuid();
	await rig.publisher.importImage(id, basicImport(id), change({operator: true}));
	await rig.publisher.addFile(id, offer('x'), change());
	fails = true;
	await rig.publisher.activate(id, change());
	t.deepEqual(order, ['lists', 'lists', 'image.updated', 'lists', 'image.published']);
	t.is(rig.publisher.get(id)?.state, 'active');
});

test('a write that the disk refuses is told to nobody', async t => {
	let broken = false;
	const rig = await startPublisher(t, {
		wrapStore: store =>
			new Proxy(store, {
				get(target, name) {
					const member: unknown = Reflect.get(target, name, target);
					if (broken && name === 'writeRecord') {
						return () => Promise.reject(new Error('disk'));
					}
					return typeof member === 'function' ? (member.bind(target) as unknown) : member;
				},
			}),
	});
	const image = await published(rig);
	const {told} = listen(rig);
	broken = true;
	await t.throwsAsync(rig.publisher.disable(image, change()));
	t.deepEqual(told(), []);
});
