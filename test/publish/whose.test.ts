import test, {type ExecutionContext} from 'ava';
import {
	basic,
	change,
	failure,
	offer,
	published,
	startPublisher,
	unread,
	uuid,
	type PublisherRig,
} from './start-publisher.js';
import type {Uuid} from '../../src/image/manifest.js';
import type {Change} from '../../src/publish/api.js';

const [owner, friend, stranger] = [uuid(), uuid(), uuid()];
const icon = {contentType: 'image/png', sha1: undefined, size: undefined, body: unread};

type Verb = (rig: PublisherRig, id: Uuid, by: Change) => Promise<unknown>;

const verbs: Readonly<Record<string, Verb>> = {
	addFile: ({publisher}, id, by) => publisher.addFile(id, offer(unread), by),
	activate: ({publisher}, id, by) => publisher.activate(id, by),
	enable: ({publisher}, id, by) => publisher.enable(id, by),
	disable: ({publisher}, id, by) => publisher.disable(id, by),
	update: ({publisher}, id, by) => publisher.update(id, {description: 'mine now'}, by),
	addAcl: ({publisher}, id, by) => publisher.addAcl(id, [stranger], by),
	removeAcl: ({publisher}, id, by) => publisher.removeAcl(id, [friend], by),
	addIcon: ({publisher}, id, by) => publisher.addIcon(id, icon, by),
	deleteIcon: ({publisher}, id, by) => publisher.deleteIcon(id, by),
	channelAdd: ({publisher}, id, by) => publisher.channelAdd(id, {channel: 'x'}, by),
	delete: ({publisher}, id, by) => publisher.delete(id, {forceAllChannels: false}, by),
};

async function refused(t: ExecutionContext, rig: PublisherRig, id: Uuid, by: Change, expected: string): Promise<void> {
	const before = rig.publisher.get(id)?.text;
	for (const [name, verb] of Object.entries(verbs)) {
		t.is(await failure(verb(rig, id, by)), expected, name);
	}
	t.is(rig.publisher.get(id)?.text, before);
}

test('every verb refuses an account that is none', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	await refused(t, rig, id, change({account: 'ME'}), 'InvalidParameter account:Invalid');
});

test('every verb says 404 to an account that cannot see the image, and NotImageOwner to one that can', async t => {
	const rig = await startPublisher(t);
	const hidden = await published(rig, {fields: {owner, public: false, acl: [friend]}});
	await refused(t, rig, hidden, change({account: stranger}), 'ResourceNotFound');
	await refused(t, rig, hidden, change({account: friend}), 'NotImageOwner');
	const open = await published(rig, {fields: {owner}});
	await refused(t, rig, open, change({account: stranger}), 'NotImageOwner');
	const unactivated = await published(rig, {fields: {owner, acl: [friend]}, activate: false});
	await refused(t, rig, unactivated, change({account: friend}), 'ResourceNotFound');
});

test('the owner’s account may change the image', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {fields: {owner, public: false}});
	t.is((await rig.publisher.disable(id, change({account: owner}))).state, 'disabled');
});

test('every verb refuses another publisher, and lets operators and the publisher through', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {change: change({as: 'ann'})});
	await refused(t, rig, id, change({as: 'bob'}), 'NotImageOwner');
	await refused(t, rig, id, change(), 'NotImageOwner');
	t.is((await rig.publisher.disable(id, change({as: 'ann'}))).state, 'disabled');
	t.is((await rig.publisher.enable(id, change({as: 'bob', operator: true}))).state, 'active');
	const again = await rig.restart();
	await refused(t, again, id, change({as: 'bob'}), 'NotImageOwner');
});

test('what somebody without a login has made is every publisher’s', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	t.is((await rig.publisher.disable(id, change({as: 'bob'}))).state, 'disabled');
});

test('every verb says 404 of an image that is not there', async t => {
	const rig = await startPublisher(t);
	await refused(t, rig, uuid(), change(), 'ResourceNotFound');
});

test('an activated image’s file stays, whatever else is wrong', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const worst = offer(unread, {compression: 'zip', storage: 'moon', size: 1e12});
	t.is(await failure(rig.publisher.addFile(id, worst, change())), 'ImageFilesImmutable');
});

test('names that objects have by nature are names of publishers like any other', async t => {
	const rig = await startPublisher(t);
	for (const name of ['__proto__', 'constructor', 'toString', '']) {
		const made = await rig.publisher.create(basic, change({as: name}));
		t.is(await failure(rig.publisher.disable(made.uuid, change({as: 'bob'}))), 'NotImageOwner', name);
		t.is(await failure(rig.publisher.disable(made.uuid, change({as: name}))), 'nothing', name);
	}
});
