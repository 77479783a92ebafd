/**
 * Images of one source that were in its list and are there no more.
 *
 * An image missing from a list is not deleted: most often it was only disabled. What is made of it is the operator's
 * choice. `keep`: it stays as it was when it was last listed, and the source is not asked about it; so a fleet that
 * depends on an image goes on even if its publisher withdraws it, and whoever wants to follow the publisher says
 * `hide`. `hide` and `drop`: the source is asked for it, and as long as it does not answer, nothing changes. If it
 * says that it has it not, the image leaves our list (`hide`), or is forgotten with its file (`drop`). If it has it
 * still, but not active, the image leaves the list and is found by uuid with its new manifest. If it has it active, the
 * list was wrong, and it stays, with the manifest just had.
 */
import {SourceUnavailableError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {isActive, type Manifest, type Uuid} from '../image/manifest.js';
import type {Vanished} from './catalog-source.js';
import type {GoneImage, HeldImage} from './known.js';
import type {Memory} from './memory.js';
import type {SourceList} from './source-list.js';
import {untilAborted} from './waiting.js';

/** A source that shows another list each time must not fill the memory: beyond this, the first gone are forgotten. */
const maxGone = 20_000;
const questionsAtOnce = 3;

export class GoneImages {
	readonly #list: SourceList;
	readonly #host: Host;
	readonly #memory: Memory;
	readonly #gone = new Map<Uuid, GoneImage>();
	/** Dropped already, though their files may still lie there. */
	readonly #dropped = new Set<Uuid>();
	#queue: Uuid[] = [];
	#confirming: Promise<void> | undefined;

	constructor(options: {list: SourceList; host: Host; memory: Memory}) {
		this.#list = options.list;
		this.#host = options.host;
		this.#memory = options.memory;
	}

	get size(): number {
		return this.#gone.size;
	}

	get(uuid: Uuid): GoneImage | undefined {
		return this.#gone.get(uuid);
	}

	values(): Iterable<GoneImage> {
		return this.#gone.values();
	}

	add(gone: GoneImage): void {
		this.#gone.set(gone.manifest.uuid, gone);
		for (const oldest of this.#gone.keys()) {
			if (this.#gone.size <= maxGone) {
				break;
			}
			this.#gone.delete(oldest);
		}
	}

	/** Back in the list, or not wanted any more. */
	delete(uuid: Uuid): void {
		this.#gone.delete(uuid);
		this.#dropped.delete(uuid);
	}

	/** Takes what was known before, under what is configured now. */
	load(gone: readonly GoneImage[], vanished: Vanished): void {
		this.#gone.clear();
		for (const image of gone) {
			if (this.#list.entry.matches(image.manifest)) {
				this.add(vanished === 'keep' ? {...image, hidden: false} : image);
			}
		}
	}

	/**
	 * What we hold of this source and find in its list no more vanished while nobody looked: before the memory was
	 * deleted, say. It is gone like the rest. How many there were.
	 */
	adopt(held: Iterable<HeldImage>, now: number): number {
		const list = this.#list;
		const {vanished, matches} = list.entry;
		let adopted = 0;
		for (const {manifest} of held) {
			const {uuid} = manifest;
			const isKnown = list.get(uuid) !== undefined || this.#memory.loose(list.name, uuid) !== undefined;
			if (!isKnown && !this.#dropped.has(uuid) && isActive(manifest) && matches(manifest)) {
				this.add({manifest, vanishedAt: now, hidden: vanished !== 'keep'});
				adopted++;
			}
		}
		return adopted;
	}

	/** Asks the source, behind, for all that it depends on. */
	confirm(): void {
		const {vanished} = this.#list.entry;
		if (vanished === 'keep') {
			return;
		}
		this.#queue = [...this.#gone.values()]
			.filter(gone => vanished === 'drop' || !gone.hidden)
			.map(gone => gone.manifest.uuid);
		this.#startWork();
	}

	#startWork(): void {
		this.#confirming ??= this.#work().finally(() => {
			this.#confirming = undefined;
			if (this.#queue.length > 0) {
				this.#startWork();
			}
		});
	}

	async settled(): Promise<void> {
		while (this.#confirming !== undefined) {
			await this.#confirming;
		}
	}

	async #work(): Promise<void> {
		let changed = 0;
		const ask = async (): Promise<void> => {
			for (let uuid = this.#queue.pop(); uuid !== undefined; uuid = this.#queue.pop()) {
				changed += (await this.#settle(uuid)) ? 1 : 0;
			}
		};
		// A first turn for whoever began this, so that the list as it is comes before what is found out.
		await Promise.resolve();
		await Promise.all(Array.from({length: questionsAtOnce}, ask));
		if (changed > 0) {
			this.#list.goneChanged();
		}
	}

	async #settle(uuid: Uuid): Promise<boolean> {
		const gone = this.#gone.get(uuid);
		if (gone === undefined) {
			return false;
		}
		const list = this.#list;
		const ask = list.ask();
		const {source, vanished, matches} = list.entry;
		let found: Manifest | undefined;
		try {
			found = await untilAborted(source.find(uuid, ask), ask.signal);
		} catch (error) {
			this.#giveUp(uuid, error, ask.signal);
			return false;
		}
		list.answered();
		if (this.#gone.get(uuid) !== gone || list.entry.vanished !== vanished) {
			return false;
		}
		if (found === undefined) {
			this.#memory.deny(list.name, uuid, 'absent');
			if (vanished === 'hide') {
				this.#gone.set(uuid, {...gone, hidden: true});
			} else {
				this.#gone.delete(uuid);
				// It may have been asked for before it was listed.
				this.#memory.deleteLoose(list.name, uuid);
				if (this.#dropped.size >= maxGone) {
					this.#dropped.clear();
				}
				this.#dropped.add(uuid);
				this.#host.log.info(
					{source: list.name, image: uuid},
					`source ${list.name}: image ${uuid} (${gone.manifest.name} ${gone.manifest.version}) is gone and dropped`,
				);
				list.dropped(gone.manifest);
			}
			return true;
		}
		if (isActive(found) && matches(found)) {
			const manifest = found.text === gone.manifest.text ? gone.manifest : found;
			this.#gone.set(uuid, {...gone, manifest, hidden: false});
			return gone.hidden || manifest !== gone.manifest;
		}
		this.#gone.delete(uuid);
		const fetchedAt = this.#host.clock.now();
		this.#memory.setLoose(list.name, {manifest: found, fetchedAt, vanishedAt: undefined});
		return true;
	}

	/** Nothing changes for what is not surely gone; the next refresh asks again. */
	#giveUp(uuid: Uuid, error: unknown, signal: AbortSignal): void {
		if (signal.aborted) {
			this.#queue = [];
			return;
		}
		if (error instanceof SourceUnavailableError && error.scope === 'source') {
			this.#list.failed();
		}
		// Of one image that is answered with an error, the others are no worse.
		if (this.#list.restingUntil !== undefined) {
			this.#queue = [];
		}
		this.#host.log.debug(
			{source: this.#list.name, image: uuid},
			`source ${this.#list.name}: cannot tell whether image ${uuid} is gone: ${describe(error)}`,
		);
	}
}
