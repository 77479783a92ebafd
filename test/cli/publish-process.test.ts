/**
 * Publishing with real processes: of the command, and of the mirror.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {createHash} from 'node:crypto';
import {mkdirSync, readdirSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {text} from 'node:stream/consumers';
import {fileURLToPath} from 'node:url';
import {gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import * as control from '../../src/assemble-control.js';
import {runCli} from '../../src/cli/run.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {startProcess} from '../helpers/start-process.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';
import {startFakeServer} from './fake-server.js';

const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const named = ['--name', 'base', '--version', '1.0.0'];

interface Command {
	readonly child: ChildProcess;
	/** Resolves once stderr has said that. */
	readonly said: (pattern: RegExp) => Promise<void>;
	readonly ended: Promise<{code: unknown; out: string; err: string}>;
}

async function start(t: ExecutionContext, argv: readonly string[]): Promise<Command> {
	const env = {HOME: await tempDir(t)};
	const child = spawn(process.execPath, [main, ...argv], {env, stdio: 'pipe'});
	t.teardown(() => void child.kill('SIGKILL'));
	let err = '';
	child.stderr.on('data', (chunk: Buffer) => {
		err += chunk.toString();
		child.emit('said');
	});
	const out = text(child.stdout);
	const exit = once(child, 'exit') as Promise<unknown[]>;
	return {
		child,
		ended: exit.then(async ([code]) => ({code, out: await out, err})),
		async said(pattern) {
			while (!pattern.test(err)) {
				await once(child, 'said');
			}
		},
	};
}

test('a command that waits for its server stays alive', async t => {
	const server = await startFakeServer(t);
	const file = join(await tempDir(t), 'f');
	writeFileSync(file, pseudoRandom(1000, 1));
	await server.stop();
	const {said, ended} = await start(t, ['publish', file, ...named, '--url', server.url]);
	await said(/connection refused.*; trying again in 1 s/);
	await server.start();
	const {code, out, err} = await ended;
	t.is(code, 0, err);
	t.is(out, `${String(server.image.manifest['uuid'])}\n`);
});

test('a command that has failed does not wait for whoever writes into its pipe', async t => {
	const server = await startFakeServer(t);
	server.login = 'Basic x';
	const {child, ended} = await start(t, ['publish', ...named, '--url', server.url]);
	child.stdin?.write(pseudoRandom(20_000_000, 1));
	child.stdin?.on('error', () => undefined);
	const {code, out, err} = await ended;
	t.is(code, 1);
	t.is(out, '');
	t.regex(err, /wants a login/);
});

test('Ctrl-C ends the command with the status of shells', async t => {
	const server = await startFakeServer(t);
	const file = join(await tempDir(t), 'f');
	writeFileSync(file, pseudoRandom(1000, 1));
	await server.stop();
	const {child, said, ended} = await start(t, ['publish', file, ...named, '--url', server.url]);
	await said(/trying again/);
	child.kill('SIGINT');
	const {code, err} = await ended;
	t.is(code, 130);
	t.regex(err, /imgmirror: stopped\nimgmirror: nothing was published\n$/);
});

/** Sizes of the uploads themselves. */
const bytesIn = (uploads: string): readonly number[] =>
	readdirSync(uploads)
		.filter(name => !name.includes('.'))
		.map(name => statSync(join(uploads, name)).size);

async function untilHolds(holds: () => boolean): Promise<void> {
	while (!holds()) {
		await new Promise(resolve => setImmediate(resolve));
	}
}

test('a pipe survives kill -9 of the mirror', async t => {
	const data = await tempDir(t);
	const first = await startProcess(t, {sources: [], data});
	const bytes = gzipSync(pseudoRandom(40_000_000, 8), {level: 0});
	let release: () => void = () => undefined;
	const released = new Promise<void>(resolve => {
		release = resolve;
	});
	const io = new FakeIo();
	io.control = control;
	io.stdin = Readable.from(
		(async function* () {
			for (let at = 0; at < bytes.length; at += 65_536) {
				if (at >= 20_000_000) {
					await released;
				}
				yield bytes.subarray(at, at + 65_536);
			}
		})(),
	);
	const running = runCli(['publish', ...named, '--data', data], io);
	const uploads = join(data, 'uploads');
	await untilHolds(() => bytesIn(uploads).some(size => size >= 16_777_216));
	await first.end('SIGKILL');
	release();
	await io.until(() => io.err.includes('trying again'));
	const second = await startProcess(t, {sources: [], data});
	t.is(await running, 0, io.err);
	const uuid = io.out.trim();
	const answer = await second.get(`/images/${uuid}/file`);
	t.is(answer.sha1, createHash('sha1').update(bytes).digest('hex'));
	t.like((await second.get(`/images/${uuid}`)).json(), {state: 'active', name: 'base'});
	t.deepEqual(
		readdirSync(uploads).filter(name => !name.endsWith('.json')),
		[],
	);
});

