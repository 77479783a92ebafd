import {EventEmitter, getEventListeners, once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import test from 'ava';
import {PreconditionError, SourceUnavailableError} from '../../src/errors.js';
import {parseManifest, type Manifest, type Uuid} from '../../src/image/manifest.js';
import type {Change} from '../../src/publish/api.js';
import {
	basic,
	basicImport,
	change,
	failure,
	nobodyElse,
	offer,
	offering,
	published,
	served,
	sha1Of,
	startPublisher,
	uuid,
} from './start-publisher.js';

const owner = '930896af-bf8c-48d4-885c-6573a94b1853';
const nobody = '00000000-0000-0000-0000-000000000000';

test('an image is created, filled and activated, and is then what IMGAPI would say', async t => {
	const {publisher, host, changes} = await startPublisher(t);
	const made = await publisher.create({...basic, owner}, change());
	t.deepEqual(served(made), {
		v: 2,
		uuid: made.uuid,
		owner,
		name: 'foo',
		version: '1.0.0',
		state: 'unactivated',
		disabled: false,
		public: true,
		type: 'zone-dataset',
		os: 'smartos',
		files: [],
	});
	t.is(changes(), 1);
	const filled = await publisher.addFile(made.uuid, offer('some sixteen byt', {datasetGuid: '123'}), change());
	const content = Buffer.from('some sixteen byt');
	t.deepEqual(served(filled)['files'], [{sha1: sha1Of(content), size: 16, compression: 'gzip', dataset_guid: '123'}]);
	t.is(filled.state, 'unactivated');
	await host.clock.advance(5);
	const active = await publisher.activate(made.uuid, change());
	t.is(active.state, 'active');
	t.is(active.publishedAt, '2026-01-01T00:00:00.005Z');
	t.is(publisher.get(made.uuid)?.text, active.text);
	t.deepEqual(
		publisher.list().map(image => image.text),
		[active.text],
	);
	t.is(changes(), 3);
});

test('the list is sorted, of every state, and another array after every change', async t => {
	const rig = await startPublisher(t);
	const first = await published(rig);
	await rig.host.clock.advance(1);
	const second = await published(rig);
	const unactivated = await published(rig, {activate: false});
	const list = rig.publisher.list();
	t.is(rig.publisher.list(), list);
	t.deepEqual(
		list.map(image => image.uuid),
		[unactivated, first, second],
	);
	await rig.publisher.disable(first, change());
	t.not(rig.publisher.list(), list);
	t.is(rig.publisher.list().length, 3);
});

const badCreates: readonly (readonly [string, unknown, Parameters<typeof change>[0], string])[] = [
	['no object', null, {}, 'InvalidParameter body:Invalid'],
	['an account that is none', {...basic}, {account: 'me'}, 'InvalidParameter account:Invalid'],
	['another owner than the account', {...basic, owner}, {account: nobody}, 'InvalidParameter owner:Invalid'],
	['a state', {...basic, state: 'active'}, {}, 'ValidationFailed state:NotAllowed'],
	['an origin that is nowhere', {...basic, origin: owner}, {}, 'OriginDoesNotExist'],
	['an origin that is no uuid, before other faults', {origin: 'x', nonsense: 1}, {}, 'OriginDoesNotExist'],
	[
		'fields that do not belong there',
		{...basic, uuid: owner, nonsense: 1},
		{},
		'InvalidParameter uuid:Invalid nonsense:Invalid',
	],
	['a __proto__', JSON.parse('{"__proto__": 1, "name": "x"}'), {}, 'InvalidParameter __proto__:Invalid'],
	[
		'nothing of what is needed',
		{public: true},
		{},
		'ValidationFailed name:MissingParameter version:MissingParameter type:MissingParameter os:MissingParameter',
	],
];

for (const [what, fields, how, expected] of badCreates) {
	test(`an image with ${what} is not created`, async t => {
		const {publisher, changes, litter} = await startPublisher(t);
		t.is(await failure(publisher.create(fields, change(how))), expected);
		t.is(changes(), 0);
		t.deepEqual((await litter()).published, []);
	});
}

test('an account that creates is the owner', async t => {
	const {publisher} = await startPublisher(t);
	t.is((await publisher.create(basic, change({account: owner}))).owner, owner);
	t.is((await publisher.create(basic, change())).owner, nobody);
});

test('an image is imported under its uuid, with its date, and is nobody’s', async t => {
	const {publisher} = await startPublisher(t);
	const id = uuid();
	const date = '2012-05-02T15:14:45.805Z';
	const fields = basicImport(id, {owner, state: 'active', published_at: date, files: [{sha1: 'x'}], urn: 'a:b:c:d'});
	const made = await publisher.importImage(id, fields, change());
	t.is(made.uuid, id);
	t.is(made.owner, nobody);
	t.is(made.state, 'unactivated');
	t.is(made.publishedAt, date);
	t.is(made.urn, 'a:b:c:d');
	t.deepEqual(made.files, []);
	await publisher.addFile(id, offer('x'), change());
	const active = await publisher.activate(id, change());
	t.is(active.publishedAt, date);
});

test('a manifest of DSAPI is imported as one of today', async t => {
	const {publisher} = await startPublisher(t);
	const id = uuid();
	const old = {
		uuid: id,
		name: 'nodejs',
		version: '1.0.0',
		description: 'of old',
		type: 'zone-dataset',
		os: 'smartos',
		creator_uuid: owner,
		creator_name: 'sdc',
		cloud_name: 'sdc',
		urn: 'sdc:sdc:nodejs:1.0.0',
		published_at: '2011-03-15T13:33Z',
		files: [{path: 'x.zfs.bz2', sha1: 'a'.repeat(40), size: 1}],
	};
	const made = await publisher.importImage(id, old, change());
	t.like(served(made), {v: 2, owner: nobody, public: true, published_at: '2011-03-15T13:33:00Z', files: []});
});

test('an image of an old imgadm for lx gets the platform of its origin', async t => {
	const rig = await startPublisher(t);
	const origin = await published(rig, {fields: {requirements: {min_platform: {'7.0': '20150101T000000Z'}}}});
	const [withOrigin, alone] = [uuid(), uuid()];
	const lx = {type: 'lx-dataset', os: 'linux', requirements: {min_platform: {'7.0': '20260101T000000Z'}}};
	const by = {...change(), userAgent: 'imgadm/3.7.3 (node/0.10.48)'};
	const made = await rig.publisher.importImage(withOrigin, basicImport(withOrigin, {...lx, origin}), by);
	t.deepEqual(served(made)['requirements'], {min_platform: {'7.0': '20150101T000000Z'}});
	t.deepEqual(served(await rig.publisher.importImage(alone, basicImport(alone, lx), by))['requirements'], {});
});

const badImports: readonly (readonly [string, (id: string) => unknown, Parameters<typeof change>[0], string])[] = [
	['an account', () => ({}), {account: nobody}, 'OperatorOnly'],
	['no manifest', () => 'x', {}, 'InvalidParameter body:Invalid'],
	['another uuid', () => ({...basic, uuid: owner}), {}, 'InvalidParameter uuid:Invalid'],
	['no uuid', () => basic, {}, 'InvalidParameter uuid:Invalid'],
	['an unknown origin', id => ({...basic, v: 2, uuid: id, origin: owner}), {}, 'OriginDoesNotExist'],
	['no v', id => ({...basic, uuid: id}), {}, 'ValidationFailed v:MissingParameter'],
	['an icon', id => ({...basic, v: 2, uuid: id, icon: true}), {}, 'ValidationFailed icon:Invalid'],
	[
		'a date of another kind',
		id => ({...basic, v: 2, uuid: id, published_at: 5}),
		{},
		'InvalidParameter published_at:Invalid',
	],
	[
		'a date of another form',
		id => ({...basic, v: 2, uuid: id, published_at: 'x'}),
		{},
		'ValidationFailed published_at:Invalid',
	],
];

for (const [what, fields, how, expected] of badImports) {
	test(`an import with ${what} is refused`, async t => {
		const {publisher} = await startPublisher(t);
		const id = uuid();
		t.is(await failure(publisher.importImage(id, fields(id), change(how))), expected);
		t.is(publisher.get(id), undefined);
	});
}

test('of several imports of one uuid at once, one is done', async t => {
	const {publisher, litter} = await startPublisher(t);
	const id = uuid();
	const outcomes = await Promise.all(
		Array.from({length: 8}, (_, n) => failure(publisher.importImage(id, basicImport(id, {version: `${n}`}), change()))),
	);
	t.deepEqual(outcomes.sort(), [...Array.from({length: 7}, () => 'ImageUuidAlreadyExists'), 'nothing'].sort());
	t.deepEqual((await litter()).published, [`${id}.json`]);
});

test('an image in state creating is taken over by an import, with its file gone', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false});
	t.is(await failure(rig.publisher.importImage(id, basicImport(id), change())), 'ImageUuidAlreadyExists');
	await rig.publisher.update(id, {state: 'creating'}, change());
	const taken = await rig.publisher.importImage(id, basicImport(id, {version: '2'}), change());
	t.is(taken.state, 'unactivated');
	t.is(taken.version, '2');
	t.deepEqual((await rig.litter()).blobs, []);
});

