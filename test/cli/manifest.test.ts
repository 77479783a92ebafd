import {createHash} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import {runCli} from '../../src/cli/run.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';
import {startFakeServer} from './fake-server.js';

const bytes = gzipSync(pseudoRandom(100_000, 9));
const sha1 = createHash('sha1').update(bytes).digest('hex');

async function bench(t: ExecutionContext, name = 'my-base-21.4.0.zfs.gz'): Promise<{io: FakeIo; file: string}> {
	const io = new FakeIo();
	io.directory = await tempDir(t);
	const file = join(io.directory, name);
	writeFileSync(file, bytes);
	return {io, file};
}

const printed = (io: FakeIo): Record<string, unknown> => JSON.parse(io.out) as Record<string, unknown>;

test('manifest says all that can be known of a file', async t => {
	const {io, file} = await bench(t);
	t.is(await runCli(['manifest', file, '--description', 'd'], io), 0, io.err);
	const {uuid, ...rest} = printed(io);
	t.regex(String(uuid), /^[0-9a-f-]{36}$/);
	t.like(rest, {
		v: 2,
		name: 'my-base',
		version: '21.4.0',
		description: 'd',
		type: 'zone-dataset',
		os: 'smartos',
		public: false,
		files: [{sha1, size: bytes.length, compression: 'gzip'}],
	});
	t.deepEqual(Object.keys(printed(io)).slice(0, 4), ['v', 'uuid', 'name', 'version']);
	t.is(io.err, '');
});

test('manifest reads a pipe, and writes where it is told', async t => {
	const {io} = await bench(t);
	io.stdin = Readable.from([bytes]);
	t.is(await runCli(['manifest', '-', '--name', 'a', '--version', '1', '-o', 'out.json'], io), 0, io.err);
	t.is(io.out, '');
	const written = JSON.parse(readFileSync(join(io.directory, 'out.json'), 'utf8')) as Record<string, unknown>;
	t.like(written, {name: 'a', version: '1', files: [{sha1, size: bytes.length, compression: 'gzip'}]});

	io.stdin = Readable.from([bytes]);
	t.is(await runCli(['manifest', '-', '--name', 'a', '--version', '1', '-o', 'absent/out.json'], io), 1);
	t.regex(io.err, /out\.json cannot be written: ENOENT/);
});

test('manifest makes none of a pipe that was cut', async t => {
	const {io} = await bench(t);
	io.stdin = Readable.from([bytes.subarray(0, -5)]);
	t.is(await runCli(['manifest', '-', '--name', 'a', '--version', '1'], io), 1);
	t.is(io.out, '');
});

test('manifest begins with one that is there', async t => {
	const {io, file} = await bench(t, 'odd.bin');
	const uuid = '01b2c898-945f-11e1-a523-af1afbe22822';
	writeFileSync(
		join(io.directory, 'm'),
		JSON.stringify({v: 2, uuid, name: 'n', version: '2', tags: {a: 'b'}, files: []}),
	);
	t.is(await runCli(['manifest', file, '-m', 'm', '--version', '3', '--tag', 'c=d', '--public'], io), 0, io.err);
	t.like(printed(io), {uuid, name: 'n', version: '3', tags: {a: 'b', c: 'd'}, public: true, files: [{sha1}]});
});

test('manifest needs a name and a version that it cannot guess', async t => {
	const {io, file} = await bench(t, 'odd.bin');
	t.is(await runCli(['manifest', file], io), 2);
	t.regex(io.err, /--name and --version: an image needs both/);
});

test('manifest needs either a file or an image', async t => {
	const {io, file} = await bench(t);
	t.is(await runCli(['manifest'], io), 2);
	t.is(await runCli(['manifest', file, '--from', '01b2c898-945f-11e1-a523-af1afbe22822'], io), 2);
	t.regex(io.err, /expected either a FILE or --from UUID/);
	t.is(await runCli(['manifest', '--from', 'x'], io), 2);
	t.regex(io.err, /--from: expected the uuid of an image, got "x"/);
});

