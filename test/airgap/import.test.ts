import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {Keys} from '../../src/airgap/keys.js';
import {newKey, sign} from '../../src/airgap/signature.js';
import {IntegrityError, RefusedError, ValidationError} from '../../src/errors.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeCarryIn} from './fake-carry-in.js';
import {
	artifactOf,
	hexOf,
	importBench,
	indexOf,
	layoutBytes,
	pathOf,
	specBundle,
	type ImageSpec,
	type Imported,
} from './import-bundles.js';
import {TestBundle} from './make-bundle.js';

const uuid = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
/** Large enough to be put aside on a disk where it comes too early. */
const file = (seed: number, size = 70_000): Buffer => pseudoRandom(size, seed);
const base: ImageSpec = {uuid: uuid(1), files: [file(1)]};
const web: ImageSpec = {uuid: uuid(2), name: 'web', origin: uuid(1), files: [file(2)]};
const shop: ImageSpec = {uuid: uuid(3), name: 'shop', origin: uuid(2), files: [file(3)]};

const outcomes = ({done}: Imported): Record<string, string> =>
	Object.fromEntries([...done].map(([name, {outcome, problem}]) => [name, problem ?? outcome]));
const whatOf = ({events}: Imported): readonly string[] => events.map(({what}) => what);

/** An entry of somebody else's. */
function container(artifactType?: string): {readonly entry: object; readonly blob: Buffer} {
	const blob = Buffer.from(
		JSON.stringify({
			schemaVersion: 2,
			mediaType: 'application/vnd.oci.image.manifest.v1+json',
			config: {mediaType: 'application/vnd.oci.image.config.v1+json', digest: `sha256:${'0'.repeat(64)}`, size: 2},
			layers: [],
		}),
	);
	return {
		blob,
		entry: {
			mediaType: 'application/vnd.oci.image.manifest.v1+json',
			digest: `sha256:${hexOf('sha256', blob)}`,
			size: blob.length,
			annotations: {'org.opencontainers.image.ref.name': 'busybox:latest'},
			...(artifactType === undefined ? {} : {artifactType}),
		},
	};
}

test('a chain comes in as it was, each after the one it is built upon, and nothing is put aside', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	const large: ImageSpec = {
		...shop,
		files: [file(3, 3_000_000), file(4)],
		icon: Buffer.from('icon'),
		channels: ['dev'],
	};
	const {bundle, images} = specBundle([base, web, large]);
	const imported = await bench.run(bundle);
	t.is(imported.error, undefined);
	t.deepEqual(carry.visible, [uuid(1), uuid(2), uuid(3)]);
	t.deepEqual(
		[...carry.images].map(([name, {text, channels, files, icon, by}]) => ({name, text, channels, files, icon, by})),
		images.map((image, index) => ({
			name: uuid(index + 1),
			text: image.text,
			channels: index === 2 ? ['dev'] : undefined,
			files: [[file(1)], [file(2)], [file(3, 3_000_000), file(4)]][index]?.map(bytes => hexOf('sha1', bytes)),
			icon: index === 2 ? {bytes: Buffer.from('icon'), contentType: 'image/png'} : undefined,
			by: 'ann',
		})),
	);
	t.deepEqual(carry.faults(), []);
	t.is(carry.settledAfter, 3);

	t.deepEqual(imported.events[0], {what: 'begin', images: 3});
	for (const {uuid: name} of images) {
		const own = imported.events.filter(event => 'uuid' in event && event.uuid === name).map(({what}) => what);
		t.deepEqual(own, ['image', 'done']);
	}
	t.deepEqual(imported.done.get(uuid(3)), {
		what: 'done',
		uuid: uuid(3),
		name: 'shop',
		version: '1.0.0',
		bytes: 3_070_000,
		outcome: 'imported',
	});
	const last = imported.events.filter(event => event.what === 'progress').at(-1);
	t.is(last?.bytesDone, 3_210_000);
	t.deepEqual(imported.end, {what: 'end', imported: 3, updated: 0, there: 0, failed: 0, bytes: 3_210_000, ms: 0});
	t.like(await bench.host.logged(/a bundle was imported/), {imported: 3, failed: 0, by: 'ann', dryRun: false});
});

