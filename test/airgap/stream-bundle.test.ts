import {readFile, readdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type {Expected} from '../../src/airgap/bundle-files.js';
import {checkConfig, digestOf, parseImage, parseIndex, type BundleImage} from '../../src/airgap/oci.js';
import {folderSpool, type Spool} from '../../src/airgap/spool.js';
import {StreamBundle} from '../../src/airgap/stream-bundle.js';
import {IntegrityError, NoSpaceError} from '../../src/errors.js';
import {makeImage, pseudoRandom} from '../helpers/make-image.js';
import {run} from '../helpers/run-command.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {
	blobPathOf,
	bytesOf,
	digestOfPath,
	headerOf,
	inPieces,
	makeBundle,
	tarOf,
	type TestBundle,
} from './make-bundle.js';

const large = 1_500_000;
const images = [makeImage({size: large}), makeImage({size: 20_000}), makeImage({size: large + 1})];

/** A spool that must not be needed. */
const noSpool: Spool = {
	async create() {
		throw new NoSpaceError('this should not be put aside');
	},
	async close() {
		// Nothing is in it.
	},
};

/** As an import reads it: image by image, each blob once. Returns uuids of those that are whole. */
async function readAll(bundle: StreamBundle): Promise<readonly string[]> {
	const whole: string[] = [];
	const read = async ({digest, size}: Expected): Promise<Buffer | undefined> => {
		try {
			const bytes = await bytesOf(await bundle.blob(digest));
			return bytes.length === size && digestOf(bytes) === digest ? bytes : undefined;
		} catch (error) {
			if (error instanceof Error && (error instanceof IntegrityError || error.message.includes('no such blob'))) {
				return undefined;
			}
			throw error;
		}
	};
	for (const {descriptor} of parseIndex(await bundle.index())) {
		let image: BundleImage | undefined;
		try {
			image = parseImage((await read(descriptor)) ?? Buffer.alloc(0));
			const {manifest} = checkConfig(image, (await read(image.config)) ?? Buffer.alloc(0));
			const files = [];
			for (const file of image.files) {
				files.push(await read(file.descriptor));
			}
			if (!files.includes(undefined)) {
				whole.push(manifest.uuid);
			}
		} catch (error) {
			if (!(error instanceof IntegrityError)) {
				throw error;
			}
		}
	}
	return whole;
}

/** An image's blobs are asked for after its OCI manifest. */
async function begin(bundle: StreamBundle, {manifest}: {readonly manifest: string}): Promise<void> {
	await bytesOf(await bundle.blob(digestOfPath(manifest)));
}

function streamed(tar: Buffer, spool: Spool = noSpool, pieceBytes = 50_000): StreamBundle {
	return new StreamBundle(inPieces(tar, pieceBytes), {spool, name: 'the tar'});
}

const uuidsOf = (made: TestBundle): readonly string[] => made.images.map(({uuid}) => uuid);

test('a tar of ours is read in one go, without touching the disk', async t => {
	for (const sign of [undefined, () => 'signed'] as const) {
		const made = makeBundle({images, ...(sign && {sign})});
		const bundle = streamed(made.tar());
		t.is(bundle.form, 'stream');
		sameBytes(t, await bundle.index(), made.index);
		t.deepEqual((await bundle.signature())?.toString(), sign?.());
		t.deepEqual(await readAll(bundle), uuidsOf(made));
		t.is(await bundle.blob(`sha256:${'0'.repeat(64)}`), undefined);
		t.deepEqual(bundle.odd, []);
		await bundle.close();
	}
});

test('nobody has to ask for the index, or the signature, first', async t => {
	const made = makeBundle({images, sign: () => 'signed'});
	const bundle = streamed(made.tar());
	sameBytes(
		t,
		await bytesOf(await bundle.blob(digestOfPath(made.image(0).manifest))),
		made.bytes(made.image(0).manifest),
	);
	sameBytes(t, await bundle.signature(), Buffer.from('signed'));
	sameBytes(t, await bundle.index(), made.index);
});

