import test from 'ava';
import {
	basic,
	basicImport,
	change,
	failure,
	offer,
	published,
	served,
	startPublisher,
	threeChannels,
	unread,
	uuid,
} from './start-publisher.js';

const withChannels = {settings: {channels: threeChannels}};

test('a server without channels minds none', async t => {
	const rig = await startPublisher(t);
	t.is(rig.publisher.readChannel('*'), undefined);
	t.is(rig.publisher.readChannel('nonsense'), undefined);
	const id = await published(rig, {change: change({channel: '*'})});
	t.deepEqual(rig.publisher.get(id)?.local?.channels, []);
	t.is(await failure(rig.publisher.channelAdd(id, {channel: 'dev'}, change())), 'InvalidParameter action:Invalid');
	t.deepEqual(rig.publisher.channels, []);
});

test('a read is of the default channel, of one that is known, or of all', async t => {
	const {publisher} = await startPublisher(t, withChannels);
	t.is(publisher.readChannel(undefined), 'dev');
	t.is(publisher.readChannel('staging'), 'staging');
	t.is(publisher.readChannel('*'), undefined);
	t.throws(() => publisher.readChannel('nonsense'), {message: /no such channel/});
	await publisher.setSettings({mode: 'any', channels: threeChannels.slice(1), maxFileBytes: 1, resumableForMs: 1});
	t.throws(() => publisher.readChannel(undefined), {message: /no default channel/});
});

const badChannels: readonly (readonly [string | undefined, string])[] = [
	['*', 'ValidationFailed channel:Invalid'],
	['nonsense', 'ValidationFailed channel:Invalid'],
	['__proto__', 'ValidationFailed channel:Invalid'],
	['release', 'ResourceNotFound'],
];

for (const [channel, expected] of badChannels) {
	test(`a write in channel ${String(channel)} is refused`, async t => {
		const rig = await startPublisher(t, withChannels);
		const id = await published(rig);
		const by = change({channel});
		t.is(await failure(rig.publisher.addFile(id, offer(unread), by)), expected);
		t.is(await failure(rig.publisher.disable(id, by)), expected);
		t.is(await failure(rig.publisher.update(id, {name: 'x'}, by)), expected);
		t.is(await failure(rig.publisher.delete(id, {forceAllChannels: true}, by)), expected);
		t.is(await failure(rig.publisher.channelAdd(id, {channel: 'dev'}, by)), expected);
		if (expected !== 'ResourceNotFound') {
			t.is(await failure(rig.publisher.create(basic, by)), expected);
			t.is(await failure(rig.publisher.importImage(id, basicImport(id), by)), expected);
		}
	});
}

test('without a default channel a write must name one', async t => {
	const {publisher} = await startPublisher(t, {settings: {channels: threeChannels.slice(1)}});
	t.is(await failure(publisher.create(basic, change())), 'ValidationFailed channel:MissingParameter');
	t.deepEqual((await publisher.create(basic, change({channel: 'release'}))).local?.channels, ['release']);
});

test('an image is in the channel in which it was made, whatever its manifest says', async t => {
	const {publisher} = await startPublisher(t, withChannels);
	const made = await publisher.create({...basic, channels: ['release']}, change());
	t.deepEqual(made.local?.channels, ['dev']);
	t.false('channels' in served(made));
	const id = uuid();
	const imported = await publisher.importImage(id, basicImport(id, {channels: ['dev']}), change({channel: 'staging'}));
	t.deepEqual(imported.local?.channels, ['staging']);
	t.is(await failure(publisher.importImage(id, basicImport(id), change())), 'ImageUuidAlreadyExists');
});

