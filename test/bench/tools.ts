/**
 * The benchmark's own programs, in C because Node.js would measure itself: the client, the upstream and the network.
 *
 * They are compiled on the spot into the run's folder. Where there is no compiler a client in Node.js takes their
 * place; what needs the others is left out.
 */
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

const run = promisify(execFile);
const programs = ['client', 'network', 'upstream'] as const;

/** Paths of programs; without a compiler there are none. */
export interface Tools {
	readonly folder: string;
	readonly compiled: boolean;
}

export interface FetchOptions {
	readonly connections?: number;
	/** On each connection. */
	readonly requests?: number;
	readonly headers?: readonly string[];
	/** What each answer must have. 200 unless given. */
	readonly status?: number;
	/** For each connection. */
	readonly bytesPerSecond?: number;
}

export interface ClientResult {
	readonly seconds: number;
	/** Of bodies. */
	readonly bytes: number;
	readonly requests: number;
	/** Answers with another status, or cut short. */
	readonly failed: number;
	/** The client's own. */
	readonly cpuSeconds: number;
	/** Until the first byte of a body; of a connection's first request, since it was opened. */
	readonly firstByteMs: {
		readonly min: number;
		readonly median: number;
		readonly p99: number;
		readonly max: number;
	};
}

/** What a workload needs and this machine has not. */
export class Missing extends Error {}

export async function makeTools(folder: string): Promise<Tools> {
	try {
		await Promise.all(programs.map(name => run('cc', ['-O2', '-o', path.join(folder, name), source(`${name}.c`)])));
		return {folder, compiled: true};
	} catch (error) {
		const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : '';
		process.stderr.write(`bench: no C compiler that works (${why}): a client in Node.js measures less than there is\n`);
		return {folder, compiled: false};
	}
}

/** The C sources stay where they are when TypeScript is compiled somewhere else. */
function source(name: string): string {
	for (let above = path.dirname(fileURLToPath(import.meta.url)); ; above = path.dirname(above)) {
		const file = path.join(above, 'test', 'bench', name);
		if (existsSync(file)) {
			return file;
		}
		if (path.dirname(above) === above) {
			throw new Error(`${name} is not there`);
		}
	}
}

export function program(tools: Tools, name: (typeof programs)[number]): string {
	if (!tools.compiled) {
		throw new Missing(`needs a C compiler`);
	}
	return path.join(tools.folder, name);
}

let lists = 0;

/** Asks for these URLs of one server in turns, as often as `options` say. Throws if a single answer was not right. */
export async function fetchAll(
	tools: Tools,
	urls: string | readonly string[],
	{connections = 1, requests = 1, headers = [], status = 200, bytesPerSecond}: FetchOptions = {},
): Promise<ClientResult> {
	const all = [urls].flat().map(url => new URL(url));
	const [first] = all;
	if (first === undefined) {
		throw new TypeError('nothing to fetch');
	}
	let paths = all.map(({pathname, search}) => pathname + search);
	if (paths.length > 20) {
		const file = path.join(tools.folder, `paths-${++lists}`);
		await writeFile(file, paths.join('\n'));
		paths = [`@${file}`];
	}
	if (bytesPerSecond !== undefined) {
		program(tools, 'client');
	}
	const args = [
		...['-c', String(connections), '-k', String(requests), '-s', String(status)],
		...headers.flatMap(header => ['-H', header]),
		...(bytesPerSecond === undefined ? [] : ['-r', String(bytesPerSecond)]),
		...[first.hostname, first.port, ...paths],
	];
	const {stdout} = tools.compiled
		? await run(program(tools, 'client'), args)
		: await run(process.execPath, [fileURLToPath(new URL('client.js', import.meta.url)), ...args]);
	const result = JSON.parse(stdout) as ClientResult;
	if (result.failed > 0) {
		throw new Error(`${result.failed} of ${connections * requests} requests to ${first.href} failed`);
	}
	return result;
}