test('what a source has cannot be created over or changed, and the message says whose it is', async t => {
	const id = uuid();
	const theirs = parseManifest(JSON.stringify({...basicImport(id), files: []}));
	const {publisher} = await startPublisher(t, {
		upstream: offering(async asked => (asked === id ? {manifest: theirs, source: 'joyent'} : undefined)),
	});
	const refused = await t.throwsAsync(publisher.importImage(id, basicImport(id), change()));
	t.is(await failure(Promise.reject(refused)), 'ImageUuidAlreadyExists');
	t.regex(refused.message, /source joyent has it/);
	for (const verb of [
		() => publisher.activate(id, change()),
		() => publisher.disable(id, change()),
		() => publisher.delete(id, {forceAllChannels: false}, change()),
		() => publisher.update(id, {name: 'x'}, change()),
		() => publisher.addFile(id, offer('x'), change()),
		() => publisher.addAcl(id, [], change()),
		() => publisher.deleteIcon(id, change()),
	]) {
		const error = await t.throwsAsync(verb);
		t.is(await failure(Promise.reject(error)), 'NotImageOwner');
		t.regex(error.message, /is source joyent's: import-remote makes it ours/);
	}
	// As an origin it will do.
	t.is((await publisher.create({...basic, origin: id}, change())).origin, id);
});

test('a source that cannot tell keeps nobody from publishing', async t => {
	const {publisher, host} = await startPublisher(t, {
		upstream: offering(() => Promise.reject(new SourceUnavailableError('joyent', 'down'))),
	});
	const id = uuid();
	t.is((await publisher.importImage(id, basicImport(id, {origin: uuid()}), change())).uuid, id);
	t.is(host.linesLike(/no source could tell/).length, 2);
	t.is(await failure(publisher.activate(uuid(), change())), 'ResourceNotFound');
});

test('a source that does not answer is waited for five seconds, and no longer than the client', async t => {
	const {publisher, host} = await startPublisher(t, {
		upstream: offering(() => new Promise(() => undefined)),
	});
	const id = uuid();
	const importing = publisher.importImage(id, basicImport(id), change());
	await host.clock.timerDueIn(5000, 5000);
	await host.clock.advance(5000);
	t.is((await importing).uuid, id);
	t.is(host.clock.pending, 0);

	const client = new AbortController();
	const other = uuid();
	const leaving = publisher.importImage(other, basicImport(other), change({ask: {signal: client.signal}}));
	await host.clock.timers();
	client.abort(new Error('gone'));
	await t.throwsAsync(leaving, {message: 'gone'});
	t.is(publisher.get(other), undefined);
	t.is(host.clock.pending, 0);
});

test('activation needs a file, and happens once', async t => {
	const rig = await startPublisher(t);
	const made = await rig.publisher.create(basic, change());
	t.is(await failure(rig.publisher.activate(made.uuid, change())), 'NoActivationNoFile');
	const id = await published(rig);
	t.is(await failure(rig.publisher.activate(id, change())), 'ImageAlreadyActivated');
	const disabled = await published(rig, {fields: {disabled: true}});
	t.is(rig.publisher.get(disabled)?.state, 'disabled');
});

test('an image is switched off and on in any state, and doing so twice changes nothing', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false});
	t.like(served(await rig.publisher.disable(id, change())), {state: 'unactivated', disabled: true});
	const before = rig.changes();
	await rig.publisher.disable(id, change());
	t.is(rig.changes(), before);
	t.like(served(await rig.publisher.enable(id, change())), {state: 'unactivated', disabled: false});
	await rig.publisher.activate(id, change());
	t.is((await rig.publisher.disable(id, change())).state, 'disabled');
	t.is((await rig.publisher.enable(id, change())).state, 'active');
});

