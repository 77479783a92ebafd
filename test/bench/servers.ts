/**
 * The servers of a benchmark, each a process: mirrors, origins, and whom we are compared with.
 *
 * One `Bench` owns the run's folder and all that was started in it; workloads ask it for servers and send its client.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {connect, createServer, type AddressInfo} from 'node:net';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import type {TestManifest} from '../helpers/make-image.js';
import {listText, type BenchFile} from './files.js';
import {childrenOf} from './processes.js';
import {Missing, fetchAll, program, type ClientResult, type FetchOptions, type Tools} from './tools.js';

export interface Server {
	readonly url: string;
	/** Who does the work: nginx's workers, not its master. */
	readonly pids: readonly number[];
	stop(): Promise<void>;
}

export interface Mirror extends Server {
	readonly pid: number;
}

/** What one URL of a plain nginx gives. */
export interface Served {
	readonly path: string;
	readonly file: string;
	readonly type?: string;
	/** Says so, of bytes that are that already. */
	readonly encoding?: string;
}

export interface MirrorOptions {
	/** A module that runs in the process before the mirror does. */
	readonly preload?: string;
	readonly env?: Readonly<Record<string, string>>;
}

/** As it is built for use, and as tests have it. */
const builtMain = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));
const testedMain = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];

export class Bench {
	readonly tools: Tools;
	readonly folder: string;
	/** Nothing is measured: it is only shown that everything runs. */
	readonly short: boolean;
	/** Of another build: it may not know all that this one does. */
	readonly isOther: boolean;
	readonly #main: string;
	readonly #children = new Set<ChildProcess>();

	/** `main`: the mirror to measure, another build's if need be. */
	constructor(
		tools: Tools,
		{folder = tools.folder, main, short = false}: {folder?: string; main?: string | undefined; short?: boolean} = {},
	) {
		this.short = short;
		this.tools = tools;
		this.folder = folder;
		this.isOther = main !== undefined;
		this.#main = main ?? (short ? testedMain : builtMain);
	}

