/**
 * Images that an older server kept in a folder of this machine, made ours as they were there.
 *
 * `imgmirror adopt` has a whole folder taken over; the drop folder takes what it finds one by one. Each file is
 * verified on its way into the store. Where files are to be moved, the originals go only once the image is written, so
 * that a crash loses nothing.
 */
import {stat} from 'node:fs/promises';
import {
	IntegrityError,
	InvalidParameterError,
	RefusedError,
	ValidationError,
	describe,
	describeFields,
} from '../errors.js';
import type {Host} from '../host.js';
import type {Uuid} from '../image/manifest.js';
import type {Ask} from '../sources/source.js';
import {ImageAdoption, type Outcome, type Theirs} from './adopt-image.js';
import {scanFolder, type FoundImage} from './adopt-scan.js';
import type {AdoptEvent, AdoptRequest, Change} from './api.js';
import type {LocalWrites, PublishStore, Upstream} from './internal.js';
import {reporting} from './reporting.js';

const progressBytes = 16 * 1024 * 1024;
/** So long a source is asked whether it has an image as well. */
const patienceMs = 5000;

export class Adoption {
	readonly #host: Host;
	readonly #writes: LocalWrites;
	readonly #store: Pick<PublishStore, 'importFile' | 'release' | 'stat'>;
	readonly #upstream: Upstream;

	constructor(options: {
		readonly host: Host;
		readonly writes: LocalWrites;
		readonly store: Pick<PublishStore, 'importFile' | 'release' | 'stat'>;
		readonly upstream: Upstream;
	}) {
		this.#host = options.host;
		this.#writes = options.writes;
		this.#store = options.store;
		this.#upstream = options.upstream;
	}

	/** Everything in a folder, base images first. Leaving the loop ends it after what is whole already. */
	async *adopt(request: AdoptRequest, change: Change): AsyncGenerator<AdoptEvent, void, undefined> {
		const {directory} = request;
		this.#writes.checkOperator(change);
		if (change.channel !== undefined) {
			this.#writes.channelsFor(change.channel);
		}
		if (!(await stat(directory).catch(() => undefined))?.isDirectory()) {
			throw invalid('directory', `${directory} is no folder`);
		}
		const images = await scanFolder(directory, {
			links: request.how !== 'move',
			signal: change.ask.signal,
		});
		yield {what: 'found', images: images.length, bytes: images.reduce((sum, image) => sum + bytesOf(image), 0)};
		const counts = {adopted: 0, there: 0, failed: 0};
		for (const image of baseFirst(images)) {
			change.ask.signal.throwIfAborted();
			const {manifest} = image;
			const uuid = nameOf(image);
			yield {
				...{what: 'image', uuid, name: manifest?.name ?? '', version: manifest?.version ?? ''},
				bytes: bytesOf(image),
			};
			const steps = this.take(image, request, change);
			let step = await steps.next();
			for (; !step.done; step = await steps.next()) {
				yield {what: 'progress', uuid, bytes: step.value};
			}
			const {outcome, problem} = step.value;
			counts[outcome]++;
			yield {what: 'done', uuid: step.value.uuid, outcome, ...(problem === undefined ? {} : {problem})};
		}
		yield {what: 'end', ...counts};
	}

	/** One image. Yields how many of its bytes have been verified; throws nothing but the caller's own abort. */
	async *take(
		image: FoundImage,
		how: Pick<AdoptRequest, 'how' | 'dryRun'>,
		change: Change,
	): AsyncGenerator<number, Outcome, undefined> {
		const uuid = nameOf(image);
		try {
			const work = new ImageAdoption({image, how, change, writes: this.#writes, store: this.#store, host: this.#host});
			const isThere = work.compareWithOurs();
			if (isThere) {
				return {outcome: 'there', uuid};
			}
			work.compareWithTheirs(await this.#theirs(work.uuid, change.ask));
			const made = yield* reporting(progressBytes, change.ask.signal, (report, signal) => work.run(report, signal));
			if (made.outcome === 'adopted' && !how.dryRun) {
				this.#host.log.info({image: made.uuid, file: image.label, how: how.how}, 'an image was adopted');
			}
			return made;
		} catch (error) {
			change.ask.signal.throwIfAborted();
			return {outcome: 'failed', uuid, problem: describeFields(error), mayPass: !isFinal(error)};
		}
	}

	/** What a source says that file 0 of its image of that uuid is. `undefined`: nobody has it, or nobody can tell. */
	async #theirs(uuid: Uuid | undefined, ask: Ask): Promise<Theirs | undefined> {
		if (uuid === undefined) {
			return undefined;
		}
		const late = new AbortController();
		const timer = this.#host.clock.after(patienceMs, () => late.abort(new Error('no answer in time')));
		const signal = AbortSignal.any([ask.signal, late.signal]);
		let giveUp = (): void => undefined;
		const tooLate = new Promise<undefined>(resolve => {
			giveUp = () => resolve(undefined);
		});
		signal.addEventListener('abort', giveUp, {once: true});
		try {
			const found = await Promise.race([this.#upstream.claimOf(uuid, {...ask, signal}), tooLate]);
			return found && {source: found.source, sha1: found.manifest.files[0]?.sha1};
		} catch (error) {
			ask.signal.throwIfAborted();
			this.#host.log.info(
				{image: uuid, problem: describe(error)},
				'no source can tell whether it has an adopted image',
			);
			return undefined;
		} finally {
			timer.cancel();
			signal.removeEventListener('abort', giveUp);
		}
	}
}

/** Origins before what is built on them; otherwise as they were found. */
export function baseFirst(images: readonly FoundImage[]): readonly FoundImage[] {
	const byUuid = new Map(images.map(image => [image.manifest?.uuid as string | undefined, image]));
	const placed = new Set<FoundImage>();
	for (const image of images) {
		const chain: FoundImage[] = [];
		for (let next: FoundImage | undefined = image; next !== undefined && !placed.has(next) && !chain.includes(next);) {
			chain.unshift(next);
			const origin: string | undefined = next.manifest?.origin;
			next = origin === undefined ? undefined : byUuid.get(origin);
		}
		for (const one of chain) {
			placed.add(one);
		}
	}
	return [...placed];
}

function nameOf({manifest, label}: FoundImage): string {
	return manifest?.uuid ?? label;
}

function bytesOf({files}: FoundImage): number {
	return files.reduce((sum, {found}) => sum + found.size, 0);
}

/** Trying again would bring the same. */
function isFinal(error: unknown): boolean {
	return [IntegrityError, ValidationError, InvalidParameterError, RefusedError].some(kind => error instanceof kind);
}

function invalid(field: string, message: string): InvalidParameterError {
	return new InvalidParameterError(message, [{field, code: 'Invalid', message}]);
}