test('an operator’s own state lasts until the next event', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const failed = await rig.publisher.update(id, {state: 'failed', error: {message: 'no'}}, change());
	t.like(served(failed), {state: 'failed', error: {message: 'no'}});
	const again = await rig.restart();
	t.is(again.publisher.get(id)?.text, failed.text);
	const off = await again.publisher.disable(id, change());
	t.is(off.state, 'disabled');
	t.false('error' in served(off));
});

test('an update replaces fields, and null takes one away', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {fields: {description: 'old', tags: {a: 1, b: 2}}});
	const updated = await rig.publisher.update(id, {version: '2', tags: {c: 3}, description: null}, change());
	t.like(served(updated), {version: '2', tags: {c: 3}});
	t.false('description' in served(updated));
	t.deepEqual(served(updated)['tags'], {c: 3});
});

const badUpdates: readonly (readonly [string, unknown, Parameters<typeof change>[0], string])[] = [
	['null', null, {}, 'ValidationFailed body:MissingParameter'],
	['nothing', undefined, {}, 'ValidationFailed body:MissingParameter'],
	['an empty object', {}, {}, 'ValidationFailed'],
	['an empty array', [], {}, 'ValidationFailed'],
	[
		'fields that stay',
		{v: 3, activated: false, type: 'zvol', zz: 1},
		{},
		'ValidationFailed v:NotAllowed activated:NotAllowed type:NotAllowed zz:NotAllowed',
	],
	[
		'what activation has settled',
		{uuid: owner, origin: owner},
		{},
		'ValidationFailed uuid:NotAllowed origin:NotAllowed',
	],
	[
		'what is an operator’s',
		{state: 'failed', traits: {}},
		{account: nobody},
		'ValidationFailed state:NotAllowed traits:NotAllowed',
	],
	['no name', {name: null}, {}, 'ValidationFailed name:MissingParameter'],
	['channels where there are none', {channels: ['dev']}, {}, 'ValidationFailed channels:Invalid'],
];

