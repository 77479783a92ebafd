import {execFileSync, spawn} from 'node:child_process';
import {copyFile, mkdir, readdir, rename, rm, writeFile} from 'node:fs/promises';
import {createReadStream} from 'node:fs';
import {join} from 'node:path';
import {PassThrough, Readable} from 'node:stream';
import {gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import type {BundleFiles} from '../../src/airgap/bundle-files.js';
import {findParts, groupBundles} from '../../src/airgap/bundle-parts.js';
import {parseIndex} from '../../src/airgap/oci.js';
import {openBundle, type OpenOptions} from '../../src/airgap/open-bundle.js';
import {folderSpool} from '../../src/airgap/spool.js';
import {IntegrityError, MirrorError, NotFoundError, UsageError} from '../../src/errors.js';
import {makeImage, pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {bytesOf, digestOfPath, inPieces, makeBundle, type TestBundle} from './make-bundle.js';

const images = [makeImage({size: 1_200_000}), makeImage({size: 3000})];
const made = makeBundle({images, sign: () => 'signed'});

interface Bench {
	readonly folder: string;
	readonly open: (paths: readonly string[], options?: Partial<OpenOptions>) => Promise<BundleFiles>;
	readonly spool: string;
}

async function bench(t: ExecutionContext): Promise<Bench> {
	const folder = await tempDir(t);
	const spool = await tempDir(t);
	return {
		folder,
		spool,
		async open(paths, options) {
			const bundle = await openBundle(paths, {
				signal: new AbortController().signal,
				spool: () => folderSpool(spool),
				...options,
			});
			t.teardown(() => bundle.close());
			return bundle;
		},
	};
}

async function isWhole(t: ExecutionContext, bundle: BundleFiles, expected: TestBundle = made): Promise<void> {
	sameBytes(t, await bundle.index(), expected.index);
	sameBytes(t, await bundle.signature(), Buffer.from('signed'));
	for (const [path, bytes] of expected.files) {
		if (path.startsWith('blobs/')) {
			sameBytes(t, await bytesOf(await bundle.blob(digestOfPath(path))), bytes);
		}
	}
	t.deepEqual(bundle.odd, []);
	await bundle.close();
}

test('a folder, a tar, parts of one, compressed ones and stdin: all are found to be the same bundle', async t => {
	const {folder, open, spool} = await bench(t);
	const site = await made.writeFolder(join(folder, 'site'));
	const tar = await made.writeTar(join(folder, 'site.tar'));
	const gzip = join(folder, 'packed');
	await writeFile(gzip, gzipSync(made.tar()));
	const parts = await made.writeParts(join(folder, 'split.tar'), 300_000);
	const packed = gzipSync(made.tar());
	const half = Math.ceil(packed.length / 2);
	await writeFile(join(folder, 'p.tar.gz.001'), packed.subarray(0, half));
	await writeFile(join(folder, 'p.tar.gz.002'), packed.subarray(half));
	for (const [paths, form] of [
		[[site], 'folder'],
		[[tar], 'tar'],
		[[gzip], 'stream'],
		[parts, 'tar'],
		[[...parts].reverse(), 'tar'],
		[parts.slice(0, 1), 'tar'],
		[parts.slice(2, 3), 'tar'],
		[[join(folder, 'split.tar')], 'tar'],
		[[join(folder, 'p.tar.gz.002')], 'stream'],
		[[join(folder, 'p.tar.gz')], 'stream'],
	] as const) {
		const bundle = await open(paths);
		t.is(bundle.form, form, paths.join());
		t.is(bundle.name, paths[0]);
		await isWhole(t, bundle);
	}
	for (const stdin of [
		Readable.from(inPieces(made.tar())),
		Readable.from(inPieces(packed)),
		inPieces(made.tar(), 7777),
	]) {
		const bundle = await open(['-'], {stdin});
		t.is(bundle.name, 'stdin');
		await isWhole(t, bundle);
	}
	t.deepEqual(await readdir(spool), []);
});

test('what GNU tar and zstd make of a folder is read', async t => {
	const {folder, open} = await bench(t);
	await made.writeFolder(join(folder, 'site'));
	const run = (script: string): void => {
		execFileSync('bash', ['-c', script], {cwd: folder});
	};
	run('tar -cf whole.tar site');
	run('tar -C site -cf inside.tar .');
	run('tar --format=pax -cf pax.tar site');
	run('tar --format=v7 -C site -cf v7.tar oci-layout index.json index.json.sig blobs');
	run('tar -czf whole.tar.gz site');
	run('cat whole.tar | split -b 300000 -d -a 3 - gnu.tar.');
	const names = ['whole.tar', 'inside.tar', 'pax.tar', 'v7.tar', 'whole.tar.gz', 'gnu.tar', 'gnu.tar.002'];
	try {
		run('zstd -q whole.tar -o whole.tar.zst');
		names.push('whole.tar.zst');
	} catch {
		t.log('this machine has no zstd');
	}
	for (const name of names) {
		await isWhole(t, await open([join(folder, name)]));
	}
});

test('what skopeo makes of a bundle is read', async t => {
	const {folder, open} = await bench(t);
	await made.writeFolder(join(folder, 'site'));
	const copy = (to: string): void => {
		for (const {uuid} of made.images) {
			execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', `oci:site:${uuid}`, `${to}:${uuid}`], {cwd: folder});
		}
	};
	try {
		execFileSync('skopeo', ['--version']);
	} catch {
		t.log('skipped: this machine has no skopeo');
		t.pass();
		return;
	}
	copy('oci:copied');
	const [{uuid} = {uuid: ''}] = made.images;
	execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', `oci:site:${uuid}`, `oci-archive:one.tar:${uuid}`], {
		cwd: folder,
	});
	for (const [paths, count] of [
		[[join(folder, 'copied')], 2],
		[[join(folder, 'one.tar')], 1],
		[['-'], 1],
	] as const) {
		const bundle = await open(paths, {stdin: createReadStream(join(folder, 'one.tar'))});
		const entries = parseIndex(await bundle.index());
		t.is(entries.length, count);
		t.is(await bundle.signature(), undefined);
		for (const image of made.images.slice(0, count)) {
			t.true(
				entries.some(({descriptor, name}) => descriptor.digest === digestOfPath(image.manifest) && name === image.uuid),
			);
			for (const path of [image.manifest, image.config, image.file ?? '']) {
				sameBytes(t, await bytesOf(await bundle.blob(digestOfPath(path))), made.bytes(path));
			}
		}
	}
});

