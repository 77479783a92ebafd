/**
 * What the images of one import share, as each of them sees it.
 */
import type {Uuid} from '../image/manifest.js';
import type {CarryIn} from '../mirror-carry-api.js';
import type {Actor} from '../publish/api.js';
import type {Ask} from '../sources/source.js';
import type {ImportOutcome} from './api.js';
import type {BundleFiles} from './bundle-files.js';
import type {ImportFiles} from './import-files.js';
import type {Lines} from './import-lines.js';
import type {Origins} from './import-order.js';
import type {Slots} from './import-slots.js';
import type {Twins} from './import-twins.js';

export interface ImportWork {
	readonly carry: CarryIn;
	readonly bundle: Pick<BundleFiles, 'blob' | 'drop'>;
	readonly files: ImportFiles;
	readonly origins: Origins;
	readonly twins: Twins;
	readonly slots: Slots;
	readonly lines: Lines;
	readonly by: Actor;
	/** Its signal ends the whole import. */
	readonly ask: Ask;
	readonly dryRun: boolean;
	/** Whether the mirror has that origin already, or a source. */
	isKnown(origin: Uuid): Promise<boolean>;
	/** So many bytes wait for an origin; returns how to say that they do no more. `undefined`: that would be too much. */
	park(bytes: number): (() => void) | undefined;
	/** `newBytes`: of files that came with this import. */
	ended(outcome: ImportOutcome, newBytes: number): void;
	/** Nothing more is read or kept. */
	stop(error: unknown): void;
	/** That entry of the index is something else than an image. */
	passedOver(name: string): void;
}
