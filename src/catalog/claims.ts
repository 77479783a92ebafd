/**
 * Whose a uuid is: what sources say of it, whether it is offered, held back or excluded.
 *
 * Whoever would publish something under it asks here. What is known needs no question, and the first who has it will
 * do: images of one uuid are the same image.
 */
import {NotFoundError, SourceUnavailableError, describe, type SilentSource} from '../errors.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {Ask} from '../sources/source.js';
import type {Finder} from './finder.js';
import type {HeldImage} from './known.js';
import type {SourceList} from './source-list.js';

export interface Claim {
	readonly manifest: Manifest;
	readonly source: string;
	/** It is offered to nobody, at the moment. */
	readonly isHeldBack: boolean;
}

type Found = Pick<Claim, 'manifest' | 'source'>;

/** What is known without asking. */
export interface ClaimsOwner {
	readonly lists: readonly SourceList[];
	readonly finder: Pick<Finder, 'manifestFrom' | 'isHeldBack'>;
	/** On the disk. */
	readonly held: HeldImage | undefined;
}

/** `undefined`: no source has it. Throws SourceUnavailableError where none has, and some cannot tell. */
export async function claimOf(uuid: Uuid, ask: Ask, {lists, finder, held}: ClaimsOwner): Promise<Claim | undefined> {
	const listed = lists
		.map(list => ({manifest: finder.manifestFrom(list, uuid), source: list.name}))
		.find((found): found is Found => found.manifest !== undefined);
	const found = listed ?? held ?? (await askAll(uuid, ask, lists));
	if (found === undefined) {
		return undefined;
	}
	const {manifest, source} = found;
	return {manifest, source, isHeldBack: finder.isHeldBack(manifest, source)};
}

async function askAll(uuid: Uuid, ask: Ask, lists: readonly SourceList[]): Promise<Found | undefined> {
	const silent: SilentSource[] = [];
	const end = new AbortController();
	const signal = AbortSignal.any([ask.signal, end.signal]);
	const questions = lists.map(async (list): Promise<Found> => {
		try {
			return {manifest: await askOne(list, uuid, {...ask, signal}), source: list.name};
		} catch (error) {
			if (!(error instanceof NotFoundError)) {
				const problem = error instanceof SourceUnavailableError ? error.problem : describe(error);
				silent.push({source: list.name, problem});
			}
			throw error;
		}
	});
	try {
		return await Promise.any(questions);
	} catch {
		ask.signal.throwIfAborted();
		const [first] = silent;
		if (first === undefined) {
			return undefined;
		}
		throw new SourceUnavailableError(first.source, `cannot tell whether it has image ${uuid}: ${first.problem}`);
	} finally {
		end.abort();
	}
}

/** Throws NotFoundError for one that it has not. */
async function askOne({name, entry, restingUntil, lastError}: SourceList, uuid: Uuid, ask: Ask): Promise<Manifest> {
	if (restingUntil !== undefined) {
		throw new SourceUnavailableError(name, lastError ?? 'it does not answer');
	}
	const manifest = await entry.source.find(uuid, ask);
	if (manifest === undefined) {
		throw new NotFoundError(`source ${name} has no image ${uuid}`);
	}
	if (manifest.uuid !== uuid) {
		throw new SourceUnavailableError(name, `it gave image ${manifest.uuid} for ${uuid}`);
	}
	return manifest;
}