test('tars of other tools are read in any order: what comes too early is put aside, and cleared away', async t => {
	const made = makeBundle({images, sign: () => 'signed'});
	const folder = await tempDir(t);
	for (const [how, tar] of [
		['blobs first', made.blobsFirst().tar()],
		['in a folder', made.tar('site/')],
		['backwards', made.sorted((a, b) => (a > b ? -1 : 1)).tar('./')],
		['of today', tarOf([...made.files].map(([path, bytes]) => ({path, bytes, mtime: 1_700_000_000})))],
	] as const) {
		const bundle = streamed(tar, folderSpool(folder));
		sameBytes(t, await bundle.signature(), Buffer.from('signed'), how);
		t.deepEqual(await readAll(bundle), uuidsOf(made), how);
		t.deepEqual(bundle.odd, [], how);
		await bundle.close();
		t.deepEqual(await readdir(folder), []);
	}
});

test('a tar of ours that was unpacked and packed again has our dates, and not our order', async t => {
	const made = makeBundle({images, sign: () => 'signed'});
	const folder = await tempDir(t);
	await writeFile(path.join(folder, 'ours.tar'), made.tar());
	await run('tar', ['-xf', 'ours.tar'], {cwd: folder});
	const [layout = '', index = '', signature = '', ...blobs] = made.files.keys();
	const timeless = ['--format=ustar', '--owner=0', '--group=0', '--numeric-owner', '--mode=0644'];
	for (const [how, names] of [
		['as it is', blobs.toReversed()],
		['without people', [...timeless, ...blobs.toReversed()]],
		['without people, and with folders', [...timeless, '--no-recursion', 'blobs/sha256', ...blobs]],
	] as const) {
		await run('tar', ['-cf', 'again.tar', layout, index, signature, ...names], {cwd: folder});
		const spooled = path.join(folder, 'spooled');
		const bundle = streamed(await readFile(path.join(folder, 'again.tar')), folderSpool(spooled));
		sameBytes(t, await bundle.signature(), Buffer.from('signed'), how);
		t.deepEqual(await readAll(bundle), uuidsOf(made), how);
		await bundle.close();
	}
});

test('in whatever order other tools have put the files of a tar, the same comes out', async t => {
	const made = makeBundle({images: [makeImage({size: 100_000}), makeImage({size: 3000})], sign: () => 'signed'});
	const folder = await tempDir(t);
	const paths = [...made.files.keys()];
	await fc.assert(
		fc.asyncProperty(
			fc.shuffledSubarray(paths, {minLength: paths.length}),
			fc.constantFrom('', './', 'x/'),
			fc.constantFrom(1, 1_600_000_000),
			async (order, prefix, mtime) => {
				const tar = tarOf(order.map(path => ({path: prefix + path, bytes: made.bytes(path), mtime})));
				const bundle = streamed(tar, folderSpool(folder), 9999);
				sameBytes(t, await bundle.index(), made.index);
				t.deepEqual(await readAll(bundle), uuidsOf(made));
				sameBytes(t, await bundle.signature(), Buffer.from('signed'));
				await bundle.close();
			},
		),
		{numRuns: 40},
	);
	t.deepEqual(await readdir(folder), []);
});

test('of a tar of ours that lacks something, that alone is missing, and nothing is put aside to find out', async t => {
	const made = makeBundle({images});
	for (const which of [0, 1, 2]) {
		const {uuid, manifest, config, file = ''} = made.image(which);
		const others = uuidsOf(made).filter(other => other !== uuid);
		for (const path of [file, config]) {
			const left = path === config ? [config, file] : [file];
			const bundle = streamed(made.without(...left).tar());
			t.deepEqual(await readAll(bundle), others);
			await bundle.close();
		}
		const bundle = streamed(made.without(manifest, config, file).tar());
		t.deepEqual(await readAll(bundle), others);
		await bundle.close();
	}
});

test('what nobody could know to be needless is put aside, and no room for it is no harm', async t => {
	const made = makeBundle({images});
	const {manifest, file = ''} = made.image(0);
	const broken = made.flipped(manifest, 20);
	const bundle = streamed(broken.tar());
	t.deepEqual(await readAll(bundle), uuidsOf(made).slice(1));
	// It came, and went.
	await t.throwsAsync(bundle.blob(digestOfPath(file)), {
		instanceOf: NoSpaceError,
		message: /came too early in the stream/,
	});
	const folder = await tempDir(t);
	const roomy = streamed(broken.tar(), folderSpool(folder));
	t.deepEqual(await readAll(roomy), uuidsOf(made).slice(1));
	sameBytes(t, await bytesOf(await roomy.blob(digestOfPath(file))), images[0]?.bytes);
	await roomy.close();
	t.deepEqual(await readdir(folder), []);
});

