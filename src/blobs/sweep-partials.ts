/**
 * Clears away what nobody will go on with: files half-fetched whose image is gone or that were left for long, and
 * digests that were found out for images nobody knows any more.
 *
 * Which images there are is known above; what cannot be told yet stays. Nothing that is open goes.
 */
import {describe} from '../errors.js';
import type {Host} from '../host.js';

/** What the sweep needs of the store. */
export interface PartialsStore {
	partialsOnDisk(): Promise<
		readonly {readonly key: string; readonly size: number; readonly changedAtMs: number; readonly open: boolean}[]
	>;
	/** False: it is open, or gone. */
	removePartial(key: string): Promise<boolean>;
}

export interface SweepOptions {
	readonly store: PartialsStore;
	readonly host: Host;
	/** What nobody has gone on with for so long. */
	readonly keepMs: number;
	/** By SHA-1 or `<uuid>.<index>`: whether some image has that file; `undefined`: nobody can tell yet. */
	readonly isWanted: (key: string) => boolean | undefined;
	/** A file that was made here may have come to be half-verified, and is all there is of it: it never goes. */
	readonly isOurs: (key: string) => boolean;
	readonly digests?: {
		/** `<uuid>.<index>` each. */
		readonly names: () => Iterable<string> | Promise<Iterable<string>>;
		/** `undefined`: nobody can tell yet. */
		readonly isKnown: (uuid: string) => boolean | undefined;
		readonly remove: (name: string) => Promise<void>;
	};
}

export interface Swept {
	readonly partials: number;
	readonly bytes: number;
	readonly digests: number;
}

export async function sweepLeftovers(options: SweepOptions): Promise<Swept> {
	const {host} = options;
	const swept = {...(await sweepPartials(options)), digests: await sweepDigests(options)};
	if (swept.partials > 0 || swept.digests > 0) {
		host.log.info(swept, 'what was left of files that nobody goes on with has been deleted');
	}
	return swept;
}

async function sweepPartials({store, host, keepMs, isWanted, isOurs}: SweepOptions): Promise<Omit<Swept, 'digests'>> {
	let partials = 0;
	let bytes = 0;
	for (const {key, size, changedAtMs, open} of await store.partialsOnDisk()) {
		const isOld = host.clock.now() - changedAtMs > keepMs;
		if (open || isOurs(key) || (!isOld && isWanted(key) !== false)) {
			continue;
		}
		try {
			if (await store.removePartial(key)) {
				partials++;
				bytes += size;
			}
		} catch (error) {
			host.log.warn({file: key, problem: describe(error)}, 'the part of a file could not be deleted');
		}
	}
	return {partials, bytes};
}

async function sweepDigests({host, digests}: SweepOptions): Promise<number> {
	let removed = 0;
	for (const name of [...((await digests?.names()) ?? [])]) {
		if (digests?.isKnown(name.replace(/\.\d+$/, '')) !== false) {
			continue;
		}
		try {
			await digests.remove(name);
			removed++;
		} catch (error) {
			host.log.warn({file: name, problem: describe(error)}, 'the digest of an image that is gone could not be deleted');
		}
	}
	return removed;
}
