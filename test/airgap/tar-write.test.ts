import {open, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {headerBytes, padding, tarEnd, tarHeader, TarLayout} from '../../src/airgap/tar-write.js';
import {scanTar} from '../../src/airgap/tar-read.js';
import {MirrorError} from '../../src/errors.js';
import {run} from '../helpers/run-command.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {readWhole} from './raw-tar.js';

const blob = `blobs/sha256/${'0123456789abcdef'.repeat(4)}`;
const files = [
	['oci-layout', '{"imageLayoutVersion":"1.0.0"}'],
	['index.json', '{}'],
	[blob, 'x'.repeat(1024)],
	['blobs/sha256/empty', ''],
	['blobs/sha256/odd', 'y'.repeat(513)],
] as const;

function tarOf(items: readonly (readonly [string, string])[]): Buffer {
	const parts = items.flatMap(([name, body]) => {
		return [tarHeader(name, body.length), Buffer.from(body, 'latin1'), Buffer.alloc(padding(body.length))];
	});
	return Buffer.concat([...parts, tarEnd]);
}

/** What python's reader says of each entry. */
const pythonList = `
import sys, tarfile
for m in tarfile.open(sys.argv[1], 'r:'):
    print(m.name, m.size, oct(m.mode), m.uid, m.gid, repr(m.uname), repr(m.gname), m.mtime, m.isreg(), m.offset_data)
`;

test('GNU tar lists and extracts what we write, without a word of complaint', async t => {
	const folder = await tempDir(t);
	const file = path.join(folder, 'our.tar');
	await writeFile(file, tarOf(files));

	const listed = await run('tar', ['--utc', '--full-time', '-tvf', file]);
	t.is(listed.stderr, '');
	t.is(listed.code, 0);
	const lines = listed.stdout.trimEnd().split('\n');
	t.is(lines.length, files.length);
	for (const [index, [name, body]] of files.entries()) {
		t.regex(lines[index] ?? '', new RegExp(`^-rw-r--r-- 0/0 +${body.length} 1970-01-01 00:00:00 ${name}$`));
	}

	const extracted = await run('tar', ['-xf', file], {cwd: folder});
	t.deepEqual(extracted, {code: 0, stdout: '', stderr: ''});
	for (const [name, body] of files) {
		t.is(await readFile(path.join(folder, name), 'latin1'), body);
	}
});

test('what we write is what GNU tar writes when it is told to leave out time, place and people', async t => {
	const folder = await tempDir(t);
	await writeFile(path.join(folder, 'index.json'), 'z'.repeat(700));
	const options = ['--format=ustar', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@0', '--mode=0644', '-b1'];
	await run('tar', ['-cf', 'gnu.tar', ...options, 'index.json'], {cwd: folder});
	const theirs = await readFile(path.join(folder, 'gnu.tar'));
	sameBytes(t, tarOf([['index.json', 'z'.repeat(700)]]), theirs);
});

test('python reads what we write', async t => {
	const folder = await tempDir(t);
	const file = path.join(folder, 'our.tar');
	await writeFile(file, tarOf(files));
	const {stdout, stderr, code} = await run('python3', ['-c', pythonList, file]);
	t.is(stderr, '');
	t.is(code, 0);
	const layout = new TarLayout(files.map(([name, body]) => ({path: name, size: body.length})));
	t.deepEqual(
		stdout.trimEnd().split('\n'),
		layout.entries.map(entry => `${entry.path} ${entry.size} 0o644 0 0 '' '' 0 True ${entry.bodyOffset}`),
	);
});

test('a file of 9 GiB has its size where GNU tar, python and we find it', async t => {
	const folder = await tempDir(t);
	const file = path.join(folder, 'large.tar');
	const layout = new TarLayout([
		{path: 'oci-layout', size: 3},
		{path: blob, size: 9 * 2 ** 30 + 5},
		{path: 'just below', size: 2 ** 33 - 1},
		{path: 'just above', size: 2 ** 33},
		{path: 'last', size: 5},
	]);
	const handle = await open(file, 'w+');
	t.teardown(() => handle.close());
	await handle.truncate(layout.size);
	for (const entry of layout.entries) {
		const header = tarHeader(entry.path, entry.size);
		t.is(header.length, entry.bodyOffset - entry.headerOffset);
		await handle.write(header, 0, header.length, entry.headerOffset);
	}
	t.deepEqual(
		layout.entries.map(entry => entry.bodyOffset - entry.headerOffset),
		[512, 1536, 512, 1536, 512],
	);

	const listed = await run('tar', ['-tvf', file]);
	t.is(listed.stderr, '');
	t.deepEqual(
		listed.stdout
			.trimEnd()
			.split('\n')
			.map(line => Number(line.split(/ +/u)[2])),
		layout.entries.map(entry => entry.size),
	);
	const python = await run('python3', ['-c', pythonList, file]);
	t.deepEqual(
		python.stdout
			.trimEnd()
			.split('\n')
			.map(line => /^(.*?) (\d+) 0o644 .* (\d+)$/u.exec(line)?.slice(1)),
		layout.entries.map(entry => [entry.path, String(entry.size), String(entry.bodyOffset)]),
	);
	const scan = await scanTar(
		async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
		layout.size,
	);
	t.deepEqual(scan, {
		entries: layout.entries.map(({path: name, size, bodyOffset}) => ({
			path: name,
			size,
			isOurs: true,
			offset: bodyOffset,
		})),
		truncated: false,
		problem: undefined,
		odd: [],
	});
});

test('the pax header of a large file is all that pax asks for', t => {
	const header = tarHeader(blob, 2 ** 33);
	t.is(header.length, 1536);
	t.is(header.toString('latin1', 156, 157), 'x');
	t.is(header.toString('latin1', 0, 11), 'PaxHeaders/');
	t.is(header.toString('latin1', 512, 531), '19 size=8589934592\n');
	t.true(header.subarray(531, 1024).every(byte => byte === 0));
	t.is(header.toString('latin1', 1024, 1024 + blob.length), blob);
	// A record that has one digit more when its length has.
	t.regex(tarHeader('a', Number.MAX_SAFE_INTEGER).toString('latin1', 512, 1024), /^25 size=9007199254740991\n\0+$/u);
});

test('what could not be read again is not written', t => {
	for (const name of ['', 'a'.repeat(101), 'a\0b', 'ü', 'a\nb']) {
		t.throws(() => tarHeader(name, 1), {instanceOf: MirrorError}, JSON.stringify(name));
	}
	for (const size of [-1, 1.5, NaN, Infinity, 2 ** 53]) {
		t.throws(() => tarHeader('a', size), {instanceOf: MirrorError}, String(size));
	}
	t.notThrows(() => tarHeader('a'.repeat(100), 0));
	t.notThrows(() => tarHeader('a'.repeat(100), 2 ** 40));
});

test('an empty tar is its end mark', async t => {
	const layout = new TarLayout([]);
	t.is(layout.size, 1024);
	t.is(layout.countUntil(0), 0);
	t.deepEqual(await readWhole(tarEnd), {entries: [], part: undefined, odd: [], error: undefined});
});

const items = fc.array(fc.tuple(fc.constantFrom('a', 'oci-layout', blob), fc.nat(3000)), {maxLength: 12});

test('the layout says where everything stands, and what we write we read', async t => {
	await fc.assert(
		fc.asyncProperty(items, async sizes => {
			const written = sizes.map(([name, size], index) => [name, String(index % 10).repeat(size)] as const);
			const tar = tarOf(written);
			const layout = new TarLayout(written.map(([name, body]) => ({path: name, size: body.length, body})));
			t.is(layout.size, tar.length);
			for (const {bodyOffset, headerOffset, body, size, path: name} of layout.entries) {
				t.is(tar.toString('latin1', bodyOffset, bodyOffset + size), body);
				t.is(bodyOffset - headerOffset, headerBytes(size));
				sameBytes(t, tar.subarray(headerOffset, bodyOffset), tarHeader(name, size));
			}
			t.deepEqual((await readWhole(tar)).entries, written);
		}),
		{numRuns: 60},
	);
});

test('the entry at any place of a tar is found', t => {
	fc.assert(
		fc.property(
			fc.array(fc.oneof(fc.nat(2000), fc.integer({min: 2 ** 33 - 2, max: 2 ** 34}))),
			fc.nat(),
			(sizes, where) => {
				const layout = new TarLayout(sizes.map(size => ({path: 'a', size})));
				const position = where % layout.size;
				const expected = layout.entries.filter(entry => entry.headerOffset <= position).length;
				t.is(layout.countUntil(position), expected);
				t.is(layout.countUntil(layout.size), sizes.length);
			},
		),
	);
});