	async close(): Promise<void> {
		await Promise.all([...this.#children].map(child => this.#end(child)));
	}

	progress(text: string): void {
		process.stderr.write(`bench: ${text}\n`);
	}

	has(name: string): boolean {
		return folders.some(folder => existsSync(path.join(folder, name)));
	}

	fetch(urls: string | readonly string[], options?: FetchOptions): Promise<ClientResult> {
		return fetchAll(this.tools, urls, options);
	}

	/** A mirror of that origin. Resolves when it listens. */
	async mirror(origin: string, config: object = {}, {preload, env = {}}: MirrorOptions = {}): Promise<Mirror> {
		if (!existsSync(this.#main)) {
			throw new Error(`there is no ${this.#main}: npm run build makes it`);
		}
		const data = await mkdtemp(path.join(this.folder, 'mirror-'));
		const file = path.join(data, 'config.json');
		const source = {name: 'origin', url: origin, type: 'imgapi', listTtl: '1h'};
		await writeFile(
			file,
			JSON.stringify({listen: ['127.0.0.1:0'], data, sources: [source], log: {level: 'error'}, ...config}),
		);
		const before = preload === undefined ? [] : ['--import', preload];
		const child = this.#start(process.execPath, [...before, this.#main, 'serve', '--config', file], 'pipe', env);
		const url = /http:\/\/[^\s,]+/.exec(await firstLine(child))?.[0] ?? '';
		const pid = child.pid ?? 0;
		return {
			...{url, pid, pids: [pid]},
			stop: async () => {
				await this.#end(child);
				await rm(data, {recursive: true, force: true, maxRetries: 5});
			},
		};
	}

	/** One worker of nginx that lists these images as an IMGAPI server and gives their files with sendfile. */
	async origin(files: readonly BenchFile[], manifests: readonly TestManifest[]): Promise<Server> {
		const root = await mkdtemp(path.join(this.folder, 'origin-'));
		const list = path.join(root, 'list.json');
		await writeFile(list, listText([...files, ...manifests]));
		const json = 'application/json';
		return this.nginxFiles([
			{path: '/images', file: list, type: json},
			...files.map(({path: url, file}) => ({path: url, file})),
		]);
	}

	/** One worker of nginx that gives these. */
	nginxFiles(served: readonly Served[]): Promise<Server> {
		const locations = served.map(({path: url, file, type = 'application/octet-stream', encoding}) => {
			const header = encoding === undefined ? '' : `add_header Content-Encoding ${encoding};`;
			return `location = ${url} { alias ${file}; default_type ${type}; ${header} }`;
		});
		return this.#nginx(1, '', `sendfile on; ${locations.join('\n')}`);
	}

	/** nginx with two workers that keeps what it fetches, one request at a time for the same thing. */
	nginxCache(upstream: string): Promise<Server> {
		return this.#nginx(
			2,
			'proxy_cache_path cache keys_zone=all:10m max_size=100g inactive=1d use_temp_path=off;',
			`location / {
				proxy_pass ${upstream}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache all;
				proxy_cache_key $request_uri; proxy_cache_valid 200 1d; proxy_cache_lock on;
				proxy_cache_lock_timeout 600s; proxy_cache_lock_age 600s; proxy_max_temp_file_size 0;
			}`,
		);
	}

	async varnish(upstream: string): Promise<Server> {
		const folder = await mkdtemp(path.join(this.folder, 'varnish-'));
		const [port, {host}] = [await freePort(), new URL(upstream)];
		const address = `127.0.0.1:${port}`;
		const vcl = path.join(folder, 'default.vcl');
		const [name, backend] = host.split(':');
		await writeFile(
			vcl,
			`vcl 4.0; backend default { .host = "${name ?? ''}"; .port = "${backend ?? ''}"; }
			sub vcl_backend_response { set beresp.ttl = 1h; }`,
		);
		const storage = ['-s', 'malloc,4G'];
		// Its jail would want a user and folders of its own.
		const args = ['-F', '-j', 'none', '-a', address, '-f', vcl, '-n', path.join(folder, 'run'), ...storage];
		const child = this.#start('varnishd', args, 'ignore');
		await answers(child, port);
		return {url: `http://${address}`, pids: await workersOf(child, 1), stop: () => this.#end(child)};
	}

	/** Files over a line of so many bytes per second. */
	async upstream(
		folder: string,
		bytesPerSecond: number | undefined,
	): Promise<Server & {/** Bytes of files sent until now. */ sent(): Promise<number>}> {
		const child = this.#start(program(this.tools, 'upstream'), [folder, String(bytesPerSecond ?? 0)], 'pipe');
		const url = `http://127.0.0.1:${await firstLine(child)}`;
		return {
			...{url, pids: [child.pid ?? 0], stop: () => this.#end(child)},
			async sent() {
				const answer = (await (await fetch(`${url}/sent`)).json()) as {bytes: number};
				return answer.bytes;
			},
		};
	}

	async #nginx(workers: number, http: string, server: string): Promise<Server> {
		if (!this.has('nginx')) {
			throw new Missing('needs nginx');
		}
		const root = await mkdtemp(path.join(this.folder, 'nginx-'));
		await mkdir(path.join(root, 'tmp'));
		const port = await freePort();
		const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
			name => `${name}_temp_path ${root}/tmp/${name};`,
		);
		await writeFile(
			path.join(root, 'nginx.conf'),
			`daemon off; worker_processes ${workers}; pid ${root}/pid; error_log stderr crit;
			${process.getuid?.() === 0 ? 'user root;' : ''} events { worker_connections 4096; }
			http { access_log off; keepalive_requests 100000000; keepalive_timeout 1h; ${places.join(' ')}
			default_type application/octet-stream; ${http}
			server { listen 127.0.0.1:${port} backlog=4096;
				location = /ping { default_type application/json; return 200 '{"ping":"pong","imgapi":true}'; }
				${server}
			} }`,
		);
		const args = ['-p', root, '-c', path.join(root, 'nginx.conf'), '-e', 'stderr'];
		const child = this.#start('nginx', args, 'ignore');
		await answers(child, port);
		return {
			url: `http://127.0.0.1:${port}`,
			pids: await workersOf(child, workers),
			stop: async () => {
				await this.#end(child);
				await rm(root, {recursive: true, force: true, maxRetries: 5});
			},
		};
	}

	#start(name: string, args: readonly string[], output: 'pipe' | 'ignore', env: object = {}): ChildProcess {
		const PATH = folders.join(path.delimiter);
		const child = spawn(name, args, {
			// What varnishd says there is no fault.
			stdio: ['ignore', output, name === 'varnishd' ? 'ignore' : 'inherit'],
			env: {...process.env, PATH, ...env},
			cwd: this.folder,
		});
		// That it could not be started shows when somebody waits for it.
		child.on('error', () => undefined);
		this.#children.add(child);
		return child;
	}

	async #end(child: ChildProcess): Promise<void> {
		this.#children.delete(child);
		if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
			const ended = once(child, 'exit');
			// nginx passes it on to its workers, which a SIGKILL would leave behind.
			child.kill('SIGTERM');
			const patience = setTimeout(() => child.kill('SIGKILL'), 10_000);
			await ended;
			clearTimeout(patience);
		}
	}
}

async function firstLine(child: ChildProcess): Promise<string> {
	if (child.stdout === null) {
		throw new TypeError('no output');
	}
	const lines = createInterface(child.stdout);
	const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [''])])) as [string];
	if (line === '') {
		throw new Error(`${child.spawnargs.join(' ')} ended at once`);
	}
	return line;
}

/** It listens before they are there. */
async function workersOf(child: ChildProcess, count: number): Promise<readonly number[]> {
	for (;;) {
		const found = childrenOf(child.pid ?? 0);
		if (found.length >= count || child.exitCode !== null || process.platform !== 'linux') {
			return found;
		}
		await new Promise(resolve => setTimeout(resolve, 10));
	}
}

async function freePort(): Promise<number> {
	const server = createServer();
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const {port} = server.address() as AddressInfo;
	server.close();
	await once(server, 'close');
	return port;
}

async function answers(child: ChildProcess, port: number): Promise<void> {
	for (;;) {
		if (child.pid === undefined || child.exitCode !== null) {
			throw new Error(`${child.spawnargs.join(' ')} ended at once`);
		}
		const socket = connect(port, '127.0.0.1');
		const open = await once(socket, 'connect').then(
			() => true,
			() => false,
		);
		socket.destroy();
		if (open) {
			return;
		}
		await new Promise(resolve => setTimeout(resolve, 10));
	}
}