test("manifest --from prints a server's", async t => {
	const {io} = await bench(t);
	const server = await startFakeServer(t);
	const uuid = '01b2c898-945f-11e1-a523-af1afbe22822';
	server.images.set(uuid, {manifest: {uuid, name: 'x'}, bytes: undefined, icon: undefined});
	t.is(await runCli(['manifest', '--from', uuid, '--url', server.url, '-C', 'dev'], io), 0, io.err);
	t.deepEqual(printed(io), {uuid, name: 'x'});
	t.deepEqual(server.requests, ['GET /images/ID?channel=dev']);

	const other = '11b2c898-945f-11e1-a523-af1afbe22822';
	t.is(await runCli(['manifest', '--from', other, '--url', server.url], io), 1);
	t.regex(io.err, /says: there is no image .* \(ResourceNotFound\)\n$/);
	t.is(await runCli(['manifest', '--from', other, '--url', 'http://127.0.0.1:1'], io), 1);
	t.regex(io.err, /connection refused/);
});

async function lintFiles(t: ExecutionContext, files: Readonly<Record<string, unknown>>): Promise<FakeIo> {
	const io = new FakeIo();
	io.directory = await tempDir(t);
	for (const [name, content] of Object.entries(files)) {
		writeFileSync(join(io.directory, name), typeof content === 'string' ? content : JSON.stringify(content));
	}
	return io;
}

const good = {
	v: 2,
	uuid: '01b2c898-945f-11e1-a523-af1afbe22822',
	owner: '930896af-bf8c-48d4-885c-6573a94b1853',
	name: 'base',
	version: '1.0.0',
	description: 'A base image',
	public: true,
	type: 'zone-dataset',
	os: 'smartos',
	requirements: {networks: [{name: 'net0', description: 'public'}], min_platform: {'7.0': '20210826T002459Z'}},
	files: [{sha1: 'a'.repeat(40), size: 1000, compression: 'gzip'}],
};

test('lint fails for what no server takes, line by line', async t => {
	const io = await lintFiles(t, {bad: {...good, name: 'a*b', os: 'plan9'}});
	t.is(await runCli(['lint', 'bad'], io), 1);
	t.regex(io.out, /^error +name +/m);
	t.regex(io.out, /^error +os +/m);
	t.regex(io.out, /\n2 errors[^\n]*\n$/);
	t.is(io.err, '');
});

test('lint does not fail for advice, unless it is to be strict', async t => {
	const io = await lintFiles(t, {plus: {...good, version: '1.0+1'}});
	t.is(await runCli(['lint', 'plus'], io), 0, io.out);
	t.regex(io.out, /^(?:warning|advice) +version /m);
	t.is(await runCli(['lint', '--strict', 'plus'], io), 1);
});

test('lint names files where there are several, and goes on after one that is none', async t => {
	const io = await lintFiles(t, {bad: '{"v": 2', worse: {...good, name: 'a*b'}});
	t.is(await runCli(['lint', 'absent', 'bad', 'worse'], io), 1);
	t.regex(io.out, /^absent +error +- +it cannot be read: ENOENT/m);
	t.regex(io.out, /^bad +error +- +it is no JSON: /m);
	t.regex(io.out, /^worse +error +name /m);
});

test('lint reads a pipe, knows modes, and prints JSON', async t => {
	const io = await lintFiles(t, {});
	io.stdin = Readable.from([JSON.stringify(good)]);
	t.is(await runCli(['lint', '-', '--mode', 'private', '--json'], io), 1);
	const findings = JSON.parse(io.out) as Record<string, unknown>[];
	t.true(findings.some(({level, field, file}) => level === 'error' && field === 'public' && file === '-'));
	t.is(await runCli(['lint', '-', '--mode', 'x'], io), 2);
});

test('lint has colours for a terminal that wants them', async t => {
	const io = await lintFiles(t, {bad: {...good, name: 'a*b\u001b[2J'}});
	io.stdout.isTTY = true;
	t.is(await runCli(['lint', 'bad'], io), 1);
	t.true(io.out.includes('\u001b[31merror\u001b[0m'));
	t.false(io.out.includes('\u001b[2J'));
	io.out = '';
	io.env['NO_COLOR'] = '1';
	t.is(await runCli(['lint', 'bad'], io), 1);
	t.false(io.out.includes('\u001b'));
});

test('lint says so where there is nothing to say', async t => {
	const {io, file} = await bench(t);
	t.is(await runCli(['manifest', file, '--description', 'A base image', '-o', 'm'], io), 0);
	t.is(await runCli(['lint', 'm'], io), 0, io.out);
});
