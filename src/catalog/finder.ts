/**
 * One image by its uuid, from whoever has it.
 *
 * What the merged list has is said at once, and so is what a source said before (renewed behind when it is old). Else
 * the sources are asked, all at the same time and once for all clients. Absent is not unknown: only when every source
 * answered that it has it not is the answer no.
 */
import {setMaxListeners} from 'node:events';
import {NotFoundError, SourceUnavailableError, describe} from '../errors.js';
import {pause, type Host} from '../host.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {Ask} from '../sources/source.js';
import type {HeldImage, LooseImage} from './known.js';
import {localName} from './local-images.js';
import type {Memory} from './memory.js';
import type {Merged} from './merge.js';
import type {SourceList} from './source-list.js';
import {untilAborted} from './waiting.js';

export interface FoundManifest {
	readonly manifest: Manifest;
	/** The source whose manifest this is. */
	readonly source: string;
	readonly cache: 'hit' | 'join' | 'miss' | 'stale' | 'local';
}

/** What a finder needs of the catalog. */
export interface FindOwner {
	lists(): readonly SourceList[];
	merged(): Merged;
	held(uuid: Uuid): HeldImage | undefined;
	/** Something stands in the way of offering it, as this source has it. */
	isHeldBack(manifest: Manifest, source: string): boolean;
	/** Itself, or an origin of it, by an operator: nobody offers it. */
	isHeldByOperator(image: Pick<Manifest, 'uuid' | 'origin'>): boolean;
	/** The image is known of this source, or is another than before. */
	seen(list: SourceList, uuid: Uuid): void;
	dropped(list: SourceList, manifest: Manifest): void;
}

/** What one source says, or all of them together. */
type Answer =
	| {readonly kind: 'found'; readonly manifest: Manifest; readonly source: string}
	| {readonly kind: 'absent'}
	| {readonly kind: 'unknown'; readonly source: string; readonly problem: string};

/** A manifest that could not be used is asked for again after this. */
const brokenTtlMs = 10_000;

export class Finder {
	readonly #host: Host;
	readonly #memory: Memory;
	readonly #owner: FindOwner;
	readonly #instanceId: string;
	readonly #graceMs: number;
	readonly #abort = new AbortController();
	readonly #flights = new Map<string, Promise<Answer>>();
	readonly #questions = new Set<Promise<Answer>>();

