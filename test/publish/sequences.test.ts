import {access} from 'node:fs/promises';
import fc from 'fast-check';
import test, {type ExecutionContext} from 'ava';
import {MirrorError} from '../../src/errors.js';
import type {Manifest, Uuid} from '../../src/image/manifest.js';
import {anyCharacter} from '../helpers/any-character.js';
import {tempDir} from '../helpers/temp-dir.js';
import {
	basic,
	basicImport,
	bodyOf,
	change,
	failure,
	offer,
	served,
	sha1Of,
	startPublisher,
	threeChannels,
	uuid,
	wordsOf,
	type PublisherRig,
} from './start-publisher.js';

/** A few uuids and contents, so that clients meet. */
const ids: readonly Uuid[] = Array.from({length: 4}, () => uuid());
const contents = ['one', 'two', 'three'];

const which = fc.nat(ids.length - 1);
const verb = fc.oneof(
	fc.record({do: fc.constant('import' as const), id: which, origin: fc.option(which, {nil: undefined})}),
	fc.record({do: fc.constant('addFile' as const), id: which, content: fc.nat(2), isWrong: fc.boolean()}),
	fc.record({
		do: fc.constant('whole' as const),
		id: which,
		content: fc.nat(2),
		origin: fc.option(which, {nil: undefined}),
	}),
	fc.record({
		do: fc.constantFrom('activate', 'enable', 'disable', 'delete', 'addIcon', 'deleteIcon', 'forceDelete', 'upload'),
		id: which,
	}),
	fc.record({do: fc.constant('acl' as const), id: which, account: fc.nat(3)}),
	fc.record({do: fc.constant('move' as const), id: which, to: which}),
	fc.record({do: fc.constant('channel' as const), id: which, channel: fc.constantFrom('dev', 'staging', 'release')}),
	fc.record({do: fc.constant('update' as const), id: which, text: fc.string({unit: anyCharacter, maxLength: 12})}),
);
type Verb = typeof verb extends fc.Arbitrary<infer T> ? T : never;

const accounts = Array.from({length: 4}, () => uuid());
const idOf = (place: number): Uuid => ids[place] ?? uuid();

function perform({publisher}: PublisherRig, what: Verb): Promise<unknown> {
	const id = idOf(what.id);
	const by = change();
	switch (what.do) {
		case 'import':
			return publisher.importImage(
				id,
				basicImport(id, what.origin === undefined ? {} : {origin: idOf(what.origin)}),
				by,
			);
		case 'addFile': {
			const content = contents[what.content] ?? '';
			return publisher.addFile(id, offer(content, what.isWrong ? {sha1: 'b'.repeat(40)} : {}), by);
		}
		case 'whole': {
			const origin = what.origin === undefined ? {} : {origin: idOf(what.origin)};
			return publisher.publishFile(
				{manifest: {...basic, uuid: id, ...origin}, adopt: false, activate: true},
				offer(contents[what.content] ?? ''),
				by,
			);
		}
		case 'acl':
			return publisher.addAcl(id, [accounts[what.account]], by);
		case 'move':
			return publisher.update(id, {uuid: idOf(what.to)}, by);
		case 'channel':
			return publisher.channelAdd(id, {channel: what.channel}, by);
		case 'update':
			return publisher.update(id, {description: what.text}, by);
		case 'activate':
			return publisher.activate(id, by);
		case 'enable':
			return publisher.enable(id, by);
		case 'disable':
			return publisher.disable(id, by);
		case 'delete':
			return publisher.delete(id, {forceAllChannels: false}, by);
		case 'forceDelete':
			return publisher.delete(id, {forceAllChannels: true}, by);
		case 'addIcon':
			return publisher.addIcon(
				id,
				{contentType: 'image/png', sha1: undefined, size: undefined, body: bodyOf(`icon ${id}`)},
				by,
			);
		case 'deleteIcon':
			return publisher.deleteIcon(id, by);
		case 'upload':
			return upload(publisher, id);
	}
}