test('channels are added, and deleting takes them away until the last goes with the image', async t => {
	const rig = await startPublisher(t, withChannels);
	const id = await published(rig);
	t.deepEqual((await rig.publisher.channelAdd(id, {channel: 'release'}, change())).local?.channels, ['dev', 'release']);
	const before = rig.changes();
	await rig.publisher.channelAdd(id, {channel: 'release'}, change());
	t.is(rig.changes(), before);
	for (const [body, code] of [
		[{}, 'MissingParameter'],
		[undefined, 'MissingParameter'],
		[{channel: 'x'}, 'Invalid'],
		[{channel: 5}, 'Invalid'],
		[{channel: '*'}, 'Invalid'],
	] as const) {
		t.is(await failure(rig.publisher.channelAdd(id, body, change())), `ValidationFailed channel:${code}`);
	}
	await rig.publisher.delete(id, {forceAllChannels: false}, change());
	t.deepEqual(rig.publisher.get(id)?.local?.channels, ['release']);
	t.is(await failure(rig.publisher.disable(id, change())), 'ResourceNotFound');
	const again = await rig.restart();
	t.deepEqual(again.publisher.get(id)?.local?.channels, ['release']);
	await again.publisher.delete(id, {forceAllChannels: false}, change({channel: 'release'}));
	t.is(again.publisher.get(id), undefined);
	t.deepEqual(await again.litter(), {uploads: [], published: [], blobs: []});
});

test('force_all_channels deletes the image from any of them', async t => {
	const rig = await startPublisher(t, withChannels);
	const id = await published(rig);
	await rig.publisher.channelAdd(id, {channel: 'release'}, change());
	await rig.publisher.delete(id, {forceAllChannels: true}, change({channel: 'release'}));
	t.is(rig.publisher.get(id), undefined);
});

test('an image that goes from all channels must be needed in none', async t => {
	const rig = await startPublisher(t, withChannels);
	const id = await published(rig);
	await rig.publisher.channelAdd(id, {channel: 'release'}, change());
	await rig.publisher.create({...basic, origin: id}, change({channel: 'release'}));
	t.is(await failure(rig.publisher.delete(id, {forceAllChannels: true}, change())), 'ImageHasDependentImages');
	await rig.publisher.delete(id, {forceAllChannels: false}, change());
	t.deepEqual(rig.publisher.get(id)?.local?.channels, ['release']);
});

test('images that build on one are looked for in its channel', async t => {
	const rig = await startPublisher(t, withChannels);
	const id = await published(rig);
	await rig.publisher.channelAdd(id, {channel: 'release'}, change());
	const child = await rig.publisher.create({...basic, origin: id}, change());
	t.is(await failure(rig.publisher.delete(id, {forceAllChannels: false}, change())), 'ImageHasDependentImages');
	await rig.publisher.delete(id, {forceAllChannels: false}, change({channel: 'release'}));
	t.deepEqual(rig.publisher.get(id)?.local?.channels, ['dev']);
	t.is(child.origin, id);
});

test('an update may set the channels of the server, and no others', async t => {
	const rig = await startPublisher(t, withChannels);
	const id = await published(rig);
	const updated = await rig.publisher.update(id, {channels: ['release', 'dev', 'release']}, change());
	t.deepEqual(updated.local?.channels, ['release', 'dev']);
	for (const channels of [[], ['nonsense'], ['dev', 'nonsense'], null]) {
		t.is(await failure(rig.publisher.update(id, {channels}, change())), 'ValidationFailed channels:Invalid');
	}
	t.is(rig.publisher.get(id)?.name, 'foo');
});

test('an image that is in none of the channels there are now is in the default one, and can be changed', async t => {
	const rig = await startPublisher(t, {settings: {channels: []}});
	const {uuid: id} = await rig.publisher.create(basic, change());
	const settings = {mode: 'any', maxFileBytes: 1000, resumableForMs: 1000} as const;
	const other = [{name: 'old', description: 'o', default: true}] as const;
	await rig.publisher.setSettings({...settings, channels: other});
	t.deepEqual(rig.publisher.get(id)?.local?.channels, ['old']);
	await rig.publisher.channelAdd(id, {channel: 'old'}, change());
	// Renamed.
	await rig.publisher.setSettings({...settings, channels: threeChannels});
	t.deepEqual(rig.publisher.get(id)?.local?.channels, ['dev']);
	const added = await rig.publisher.channelAdd(id, {channel: 'release'}, change());
	t.deepEqual(added.local?.channels, ['dev', 'release']);
	// What was chosen stays chosen, as far as there is such a channel.
	await rig.publisher.setSettings({...settings, channels: threeChannels.filter(({name}) => name !== 'dev')});
	t.deepEqual(rig.publisher.get(id)?.local?.channels, ['release']);
});