test('what is here already is not looked at again', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	const {bundle} = specBundle([base, web, shop]);
	await bench.run(bundle);
	carry.takes.length = 0;
	const damaged = bundle.flipped(pathOf(file(1)));
	const again = await bench.run(damaged);
	t.deepEqual(outcomes(again), {[uuid(1)]: 'there', [uuid(2)]: 'there', [uuid(3)]: 'there'});
	t.deepEqual(carry.takes, []);
	t.is(carry.visible.length, 3);
	t.is(again.end?.bytes, 0);
	const progress = again.events.filter(event => event.what === 'progress').map(({bytesDone}) => bytesDone);
	t.is(progress.at(-1), 210_000);
});

test('what is said of an image may be new, with its files here', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	await bench.run(specBundle([base]).bundle);
	const renewed = specBundle([{...base, description: 'new', elsewhere: true}]);
	const imported = await bench.run(renewed.bundle);
	t.deepEqual(outcomes(imported), {[uuid(1)]: 'updated'});
	t.is(carry.images.get(uuid(1))?.text, renewed.images[0]?.text);
	t.is(imported.end?.bytes, 0);
	t.deepEqual(carry.faults(), []);

	carry.changedHere.add(uuid(1));
	const {done} = await bench.run(specBundle([base]).bundle);
	t.is(done.get(uuid(1))?.outcome, 'there');
	t.is(carry.images.get(uuid(1))?.text, renewed.images[0]?.text);
});

test('a delta brings images whose files are here, and fails those whose files are not', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	carry.store(file(1));
	const {bundle} = specBundle([
		{...base, elsewhere: true},
		{...web, elsewhere: true},
		{uuid: uuid(4), name: 'other', files: [file(4)]},
	]);
	const imported = await bench.run(bundle);
	t.is(imported.done.get(uuid(1))?.outcome, 'imported');
	t.is(imported.done.get(uuid(4))?.outcome, 'imported');
	t.regex(
		imported.done.get(uuid(2))?.problem ?? '',
		/^its file \(blob sha256:.*\) is not here, and the bundle was made/,
	);
	t.is(imported.end?.bytes, 70_000);
	t.deepEqual(carry.takes, [`sha256:${hexOf('sha256', file(4))}`]);
});

test('a file that the store only thinks it has comes out of the bundle', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	carry.vanished.add(carry.store(file(1)));
	const {bundle} = specBundle([base]);
	t.deepEqual(outcomes(await bench.run(bundle)), {[uuid(1)]: 'imported'});
	t.is(carry.takes.length, 1);
});

test('an image that is here without its file is mended', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const {bundle, images} = specBundle([base]);
	const sha1 = carry.store(file(9));
	carry.images.set(uuid(1), {
		text: images[0]?.text ?? '',
		channels: undefined,
		files: [sha1],
		icon: undefined,
		by: 'bob',
	});
	carry.images.set(uuid(1), {
		...{text: images[0]?.text ?? '', channels: undefined, icon: undefined, by: 'bob'},
		files: [hexOf('sha1', file(1)) as typeof sha1],
	});
	const imported = await bench.run(bundle);
	t.deepEqual(outcomes(imported), {[uuid(1)]: 'there'});
	t.is(carry.takes.length, 1);
	t.is(carry.images.get(uuid(1))?.by, 'bob');
});

test('an index that gives a file of ours another digest is not believed', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const {bundle} = specBundle([{uuid: uuid(1), files: [file(1)], lie: 'both: another sha1'}]);
	const sha1 = '0123456789abcdef0123456789abcdef01234567';
	const stored = carry.stored.bind(carry);
	const ours = carry.stored(carry.store(file(9)));
	carry.stored = wanted => (wanted === sha1 && ours !== undefined ? {...ours, sha1: wanted} : stored(wanted));
	const imported = await bench.run(bundle);
	t.regex(imported.done.get(uuid(1))?.problem ?? '', /^the file with the sha1 0123.* cannot be true$/);
});

