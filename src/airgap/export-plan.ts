/**
 * A bundle before it is one: which images go, what of them has to be fetched first, and every blob in its order.
 *
 * `Exporter` makes a plan for each export and lets go of its files afterwards. The same images make the same plan,
 * however they were found; what cannot go is named, and keeps nothing but what is built upon it from going.
 */
import {setImmediate as nextTurn} from 'node:timers/promises';
import {MirrorError, StoppingError} from '../errors.js';
import type {Clock} from '../host.js';
import {Slices} from '../host-slices.js';
import type {Sha1, Uuid} from '../image/manifest.js';
import type {CarryBlob, CarryImage, CarryOut} from '../mirror-carry-api.js';
import type {Ask, Icon} from '../sources/source.js';
import type {PlanEvent} from './api.js';
import {chooseImages, type Wish} from './choose-images.js';
import {failureOf, problemOf, titleOf, type Failure, type Problem} from './export-problems.js';
import {FileSum} from './file-sum.js';
import {areFilesThere, gatherOrigins, originProblem, type Member} from './gather-origins.js';
import type {Have} from './have.js';
import {HeldFiles} from './held-files.js';
import {isIconType, maxIconBytes} from './oci-terms.js';
import {PlannedBundle} from './planned-bundle.js';

export interface Signer {
	/** `undefined`: there is no key to sign with. */
	sign(index: Buffer): Promise<{readonly signature: string; readonly signedBy: string} | undefined>;
}

export interface PlanParts {
	readonly carry: CarryOut;
	readonly signer: Signer;
	readonly clock: Clock;
	readonly wish: Wish;
	readonly have: Have | undefined;
	/** For whom files are kept here. */
	readonly by: string;
	/** Nothing is fetched, and no index made. */
	readonly dryRun: boolean;
	/** Throws as soon as it is known that one image cannot go. */
	readonly strict: boolean;
}

export class ExportPlan {
	readonly #parts: PlanParts;
	readonly #ask: Ask;
	readonly #held: HeldFiles;
	readonly #bundle = new PlannedBundle();
	#problems = new Map<Uuid, Problem>();

	constructor(parts: PlanParts, ask: Ask) {
		this.#parts = parts;
		this.#ask = ask;
		this.#held = new HeldFiles(parts.carry, parts.by);
	}

	/** Once. Whoever stops reading ends what is being fetched. */
	async *events(): AsyncGenerator<PlanEvent, void, undefined> {
		const {carry, clock, wish, have, dryRun} = this.#parts;
		// What is asked for was read just now, and may be a long text.
		await nextTurn();
		const chosen = await chooseImages(wish, carry, clock.now(), this.#ask);
		const {members, problems, warnings} = await gatherOrigins(
			chosen.uuids,
			{carry, have, origins: wish.origins},
			this.#ask,
		);
		this.#problems = problems;
		await nextTurn();
		const unknown = this.#unknown([...chosen.uuids, ...chosen.problems.keys()], members, chosen.problems);
		const {going, fetching, ...sizes} = await this.#standing(members);
		this.#refuse([...unknown, ...this.#failuresOf(members)]);
		yield {what: 'begin', images: going, ...sizes};
		for (const message of [...warnings, ...leftOutWarnings(chosen.leftOut)]) {
			yield {what: 'warning', message};
		}
		if (!dryRun) {
			yield* this.#fetch(fetching);
		}
		const sums = {images: 0, there: 0, failed: 0, bytes: 0};
		for await (const event of this.#tell(members, unknown)) {
			if (event.what === 'image') {
				sums.images++;
			} else if (event.what === 'left-out') {
				sums[event.why]++;
			}
			yield event;
		}
		if (dryRun) {
			sums.bytes = sizes.bytes;
		} else {
			sums.bytes = this.#bundle.bytes;
			yield await this.#indexEvent();
		}
		yield {what: 'end', ...sums};
	}

	/** Before anything is fetched. What is here of those that go is held from now on. */
	async #standing(members: readonly Member[]): Promise<{
		readonly going: number;
		readonly fetching: readonly Member[];
		readonly bytes: number;
		readonly bytesToFetch: number;
	}> {
		const slices = new Slices();
		const travelling = new FileSum();
		const lacking = new FileSum();
		const fetching: Member[] = [];
		let going = 0;
		for (const member of members) {
			if (slices.over) {
				await slices.next();
				this.#ask.signal.throwIfAborted();
			}
			if (!this.#mayGo(member)) {
				continue;
			}
			going++;
			const missing = this.#missing(member);
			lacking.add(missing);
			if (missing.length > 0) {
				fetching.push(member);
			}
			if (!areFilesThere(sha1sOf(member), this.#parts.have)) {
				travelling.add(member.files);
			}
		}
		return {going, fetching, bytes: travelling.bytes, bytesToFetch: lacking.bytes};
	}

	/** What is built upon something that cannot go cannot go either. */
	#mayGo(member: Member): boolean {
		if (member.isThere) {
			return false;
		}
		const problem = this.#problems.get(member.uuid) ?? originProblem(member, this.#problems, this.#parts);
		if (problem !== undefined) {
			this.#problems.set(member.uuid, problem);
		}
		return problem === undefined;
	}

