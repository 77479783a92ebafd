import {open, mkdir, readFile, symlink, link, writeFile, truncate} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {readTar, scanTar, type TarScan} from '../../src/airgap/tar-read.js';
import {MirrorError} from '../../src/errors.js';
import {run} from '../helpers/run-command.js';
import {tempDir} from '../helpers/temp-dir.js';
import {base256, collect, pax, Pieces, rawEnd, rawFile, rawHeader, readWhole} from './raw-tar.js';

/** The same bytes, read at any place. */
function scanned(tar: Buffer): Promise<TarScan> {
	return scanTar(async (into, position) => tar.copy(into, 0, position), tar.length);
}

/** Reads a tar in both ways, which must agree, and says what is in it. */
async function contents(
	t: ExecutionContext,
	tar: Buffer,
): Promise<{files: Record<string, string>; odd: readonly string[]}> {
	const {entries, odd, error} = await readWhole(tar);
	t.is(error, undefined);
	const scan = await scanned(tar);
	t.deepEqual(
		scan.entries.map(({path: name, size, offset}) => [name, tar.toString('latin1', offset, offset + size)]),
		entries,
	);
	t.deepEqual(scan.odd, odd);
	t.is(scan.truncated, false);
	t.is(scan.problem, undefined);
	return {files: Object.fromEntries(entries), odd};
}

async function gnuTar(folder: string, ...args: readonly string[]): Promise<Buffer> {
	const file = path.join(folder, '..', `${path.basename(folder)}.tar`);
	const {code, stderr} = await run('tar', ['-cf', file, ...args], {cwd: folder});
	if (code !== 0) {
		throw new Error(stderr);
	}
	return readFile(file);
}

async function bundleFolder(t: ExecutionContext): Promise<string> {
	const folder = path.join(await tempDir(t), 'x');
	await mkdir(path.join(folder, 'bundle/blobs/sha256'), {recursive: true});
	await writeFile(path.join(folder, 'bundle/oci-layout'), '{}');
	await writeFile(path.join(folder, 'bundle/index.json'), '');
	await writeFile(path.join(folder, 'bundle/blobs/sha256', 'ab'.repeat(32)), 'z'.repeat(5000));
	return folder;
}

const bundleFiles = {
	'bundle/oci-layout': '{}',
	'bundle/index.json': '',
	[`bundle/blobs/sha256/${'ab'.repeat(32)}`]: 'z'.repeat(5000),
};

for (const format of ['v7', 'oldgnu', 'gnu', 'ustar', 'posix']) {
	test(`what GNU tar writes as ${format} is read: folders, leading "./", blocks at the end`, async t => {
		const folder = await bundleFolder(t);
		t.deepEqual(await contents(t, await gnuTar(folder, `--format=${format}`, 'bundle')), {files: bundleFiles, odd: []});
		t.deepEqual(await contents(t, await gnuTar(folder, `--format=${format}`, './bundle')), {
			files: bundleFiles,
			odd: [],
		});
		t.deepEqual(await contents(t, await gnuTar(folder, `--format=${format}`, '-b', '200', '.')), {
			files: bundleFiles,
			odd: [],
		});
	});
}

for (const format of ['oldgnu', 'gnu', 'ustar', 'posix']) {
	test(`long names are read as ${format} writes them`, async t => {
		const folder = await bundleFolder(t);
		// As long as a prefix holds, and for the others longer than any header.
		const depth = format === 'ustar' ? 2 : 6;
		const deep = `${`${'d'.repeat(60)}/`.repeat(depth)}${'f'.repeat(99)}`;
		await mkdir(path.dirname(path.join(folder, deep)), {recursive: true});
		await writeFile(path.join(folder, deep), 'deep');
		await symlink(deep, path.join(folder, 'bundle/link')).catch(() => undefined);
		const {files} = await contents(t, await gnuTar(folder, `--format=${format}`, '--exclude=link', '.'));
		t.deepEqual(files, {...bundleFiles, [deep]: 'deep'});
	});
}

test('names that are not ASCII are read', async t => {
	const folder = await bundleFolder(t);
	await writeFile(path.join(folder, 'Größe 名'), 'ü');
	for (const format of ['gnu', 'posix', 'ustar', 'v7']) {
		const {files} = await contents(t, await gnuTar(folder, `--format=${format}`, '.'));
		t.deepEqual(Object.keys(files).sort(), [...Object.keys(bundleFiles), 'Größe 名'].sort(), format);
	}
});

