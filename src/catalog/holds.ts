/**
 * What operators hold and have released, and when each image was first seen: across restarts.
 *
 * `HoldVerbs` changes it, `Offers` asks it, the lists note in `firstSeen` what they see. What an operator says is on
 * disk before it holds true; first sight is written behind. Where the file is, is the caller's business.
 */
import {MirrorError, describe} from '../errors.js';
import type {Host, Timer} from '../host.js';
import {isObject} from '../image/json-text.js';
import {isUuid, type Uuid} from '../image/manifest.js';
import {FirstSeen} from './first-seen.js';
import {OneByOne} from './waiting.js';

/** One small file. `write` replaces it whole, or leaves it as it was. */
export interface HoldsFile {
	/** For whoever has to mend it. */
	readonly path: string;
	/** `undefined`: there is none. */
	read(): Promise<string | undefined>;
	write(text: string): Promise<void>;
	/** Keeps a file that is damaged under another name, to be looked at. */
	setAside?(): Promise<unknown>;
}

export interface OperatorHold {
	readonly atMs: number;
	readonly by: string | undefined;
	readonly note: string | undefined;
}

interface State {
	readonly held: ReadonlyMap<Uuid, OperatorHold>;
	readonly released: ReadonlyMap<Uuid, Omit<OperatorHold, 'note'>>;
}

/** How long first sights are gathered before they are written, and how long after a disk that refused them. */
const gatherMs = 5000;
const retryMs = 60_000;

export class Holds {
	readonly firstSeen = new FirstSeen();
	readonly #host: Host;
	readonly #file: HoldsFile | undefined;
	#state: State = {held: new Map(), released: new Map()};
	#version = 0;
	/** One write at a time. */
	readonly #turns = new OneByOne();
	#isDirty = false;
	#failing = false;
	#timer: Timer | undefined;

	/** Without a file, it is all forgotten with the process. */
	constructor({host, file}: {host: Host; file: HoldsFile | undefined}) {
		this.#host = host;
		this.#file = file;
	}

	/** Another number whenever an operator has said something. */
	get version(): number {
		return this.#version;
	}

	/** By operators, whichever source has them. */
	get held(): ReadonlyMap<Uuid, OperatorHold> {
		return this.#state.held;
	}

	isReleased(uuid: Uuid): boolean {
		return this.#state.released.has(uuid);
	}

