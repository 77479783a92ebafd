/** A publisher over a real store in a temporary directory, and what its tests hand to it. */
import {createHash, randomUUID} from 'node:crypto';
import {readdir} from 'node:fs/promises';
import type {Layout} from '../../src/blobs/layout.js';
import type {DiskStore} from '../../src/blobs/store.js';
import {MirrorError, NotFoundError, RefusedError, SourceUnavailableError, ValidationError} from '../../src/errors.js';
import {InvalidParameterError} from '../../src/errors.js';
import {isSha1, isUuid, type JsonObject, type Manifest, type Sha1, type Uuid} from '../../src/image/manifest.js';
import type {Change, FileOffer} from '../../src/publish/api.js';
import type {PublishSettings, PublishStore, Upstream} from '../../src/publish/internal.js';
import {Publisher} from '../../src/publish/publisher.js';
import type {RemoteServers} from '../../src/sources/source.js';
import {startStore} from '../blobs/start-store.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

export interface PublisherRig {
	readonly publisher: Publisher;
	readonly store: DiskStore;
	readonly layout: Layout;
	readonly host: TestHost;
	/** How often lists were told of a change. */
	readonly changes: () => number;
	/** Ends this one; the next works on the same directory. */
	readonly restart: (options?: Partial<RigOptions>) => Promise<PublisherRig>;
	readonly close: () => Promise<void>;
	/** Names of everything below `uploads`, `published`, and the blobs themselves. */
	readonly litter: () => Promise<{
		readonly uploads: readonly string[];
		readonly published: readonly string[];
		readonly blobs: readonly string[];
	}>;
}

export interface RigOptions {
	readonly root: string;
	readonly settings: Partial<PublishSettings>;
	readonly upstream: Upstream;
	readonly remote: RemoteServers;
	readonly clock: ManualClock;
	/** Put between the publisher and its store. */
	readonly wrapStore: (store: DiskStore) => PublishStore;
	readonly onChanged: () => Promise<void>;
}

export const threeChannels: PublishSettings['channels'] = [
	{name: 'dev', description: 'all that was built', default: true},
	{name: 'staging', description: 'being looked at'},
	{name: 'release', description: 'good'},
];

export const nobodyElse: Upstream = {
	find: async () => undefined,
	claimOf: async () => undefined,
	childOf: () => undefined,
};

/** Sources that offer all they have. */
export function offering(find: Upstream['find']): Upstream {
	return {
		...nobodyElse,
		find,
		async claimOf(id, ask) {
			const found = await find(id, ask);
			return found && {...found, isHeldBack: false};
		},
	};
}

export async function startPublisher(t: Scope, options: Partial<RigOptions> = {}): Promise<PublisherRig> {
	const root = options.root ?? (await tempDir(t));
	const clock = options.clock ?? new ManualClock();
	const stored = await startStore(t, {root});
	const {store, layout} = stored;
	const host = testHost({clock});
	let changes = 0;
	const publisher = new Publisher({
		host,
		layout,
		store: options.wrapStore?.(store) ?? store,
		settings: {mode: 'any', channels: [], maxFileBytes: 1_000_000, resumableForMs: 3_600_000, ...options.settings},
		upstream: options.upstream ?? nobodyElse,
		remote: options.remote ?? {
			open: () => {
				throw new InvalidParameterError('no other server here', [{field: 'source', code: 'Invalid'}]);
			},
			fetch: () => Promise.reject(new SourceUnavailableError('url', 'no other server here')),
		},
		changed: async () => {
			changes++;
			await options.onChanged?.();
		},
	});
	await publisher.load();
	let isOpen = true;
	const close = async (): Promise<void> => {
		if (isOpen) {
			isOpen = false;
			await publisher.close();
			await stored.close();
		}
	};
	t.teardown(close);
	return {
		publisher,
		store,
		layout,
		host,
		changes: () => changes,
		async restart(more = {}) {
			await close();
			return startPublisher(t, {...options, clock, root, ...more});
		},
		close,
		async litter() {
			return {
				uploads: (await readdir(layout.uploads)).sort(),
				published: (await readdir(layout.published)).sort(),
				blobs: [...store.list()].map(({sha1}) => sha1).sort(),
			};
		},
	};
}

export function change(
	how: Partial<Omit<Change, 'actor'>> & {readonly as?: string; readonly operator?: boolean} = {},
): Change {
	const {as, operator = false, ...rest} = how;
	return {
		actor: {name: as, operator},
		account: undefined,
		channel: undefined,
		ask: {signal: new AbortController().signal},
		...rest,
	};
}

