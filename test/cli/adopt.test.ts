import {chownSync, writeFileSync} from 'node:fs';
import {userInfo} from 'node:os';
import {join} from 'node:path';
import {text} from 'node:stream/consumers';
import test, {type ExecutionContext} from 'ava';
import {runCli} from '../../src/cli/run.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';
import {startFakeServer, type FakeServer} from './fake-server.js';

const one = '01b2c898-945f-11e1-a523-af1afbe22822';
const two = '11b2c898-945f-11e1-a523-af1afbe22822';
const three = '21b2c898-945f-11e1-a523-af1afbe22822';

interface Bench {
	readonly io: FakeIo;
	readonly server: FakeServer;
	readonly bodies: unknown[];
	readonly run: (...argv: string[]) => Promise<number>;
}

/** A server that tells these events, in pieces as they may come from a network. */
async function bench(t: ExecutionContext, events: readonly unknown[], {cut = false} = {}): Promise<Bench> {
	const io = new FakeIo();
	const data = await tempDir(t);
	const socket = join(data, 'control.sock');
	const server = await startFakeServer(t, {socket});
	const bodies: unknown[] = [];
	io.directory = data;
	io.control = {controlSocket: async () => socket, isRunning: async () => true};
	server.before = (request, response) => {
		void text(request).then(body => {
			bodies.push(JSON.parse(body));
			const lines = Buffer.from(events.map(event => `${JSON.stringify(event)}\n`).join(''));
			response.writeHead(200, {'content-type': 'application/x-ndjson'});
			response.write(lines.subarray(0, 100));
			setImmediate(() => {
				response.write(lines.subarray(100), () => {
					if (cut) {
						response.destroy();
					} else {
						response.end();
					}
				});
			});
		});
		return true;
	};
	return {io, server, bodies, run: (...argv) => runCli(['adopt', '--data', data, ...argv], io)};
}

const begun = [
	{what: 'found', images: 3, bytes: 3_000_000},
	{what: 'image', uuid: one, name: 'bäse', version: '1.0.0', bytes: 1_000_000},
	{what: 'progress', uuid: one, bytes: 500_000},
	{what: 'done', uuid: one, outcome: 'adopted'},
	{what: 'image', uuid: two, name: 'other', version: '2', bytes: 1_500_000},
	{what: 'done', uuid: two, outcome: 'there'},
];
const all = [
	...begun,
	{what: 'image', uuid: three, name: 'bad\u001b[2J', version: '3', bytes: 500_000},
	{what: 'done', uuid: three, outcome: 'failed', problem: 'the file has another sha1'},
	{what: 'later', something: 'else'},
	{what: 'end', adopted: 1, there: 1, failed: 1},
];

test('adopt reports every image, and fails if any failed', async t => {
	const {io, bodies, server, run} = await bench(t, all);
	t.is(await run('old'), 1);
	t.deepEqual(bodies, [{directory: join(io.directory, 'old'), how: 'copy', dryRun: false}]);
	t.deepEqual(server.requests, ['POST /adopt']);
	t.is(
		io.out,
		[
			'UUID                                  NAME     VERSION  SIZE     OUTCOME',
			`${one}  bäse     1.0.0    1.00 MB  adopted`,
			`${two}  other    2        1.50 MB  there already`,
			`${three}  bad�[2J  3        500 kB   failed: the file has another sha1`,
			'1 adopted, 1 there already, 1 failed',
			'',
		].join('\n'),
	);
	t.is(io.err, 'imgmirror: 3 images with 3.00 MB found\n');
});

test('adopt links, moves or only looks when told, and prints JSON', async t => {
	const {io, bodies, run} = await bench(t, [...begun, {what: 'end', adopted: 1, there: 1, failed: 0}]);
	t.is(await run('/old', '--link', '--json', '-q'), 0);
	t.like(JSON.parse(io.out), [
		{uuid: one, name: 'bäse', outcome: 'adopted'},
		{uuid: two, outcome: 'there'},
	]);
	t.is(io.err, '');
	io.out = '';
	t.is(await run('/old', '--move', '--dry-run'), 0);
	t.regex(io.out, /\n1 to adopt, 1 there already, 0 failed\n$/);
	t.deepEqual(bodies, [
		{directory: '/old', how: 'link', dryRun: false},
		{directory: '/old', how: 'move', dryRun: true},
	]);
});

test('adopt tells what was done before the server went away', async t => {
	const {io, run} = await bench(t, begun, {cut: true});
	t.is(await run('/old'), 1);
	t.regex(io.out, /1 adopted, 1 there already, 0 failed\n$/);
	t.regex(io.err, /the connection to unix:.* broke\n$/);
	const ended = await bench(t, begun);
	t.is(await ended.run('/old'), 1);
	t.regex(ended.io.err, /the server has stopped before the end: what is adopted stays/);
});