test('before the index has come, everything may be needed, and no room for it ends it', async t => {
	const made = makeBundle({images});
	const bundle = streamed(made.blobsFirst().tar());
	await t.throwsAsync(bundle.index(), {instanceOf: NoSpaceError, message: 'this should not be put aside'});
});

test('of a tar that is cut anywhere, what is whole can be had', async t => {
	const made = makeBundle({images: [makeImage({size: large}), makeImage({size: 2000}), makeImage({size: 2_000_000})]});
	const tar = made.tar();
	const seen = new Set<number>();
	await fc.assert(
		fc.asyncProperty(
			fc.oneof(fc.integer({min: 2048, max: tar.length - 1025}), fc.integer({min: 2048, max: 9000})),
			async length => {
				const bundle = streamed(tar.subarray(0, length));
				let whole: readonly string[] = [];
				try {
					whole = await readAll(bundle);
				} catch (error) {
					t.regex(error instanceof IntegrityError ? error.message : '', /^(?:the tar is no bundle: )?the tar ends/);
				}
				t.deepEqual(whole, uuidsOf(made).slice(0, whole.length));
				seen.add(whole.length);
				await bundle.close();
			},
		),
		{numRuns: 50},
	);
	t.true(seen.size >= 2);
});

test('what the source throws is nobody else’s fault: nothing can be had any more', async t => {
	const made = makeBundle({images});
	const tar = made.tar();
	const failure = new Error('the line is gone');
	async function* breaking(length: number): AsyncGenerator<Buffer> {
		yield* inPieces(tar.subarray(0, length));
		throw failure;
	}
	for (const length of [100, 1000, 3000, 100_000, large + 8000, large + 30_000]) {
		const bundle = new StreamBundle(breaking(length), {spool: noSpool});
		await t.throwsAsync(readAll(bundle), {is: failure}, String(length));
		await t.throwsAsync(bundle.blob(`sha256:${'0'.repeat(64)}`), {is: failure});
		await bundle.close();
	}
});

test('a signal ends it at the next file', async t => {
	const made = makeBundle({images});
	const controller = new AbortController();
	const bundle = new StreamBundle(inPieces(made.tar()), {spool: noSpool, signal: controller.signal});
	await bundle.index();
	const reason = new Error('enough');
	controller.abort(reason);
	await t.throwsAsync(readAll(bundle), {is: reason});
});

test('a large blob that is being read is waited for; one that nobody has begun is put aside', async t => {
	const made = makeBundle({images});
	const folder = await tempDir(t);
	const bundle = streamed(made.tar(), folderSpool(folder));
	const [first, second] = [made.image(0), made.image(1)];
	await begin(bundle, first);
	const blob = await bundle.blob(digestOfPath(first.file ?? ''));
	t.is(blob?.size, large);
	const iterator = blob?.read()[Symbol.asyncIterator]();
	const begun = await iterator?.next();
	t.false(begun?.done);
	let isThere = false;
	const later = bundle.blob(digestOfPath(second.manifest)).then(found => {
		isThere = true;
		return found;
	});
	const second1 = await iterator?.next();
	t.false(second1?.done);
	t.false(isThere);
	// Whoever gives up lets the others go on.
	await iterator?.return?.();
	sameBytes(t, await bytesOf(await later), made.bytes(second.manifest));
	await t.throwsAsync(bytesOf(blob), {instanceOf: IntegrityError, message: /comes but once in a stream/});
	await t.throwsAsync(bundle.blob(digestOfPath(first.file ?? '')), {
		instanceOf: IntegrityError,
		message: /comes but once/,
	});

	await begin(bundle, made.image(2));
	const third = await bundle.blob(digestOfPath(made.image(2).file ?? ''));
	t.is(await bundle.blob(`sha256:${'0'.repeat(64)}`), undefined);
	sameBytes(t, await bytesOf(third), images[2]?.bytes);
	sameBytes(t, await bytesOf(third, large), images[2]?.bytes.subarray(large));
	await bundle.close();
	t.deepEqual(await readdir(folder), []);
});

test('a blob that is being put aside can be read as well', async t => {
	const made = makeBundle({images});
	const folder = await tempDir(t);
	for (const spool of [folderSpool(folder), noSpool]) {
		const bundle = streamed(made.tar(), spool);
		await begin(bundle, made.image(0));
		const blob = await bundle.blob(digestOfPath(made.image(0).file ?? ''));
		const [next, read] = await Promise.all([
			bundle.blob(digestOfPath(made.image(1).manifest)),
			bytesOf(blob).catch((error: unknown) => error),
		]);
		t.is(next?.size, made.bytes(made.image(1).manifest).length);
		t.true(Buffer.isBuffer(read) || (spool === noSpool && read instanceof NoSpaceError));
		await bundle.close();
	}
	t.deepEqual(await readdir(folder), []);
});

