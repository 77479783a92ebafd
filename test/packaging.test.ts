/**
 * What is delivered beside the program: SMF and systemd services, the continuous-integration script, package.json.
 *
 * Checked as far as this platform allows. A test whose program is missing says so and passes.
 */
import {spawnSync, type SpawnSyncReturns} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {access, chmod, copyFile, mkdir, readFile, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {delimiter, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {readConfig} from '../src/config.js';
import {tempDir} from './helpers/temp-dir.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const inRoot = (file: string): string => join(root, file);
const read = (file: string): string => readFileSync(inRoot(file), 'utf8');

interface Run {
	readonly env?: Readonly<Record<string, string | undefined>>;
	readonly cwd?: string;
}

function run(program: string, args: readonly string[], {env, cwd = root}: Run = {}): SpawnSyncReturns<string> {
	return spawnSync(program, args, {cwd, encoding: 'utf8', env: env ?? process.env});
}

/** Whether this machine has the program; says so in the test's log if not. */
function has(t: ExecutionContext, program: string): boolean {
	const found = run('sh', ['-c', `command -v ${program}`]).status === 0;
	if (!found) {
		t.log(`skipped: this machine has no ${program}`);
		t.pass();
	}
	return found;
}

function validate(file: string): SpawnSyncReturns<string> {
	return run('xmllint', ['--noout', '--nonet', '--dtdvalid', inRoot('test/helpers/fixtures/smf.dtd'), file]);
}

test('the SMF manifest is valid by the rules of the SMF DTD', t => {
	if (has(t, 'xmllint')) {
		const {status, stderr} = validate(inRoot('smf/imgmirror.xml'));
		t.is(status, 0, stderr);
	}
});

test('and those rules do refuse what SMF would', async t => {
	if (!has(t, 'xmllint')) {
		return;
	}
	const file = join(await tempDir(t), 'wrong.xml');
	const right = read('smf/imgmirror.xml');
	const wrong = {
		'an attribute that is missing': right.replace(' restart_on="error"', ''),
		'a value that is no such': right.replace('value="Unstable"', 'value="Committed"'),
		'an order that is another': right.replace(/(<stability .*>)([^]*)(<\/template>)/, '$2$3$1'),
		'an element that is unknown': right.replace('<method_environment>', '<environment/><method_environment>'),
	};
	for (const [what, text] of Object.entries(wrong)) {
		t.not(text, right, what);
		await writeFile(file, text);
		t.is(validate(file).status, 3, what);
	}
});

test('the SMF service runs as its own user, disabled at first, with no more than it needs', t => {
	const manifest = read('smf/imgmirror.xml').replaceAll(/<!--[^]*?-->/g, '');
	const [service = '', privileged = ''] = manifest.split('<instance name="privileged-port"');
	t.false(manifest.includes('enabled="true"'));
	t.deepEqual(
		[...manifest.matchAll(/ user="(.*?)" group="(.*?)"/g)].map(([, user, group]) => [user, group]),
		[
			['imgmirror', 'imgmirror'],
			['imgmirror', 'imgmirror'],
		],
	);
	const privileges = (text: string): string[] => [...text.matchAll(/privileges="(.*?)"/g)].map(([, set = '']) => set);
	t.is(privileges(service).length, 2);
	for (const set of privileges(service)) {
		t.regex(set, /^basic(,![a-z_]+)+$/, 'the default instance has less than any user');
	}
	t.deepEqual(
		privileges(privileged),
		privileges(service).map(set => `${set},net_privaddr`),
	);
	const working = [...manifest.matchAll(/<method_context (.*?)>/g)].map(([, attributes]) => attributes);
	t.is(working[0], working[1]);
});

test('both services wait longer for an end than answers may take', async t => {
	const {drainTimeoutMs} = readConfig({env: {}, directory: await tempDir(t)});
	const [, smf] = /name="stop" exec=":kill -TERM" timeout_seconds="(\d+)"/.exec(read('smf/imgmirror.xml')) ?? [];
	const [, systemd] = /^TimeoutStopSec=(\d+)$/m.exec(read('smf/imgmirror.service')) ?? [];
	t.true(Number(smf) * 1000 > drainTimeoutMs);
	t.true(Number(systemd) * 1000 > drainTimeoutMs);
	t.regex(read('smf/imgmirror.xml'), /name="refresh" exec=":kill -HUP"/);
	t.regex(read('smf/imgmirror.service'), /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
});

test('the systemd unit is one that systemd takes', async t => {
	if (!has(t, 'systemd-analyze')) {
		return;
	}
	// The user and the paths are of a machine where it is installed.
	const unit = read('smf/imgmirror.service')
		.replaceAll(/^(User|Group)=imgmirror$/gm, `$1=${userInfo().username}`)
		.replace('/usr/bin/node', process.execPath);
	const file = join(await tempDir(t), 'imgmirror.service');
	await writeFile(file, unit);
	const {stderr} = run('systemd-analyze', ['verify', file]);
	const complaints = stderr.split('\n').filter(line => line.includes(file) || line.startsWith('imgmirror.service'));
	t.deepEqual(complaints, []);
});

test('the systemd unit is shut in, but may run compiled JavaScript', t => {
	const settings = new Map(
		read('smf/imgmirror.service')
			.split('\n')
			.filter(line => /^[A-Z]\w+=/.test(line))
			.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
	);
	t.like(Object.fromEntries(settings), {
		User: 'imgmirror',
		CapabilityBoundingSet: '',
		NoNewPrivileges: 'yes',
		ProtectSystem: 'strict',
		ProtectHome: 'yes',
		PrivateTmp: 'yes',
		PrivateDevices: 'yes',
		StateDirectory: 'imgmirror',
		SystemCallFilter: '@system-service',
		LimitNOFILE: '65536',
		RestartPreventExitStatus: '2',
	});
	t.false(settings.has('MemoryDenyWriteExecute'));
	t.false(settings.has('AmbientCapabilities'));
});

interface Method {
	/** Runs the method with these properties; those not given are unset. */
	start(
		properties: Readonly<Record<string, string>>,
		options?: {checks?: number; smf?: boolean},
	): SpawnSyncReturns<string>;
	/** What Node.js was run with, one array per run. */
	runs(): Promise<readonly (readonly string[])[]>;
	readonly directory: string;
	readonly node: string;
}

/** The method script among stand-ins for SMF and Node.js. */
async function installMethod(t: ExecutionContext): Promise<Method> {
	const directory = await tempDir(t);
	const bin = join(directory, 'bin');
	const [calls, script, include] = ['calls', 'method', 'smf_include.sh'].map(name => join(directory, name)) as [
		string,
		string,
		string,
	];
	await mkdir(bin);
	await mkdir(join(directory, 'dist'));
	await writeFile(join(directory, 'dist/main.js'), '');
	await writeFile(
		include,
		[
			'SMF_EXIT_OK=0 SMF_EXIT_ERR_FATAL=95 SMF_EXIT_ERR_CONFIG=96 SMF_EXIT_ERR_NOSMF=99',
			'smf_present() { [ "$PRESENT" = yes ]; }',
			'smf_clear_env() { unset SMF_FMRI; }',
		].join('\n'),
	);
	await writeFile(script, read('smf/method/imgmirror').replace('/lib/svc/share/smf_include.sh', include));
	const executables = {
		// As the real one: fails for what is unset, quotes what is empty, escapes what a shell would split.
		svcprop: [
			'[ "$1" = -p ] && [ "$3" = svc:/application/imgmirror:default ] || exit 2',
			'file=$PROPERTIES/${2#config/}',
			'[ -e "$file" ] || exit 1',
			'if [ -s "$file" ]; then sed "s/ /\\\\\\\\ /g" "$file"; else echo \'""\'; fi',
		],
		node: [
			`{ for word in "$@"; do printf '%s\\n' "$word"; done; echo "fmri=$SMF_FMRI"; echo --; } >> ${calls}`,
			'case "$*" in *"config check"*) exit "$CHECKS";; esac',
		],
	};
	for (const [name, lines] of Object.entries(executables)) {
		await writeFile(join(bin, name), ['#!/bin/sh', ...lines, ''].join('\n'));
		await chmod(join(bin, name), 0o755);
	}
	let count = 0;
	return {
		directory,
		node: join(bin, 'node'),
		start(properties, {checks = 0, smf = true} = {}) {
			const store = join(directory, `properties-${++count}`);
			run('mkdir', [store]);
			for (const [name, value] of Object.entries(properties)) {
				spawnSync('tee', [join(store, name)], {input: value});
			}
			return run('sh', [script, 'start'], {
				env: {
					PATH: [bin, process.env['PATH']].join(delimiter),
					PROPERTIES: store,
					CHECKS: String(checks),
					PRESENT: smf ? 'yes' : 'no',
					SMF_FMRI: 'svc:/application/imgmirror:default',
				},
			});
		},
		async runs() {
			const text = await readFile(calls, 'utf8').catch(() => '');
			return text
				.split('\n--\n')
				.slice(0, -1)
				.map(call => call.split('\n'));
		},
	};
}

test('the SMF method is a shell script that any sh reads', t => {
	t.is(run('sh', ['-n', inRoot('smf/method/imgmirror')]).stderr, '');
	if (has(t, 'shellcheck')) {
		const {stdout} = run('shellcheck', ['--exclude=SC1091', inRoot('smf/method/imgmirror')]);
		t.is(stdout, '');
	}
});

test('the SMF method becomes the mirror, with what its properties say', async t => {
	const method = await installMethod(t);
	const data = join(method.directory, 'the data');
	const config = join(method.directory, 'config.json');
	await mkdir(data);
	await writeFile(config, '{}');
	const {directory, node} = method;
	const done = method.start({
		directory,
		node,
		data,
		config_file: config,
		node_options: '--max-old-space-size=512 --title=x',
	});
	t.is(done.stderr, '');
	t.is(done.status, 0);
	const main = join(directory, 'dist/main.js');
	t.deepEqual(await method.runs(), [
		[main, 'config', 'check', '--config', config, 'fmri=svc:/application/imgmirror:default'],
		['--max-old-space-size=512', '--title=x', main, 'serve', '--config', config, '--data', data, 'fmri='],
	]);
});

test('empty SMF properties leave the choice to the mirror', async t => {
	const method = await installMethod(t);
	const {directory, node} = method;
	t.is(method.start({directory, node, data: '', config_file: '', node_options: ''}).status, 0);
	t.deepEqual((await method.runs()).at(-1), [join(directory, 'dist/main.js'), 'serve', 'fmri=']);
});

test('the SMF method puts into maintenance what cannot work', async t => {
	const method = await installMethod(t);
	const {directory, node} = method;
	const absent = join(directory, 'absent');
	const faults: readonly [Readonly<Record<string, string>>, RegExp][] = [
		[{directory, node: absent}, /config\/node: no program at /],
		[{directory: absent, node}, /config\/directory: .*main\.js is missing/],
		[{directory, node, config_file: absent}, /config\/config_file: .* is missing/],
		[{directory, node, data: absent}, /config\/data: .* is missing/],
	];
	for (const [properties, message] of faults) {
		const {status, stderr} = method.start(properties);
		t.is(status, 96);
		t.regex(stderr, message);
	}
	t.deepEqual(await method.runs(), []);

	const faulty = method.start({directory, node}, {checks: 2});
	t.is(faulty.status, 96);
	t.regex(faulty.stderr, /configuration cannot be used/);
	t.is((await method.runs()).length, 1);
	t.is(method.start({directory, node}, {smf: false}).status, 99);
});

test('package.json says what is there', async t => {
	const manifest = JSON.parse(read('package.json')) as {
		name: string;
		license: string;
		bin: Record<string, string>;
		files: readonly string[];
		engines: {node: string};
		scripts: Record<string, string>;
	};
	t.is(manifest.name, 'imgmirror');
	t.is(manifest.license, 'MIT');
	t.regex(read('LICENSE'), /^MIT License\n/);
	t.deepEqual(manifest.bin, {imgmirror: 'dist/main.js'});
	t.is(manifest.engines.node, '>=20.19.0');
	for (const file of [...manifest.files.filter(name => name !== 'dist'), 'README.md', 'LICENSE', 'src/main.ts']) {
		await t.notThrowsAsync(access(inRoot(file)), file);
	}
	t.regex(read('src/main.ts'), /^#!\/usr\/bin\/env node\n/);
	t.true(manifest.scripts['start']?.startsWith('node dist/main.js serve'));
});

test('.ci/run counts what AVA says, and fails when anything did', async t => {
	if (!has(t, 'bash')) {
		return;
	}
	const directory = await tempDir(t);
	const bin = join(directory, 'bin');
	await mkdir(bin);
	await mkdir(join(directory, '.ci'));
	await copyFile(inRoot('.ci/run'), join(directory, '.ci/run'));
	await writeFile(join(bin, 'npm'), '#!/bin/sh\n[ "$*" = test ] || exit 9\ncat "$SAYS"\nexit "$STATUS"\n');
	// Nothing can be installed here; the run goes on.
	await writeFile(join(bin, 'apt-get'), '#!/bin/sh\nexit 100\n');
	await chmod(join(bin, 'npm'), 0o755);
	await chmod(join(bin, 'apt-get'), 0o755);
	const lines = async (says: string, status: number): Promise<readonly [readonly string[], number | null]> => {
		const file = join(directory, 'says');
		await writeFile(file, says);
		const env = {PATH: [bin, process.env['PATH']].join(delimiter), SAYS: file, STATUS: String(status)};
		const {stdout, status: exit} = run(join(directory, '.ci/run'), [], {env, cwd: '/'});
		return [stdout.trimEnd().split('\n'), exit];
	};
	const last = async (...given: Parameters<typeof lines>): Promise<readonly [string | undefined, number | null]> => {
		const [said, status] = await lines(...given);
		return [said.at(-1), status];
	};
	t.deepEqual(await last('  ✔ a\n  ✔ b\n  ─\n\n  2 tests passed\n  1 test skipped\n', 0), [
		'2 passed, 0 failed, 1 skipped',
		0,
	]);
	t.deepEqual(await last('  ✔ a\n  ✘ [fail]: b\n  ─\n\n  1 test failed\n', 1), ['1 passed, 1 failed', 1]);
	t.deepEqual(await last('  ✔ a\n  ─\n\n  1 test passed\n  1 uncaught exception\n', 1), ['1 passed, 1 failed', 1]);
	t.deepEqual(await last('src/x.ts(1,1): error TS1005\n', 2), ['0 passed, 1 failed', 1]);
	t.deepEqual(await last('  12 tests passed\nERROR: Coverage for lines\n', 1), ['12 passed, 1 failed', 1]);
	t.deepEqual(await last('', 0), ['0 passed, 1 failed', 1]);

	const told = async (...given: Parameters<typeof lines>): Promise<readonly string[]> => {
		const [said] = await lines(...given);
		return said.includes('What failed:') ? said.slice(said.indexOf('What failed:')) : [];
	};
	// However much comes after it, the end has what failed.
	const table = 'src/x.ts | 100 |\n'.repeat(1000);
	const failure = '  ─\n\n  b\n\n  Value is not `true`:\n\n  ─\n\n  1 test failed\n';
	const end = await told(`  ✔ a\n  ✘ [fail]: b\n${failure}${table}`, 1);
	t.true(end.includes('  ✘ [fail]: b') && end.includes('  Value is not `true`:'), end.join('\n'));
	t.false(end.some(line => line.includes('src/x.ts')));
	t.true((await told('npm error code ENOSPC\n', 1)).includes('npm error code ENOSPC'), 'also what nobody has foreseen');
	t.deepEqual(await told('  ✔ a\n  ─\n\n  1 test passed\n', 0), []);
});
