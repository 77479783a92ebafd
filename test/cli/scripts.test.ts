/**
 * smf/mkimg and smf/import-image among stand-ins for vmadm, zfs, ssh and Node.js, under every shell that is here.
 */
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {
	chmodSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	readFileSync,
	readdirSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import {delimiter, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {gunzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import {tempDir} from '../helpers/temp-dir.js';

const smf = fileURLToPath(new URL('../../../smf/', import.meta.url));
const uuid = 'a48b615e-76fb-11e2-9502-6b130bf7f4ff';
const made = '01b2c898-945f-11e1-a523-af1afbe22822';

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const shells = ['sh', 'bash', 'dash', 'ksh', 'ksh93', 'mksh'].filter(has);

interface Zone {
	/** Runs mkimg with these arguments. */
	mkimg(
		args: readonly string[],
		env?: Readonly<Record<string, string>>,
	): {status: number | null; out: string; err: string};
	/** What the stand-ins were called with, in order. */
	calls(): readonly string[];
	readonly directory: string;
	readonly environment: NodeJS.ProcessEnv;
}

/** A global zone with one zone, and a mirror that its ssh reaches. */
async function globalZone(t: ExecutionContext, shell: string): Promise<Zone> {
	const directory = await tempDir(t);
	const bin = join(directory, 'bin');
	const calls = join(directory, 'calls');
	mkdirSync(bin);
	mkdirSync(join(directory, 'snapshots'));
	mkdirSync(join(directory, 'tmp'));
	const programs: Readonly<Record<string, readonly string[]>> = {
		vmadm: [
			'echo "vmadm $*" >> "$CALLS"',
			'case $1 in',
			'list) printf "%s" "$VM";;',
			'stop) [ -z "$STOP_FAILS" ] || exit 1; echo "Successfully completed stop";;',
			'start) [ -z "$START_FAILS" ] || exit 1;;',
			'esac',
		],
		zfs: [
			'echo "zfs $*" >> "$CALLS"',
			'name=$SNAPSHOTS/$(echo "$2" | tr / _)',
			'case $1 in',
			'snapshot) [ -z "$SNAPSHOT_FAILS" ] || exit 1; : > "$name";;',
			'send) [ -e "$name" ] || exit 1; printf "the stream"; [ -z "$SEND_FAILS" ] || exit 3;',
			'  [ -z "$SEND_WAITS" ] || { : > "$SEND_WAITS"; sleep 60; };;',
			'destroy) [ -z "$DESTROY_FAILS" ] || exit 1; rm "$name";;',
			'esac',
		],
		// As sshd: the words joined, given to the user's shell.
		ssh: ['printf "ssh %s\\n" "$1" >> "$CALLS"', 'shift', '[ -z "$SSH_FAILS" ] || exit 255', 'exec sh -c "$*"'],
		'import-image': [
			'for word in "$@"; do printf "[%s]" "$word"; done > "$ARGUMENTS"',
			'cat > "$STREAM"',
			'[ -z "$IMPORT_FAILS" ] || exit 1',
			`echo ${made}`,
		],
	};
	for (const [name, lines] of Object.entries(programs)) {
		writeFileSync(join(bin, name), ['#!/bin/sh', ...lines, ''].join('\n'));
		chmodSync(join(bin, name), 0o755);
	}
	const environment = {
		PATH: [bin, process.env['PATH']].join(delimiter),
		CALLS: calls,
		SNAPSHOTS: join(directory, 'snapshots'),
		ARGUMENTS: join(directory, 'arguments'),
		STREAM: join(directory, 'stream'),
		TMPDIR: join(directory, 'tmp'),
		VM: 'OS    running\n',
		IMGSERVER: 'mirror.example.com',
		IMPORTPATH: bin,
		LOGIN: 'importer',
	};
	return {
		directory,
		environment,
		calls: () => (existsSync(calls) ? readFileSync(calls, 'utf8').trimEnd().split('\n') : []),
		mkimg(args, env = {}) {
			const options = {encoding: 'utf8', env: {...environment, ...env}} as const;
			const {status, stdout, stderr} = spawnSync(shell, [join(smf, 'mkimg'), ...args], options);
			return {status, out: stdout, err: stderr};
		},
	};
}

const without = (calls: readonly string[]): readonly string[] =>
	calls.map(call => call.replace(/@image-\d{8}T\d{6}Z-\d+/, '@S'));
const left = ({directory}: Zone): readonly string[] => [
	...readdirSync(join(directory, 'snapshots')),
	...readdirSync(join(directory, 'tmp')),
];

test('both scripts are executable, and ones that any sh reads', t => {
	for (const script of ['mkimg', 'import-image']) {
		const file = join(smf, script);
		t.is(statSync(file).mode & 0o111, 0o111);
		for (const shell of shells) {
			t.is(spawnSync(shell, ['-n', file], {encoding: 'utf8'}).stderr, '', shell);
		}
		if (has('shellcheck')) {
			t.is(spawnSync('shellcheck', ['--shell=sh', file], {encoding: 'utf8'}).stdout, '');
		}
	}
});

for (const shell of shells) {
	test(`mkimg publishes a zone that runs and starts it again (${shell})`, async t => {
		const zone = await globalZone(t, shell);
		const {status, out, err} = zone.mkimg([uuid, 'orgbase', '1.0.0', 'Base image']);
		t.is(status, 0, err);
		t.is(out, `${made}\n`);
		t.deepEqual(without(zone.calls()), [
			`vmadm list -H -o type,state uuid=${uuid}`,
			`vmadm stop ${uuid}`,
			`zfs snapshot zones/${uuid}@S`,
			`vmadm start ${uuid}`,
			...without(zone.calls()).slice(4, 6).sort().reverse(),
			`zfs destroy zones/${uuid}@S`,
		]);
		t.deepEqual(without(zone.calls()).slice(4, 6).sort(), [
			'ssh importer@mirror.example.com',
			`zfs send zones/${uuid}@S`,
		]);
		t.is(readFileSync(zone.environment['ARGUMENTS'] ?? '', 'utf8'), '[orgbase][1.0.0][Base image]');
		t.is(gunzipSync(readFileSync(zone.environment['STREAM'] ?? '')).toString(), 'the stream');
		t.deepEqual(left(zone), []);
	});

	test(`mkimg leaves a zone stopped that was (${shell})`, async t => {
		const zone = await globalZone(t, shell);
		const path = join(zone.environment['IMPORTPATH'] ?? '', 'import-image');
		t.is(zone.mkimg([uuid, 'a', '1', 'b'], {VM: 'LX    stopped\n', IMPORTPATH: path}).status, 0);
		t.false(zone.calls().some(call => /vmadm (?:stop|start)/.test(call)));
	});

	test(`mkimg carries odd characters to the other end as they are (${shell})`, async t => {
		const zone = await globalZone(t, shell);
		const odd = `it's "ours" $(touch ${zone.directory}/x) \`id\` \\ * ; & | < > !!\nü 漢 -- end\\`;
		t.is(zone.mkimg([uuid, "na'me", '1.0', odd]).status, 0);
		t.is(readFileSync(zone.environment['ARGUMENTS'] ?? '', 'utf8'), `[na'me][1.0][${odd}]`);
		t.false(existsSync(join(zone.directory, 'x')));
	});

	test(`mkimg cleans up whatever fails (${shell})`, async t => {
		const failures: Readonly<Record<string, readonly [env: Record<string, string>, said: RegExp, restarts: boolean]>> =
			{
				'the zone does not stop': [{STOP_FAILS: '1'}, /could not be stopped/, true],
				'no snapshot': [{SNAPSHOT_FAILS: '1'}, /snapshot .* could not be taken/, true],
				'no start': [
					{START_FAILS: '1'},
					/could not be started again: vmadm start .*\nmkimg: nothing was published/,
					true,
				],
				'zfs send': [{SEND_FAILS: '1'}, /zfs failed \(3\): do not use the image above/, true],
				'zfs send, and so the import': [
					{SEND_FAILS: '1', IMPORT_FAILS: '1'},
					/zfs failed \(3\)\nmkimg: nothing was published/,
					true,
				],
				ssh: [{SSH_FAILS: '1'}, /nothing was published: ssh or import-image failed \(255\)/, true],
				import: [{IMPORT_FAILS: '1'}, /ssh or import-image failed \(1\)/, true],
				'no such zone': [{VM: ''}, /there is no zone/, false],
				'a virtual machine': [{VM: 'KVM  running\n'}, /is of type KVM/, false],
				'a zone in another state': [{VM: 'OS  provisioning\n'}, /is provisioning: only a zone that/, false],
			};
		for (const [what, [env, said, restarts]] of Object.entries(failures)) {
			const zone = await globalZone(t, shell);
			const {status, err} = zone.mkimg([uuid, 'a', '1', 'b'], env);
			t.is(status, 1, what);
			t.regex(err, said, what);
			t.deepEqual(left(zone), [], what);
			t.is(zone.calls().filter(call => call.startsWith('vmadm start')).length, restarts ? 1 : 0, what);
		}
		const zone = await globalZone(t, shell);
		const {status, err, out} = zone.mkimg([uuid, 'a', '1', 'b'], {DESTROY_FAILS: '1'});
		t.is(status, 1);
		t.is(out, `${made}\n`);
		t.regex(err, /is still there: zfs destroy zones/);
	});

	test(`mkimg cleans up when it is interrupted (${shell})`, async t => {
		const zone = await globalZone(t, shell);
		const sending = join(zone.directory, 'sending');
		const env = {...zone.environment, SEND_WAITS: sending};
		// A terminal's Ctrl-C goes to all of the group.
		const child = spawn(shell, [join(smf, 'mkimg'), uuid, 'a', '1', 'b'], {env, detached: true, stdio: 'ignore'});
		const ended = once(child, 'exit') as Promise<unknown[]>;
		while (!existsSync(sending)) {
			await new Promise(resolve => setImmediate(resolve));
		}
		process.kill(-(child.pid ?? 0), 'SIGINT');
		const [status] = await ended;
		t.is(status, 130);
		t.deepEqual(left(zone), []);
		t.regex(zone.calls().at(-1) ?? '', /^zfs destroy /);
	});
}

test('mkimg checks its arguments before it touches anything', async t => {
	const zone = await globalZone(t, 'sh');
	const mistakes: readonly [readonly string[], RegExp, Record<string, string>?][] = [
		[[], /4 arguments are needed, not 0/],
		[[uuid, 'a', '1', 'a', 'description'], /not 5; a description of several words goes in quotes/],
		[[uuid.toUpperCase(), 'a', '1', 'b'], /is no uuid/],
		[[`${uuid}x`, 'a', '1', 'b'], /is no uuid/],
		[['../../x', 'a', '1', 'b'], /is no uuid/],
		[[uuid, '', '1', 'b'], /may not be empty/],
		[[uuid, 'a', '1', 'b'], /IMGSERVER is not set/, {IMGSERVER: ''}],
	];
	for (const [args, said, env] of mistakes) {
		const {status, err} = zone.mkimg(args, env);
		t.is(status, 2);
		t.regex(err, said);
		t.regex(err, /usage: mkimg UUID NAME VERSION DESCRIPTION/);
	}
	t.deepEqual(zone.calls(), []);
});

interface Installed {
	readonly run: (
		args: readonly string[],
		env?: Readonly<Record<string, string>>,
	) => {status: number | null; out: string; err: string};
	readonly main: string;
	readonly directory: string;
}

/** import-image where it is installed, with a Node.js that says what it was run with. */
async function installed(t: ExecutionContext): Promise<Installed> {
	const directory = await tempDir(t);
	const program = join(directory, 'im g');
	const bin = join(directory, 'bin');
	mkdirSync(join(program, 'smf'), {recursive: true});
	mkdirSync(join(program, 'dist'));
	mkdirSync(bin);
	writeFileSync(join(program, 'dist/main.js'), '');
	copyFileSync(join(smf, 'import-image'), join(program, 'smf/import-image'));
	writeFileSync(
		join(bin, 'node'),
		'#!/bin/sh\nfor word in "$@"; do printf "[%s]" "$word"; done\necho " $IMGMIRROR_URL|$IMGMIRROR_CONFIG|$IMGMIRROR_DATA"\ncat\n',
	);
	chmodSync(join(bin, 'node'), 0o755);
	return {
		directory,
		main: `${program}/smf/../dist/main.js`,
		run(args, env = {}) {
			const options = {
				encoding: 'utf8',
				input: 'stream',
				env: {PATH: [bin, process.env['PATH']].join(delimiter), ...env},
			} as const;
			const {status, stdout, stderr} = spawnSync(join(program, 'smf/import-image'), args, options);
			return {status, out: stdout, err: stderr};
		},
	};
}

test('import-image hands on its words and the stream', async t => {
	const {run, main} = await installed(t);
	const begin = `[${main}][import-image][--quiet][--]`;
	t.is(run(['a', '1', "it's -- ours"]).out, `${begin}[a][1][it's -- ours] ||\nstream`);
	t.is(run([], {IMGMIRROR_DATA: '/d'}).out, `${begin} ||/d\nstream`);
	t.is(run([], {IMGMIRROR_URL: 'http://m'}).out, `${begin} http://m||\nstream`);
});

test('import-image may be a link in a directory of the PATH', async t => {
	const {directory, main} = await installed(t);
	symlinkSync(join(directory, 'im g/smf/import-image'), join(directory, 'bin/import-image'));
	const env = {PATH: [join(directory, 'bin'), process.env['PATH']].join(delimiter)};
	for (const shell of shells) {
		const {stdout} = spawnSync(shell, ['-c', 'import-image a 1 b'], {encoding: 'utf8', input: 'stream', env});
		t.is(stdout, `[${main}][import-image][--quiet][--][a][1][b] ||\nstream`, shell);
	}
});

test("import-image finds the SMF service's own configuration", async t => {
	const {run, directory, main} = await installed(t);
	const svcprop = [
		'#!/bin/sh',
		'case $2 in config/data) echo "/var/the\\\\ data";; config/config_file) echo \'""\';; *) exit 1;; esac',
		'',
	];
	writeFileSync(join(directory, 'bin/svcprop'), svcprop.join('\n'));
	chmodSync(join(directory, 'bin/svcprop'), 0o755);
	t.is(run(['a']).out, `[${main}][import-image][--quiet][--][a] ||/var/the data\nstream`);
});

test('import-image says what is missing', async t => {
	const {run} = await installed(t);
	const {status, err} = run(['a'], {NODE: '/absent/node'});
	t.is(status, 1);
	t.regex(err, /there is no program \/absent\/node: set NODE/);
	const alone = spawnSync(join(smf, '../smf/import-image'), ['a'], {
		encoding: 'utf8',
		env: {PATH: '/usr/bin:/bin', NODE: '/absent'},
	});
	t.is(alone.status, 1);
});
