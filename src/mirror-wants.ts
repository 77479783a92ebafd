/**
 * Which images prefetch rules want now: those stay.
 *
 * Rules say it whenever they have looked at the catalog; nothing of it is on the disk, since they look again at each
 * start before anything may go.
 */
import type {Uuid} from './image/manifest.js';

const nobody: readonly string[] = Object.freeze([]);

export class Wants {
	readonly #byRule = new Map<string, readonly Uuid[]>();
	#byImage: ReadonlyMap<Uuid, readonly string[]> | undefined;
	#generation = 0;

	/** Another number whenever something changed. */
	get generation(): number {
		return this.#generation;
	}

	set(rule: string, images: readonly Uuid[]): void {
		const before = this.#byRule.get(rule);
		if (before?.length === images.length && before.every((uuid, at) => uuid === images[at])) {
			return;
		}
		this.#byRule.set(rule, [...images]);
		this.#changed();
	}

	forget(rule: string): void {
		if (this.#byRule.delete(rule)) {
			this.#changed();
		}
	}

	/** Rules that want it. */
	of(uuid: Uuid): readonly string[] {
		return this.#images().get(uuid) ?? nobody;
	}

	/** All that are wanted. */
	uuids(): Iterable<Uuid> {
		return this.#images().keys();
	}

	#images(): ReadonlyMap<Uuid, readonly string[]> {
		if (this.#byImage === undefined) {
			const found = new Map<Uuid, string[]>();
			for (const [rule, uuids] of this.#byRule) {
				for (const uuid of uuids) {
					const rules = found.get(uuid);
					if (rules === undefined) {
						found.set(uuid, [rule]);
					} else {
						rules.push(rule);
					}
				}
			}
			this.#byImage = found;
		}
		return this.#byImage;
	}

	#changed(): void {
		this.#byImage = undefined;
		this.#generation++;
	}
}