test('a pipe that has a name is read as a stream', async t => {
	const {folder, open} = await bench(t);
	const tar = await made.writeTar(join(folder, 'site.tar'));
	const pipe = join(folder, 'pipe');
	execFileSync('mkfifo', [pipe]);
	const writer = spawn('cp', [tar, pipe], {stdio: 'ignore'});
	t.teardown(() => writer.kill());
	const bundle = await open([pipe]);
	t.is(bundle.form, 'stream');
	await isWhole(t, bundle);
});

test('parts may lie in several places, and none may be missing in the middle', async t => {
	const {folder, open} = await bench(t);
	const parts = await made.writeParts(join(folder, 'x.tar'), 300_000);
	t.is(parts.length, 5);
	const [first = '', second = '', third = ''] = parts;
	const stick = join(folder, 'stick');
	await mkdir(stick);
	await rename(third, join(stick, 'x.tar.003'));
	await t.throwsAsync(open([first]), {
		instanceOf: IntegrityError,
		message: `${join(folder, 'x.tar')} was split, and its part 003 is missing: there are 001, 002, 004, 005`,
	});
	await isWhole(t, await open([join(stick, 'x.tar.003'), first]));
	await isWhole(t, await open([second, join(stick, 'x.tar.003')]));
	await rm(first);
	await t.throwsAsync(open([second]), {message: /its part 001 is missing: there are 002, 004, 005/});
	await writeFile(join(folder, 'x.tar.000'), '');
	await t.throwsAsync(open([second]), {message: /its part 001 is missing: there are 000, 002/});
	t.deepEqual(await findParts([join(folder, 'many.tar.001')]), [join(folder, 'many.tar.001')]);
	for (let number = 2; number < 20; number++) {
		await writeFile(join(folder, `many.tar.${String(number).padStart(3, '0')}`), '');
	}
	await t.throwsAsync(findParts([join(folder, 'many.tar.002')]), {message: /002, 003, .* 011 and 8 more$/});
});

test('the last parts missing is a tar that is cut', async t => {
	const {folder, open} = await bench(t);
	const parts = await made.writeParts(join(folder, 'x.tar'), 300_000);
	await rm(parts.at(-1) ?? '');
	const bundle = await open([parts[0] ?? '']);
	sameBytes(t, await bundle.index(), made.index);
	t.is(await bundle.blob(digestOfPath(made.image(0).file ?? '')), undefined);
	t.regex(bundle.odd.join(), /ends .*: is its last part missing\?$/);
});

