/**
 * The air gap's room in memory: a tar of bytes that say where they stand, imports that do what a test tells them, and a
 * note of each call.
 */
import type {
	AirgapApi,
	ExportRequest,
	ImportEvent,
	ImportOptions,
	KeysApi,
	PlanEvent,
	PublicKey,
	TarFile,
	TrustedKey,
} from '../../src/airgap/api.js';
import {InvalidParameterError, NotFoundError, RefusedError} from '../../src/errors.js';
import type {Actor} from '../../src/publish/api.js';
import type {Ask} from '../../src/sources/source.js';
import {uuidNumber} from './fake-operate.js';

type Steps<Event> = AsyncGenerator<Event, void, undefined>;

/** Each byte is known by where it stands. */
export function tarBytes(start: number, end: number): Buffer {
	return Buffer.from(
		Uint8Array.from({length: end - start}, (_, at) => ((start + at) * 31 + ((start + at) >> 8)) % 251),
	);
}

export class FakeTar implements TarFile {
	readonly size: number;
	etag = 'bundle-1';
	fileName = 'imgmirror-0123456789ab.tar';
	pieceSize = 10_000;
	/** Runs before each piece, with where it begins; may throw or wait. */
	beforePiece: (at: number, signal: AbortSignal) => Promise<void> | void = () => undefined;
	/** What it really has, where it lies about its size. */
	realSize: number | undefined;
	readonly reads: {readonly start: number; readonly end: number}[] = [];
	closed = 0;

	constructor(size = 25_000) {
		this.size = size;
	}

	async *read(start: number, end: number, signal: AbortSignal): Steps<Buffer> {
		this.reads.push({start, end});
		const last = this.realSize === undefined ? end : Math.min(this.realSize, Math.max(end, this.realSize));
		for (let at = start; at < last; at += this.pieceSize) {
			await this.beforePiece(at, signal);
			signal.throwIfAborted();
			yield tarBytes(at, Math.min(last, at + this.pieceSize));
		}
	}

	close(): void {
		this.closed++;
	}
}

export const planned: readonly PlanEvent[] = [
	{what: 'begin', images: 2, bytes: 30, bytesToFetch: 10},
	{what: 'fetching', uuid: uuidNumber(1), name: 'base', version: '1', bytes: 10},
	{what: 'progress', bytesDone: 10},
	{what: 'warning', message: 'its icon cannot be had'},
	{
		...{what: 'image', uuid: uuidNumber(1), name: 'base', version: '1', bytes: 10, originOf: uuidNumber(2)},
		filesLeftOut: false,
		blobs: [
			{digest: `sha256:${'a'.repeat(64)}`, size: 2, text: '{}'},
			{digest: `sha256:${'b'.repeat(64)}`, size: 1, base64: 'AA=='},
			{digest: `sha256:${'c'.repeat(64)}`, size: 10, file: {uuid: uuidNumber(1), index: 0, sha1: 'd'.repeat(40)}},
		],
	},
	{what: 'left-out', uuid: uuidNumber(3), why: 'failed', problem: 'nobody has it'},
	{what: 'index', text: '{}', signature: '-----BEGIN', signedBy: 'SHA256:x'},
	{what: 'end', images: 1, there: 0, failed: 1, bytes: 13},
];

export const imported: readonly ImportEvent[] = [
	{what: 'begin', images: 1, bytes: 5, signedBy: {fingerprint: 'SHA256:x', comment: 'near', trusted: true}},
	{what: 'image', uuid: uuidNumber(1), name: 'base', version: '1', bytes: 5},
	{what: 'progress', bytesDone: 5},
	{what: 'warning', message: 'its origin is nowhere'},
	{what: 'done', uuid: uuidNumber(1), name: 'base', version: '1', bytes: 5, outcome: 'imported'},
	{what: 'end', imported: 1, updated: 0, there: 0, failed: 0, bytes: 5, ms: 7},
];

export interface ImportCall {
	readonly options: ImportOptions;
	readonly by: Actor;
	readonly ask: Ask;
}