	constructor(options: {host: Host; memory: Memory; owner: FindOwner; instanceId: string; graceMs: number}) {
		this.#host = options.host;
		this.#memory = options.memory;
		this.#owner = options.owner;
		this.#instanceId = options.instanceId;
		this.#graceMs = options.graceMs;
		// Every question under way listens to it, however many there are: no reason for Node to warn of a leak.
		setMaxListeners(0, this.#abort.signal);
	}

	/** Throws NotFoundError (nobody has it) or SourceUnavailableError (nobody can tell). */
	async find(uuid: Uuid, ask: Ask): Promise<FoundManifest> {
		const found = this.#owner.isHeldByOperator({uuid, origin: undefined}) ? undefined : await this.findAny(uuid, ask);
		// Looked at again: an operator may have said so while the sources were asked, and of an origin of it.
		if (found === undefined || this.#owner.isHeldByOperator(found.manifest)) {
			throw new NotFoundError(`no source has image ${uuid}`);
		}
		return found;
	}

	/** What `find` would say of an image in the merged list; `undefined`: it is not there, or held by an operator. */
	listed(uuid: Uuid): FoundManifest | undefined {
		const listed = this.#owner.merged().byUuid.get(uuid);
		if (listed === undefined || this.#owner.isHeldByOperator(listed.manifest)) {
			return undefined;
		}
		const {manifest, source} = listed;
		return {manifest, source, cache: this.#cacheOf(source)};
	}

	/** Not offered because of a hold or a rule, and nobody needs it: the origin of what is offered is offered. */
	isHeldBack(manifest: Manifest, source: string): boolean {
		return (
			this.#owner.isHeldBack(manifest, source) &&
			(this.#owner.isHeldByOperator(manifest) || !this.#isNeeded(manifest.uuid, new Set()))
		);
	}

	/** As `find`, but for what operators hold. */
	async findAny(uuid: Uuid, ask: Ask): Promise<FoundManifest> {
		const known = this.#known(uuid, ask);
		if (known !== undefined) {
			return known;
		}
		const held = this.#held(uuid);
		if (this.isCircle(ask)) {
			if (held !== undefined) {
				return {...held, cache: 'hit'};
			}
			throw new NotFoundError(`image ${uuid} is not known here, and the request has been here before`);
		}
		const isFirst = !this.#flights.has(flightKey(uuid, ask));
		const flight = this.#flight(uuid, ask);
		// Who has something to say waits for nobody for long.
		const answer = await untilAborted(held === undefined ? flight : this.#shortly(flight), ask.signal);
		if (answer?.kind === 'found') {
			return {manifest: answer.manifest, source: answer.source, cache: isFirst ? 'miss' : 'join'};
		}
		// Whoever drops what vanishes has it no more. Looked at again: the answer may have changed what is held.
		const still = held === undefined ? undefined : this.#held(uuid);
		if (still !== undefined) {
			return {...still, cache: answer?.kind === 'absent' ? 'hit' : 'stale'};
		}
		if (answer === undefined || answer.kind === 'absent') {
			throw new NotFoundError(`no source has image ${uuid}`);
		}
		throw new SourceUnavailableError(answer.source, `cannot tell whether there is an image ${uuid}: ${answer.problem}`);
	}

	/** Mirrors that name each other as source: the request came from us in the first place. */
	isCircle(ask: Ask): boolean {
		return this.#instanceId !== '' && ask.via?.includes(this.#instanceId) === true;
	}

	/** As this source would be asked for it now: what is known of it without asking. */
	manifestFrom(list: SourceList, uuid: Uuid): Manifest | undefined {
		return list.get(uuid) ?? this.#memory.loose(list.name, uuid)?.manifest;
	}

	async stop(): Promise<void> {
		this.#abort.abort(new Error('stopped'));
		await Promise.all(this.#questions);
	}

	/** What can be said without waiting. */
	#known(uuid: Uuid, ask: Ask): FoundManifest | undefined {
		const merged = this.#owner.merged();
		const listed = merged.byUuid.get(uuid);
		if (listed !== undefined) {
			const {manifest, source} = listed;
			return {manifest, source, cache: this.#cacheOf(source)};
		}
		const heldBack = merged.heldBack.get(uuid);
		if (heldBack !== undefined && !this.isHeldBack(heldBack.manifest, heldBack.source)) {
			return {...heldBack, cache: this.#cacheOf(heldBack.source)};
		}
		for (const list of this.#owner.lists()) {
			const loose = this.#memory.loose(list.name, uuid);
			const ageMs = loose === undefined ? 0 : this.#host.clock.now() - loose.fetchedAt;
			if (loose === undefined || !this.#isWanted(list, loose.manifest) || ageMs > list.entry.keepForMs) {
				continue;
			}
			if (this.isHeldBack(loose.manifest, list.name)) {
				continue;
			}
			const isFresh = ageMs >= 0 && ageMs < list.entry.imageTtlMs;
			if (!isFresh && !this.isCircle(ask)) {
				void this.#flight(uuid, ask);
			}
			const cache = !isFresh && list.restingUntil !== undefined ? 'stale' : 'hit';
			return {manifest: loose.manifest, source: list.name, cache};
		}
		const hidden = merged.hidden.get(uuid);
		return hidden === undefined ? undefined : {...hidden, cache: this.#cacheOf(hidden.source)};
	}

	#cacheOf(source: string): 'hit' | 'stale' | 'local' {
		const list = this.#owner.lists().find(({name}) => name === source);
		if (source === localName) {
			return 'local';
		}
		// Without a list of its own, it is what we hold on disk that speaks for it.
		return list !== undefined && (list.stale || !list.known) ? 'stale' : 'hit';
	}

	/** An image whose file we hold, unless its source is known to be rid of it or was told not to give it. */
	#held(uuid: Uuid): {manifest: Manifest; source: string} | undefined {
		const held = this.#owner.held(uuid);
		if (held === undefined || this.isHeldBack(held.manifest, held.source)) {
			return undefined;
		}
		const list = this.#owner.lists().find(({name}) => name === held.source);
		if (list !== undefined) {
			const isDropped = list.entry.vanished === 'drop' && this.#isDenied(list, uuid) === 'absent';
			if (isDropped || !this.#isWanted(list, held.manifest)) {
				return undefined;
			}
		}
		return held;
	}

	/** `undefined`: it takes longer than the grace. */
	async #shortly(flight: Promise<Answer>): Promise<Answer | undefined> {
		const end = new AbortController();
		const grace = pause(this.#host.clock, this.#graceMs, end.signal).catch(() => undefined);
		try {
			return await Promise.race([flight, grace.then(() => undefined)]);
		} finally {
			end.abort();
		}
	}

	#flight(uuid: Uuid, ask: Ask): Promise<Answer> {
		const key = flightKey(uuid, ask);
		const running = this.#flights.get(key);
		if (running !== undefined) {
			return running;
		}
		const flight = this.#askAll(uuid, ask).finally(() => {
			this.#flights.delete(key);
		});
		this.#flights.set(key, flight);
		return flight;
	}

	/** The first source in order that has it, but none waits for another for longer than the grace. */
	#askAll(uuid: Uuid, ask: Ask): Promise<Answer> {
		const lists = this.#owner.lists();
		return new Promise(resolve => {
			const answers: (Answer | undefined)[] = lists.map(() => undefined);
			const end = new AbortController();
			let graceBegun = false;
			const look = (graceOver: boolean): void => {
				const best = answers.find(answer => answer?.kind === 'found' || (answer === undefined && !graceOver));
				const found = answers.find(answer => answer?.kind === 'found');
				const isWhole = !answers.includes(undefined);
				if (found !== undefined && (best === found || isWhole)) {
					end.abort();
					resolve(found);
				} else if (isWhole) {
					resolve(together(answers.filter(answer => answer !== undefined)));
				} else if (found !== undefined && !graceBegun) {
					graceBegun = true;
					pause(this.#host.clock, this.#graceMs, end.signal).then(
						() => {
							look(true);
						},
						() => undefined,
					);
				}
			};
			for (const [at, list] of lists.entries()) {
				const question = this.#askOne(list, uuid, ask);
				this.#questions.add(question);
				void question.then(answer => {
					this.#questions.delete(question);
					answers[at] = answer;
					look(false);
				});
			}
			look(false);
		});
	}

	/** Never rejects. */
	async #askOne(list: SourceList, uuid: Uuid, ask: Ask): Promise<Answer> {
		const denied = this.#isDenied(list, uuid);
		const listed = list.known ? list.get(uuid) : undefined;
		const isHeldBack = listed !== undefined && this.isHeldBack(listed, list.name);
		if (isHeldBack || (denied !== undefined && denied !== 'broken')) {
			return {kind: 'absent'};
		}
		const unknown = (problem: string): Answer => ({kind: 'unknown', source: list.name, problem});
		if (denied === 'broken') {
			return unknown('its last answer could not be used');
		}
		if (list.restingUntil !== undefined) {
			return unknown(list.lastError ?? 'it does not answer');
		}
		const {source} = list.entry;
		let manifest: Manifest | undefined;
		try {
			const {requestId, via} = ask;
			const {signal} = this.#abort;
			const question = source.find(uuid, {
				signal,
				...(requestId === undefined ? {} : {requestId}),
				...(via === undefined ? {} : {via}),
			});
			manifest = await untilAborted(question, signal);
		} catch (error) {
			if (error instanceof SourceUnavailableError) {
				if (error.scope === 'source' ? !list.failed() : error.scope !== 'none') {
					this.#memory.deny(list.name, uuid, 'broken');
				}
				return unknown(error.problem);
			}
			if (!this.#abort.signal.aborted) {
				this.#memory.deny(list.name, uuid, 'broken');
			}
			return unknown(describe(error));
		}
		list.answered();
		return this.#take(list, uuid, manifest);
	}