test('which of what was named belongs together is told by names', async t => {
	const {folder} = await bench(t);
	const dated = join(folder, 'site.2024');
	await mkdir(dated);
	await mkdir(join(folder, 'site.2025'));
	t.deepEqual(
		await groupBundles([
			'/b/x.tar.002',
			'-',
			'/a/x.tar.001',
			'/a/y.tar.001',
			'/a/y.tar',
			'/a/y.tar',
			dated,
			join(folder, 'site.2025'),
			'/b/x.tar.002',
		]),
		[['/b/x.tar.002', '/a/x.tar.001'], ['-'], ['/a/y.tar.001'], ['/a/y.tar'], [dated], [join(folder, 'site.2025')]],
	);
});

test('what cannot be opened is named, with what was expected', async t => {
	const {folder, open} = await bench(t);
	const path = (name: string): string => join(folder, name);
	await t.throwsAsync(open([]), {instanceOf: UsageError});
	await t.throwsAsync(open(['a', 'b']), {
		instanceOf: UsageError,
		message: /one bundle is opened at a time, not 2 \(a, b\)/,
	});
	await t.throwsAsync(open(['-']), {instanceOf: UsageError, message: /nothing on stdin/});
	await t.throwsAsync(open([path('none.tar')]), {
		instanceOf: NotFoundError,
		message: `there is no ${path('none.tar')}`,
	});
	await t.throwsAsync(open([path('none.tar.001')]), {
		instanceOf: MirrorError,
		message: /none\.tar\.001 cannot be read/,
	});
	await writeFile(path('begun.tar.part'), 'x');
	await t.throwsAsync(open([path('begun.tar')]), {
		instanceOf: NotFoundError,
		message: `${path('begun.tar')} is not whole yet: its export has not come to an end (there is ${path('begun.tar.part')})`,
	});
	await writeFile(path('text'), 'hello '.repeat(1000));
	await t.throwsAsync(open([path('text')]), {
		instanceOf: IntegrityError,
		message: /^\/.*text: this is no tar: .*; expected a bundle: a folder or a tar, as "imgmirror export" makes them$/,
	});
	await writeFile(path('empty'), '');
	await t.throwsAsync(open([path('empty')]), {instanceOf: IntegrityError, message: /empty: this is no tar/});
	await writeFile(path('x.tar.xz'), Buffer.concat([Buffer.from('fd377a585a0000', 'hex'), pseudoRandom(1000, 1)]));
	await t.throwsAsync(open([path('x.tar.xz')]), {
		instanceOf: IntegrityError,
		message: /x\.tar\.xz: .*xz.*unpack it first/,
	});
	await mkdir(path('dir'));
	await t.throwsAsync(open([path('dir')]), {
		instanceOf: IntegrityError,
		message: /dir is no bundle: there is no index\.json in it; expected/,
	});
	await copyFile(path('text'), path('dir/site.tar.001'));
	await t.throwsAsync(open([path('dir')]), {
		instanceOf: IntegrityError,
		message: `${path('dir')} is no bundle itself; did you mean ${path('dir/site.tar.001')}?`,
	});
	await copyFile(path('text'), path('dir/site.tar.002'));
	await made.writeFolder(path('dir/whole'));
	await t.throwsAsync(open([path('dir')]), {
		instanceOf: IntegrityError,
		message: `${path('dir')} is no bundle itself; did you mean ${path('dir/whole')} or ${path('dir/site.tar.001')}?`,
	});
	await t.throwsAsync(open([path('text/below')]), {instanceOf: NotFoundError});
	const stdin = Readable.from([Buffer.from('hello '.repeat(200))]);
	const piped = await open(['-'], {stdin});
	await t.throwsAsync(piped.index(), {instanceOf: IntegrityError, message: /^stdin is no bundle: this is no tar/});
});

test('a pipe from which nothing comes is given up when the signal comes', async t => {
	const {open} = await bench(t);
	const controller = new AbortController();
	const stdin = new PassThrough();
	stdin.write(made.tar().subarray(0, 3000));
	const bundle = await open(['-'], {stdin, signal: controller.signal});
	sameBytes(t, await bundle.index(), made.index);
	const reading = bundle.blob(digestOfPath(made.image(0).file ?? '')).then(async blob => bytesOf(blob));
	const reason = new Error('enough');
	setImmediate(() => {
		controller.abort(reason);
	});
	await t.throwsAsync(reading, {is: reason});
	await bundle.close();
	await t.throwsAsync(open(['-'], {stdin: new PassThrough(), signal: controller.signal}), {is: reason});
});