test('a user publishes by URL, with everything a manifest can say', async t => {
	const data = await tempDir(t);
	const mirror = await startProcess(t, {sources: [], data});
	const io = new FakeIo();
	io.stdin = Readable.from(['secret\n']);
	t.is(await runCli(['user', 'add', 'alice', '--may', 'publish', '--password-stdin', '--data', data], io), 0, io.err);
	const directory = await tempDir(t);
	io.directory = directory;
	writeFileSync(join(directory, 'f.gz'), gzipSync(pseudoRandom(1_000_000, 8)));
	writeFileSync(join(directory, 'icon.png'), Buffer.from('89504e470d0a1a0a', 'hex'));
	t.is(await runCli(['manifest', 'f.gz', ...named, '--tag', 'a=b', '-o', 'm.json'], io), 0, io.err);
	const url = mirror.url.replace('//', '//alice:secret@');
	io.out = '';
	t.is(await runCli(['publish', 'f.gz', '-m', 'm.json', '--icon', 'icon.png', '--url', url, '-j'], io), 0, io.err);
	const published = JSON.parse(io.out) as Record<string, unknown>;
	t.like(published, {state: 'active', icon: true, tags: {a: 'b'}});
	io.out = '';
	t.is(await runCli(['manifest', '--from', String(published['uuid']), '--url', url], io), 0, io.err);
	t.deepEqual(JSON.parse(io.out), published);

	t.is(await runCli(['publish', 'f.gz', '-m', 'm.json', '--url', url], io), 1);
	t.regex(io.err, /\(ImageUuidAlreadyExists\)\nimgmirror: nothing was published\n$/);
	t.is((await mirror.get(`/images/${String(published['uuid'])}`)).status, 200, 'what was there stays');
	t.is(await runCli(['publish', 'f.gz', '--name', 'a b*', '--version', '1', '--url', url], io), 1);
	t.regex(io.err, /\(ValidationFailed\)\n {2}name: .* \(Invalid\)\nimgmirror: nothing was published\n$/);
	t.is(await runCli(['publish', 'f.gz', ...named, '--url', mirror.url], io), 1);
	t.regex(io.err, /wants a login/);
});

test('adopt brings what an older server kept', async t => {
	const data = await tempDir(t);
	const mirror = await startProcess(t, {sources: [], data});
	const old = await tempDir(t);
	const io = new FakeIo();
	io.control = control;
	io.directory = old;
	const uuid = '01b2c898-945f-11e1-a523-af1afbe22822';
	const bytes = gzipSync(pseudoRandom(100_000, 8));
	const sha1 = createHash('sha1').update(bytes).digest('hex');
	const manifest = {
		uuid,
		name: 'old',
		version: '1.0.0',
		description: 'old',
		type: 'zone-dataset',
		os: 'smartos',
		creator_uuid: '352971aa-31ba-496c-9ade-a379feaecd52',
		creator_name: 'sdc',
		published_at: '2012-05-02T15:14:00Z',
		files: [{path: 'old.zfs.gz', sha1, size: bytes.length}],
	};
	const folder = join(old, uuid);
	mkdirSync(folder);
	writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
	writeFileSync(join(folder, 'old.zfs.gz'), bytes);
	t.is(await runCli(['adopt', '.', '--data', data], io), 0, io.err);
	t.regex(io.out, /old +1\.0\.0 +\d+ kB +adopted\n1 adopted, 0 there already, 0 failed\n$/);
	t.is((await mirror.file({uuid} as Parameters<typeof mirror.file>[0])).sha1, sha1);
	io.out = '';
	t.is(await runCli(['adopt', '.', '--data', data], io), 0, io.err);
	t.regex(io.out, /there already\n0 adopted, 1 there already, 0 failed\n$/);
});
