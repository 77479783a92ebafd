/**
 * A far side without a mirror: it takes in tars of bundles over real HTTP, tells what becomes of each image as the
 * mirror's own does, and has what it took in the next time it is asked.
 *
 * A test may have it refuse, stall, break off or tell something else.
 */
import {createHash} from 'node:crypto';
import {EventEmitter, once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {join} from 'node:path';
import {text} from 'node:stream/consumers';
import type {ExecutionContext} from 'ava';
import type {ImportEvent, ImportOutcome} from '../../src/airgap/api.js';
import {decompressed} from '../../src/airgap/compressed.js';
import {haveText, type HaveImage} from '../../src/airgap/have.js';
import {checkConfig, parseImage, parseIndex, type BundleEntry} from '../../src/airgap/oci.js';
import {readTar} from '../../src/airgap/tar-read.js';
import {runCli} from '../../src/cli/run.js';
import type {TestImage} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';

type Done = Extract<ImportEvent, {readonly what: 'done'}>;
type SignedBy = Extract<ImportEvent, {readonly what: 'begin'}>['signedBy'];

/** One `PUT /import`, as it came. */
export interface Import {
	readonly query: Readonly<Record<string, string>>;
	readonly headers: IncomingMessage['headers'];
	/** Of the tar, in its order; grows while it comes. */
	readonly paths: string[];
	readonly bytes: Map<string, Buffer>;
	/** Of the body, as it came over the wire. */
	wireBytes: number;
}

export interface Refusal {
	readonly status: number;
	readonly code: string;
	readonly message: string;
}

export class FarSide {
	readonly requests: string[] = [];
	readonly imports: Import[] = [];
	readonly kept = new Map<string, HaveImage>();
	/** Instead of a bundle's being read. */
	refusal: Refusal | undefined;
	signedBy: SignedBy;
	/** Waited for when the index has come. */
	whileReading: () => Promise<void> = async () => undefined;
	/** The lines that are told, instead of those that should be. */
	told: (events: readonly ImportEvent[]) => readonly object[] = events => events;
	/** Waited for when all lines are told. */
	ending: () => Promise<void> = async () => undefined;
	/** The connection breaks after the last line. */
	cut = false;
	/** Instead of what is here. */
	have: Refusal | string | undefined;
	readonly #began = new EventEmitter();
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	constructor() {
		this.#server = createServer((request, response) => {
			this.#answer(request, response).catch(() => response.destroy());
		});
		this.#server.on('connection', socket => {
			this.#sockets.add(socket);
			socket.once('close', () => this.#sockets.delete(socket));
		});
	}

	get url(): string {
		const {port} = this.#server.address() as AddressInfo;
		return `http://127.0.0.1:${port}`;
	}

	get last(): Import {
		const last = this.imports.at(-1);
		if (last === undefined) {
			throw new Error('nothing has been imported');
		}
		return last;
	}

	/** It is here whole, as a bundle of the test's would bring it. */
	keep(...images: readonly TestImage[]): void {
		for (const {uuid, pretty, sha1} of images) {
			this.kept.set(uuid, {uuid, configSha256: sha256(Buffer.from(pretty)), sha1s: [sha1]});
		}
	}

	async start(socket?: string): Promise<void> {
		this.#server.listen(socket === undefined ? {port: 0, host: '127.0.0.1'} : {path: socket});
		await once(this.#server, 'listening');
	}

	async stop(): Promise<void> {
		const closed = once(this.#server, 'close');
		this.#server.close();
		this.breakOff();
		await closed;
	}

	/** Resolves once nobody is connected. */
	async gone(): Promise<void> {
		await Promise.all([...this.#sockets].map(socket => once(socket, 'close')));
	}

	/** Resolves once so many imports have begun. */
	async came(count: number): Promise<void> {
		while (this.imports.length < count) {
			await once(this.#began, 'import');
		}
	}

	/** Every connection, at once. */
	breakOff(): void {
		for (const socket of this.#sockets) {
			socket.destroy();
		}
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const {method = '', url = ''} = request;
		const what = `${method} ${url.replace(/\?.*/, '')}`;
		this.requests.push(what);
		if (what === 'GET /mirror/have') {
			const have = this.have ?? haveText(this.kept.values());
			if (typeof have === 'string') {
				response.writeHead(200, {'content-type': 'text/plain'}).end(have);
			} else {
				refuse(response, have);
			}
		} else if (what === 'PUT /import') {
			await this.#import(request, response);
		} else if (what === 'GET /mirror/sources') {
			response.end('[]');
		} else {
			await text(request);
			refuse(response, {status: 404, code: 'ResourceNotFound', message: `${url} does not exist`});
		}
	}

	async #import(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const query = Object.fromEntries(new URL(`http://h${request.url ?? ''}`).searchParams);
		const one: Import = {query, headers: request.headers, paths: [], bytes: new Map(), wireBytes: 0};
		this.imports.push(one);
		this.#began.emit('import');
		if (this.refusal !== undefined) {
			refuse(response, this.refusal);
			request.resume();
			return;
		}
		request.on('data', (chunk: Buffer) => {
			one.wireBytes += chunk.length;
		});
		request.pause();
		const {stream} = await decompressed(request as AsyncIterable<Buffer>, new AbortController().signal);
		let entries: readonly BundleEntry[] | undefined;
		try {
			for await (const {path, body} of readTar(stream)) {
				const chunks: Buffer[] = [];
				for await (const chunk of body) {
					chunks.push(chunk);
				}
				one.paths.push(path);
				one.bytes.set(path, Buffer.concat(chunks));
				if (path === 'index.json') {
					entries = parseIndex(Buffer.concat(chunks)).filter(({foreign}) => !foreign);
					const begin: ImportEvent = {
						...{what: 'begin', images: entries.length},
						...(this.signedBy === undefined ? {} : {signedBy: this.signedBy}),
					};
					response.writeHead(200, {'content-type': 'application/x-ndjson'});
					response.write(`${JSON.stringify(begin)}\n`);
					await this.whileReading();
				}
			}
		} catch (error) {
			if (entries === undefined) {
				refuse(response, {status: 422, code: 'BundleSpoiled', message: String(error)});
				return;
			}
			// What came before is reported.
		}
		for (const line of this.told(this.#eventsOf(one, entries ?? []))) {
			response.write(`${JSON.stringify(line)}\n`);
		}
		await this.ending();
		if (this.cut) {
			// Lines first: what is destroyed at once may take them along.
			await new Promise<void>(resolve => response.write('', () => resolve()));
			response.destroy();
		} else {
			response.end();
		}
	}

	#eventsOf(one: Import, entries: readonly BundleEntry[]): readonly ImportEvent[] {
		const done = entries.map(entry => this.#take(one, entry));
		const count = (wanted: ImportOutcome): number => done.filter(({outcome}) => outcome === wanted).length;
		const bytes = done.filter(({outcome}) => outcome === 'imported').reduce((sum, image) => sum + image.bytes, 0);
		return [
			...done.flatMap(({uuid, name, version, bytes: size, ...rest}): readonly ImportEvent[] => [
				{what: 'image', uuid, name, version, bytes: size},
				{...rest, uuid, name, version, bytes: size},
			]),
			{
				...{what: 'end', imported: count('imported'), updated: count('updated'), there: count('there')},
				...{failed: count('failed'), bytes, ms: 12},
			},
		];
	}

	#take({bytes, query}: Import, {descriptor, name}: BundleEntry): Done {
		const blob = (digest: string): Buffer => {
			const found = bytes.get(digest.replace(/^sha256:/, 'blobs/sha256/'));
			if (found === undefined) {
				throw new Error(`blob ${digest.slice(0, 15)}… is not in the bundle`);
			}
			if (`sha256:${sha256(found)}` !== digest) {
				throw new Error(`blob ${digest.slice(0, 15)}… is damaged`);
			}
			return found;
		};
		let known = {uuid: name, name: '', version: '', bytes: 0};
		try {
			const image = parseImage(blob(descriptor.digest));
			const {manifest} = checkConfig(image, blob(image.config.digest));
			const {uuid, version} = manifest;
			const size = image.files.reduce((sum, file) => sum + file.descriptor.size, 0);
			known = {uuid, name: manifest.name, version, bytes: size};
			const stored = new Set([...this.kept.values()].flatMap(({sha1s}) => sha1s));
			for (const file of image.files.filter(({sha1}) => sha1 === undefined || !stored.has(sha1))) {
				blob(file.descriptor.digest);
			}
			const before = this.kept.get(uuid);
			const configSha256 = image.config.digest.replace(/^sha256:/, '');
			if (query['dryRun'] === undefined) {
				this.kept.set(uuid, {uuid, configSha256, sha1s: image.files.flatMap(({sha1}) => sha1 ?? [])});
			}
			const outcome = before === undefined ? 'imported' : before.configSha256 === configSha256 ? 'there' : 'updated';
			return {what: 'done', ...known, outcome};
		} catch (error) {
			return {what: 'done', ...known, outcome: 'failed', problem: (error as Error).message};
		}
	}
}

function refuse(response: ServerResponse, {status, code, message}: Refusal): void {
	response.writeHead(status, {'content-type': 'application/json'}).end(JSON.stringify({code, message}));
}

function sha256(bytes: Buffer): string {
	return createHash('sha256').update(bytes).digest('hex');
}

export interface Bench {
	readonly io: FakeIo;
	readonly far: FarSide;
	/** A folder of the test's, where commands run. */
	readonly folder: string;
	/** `imgmirror import …` to the far side, by its URL. */
	readonly run: (...argv: string[]) => Promise<number>;
	/** What is printed from now on. */
	readonly fresh: () => void;
}

export async function farSide(t: ExecutionContext): Promise<Bench> {
	const io = new FakeIo();
	const far = new FarSide();
	await far.start();
	t.teardown(() => far.stop());
	const folder = await tempDir(t);
	io.directory = folder;
	return {
		...{io, far, folder},
		run: (...argv) => runCli(['import', ...argv, '--url', far.url], io),
		fresh() {
			io.out = '';
			io.err = '';
		},
	};
}

/** The same, reached through the socket of a data directory. */
export async function farSideHere(t: ExecutionContext): Promise<Bench & {readonly data: string}> {
	const bench = await farSide(t);
	const {io, folder} = bench;
	const socket = join(await tempDir(t), 'control.sock');
	const far = new FarSide();
	await far.start(socket);
	t.teardown(() => far.stop());
	const data = join(folder, 'data');
	let isRunning = false;
	io.control = {controlSocket: async () => socket, isRunning: async () => isRunning};
	io.beforeAssembled = async () => {
		isRunning = true;
	};
	return {...bench, far, data, run: (...argv) => runCli(['import', ...argv, '--data', data], io)};
}