export class FakeAirgap implements AirgapApi {
	readonly keys = new FakeKeys();
	readonly requests: ExportRequest[] = [];
	readonly imports: ImportCall[] = [];
	readonly dsapid: string[] = [];
	/** Of the import that came last. */
	body: Buffer | undefined;
	tar = new FakeTar();
	haveText = `# imgmirror have 1\n${uuidNumber(1)} ${'a'.repeat(64)} -\n`;
	planning: (request: ExportRequest, ask: Ask) => Steps<PlanEvent> = async function* () {
		await Promise.resolve();
		yield* planned;
	};
	exporting: (request: ExportRequest, ask: Ask) => Promise<TarFile> | TarFile = () => this.tar;
	/** Reads all of the body first, unless a test has something better. */
	importing: (body: AsyncIterable<Buffer>, call: ImportCall) => Steps<ImportEvent> = async function* (
		this: FakeAirgap,
		body: AsyncIterable<Buffer>,
	) {
		const pieces: Buffer[] = [];
		for await (const piece of body) {
			pieces.push(piece);
		}
		this.body = Buffer.concat(pieces);
		yield* imported;
	};

	plan(request: ExportRequest, ask: Ask): Steps<PlanEvent> {
		this.requests.push(request);
		return this.planning(request, ask);
	}

	async export(request: ExportRequest, ask: Ask): Promise<TarFile> {
		this.requests.push(request);
		return this.exporting(request, ask);
	}

	import(body: AsyncIterable<Buffer>, options: ImportOptions, by: Actor, ask: Ask): Steps<ImportEvent> {
		const call = {options, by, ask};
		this.imports.push(call);
		return this.importing(body, call);
	}

	have(): Promise<string> {
		return Promise.resolve(this.haveText);
	}

	exportForDsapid(uuid: string): Promise<TarFile> {
		this.dsapid.push(uuid);
		return Promise.resolve(this.tar);
	}
}

export const ownKey: PublicKey = {
	line: 'ssh-ed25519 AAAAown near',
	fingerprint: `SHA256:${'o'.repeat(42)}+`,
	comment: 'near',
};

export class FakeKeys implements KeysApi {
	made: PublicKey | undefined;
	readonly lines: string[] = [];
	readonly calls: unknown[][] = [];

	damage: Error | undefined;

	own(): Promise<PublicKey | undefined> {
		if (this.damage !== undefined) {
			return Promise.reject(this.damage);
		}
		return Promise.resolve(this.made);
	}

	create(options: {readonly comment: string; readonly replace: boolean}): Promise<PublicKey> {
		this.calls.push(['create', options]);
		if (this.made !== undefined && !options.replace) {
			return Promise.reject(new RefusedError('KeyAlreadyExists', 'there is a key'));
		}
		this.made = {...ownKey, comment: options.comment};
		return Promise.resolve(this.made);
	}

	trusted(): Promise<readonly TrustedKey[]> {
		const own = this.made === undefined ? [] : [{...this.made, from: 'own' as const}];
		return Promise.resolve([...own, ...this.lines.map(asTrusted)]);
	}

	trust(line: string): Promise<{readonly key: TrustedKey; readonly added: boolean}> {
		this.calls.push(['trust', line]);
		if (!line.startsWith('ssh-ed25519 ')) {
			return Promise.reject(
				new InvalidParameterError('key is no ed25519 public key', [{field: 'key', code: 'Invalid'}]),
			);
		}
		const added = !this.lines.includes(line);
		if (added) {
			this.lines.push(line);
		}
		return Promise.resolve({key: asTrusted(line), added});
	}

	untrust(which: string): Promise<PublicKey> {
		this.calls.push(['untrust', which]);
		const at = this.lines.map(asTrusted).findIndex(key => key.comment === which || key.fingerprint === which);
		const [line] = at === -1 ? [] : this.lines.splice(at, 1);
		return line === undefined
			? Promise.reject(new NotFoundError(`no key ${which} is trusted`))
			: Promise.resolve(asTrusted(line));
	}
}

function asTrusted(line: string): TrustedKey {
	const [, word = '', comment = ''] = line.split(' ');
	return {line, fingerprint: `SHA256:${word.padEnd(43, '+').slice(0, 43)}`, comment, from: 'file'};
}
