import {truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {hashed} from '../../src/airgap/bundle-files.js';
import {Parts, piecesOf} from '../../src/airgap/file-pieces.js';
import {digestOf} from '../../src/airgap/oci.js';
import {TarBundle} from '../../src/airgap/tar-bundle.js';
import {IntegrityError} from '../../src/errors.js';
import {makeImage, pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {blobPathOf, bytesOf, digestOfPath, makeBundle, tarOf, type TestBundle} from './make-bundle.js';

const images = [makeImage({size: 300_000}), makeImage({size: 40_000}), makeImage({size: 1})];

async function opened(t: ExecutionContext, tar: Buffer): Promise<TarBundle> {
	const file = join(await tempDir(t), 'x.tar');
	await writeFile(file, tar);
	const bundle = await TarBundle.open(file, await Parts.open([file]));
	t.teardown(() => bundle.close());
	return bundle;
}

/** Paths of the blobs that can be had whole. */
async function wholeBlobs(bundle: TarBundle, made: TestBundle): Promise<readonly string[]> {
	const whole: string[] = [];
	for (const [path, bytes] of made.files) {
		if (path.startsWith('blobs/')) {
			const blob = await bundle.blob(digestOfPath(path));
			if (blob !== undefined) {
				const chunks: Buffer[] = [];
				for await (const chunk of hashed(blob, {digest: digestOf(bytes), size: bytes.length})) {
					chunks.push(chunk);
				}
				if (Buffer.concat(chunks).equals(bytes)) {
					whole.push(path);
				}
			}
		}
	}
	return whole;
}

const blobsOf = (made: TestBundle): readonly string[] =>
	[...made.files.keys()].filter(path => path.startsWith('blobs/'));

test('every file of a tar can be read, whoever made it', async t => {
	const made = makeBundle({images, sign: () => 'signed'});
	for (const [how, tar] of [
		['ours', made.tar()],
		['of the folder itself', made.tar('./')],
		['of a folder', made.tar('my site/')],
		['of a folder with ./', made.tar('./site/')],
		['blobs first', made.blobsFirst().tar()],
	] as const) {
		const bundle = await opened(t, tar);
		t.is(bundle.form, 'tar');
		sameBytes(t, await bundle.index(), made.index, how);
		sameBytes(t, await bundle.signature(), Buffer.from('signed'), how);
		t.deepEqual(await wholeBlobs(bundle, made), blobsOf(made), how);
		const [file = ''] = [made.image(0).file];
		const blob = await bundle.blob(digestOfPath(file));
		sameBytes(t, await bytesOf(blob, 299_000), images[0]?.bytes.subarray(299_000));
		await bundle.drop();
		t.is(await bundle.blob(`sha256:${'0'.repeat(64)}`), undefined);
		t.deepEqual(bundle.odd, [], how);
	}
});

test('of parts of any size, all can be read', async t => {
	const made = makeBundle({images});
	await fc.assert(
		fc.asyncProperty(fc.integer({min: 3000, max: 400_000}), async size => {
			const paths = await made.writeParts(join(await tempDir(t), 'x.tar'), size);
			const bundle = await TarBundle.open('x.tar', await Parts.open(paths));
			try {
				t.deepEqual(await wholeBlobs(bundle, made), blobsOf(made));
				t.deepEqual(bundle.odd, []);
			} finally {
				await bundle.close();
			}
		}),
		{numRuns: 12},
	);
});

test('files of a tar are read at the same time without mixing', async t => {
	const made = makeBundle({images});
	// More parts than may be open at once.
	const paths = await made.writeParts(join(await tempDir(t), 'x.tar'), 10_000);
	t.true(paths.length > 30);
	const bundle = await TarBundle.open('x.tar', await Parts.open(paths));
	t.teardown(() => bundle.close());
	const wanted = [0, 1, 2, 0, 1, 2];
	const read = await Promise.all(
		wanted.map(async which => bytesOf(await bundle.blob(digestOfPath(made.image(which).file ?? '')))),
	);
	for (const [index, bytes] of read.entries()) {
		sameBytes(t, bytes, images[wanted[index] ?? 0]?.bytes);
	}
});

test('of a tar that is cut anywhere, what is whole can be had', async t => {
	const made = makeBundle({images, sign: () => 'signed'});
	const tar = made.tar();
	const folder = await tempDir(t);
	const seen = new Set<number>();
	await fc.assert(
		fc.asyncProperty(
			fc.oneof(fc.integer({min: 1024, max: tar.length - 1025}), fc.integer({min: 1024, max: 9000})),
			async length => {
				const file = join(folder, 'cut.tar');
				await writeFile(file, tar.subarray(0, length));
				const bundle = await TarBundle.open(file, await Parts.open([file]));
				try {
					const whole = await wholeBlobs(bundle, made);
					t.deepEqual(whole, blobsOf(made).slice(0, whole.length));
					seen.add(whole.length);
					t.is(bundle.odd.length, 1);
					t.regex(bundle.odd[0] ?? '', /ends/);
					if (length < 1536 + made.index.length) {
						await t.throwsAsync(bundle.index(), {
							instanceOf: IntegrityError,
							message: /is cut off, and what there is has no index\.json/,
						});
					}
				} finally {
					await bundle.close();
				}
			},
		),
		{numRuns: 60},
	);
	t.true(seen.size > 2);
});

test('a tar that becomes shorter while it is read is said to be cut', async t => {
	const made = makeBundle({images});
	const file = await made.writeTar(join(await tempDir(t), 'x.tar'));
	const bundle = await TarBundle.open(file, await Parts.open([file]));
	t.teardown(() => bundle.close());
	const path = made.image(0).file ?? '';
	await truncate(file, 100_000);
	await t.throwsAsync(bytesOf(await bundle.blob(digestOfPath(path))), {
		instanceOf: IntegrityError,
		message: /^blobs\/sha256\/.* is cut off: it ends after \d+ of 300000 bytes$/,
	});
});

test('a bad place on the disk is what is wrong with the file that lies there', async t => {
	const failure = new Error('EIO: i/o error, read');
	const pieces: number[] = [];
	await t.throwsAsync(
		async () => {
			const readAt = async (into: Buffer, position: number): Promise<number> => {
				if (position >= 300_000) {
					throw failure;
				}
				return Math.min(into.length, 300_000 - position);
			};
			for await (const piece of piecesOf(readAt, {path: 'x', start: 10, end: 400_000})) {
				pieces.push(piece.length);
			}
		},
		{instanceOf: IntegrityError, message: 'x cannot be read'},
	);
	t.deepEqual(pieces, [262_144, 37_846]);
});

test('what is in a tar and no part of the bundle is passed over and named', async t => {
	const made = makeBundle({images: [images[2] ?? makeImage()]});
	const [path] = blobsOf(made);
	const members = [...made.files].map(([name, bytes]) => ({path: name, bytes}));
	const evil = Buffer.from('evil');
	const bundle = await opened(
		t,
		tarOf([
			...members,
			{path: 'README', bytes: evil},
			{path: path ?? '', bytes: evil},
			{path: 'index.json', bytes: evil},
			{path: 'other/index.json', bytes: evil},
			{path: '../index.json', bytes: evil},
			{path: `/${path ?? ''}`, bytes: evil},
			{path: blobPathOf(evil), type: '2', link: '/etc/passwd'},
			{path: 'blobs/sha256/', type: '5'},
			{path: blobPathOf(Buffer.from('more evil')), type: '1', link: path ?? ''},
		]),
	);
	sameBytes(t, await bundle.index(), made.index);
	t.deepEqual(await wholeBlobs(bundle, made), blobsOf(made));
	t.is(await bundle.blob(digestOf(evil)), undefined);
	t.is(await bundle.blob(digestOf(Buffer.from('more evil'))), undefined);
	const odd = bundle.odd.join('\n');
	for (const said of [
		'README is no part of a bundle',
		`${path ?? ''} comes more than once`,
		'index.json comes more than once',
		'other/index.json is no part of a bundle',
		'../index.json is no path',
		'is a symbolic link',
		'is a hard link',
	]) {
		t.true(odd.includes(said), `${said}\n${odd}`);
	}
});

test('what is no tar, or no bundle, is said to be none', async t => {
	await t.throwsAsync(opened(t, Buffer.from('hello')), {instanceOf: IntegrityError});
	await t.throwsAsync(opened(t, Buffer.alloc(0)), {instanceOf: IntegrityError});
	await t.throwsAsync(opened(t, pseudoRandom(10_000, 1)), {instanceOf: IntegrityError, message: /no tar/});
	const other = await opened(t, tarOf([{path: 'README', bytes: Buffer.from('hello')}]));
	await t.throwsAsync(other.index(), {
		instanceOf: IntegrityError,
		message: /x\.tar is no bundle: there is no index\.json in the tar$/,
	});
	const made = makeBundle({images});
	const bare = await opened(t, made.without('oci-layout').tar());
	sameBytes(t, await bare.index(), made.index);
	t.deepEqual(bare.odd, ['there is no file oci-layout']);
	const future = await opened(t, made.changed('oci-layout', () => Buffer.from('{"imageLayoutVersion":"2.0"}')).tar());
	await t.throwsAsync(future.index(), {instanceOf: IntegrityError, message: /version 1\.x/});
	const absurd = await opened(t, made.withFile('index.json.sig', Buffer.alloc(65_537)).tar());
	await t.throwsAsync(absurd.signature(), {instanceOf: IntegrityError, message: /index\.json\.sig has 65537 bytes/});
	await t.throwsAsync(Parts.open([await tempDir(t)]), {instanceOf: IntegrityError, message: /is no plain file/});
});
