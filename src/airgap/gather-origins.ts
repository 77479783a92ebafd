/**
 * The images that were chosen, with all that they are built upon: what is known of each before anything is fetched.
 *
 * Only a few words of each image are kept, whatever their number: who makes the bundle reads each again when it is its
 * turn.
 */
import {createHash} from 'node:crypto';
import {InvalidParameterError, MirrorError} from '../errors.js';
import {Slices} from '../host-slices.js';
import {isActivated, type Manifest, type Sha1, type Uuid} from '../image/manifest.js';
import type {CarryFile, CarryImage, CarryOut} from '../mirror-carry-api.js';
import type {Ask} from '../sources/source.js';
import {problemOf, titleOf, type Problem} from './export-problems.js';
import type {Have} from './have.js';
import {originsFirst} from './origins-first.js';

/** More than this is no chain but a mistake, or somebody who invents an origin for whatever is asked for. */
const longestChain = 100;

/** An image that may go. */
export interface Member {
	readonly uuid: Uuid;
	readonly name: string;
	readonly version: string;
	readonly origin: Uuid | undefined;
	/** Not chosen itself: an origin of this one. */
	readonly originOf: Uuid | undefined;
	readonly files: readonly CarryFile[];
	/** The far side has it as it is. */
	readonly isThere: boolean;
}

export interface Gathered {
	/** Origins first. */
	readonly members: readonly Member[];
	/** Of members, and of images that nothing is known of but what keeps them from going. */
	readonly problems: Map<Uuid, Problem>;
	/** Built upon something that is neither chosen nor at the far side. */
	readonly warnings: readonly string[];
}

/** Looks up the chain of each of `chosen`; `origins` false: at those alone. */
export async function gatherOrigins(
	chosen: readonly Uuid[],
	{
		carry,
		have,
		origins,
	}: {readonly carry: Pick<CarryOut, 'find' | 'image'>; readonly have: Have | undefined; readonly origins: boolean},
	ask: Ask,
): Promise<Gathered> {
	const members = new Map<Uuid, Member>();
	const problems = new Map<Uuid, Problem>();
	const isChosen = new Set(chosen);
	const slices = new Slices();
	await slices.next();
	// Of several that an origin belongs to, it is told of the first, whoever was found first.
	for (const first of [...isChosen].sort()) {
		let next: Uuid | undefined = first;
		for (let length = 1; next !== undefined && !members.has(next) && !problems.has(next); length++) {
			if (slices.over) {
				await slices.next();
			}
			ask.signal.throwIfAborted();
			const uuid: Uuid = next;
			next = undefined;
			try {
				const image = await carry.find(uuid, ask);
				const member = memberOf(image, {have, originOf: isChosen.has(uuid) ? undefined : first});
				members.set(uuid, member);
				const problem = problemWith(image.manifest, length);
				if (problem !== undefined) {
					problems.set(uuid, problem);
				}
				next = origins && problem === undefined ? member.origin : undefined;
			} catch (error) {
				ask.signal.throwIfAborted();
				problems.set(uuid, problemOf(error));
			}
		}
	}
	await slices.next();
	return {
		members: originsFirst([...members.values()]),
		problems,
		warnings: origins ? [] : missingOrigins(members, {carry, have}),
	};
}

/** Why it cannot go because of its origin; `undefined`: that is no hindrance. */
export function originProblem(
	{origin}: Member,
	problems: ReadonlyMap<Uuid, Problem>,
	{carry, have}: {readonly carry: Pick<CarryOut, 'image'>; readonly have: Have | undefined},
): Problem | undefined {
	const problem = origin === undefined ? undefined : problems.get(origin);
	if (origin === undefined || problem === undefined || isKnownThere(origin, have)) {
		return undefined;
	}
	return problem.isInherited === true
		? problem
		: {
				text: `it is built upon ${nameOf(origin, carry)}, which cannot go: ${problem.text}`,
				error: problem.error,
				isInherited: true,
			};
}

/** The far side has all the files, though it may know another image, or none, that they belong to. */
export function areFilesThere(sha1s: readonly (Sha1 | undefined)[], have: Have | undefined): boolean {
	return have !== undefined && sha1s.length > 0 && sha1s.every(sha1 => sha1 !== undefined && have.hasFile(sha1));
}

function memberOf(
	{manifest, text, files}: CarryImage,
	{have, originOf}: {readonly have: Have | undefined; readonly originOf: Uuid | undefined},
): Member {
	const {uuid, name, version, origin} = manifest;
	const isThere = have?.has(uuid, createHash('sha256').update(text).digest('hex')) === 'same';
	return {uuid, name, version, origin, originOf, files, isThere};
}

function problemWith(manifest: Manifest, chainLength: number): Problem | undefined {
	if (chainLength > longestChain) {
		const text = `there are more than ${longestChain} images in the chain of its origins`;
		return {text, error: new MirrorError(text)};
	}
	if (!isActivated(manifest)) {
		const text = 'it has not been activated yet';
		return {text, error: new InvalidParameterError(text, [])};
	}
	return undefined;
}

function missingOrigins(
	members: ReadonlyMap<Uuid, Member>,
	{carry, have}: {readonly carry: Pick<CarryOut, 'image'>; readonly have: Have | undefined},
): readonly string[] {
	const builtUpon = new Map<Uuid, Member>();
	for (const member of members.values()) {
		const {origin} = member;
		if (origin !== undefined && !members.has(origin) && !builtUpon.has(origin) && !isKnownThere(origin, have)) {
			builtUpon.set(origin, member);
		}
	}
	return [...builtUpon]
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([origin, member]) => `${nameOf(origin, carry)}, the origin of ${titleOf(member)}, does not go along`);
}

/** Whatever is said of it there. */
function isKnownThere(uuid: Uuid, have: Have | undefined): boolean {
	return have !== undefined && have.has(uuid, '') !== 'absent';
}

function nameOf(uuid: Uuid, carry: Pick<CarryOut, 'image'>): string {
	const {name, version} = carry.image(uuid)?.manifest ?? {};
	return titleOf({uuid, name, version});
}