test('small blobs are free of the stream: several can be had at once', async t => {
	const small = Array.from({length: 8}, () => makeImage({size: 30_000}));
	const made = makeBundle({images: small});
	const bundle = streamed(made.tar());
	const blobs = await Promise.all(
		made.images.map(image => {
			void begin(bundle, image);
			return bundle.blob(digestOfPath(image.file ?? ''));
		}),
	);
	for (const [index, blob] of [...blobs.entries()].reverse()) {
		sameBytes(t, await bytesOf(blob, 1), small[index]?.bytes.subarray(1));
	}
	await bundle.close();
});

test('what is dropped is passed over, and its room is free again', async t => {
	const made = makeBundle({images});
	const [first, second, third] = [made.image(0), made.image(1), made.image(2)];
	const bundle = streamed(made.tar());
	await begin(bundle, first);
	await bundle.drop([digestOfPath(first.config), digestOfPath(first.file ?? '')]);
	await begin(bundle, second);
	await t.throwsAsync(bundle.blob(digestOfPath(first.file ?? '')), {
		instanceOf: IntegrityError,
		message: /has been passed over/,
	});
	// Also when it has been asked for, and only its size was wanted.
	await begin(bundle, third);
	t.is((await bundle.blob(digestOfPath(third.file ?? '')))?.size, large + 1);
	await bundle.drop([digestOfPath(third.file ?? '')]);
	t.is(await bundle.blob(`sha256:${'0'.repeat(64)}`), undefined);
	await bundle.close();

	const folder = await tempDir(t);
	const other = streamed(made.blobsFirst().tar(), folderSpool(folder));
	await other.index();
	const [name = ''] = await readdir(folder);
	t.is((await readdir(`${folder}/${name}`)).length, 2);
	await other.drop(made.images.map(({file = ''}) => digestOfPath(file)));
	t.deepEqual(await readdir(`${folder}/${name}`), []);
	await other.close();
});

test('a blob that images share can be asked for again when that was said', async t => {
	const icon = pseudoRandom(5000, 1);
	const made = makeBundle({images: [makeImage({icon}), makeImage({icon}), makeImage({size: 0, icon})]});
	const bundle = streamed(made.tar());
	for (const image of made.images) {
		await begin(bundle, image);
		sameBytes(t, await bytesOf(await bundle.blob(digestOfPath(image.icon ?? ''), {again: true})), icon);
	}
	const manifest = digestOfPath(made.image(2).manifest);
	await t.throwsAsync(bundle.blob(manifest), {instanceOf: IntegrityError, message: /comes but once/});
});

test('what is no part of a bundle is passed over and named', async t => {
	const made = makeBundle({images: [images[1] ?? makeImage()]});
	const evil = Buffer.from('evil');
	const [path = ''] = [made.image(0).file];
	const bundle = streamed(
		tarOf([
			{path: 'README', bytes: evil},
			...[...made.files].map(([name, bytes]) => ({path: name, bytes})),
			{path, bytes: evil},
			{path: 'index.json', bytes: evil},
			{path: 'index.json.sig', bytes: evil},
			{path: 'index.json.sig', bytes: evil},
			{path: 'oci-layout', bytes: evil},
			{path: '../../index.json', bytes: evil},
			{path: '/etc/passwd', bytes: evil},
			{path: blobPathOf(evil), type: '2', link: '/etc/passwd'},
			{path: 'other/oci-layout', bytes: evil},
			{path: 'device', type: '3'},
		]),
		folderSpool(await tempDir(t)),
	);
	t.deepEqual(await readAll(bundle), uuidsOf(made));
	t.is(await bundle.blob(digestOf(evil)), undefined);
	sameBytes(t, await bundle.index(), made.index);
	const odd = bundle.odd.join('\n');
	for (const said of [
		'README is no part',
		`${path} comes more than once`,
		'index.json comes more than once',
		'index.json.sig comes more than once',
		'other/oci-layout is no part',
		'../../index.json is no path',
		'/etc/passwd is no path',
		'is a symbolic link',
		'device is a device',
	]) {
		t.true(odd.includes(said), `${said}\n${odd}`);
	}
	await bundle.close();
});