test('python writes what we read', async t => {
	const folder = await bundleFolder(t);
	for (const format of ['USTAR', 'GNU', 'PAX']) {
		const script = `
import tarfile
with tarfile.open('../py.tar', 'w:', format=tarfile.${format}_FORMAT) as tar:
    tar.add('bundle')
`;
		t.is((await run('python3', ['-c', script], {cwd: folder})).stderr, '');
		t.deepEqual(await contents(t, await readFile(path.join(folder, '../py.tar'))), {files: bundleFiles, odd: []});
	}
});

test('what is no plain file is passed over and named', async t => {
	const folder = await bundleFolder(t);
	await symlink('/etc/passwd', path.join(folder, 'soft'));
	await link(path.join(folder, 'bundle/oci-layout'), path.join(folder, 'hard'));
	t.is((await run('mkfifo', [path.join(folder, 'pipe')])).code, 0);
	for (const format of ['v7', 'gnu', 'ustar', 'posix']) {
		const which = format === 'v7' ? ['bundle', 'hard', 'soft'] : ['bundle', 'hard', 'pipe', 'soft'];
		const {files, odd} = await contents(t, await gnuTar(folder, `--format=${format}`, ...which));
		t.deepEqual(files, bundleFiles);
		t.deepEqual(odd, [
			'hard is a hard link',
			...(format === 'v7' ? [] : ['pipe is a named pipe']),
			'soft is a symbolic link',
		]);
	}
});

test('sparse files are passed over in each of their forms, however many pieces they have', async t => {
	const folder = await bundleFolder(t);
	const sparse = path.join(folder, 'a-sparse');
	const handle = await open(sparse, 'w');
	for (let piece = 0; piece < 60; piece++) {
		await handle.write('data', piece * 100_000);
	}
	await handle.truncate(9_000_000);
	await handle.close();
	for (const options of [
		['--format=gnu'],
		['--format=oldgnu'],
		['--format=posix', '--sparse-version=0.0'],
		['--format=posix', '--sparse-version=0.1'],
		['--format=posix', '--sparse-version=1.0'],
	]) {
		const tar = await gnuTar(folder, '-S', ...options, 'a-sparse', 'bundle');
		t.true(tar.length < 2_000_000, 'it is stored as sparse');
		const {files, odd} = await contents(t, tar);
		t.deepEqual(files, bundleFiles, options.join(' '));
		t.is(odd.length, 1);
		t.regex(odd[0] ?? '', /a-sparse(?:.\d+)? is stored as a sparse file: make the tar without that option$/u);
	}
});

test('sizes that no octal field holds are read: binary ones of GNU, and those of pax', async t => {
	const folder = await tempDir(t);
	const size = 9 * 2 ** 30 + 7;
	await writeFile(path.join(folder, 'large'), '');
	await truncate(path.join(folder, 'large'), size);
	for (const format of ['gnu', 'oldgnu', 'posix']) {
		const command = `tar --format=${format} -cf - large 2>/dev/null | head -c 20000`;
		const made = await run('bash', ['-c', `${command} > ${format}.tar`], {cwd: folder});
		t.is(made.code, 0, made.stderr);
		const file = path.join(folder, `${format}.tar`);
		const start = await readFile(file);
		const read = await readWhole(start);
		t.is(read.error?.message, 'the tar ends in the middle of large');
		t.is(read.part?.[0], 'large');
		// As if the rest had come, which is holes.
		const bodyOffset = format === 'posix' ? 1536 : 512;
		await truncate(file, bodyOffset + size + 505 + 1024);
		const handle = await open(file);
		const scan = await scanTar(
			async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
			(await handle.stat()).size,
		).finally(() => handle.close());
		t.deepEqual(
			scan.entries.map(entry => [entry.path, entry.size, entry.offset]),
			[['large', size, bodyOffset]],
			format,
		);
		t.false(scan.truncated);
	}
});

test('a prefix is one only where the header is of that kind', async t => {
	const tar = Buffer.concat([
		rawFile('index.json', 'a', {prefix: 'some/folder'}),
		rawFile('gnu', 'b', {magic: 'gnu', prefix: '14000000000'}),
		rawFile('v7', 'c', {magic: 'v7', prefix: 'anything'}),
		rawEnd,
	]);
	t.deepEqual((await contents(t, tar)).files, {'some/folder/index.json': 'a', gnu: 'b', v7: 'c'});
});