async function upload(publisher: PublisherRig['publisher'], image: Uuid): Promise<Manifest> {
	const by = change();
	const {id} = await publisher.uploads.create({
		size: undefined,
		purpose: {kind: 'file', image},
		offer: {compression: 'gzip', sha1: undefined, datasetGuid: undefined, storage: undefined},
		metadata: {},
		change: by,
	});
	await publisher.uploads.append(id, 0, bodyOf('thr'));
	await publisher.uploads.append(id, 3, bodyOf('ee'));
	return publisher.uploads.finish(id, by).finally(() => publisher.uploads.remove(id));
}

/** Whatever has happened, this holds of every image and of the disk. */
async function invariants(t: ExecutionContext, rig: PublisherRig): Promise<void> {
	const {publisher, store, layout} = rig;
	const list = publisher.list();
	const blobs = new Set<string>();
	const published: string[] = [];
	t.is(new Set(list.map(image => image.uuid)).size, list.length);
	for (const image of list) {
		const fields = served(image);
		t.is(publisher.get(image.uuid), image);
		// Contract 4.4: what the state says.
		const isActivated = image.state !== 'unactivated';
		t.is(image.state === 'disabled', isActivated && image.disabled);
		t.is('published_at' in fields, isActivated);
		t.true(!isActivated || image.files.length === 1);
		t.true(image.files.length <= 1);
		for (const file of image.files) {
			blobs.add(file.sha1 ?? '');
			t.true(contents.map(content => String(sha1Of(Buffer.from(content)))).includes(file.sha1 ?? ''));
			t.is(file.sha1 === undefined ? undefined : store.stat(file.sha1)?.size, file.size);
		}
		t.true((image.local?.channels.length ?? 0) > 0);
		published.push(`${image.uuid}.json`);
		if (image.icon) {
			const {bytes, sha1} = (await publisher.icon(image.uuid)) as unknown as {bytes: Buffer; sha1: string};
			t.is(String(sha1Of(bytes)), sha1);
			published.push(`${image.uuid}.icon.${sha1}`);
		} else {
			t.is(await failure(publisher.icon(image.uuid)), 'ResourceNotFound');
		}
	}
	// Nothing that no image needs.
	t.deepEqual(await rig.litter(), {uploads: [], published: published.sort(), blobs: [...blobs].sort()});
	for (const {sha1} of store.list()) {
		await access(layout.blob(sha1));
	}
}

/** In one channel, images never lose their origins. */
function originsHold(t: ExecutionContext, {publisher}: PublisherRig): void {
	for (const {origin} of publisher.list()) {
		t.true(origin === undefined || publisher.get(origin) !== undefined);
	}
}

async function client(rig: PublisherRig, verbs: readonly Verb[]): Promise<void> {
	for (const one of verbs) {
		await perform(rig, one).catch((error: unknown) => {
			if (!(error instanceof MirrorError) || wordsOf(error) === 'INTERNAL') {
				throw error;
			}
		});
	}
}

test('whatever several clients do at once, every image is in a state that there is, and nothing is left over', async t => {
	await fc.assert(
		fc.asyncProperty(fc.array(fc.array(verb, {maxLength: 8}), {minLength: 1, maxLength: 4}), async clients => {
			const rig = await startPublisher(
				{teardown: () => undefined},
				{root: await tempDir(t), settings: {channels: threeChannels}},
			);
			try {
				await Promise.all(clients.map(verbs => client(rig, verbs)));
				await invariants(t, rig);
				const before = rig.publisher.list().map(image => image.text);
				const again = await rig.restart();
				await invariants(t, again);
				t.deepEqual(
					again.publisher.list().map(image => image.text),
					before,
				);
				await again.close();
			} finally {
				await rig.close();
			}
		}),
		{numRuns: 60},
	);
});

