/**
 * A mirror as fetching ahead sees it, without files: images are offered by name of source, and come at a pace of the
 * test's clock.
 */
import {pause, type Clock} from '../../src/host.js';
import {compareImages, type Manifest, type Uuid} from '../../src/image/manifest.js';
import type {AheadApi, AheadImage} from '../../src/mirror-ahead-api.js';
import {image, uuid} from '../image/manifests.js';

export interface Fetch {
	readonly uuid: Uuid;
	readonly atMs: number;
	outcome: string;
}

export interface Offered {
	readonly name?: string;
	readonly version?: string;
	readonly os?: string;
	readonly type?: string;
	readonly owner?: string;
	readonly state?: string;
	readonly publishedAt?: string;
	readonly size?: number;
	/** The number of another. */
	readonly origin?: number;
	readonly sources?: readonly string[];
	readonly files?: readonly object[];
}

const sha1 = '0123456789abcdef0123456789abcdef01234567';

export function id(number: number): Uuid {
	return uuid(number) as Uuid;
}

export function aheadImage(number: number, of: Offered = {}): AheadImage {
	const {name = 'base', version = '1.0.0', os = 'smartos', type = 'zone-dataset', state = 'active'} = of;
	const manifest: Manifest = image(number, {
		...{name, version, os, type, state},
		owner: of.owner ?? uuid(0xaaaa),
		published_at: of.publishedAt ?? new Date(Date.UTC(2020, 0, 1) + number * 60_000).toISOString(),
		files: of.files ?? [{sha1, size: of.size ?? 1000, compression: 'gzip'}],
		...(of.origin === undefined ? {} : {origin: uuid(of.origin)}),
	});
	return {manifest, sources: of.sources ?? ['smartos']};
}

export class FakeAhead implements AheadApi {
	readonly #clock: Clock;
	readonly #known = new Map<Uuid, AheadImage>();
	#offered: readonly AheadImage[] | undefined;
	readonly here = new Set<Uuid>();
	/** By rule, in the order in which they were told. */
	readonly wanted = new Map<string, readonly Uuid[]>();
	readonly forgotten: string[] = [];
	readonly fetches: Fetch[] = [];
	/** What the next fetches of an image come to instead of coming; the first is taken off each time. */
	readonly mishaps = new Map<Uuid, (Error | 'uncached')[]>();
	readonly partial = new Map<Uuid, number>();
	/** Bytes a second; Infinity: at once. */
	speed = Infinity;
	chunk = 1000;
	running = 0;
	mostRunning = 0;
	rate: number | undefined;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/** Offers it; `inList: false`: it is known, and offered to nobody. */
	add(number: number, of: Offered & {readonly inList?: boolean} = {}): Uuid {
		const made = aheadImage(number, of);
		this.#known.set(made.manifest.uuid, made);
		if (of.inList === false) {
			this.#hidden.add(made.manifest.uuid);
		}
		this.#offered = undefined;
		return made.manifest.uuid;
	}

	readonly #hidden = new Set<Uuid>();

	remove(uuid: Uuid): void {
		this.#known.delete(uuid);
		this.#offered = undefined;
	}

	/** As when its sources are away and nothing of them is remembered: what is here stays known. */
	forgetLists(): void {
		for (const [uuid, {manifest}] of this.#known) {
			if (this.here.has(uuid)) {
				this.#known.set(uuid, {manifest, sources: []});
			} else {
				this.#known.delete(uuid);
			}
		}
		this.#offered = undefined;
	}

	images(): readonly AheadImage[] {
		this.#offered ??= [...this.#known.values()]
			.filter(({manifest}) => manifest.state === 'active' && !this.#hidden.has(manifest.uuid))
			.sort((a, b) => compareImages(a.manifest, b.manifest));
		return this.#offered;
	}

	image(uuid: Uuid): AheadImage | undefined {
		return this.#known.get(uuid);
	}

	isHere(uuid: Uuid): boolean {
		return this.here.has(uuid) || this.#known.get(uuid)?.manifest.files.length === 0;
	}

	async fetchAhead(
		uuid: Uuid,
		{pace, onProgress, signal}: Parameters<AheadApi['fetchAhead']>[1],
	): Promise<'fetched' | 'there' | 'uncached'> {
		if (this.isHere(uuid)) {
			return 'there';
		}
		const fetch: Fetch = {uuid, atMs: this.#clock.now(), outcome: 'running'};
		this.fetches.push(fetch);
		this.running++;
		this.mostRunning = Math.max(this.mostRunning, this.running);
		try {
			const mishap = this.mishaps.get(uuid)?.shift();
			if (mishap instanceof Error) {
				throw mishap;
			}
			await this.#transfer(uuid, pace, onProgress, signal);
			if (mishap !== undefined) {
				fetch.outcome = mishap;
				return mishap;
			}
			this.here.add(uuid);
			fetch.outcome = 'fetched';
			return 'fetched';
		} catch (error) {
			fetch.outcome = signal.aborted ? 'stopped' : 'failed';
			throw error;
		} finally {
			this.running--;
		}
	}

	setWanted(rule: string, images: readonly Uuid[]): void {
		this.wanted.set(rule, [...images]);
	}

	forgetRule(rule: string): void {
		this.wanted.delete(rule);
		this.forgotten.push(rule);
	}

	bytesPerSecond(): number | undefined {
		return this.rate;
	}

	async #transfer(
		uuid: Uuid,
		pace: Parameters<AheadApi['fetchAhead']>[1]['pace'],
		onProgress: (bytes: number) => void,
		signal: AbortSignal,
	): Promise<void> {
		const size = this.#known.get(uuid)?.manifest.files[0]?.size ?? 0;
		let done = this.partial.get(uuid) ?? 0;
		while (done < size) {
			const bytes = Math.min(this.chunk, size - done);
			await pace?.(bytes, signal);
			if (this.speed < Infinity) {
				await pause(this.#clock, (bytes / this.speed) * 1000, signal);
			}
			signal.throwIfAborted();
			done += bytes;
			this.partial.set(uuid, done);
			onProgress(done);
		}
	}
}