test('a child that comes first waits for its origin', async t => {
	for (const tag of [false, true]) {
		const carry = new FakeCarryIn();
		const bench = await importBench(t, carry);
		const specs = [shop, web, base].map((spec, index) => (tag ? {...spec, tag: `image:${index}`} : spec));
		const imported = await bench.run(specBundle(specs).bundle);
		t.deepEqual(carry.visible, [uuid(1), uuid(2), uuid(3)]);
		t.deepEqual([...imported.done.keys()], carry.visible);
		t.deepEqual(imported.warnings, []);
		t.deepEqual(carry.asked, []);
	}
});

test('children of what cannot be imported fail, and are told why; their large files are passed over', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 100_000});
	const other: ImageSpec = {uuid: uuid(4), files: [file(4)]};
	const {bundle, images} = specBundle([base, {...web, files: [file(2, 1_500_000)]}, shop, other]);
	const imported = await bench.run(bundle.flipped(images[0]?.files[0] ?? ''));
	t.deepEqual(outcomes(imported), {
		[uuid(1)]: `blob sha256:${hexOf('sha256', file(1)).slice(0, 12)}… is damaged: its bytes have another digest`,
		[uuid(2)]: `its origin ${uuid(1)} could not be imported`,
		[uuid(3)]: `its origin ${uuid(2)} could not be imported`,
		[uuid(4)]: 'imported',
	});
	t.deepEqual(carry.faults(), []);
});

test('an origin that is nowhere is warned of; one that a source has is not', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	carry.theirs.add(uuid(8));
	const {bundle} = specBundle([
		{...base, origin: uuid(8)},
		{uuid: uuid(4), name: 'web', origin: uuid(9), files: [file(4)]},
		{uuid: uuid(5), name: 'shop', origin: uuid(9), files: [file(5)]},
	]);
	const imported = await bench.run(bundle);
	t.deepEqual(outcomes(imported), {[uuid(1)]: 'imported', [uuid(4)]: 'imported', [uuid(5)]: 'imported'});
	t.deepEqual(imported.warnings, [
		...[
			`image ${uuid(4)} (web 1.0.0) cannot be installed yet: its origin ${uuid(9)} is neither in the bundle nor here`,
			`image ${uuid(5)} (shop 1.0.0) cannot be installed yet: its origin ${uuid(9)} is neither in the bundle nor here`,
		],
	]);
	t.deepEqual(carry.asked, [uuid(8), uuid(9)]);
});

test('images that are built upon each other, or upon themselves, fail, with what is built upon them', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const {bundle} = specBundle([
		{...base, origin: uuid(2)},
		web,
		shop,
		{uuid: uuid(4), origin: uuid(4), files: [file(4)]},
		{uuid: uuid(5), files: [file(5)]},
	]);
	const imported = await bench.run(bundle);
	t.is(imported.end?.failed, 4);
	t.deepEqual(carry.visible, [uuid(5)]);
	t.regex(imported.done.get(uuid(4))?.problem ?? '', /^it is built upon/);
	t.deepEqual(carry.faults(), []);
});