test('more than a gigabyte of what is no part of a bundle is no bundle', async t => {
	async function* endless(): AsyncGenerator<Buffer> {
		yield headerOf({path: 'zeros', size: 2 ** 40});
		const zeros = Buffer.alloc(1024 * 1024);
		for (;;) {
			yield zeros;
		}
	}
	const bundle = new StreamBundle(endless(), {spool: noSpool});
	await t.throwsAsync(bundle.index(), {
		instanceOf: IntegrityError,
		message: 'what came has more than a gigabyte of what is no part of a bundle',
	});
	await t.throwsAsync(bundle.blob('x'), {message: /more than a gigabyte/});
	await bundle.close();
});

test('a blob of absurd size is not put aside, and an index of absurd size is not read', async t => {
	async function* absurd(path: string, size: number): AsyncGenerator<Buffer> {
		yield headerOf({path, size});
		for (;;) {
			yield Buffer.alloc(1024);
		}
	}
	const spool = folderSpool(await tempDir(t));
	const blob = new StreamBundle(absurd(`blobs/sha256/${'a'.repeat(64)}`, 2 ** 32), {
		spool: folderSpool(await tempDir(t), 2 ** 50),
	});
	await t.throwsAsync(blob.index(), {instanceOf: NoSpaceError});
	await blob.close();
	const index = new StreamBundle(absurd('index.json', 2 ** 27), {spool});
	await t.throwsAsync(index.index(), {
		instanceOf: IntegrityError,
		message: 'index.json has 134217728 bytes, and may have 67108864',
	});
	const signature = new StreamBundle(absurd('index.json.sig', 2 ** 17), {spool});
	await t.throwsAsync(signature.index(), {instanceOf: IntegrityError, message: /index\.json\.sig has 131072 bytes/});
});

test('what is no tar, or no bundle, is said to be none', async t => {
	for (const [bytes, message] of [
		[Buffer.alloc(0), /^the tar is no bundle: this is no tar: it is empty$/],
		[pseudoRandom(5000, 1), /^the tar is no bundle: this is no tar/],
		[tarOf([{path: 'README', bytes: Buffer.from('x')}]), /^the tar is no bundle: there is no index\.json in the tar$/],
		[
			makeBundle({images})
				.changed('oci-layout', () => Buffer.from('{}'))
				.tar(),
			/version 1\.x/,
		],
	] as const) {
		const bundle = streamed(bytes);
		await t.throwsAsync(bundle.index(), {instanceOf: IntegrityError, message});
		await bundle.close();
	}
});

test('an index that cannot be read is handed out, and nothing is relied upon', async t => {
	const made = makeBundle({images: [makeImage({size: 10})]});
	const bundle = streamed(made.changed('index.json', () => Buffer.from('{"schemaVersion":2}')).tar());
	t.throws(() => parseIndex(Buffer.from('{"schemaVersion":2}')));
	t.is((await bundle.index()).toString(), '{"schemaVersion":2}');
	sameBytes(
		t,
		await bytesOf(await bundle.blob(digestOfPath(made.image(0).file ?? ''))),
		made.bytes(made.image(0).file ?? ''),
	);
	await bundle.close();
});

test.serial('memory stays flat for a blob of any size', async t => {
	const size = 2 ** 30;
	const digest = `sha256:${'a'.repeat(64)}`;
	const piece = Buffer.alloc(64 * 1024);
	async function* huge(): AsyncGenerator<Buffer> {
		yield headerOf({path: `blobs/sha256/${'a'.repeat(64)}`, size});
		for (let sent = 0; sent < size; sent += piece.length) {
			yield piece;
		}
		yield Buffer.alloc(1024);
	}
	async function* bundled(): AsyncGenerator<Buffer> {
		const made = makeBundle({images: []});
		yield made.tar().subarray(0, -1024);
		yield* huge();
	}
	const bundle = new StreamBundle(bundled(), {spool: noSpool});
	const blob = await bundle.blob(digest);
	const before = process.memoryUsage().rss;
	let most = before;
	let read = 0;
	for await (const chunk of blob?.read() ?? []) {
		read += chunk.length;
		if (read % (64 * 1024 * 1024) === 0) {
			most = Math.max(most, process.memoryUsage().rss);
		}
	}
	t.is(read, size);
	t.true(most - before < 100 * 1024 * 1024, `${most - before}`);
	await bundle.close();
});