test('adopt says what the server refuses, before and in between', async t => {
	const {io, run} = await bench(t, [...begun, {code: 'InternalError', message: 'the disk is full'}]);
	t.is(await run('/old'), 1);
	t.regex(io.err, /says: the disk is full \(InternalError\)\n$/);
	const refused = await bench(t, []);
	refused.server.before = (_request, response) => {
		response.writeHead(422).end(JSON.stringify({code: 'InvalidParameter', message: 'there is no /old'}));
		return true;
	};
	t.is(await refused.run('/old'), 1);
	t.regex(refused.io.err, /there is no \/old \(InvalidParameter\)\n$/);
	t.is(refused.io.out, '', 'no table of nothing');
	const odd = await bench(t, [7]);
	t.is(await odd.run('/old'), 1);
	t.regex(odd.io.err, /is not what this command asked for/);
});

test('adopt works on this machine only', async t => {
	const {io, server, run} = await bench(t, all);
	t.is(await runCli(['adopt', '/old', '--url', 'http://mirror'], io), 2);
	t.regex(io.err, /--url: adopt reads directories of the machine that the server runs on/);
	// The variable is for other commands.
	io.env['IMGMIRROR_URL'] = 'http://127.0.0.1:1';
	io.env['IMGMIRROR_DATA'] = io.directory;
	t.is(await runCli(['adopt', '/old'], io), 1);
	t.is(server.requests.length, 1);
	t.is(await run('/old', '--link', '--move'), 2);
	t.regex(io.err, /--move.*cannot be used with.*--link/);
});

test('adopt can be stopped', async t => {
	const {io, server, run} = await bench(t, []);
	server.before = (_request, response) => {
		response.writeHead(200).write(`${JSON.stringify(begun[0])}\n`);
		return true;
	};
	const running = run('/old');
	await io.until(() => io.err.includes('found'));
	io.process.emit('SIGINT', 'SIGINT');
	t.is(await running, 130);
	t.regex(io.err, /imgmirror: stopped\n$/);
});

test('import-image takes name, version and description, and publishes for everybody', async t => {
	const server = await startFakeServer(t);
	const run = async (argv: readonly string[], ssh?: string): Promise<{code: number; io: FakeIo}> => {
		const io = new FakeIo();
		io.stdin = (async function* () {
			yield Buffer.from('a stream of no known kind');
		})();
		if (ssh !== undefined) {
			io.env['SSH_ORIGINAL_COMMAND'] = ssh;
		}
		return {code: await runCli(['import-image', '--url', server.url, ...argv], io), io};
	};
	const wanted = {name: 'orgbase', version: '1.0.0', description: "it's -- ours", public: 'true', state: 'active'};
	const ssh = `/opt/imgmirror/smf/import-image 'orgbase' 1.0.0 'it'\\''s -- ours'`;
	for (const [argv, command] of [
		[['--quiet', '--', 'orgbase', '1.0.0', "it's -- ours"]],
		[['--quiet', '--'], ssh],
		[[], `import-image -- orgbase 1.0.0 "it's -- ours"`],
	] as const) {
		server.images.clear();
		const {code, io} = await run(argv, command);
		t.is(code, 0, io.err);
		t.like(server.image.manifest, {...wanted, type: 'zone-dataset', os: 'smartos'});
		t.is(io.out, `${String(server.image.manifest['uuid'])}\n`);
	}
	server.images.clear();
	t.is((await run(['a', '1', 'd', '--no-public'])).code, 0);
	t.is(server.image.manifest['public'], 'false');
	const wrong: readonly (readonly [readonly string[], string?])[] = [
		[['a', '1']],
		[[]],
		[[], 'rm -rf /'],
		[[], "import-image a 1 'open"],
		[[], 'import-image a 1 b c'],
	];
	for (const [argv, command] of wrong) {
		const {code, io} = await run(argv, command);
		t.is(code, 2, command);
		t.regex(io.err, /expected NAME VERSION DESCRIPTION/);
	}
});

/** Only root can have what is another account's. */
const ifRoot = userInfo().uid === 0 ? test : test.skip;

ifRoot('root does not work in the data directory of another account, unless its server runs', async t => {
	const {io, server, run} = await bench(t, all);
	chownSync(io.directory, 12_345, 12_345);
	t.is(await run('/old'), 1);
	t.deepEqual(server.requests, ['POST /adopt']);
	io.control = new FakeIo().control;
	t.is(await run('/old'), 1);
	t.regex(io.err, /no server runs on \/.*, which is another account's: start it, or run this as the account/);
	t.deepEqual(io.assembled, []);
});

test('a directory that is a file is no data directory', async t => {
	const io = new FakeIo();
	const file = join(await tempDir(t), 'f');
	writeFileSync(file, '');
	t.is(await runCli(['adopt', '/old', '--data', file], io), 1);
	t.regex(io.err, /there is no data directory/);
});