for (const [what, fields, how, expected] of badUpdates) {
	test(`an update with ${what} is refused and changes nothing`, async t => {
		const rig = await startPublisher(t);
		const id = await published(rig);
		const before = rig.publisher.get(id)?.text;
		t.is(await failure(rig.publisher.update(id, fields, change(how))), expected);
		t.is(rig.publisher.get(id)?.text, before);
	});
}

test('several updates at once lose nothing', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const accounts = Array.from({length: 20}, () => uuid());
	await Promise.all([
		...accounts.map(account => rig.publisher.addAcl(id, [account], change())),
		rig.publisher.update(id, {description: 'x'}, change()),
		rig.publisher.update(id, {homepage: 'http://x/'}, change()),
		rig.publisher.disable(id, change()),
	]);
	const image = served(rig.publisher.get(id) ?? t.fail());
	t.like(image, {description: 'x', homepage: 'http://x/', state: 'disabled'});
	t.deepEqual(new Set(image['acl'] as string[]), new Set(accounts));
});

test('an unactivated image moves to another uuid with its file and its icon', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false, content: 'moving'});
	const icon = {contentType: 'image/png', sha1: undefined, size: undefined};
	await rig.publisher.addIcon(id, {...icon, body: offer('icon').body}, change());
	const to = uuid();
	const moved = await rig.publisher.update(id, {uuid: to, version: '3'}, change());
	t.is(moved.uuid, to);
	t.is(moved.version, '3');
	t.is(rig.publisher.get(id), undefined);
	t.is((await rig.publisher.icon(to)).bytes.toString(), 'icon');
	t.is(await failure(rig.publisher.activate(id, change())), 'ResourceNotFound');
	const names = (await rig.litter()).published;
	t.is(names.length, 2);
	t.true(names.every(name => name.startsWith(to)));
	t.is((await rig.litter()).blobs.length, 1);
	const again = await rig.restart();
	t.is((await again.publisher.activate(to, change())).state, 'active');
});

test('an image does not move to a uuid that is taken, or away from those that build on it', async t => {
	const rig = await startPublisher(t);
	const [id, other] = [await published(rig, {activate: false}), await published(rig)];
	t.is(await failure(rig.publisher.update(id, {uuid: other}, change())), 'ImageUuidAlreadyExists');
	await rig.publisher.create({...basic, origin: id}, change());
	t.is(await failure(rig.publisher.update(id, {uuid: uuid()}, change())), 'ImageHasDependentImages');
	t.is(rig.publisher.list().length, 3);
});