	#missing({files}: Member): Member['files'] {
		return this.#parts.dryRun ? files.filter(({here}) => !here) : this.#held.missing(files);
	}

	/** One image after another: a source has other clients, too. */
	async *#fetch(members: readonly Member[]): AsyncGenerator<PlanEvent, void, undefined> {
		const {clock} = this.#parts;
		let bytesDone = 0;
		for (const member of members) {
			const {uuid, name, version} = member;
			const missing = this.#missing(member);
			const bytes = new FileSum().add(missing).bytes;
			if (this.#mayGo(member) && missing.length > 0) {
				yield {what: 'fetching', uuid, name, version, bytes};
				try {
					for await (const done of this.#held.fetching(uuid, clock, this.#ask)) {
						// What is left over is told below.
						if (done < bytes) {
							yield {what: 'progress', bytesDone: bytesDone + done};
						}
					}
				} catch (error) {
					this.#ask.signal.throwIfAborted();
					if (error instanceof StoppingError) {
						throw error;
					}
					this.#fail(member, problemOf(error));
				}
			}
			if (bytes > 0) {
				bytesDone += bytes;
				yield {what: 'progress', bytesDone};
			}
		}
	}

	/** An event for each image. */
	async *#tell(members: readonly Member[], unknown: readonly Failure[]): AsyncGenerator<PlanEvent, void, undefined> {
		const slices = new Slices();
		for (const {uuid, text} of unknown) {
			yield {what: 'left-out', uuid, why: 'failed', problem: text};
		}
		for (const member of members) {
			const {uuid, name, version} = member;
			if (slices.over) {
				await slices.next();
			}
			this.#ask.signal.throwIfAborted();
			if (member.isThere) {
				yield {what: 'left-out', uuid, name, version, why: 'there'};
				continue;
			}
			if (this.#mayGo(member)) {
				yield* this.#tellOne(member);
			}
			const problem = this.#problems.get(uuid);
			if (problem !== undefined) {
				yield {what: 'left-out', uuid, name, version, why: 'failed', problem: problem.text};
			}
		}
	}

	/** Tells nothing of an image that turns out not to be able to go. */
	async *#tellOne(member: Member): AsyncGenerator<PlanEvent, void, undefined> {
		const {uuid, originOf} = member;
		const {carry, have, dryRun} = this.#parts;
		let event: PlanEvent;
		try {
			const image = dryRun ? undefined : await carry.find(uuid, this.#ask);
			const sha1s = sha1sOf(image ?? member);
			const about = {
				what: 'image' as const,
				...{uuid, name: member.name, version: member.version},
				bytes: (image ?? member).files.reduce((sum, {size}) => sum + size, 0),
				...(originOf === undefined ? {} : {originOf}),
				filesLeftOut: areFilesThere(sha1s, have),
			};
			event = {...about, blobs: []};
			if (image !== undefined) {
				const icon = image.manifest.icon ? await this.#iconOf(image) : undefined;
				if (image.manifest.icon && icon === undefined) {
					yield {what: 'warning', message: `the icon of ${titleOf(member)} cannot be had and does not go along`};
				}
				const {filesLeftOut} = about;
				event = {...about, blobs: this.#bundle.add(image, {files: this.#heldOf(image), filesLeftOut, icon})};
			}
		} catch (error) {
			this.#ask.signal.throwIfAborted();
			this.#fail(member, problemOf(error));
			return;
		}
		yield event;
	}

	async #iconOf(image: CarryImage): Promise<Icon | undefined> {
		try {
			const icon = await this.#parts.carry.icon(image, this.#ask);
			return icon !== undefined && isIconType(icon.contentType) && icon.bytes.length <= maxIconBytes ? icon : undefined;
		} catch {
			this.#ask.signal.throwIfAborted();
			return undefined;
		}
	}

	/** Of the files, in the order of the manifest. */
	#heldOf({files}: CarryImage): readonly CarryBlob[] {
		return files.map(({sha1}, index) => {
			const held = sha1 === undefined ? undefined : this.#held.hold(sha1);
			if (held === undefined) {
				throw new MirrorError(`file ${index} was here, and has gone`);
			}
			return held;
		});
	}

	async #indexEvent(): Promise<PlanEvent> {
		const text = this.#bundle.indexText();
		// A list of many images, and a signature over it: each is a good while's work.
		await nextTurn();
		const signed = await this.#parts.signer.sign(Buffer.from(text));
		return {what: 'index', text, ...signed};
	}

	#fail(member: Member, problem: Problem): void {
		this.#problems.set(member.uuid, problem);
		this.#refuse(this.#failuresOf([member]));
	}

	#refuse(failures: readonly Failure[]): void {
		if (this.#parts.strict && failures.length > 0) {
			throw failureOf(failures);
		}
	}

	#failuresOf(members: readonly Member[]): readonly Failure[] {
		return members.flatMap(({uuid, name, version, isThere}) => {
			const problem = isThere ? undefined : this.#problems.get(uuid);
			return problem === undefined ? [] : [{uuid, name, version, ...problem}];
		});
	}

	/** Asked for, and nothing is known of them but that. */
	#unknown(
		asked: readonly Uuid[],
		members: readonly Member[],
		problems: ReadonlyMap<Uuid, Problem>,
	): readonly Failure[] {
		const known = new Set(members.map(({uuid}) => uuid));
		return asked
			.filter(uuid => !known.has(uuid))
			.sort()
			.flatMap(uuid => {
				const problem = problems.get(uuid) ?? this.#problems.get(uuid);
				return problem === undefined ? [] : [{uuid, ...problem}];
			});
	}
}

function sha1sOf({files}: Pick<CarryImage, 'files'>): readonly (Sha1 | undefined)[] {
	return files.map(({sha1}) => sha1);
}

function leftOutWarnings(count: number): readonly string[] {
	return count === 0
		? []
		: [`${count} ${count === 1 ? 'image does' : 'images do'} not fit in the size that was asked for`];
}
