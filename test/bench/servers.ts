/**
 * The servers of a benchmark, each a process: nginx as origin and as peer, and mirrors.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {connect, createServer, type AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import type {TestImage, TestManifest} from '../helpers/make-image.js';

export class Bench {
	readonly folder: string;
	readonly #children: ChildProcess[] = [];

	private constructor(folder: string) {
		this.folder = folder;
	}

	static async open(): Promise<Bench> {
		return new Bench(await mkdtemp(path.join(tmpdir(), 'imgmirror-bench-')));
	}

	async close(): Promise<void> {
		for (const child of this.#children) {
			// nginx passes it on to its worker, which a SIGKILL would leave behind.
			child.kill('SIGTERM');
		}
		await rm(this.folder, {recursive: true, force: true, maxRetries: 5});
	}

	/** nginx with these images below its root, as an IMGAPI server and as plain files. */
	async origin(
		images: readonly TestImage[],
		manifests: readonly TestManifest[],
		bytesPerSecond: number | undefined,
	): Promise<string> {
		const root = await mkdtemp(path.join(this.folder, 'origin-'));
		await mkdir(path.join(root, 'files'));
		await mkdir(path.join(root, 'tmp'));
		for (const image of images) {
			await writeFile(path.join(root, 'files', image.uuid), image.bytes);
		}
		const all = [...images, ...manifests].map(({manifest}) => manifest);
		await writeFile(path.join(root, 'images.json'), JSON.stringify(all, null, 2));
		await writeFile(path.join(root, 'image.json'), JSON.stringify(all[0] ?? {}, null, 2));
		const port = await freePort();
		const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
			name => `${name}_temp_path ${root}/tmp/${name};`,
		);
		await writeFile(
			path.join(root, 'nginx.conf'),
			`daemon off; worker_processes 1; pid ${root}/pid; error_log stderr crit;
			${process.getuid?.() === 0 ? 'user root;' : ''} events { worker_connections 4096; }
			http { access_log off; sendfile on; keepalive_requests 1000000; ${places.join(' ')} default_type application/json;
			server { listen 127.0.0.1:${port} backlog=2048;
				${bytesPerSecond === undefined ? '' : `limit_rate ${bytesPerSecond};`}
				location = /ping { return 200 '{"ping":"pong","imgapi":true}'; }
				location = /images { alias ${root}/images.json; }
				location = /image { alias ${root}/image.json; }
				location ~ ^/images/([^/]+)/file$ { alias ${root}/files/$1; default_type application/octet-stream; }
			} }`,
		);
		this.#start('nginx', ['-p', root, '-c', path.join(root, 'nginx.conf'), '-e', 'stderr']);
		await answers(port);
		return `http://127.0.0.1:${port}`;
	}

	/** A mirror of that origin. Resolves when its list is known. */
	async mirror(origin: string, config: object = {}): Promise<{url: string; pid: number}> {
		const data = await mkdtemp(path.join(this.folder, 'mirror-'));
		const file = path.join(data, 'config.json');
		const source = {name: 'origin', url: origin, type: 'imgapi', listTtl: '1h'};
		await writeFile(
			file,
			JSON.stringify({listen: ['127.0.0.1:0'], data, sources: [source], log: {level: 'error'}, ...config}),
		);
		const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
		const child = this.#start(process.execPath, [main, 'serve', '--config', file]);
		if (child.stdout === null) {
			throw new Error('no output');
		}
		const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
		const url = /http:\/\/[^\s,]+/.exec(line)?.[0] ?? '';
		return {url, pid: child.pid ?? 0};
	}

	#start(program: string, args: readonly string[]): ChildProcess {
		const child = spawn(program, args, {stdio: ['ignore', program === 'nginx' ? 'ignore' : 'pipe', 'inherit']});
		this.#children.push(child);
		return child;
	}
}

/** What the process uses now, in MiB; 0 where the system does not tell. */
export async function residentMiB(pid: number): Promise<number> {
	const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
	return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

/** The most it ever used. */
export async function peakMiB(pid: number): Promise<number> {
	const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
	return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
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

async function answers(port: number): Promise<void> {
	for (;;) {
		const socket = connect(port, '127.0.0.1');
		const open = await once(socket, 'connect').then(
			() => true,
			() => false,
		);
		socket.destroy();
		if (open) {
			return;
		}
	}
}