test('pax headers say names and sizes, of one entry or of all that follow', async t => {
	const long = `${'ä/'.repeat(100)}end`;
	const tar = Buffer.concat([
		pax({comment: 'a commit', mtime: '1.5'}, 'g'),
		pax({path: long, size: '3', 'SCHILY.xattr.user.x': 'a=b\nc'}),
		rawFile('short', 'abc', {size: 0}),
		rawFile('next', 'n'),
		// As illumos' tar writes them.
		pax({path: 'from-illumos', size: '2'}, 'X'),
		rawFile('x', 'ab', {size: 0}),
		pax({path: 'all'}, 'g'),
		rawFile('one', '1'),
		pax({path: 'not-all'}),
		rawFile('two', '2'),
		pax({path: ''}),
		rawFile('three', '3'),
		pax({path: ''}, 'g'),
		rawFile('four', '4'),
		rawEnd,
	]);
	const {entries, odd} = await readWhole(tar);
	t.deepEqual(odd, []);
	t.deepEqual(entries, [
		[long, 'abc'],
		['next', 'n'],
		['from-illumos', 'ab'],
		['all', '1'],
		['not-all', '2'],
		['three', '3'],
		['four', '4'],
	]);
	await contents(t, tar);
});

test("GNU's long names, and its links' targets, belong to the entry that follows", async t => {
	const tar = Buffer.concat([
		rawFile('././@LongLink', `${'k'.repeat(300)}\0`, {type: 'K', magic: 'gnu'}),
		rawFile('././@LongLink', `./${'l'.repeat(300)}\0`, {type: 'L', magic: 'gnu'}),
		rawFile('l', 'long'),
		rawFile('s', 'short'),
		rawFile('././@LongLink', 'no NUL', {type: 'L', magic: 'gnu'}),
		rawFile('x', 'y'),
		rawEnd,
	]);
	t.deepEqual(await contents(t, tar), {files: {['l'.repeat(300)]: 'long', s: 'short', 'no NUL': 'y'}, odd: []});
});

test('types of old and of others are taken for what they are', async t => {
	const tar = Buffer.concat([
		rawFile('old', 'o', {type: '\0', magic: 'v7'}),
		rawFile('contiguous', 'c', {type: '7'}),
		rawHeader({name: 'a label', type: 'V'}),
		// Before there was a type for folders; and one whose size is what it may hold.
		rawHeader({name: 'folder/', type: '\0', magic: 'v7'}),
		rawHeader({name: 'folder', type: '5', size: 4096}),
		rawHeader({name: 'link', type: '1', size: 77}),
		rawHeader({name: 'device', type: '3', size: 'nonsense'}),
		rawHeader({name: 'device', type: '4'}),
		rawFile('dump', 'names', {type: 'D'}),
		rawFile('rest of one', 'rest', {type: 'M'}),
		rawFile('signed', 's', {name: Buffer.from('signéd'), checksum: 'signed'}),
		rawFile('spaces', 's', {size: '         1 \0'}),
		rawFile('binary', 'b', {size: base256(1n)}),
		rawHeader({name: 'no size', size: '\0'.repeat(12)}),
		rawEnd,
	]);
	const {files, odd} = await contents(t, tar);
	t.deepEqual(files, {old: 'o', contiguous: 'c', signéd: 's', spaces: 's', binary: 'b', 'no size': ''});
	t.deepEqual(odd, [
		'link is a hard link',
		'device is a device',
		'device is a device',
		'dump is something of the unknown type "D"',
		'rest of one is a piece of a file that began in another tar',
	]);
});

test('an entry may be read, left, or left in the middle', async t => {
	const tar = Buffer.concat([...'abcd'.split('').map(name => rawFile(name, name.repeat(10_000))), rawEnd]);
	const seen: string[] = [];
	for await (const entry of readTar(new Pieces(tar, 1000))) {
		if (entry.path === 'b') {
			for await (const piece of entry.body) {
				seen.push(`${entry.path}${piece.length > 0}`);
				break;
			}
		} else if (entry.path === 'd') {
			const begun = entry.body[Symbol.asyncIterator]();
			await begun.next();
			seen.push(`d ${(await collect(entry.body)).length > 5000}`);
		} else {
			seen.push(entry.path);
		}
	}
	t.deepEqual(seen, ['a', 'btrue', 'c', 'd true']);
});

test("a body that has been passed is not somebody else's bytes", async t => {
	const tar = Buffer.concat([rawFile('a', 'a'.repeat(10_000)), rawFile('b', 'b'.repeat(10_000)), rawEnd]);
	const entries = readTar(new Pieces(tar, 1000));
	const first = await entries.next();
	await entries.next();
	t.false(first.done);
	if (first.done !== true) {
		const error = await t.throwsAsync(collect(first.value.body), {instanceOf: MirrorError});
		t.is(error.message, 'a has been passed already');
	}
	await entries.return();
});

