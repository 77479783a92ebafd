/**
 * Questions to the sources about images that are not ours: is a uuid free, is an origin there, whose is an image.
 *
 * They help the publisher; they must not keep anybody from publishing. A source that does not answer soon is passed
 * over, and the log says so.
 */
import {NotFoundError, RefusedError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {isUuid, type ImageFile, type Manifest, type Uuid} from '../image/manifest.js';
import type {Ask} from '../sources/source.js';
import type {PublishArea} from './area.js';
import {noSuchImage} from './guards.js';
import type {Claim, Upstream} from './internal.js';

/** So long a publisher waits for a source at most. */
const patienceMs = 5000;

export interface FoundOrigin {
	/** `undefined`: there is no origin, or nobody could be asked. */
	readonly manifest: Manifest | undefined;
	readonly isLocal: boolean;
}

type Found = NonNullable<Awaited<ReturnType<Upstream['find']>>>;

export class Lookups {
	readonly #host: Host;
	readonly #area: PublishArea;
	readonly #upstream: Upstream;

	constructor({host, area, upstream}: {host: Host; area: PublishArea; upstream: Upstream}) {
		this.#host = host;
		this.#area = area;
		this.#upstream = upstream;
	}

	/** Throws RefusedError ImageUuidAlreadyExists where we have it, as things are at this moment. */
	checkNotOurs(uuid: Uuid): void {
		if (this.#area.isTaken(uuid)) {
			const why = this.#area.isUnreadable(uuid) ? 'there is a record of it that cannot be read' : 'it is here already';
			throw new RefusedError('ImageUuidAlreadyExists', `image ${uuid} cannot be made: ${why}`);
		}
	}

	/** The same for the sources. */
	async checkNotTheirs(uuid: Uuid, ask: Ask): Promise<void> {
		const claim = await this.#claimOf(uuid, ask, 'whether a uuid is free');
		if (typeof claim === 'object') {
			throw new RefusedError(
				'ImageUuidAlreadyExists',
				`image ${uuid} cannot be made: source ${claim.source} has it; import-remote makes it ours`,
			);
		}
	}

	/** See `LocalWrites`. */
	async checkAlike(image: Manifest, {operator, ask}: {readonly operator: boolean; readonly ask: Ask}): Promise<void> {
		const claim = await this.#claimOf(image.uuid, ask, 'whether it has the same image');
		if (typeof claim !== 'object') {
			return;
		}
		if (!areAlike(claim.manifest.files, image.files)) {
			throw new RefusedError(
				'ImageUuidAlreadyExists',
				`image ${image.uuid} stays as it is: source ${claim.source} has other files under that uuid`,
			);
		}
		if (claim.isHeldBack && !operator) {
			throw new RefusedError('ImageUuidAlreadyExists', `image ${image.uuid} is held back here: operators may take it`);
		}
	}

	/** An image of a source that could not be installed without ours. */
	childOf(origin: Manifest): Uuid | undefined {
		return this.#upstream.childOf(origin);
	}

	/** Throws RefusedError OriginDoesNotExist where neither we nor a source have it. */
	async origin(origin: string | undefined, ask: Ask): Promise<FoundOrigin> {
		if (origin === undefined) {
			return {manifest: undefined, isLocal: false};
		}
		if (!isUuid(origin)) {
			throw noOrigin(origin);
		}
		const ours = this.#area.get(origin);
		if (ours !== undefined) {
			return {manifest: ours, isLocal: true};
		}
		const found = await this.#find(origin, ask, 'whether an origin is there');
		if (found === 'absent') {
			throw noOrigin(origin);
		}
		return {manifest: found === 'unknown' ? undefined : found.manifest, isLocal: false};
	}

	/** What to answer somebody who wants to change an image that is not ours. */
	async refusal(uuid: Uuid, ask: Ask): Promise<NotFoundError | RefusedError> {
		if (this.#area.isUnreadable(uuid)) {
			return new NotFoundError(`the record of image ${uuid} cannot be read`);
		}
		const found = await this.#find(uuid, ask, 'whose an image is');
		return typeof found === 'object'
			? new RefusedError(
					'NotImageOwner',
					`image ${uuid} is source ${found.source}'s: import-remote makes it ours, then it can be changed`,
				)
			: noSuchImage(uuid);
	}

	#find(uuid: Uuid, ask: Ask, what: string): Promise<Found | 'absent' | 'unknown'> {
		return this.#ask(uuid, ask, what, patient => this.#upstream.find(uuid, patient));
	}

	#claimOf(uuid: Uuid, ask: Ask, what: string): Promise<Claim | 'absent' | 'unknown'> {
		return this.#ask(uuid, ask, what, patient => this.#upstream.claimOf(uuid, patient));
	}

	async #ask<T>(
		uuid: Uuid,
		ask: Ask,
		what: string,
		question: (ask: Ask) => Promise<T | undefined>,
	): Promise<T | 'absent' | 'unknown'> {
		const late = new AbortController();
		const timer = this.#host.clock.after(patienceMs, () => {
			late.abort(new Error(`no answer within ${patienceMs / 1000} seconds`));
		});
		const signal = AbortSignal.any([ask.signal, late.signal]);
		try {
			return (await orAborted(question({...ask, signal}), signal)) ?? 'absent';
		} catch (error) {
			ask.signal.throwIfAborted();
			this.#host.log.warn({image: uuid, problem: describe(error)}, `no source could tell ${what}: taken as it is said`);
			return 'unknown';
		} finally {
			timer.cancel();
		}
	}
}

export function noOrigin(origin: string): RefusedError {
	return new RefusedError('OriginDoesNotExist', `the origin ${origin.slice(0, 100)} does not exist`);
}

/** Also where whoever is asked does not heed the signal. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const onAbort = (): void => reject(signal.reason as Error);
		if (signal.aborted) {
			onAbort();
		}
		signal.addEventListener('abort', onAbort, {once: true});
		// A signal made of others lives as long as somebody listens to it.
		void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
	});
}

function areAlike(theirs: readonly ImageFile[], others: readonly ImageFile[]): boolean {
	return (
		theirs.length === others.length &&
		theirs.every(({sha1, size}, index) => {
			const other = others[index];
			return sha1 === undefined || other?.sha1 === undefined ? size === other?.size : sha1 === other.sha1;
		})
	);
}