test('accounts are added to an image and taken away, each once, in order', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const [a, b] = [uuid(), uuid()];
	t.deepEqual((await rig.publisher.addAcl(id, [a, b, a], change())).acl, [a, b]);
	const before = rig.changes();
	t.deepEqual((await rig.publisher.addAcl(id, [b], change())).acl, [a, b]);
	t.deepEqual((await rig.publisher.removeAcl(id, [uuid()], change())).acl, [a, b]);
	t.is(rig.changes(), before);
	t.deepEqual((await rig.publisher.removeAcl(id, [a], change())).acl, [b]);
	t.false('acl' in served(await rig.publisher.removeAcl(id, [b], change())));
	for (const wrong of [undefined, {acl: [a]}, ['x'], [5], 'x']) {
		t.is(await failure(rig.publisher.addAcl(id, wrong, change())), 'InvalidParameter acl:Invalid');
		t.is(await failure(rig.publisher.removeAcl(id, wrong, change())), 'InvalidParameter acl:Invalid');
	}
});

test('an image is deleted with all it had, and its uuid is free again', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const icon = {contentType: 'image/gif', sha1: undefined, size: 4};
	await rig.publisher.addIcon(id, {...icon, body: offer('icon').body}, change());
	await rig.publisher.delete(id, {forceAllChannels: false}, change());
	t.is(rig.publisher.get(id), undefined);
	t.deepEqual(rig.publisher.list(), []);
	t.deepEqual(await rig.litter(), {uploads: [], published: [], blobs: []});
	t.is(await failure(rig.publisher.delete(id, {forceAllChannels: false}, change())), 'ResourceNotFound');
	t.is((await rig.publisher.importImage(id, basicImport(id), change())).uuid, id);
});

test('an image that others build on stays, in whatever state they are', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const child = await rig.publisher.create({...basic, origin: id}, change());
	t.is(await failure(rig.publisher.delete(id, {forceAllChannels: true}, change())), 'ImageHasDependentImages');
	await rig.publisher.delete(child.uuid, {forceAllChannels: false}, change());
	await rig.publisher.delete(id, {forceAllChannels: false}, change());
	t.deepEqual(rig.publisher.list(), []);
});

test('an image that one of a source is built on stays, unless a source has it, too', async t => {
	let child: Uuid | undefined = uuid();
	const asked: Uuid[] = [];
	const rig = await startPublisher(t, {
		upstream: {
			...nobodyElse,
			childOf: origin => {
				asked.push(origin.uuid);
				return child;
			},
		},
	});
	const [id, unfinished] = [await published(rig), await published(rig, {activate: false})];
	const refused = await t.throwsAsync(rig.publisher.delete(id, {forceAllChannels: false}, change()));
	t.is(await failure(Promise.reject(refused)), 'ImageHasDependentImages');
	t.true(refused.message.includes(`the origin of image ${child}, which a source lists`));
	t.is(await failure(rig.publisher.update(unfinished, {uuid: uuid()}, change())), 'ImageHasDependentImages');
	t.deepEqual(asked, [id, unfinished]);
	child = undefined;
	await rig.publisher.delete(id, {forceAllChannels: false}, change());
	t.is(rig.publisher.get(id), undefined);
});

