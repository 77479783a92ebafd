import {createHash, randomUUID} from 'node:crypto';
import {appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import {runCli} from '../../src/cli/run.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';
import {startFakeServer, type FakeServer} from './fake-server.js';
import {SkippingClock} from './skipping-clock.js';

interface Bench {
	readonly server: FakeServer;
	readonly io: FakeIo;
	readonly clock: SkippingClock;
	readonly file: string;
	readonly bytes: Buffer;
	/** Publishes what the arguments say to the server. */
	readonly run: (...argv: string[]) => Promise<number>;
	/** Another process of the same user. */
	readonly again: () => FakeIo;
}

const named = ['--name', 'base', '--version', '1.0.0'];

/** By size: to make one takes longer than most tests. */
const made = new Map<number, Buffer>();

function fileOf(size: number): Buffer {
	const packed = gzipSync(pseudoRandom(Math.floor(size * 0.99) - 100, 7));
	// Tapes fill up with zeros, too.
	return Buffer.concat([packed, Buffer.alloc(size - packed.length)]);
}

async function bench(t: ExecutionContext, {size = 300_000}: {readonly size?: number} = {}): Promise<Bench> {
	const server = await startFakeServer(t);
	const directory = await tempDir(t);
	const file = join(directory, 'base.zfs.gz');
	const whole = made.get(size) ?? fileOf(size);
	made.set(size, whole);
	const bytes = Buffer.from(whole);
	writeFileSync(file, bytes);
	const clock = new SkippingClock();
	const again = (): FakeIo => {
		const io = new FakeIo();
		io.env['HOME'] = directory;
		io.clock = clock;
		io.directory = directory;
		return io;
	};
	const io = again();
	return {
		server,
		io,
		clock,
		file,
		bytes,
		again,
		run: (...argv) => runCli(['publish', '--url', server.url, ...argv], io),
	};
}

const sha1 = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex');

const statesIn = (io: FakeIo): readonly string[] => {
	const directory = join(io.env['HOME'] ?? '', '.local/state/imgmirror/uploads');
	try {
		return readdirSync(directory).map(name => join(directory, name));
	} catch {
		return [];
	}
};

test('a file becomes an active image, and its uuid is all that stdout gets', async t => {
	const {server, io, file, bytes, run} = await bench(t);
	t.is(await run(file, ...named, '--description', 'it is ours'), 0, io.err);
	sameBytes(t, server.image.bytes, bytes);
	t.like(server.image.manifest, {
		name: 'base',
		version: '1.0.0',
		description: 'it is ours',
		type: 'zone-dataset',
		os: 'smartos',
		public: 'false',
		state: 'active',
		files: [{sha1: sha1(bytes), size: bytes.length, compression: 'gzip'}],
	});
	t.is(io.out, `${String(server.image.manifest['uuid'])}\n`);
	t.regex(io.err, /^imgmirror: published base 1\.0\.0 as [0-9a-f-]{36}: 300 kB in /);
	t.deepEqual(server.requests, [
		'POST /uploads',
		'PATCH /uploads/ID',
		'GET /images/ID',
		'POST /images/ID?action=activate',
	]);
	t.deepEqual(statesIn(io), []);
});

test('what is piped in becomes an image, too', async t => {
	const {server, io, run} = await bench(t);
	const bytes = gzipSync(pseudoRandom(500_000, 3));
	io.stdin = Readable.from([bytes.subarray(0, 1), bytes.subarray(1, 5), '', bytes.subarray(5)]);
	t.is(await run(...named), 0, io.err);
	sameBytes(t, server.image.bytes, bytes);
	t.is(io.out, `${String(server.image.manifest['uuid'])}\n`);
	t.false([...server.uploads.values()].some(({metadata}) => metadata.has('sha1')));
});

test('a large pipe is sent stretch by stretch, with its length at the end', async t => {
	const {server, io, run} = await bench(t);
	const bytes = pseudoRandom(40_000_000, 5);
	io.stdin = Readable.from(pieces(bytes, 65_536));
	t.is(await run('-', ...named), 0, io.err);
	t.true(server.image.bytes?.equals(bytes));
	t.is(server.count('PATCH'), 3);
	t.like(server.image.manifest['files'], [{compression: 'none'}]);
});

function* pieces(bytes: Buffer, size: number): Generator<Buffer> {
	for (let at = 0; at < bytes.length; at += size) {
		yield bytes.subarray(at, at + size);
	}
}

test('-j prints the manifest, -q says nothing', async t => {
	const {server, io, file, run} = await bench(t);
	t.is(await run(file, ...named, '-j', '-q'), 0);
	t.deepEqual(JSON.parse(io.out), server.image.manifest);
	t.is(io.err, '');
});

test('after a cut, only what the server lacks is sent', async t => {
	const {server, io, file, bytes, clock, run} = await bench(t, {size: 40_000_000});
	server.faults.push({cutAfter: 9_000_000}, {cutAfter: 100}, 'none', {cutAfter: 5_000_001});
	t.is(await run(file, ...named), 0, io.err);
	t.true(server.image.bytes?.equals(bytes));
	t.is(server.count('POST /uploads'), 1);
	t.is(server.count('HEAD'), 3);
	// Whatever was on its way when the line broke, and no more.
	t.true(server.received < bytes.length + 3 * 16_777_216, String(server.received));
	t.is((io.err.match(/trying again in \d+ s/g) ?? []).length, 3);
	// Each got on, so none had to wait longer than the first.
	t.true(clock.waits.every(wait => wait <= 1000));
});

test('a pipe survives cuts as well', async t => {
	const {server, io, run} = await bench(t);
	const bytes = pseudoRandom(40_000_000, 6);
	server.faults.push({cutAfter: 9_000_000}, {loseAnswer: true}, {cutAfter: 0}, 'none', {loseAnswer: true});
	io.stdin = Readable.from(pieces(bytes, 65_536));
	t.is(await run(...named), 0, io.err);
	t.true(server.image.bytes?.equals(bytes));
	t.is(io.out, `${String(server.image.manifest['uuid'])}\n`);
});

test('waits grow where nothing gets through, up to half a minute', async t => {
	const {server, io, file, clock, run} = await bench(t);
	server.faults.push(...Array<{status: number; keep: number}>(10).fill({status: 500, keep: 0}));
	t.is(await run(file, ...named), 0, io.err);
	t.is(clock.waits.length, 10);
	for (const [index, wait] of clock.waits.entries()) {
		const most = Math.min(30_000, 1000 * 2 ** index);
		t.true(wait >= most / 2 && wait <= most, `${wait} at ${index}`);
	}
	t.regex(io.err, /says: as the test wants it \(InternalError\); trying again in 1 s\n/);
});

test('a busy server says how long to wait', async t => {
	const {server, io, file, clock, run} = await bench(t);
	server.faults.push({status: 503, keep: 0, headers: {'retry-after': '20'}});
	t.is(await run(file, ...named), 0, io.err);
	t.deepEqual(clock.waits, [20_000]);
});

test('a restart of the server is survived', async t => {
	const {server, io, file, bytes, run} = await bench(t, {size: 20_000_000});
	server.faults.push({stopAfter: 18_000_000}, {stopAfter: 2_000_000});
	const running = run(file, ...named);
	await io.until(() => io.err.includes('connection refused'));
	await server.start();
	const before = io.err.length;
	await io.until(() => io.err.slice(before).includes('connection refused'));
	await server.start();
	t.is(await running, 0, io.err);
	t.true(server.image.bytes?.equals(bytes));
	t.is(server.count('POST /uploads'), 1);
});

test('an upload whose last answer was lost is asked after, not sent again', async t => {
	const {server, io, file, bytes, run} = await bench(t);
	server.faults.push({loseAnswer: true});
	t.is(await run(file, ...named), 0, io.err);
	t.is(server.images.size, 1);
	t.is(server.received, bytes.length);
	t.is(server.count('PATCH'), 1);
});

test('patience ends: the upload of a file is kept and the next run goes on with it', async t => {
	const {server, io, file, bytes, clock, run, again} = await bench(t, {size: 1_000_000});
	server.faults.push({cutAfter: 400_000}, ...Array<{status: number; keep: number}>(400).fill({status: 500, keep: 0}));
	const began = clock.now();
	t.is(await run(file, ...named, '--retry-for', '10m'), 1);
	const took = clock.now() - began;
	t.true(took > 9 * 60_000 && took <= 11 * 60_000, String(took));
	t.is(io.out, '');
	t.regex(
		io.err,
		/imgmirror: \S+ says: as the test wants it \(InternalError\)\nimgmirror: \S+ keeps what it has until .*: run the same command again to go on\n$/,
	);
	t.is(statesIn(io).length, 1);
	t.is(server.uploads.size, 1);

	server.faults.length = 0;
	server.received = 0;
	const later = again();
	t.is(await runCli(['publish', file, ...named, '--url', server.url], later), 0, later.err);
	t.regex(later.err, /going on with what an earlier run has begun/);
	t.true(server.image.bytes?.equals(bytes));
	t.is(server.received, 600_000);
	t.is(server.count('POST /uploads'), 1);
	t.deepEqual(statesIn(io), []);
});

test('Ctrl-C keeps the upload of a file and says how to go on', async t => {
	const {server, io, file, bytes, run, again} = await bench(t, {size: 20_000_000});
	server.faults.push('none', {stopAfter: 1_000_000});
	const running = run(file, ...named);
	await io.until(() => io.err.includes('trying again'));
	io.process.emit('SIGINT', 'SIGINT');
	t.is(await running, 130);
	t.regex(io.err, /imgmirror: stopped\nimgmirror: .* keeps what it has .*: run the same command again to go on\n$/);
	t.deepEqual(io.exits, []);
	t.is(io.process.listenerCount('SIGINT'), 0);
	const [state = ''] = statesIn(io);
	t.is(statSync(state).mode & 0o777, 0o600);
	t.false(readFileSync(state, 'utf8').includes('secret'));

	await server.start();
	server.received = 0;
	const later = again();
	t.is(await runCli(['publish', file, ...named, '--url', server.url], later), 0, later.err);
	t.true(server.image.bytes?.equals(bytes));
	t.true(server.received < 4_000_000, String(server.received));
});

test('Ctrl-C twice ends at once', async t => {
	const {server, io, file, run} = await bench(t);
	// Neither answered nor closed.
	server.before = request => request.method === 'DELETE' || request.method === 'PATCH';
	const running = run(file, ...named, '--no-resume');
	while (server.count('PATCH') === 0) {
		await new Promise(resolve => setImmediate(resolve));
	}
	io.process.emit('SIGINT', 'SIGINT');
	while (server.count('DELETE') === 0) {
		await new Promise(resolve => setImmediate(resolve));
	}
	io.process.emit('SIGINT', 'SIGINT');
	t.deepEqual(io.exits, [130]);
	await server.stop();
	t.is(await running, 130);
});

test('Ctrl-C takes the upload of a pipe back: nobody can go on with it', async t => {
	const {server, io, run} = await bench(t);
	server.faults.push({status: 500, keep: 10});
	server.before = request => request.method === 'HEAD';
	io.stdin = Readable.from([pseudoRandom(1000, 1)]);
	const running = run(...named);
	while (server.count('HEAD') === 0) {
		await new Promise(resolve => setImmediate(resolve));
	}
	io.process.emit('SIGTERM', 'SIGTERM');
	t.is(await running, 130);
	t.regex(io.err, /stopped\nimgmirror: nothing was published\n$/);
	t.is(server.uploads.size, 0);
	t.is(server.images.size, 0);
});

test('a changed file, or one to be published otherwise, begins anew', async t => {
	const {server, io, file, run, again} = await bench(t, {size: 1_000_000});
	server.faults.push({cutAfter: 400_000}, ...Array<{status: number; keep: number}>(9).fill({status: 500, keep: 0}));
	t.is(await run(file, ...named, '--retry-for', '1m'), 1);
	server.faults.length = 0;
	t.is(statesIn(io).length, 1);

	const other = again();
	t.is(await runCli(['publish', file, '--name', 'other', '--version', '1', '--url', server.url], other), 0, other.err);
	t.is(server.count('POST /uploads'), 2);
	appendFileSync(file, 'more');
	const changed = again();
	t.is(await runCli(['publish', file, ...named, '--url', server.url], changed), 0, changed.err);
	t.is(server.count('POST /uploads'), 3);
	t.false(changed.err.includes('going on'));
});

test('an upload that the server has lost begins anew, if it is of a file', async t => {
	const {server, io, file, bytes, run} = await bench(t, {size: 20_000_000});
	server.faults.push('none', {forget: true});
	t.is(await run(file, ...named), 0, io.err);
	t.regex(io.err, /does not have this upload any more: it begins anew/);
	t.true(server.image.bytes?.equals(bytes));
	t.is(server.count('POST /uploads'), 2);
});

test('and not for ever', async t => {
	const {server, io, file, run} = await bench(t);
	server.faults.push(...Array<{forget: true}>(10).fill({forget: true}));
	t.is(await run(file, ...named), 1);
	t.is(server.count('POST /uploads'), 3);
	t.regex(io.err, /there is no upload .*\(ResourceNotFound\)\nimgmirror: nothing was published\n$/);
});

test('of a pipe that has been let go of, it fails and says so', async t => {
	const {server, io, run} = await bench(t);
	server.faults.push('none', {forget: true});
	io.stdin = Readable.from(pieces(pseudoRandom(40_000_000, 6), 65_536));
	t.is(await run(...named), 1);
	t.regex(io.err, /the server has lost this upload, and what came through the pipe cannot be read again/);
	t.is(server.images.size, 0);
	t.is(io.out, '');
});

test('of a pipe of which all is still held, it begins anew', async t => {
	const {server, io, run} = await bench(t);
	const bytes = pseudoRandom(100_000, 6);
	server.faults.push({forget: true});
	io.stdin = Readable.from(pieces(bytes, 65_536));
	t.is(await run(...named), 0, io.err);
	sameBytes(t, server.image.bytes, bytes);
});

test('what the server refuses is said line by line, and nothing is left there', async t => {
	const {server, io, file, run} = await bench(t);
	server.before = (request, response) => {
		if (request.method !== 'POST') {
			return false;
		}
		const errors = [
			{field: 'name', code: 'Invalid', message: 'has odd characters'},
			{field: 'os', code: 'MissingParameter'},
			'nonsense',
		];
		response.writeHead(422).end(JSON.stringify({code: 'ValidationFailed', message: 'two things', errors}));
		return true;
	};
	t.is(await run(file, ...named), 1);
	t.is(
		io.err,
		[
			`imgmirror: ${server.url} says: two things (ValidationFailed)`,
			'  name: has odd characters (Invalid)',
			'  os: is missing (MissingParameter)',
			'imgmirror: nothing was published',
			'',
		].join('\n'),
	);
	t.deepEqual(server.requests, ['POST /uploads']);
});

test('a refusal at the end is final', async t => {
	const {server, io, file, run} = await bench(t);
	server.faults.push({status: 400});
	t.is(await run(file, ...named), 1);
	t.regex(io.err, /says: as the test wants it \(Download\)\nimgmirror: nothing was published\n$/);
	t.is(server.uploads.size, 0);
	t.deepEqual(statesIn(io), []);
});

test('a server that holds other bytes than were sent publishes nothing', async t => {
	const {server, io, file, run} = await bench(t);
	server.claimedSha1 = 'f'.repeat(40);
	t.is(await run(file, ...named), 1);
	t.regex(
		io.err,
		/the server holds other bytes than were sent: .* SHA-1 f{40}, not .*\nimgmirror: nothing was published\n$/,
	);
	t.is(server.images.size, 0);
	t.is(server.count('POST /images'), 0);
});

test('without a login, or with a wrong one, it is told where to put it', async t => {
	const {server, io, file, run, again} = await bench(t);
	server.login = `Basic ${Buffer.from('alice:s3:cr@t').toString('base64')}`;
	t.is(await run(file, ...named), 1);
	t.regex(io.err, /wants a login: put user and password into the URL: --url http:\/\/USER:PASSWORD@HOST\n/);

	const wrong = again();
	const at = (user: string): string => server.url.replace('//', `//${user}@`);
	t.is(await runCli(['publish', file, ...named, '--url', at('alice:guess')], wrong), 1);
	t.regex(wrong.err, /the user or the password in the URL is wrong/);
	t.false(wrong.err.includes('guess'));

	const right = again();
	right.env['IMGMIRROR_URL'] = at('alice:s3%3Acr%40t');
	t.is(await runCli(['publish', file, ...named], right), 0, right.err);
});

test('the channel goes with everything; a URL may carry it', async t => {
	const {server, io, file, again} = await bench(t);
	t.is(await runCli(['publish', file, ...named, '--url', server.url, '--channel', 'dev'], io), 0, io.err);
	t.deepEqual(server.requests.slice(2), ['GET /images/ID?channel=dev', 'POST /images/ID?action=activate&channel=dev']);
	const [upload] = server.uploads.values();
	t.is(upload?.metadata.get('channel'), 'dev');
	const other = again();
	t.is(await runCli(['publish', file, ...named, '--url', `${server.url}/?channel=release`], other), 0, other.err);
	t.is(server.requests.at(-1), 'POST /images/ID?action=activate&channel=release');
});

test('--no-activate leaves it unactivated and says so', async t => {
	const {server, io, file, run} = await bench(t);
	t.is(await run(file, ...named, '--no-activate'), 0);
	t.is(server.image.manifest['state'], 'unactivated');
	t.regex(io.err, /, which is unactivated: /);
});

test('an icon is there before the image is active', async t => {
	const {server, io, file, run} = await bench(t);
	const icon = join(await tempDir(t), 'icon');
	writeFileSync(icon, Buffer.from([0x89, 0x50, 0x4e, 0x47, 1, 2, 3]));
	t.is(await run(file, ...named, '--icon', icon), 0, io.err);
	t.is(server.image.icon?.length, 7);
	t.is(server.image.manifest['icon'], 'image/png');
	t.true(server.requests.indexOf('PUT /images/ID/icon') < server.requests.indexOf('POST /images/ID?action=activate'));

	writeFileSync(icon, 'BM');
	t.is(await run(file, ...named, '--icon', icon), 1);
	t.regex(io.err, /neither PNG nor JPEG nor GIF\n$/);
	writeFileSync(icon, Buffer.concat([Buffer.from('GIF89a'), Buffer.alloc(131_072)]));
	t.is(await run(file, ...named, '--icon', icon), 1);
	t.regex(io.err, /131072 is the most\n$/);
});

test('a manifest keeps its uuid; what names cannot say is imported first', async t => {
	const {server, io, file, bytes, run} = await bench(t);
	const uuid = randomUUID();
	const manifest = join(await tempDir(t), 'm.json');
	const said = {
		v: 2,
		uuid,
		name: 'base',
		version: '1.0.0',
		state: 'active',
		icon: true,
		published_at: '2020-01-01T00:00:00.000Z',
		type: 'zone-dataset',
		os: 'smartos',
		files: [{sha1: sha1(bytes).toUpperCase(), size: bytes.length, compression: 'gzip'}],
		tags: {nested: {a: [1]}},
	};
	writeFileSync(manifest, JSON.stringify(said));
	t.is(await run(file, '--manifest', manifest, '--description', 'laid over'), 0, io.err);
	t.deepEqual(server.requests, [
		'POST /images/ID?action=import',
		'POST /uploads',
		'PATCH /uploads/ID',
		'GET /images/ID',
		'POST /images/ID?action=activate',
	]);
	const {state, files, ...rest} = server.image.manifest;
	t.is(state, 'active');
	t.truthy(files);
	t.like(rest, {uuid, published_at: said.published_at, tags: said.tags, description: 'laid over'});
	t.false('icon' in rest);
	const [upload] = server.uploads.values();
	t.deepEqual(
		[...(upload?.metadata ?? [])],
		[
			['image', uuid],
			['compression', 'gzip'],
			['sha1', sha1(bytes)],
		],
	);

	t.is(await run(file, '--manifest', manifest), 1);
	t.regex(io.err, /is taken \(ImageUuidAlreadyExists\)\nimgmirror: nothing was published\n$/);
	t.is(server.images.size, 1, 'what was there before is left alone');
});

test('an image that was made first is taken back when its file is refused, and gone on with after a break', async t => {
	const {server, file, run, again} = await bench(t);
	server.faults.push({status: 400});
	const networks = '--requirement=networks=[{"name":"net0","description":"a"},{"name":"net1","description":"b"}]';
	t.is(await run(file, ...named, networks), 1);
	t.is(server.images.size, 0);
	t.is(server.requests[0], 'POST /images');

	server.faults.push({cutAfter: 1000}, ...Array<{status: number; keep: number}>(9).fill({status: 500, keep: 0}));
	t.is(await run(file, ...named, networks, '--retry-for', '1m'), 1);
	t.is(server.images.size, 1);
	server.faults.length = 0;
	const later = again();
	t.is(await runCli(['publish', file, ...named, networks, '--url', server.url], later), 0, later.err);
	t.is(server.images.size, 1);
	t.is(server.image.manifest['state'], 'active');
	t.is(later.out.trim(), String(server.image.manifest['uuid']));
});

test('a manifest from the times of DSAPI is taken', async t => {
	const {server, io, file, bytes, run} = await bench(t);
	const manifest = join(await tempDir(t), 'm.dsmanifest');
	const uuid = randomUUID();
	writeFileSync(
		manifest,
		JSON.stringify({
			uuid,
			name: 'old',
			version: '0.1',
			description: 'old',
			type: 'zone-dataset',
			os: 'smartos',
			creator_uuid: randomUUID(),
			published_at: '2012-05-02T15:14Z',
			files: [{path: 'old.zfs.gz', sha1: sha1(bytes), size: bytes.length}],
		}),
	);
	t.is(await run(file, '-m', manifest), 0, io.err);
	t.like(server.image.manifest, {uuid, name: 'old', published_at: '2012-05-02T15:14:00Z', v: 2});
});

test('a file that is not what its manifest says is not sent', async t => {
	const {server, io, file, bytes, run} = await bench(t);
	const manifest = join(await tempDir(t), 'm.json');
	const write = (of: Record<string, unknown>): void => {
		writeFileSync(manifest, JSON.stringify({v: 2, name: 'a', version: '1', files: [of]}));
	};
	write({size: bytes.length + 1, compression: 'gzip', sha1: 'a'.repeat(40)});
	t.is(await run(file, '-m', manifest), 1);
	t.regex(io.err, /the file has 300000 bytes, but its manifest says 300001\n$/);
	write({size: bytes.length, compression: 'xz', sha1: 'a'.repeat(40)});
	t.is(await run(file, '-m', manifest), 1);
	t.regex(io.err, /gzip.*xz|xz.*gzip/);
	t.deepEqual(server.requests, []);
});

const nothing: Readonly<Record<string, readonly [bytes: Buffer | undefined, said: RegExp]>> = {
	'nothing at all': [undefined, /nothing came in through the pipe, so nothing was published: .*set -o pipefail/],
	'the gzip file of nothing': [gzipSync(Buffer.alloc(0)), /gzip file of nothing.*set -o pipefail/],
	'a gzip file without its end': [
		gzipSync(pseudoRandom(100_000, 1)).subarray(0, -9),
		/no whole gzip file \(unexpected end of file\)/,
	],
	'a damaged gzip file': [damaged(gzipSync(Buffer.alloc(100_000))), /no whole gzip file \(/],
};

function damaged(bytes: Buffer): Buffer {
	bytes.fill(0xff, 40, 60);
	return bytes;
}

for (const [what, [bytes, said]] of Object.entries(nothing)) {
	test(`a pipe that brings ${what} publishes nothing`, async t => {
		const {server, io, run} = await bench(t);
		io.stdin = Readable.from(bytes === undefined ? [] : [bytes]);
		t.is(await run(...named), 1);
		t.regex(io.err, said);
		t.is(io.out, '');
		t.is(server.images.size, 0);
		t.is(server.uploads.size, 0);
	});
}

test('a file that is cut off is not published, unless it is said to be right', async t => {
	const {server, io, file, run} = await bench(t);
	const bytes = gzipSync(pseudoRandom(300_000, 1)).subarray(0, -9);
	writeFileSync(file, bytes);
	t.is(await run(file, ...named), 1);
	t.regex(io.err, /no whole gzip file \(/);
	t.is(io.out, '');
	t.is(server.images.size, 0);
	t.is(server.uploads.size, 0);
	t.is(await run(file, ...named, '--no-check'), 0, io.err);
	sameBytes(t, server.image.bytes, bytes);
});

test('a pipe that cannot be read publishes nothing', async t => {
	const {server, io, run} = await bench(t);
	io.stdin = Readable.from(
		(async function* () {
			yield pseudoRandom(1000, 1);
			throw new Error('the disk is on fire');
		})(),
	);
	t.is(await run(...named), 1);
	t.regex(io.err, /the pipe cannot be read: the disk is on fire/);
	t.is(server.images.size, 0);
});

test('--no-check takes a cut pipe as it is', async t => {
	const {server, io, run} = await bench(t);
	const bytes = gzipSync(pseudoRandom(100_000, 1)).subarray(0, -9);
	io.stdin = Readable.from([bytes]);
	t.is(await run(...named, '--no-check'), 0, io.err);
	sameBytes(t, server.image.bytes, bytes);
});

test('a file that no host could unpack is not sent', async t => {
	const {server, io, file, run} = await bench(t);
	writeFileSync(file, Buffer.from('28b52ffd00000000', 'hex'));
	t.is(await run(file, ...named), 1);
	t.regex(io.err, /zstd/);
	writeFileSync(file, '');
	t.is(await run(file, ...named), 1);
	t.regex(io.err, /is empty\n$/);
	t.is(await run(join(file, '..'), ...named), 1);
	t.regex(io.err, /is no file\n$/);
	t.is(await run(`${file}.absent`, ...named), 1);
	t.regex(io.err, /cannot be read: ENOENT/);
	t.deepEqual(server.requests, []);
});

test('a file that changes while it is sent is not published', async t => {
	const {server, io, file, run} = await bench(t, {size: 1_000_000});
	server.before = request => {
		if (request.method === 'PATCH') {
			appendFileSync(file, 'x');
		}
		return false;
	};
	t.is(await run(file, ...named), 1);
	t.regex(io.err, /was changed while it was read\nimgmirror: nothing was published\n$/);
	t.is(server.images.size, 0);
});

const mistakes: Readonly<Record<string, readonly [argv: readonly string[], said: RegExp]>> = {
	'no name': [['f', '--version', '1'], /--name: an image needs it/],
	'neither name nor version': [['f'], /--name and --version: an image needs both/],
	'a requirement that is no pair': [
		['f', ...named, '--requirement', 'x'],
		/--requirement: expected KEY=VALUE, got "x"/,
	],
	'a tag that is no pair': [['f', ...named, '--tag', '=x'], /--tag: expected KEY=VALUE, got "=x"/],
	'requirements that are no JSON': [['f', ...named, '--requirement', 'networks=[x'], /networks is no JSON/],
	'a uuid that is none': [['f', ...named, '--uuid', 'A'], /--uuid: expected a uuid in lower case, got "A"/],
	'an unknown compression': [['f', ...named, '--compression', 'zstd'], /Allowed choices are none, gzip, bzip2, xz/],
	'a duration that is none': [['f', ...named, '--retry-for', '5'], /the unit is missing/],
	'a URL that is none': [['f', ...named, '--url', 'mirror'], /--url: expected http:\/\/\[USER/],
	'a URL with a query': [['f', ...named, '--url', 'http://a/?b=c'], /nothing after "\?" but a channel/],
	'a URL with a bad password': [['f', ...named, '--url', 'http://a:%zz@b'], /"%" is written %25/],
	'two servers': [['f', ...named, '--url', 'http://a', '--data', '/d'], /--url and --data: expected one or the other/],
	'an unknown flag': [['--nmae', 'x'], /Did you mean --name\?/],
};
for (const [what, [argv, said]] of Object.entries(mistakes)) {
	test(`exit code 2 and a reason on stderr: ${what}`, async t => {
		const io = new FakeIo();
		io.directory = await tempDir(t);
		writeFileSync(join(io.directory, 'f'), 'x');
		t.is(await runCli(['publish', ...argv], io), 2, io.err);
		t.regex(io.err, said);
		t.is(io.out, '');
	});
}

test('nothing to publish, and somebody at the keyboard', async t => {
	const io = new FakeIo();
	io.stdin = Object.assign(Readable.from([]), {isTTY: true});
	t.is(await runCli(['publish', ...named, '--url', 'http://127.0.0.1:1'], io), 2);
	t.regex(io.err, /FILE: expected the file of the image, or one piped in/);
});

test('a server that cannot be had is tried for as long as was said', async t => {
	const {server, io, file, clock, run} = await bench(t);
	await server.stop();
	t.is(await run(file, ...named, '--retry-for', '0'), 1);
	t.regex(
		io.err,
		/^imgmirror: cannot connect to http:\/\/127\.0\.0\.1:\d+: connection refused \(does imgmirror run there, on that port\?\)\n/,
	);
	t.deepEqual(clock.waits, []);
});

test('what is no image server is not tried again', async t => {
	const {server, io, file, clock, run} = await bench(t);
	server.before = (_request, response) => {
		response.writeHead(200).end('<html>hello</html>');
		return true;
	};
	t.is(await run(file, ...named), 1);
	t.regex(io.err, /takes no resumable uploads/);
	t.deepEqual(clock.waits, []);
});

test('the base path of the URL is kept', async t => {
	const {server, io, file} = await bench(t);
	t.is(await runCli(['publish', file, ...named, '--url', `${server.url}/base/`], io), 1);
	t.deepEqual(server.requests, ['POST /base/uploads']);
});

test('requirements and tags are said as flags say them', async t => {
	const {server, io, file, run} = await bench(t);
	const more = ['min_ram=512', 'min_platform=20210826T002459Z', 'max_platform.7.0=20300101T000000Z', 'ssh_key=true'];
	const flags = more.flatMap(one => ['--requirement', one]);
	t.is(await run(file, ...named, ...flags, '--tag', 'role=db', '--tag', 'n=1', '--type', 'lx-dataset'), 0, io.err);
	const [upload] = server.uploads.values();
	t.like(Object.fromEntries(upload?.metadata ?? []), {
		type: 'lx-dataset',
		os: 'linux',
		'requirements.min_ram': '512',
		'requirements.min_platform.7.0': '20210826T002459Z',
		'requirements.max_platform.7.0': '20300101T000000Z',
		'requirements.ssh_key': 'true',
		'requirements.brand': 'lx',
		'tag.role': 'db',
		'tag.n': '1',
	});
});

test('a terminal sees a bar, with the rate and the time left', async t => {
	const {server, io, file, run} = await bench(t, {size: 40_000_000});
	io.stderr.isTTY = true;
	io.stderr.columns = 100;
	server.faults.push({cutAfter: 1000});
	t.is(await run(file, ...named), 0);
	t.regex(io.err, /base 1\.0\.0 {2}\[ *\] 0% {2}0 B of 40\.0 MB/);
	t.regex(io.err, /broke; trying again in 1 s\n/);
	t.regex(io.err, /\npublished base 1\.0\.0 as |published base 1\.0\.0 as /);
});

test('nothing of what a server says takes hold of the terminal', async t => {
	const {server, io, file, run} = await bench(t);
	server.before = (_request, response) => {
		response.writeHead(422).end(JSON.stringify({code: 'X', message: 'a\u001b[2Jb\u0007'}));
		return true;
	};
	t.is(await run(file, ...named), 1);
	t.false(io.err.includes('\u001b'));
	t.false(io.err.includes('\u0007'));
});

test('where no server runs, one is started on the data directory for as long as it takes', async t => {
	const {io, file} = await bench(t);
	const data = await tempDir(t);
	const socket = join(data, 'control.sock');
	const server = await startFakeServer(t, {socket});
	io.control = {controlSocket: async () => socket, isRunning: async () => false};
	t.is(await runCli(['publish', file, ...named, '--data', data], io), 0, io.err);
	t.is(server.images.size, 1);
	t.like(io.assembled[0]?.config, {data, listen: [], log: {level: 'warn'}});
	t.is(io.assembled.length, 1);
	t.is(io.mirror.stops, 1);

	io.control = {controlSocket: async () => socket, isRunning: async () => true};
	t.is(await runCli(['publish', file, ...named, '--data', data], io), 0, io.err);
	t.is(io.assembled.length, 1, 'one that runs is used');

	t.is(await runCli(['publish', file, ...named, '--data', join(data, 'absent')], io), 1);
	t.regex(io.err, /there is no data directory .*absent: name the server with --url/);
	mkdirSync(join(data, 'other'));
	t.is(io.assembled.length, 1);
});