	#take(list: SourceList, uuid: Uuid, manifest: Manifest | undefined): Answer {
		const before = this.#memory.loose(list.name, uuid);
		const fetchedAt = this.#host.clock.now();
		if (manifest === undefined) {
			this.#memory.deny(list.name, uuid, 'absent');
			return before === undefined ? {kind: 'absent'} : this.#vanished(list, before);
		}
		if (manifest.uuid !== uuid) {
			this.#memory.deny(list.name, uuid, 'broken');
			return {kind: 'unknown', source: list.name, problem: `it gave image ${manifest.uuid} for ${uuid}`};
		}
		if (!this.#isWanted(list, manifest)) {
			this.#memory.deny(list.name, uuid, 'filtered');
			return {kind: 'absent'};
		}
		const same = before?.manifest.text === manifest.text ? before.manifest : manifest;
		this.#memory.setLoose(list.name, {manifest: same, fetchedAt, vanishedAt: undefined});
		if (same !== before?.manifest) {
			this.#owner.seen(list, uuid);
		}
		return this.#offered(list, same);
	}

	#offered(list: SourceList, manifest: Manifest): Answer {
		return this.isHeldBack(manifest, list.name) ? {kind: 'absent'} : {kind: 'found', manifest, source: list.name};
	}

	/** A loose image that its source has no more: the same choice as for listed ones, and nothing left to confirm. */
	#vanished(list: SourceList, before: LooseImage): Answer {
		const {manifest} = before;
		if (list.entry.vanished === 'drop') {
			this.#memory.deleteLoose(list.name, manifest.uuid);
			this.#owner.dropped(list, manifest);
			return {kind: 'absent'};
		}
		const fetchedAt = this.#host.clock.now();
		this.#memory.setLoose(list.name, {manifest, fetchedAt, vanishedAt: before.vanishedAt ?? fetchedAt});
		return this.#offered(list, manifest);
	}

	/** Why the source need not be asked. */
	#isDenied(list: SourceList, uuid: Uuid): 'absent' | 'filtered' | 'broken' | undefined {
		const denial = this.#memory.denial(list.name, uuid);
		if (denial === undefined || (denial.why === 'filtered' && this.#isOrigin(uuid))) {
			return undefined;
		}
		const ageMs = this.#host.clock.now() - denial.at;
		const ttlMs = denial.why === 'broken' ? brokenTtlMs : list.entry.missingTtlMs;
		return ageMs >= 0 && ageMs < ttlMs ? denial.why : undefined;
	}

	/** An image that the operator excludes is had all the same when another cannot be installed without it. */
	#isWanted(list: SourceList, manifest: Manifest): boolean {
		return list.entry.matches(manifest) || this.#isOrigin(manifest.uuid);
	}

	#isOrigin(uuid: Uuid): boolean {
		const {origins, heldBackOrigins} = this.#owner.merged();
		if (origins.has(uuid) || heldBackOrigins.has(uuid)) {
			return true;
		}
		for (const {manifest} of this.#memory.looseImages()) {
			if (manifest.origin === uuid) {
				return true;
			}
		}
		return false;
	}

	/** It is the origin of an image that is offered, or of such an origin. */
	#isNeeded(uuid: Uuid, seen: Set<Uuid>): boolean {
		const {origins, heldBackOrigins, heldBack} = this.#owner.merged();
		if (origins.has(uuid)) {
			return true;
		}
		seen.add(uuid);
		const isNeededBy = (child: Manifest): boolean =>
			child.origin === uuid && !seen.has(child.uuid) && this.#isNeeded(child.uuid, seen);
		if (heldBackOrigins.has(uuid) && [...heldBack.values()].some(({manifest}) => isNeededBy(manifest))) {
			return true;
		}
		for (const {manifest, source} of this.#memory.looseImages()) {
			if (manifest.origin === uuid && (!this.#owner.isHeldBack(manifest, source) || isNeededBy(manifest))) {
				return true;
			}
		}
		return false;
	}
}

/**
 * Requests that came through other mirrors fly alone: two mirrors that name each other, each waiting in the other's
 * flight for the same image, would wait for ever.
 */
function flightKey(uuid: Uuid, ask: Ask): string {
	return `${uuid} ${ask.via ?? ''}`;
}

function together(answers: readonly Answer[]): Answer {
	const unknown = answers.filter(answer => answer.kind === 'unknown');
	const [first] = unknown;
	if (first === undefined) {
		return {kind: 'absent'};
	}
	return {kind: 'unknown', source: unknown.map(({source}) => source).join(', '), problem: first.problem};
}