test('no image is built on itself, however far around, and what was once can be deleted', async t => {
	const rig = await startPublisher(t);
	const operator = change({operator: true});
	const [one, two, three] = [
		await published(rig, {activate: false}),
		await published(rig, {activate: false}),
		await published(rig, {activate: false}),
	];
	const setOrigin = (of: Uuid, origin: Uuid | null): Promise<unknown> => rig.publisher.update(of, {origin}, operator);
	t.is(await failure(setOrigin(one, one)), 'ValidationFailed origin:Invalid');
	await setOrigin(two, one);
	await setOrigin(three, two);
	t.is(await failure(setOrigin(one, three)), 'ValidationFailed origin:Invalid');
	t.is(await failure(setOrigin(one, two)), 'ValidationFailed origin:Invalid');
	await setOrigin(three, one);
	t.is(await failure(rig.publisher.delete(one, {forceAllChannels: false}, operator)), 'ImageHasDependentImages');

	await rig.close();
	const file = rig.layout.publishedRecord(one);
	const record = await readFile(file, 'utf8');
	const itself = record.replace(`"uuid":"${one}"`, `"uuid":"${one}","origin":"${one}"`);
	await writeFile(file, itself === record ? record.replace(/"uuid": ?"[^"]*",/u, `$&"origin":"${one}",`) : itself);
	const again = await rig.restart();
	t.is(again.publisher.get(one)?.origin, one);
	for (const id of [two, three, one]) {
		await again.publisher.delete(id, {forceAllChannels: false}, operator);
	}
	t.deepEqual(again.publisher.list(), []);
});

test('an origin that is deleted while an image is made on it either stays or keeps the image from being made', async t => {
	const rig = await startPublisher(t);
	for (let round = 0; round < 20; round++) {
		const id = await published(rig);
		const [made, gone] = await Promise.all([
			failure(rig.publisher.create({...basic, origin: id}, change())),
			failure(rig.publisher.delete(id, {forceAllChannels: false}, change())),
		]);
		t.true(
			(made === 'nothing' && gone === 'ImageHasDependentImages') ||
				(made === 'OriginDoesNotExist' && gone === 'nothing'),
			`${made}, ${gone}`,
		);
	}
});

test('two images may have one file, and it stays as long as one of them does', async t => {
	const rig = await startPublisher(t);
	const [a, b] = [await published(rig, {content: 'same'}), await published(rig, {content: 'same'})];
	t.is((await rig.litter()).blobs.length, 1);
	await rig.publisher.delete(a, {forceAllChannels: false}, change());
	t.is((await rig.litter()).blobs.length, 1);
	await rig.publisher.delete(b, {forceAllChannels: false}, change());
	t.is((await rig.litter()).blobs.length, 0);
});

test('a change asks its precondition with the newest manifest, and is refused where that throws', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const seen: string[] = [];
	const demanding = change({
		precondition: manifest => {
			seen.push(manifest.text);
			throw new PreconditionError('not as you thought');
		},
	});
	const before = rig.publisher.get(id)?.text ?? '';
	for (const verb of [
		() => rig.publisher.disable(id, demanding),
		() => rig.publisher.update(id, {name: 'x'}, demanding),
		() => rig.publisher.delete(id, {forceAllChannels: false}, demanding),
		() => rig.publisher.addAcl(id, [uuid()], demanding),
	]) {
		t.is(await failure(verb), 'PRECONDITION_FAILED');
	}
	t.deepEqual(new Set(seen), new Set([before]));
	t.is(rig.publisher.get(id)?.text, before);
});

test('of two who change what they have read, with a precondition, one is told', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const read = rig.publisher.get(id)?.text;
	const careful = change({
		precondition: manifest => {
			if (manifest.text !== read) {
				throw new PreconditionError('changed meanwhile');
			}
		},
	});
	const outcomes = await Promise.all(
		['a', 'b'].map(name => failure(rig.publisher.update(id, {description: name}, careful))),
	);
	t.deepEqual(outcomes.sort(), ['PRECONDITION_FAILED', 'nothing']);
});

test('storage is local, and only an operator may speak of it', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	t.is((await rig.publisher.changeStor(id, 'local', change())).uuid, id);
	t.is(await failure(rig.publisher.changeStor(id, 'local', change({account: nobody}))), 'OperatorOnly');
	t.is(await failure(rig.publisher.changeStor(id, undefined, change())), 'ValidationFailed stor:MissingParameter');
	t.is(await failure(rig.publisher.changeStor(id, 'moon', change())), 'ValidationFailed stor:Invalid');
	await rig.publisher.addIcon(
		id,
		{contentType: 'image/png', sha1: undefined, size: undefined, body: offer('x').body},
		change(),
	);
	t.is(await failure(rig.publisher.changeStor(id, 'local', change())), 'NotImplemented');
	t.is(await failure(rig.publisher.changeStor(uuid(), 'local', change())), 'ResourceNotFound');
});

test('a change that lists cannot show yet is made all the same', async t => {
	const {publisher, host} = await startPublisher(t, {onChanged: () => Promise.reject(new Error('no memory'))});
	const made = await publisher.create(basic, change());
	t.is(publisher.get(made.uuid)?.text, made.text);
	t.is(host.linesLike(/lists do not show/).length, 1);
});