export function uuid(text: string = randomUUID()): Uuid {
	if (!isUuid(text)) {
		throw new Error(`${text} is no uuid`);
	}
	return text;
}

export function sha1Of(bytes: Uint8Array): Sha1 {
	const sha1 = createHash('sha1').update(bytes).digest('hex');
	if (!isSha1(sha1)) {
		throw new Error('no sha1');
	}
	return sha1;
}

export async function* bodyOf(...chunks: readonly (Buffer | string)[]): AsyncGenerator<Buffer, void, undefined> {
	for (const chunk of chunks) {
		yield Buffer.from(chunk);
	}
}

/** A body that ends, or fails, when the test says so. */
export class SlowBody implements AsyncIterable<Buffer> {
	readonly #end: Promise<void>;
	readonly #first: Buffer;
	finish!: () => void;
	fail!: (error: Error) => void;
	/** Resolves when somebody has begun to read. */
	readonly begun: Promise<void>;
	#begin!: () => void;

	constructor(first: Buffer | string) {
		this.#first = Buffer.from(first);
		this.#end = new Promise((resolve, reject) => {
			this.finish = resolve;
			this.fail = reject;
		});
		this.#end.catch(() => undefined);
		this.begun = new Promise(resolve => {
			this.#begin = resolve;
		});
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
		this.#begin();
		yield this.#first;
		await this.#end;
	}
}

/** Fails the test that has it read. */
export const unread: AsyncIterable<Buffer> = {
	[Symbol.asyncIterator]: () => {
		throw new Error('a body was read that should not have been');
	},
};

export function offer(content: Buffer | string | AsyncIterable<Buffer>, more: Partial<FileOffer> = {}): FileOffer {
	const isText = typeof content === 'string' || Buffer.isBuffer(content);
	return {
		compression: 'gzip',
		sha1: undefined,
		datasetGuid: undefined,
		storage: undefined,
		size: isText ? Buffer.byteLength(content) : undefined,
		body: isText ? bodyOf(content) : content,
		...more,
	};
}

export const basic: JsonObject = {name: 'foo', version: '1.0.0', type: 'zone-dataset', os: 'smartos', public: true};

export function basicImport(id: Uuid, more: JsonObject = {}): JsonObject {
	return {v: 2, uuid: id, ...basic, ...more};
}

export function served(manifest: Manifest): Record<string, unknown> {
	return JSON.parse(manifest.text) as Record<string, unknown>;
}

/** An image that is there, with a file, active unless told. */
export async function published(
	{publisher}: PublisherRig,
	options: {
		readonly content?: string;
		readonly fields?: JsonObject;
		readonly activate?: boolean;
		readonly change?: Change;
	} = {},
): Promise<Uuid> {
	const by = options.change ?? change();
	const made = await publisher.create({...basic, ...options.fields}, by);
	await publisher.addFile(made.uuid, offer(options.content ?? `file of ${made.uuid}`), by);
	if (options.activate !== false) {
		await publisher.activate(made.uuid, by);
	}
	return made.uuid;
}

/** Its file turns out wrong on the disk. */
export async function lose({publisher, store}: PublisherRig, image: Uuid): Promise<void> {
	for (const {sha1} of publisher.get(image)?.files ?? []) {
		const info = sha1 === undefined ? undefined : store.stat(sha1);
		if (info !== undefined) {
			await store.quarantineBlob(info, {expected: {}, got: {}, suppliers: []});
		}
	}
}

/** What went wrong, in the words that matter: class, refusal, and the faults of fields. */
export async function failure(work: Promise<unknown> | (() => Promise<unknown>)): Promise<string> {
	try {
		await (typeof work === 'function' ? work() : work);
	} catch (error) {
		return wordsOf(error);
	}
	return 'nothing';
}

export function wordsOf(error: unknown): string {
	if (error instanceof RefusedError) {
		return error.refusal;
	}
	if (error instanceof ValidationError || error instanceof InvalidParameterError) {
		const kind = error instanceof ValidationError ? 'ValidationFailed' : 'InvalidParameter';
		return `${kind} ${error.errors.map(({field, code}) => `${field}:${code}`).join(' ')}`.trim();
	}
	if (error instanceof NotFoundError) {
		return 'ResourceNotFound';
	}
	return error instanceof MirrorError ? error.code : String(error);
}
