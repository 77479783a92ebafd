/** A scrub over real files and the simplest store there can be, for its tests. */
import {createHash} from 'node:crypto';
import {mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {BlobInfo} from '../../src/blobs/blob-info.js';
import {FileHash, type Hashing} from '../../src/blobs/hashing.js';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import {Quarantine} from '../../src/blobs/quarantine.js';
import {Scrub, type ScrubOptions, type ScrubStep, type ScrubStore} from '../../src/blobs/scrub.js';
import type {MirrorEvent} from '../../src/host.js';
import {isSha1, type Sha1} from '../../src/image/manifest.js';
import {settle} from '../helpers/manual-clock.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

export type Finished = Extract<ScrubStep, {what: 'file'}>;

export interface ScrubRig {
	readonly scrub: Scrub;
	readonly host: TestHost;
	readonly layout: Layout;
	readonly quarantine: Quarantine;
	readonly blobs: Map<Sha1, BlobInfo>;
	readonly events: MirrorEvent[];
	/** What `onWrong` was told. */
	readonly wrong: {readonly sha1: string; readonly problem: string}[];
	/** Those that were begun to be read, in order. */
	readonly reads: Sha1[];
	verifiedAtMs(info: BlobInfo | undefined): number | undefined;
	/** Writes a file, and tells the store of it. */
	keep(bytes: Buffer, storedAtMs?: number): Promise<BlobInfo>;
	/** Another one over the same directory, as after a restart. */
	again(options?: Partial<ScrubOptions>): Promise<Scrub>;
	all(options?: {sha1s?: readonly Sha1[]; bytesPerSecond?: number; signal?: AbortSignal}): Promise<ScrubStep[]>;
	/** Moves the clock, an hour or less at a time, and lets every run that begins come to its end. */
	pass(ms: number): Promise<void>;
}

export interface ScrubRigOptions {
	readonly options?: Partial<ScrubOptions>;
	readonly hashing?: () => Pick<Hashing, 'follow' | 'close'>;
	readonly startAt?: number;
	readonly outcome?: 'refetching' | 'lost';
}

const hourMs = 3_600_000;

/** Hashes in one go on the main thread; `spoil` may throw instead. */
export function plainHashing(spoil: (file: string) => void = () => undefined): Pick<Hashing, 'follow' | 'close'> {
	return {
		follow(file, algorithms, {onDone} = {}) {
			const digests = (async () => {
				spoil(file);
				const bytes = await readFile(file);
				return Object.fromEntries(algorithms.map(name => [name, createHash(name).update(bytes).digest('hex')]));
			})();
			digests.catch(() => undefined);
			return new FileHash({digests, send: upTo => onDone?.(upTo), abandon: () => undefined});
		},
		close: async () => undefined,
	};
}

export async function startScrub(t: Scope, rigOptions: ScrubRigOptions = {}): Promise<ScrubRig> {
	const host = testHost();
	const layout = new Layout(await tempDir(t));
	await prepareLayout(layout);
	const quarantine = new Quarantine({layout, host, limits: {keepForMs: 1e12, maxBytes: 1e12}});
	const blobs = new Map<Sha1, BlobInfo>();
	const reads: Sha1[] = [];
	const store: ScrubStore = {
		list: () => blobs.values(),
		stat: sha1 => blobs.get(sha1),
		async quarantineBlob(blob, note) {
			if (blobs.get(blob.sha1) !== blob) {
				return false;
			}
			blobs.delete(blob.sha1);
			await quarantine.add(layout.blob(blob.sha1), blob.sha1, note);
			return true;
		},
	};
	const wrong: {sha1: string; problem: string}[] = [];
	const make = (options: Partial<ScrubOptions> = {}): Scrub => {
		const inner = rigOptions.hashing;
		const scrub = new Scrub({
			...{store, layout, host},
			options: {everyMs: 24 * hourMs, bytesPerSecond: 0, window: undefined, ...rigOptions.options, ...options},
			onWrong: async ({sha1}, problem) => {
				wrong.push({sha1, problem});
				return rigOptions.outcome ?? 'refetching';
			},
			...(inner === undefined ? {} : {hashing: () => counted(inner())}),
		});
		t.teardown(() => scrub.stop());
		return scrub;
	};
	const counted = (hashing: Pick<Hashing, 'follow' | 'close'>): Pick<Hashing, 'follow' | 'close'> => ({
		follow(file, ...rest) {
			const name = path.basename(file);
			if (isSha1(name)) {
				reads.push(name);
			}
			return hashing.follow(file, ...rest);
		},
		close: () => hashing.close(),
	});
	const scrub = make();
	const events: MirrorEvent[] = [];
	host.events.listen(event => events.push(event));
	let current = scrub;
	return {
		...{scrub, host, layout, quarantine, blobs, events, wrong, reads},
		verifiedAtMs: info => (info === undefined ? undefined : current.verifiedAtMs(info.sha1)),
		async keep(bytes, storedAtMs = host.clock.now()) {
			const sha1 = createHash('sha1').update(bytes).digest('hex');
			if (!isSha1(sha1)) {
				throw new Error('no digest');
			}
			await mkdir(layout.blobFolder(sha1), {recursive: true});
			await writeFile(layout.blob(sha1), bytes);
			const {mtimeMs} = await stat(layout.blob(sha1));
			const info: BlobInfo = {
				...{sha1, size: bytes.length, storedAtMs, changedAtMs: Math.trunc(mtimeMs), source: 'a'},
				...{sha256: createHash('sha256').update(bytes).digest('hex'), md5: undefined, toldMd5: undefined},
			};
			blobs.set(sha1, info);
			return info;
		},
		async again(options) {
			current = make(options);
			await current.load();
			return current;
		},
		async all({sha1s, bytesPerSecond = 0, signal = new AbortController().signal} = {}) {
			const steps: ScrubStep[] = [];
			for await (const step of current.run({sha1s, bytesPerSecond, signal})) {
				steps.push(step);
			}
			return steps;
		},
		async pass(ms) {
			for (let left = ms; left > 0; left -= hourMs) {
				await host.clock.advance(Math.min(hourMs, left));
				while (current.report().running) {
					await settle();
				}
			}
		},
	};
}

export function finished(steps: readonly ScrubStep[]): readonly Finished[] {
	return steps.flatMap(step => (step.what === 'file' ? [step] : []));
}