test('in mode public only public images are taken, and billing_tags are not shown', async t => {
	const {publisher} = await startPublisher(t, {settings: {mode: 'public'}});
	t.is(await failure(publisher.create({...basic, public: false}, change())), 'ValidationFailed public:Invalid');
	const made = await publisher.create({...basic, billing_tags: ['a'], traits: {b: true}}, change());
	t.false('billing_tags' in served(made));
	t.deepEqual(made.local?.billingTags, ['a']);
	await publisher.setSettings({mode: 'any', channels: [], maxFileBytes: 1, resumableForMs: 1});
	t.deepEqual(served(publisher.get(made.uuid) ?? t.fail())['billing_tags'], ['a']);
});

test('odd characters come back as they went in, also after a restart', async t => {
	const rig = await startPublisher(t);
	const odd = 'ünïcödé \u0000 "quotes" \\ \u2028 🎉 ../../etc </script>';
	const tags = JSON.parse(`{"__proto__": {"a": 1}, "constructor": ${JSON.stringify(odd)}, "": null}`) as object;
	const made = await rig.publisher.create({...basic, description: odd, tags, users: [{name: odd}]}, change({as: odd}));
	const again = await rig.restart();
	const read = again.publisher.get(made.uuid);
	t.is(read?.text, made.text);
	const fields = served(read ?? t.fail());
	t.is(fields['description'], odd);
	t.is(JSON.stringify(fields['tags']), JSON.stringify(tags));
	t.is(await failure(again.publisher.disable(made.uuid, change({as: 'other'}))), 'NotImageOwner');
	t.is(await failure(again.publisher.disable(made.uuid, change({as: odd}))), 'nothing');
});

test('an import does not take the place of an image that has been activated while its origin was looked for', async t => {
	const origin = uuid();
	const source = new EventEmitter();
	const rig = await startPublisher(t, {
		upstream: offering(async id => {
			if (id !== origin) {
				return undefined;
			}
			const answer = once(source, 'answer');
			source.emit('asked');
			await answer;
			return {manifest: parseManifest(JSON.stringify({...basicImport(origin), files: []})), source: 'joyent'};
		}),
	});
	const id = await published(rig, {activate: false});
	await rig.publisher.update(id, {state: 'creating'}, change());
	const asked = once(source, 'asked');
	const importing = failure(rig.publisher.importImage(id, basicImport(id, {origin}), change()));
	await asked;
	const active = await rig.publisher.activate(id, change());
	source.emit('answer');
	t.is(await importing, 'ImageUuidAlreadyExists');
	t.is(rig.publisher.get(id)?.text, active.text);
});

test('nothing stays behind of a question to the sources that has been answered', async t => {
	const signals: AbortSignal[] = [];
	const {publisher} = await startPublisher(t, {
		upstream: offering(async (_id, {signal}) => {
			signals.push(signal);
			return undefined;
		}),
	});
	const id = uuid();
	await publisher.importImage(id, basicImport(id), change());
	t.is(signals.length, 1);
	t.deepEqual(
		signals.map(signal => getEventListeners(signal, 'abort').length),
		[0],
	);
});

test('a delete and a change of uuid look at their precondition again in their turn', async t => {
	const {publisher} = await startPublisher(t);
	const id = uuid();
	for (const verb of [
		(by: Change) => publisher.delete(id, {forceAllChannels: false}, by),
		(by: Change) => publisher.update(id, {uuid: uuid()}, by),
	]) {
		const {text} = await publisher.importImage(id, basicImport(id), change());
		const precondition = (manifest: Manifest): void => {
			if (manifest.text !== text) {
				throw new PreconditionError('it is another one by now');
			}
		};
		const changing = publisher.disable(id, change());
		t.is(await failure(verb(change({precondition}))), 'PRECONDITION_FAILED');
		await changing;
		await publisher.delete(id, {forceAllChannels: false}, change());
	}
});

test('of two images that move to one uuid at once, one does', async t => {
	const rig = await startPublisher(t);
	const ids = [await published(rig, {activate: false}), await published(rig, {activate: false})];
	const to = uuid();
	const outcomes = await Promise.all(ids.map(id => failure(rig.publisher.update(id, {uuid: to}, change()))));
	t.deepEqual(outcomes.sort(), ['ImageUuidAlreadyExists', 'nothing']);
	t.is(rig.publisher.list().length, 2);
	t.is((await rig.litter()).blobs.length, 2);
});