test('whatever is done in one channel, no image loses its origin', async t => {
	await fc.assert(
		fc.asyncProperty(fc.array(fc.array(verb, {maxLength: 8}), {minLength: 1, maxLength: 4}), async clients => {
			const rig = await startPublisher({teardown: () => undefined}, {root: await tempDir(t)});
			try {
				await Promise.all(clients.map(verbs => client(rig, verbs)));
				originsHold(t, rig);
			} finally {
				await rig.close();
			}
		}),
		{numRuns: 60},
	);
});

/** As when the process is killed: from some write on, nothing reaches the disk any more, and nobody hears of it. */
class Killed extends Error {}

test('killed at any write, the next start finds every image as it was before or after, and nothing is left over', async t => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.array(verb, {maxLength: 6}), {minLength: 1, maxLength: 3}),
			fc.nat(40),
			async (clients, writes) => {
				let left = writes;
				const rig = await startPublisher(
					{teardown: () => undefined},
					{
						root: await tempDir(t),
						settings: {channels: threeChannels},
						wrapStore: store =>
							new Proxy(store, {
								get(_target, name) {
									const value: unknown = Reflect.get(store, name, store);
									if (typeof value !== 'function') {
										return value;
									}
									const call = value.bind(store) as (...given: readonly unknown[]) => unknown;
									if (!['writeRecord', 'removeRecord', 'commitUpload', 'release'].includes(String(name))) {
										return call;
									}
									return (...given: readonly unknown[]) => (left-- > 0 ? call(...given) : Promise.reject(new Killed()));
								},
							}),
					},
				);
				const unsure = new Set<Uuid>();
				try {
					await Promise.all(
						clients.map(async verbs => {
							for (const one of verbs) {
								const error = await perform(rig, one).catch((thrown: unknown) => thrown);
								if (error instanceof Error && !(error instanceof MirrorError)) {
									unsure.add(idOf(one.id)).add(idOf('to' in one ? one.to : one.id));
									return;
								}
							}
						}),
					);
					// Memory never runs ahead of the disk: what a client was told is in both.
					const told = ids.map(id => rig.publisher.get(id)?.text);
					const again = await rig.restart({wrapStore: store => store});
					for (const [place, id] of ids.entries()) {
						t.true(unsure.has(id) || again.publisher.get(id)?.text === told[place]);
					}
					for (const {id} of await openUploads(again)) {
						await again.publisher.uploads.remove(id);
					}
					await invariants(t, again);
					await again.close();
				} finally {
					await rig.close();
				}
			},
		),
		{numRuns: 80},
	);
});

async function openUploads({litter}: PublisherRig): Promise<readonly {readonly id: string}[]> {
	return (await litter()).uploads.filter(name => name.endsWith('.json')).map(name => ({id: name.slice(0, -5)}));
}

test('what one client was told is what is there, also after a restart at any point', async t => {
	await fc.assert(
		fc.asyncProperty(fc.array(fc.oneof(verb, fc.constant('restart' as const)), {maxLength: 14}), async verbs => {
			let rig = await startPublisher(
				{teardown: () => undefined},
				{root: await tempDir(t), settings: {channels: threeChannels}},
			);
			const texts = (): readonly string[] => rig.publisher.list().map(image => image.text);
			try {
				for (const one of verbs) {
					const before = texts();
					if (one === 'restart') {
						rig = await rig.restart();
						t.deepEqual(texts(), before);
						continue;
					}
					const made = (await perform(rig, one).catch((error: unknown) => error)) as Manifest | Error | undefined;
					if (made instanceof Error) {
						t.true(made instanceof MirrorError, made.stack);
						t.deepEqual(texts(), before);
					} else if (made !== undefined) {
						t.is(rig.publisher.get(made.uuid)?.text, made.text);
					}
				}
				await invariants(t, rig);
			} finally {
				await rig.close();
			}
		}),
		{numRuns: 60},
	);
});
