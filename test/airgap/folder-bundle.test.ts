import {execFileSync} from 'node:child_process';
import {chmod, mkdir, rename, rm, symlink, truncate, unlink, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {once} from 'node:events';
import test from 'ava';
import {FolderBundle} from '../../src/airgap/folder-bundle.js';
import {IntegrityError} from '../../src/errors.js';
import {makeImage, pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {bytesOf, digestOfPath, makeBundle} from './make-bundle.js';

const image = makeImage({size: 600_000});

test('every file of a folder can be read, from anywhere and several at once', async t => {
	const made = makeBundle({images: [image], sign: () => 'signed'});
	const folder = await made.writeFolder(join(await tempDir(t), 'site'));
	const bundle = new FolderBundle(folder);
	t.is(bundle.name, folder);
	t.is(bundle.form, 'folder');
	sameBytes(t, await bundle.index(), made.index);
	sameBytes(t, await bundle.signature(), Buffer.from('signed'));
	const blob = await bundle.blob(digestOfPath(made.image(0).file ?? ''));
	t.is(blob?.size, image.size);
	const starts = [0, 599_990, 600_000];
	const read = await Promise.all(starts.map(async start => bytesOf(blob, start)));
	for (const [index, bytes] of read.entries()) {
		sameBytes(t, bytes, image.bytes.subarray(starts[index]));
	}
	await bundle.drop();
	t.deepEqual(bundle.odd, []);
	await bundle.close();
});

test('what is not there is not there', async t => {
	const made = makeBundle({images: [image]});
	const folder = await made.writeFolder(await tempDir(t));
	const bundle = new FolderBundle(folder);
	t.is(await bundle.signature(), undefined);
	t.is(await bundle.blob(`sha256:${'0'.repeat(64)}`), undefined);
	for (const strange of ['sha256:../../../etc/passwd', '', `sha512:${'0'.repeat(64)}`, `sha256:${'0'.repeat(63)}/`]) {
		t.is(await bundle.blob(strange), undefined, strange);
	}
	await unlink(join(folder, 'oci-layout'));
	sameBytes(t, await bundle.index(), made.index);
	sameBytes(t, await bundle.index(), made.index);
	t.deepEqual(bundle.odd, ['there is no file oci-layout']);
	await unlink(join(folder, 'index.json'));
	await t.throwsAsync(bundle.index(), {instanceOf: IntegrityError, message: /is no whole bundle: there are blobs/});
	await rm(join(folder, 'blobs'), {recursive: true});
	await t.throwsAsync(new FolderBundle(folder).index(), {
		instanceOf: IntegrityError,
		message: `${folder} is no bundle: there is no index.json in it`,
	});
});

test('links are not followed, wherever they are', async t => {
	const made = makeBundle({images: [image]});
	const [path, digest] = [made.image(0).file ?? '', digestOfPath(made.image(0).file ?? '')];
	const elsewhere = await made.writeFolder(join(await tempDir(t), 'elsewhere'));

	const linked = await made.writeFolder(join(await tempDir(t), 'blob'));
	await rm(join(linked, path));
	await symlink(join(elsewhere, path), join(linked, path));
	const bundle = new FolderBundle(linked);
	await t.throwsAsync(bundle.blob(digest), {
		instanceOf: IntegrityError,
		message: `${path} is a link, and links are not followed`,
	});
	t.truthy(await bundle.blob(digestOfPath(made.image(0).config)));

	for (const place of ['blobs', 'blobs/sha256']) {
		const folder = await made.writeFolder(join(await tempDir(t), 'folder'));
		await rm(join(folder, place), {recursive: true});
		await symlink(join(elsewhere, place), join(folder, place));
		const other = new FolderBundle(folder);
		t.is(await other.blob(digest), undefined);
		t.deepEqual(other.odd, [`${place} is a link, and links are not followed`]);
	}

	const folder = await made.writeFolder(join(await tempDir(t), 'index'));
	await rm(join(folder, 'index.json'));
	await symlink(join(elsewhere, 'index.json'), join(folder, 'index.json'));
	await t.throwsAsync(new FolderBundle(folder).index(), {instanceOf: IntegrityError, message: /index\.json is a link/});

	// The way to it may have as many links as its owner likes.
	const way = join(await tempDir(t), 'way');
	await symlink(elsewhere, way);
	sameBytes(t, await new FolderBundle(way).index(), made.index);
});

test('folders, pipes, sockets and what may not be read are no blobs', async t => {
	const made = makeBundle({images: [image]});
	const [path, digest] = [made.image(0).file ?? '', digestOfPath(made.image(0).file ?? '')];
	const folder = await made.writeFolder(await tempDir(t));
	const file = join(folder, path);
	const bundle = new FolderBundle(folder);
	const isNone = {instanceOf: IntegrityError, message: `${path} is no plain file`};

	await rm(file);
	await mkdir(file);
	await t.throwsAsync(bundle.blob(digest), isNone);
	await rm(file, {recursive: true});

	execFileSync('mkfifo', [file]);
	await t.throwsAsync(bundle.blob(digest), isNone);
	await rm(file);

	const server = createServer();
	// The path of a socket may not be long.
	server.listen(join(folder, 's'));
	await once(server, 'listening');
	t.teardown(() => void server.close());
	await rename(join(folder, 's'), file);
	await t.throwsAsync(bundle.blob(digest), isNone);
	await rm(file);

	await writeFile(file, image.bytes);
	await chmod(file, 0);
	if (process.getuid?.() === 0) {
		t.truthy(await bundle.blob(digest));
	} else {
		await t.throwsAsync(bundle.blob(digest), {instanceOf: IntegrityError, message: `${path} cannot be read`});
	}
});

test('a file that becomes shorter, or goes, while it is read is said to be cut', async t => {
	const made = makeBundle({images: [image]});
	const [path, digest] = [made.image(0).file ?? '', digestOfPath(made.image(0).file ?? '')];
	const folder = await made.writeFolder(await tempDir(t));
	const bundle = new FolderBundle(folder);
	const blob = await bundle.blob(digest);
	await truncate(join(folder, path), 300_000);
	await t.throwsAsync(bytesOf(blob), {
		instanceOf: IntegrityError,
		message: /is cut off: it ends after 300000 of 600000 bytes/,
	});
	await rm(join(folder, path));
	await t.throwsAsync(bytesOf(blob), {instanceOf: IntegrityError, message: `${path} has gone`});
});

test('an index, a signature or a layout of absurd size is not read', async t => {
	const made = makeBundle({images: [image]});
	const folder = await made.writeFolder(await tempDir(t));
	const bundle = new FolderBundle(folder);
	await writeFile(join(folder, 'index.json.sig'), pseudoRandom(65_537, 1));
	await t.throwsAsync(bundle.signature(), {
		instanceOf: IntegrityError,
		message: /index\.json\.sig has 65537 bytes, and may have 65536/,
	});
	await truncate(join(folder, 'index.json'), 2 ** 40);
	await t.throwsAsync(bundle.index(), {instanceOf: IntegrityError, message: /index\.json has 1099511627776 bytes/});
	await writeFile(join(folder, 'index.json'), made.index);
	await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"3.0.0"}');
	await t.throwsAsync(bundle.index(), {instanceOf: IntegrityError, message: /version 1\.x/});
});