test('an image may have several entries, and is imported once', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const one = artifactOf(base);
	// Another OCI manifest of the same image.
	const manifest = Buffer.from(one.blobs[0]?.toString().replace('"annotations":{', '"annotations":{"more":"1",') ?? '');
	const otherEntry = {...one.entry, digest: `sha256:${hexOf('sha256', manifest)}`, size: manifest.length};
	const retagged = {...one.entry, annotations: {'org.opencontainers.image.ref.name': 'latest'}};
	const child = artifactOf(web);
	const bundle = new TestBundle(
		new Map([
			['oci-layout', layoutBytes],
			['index.json', indexOf([one.entry, retagged, otherEntry, child.entry])],
			...[...one.blobs, manifest, ...child.blobs].map(bytes => [pathOf(bytes), bytes] as const),
		]),
		[],
	);
	const imported = await bench.run(bundle);
	t.deepEqual(
		imported.events.filter(event => event.what === 'done').map(({uuid: name, outcome}) => `${name} ${outcome}`),
		[`${uuid(1)} imported`, `${uuid(1)} there`, `${uuid(2)} imported`],
	);
	t.is(imported.events.filter(({what}) => what === 'image').length, 3);
	t.deepEqual(carry.visible, [uuid(1), uuid(2)]);

	const broken = await (await importBench(t, new FakeCarryIn())).run(bundle.without(pathOf(file(1))));
	const problems = broken.events.filter(event => event.what === 'done').map(({problem}) => problem ?? '');
	t.regex(problems[0] ?? '', /^its file \(blob .*\) is not in the bundle$/);
	t.is(problems[0], problems[1]);
	t.is(problems[2], `its origin ${uuid(1)} could not be imported`);
});

test('of two manifests for one uuid, the second counts only where the first cannot be imported', async t => {
	const other: ImageSpec = {...base, description: 'not the same'};
	const both = specBundle([base, other, web]);
	const carry = new FakeCarryIn();
	const imported = await (await importBench(t, carry)).run(both.bundle);
	const done = imported.events.filter(event => event.what === 'done');
	t.deepEqual(done.map(({outcome}) => outcome).sort(), ['failed', 'imported', 'imported']);
	t.is(
		done.find(({outcome}) => outcome === 'failed')?.problem,
		'the bundle has this image more than once, and says different things of it',
	);
	t.is(carry.images.get(uuid(1))?.text, both.images[0]?.text);

	const second = new FakeCarryIn();
	const lying = specBundle([{...base, lie: 'both: another sha1'}, other, web]);
	const {end} = await (await importBench(t, second)).run(lying.bundle, 'folder');
	t.is(end?.imported, 2);
	t.is(second.images.get(uuid(1))?.text, lying.images[1]?.text);
});

test('images share files and icons, and one that lies of its own spoils none of the others', async t => {
	for (const form of ['stream', 'folder', 'shuffled'] as const) {
		const carry = new FakeCarryIn();
		const bench = await importBench(t, carry);
		const shared = {files: [file(1)], icon: Buffer.from('icon')};
		const {bundle} = specBundle([
			{uuid: uuid(1), ...shared, lie: 'both: another sha1'},
			{uuid: uuid(2), ...shared, lie: 'both: another size'},
			{uuid: uuid(3), ...shared},
			{uuid: uuid(4), files: [file(1), file(1)], icon: shared.icon, sha1InConfig: false},
		]);
		const imported = await bench.run(bundle, form);
		t.regex(imported.done.get(uuid(1))?.problem ?? '', /has the sha1 .*, and not 0123.* as the image says$/);
		t.regex(imported.done.get(uuid(2))?.problem ?? '', /has 70000 bytes, and not 70001 as the image says$/);
		t.deepEqual(carry.visible, [uuid(3), uuid(4)]);
		sameBytes(t, carry.images.get(uuid(4))?.icon?.bytes, shared.icon);
		t.is(carry.takes.length, 1);
		t.is(imported.end?.bytes, 70_000);
		t.deepEqual(carry.faults(), []);
	}
});

test('what is no image of ours in the index is passed over, and said so', async t => {
	for (const form of ['stream', 'folder'] as const) {
		const carry = new FakeCarryIn();
		const bench = await importBench(t, carry);
		const [told, untold] = [container('application/vnd.other'), container()];
		const {bundle} = specBundle([base], {more: [told.entry, {...untold.entry, platform: {}}]});
		const one = await bench.run(bundle.withFile(pathOf(untold.blob), untold.blob), form);
		t.deepEqual(outcomes(one), {[uuid(1)]: 'imported'});
		t.deepEqual(one.events[0], {what: 'begin', images: 1});
		t.is(one.warnings[0], 'what is no SmartOS image in the index was passed over: busybox:latest');

		const unknown = specBundle([web], {more: Array.from({length: 7}, () => ({...untold.entry}))});
		const two = await bench.run(unknown.bundle.withFile(pathOf(untold.blob), untold.blob), form);
		t.deepEqual(outcomes(two), {[uuid(2)]: 'imported'});
		t.is(two.events[0]?.what === 'begin' ? two.events[0].images : 0, 2);
		t.is(two.end?.failed, 0);
	}
});

