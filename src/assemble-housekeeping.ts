/**
 * What is done every minute: numbers brought up to date, and what is too old or too much swept.
 *
 * `assemble.ts` starts and stops it; one round that fails keeps neither the others nor the next from being done.
 */
import type {DiskStore} from './blobs/store.js';
import type {Operating} from './assemble-operating.js';
import type {Publishing} from './assemble-publishing.js';
import type {Host, Timer} from './host.js';
import type {Mirror} from './mirror.js';

const everyMs = 60_000;

export interface HousekeepingParts {
	readonly host: Host;
	readonly mirror: Mirror;
	readonly store: DiskStore;
	readonly publishing: Publishing;
	readonly operating: Operating;
}

export class Housekeeping {
	readonly #parts: HousekeepingParts;
	#timer: Timer | undefined;
	#stopped = false;
	#round: Promise<void> = Promise.resolve();

	constructor(parts: HousekeepingParts) {
		this.#parts = parts;
	}

	start(): void {
		this.#timer = this.#parts.host.clock.after(everyMs, () => {
			void this.tidy().finally(() => {
				if (!this.#stopped) {
					this.start();
				}
			});
		});
	}

	/** One round, after the one that runs. Never rejects. */
	tidy(): Promise<void> {
		this.#round = this.#round.then(() => this.#tidy());
		return this.#round;
	}

	/** Resolves when the round that is under way has ended: it must not go on where others have begun to close. */
	async stop(): Promise<void> {
		this.#stopped = true;
		this.#timer?.cancel();
		await this.#round;
	}

	async #tidy(): Promise<void> {
		const {host, mirror, store, publishing, operating} = this.#parts;
		const tasks = [
			() => mirror.updateMetrics(),
			() => store.quarantined.sweep(),
			() => store.images.writeMissing(),
			() => store.writeIndex(),
			() => publishing.sweep(),
			() => operating.tidy(),
		];
		await Promise.all(
			tasks.map(task =>
				task().catch((error: unknown) => {
					host.log.warn({err: error}, 'housekeeping failed');
				}),
			),
		);
	}
}
