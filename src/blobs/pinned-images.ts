/**
 * The images that operators pinned: they stay, and what they are built upon.
 *
 * Kept whole in one small file. Which files that means is worked out by who knows the images (`KeepFacts`); an image may
 * be pinned before any of it is here.
 */
import {MirrorError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {isUuid, type Uuid} from '../image/manifest.js';
import type {Layout} from './layout.js';
import {readRecord, setRecordAside, writeRecord} from './records.js';
import {Turns} from './turns.js';

export interface PinnedImage {
	readonly uuid: Uuid;
	readonly atMs: number;
	/** A user's name. */
	readonly by: string | undefined;
}

export class PinnedImages {
	readonly #file: string;
	readonly #host: Host;
	readonly #turns = new Turns();
	#pins: ReadonlyMap<Uuid, PinnedImage> = new Map();
	#generation = 0;

	constructor({layout, host}: {readonly layout: Layout; readonly host: Host}) {
		this.#file = layout.pins;
		this.#host = host;
	}

	/** Another number whenever they are others. */
	get generation(): number {
		return this.#generation;
	}

	/** A file that cannot be read is moved aside, for somebody to look at. Throws where not even that can be done. */
	async load(): Promise<void> {
		let text: string | undefined;
		try {
			text = await readRecord(this.#file);
			this.#set(new Map((text === undefined ? [] : readPins(text)).map(pin => [pin.uuid, pin])));
		} catch (error) {
			let aside: string;
			try {
				aside = await setRecordAside(this.#file, this.#host.clock.now());
			} catch (problem) {
				// Going on would overwrite it with the next pin.
				throw new MirrorError(`${this.#file} cannot be read (${describe(error)}) nor moved: ${describe(problem)}`, {
					cause: error,
				});
			}
			this.#host.troubles.set(
				'pins',
				`which images are pinned cannot be read: pin them anew (${aside} has what was there)`,
			);
			this.#host.log.error(
				{file: this.#file, keptAs: aside, problem: describe(error)},
				'WHICH IMAGES ARE PINNED CANNOT BE READ: until they are pinned anew they may be evicted',
			);
		}
	}

	has(uuid: Uuid): boolean {
		return this.#pins.has(uuid);
	}

	list(): Iterable<PinnedImage> {
		return this.#pins.values();
	}

	/** Resolves when it lasts; false: it was pinned already. Throws NoSpaceError where the disk does not take it. */
	pin(uuid: Uuid, {by}: {readonly by?: string | undefined} = {}): Promise<boolean> {
		return this.#change(pins => !pins.has(uuid) && pins.set(uuid, {uuid, atMs: this.#host.clock.now(), by}));
	}

	/** False: it was not pinned. */
	unpin(uuid: Uuid): Promise<boolean> {
		return this.#change(pins => pins.delete(uuid));
	}

	#change(change: (pins: Map<Uuid, PinnedImage>) => unknown): Promise<boolean> {
		return this.#turns.take('', async () => {
			const pins = new Map(this.#pins);
			if (change(pins) === false) {
				return false;
			}
			const images = [...pins.values()].map(({uuid, atMs, by}) => ({uuid, at: new Date(atMs).toISOString(), by}));
			await writeRecord(this.#file, `${JSON.stringify({v: 1, images}, null, 2)}\n`);
			this.#set(pins);
			this.#host.troubles.set('pins', undefined);
			return true;
		});
	}

	#set(pins: ReadonlyMap<Uuid, PinnedImage>): void {
		this.#pins = pins;
		this.#generation++;
		this.#host.metrics.pinnedImages.set(pins.size);
	}
}

function readPins(text: string): PinnedImage[] {
	const content: unknown = JSON.parse(text);
	if (typeof content !== 'object' || content === null || !('images' in content) || !Array.isArray(content.images)) {
		throw new MirrorError('it is not a list of pinned images');
	}
	return content.images.map((pin: unknown) => {
		if (typeof pin !== 'object' || pin === null || !('uuid' in pin) || !isUuid(pin.uuid)) {
			throw new MirrorError(`it has an entry that is not a pinned image: ${JSON.stringify(pin)}`);
		}
		const at = 'at' in pin && typeof pin.at === 'string' ? Date.parse(pin.at) : 0;
		const by = 'by' in pin && typeof pin.by === 'string' ? pin.by : undefined;
		return {uuid: pin.uuid, atMs: Number.isNaN(at) ? 0 : at, by};
	});
}