test('a layout as other tools write it back comes in', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const made = [web, base].map(spec => artifactOf({...spec, tag: `images/${spec.name ?? 'base'}:1`}));
	const entries = made.map(({entry: {mediaType, digest, size, annotations}}) => ({
		mediaType,
		digest,
		size,
		annotations: {'org.opencontainers.image.ref.name': annotations?.['org.opencontainers.image.ref.name']},
	}));
	const bundle = new TestBundle(
		new Map([
			...made.flatMap(({blobs}) => blobs.map(bytes => [pathOf(bytes), bytes] as const)),
			['index.json', Buffer.from(JSON.stringify({schemaVersion: 2, manifests: entries}))],
			['oci-layout', layoutBytes],
		]),
		[],
	);
	for (const form of ['shuffled', 'folder', 'gzip'] as const) {
		const imported = await bench.run(bundle, form);
		t.is(imported.end?.failed, 0);
	}
	t.deepEqual(carry.visible, [uuid(1), uuid(2)]);
});

test('what else is found in a bundle is told at the end', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const {bundle} = specBundle([base]);
	const imported = await bench.run(bundle.withFile('README', Buffer.from('hello')).blobsFirst(), 'shuffled');
	t.deepEqual(imported.warnings, ['in the bundle: README is no part of a bundle']);
	t.deepEqual(
		whatOf(imported)
			.filter(what => what !== 'progress')
			.slice(-2),
		['warning', 'end'],
	);
});

test('what the mirror refuses fails by itself, before or after its files have come', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 100_000});
	carry.refusals.set(
		uuid(1),
		new RefusedError('ImageUuidAlreadyExists', 'we have that uuid already, with another file'),
	);
	carry.refusals.set(hexOf('sha256', file(4)), new RefusedError('Download', 'not that one'));
	carry.onKeep = async name => {
		if (name === uuid(5)) {
			throw new Error('EIO: i/o error, write');
		}
		if (name === uuid(7)) {
			throw new ValidationError('the manifest breaks the rules', [
				{field: 'name', code: 'Missing'},
				{field: 'tags', code: 'Invalid', message: 'tags is no object'},
			]);
		}
	};
	const {bundle} = specBundle([
		base,
		web,
		{uuid: uuid(4), files: [file(4)]},
		{uuid: uuid(5), files: [file(5), file(6)]},
		{uuid: uuid(6), files: [file(6)]},
		{uuid: uuid(7)},
	]);
	const imported = await bench.run(bundle);
	t.deepEqual(outcomes(imported), {
		[uuid(1)]: 'we have that uuid already, with another file',
		[uuid(2)]: `its origin ${uuid(1)} could not be imported`,
		[uuid(4)]: 'not that one',
		[uuid(5)]: 'EIO: i/o error, write',
		[uuid(6)]: 'imported',
		[uuid(7)]: 'the manifest breaks the rules; name: Missing; tags: tags is no object',
	});
	// It had come for one that failed, and was still there for the next.
	t.is(carry.takes.length, 2);
	t.is(imported.end?.bytes, 70_000);
	t.deepEqual(carry.faults(), []);
});

