/**
 * A mirror as a process of its own, as `node dist/main.js serve` runs it: for signals, crashes and restarts.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {get, type Answer, type GetOptions} from './http-client.js';
import type {TestImage} from './make-image.js';
import {uncounted} from './run-command.js';
import {tempDir, type Scope} from './temp-dir.js';

export interface ProcessOptions {
	readonly sources: readonly (string | Readonly<Record<string, unknown>>)[];
	readonly data: string;
	readonly config?: Readonly<Record<string, unknown>>;
	/** `ulimit -f`: no file may become longer than so many blocks of 512 bytes. */
	readonly maxFileBlocks?: number;
	/** Of another build. */
	readonly main?: string;
	readonly env?: Readonly<Record<string, string>>;
}

export interface MirrorProcess {
	readonly url: string;
	/** The line that says it is ready. */
	readonly banner: string;
	readonly configFile: string;
	readonly child: ChildProcess;
	get(path: string, options?: GetOptions): Promise<Answer>;
	file(image: TestImage, options?: GetOptions): Promise<Answer>;
	/** Sends the signal and resolves with how the process ended. */
	end(signal: NodeJS.Signals): Promise<{code: number | null; signal: NodeJS.Signals | null}>;
	/** Resolves with the first line of the log that fits, from now or before. */
	logged(pattern: RegExp): Promise<string>;
	configure(content: string): Promise<void>;
}

const ownMain = fileURLToPath(new URL('../../src/main.js', import.meta.url));

export async function startProcess(t: Scope, options: ProcessOptions): Promise<MirrorProcess> {
	const configFile = path.join(await tempDir(t), 'imgmirror.json');
	const content = {
		listen: ['127.0.0.1:0'],
		data: options.data,
		sources: options.sources,
		log: {level: 'info', format: 'json'},
		...options.config,
	};
	await writeFile(configFile, JSON.stringify(content));
	const limit = options.maxFileBlocks === undefined ? '' : `ulimit -f ${options.maxFileBlocks}; `;
	const command = `${limit}exec "$0" "$@"`;
	const {main = ownMain, env = {}} = options;
	const args = ['-c', command, process.execPath, main, 'serve', '--config', configFile];
	const child = spawn('/bin/sh', args, {
		stdio: ['ignore', 'pipe', 'pipe'],
		env: {...process.env, ...uncounted, ...env},
	});
	const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
	t.teardown(async () => {
		child.kill('SIGKILL');
		await ended;
	});
	const lines: string[] = [];
	const watchers = new Set<() => void>();
	createInterface(child.stderr).on('line', line => {
		lines.push(line);
		for (const watcher of watchers) {
			watcher();
		}
	});
	const banner = await Promise.race([
		once(createInterface(child.stdout), 'line').then(([line]) => String(line)),
		ended.then(([code]) => {
			throw new Error(`the mirror ended with ${String(code)}: ${lines.join('\n')}`);
		}),
	]);
	const url = /http:\/\/[^\s,]+/.exec(banner)?.[0] ?? '';
	return {
		url,
		banner,
		configFile,
		child,
		get: (at, how) => get(url + at, how),
		file: (image, how) => get(`${url}/images/${image.uuid}/file`, how),
		async end(signal) {
			child.kill(signal);
			const [code, by] = await ended;
			return {code, signal: by};
		},
		logged(pattern) {
			return new Promise(resolve => {
				const look = (): void => {
					const line = lines.find(one => pattern.test(one));
					if (line !== undefined) {
						watchers.delete(look);
						resolve(line);
					}
				};
				watchers.add(look);
				look();
			});
		},
		configure: text => writeFile(configFile, text),
	};
}