	/**
	 * To be called once, first. Throws where it cannot be told what is held: to offer what an operator kept back, because
	 * a file is damaged, would be worse than not to start.
	 */
	async load(): Promise<void> {
		const text = await this.#file?.read().catch((error: unknown) => {
			throw this.#unreadable(describe(error), error);
		});
		if (text === undefined) {
			return;
		}
		let content: unknown;
		try {
			content = JSON.parse(text);
		} catch (error) {
			await this.#salvage(text, describe(error));
			return;
		}
		const held = isObject(content) ? readEntries(content['held']) : undefined;
		const released = isObject(content) ? readEntries(content['released']) : undefined;
		if (!isObject(content) || held === undefined || released === undefined) {
			await this.#salvage(text, 'it has another form');
			return;
		}
		this.#state = {held, released};
		this.firstSeen.read(content['firstSeen']);
	}

	/** Writes what is not written yet. */
	async stop(): Promise<void> {
		this.#disarm();
		if (this.#isDirty) {
			await this.#saveSeen();
		}
		await this.#turns.run(() => Promise.resolve());
		this.#disarm();
	}

	/** Throws where it cannot be written; nothing is other than before then. */
	hold(uuid: Uuid, {by, note}: {by: string | undefined; note: string | undefined}): Promise<void> {
		const atMs = this.#host.clock.now();
		return this.#change(({held, released}) => ({
			held: new Map(held).set(uuid, {atMs, by, note}),
			released: without(released, uuid),
		}));
	}

	/** As `hold`. */
	release(uuid: Uuid, {by}: {by: string | undefined}): Promise<void> {
		const atMs = this.#host.clock.now();
		return this.#change(({held, released}) => ({
			held: without(held, uuid),
			released: new Map(released).set(uuid, {atMs, by}),
		}));
	}

	/** These are the sources now. */
	use(names: ReadonlySet<string>): void {
		if (this.firstSeen.use(names, this.#host.clock.now())) {
			this.seenChanged();
		}
	}

	/** `firstSeen` is other than before: written soon. */
	seenChanged(): void {
		this.#isDirty = true;
		this.#arm(gatherMs);
	}

	#arm(delayMs: number): void {
		this.#timer ??= this.#host.clock.after(delayMs, () => {
			this.#timer = undefined;
			if (this.#isDirty) {
				void this.#saveSeen();
			}
		});
	}

	#disarm(): void {
		this.#timer?.cancel();
		this.#timer = undefined;
	}

	async #saveSeen(): Promise<void> {
		await this.#inTurn(async () => {
			try {
				await this.#write(this.#state);
				this.#failing = false;
			} catch (error) {
				if (!this.#failing) {
					this.#failing = true;
					this.#host.log.error(`when images were first seen cannot be written: ${describe(error)}`);
				}
				this.#isDirty = true;
				this.#arm(retryMs);
			}
		});
	}

	#change(next: (before: State) => State): Promise<void> {
		return this.#inTurn(async () => {
			const state = next(this.#state);
			await this.#write(state);
			this.#state = state;
			this.#version++;
		});
	}

	#inTurn(run: () => Promise<void>): Promise<void> {
		return this.#turns.run(run);
	}

	async #write({held, released}: State): Promise<void> {
		if (this.#file === undefined) {
			return;
		}
		// What is seen from here on is written with the next.
		this.#isDirty = false;
		try {
			const firstSeen = await this.firstSeen.encode();
			// One entry a line, the operators' first: people read it, and what is damaged is read as text.
			const parts = [
				'{"version": 1,',
				`"held": ${entriesText(held)},`,
				`"released": ${entriesText(released)},`,
				`"firstSeen": ${JSON.stringify(firstSeen)}}`,
			];
			await this.#file.write(`${parts.join('\n')}\n`);
		} catch (error) {
			this.#isDirty = true;
			throw error;
		}
	}

	/**
	 * What can still be told from a damaged file. Of the releases each uuid that stands there; the held must be there
	 * whole, since one that was cut off or painted over would be offered.
	 */
	async #salvage(text: string, problem: string): Promise<void> {
		const from = text.indexOf('"held"');
		const middle = text.indexOf('"released"', from);
		const uuids = from === -1 || middle === -1 ? undefined : keysOf(text.slice(from, middle));
		if (uuids === undefined) {
			throw this.#unreadable(problem);
		}
		const seen = text.indexOf('"firstSeen"', middle);
		const atMs = this.#host.clock.now();
		const note = 'the file of holds was damaged, and this is what was left of it';
		const held = uuids.map(uuid => [uuid, {atMs, by: undefined, note}] as const);
		const left = uuidsIn(text.slice(middle, seen === -1 ? text.length : seen));
		const released = left.map(uuid => [uuid, {atMs, by: undefined}] as const);
		this.#state = {held: new Map(held), released: new Map(released)};
		await this.#file?.setAside?.();
		this.#host.log.error(
			{held: held.length, released: released.length},
			`the file of holds is damaged (${problem}): what is named in it is held or released on; ` +
				'when images were first seen is forgotten: they count as seen when they were published',
		);
		this.seenChanged();
	}

	#unreadable(problem: string, cause?: unknown): MirrorError {
		const path = this.#file?.path ?? '';
		return new MirrorError(
			`what operators hold cannot be read (${problem}): repair ${path}, or delete it to offer everything`,
			{cause},
		);
	}
}

function without<T>(map: ReadonlyMap<Uuid, T>, uuid: Uuid): ReadonlyMap<Uuid, T> {
	const rest = new Map(map);
	rest.delete(uuid);
	return rest;
}

function entriesText(entries: ReadonlyMap<Uuid, object>): string {
	const lines = [...entries].map(([uuid, entry]) => `\t"${uuid}": ${JSON.stringify(entry)}`);
	return lines.length === 0 ? '{}' : `{\n${lines.join(',\n')}\n}`;
}

/** `undefined`: there is something in it that nobody wrote. */
function readEntries(value: unknown): ReadonlyMap<Uuid, OperatorHold> | undefined {
	if (!isObject(value)) {
		return undefined;
	}
	const entries = new Map<Uuid, OperatorHold>();
	for (const [uuid, entry] of Object.entries(value)) {
		if (!isUuid(uuid) || !isObject(entry)) {
			return undefined;
		}
		const {atMs, by, note} = entry;
		entries.set(uuid, {
			atMs: typeof atMs === 'number' ? atMs : 0,
			by: typeof by === 'string' ? by : undefined,
			note: typeof note === 'string' ? note : undefined,
		});
	}
	return entries;
}

/** Of the text of a property whose value is an object, up to the next property. `undefined`: it is not whole. */
function keysOf(property: string): readonly Uuid[] | undefined {
	let value: unknown;
	try {
		value = JSON.parse(property.slice(property.indexOf(':') + 1).replace(/,\s*$/, ''));
	} catch {
		return undefined;
	}
	const keys = isObject(value) ? Object.keys(value).map(uuidsIn) : undefined;
	return keys?.every(({length}) => length > 0) === true ? keys.flat() : undefined;
}

function uuidsIn(text: string): readonly Uuid[] {
	return [...text.matchAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g)].map(([uuid]) => uuid).filter(isUuid);
}