test('behind the end mark nothing is read as an entry, and the source comes to its end', async t => {
	const tar = Buffer.concat([rawFile('a', 'a'), rawEnd]);
	const more = Buffer.concat([tar, Buffer.alloc(100_000), rawFile('b', 'b'), Buffer.from('rubbish')]);
	const source = new Pieces(more);
	t.deepEqual((await readWhole(source)).entries, [['a', 'a']]);
	t.is(source.given, more.length);
	t.true(source.isClosed);
	t.deepEqual(
		(await scanned(more)).entries.map(entry => entry.path),
		['a'],
	);

	const endless = new Pieces(Buffer.concat([tar, Buffer.alloc(4_000_000)]));
	t.deepEqual((await readWhole(endless)).entries, [['a', 'a']]);
	t.true(endless.isClosed, 'it is let go of');
	t.true(endless.given < 1_100_000, 'after a while');
});

test('one empty block is an end as well', async t => {
	const tar = Buffer.concat([rawFile('a', 'a'), Buffer.alloc(512)]);
	t.deepEqual((await contents(t, tar)).files, {a: 'a'});
	t.deepEqual((await contents(t, Buffer.concat([tar, Buffer.from('x')]))).files, {a: 'a'});
	t.deepEqual((await contents(t, Buffer.concat([tar, rawFile('b', 'b'), rawEnd]))).files, {a: 'a'});
});

test('the source is let go of by whoever stops, and what it throws comes through', async t => {
	const tar = Buffer.concat([rawFile('a', 'a'.repeat(100_000)), rawFile('b', 'b'), rawEnd]);
	const stopped = new Pieces(tar);
	for await (const {body} of readTar(stopped)) {
		for await (const piece of body) {
			t.true(piece.length > 0);
			break;
		}
		break;
	}
	t.true(stopped.isClosed);
	t.true(stopped.given < 20_000, 'nothing is read ahead');

	const lost = new Error('the line broke');
	for (const length of [0, 100, 512, 700, 50_000, 100_864]) {
		const {error} = await readWhole(new Pieces(tar.subarray(0, length), 512, lost));
		t.is(error, lost, String(length));
	}
});

/** The same tar in pieces of all sizes, empty ones among them. */
async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
	for (let offset = 0, turn = 0; offset < bytes.length; turn++) {
		const size = sizes[turn % sizes.length] ?? 1;
		yield bytes.subarray(offset, offset + size);
		offset += size;
	}
}

const someTar = Buffer.concat([
	pax({path: 'p/a/x'}),
	rawFile('a', 'abc'.repeat(300)),
	rawHeader({name: 'folder/', type: '5'}),
	rawFile('././@LongLink', `${'n'.repeat(200)}\0`, {type: 'L', magic: 'gnu'}),
	rawFile('b', 'b'.repeat(512)),
	rawFile('empty', ''),
	rawHeader({name: 'link', type: '2'}),
	rawFile('c', 'c'.repeat(2000)),
	rawEnd,
]);

test('how the bytes come in pieces makes no difference', async t => {
	const expected = await readWhole(someTar);
	t.is(expected.entries.length, 4);
	await fc.assert(
		fc.asyncProperty(fc.array(fc.oneof(fc.nat(3), fc.nat(1500)), {minLength: 1, maxLength: 8}), async sizes => {
			fc.pre(sizes.some(size => size > 0));
			t.deepEqual(await readWhole(inPieces(someTar, sizes)), expected);
		}),
		{numRuns: 60},
	);
});

test('a reader that gives few bytes at a time makes no difference either', async t => {
	const expected = await scanned(someTar);
	t.is(expected.entries.length, 4);
	for (const most of [1, 7, 512, 700, 100_000]) {
		const scan = await scanTar(
			async (into, position) => someTar.copy(into, 0, position, Math.min(someTar.length, position + most)),
			someTar.length,
		);
		t.deepEqual(scan, expected);
	}
	// It says it is longer than it is: the disk, or somebody, took the rest.
	const short = await scanTar(async (into, position) => someTar.copy(into, 0, position), someTar.length + 512);
	t.deepEqual(short, expected);
});

test('many small entries are scanned in few reads, and large ones not read', async t => {
	const tar = Buffer.concat([
		...Array.from({length: 1000}, (_, index) => rawFile(`small-${index}`, 's')),
		rawFile('large', Buffer.alloc(20_000_000)),
		rawFile('last', 'l'),
		rawEnd,
	]);
	let reads = 0;
	let bytes = 0;
	const scan = await scanTar(async (into, position) => {
		reads++;
		bytes += into.length;
		return tar.copy(into, 0, position);
	}, tar.length);
	t.is(scan.entries.length, 1002);
	t.true(reads < 30, `${reads} reads`);
	t.true(bytes < 1_500_000, `${bytes} bytes`);
});

test('a read that fails is no broken tar', async t => {
	const failure = new Error('EIO');
	await t.throwsAsync(
		scanTar(async () => {
			throw failure;
		}, 5000),
		{is: failure},
	);
});
