/**
 * `export`: from what is typed to a bundle on the disk, with a server that is not always there.
 */
import {mkdir, readFile, readdir, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {haveText} from '../../src/airgap/have.js';
import {runCli} from '../../src/cli/run.js';
import {digestOfPath, makeBundle, type TestBundle} from '../airgap/make-bundle.js';
import {difference, eventsOf, treeOf} from '../airgap/write-bench.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {smallDisk} from '../helpers/small-disk.js';
import {tempDir} from '../helpers/temp-dir.js';
import {ExportServer, startExportServer} from './export-server.js';
import {FakeIo} from './fake-io.js';
import {uuidOf} from './fake-operator.js';
import {SkippingClock} from './skipping-clock.js';

/** With a stdout that takes bytes. */
class ExportIo extends FakeIo {
	readonly chunks: Buffer[] = [];
	/** What the pipe says to the next bytes. */
	pipeError: Error | undefined;

	constructor() {
		super();
		Object.assign(this.stdout, {
			write: (chunk: string | Uint8Array, done?: (error?: Error | null) => void): void => {
				if (typeof chunk === 'string') {
					this.out += chunk;
				} else {
					this.chunks.push(Buffer.from(chunk));
				}
				setImmediate(() => done?.(this.pipeError));
			},
		});
	}

	get bytes(): Buffer {
		return Buffer.concat(this.chunks);
	}
}

interface Bench {
	readonly io: ExportIo;
	readonly clock: SkippingClock;
	readonly server: ExportServer;
	readonly folder: string;
	readonly bundle: TestBundle;
	readonly run: (...argv: string[]) => Promise<number>;
}

const base = makeImage({size: 50_000, name: 'base', version: '1.0.0', seed: 1});
const child = makeImage({size: 30_000, name: 'child', version: '2', origin: base, seed: 2});

async function bench(t: ExecutionContext, {signed = true} = {}): Promise<Bench> {
	const io = new ExportIo();
	const clock = new SkippingClock();
	io.clock = clock;
	io.directory = await tempDir(t);
	const server = await startExportServer(t, [base, child]);
	const images = [base, child];
	const bundle = makeBundle({images, ...(signed ? {sign: () => 'signature'} : {})});
	server.events = eventsOf(bundle, images);
	return {
		...{io, clock, server, bundle, folder: io.directory},
		run: (...argv) => runCli(['export', '--url', server.url, ...argv], io),
	};
}

const last = (text: string): string => text.trimEnd().split('\n').at(-1) ?? '';

test('a bundle in a folder, with what came of it', async t => {
	const {io, server, folder, bundle, run} = await bench(t);
	t.is(await run('--name', 'base*', '--name', 'child', '--os', 'smartos', '--newest', '2', '--to', 'site'), 0);
	t.deepEqual(server.asked[0], {
		what: 'POST /mirror/export',
		body: {selection: {name: ['base*', 'child'], os: ['smartos'], newest: 2}, origins: true},
		range: undefined,
	});
	t.is(difference(await treeOf(join(folder, 'site')), bundle.files), '');
	t.regex(
		io.out,
		new RegExp(`^2 images with 8\\d\\.\\d kB exported to ${folder}/site in \\d+ s(?: .*)?\nsigned with SHA256:test\n$`),
	);
	t.is(io.err, 'imgmirror: 2 images with 80.0 kB\n');
	t.deepEqual(server.files, [`${base.uuid} 0`, `${child.uuid} 0`]);
});

test('everything that chooses goes to the server', async t => {
	const {server, run} = await bench(t);
	server.json.set('GET /mirror/images', [{uuid: uuidOf('abcd'), name: 'x'}]);
	t.is(
		await run(
			...['abcd', base.uuid, '--version', '>=1', '--type', 'zvol', '--owner', 'x', '--source', 'joyent'],
			...['--published-since', '2026-01-31', '--max-size', '1 GB', '--channel', 'release', '--all', '--no-origins'],
			...['--to', 'x.tar', '-q'],
		),
		0,
	);
	t.deepEqual(server.asked.find(({what}) => what === 'POST /mirror/export')?.body, {
		selection: {
			...{uuids: [uuidOf('abcd'), base.uuid], version: '>=1', type: ['zvol'], owner: ['x'], sources: ['joyent']},
			...{publishedSince: '2026-01-31T00:00:00.000Z', maxBytes: 1e9},
		},
		...{channel: 'release', all: true, origins: false},
	});
});

test('a tar, whole or in parts', async t => {
	const {io, server, folder, run} = await bench(t);
	t.is(await run('--all', '--to', 'x.tar'), 0);
	const tar = await readFile(join(folder, 'x.tar'));
	t.deepEqual(server.asked[0]?.body, {all: true, origins: true});
	t.is(await run('--all', '--to', 'y.tar', '--split', '40 kB', '-j'), 0);
	const report = JSON.parse(io.out.slice(io.out.indexOf('{'))) as Record<string, unknown>;
	const paths = ['001', '002', '003'].map(part => join(folder, `y.tar.${part}`));
	t.like(report, {
		...{to: join(folder, 'y.tar'), paths, bytes: tar.length, keptBytes: 0, files: 2, signedBy: 'SHA256:test'},
		images: [
			{uuid: base.uuid, name: 'base', version: '1.0.0', bytes: 50_000, outcome: 'exported'},
			{uuid: child.uuid, outcome: 'exported'},
		],
		...{leftOut: [], warnings: []},
	});
	sameBytes(t, Buffer.concat(await Promise.all(paths.map(path => readFile(path)))), tar);
	io.out = '';
	t.is(await run('--all', '--to', 'z.tar', '--split', '40 kB'), 0);
	t.regex(io.out, / exported to \S+\/z\.tar in 3 parts in /);
	t.is(await run('--all', '--to', 'z.tar', '--split', 'fat', '--replace', '-q'), 0);
	t.deepEqual(
		(await readdir(folder)).filter(name => name.startsWith('z')),
		['z.tar.001'],
	);
});

test('a pipe gets the tar, and stdout nothing else', async t => {
	const {io, server, folder, run} = await bench(t);
	t.is(await run('--all', '--to', '-'), 0);
	t.is(io.out, '');
	t.regex(io.err, /2 images with \S+ kB exported to the pipe in .*\nsigned with SHA256:test\n$/);
	t.is(await run('--all', '--to', 'x.tar', '-q'), 0);
	sameBytes(t, io.bytes, await readFile(join(folder, 'x.tar')));
	io.err = '';
	t.is(await run('--all', '--to', '-', '--json'), 0);
	t.is(io.out, '');
	t.like(JSON.parse(io.err), {to: 'the pipe', paths: []});
	io.pipeError = Object.assign(new Error('EPIPE'), {code: 'EPIPE'});
	t.is(await run('--all', '--to', '-', '-q'), 1);
	t.regex(
		io.err,
		/the pipe takes no more: whoever reads it has ended.*\n {2}the tar is cut in the middle, and the same command again begins anew\n$/,
	);
	io.err = '';
	io.pipeError = Object.assign(new Error('ENOSPC'), {code: 'ENOSPC'});
	t.is(await run('--all', '--to', '-', '-q'), 1);
	t.regex(io.err, /the pipe takes no more: ENOSPC/);
	io.stdout.isTTY = true;
	server.asked.length = 0;
	t.is(await run('--all', '--to', '-'), 2);
	t.regex(io.err, /--to: a tar is nothing for a terminal/);
	t.is(server.asked.length, 0);
});

test('a line that breaks in the middle of files is gone on with', async t => {
	const {io, server, folder, bundle, run} = await bench(t);
	server.cutFiles = {bytes: 20_000, times: 3};
	t.is(await run('--all', '--to', 'site'), 0);
	t.is(difference(await treeOf(join(folder, 'site')), bundle.files), '');
	t.true(server.files.length > 3);
	t.true(server.files.some(file => file.startsWith(`${base.uuid} `) && !file.endsWith(' 0')));
	t.regex(io.err, /the connection to \S+ broke; trying again in \d s/);
	// Nothing came twice, but what was on its way.
	t.true(server.sent < 80_000 + 3 * 20_000);
	server.cutFiles = {bytes: server.sent + 15_000, times: 1};
	server.ignoresRanges = true;
	t.is(await run('--all', '--to', '-', '-q'), 0);
	t.is(await run('--all', '--to', 'x.tar', '-q'), 0);
	sameBytes(t, io.bytes, await readFile(join(folder, 'x.tar')));
});

test('a line that breaks in the middle of the plan is taken up again, from the beginning of the plan', async t => {
	const {io, clock, server, folder, bundle, run} = await bench(t);
	server.cutPlan = {lines: 2, times: 2};
	t.is(await run('--all', '--to', 'site'), 0);
	t.is(difference(await treeOf(join(folder, 'site')), bundle.files), '');
	t.is(server.asked.filter(({what}) => what === 'POST /mirror/export').length, 3);
	t.regex(io.err, /trying again in \d s/);
	server.events = server.events.slice(0, -1);
	io.err = '';
	t.is(await run('--all', '--to', 'x.tar'), 1);
	t.regex(
		io.err,
		/\nimgmirror: http\S+ has stopped before the end of the plan\n {2}nothing has been written; what was fetched is kept by the server, and the same command again goes on\n$/,
	);
	t.true(clock.skippedMs > 60_000);
	t.deepEqual(await readdir(folder), ['site']);
});

test('a server that stays away is given up, and the same command goes on where it was', async t => {
	const {io, clock, server, folder, bundle, run} = await bench(t);
	server.onSent = sent => {
		if (sent >= 60_000) {
			void server.stop();
		}
	};
	t.is(await run('--all', '--to', 'site'), 1);
	t.true(clock.skippedMs > 60_000);
	t.regex(
		io.err,
		/imgmirror: cannot connect to \S+: connection refused .*\n {2}what has been written to \S+site is kept; the same command again goes on there\n$/,
	);
	t.false((await readdir(join(folder, 'site'))).includes('index.json'));
	// At once, where it has not been there at all.
	const waited = clock.skippedMs;
	t.is(await run('--all', '--to', 'site'), 1);
	t.is(clock.skippedMs, waited);
	const again = new ExportServer([base, child]);
	again.events = server.events;
	await again.start();
	t.teardown(() => again.stop());
	io.out = '';
	t.is(await runCli(['export', '--url', again.url, '--all', '--to', 'site'], io), 0);
	t.is(difference(await treeOf(join(folder, 'site')), bundle.files), '');
	t.is(again.files.length, 1);
	t.regex(again.files[0] ?? '', new RegExp(`^${child.uuid} `));
	t.regex(io.out, /, \S+ kB of it were there already\n/);
});

test('Ctrl-C leaves what can be gone on with, and says so', async t => {
	for (const to of ['site', 'x.tar', '-']) {
		const {io, server, folder, run} = await bench(t);
		server.onSent = sent => {
			if (sent === 60_000) {
				io.process.emit('SIGINT');
			}
		};
		t.is(await run('--all', '--to', to), 130);
		t.regex(
			last(io.err),
			to === '-'
				? /^imgmirror: stopped: the tar is cut in the middle, and the same command again begins anew$/
				: /^imgmirror: stopped: what has been written to \S+ is kept; the same command again goes on there$/,
		);
		server.onSent = () => undefined;
		server.asked.length = 0;
		if (to !== '-') {
			t.is(await run('--all', '--to', to), 0);
			t.deepEqual(server.files.length, 1);
			t.deepEqual(await readdir(folder), [to]);
		}
	}
	const {io, server, folder, run} = await bench(t);
	server.events = [...server.events.slice(0, 1), new Promise(() => undefined)];
	const running = run('--all', '--to', 'site');
	await io.until(() => io.err.includes('2 images'));
	io.process.emit('SIGINT');
	t.is(await running, 130);
	t.regex(last(io.err), /^imgmirror: stopped: nothing has been written; what was fetched is kept by the server$/);
	t.deepEqual(await readdir(folder), []);
});

test('what could not go is named, and makes it a failure', async t => {
	const {io, server, folder, run} = await bench(t);
	const failed = {
		what: 'left-out',
		uuid: uuidOf('dd'),
		name: 'gone',
		version: '3',
		why: 'failed',
		problem: 'nobody has it',
	};
	const there = {what: 'left-out', uuid: uuidOf('ee'), why: 'there'};
	const warning = {what: 'warning', message: 'the origin x is not in the bundle'};
	const {events} = server;
	server.events = [...events.slice(0, -2), warning, {what: 'later', uuid: 5}, failed, there, ...events.slice(-2)];
	t.is(await run('--all', '--to', 'site', '-q'), 1);
	t.is(io.out, '');
	t.is(io.err, 'imgmirror: warning: the origin x is not in the bundle\nimgmirror: gone 3 does not go: nobody has it\n');
	t.true((await readdir(join(folder, 'site'))).includes('index.json'));
	t.is(await run('--all', '--to', 'site'), 1);
	t.regex(io.out, /; 1 left out, as the far side has them; 1 could not go\n/);
	io.out = io.err = '';
	t.is(await run('--all', '--to', 'site', '-j'), 1);
	t.is(io.err, '');
	t.like(JSON.parse(io.out), {leftOut: [failed, {uuid: uuidOf('ee')}], warnings: [warning.message]});
	server.events = [
		{what: 'begin', images: 0, bytes: 0, bytesToFetch: 0},
		failed,
		...eventsOf(makeBundle({images: []}), []).slice(1),
	];
	t.is(await run('--all', '--to', 'none.tar'), 1);
	t.regex(last(io.err), /^imgmirror: no image goes: nothing is written$/);
	t.deepEqual(await readdir(folder), ['site']);
});

test('where the far side has everything, the bundle is empty, and is said to be', async t => {
	const {io, server, folder, run} = await bench(t, {signed: false});
	const empty = makeBundle({images: []});
	const [begin, index] = eventsOf(empty, []);
	const there = {what: 'left-out', uuid: uuidOf('ee'), why: 'there'};
	server.events = [begin ?? {}, there, index ?? {}, {what: 'end', images: 0, there: 1, failed: 0, bytes: 0}];
	t.is(await run('--all', '--to', 'site'), 0);
	t.regex(
		io.out,
		/^nothing is new for the far side: 0 images with 0 B exported to .*; 1 left out, as the far side has them\nsigned by nobody: "imgmirror key new" makes a key; without, it takes "imgmirror import --allow-unsigned"\n$/,
	);
	t.is(difference(await treeOf(join(folder, 'site')), empty.files), '');
});

test('a dry run only tells what would go', async t => {
	const {io, server, folder, run} = await bench(t);
	const going = {what: 'image', filesLeftOut: false, blobs: []};
	server.events = [
		{what: 'begin', images: 3, bytes: 8e6, bytesToFetch: 4e6},
		{...going, uuid: uuidOf('aa'), name: 'base', version: '1.0.0', bytes: 3e6, originOf: uuidOf('bb')},
		{...going, uuid: uuidOf('bb'), name: 'min\u001b[2J', version: '1', bytes: 5e6},
		{...going, uuid: uuidOf('cc'), name: 'changed', version: '1', bytes: 9e6, filesLeftOut: true},
		{what: 'left-out', uuid: uuidOf('dd'), why: 'there', name: 'old', version: '1'},
		{what: 'left-out', uuid: uuidOf('ee'), why: 'failed', problem: 'nobody has it'},
		{what: 'end', images: 3, there: 1, failed: 1, bytes: 8e6},
	];
	server.json.set('POST /mirror/prefetch', {bytesPerSecond: 2e6});
	t.is(await run('--name', '*', '--dry-run'), 1);
	t.deepEqual(server.asked[0]?.body, {selection: {name: ['*']}, origins: true, dryRun: true});
	t.is(
		io.out,
		[
			'UUID                                  NAME     VERSION     SIZE  WHAT',
			`${uuidOf('aa')}  base     1.0.0    3.00 MB  goes, as an origin`,
			`${uuidOf('bb')}  min�[2J  1        5.00 MB  goes`,
			`${uuidOf('cc')}  changed  1            0 B  goes without its files, which are there`,
			`${uuidOf('dd')}  old      1              -  left out: the far side has it`,
			`${uuidOf('ee')}  -        -              -  cannot go: nobody has it`,
			'3 images with 8.00 MB would go; 4.00 MB have to be fetched first, about 2 s at 2.00 MB/s; ' +
				'1 of them without files that the far side has; 1 left out, as the far side has them; 1 could not go',
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('--name', '*', '--dry-run', '--json', '--to', 'site'), 1);
	t.like(JSON.parse(io.out), {dryRun: true, bytes: 8e6, bytesToFetch: 4e6, bytesPerSecond: 2e6});
	server.json.delete('POST /mirror/prefetch');
	io.out = '';
	t.is(await run('--all', '--dry-run'), 1);
	t.regex(io.out, /4\.00 MB have to be fetched first; 1 of them/);
	io.out = '';
	t.is(await run('--name', '*', '--dry-run'), 1);
	t.regex(io.out, /4\.00 MB have to be fetched first; 1 of them/);
	server.events = [
		{what: 'begin', images: 0, bytes: 0, bytesToFetch: 0},
		{what: 'end', images: 0, there: 0, failed: 0, bytes: 0},
	];
	io.out = '';
	t.is(await run('--all', '--dry-run'), 0);
	t.is(io.out, 'no image is like that: nothing to export ("imgmirror images" lists what there is)\n');
	t.deepEqual(await readdir(folder), []);
});

test('what has to be fetched first is told while it is', async t => {
	const {io, server, run} = await bench(t);
	const [, ...rest] = server.events;
	server.events = [
		{what: 'begin', images: 2, bytes: 80_000, bytesToFetch: 50_000},
		{what: 'fetching', uuid: base.uuid, name: 'base', version: '1.0.0', bytes: 50_000},
		{what: 'progress', bytesDone: 50_000},
		...rest,
	];
	t.is(await run('--all', '--to', 'site'), 0);
	t.is(
		io.err,
		'imgmirror: 2 images with 80.0 kB, 50.0 kB of it to be fetched first\nimgmirror: fetching base 1.0.0, 50.0 kB\n',
	);
});

test('what the far side has is read from files and from bundles, and sent as one', async t => {
	const {io, server, folder, bundle, run} = await bench(t);
	const line = {uuid: uuidOf('aa'), configSha256: 'a'.repeat(64), sha1s: ['b'.repeat(40)]};
	await writeFile(join(folder, 'far.have'), haveText([line]).replaceAll('\n', '\r\n'));
	await bundle.writeFolder(join(folder, 'before'));
	await bundle.writeTar(join(folder, 'before.tar'));
	const argv = ['--have', 'far.have', '--since', 'before', '--since', 'before.tar', '--to', 'x.tar'];
	t.is(await run('--all', ...argv), 0);
	const configOf = ({uuid}: {uuid: string}): string =>
		digestOfPath(bundle.image({uuid}).config).slice('sha256:'.length);
	const {have} = server.asked[0]?.body as {have: string};
	t.is(
		have,
		haveText([
			line,
			...[base, child].map(image => ({uuid: image.uuid, configSha256: configOf(image), sha1s: [image.sha1]})),
		]),
	);
	await writeFile(join(folder, 'bad.have'), 'nonsense');
	t.is(await run('--all', '--have', 'bad.have', '--to', 'y.tar'), 2);
	t.regex(io.err, /--have \S+bad\.have: .*line 1 is not "# imgmirror have 1"/);
	t.is(await run('--all', '--have', 'none', '--to', 'y.tar'), 1);
	t.regex(last(io.err), /--have \S+none cannot be read: ENOENT/);
	t.is(await run('--all', '--since', 'none', '--to', 'y.tar'), 1);
	t.regex(last(io.err), /there is no \S+none/);
	t.is(await run('--all', '--since', '-', '--to', 'y.tar'), 1);
	t.regex(last(io.err), /there is nothing on stdin/);
	t.is(server.asked.filter(({what}) => what === 'POST /mirror/export').length, 1);
});

test('what is typed wrongly is said before anything is asked of a server', async t => {
	const {io, server, folder, run} = await bench(t);
	await writeFile(join(folder, 'there.tar'), 'x');
	await mkdir(join(folder, 'full'));
	await writeFile(join(folder, 'full', 'x'), 'x');
	await writeFile(join(folder, 'file'), 'x');
	const cases: readonly (readonly [argv: string, code: number, words: RegExp])[] = [
		['--to x', 2, /expected uuids, or flags that say which images: --name "base-\*", --channel release/],
		['--max-size 1GB --to x', 2, /expected uuids, or flags/],
		['--since y --to x', 2, /--all is everything that is here, less what the far side has/],
		['--rule r --newest 2 --to x', 2, /--rule: the rule says which images/],
		['--all', 2, /--to: expected where the bundle goes: a folder, NAME\.tar, or - for a pipe/],
		['--all --to x.tar.001', 2, /--to: expected the name of the whole tar: x\.tar; --split makes the parts/],
		['--all --to x.tar.gz', 2, /--to: a tar is written as it is/],
		['--all --to x.tgz', 2, /--to: a tar is written as it is/],
		['--all --to x --split fat', 2, /--split: parts are of a tar: --to NAME\.tar/],
		['--all --to - --split fat', 2, /--split: there are no parts of a pipe/],
		['--all --to x.tar --split 0', 2, /--split.*a part has one byte or more/],
		['--all --to x.tar --split large', 2, /--split/],
		['zz --to x', 2, /"zz": expected a uuid, or the first digits of one/],
		['--all --to there.tar', 1, /there\.tar is there already: --replace replaces it/],
		['--all --to full', 1, /full is no bundle, and not empty/],
		['--all --to file', 1, /file is there already, and is no folder/],
		['--all --to no/such', 1, /there is no folder \S+no to make such in/],
		['--all --to no/such.tar', 1, /there is no folder \S+no to write the tar to/],
	];
	for (const [argv, code, words] of cases) {
		io.err = '';
		t.is(await run(...argv.split(' ')), code, argv);
		t.regex(io.err, words, argv);
	}
	t.is(server.asked.length, 0);
	t.deepEqual((await readdir(folder)).sort(), ['file', 'full', 'there.tar']);
});

test('a link to a folder is the folder; another bundle in it stays unless it may go', async t => {
	const {io, server, folder, bundle, run} = await bench(t);
	await mkdir(join(folder, 'stick'));
	await symlink(join(folder, 'stick'), join(folder, 'usb'));
	t.is(await run('--all', '--to', 'usb'), 0);
	t.is(difference(await treeOf(join(folder, 'stick')), bundle.files), '');
	const one = makeBundle({images: [base]});
	server.events = eventsOf(one, [base]);
	t.is(await run('--all', '--to', 'usb'), 1);
	t.regex(last(io.err), /^imgmirror: \S+stick holds another bundle: --replace replaces it$/);
	t.is(await run('--all', '--to', 'usb', '--replace'), 0);
	t.is(difference(await treeOf(join(folder, 'stick')), one.files), '');
});

test('a file that cannot be had, or is another, ends it in words', async t => {
	const {io, server, run} = await bench(t);
	server.fileStatus = {status: 404, body: '{"code":"ResourceNotFound","message":"image not found"}'};
	t.is(await run('--all', '--to', 'site'), 1);
	t.regex(io.err, new RegExp(`the file of image ${base.uuid} cannot be had: http\\S+ says: image not found`));
	t.regex(io.err, /\n {2}what has been written to \S+ is kept/);
	server.fileStatus = {status: 204, body: ''};
	t.is(await run('--all', '--to', 'site'), 1);
	server.fileStatus = undefined;
	server.spoil = bytes => Buffer.alloc(bytes.length);
	t.is(await run('--all', '--to', 'site'), 1);
	t.regex(
		io.err,
		/the file of image \S+, as the server gives it, is not the one that was planned: its digest is another/,
	);
	server.spoil = bytes => bytes;
	server.cutFiles = {bytes: server.sent + 20_000, times: 1};
	server.wrongRange = 'bytes 49000-49999/50000';
	t.is(await run('--all', '--to', 'x.tar'), 1);
	t.regex(io.err, /sends another part of a file than was asked for/);
});

test('a server that refuses, or knows nothing of bundles, is quoted', async t => {
	const {io, server, folder, run} = await bench(t);
	server.refusal = {status: 403, code: 'OperatorOnly', message: 'only operators may do so'};
	t.is(await run('--all', '--to', 'site'), 1);
	t.regex(io.err, /only operators may do so \(OperatorOnly\)\n {2}this takes the right "operate"/);
	server.refusal = {status: 422, code: 'InvalidParameter', message: 'no channel is called x'};
	t.is(await run('--channel', 'x', '--to', 'site'), 1);
	t.regex(io.err, /no channel is called x/);
	server.refusal = undefined;
	server.events = [...server.events.slice(0, 2), {code: 'InternalError', message: 'it broke'}];
	t.is(await run('--all', '--to', 'site'), 1);
	t.regex(last(io.err), /says: it broke \(InternalError\)/);
	t.is(server.asked.length, 3);
	server.events = [{what: 'image', uuid: base.uuid, blobs: [{digest: 'sha256:../../x', size: 1, text: 'x'}]}];
	t.is(await run('--all', '--to', 'site'), 1);
	t.regex(last(io.err), /the plan has a blob "sha256:\.\.\/\.\.\/x" of 1 bytes/);
	t.deepEqual(await readdir(folder), []);
});

test('a disk with too little room is said to have it before anything is written', async t => {
	const {io, server, run} = await bench(t);
	const disk = await smallDisk(t, 1);
	if (disk === undefined) {
		t.pass();
		return;
	}
	const large = makeImage({size: 3_000_000});
	server.events = eventsOf(makeBundle({images: [large]}), [large]);
	for (const to of [join(disk, 'site'), join(disk, 'x.tar')]) {
		t.is(await run('--all', '--to', to), 1);
		t.regex(
			last(io.err),
			/^imgmirror: there is not enough room: 3\.\d\d MB are to be written, \S+ has [\d.]+ [kM]B free$/,
		);
	}
	t.deepEqual(await readdir(disk), []);
	t.deepEqual(server.files, []);
});

test('the help says how', async t => {
	const io = new FakeIo();
	t.is(await runCli(['export', '--help'], io), 0);
	t.regex(io.out, /Write images as a bundle/);
	t.regex(io.out, /imgmirror export --all --to \/media\/usb\/site/);
	t.true(io.out.split('\n').every(line => line.length <= 100));
});
