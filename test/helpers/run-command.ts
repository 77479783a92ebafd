/**
 * Programs as an operator runs them: ours, curl, whole command lines.
 *
 * `imgmirror` runs the built program; `shell` gives a command line to bash as it stands in a document, with a folder
 * in front of PATH where stand-ins for the tools of other systems lie, and a `.curlrc` that leads their host names here.
 */
import {spawn} from 'node:child_process';
import {chmod, mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {tempDir, type Scope} from './temp-dir.js';

export interface Ran {
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

export interface RunOptions {
	readonly input?: string | Buffer;
	readonly cwd?: string;
	readonly env?: Readonly<Record<string, string>>;
}

/**
 * What the tests' own processes run is counted as covered. Programs that they start would count as well, at the price of
 * half as much work again for each of some eight hundred; those that are spawned otherwise than through here do.
 */
export const uncounted = {NODE_V8_COVERAGE: ''};

export const mainFile = fileURLToPath(new URL('../../src/main.js', import.meta.url));

export function imgmirror(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
	return run(process.execPath, [mainFile, ...args], options);
}

export async function addUser(data: string, name: string, password: string, may = 'publish,operate'): Promise<void> {
	const {code, stderr} = await imgmirror(['user', 'add', name, '--may', may, '--password-stdin', '--data', data], {
		input: `${password}\n`,
	});
	if (code !== 0) {
		throw new Error(`the user could not be added: ${stderr}`);
	}
}

export interface Shell {
	/** Where command lines run. */
	readonly folder: string;
	run(commandLine: string, options?: RunOptions): Promise<Ran>;
	/** Puts a program (a script for /bin/sh) in front of PATH. */
	program(name: string, script: string): Promise<void>;
	file(name: string, content: string | Buffer): Promise<string>;
}

/** `hosts`: what `name:port` of a document is really at, as `host:port`. `ca`: whom curl trusts. */
export async function startShell(
	t: Scope,
	{hosts = {}, ca}: {readonly hosts?: Readonly<Record<string, string>>; readonly ca?: string} = {},
): Promise<Shell> {
	const folder = await tempDir(t);
	const bin = path.join(await tempDir(t), 'bin');
	await mkdir(bin);
	const lines = Object.entries(hosts).map(([asked, real]) => `connect-to = ${asked}:${real}`);
	// The test certificate has no other name than localhost: that it is the right server is not what is tested.
	await writeFile(
		path.join(bin, '.curlrc'),
		[...lines, ...(ca === undefined ? [] : ['insecure']), 'silent', 'show-error', ''].join('\n'),
	);
	return {
		folder,
		run: (commandLine, options = {}) =>
			run('/bin/bash', ['-c', commandLine], {
				cwd: folder,
				...options,
				env: {CURL_HOME: bin, PATH: `${bin}:${process.env['PATH'] ?? ''}`, ...options.env},
			}),
		async program(name, script) {
			const file = path.join(bin, name);
			await writeFile(file, `#!/bin/sh\n${script}\n`);
			await chmod(file, 0o755);
		},
		async file(name, content) {
			const file = path.join(folder, name);
			await writeFile(file, content);
			return file;
		},
	};
}

export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
	return new Promise((resolve, reject) => {
		const child = spawn(program, args, {
			cwd: options.cwd,
			env: {...process.env, ...uncounted, ...options.env},
			stdio: ['pipe', 'pipe', 'pipe'],
		});
		const out: Buffer[] = [];
		const err: Buffer[] = [];
		child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
		child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
		// A program may end before it has read all of its input.
		child.stdin.on('error', () => undefined);
		child.stdin.end(options.input ?? '');
		child.on('error', reject);
		child.on('close', code => {
			resolve({code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString()});
		});
	});
}