test('a dry run reads and checks everything, and keeps nothing', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 100_000});
	carry.store(file(5));
	const {bundle, images} = specBundle([
		base,
		{...web, files: [file(2), file(12, 2_000_000)], icon: Buffer.from('icon')},
		shop,
		{uuid: uuid(5), files: [file(5)]},
		{uuid: uuid(6), origin: uuid(9), files: [file(1)]},
		{uuid: uuid(7), files: [file(7)], lie: 'both: another sha1'},
	]);
	const fine = await bench.run(bundle, 'stream', {options: {dryRun: true}});
	t.is(fine.error, undefined);
	t.is(fine.end?.imported, 5);
	t.is(fine.end?.failed, 1);
	t.is(fine.end?.bytes, 70_000 * 3 + 2_000_000);
	t.is(fine.warnings.length, 1);
	const broken = await bench.run(bundle.flipped(images[1]?.files[1] ?? '', 1_999_999), 'stream', {
		options: {dryRun: true},
	});
	t.deepEqual(
		[1, 5, 6, 2, 3, 7].map(number => broken.done.get(uuid(number))?.outcome),
		['imported', 'imported', 'imported', 'failed', 'failed', 'failed'],
	);
	t.deepEqual([carry.visible, carry.takes, carry.settledAfter, carry.storedBytes], [[], [], undefined, 70_000]);
});

test('whose signature a bundle has decides whether it comes in', async t => {
	const folder = await tempDir(t);
	const [far, stranger] = [newKey('far'), newKey('stranger')];
	const trustedFile = join(folder, 'trusted-keys');
	const carry = new FakeCarryIn();
	const keys = new Keys({
		keyFile: join(folder, 'bundle-key.pem'),
		trustedFile,
		configured: () => [far.publicLine],
		log: (await importBench(t, carry)).host.log,
	});
	const bench = await importBench(t, carry, {judge: (...all) => keys.judge(...all)});
	const strict = {options: {allowUnsigned: false}};
	const signedBy = (key: {readonly privatePem: string}): TestBundle =>
		specBundle([base], {sign: index => sign(index, key.privatePem)}).bundle;

	const refused = async (bundle: TestBundle, pattern: RegExp, how: object = strict): Promise<void> => {
		for (const form of ['stream', 'folder'] as const) {
			const {error, events} = await bench.run(bundle, form, how);
			t.true(error instanceof RefusedError && error.refusal === 'BundleNotTrusted');
			t.regex(error?.message ?? '', pattern);
			t.deepEqual(events, []);
		}
		t.is(carry.visible.length, 0);
	};
	await refused(specBundle([base]).bundle, /nobody has signed this bundle/);
	await refused(signedBy(stranger), /SHA256:.*imgmirror key trust/);
	const changed = signedBy(far).changed('index.json', bytes => Buffer.from(bytes.toString().replace('base', 'bass')));
	await refused(changed, /changed after it was signed/);
	await refused(changed, /changed after it was signed/, {options: {allowUnsigned: true}});

	const trusted = await bench.run(signedBy(far), 'stream', strict);
	const begun = trusted.events[0];
	t.like(begun?.what === 'begin' ? begun.signedBy : undefined, {comment: 'far', trusted: true});
	t.is(trusted.end?.imported, 1);

	const once = await bench.run(signedBy(stranger), 'folder', {
		options: {allowUnsigned: false, key: stranger.publicLine},
	});
	t.is(once.end?.there, 1);
	const anyway = await bench.run(signedBy(stranger));
	t.like(anyway.events[0], {what: 'begin', images: 1});
	t.false(anyway.events[0]?.what === 'begin' ? anyway.events[0].signedBy?.trusted : undefined);
	await t.throwsAsync(readFile(trustedFile), {code: 'ENOENT'});
});

test('what is no bundle is refused in words', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const {bundle} = specBundle([base]);
	const noIndex = await bench.run(bundle.without('index.json'));
	t.true(noIndex.error instanceof IntegrityError);
	t.regex(noIndex.error?.message ?? '', /is no bundle/);
	for (const text of ['{', '{"schemaVersion":2}', '[]']) {
		const {error, events} = await bench.run(bundle.changed('index.json', () => Buffer.from(text)));
		t.true(error instanceof IntegrityError);
		t.deepEqual(events, []);
	}
	const empty = await bench.run(bundle.changed('index.json', () => indexOf([])));
	t.deepEqual(whatOf(empty), ['begin', 'end']);
	t.deepEqual(empty.end, {what: 'end', imported: 0, updated: 0, there: 0, failed: 0, bytes: 0, ms: 0});
});
