/**
 * Images that a bundle has more than once: the same one with several entries, or two that claim to be one.
 *
 * A merged bundle may well have an image twice; it is imported once, and the second entry shares its fate. Two manifests
 * for one uuid cannot both be right, and which comes first should not decide: unless the first could not be imported, the
 * second is refused.
 */
import type {ImageLabel} from './import-report.js';
import type {Digest} from './oci.js';

export interface Twin {
	readonly label: ImageLabel;
	/** Resolves with why it could not be imported, or `undefined`: it is here. */
	readonly problem: Promise<string | undefined>;
}

export class Twins {
	readonly #byConfig = new Map<Digest, Twin>();
	readonly #configs = new Map<string, Digest>();

	/** The image whose manifest is in that blob, if it was read before. */
	get(config: Digest): Twin | undefined {
		return this.#byConfig.get(config);
	}

	/** Whether another manifest of that uuid was read before. */
	hasOther(uuid: string): boolean {
		return this.#configs.has(uuid);
	}

	add(config: Digest, twin: Twin): void {
		this.#byConfig.set(config, twin);
		this.#configs.set(twin.label.uuid, config);
	}
}
