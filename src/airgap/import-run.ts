/**
 * One import while it runs: every entry of the index in its order, what they share, and what ends all of them.
 *
 * `Importer` makes one for each bundle. Images are read one after the other, as a stream has them, and finished beside
 * each other, so many at once; those that wait for an origin wait until all has been read.
 */
import {IntegrityError, asError} from '../errors.js';
import type {Host} from '../host.js';
import type {Uuid} from '../image/manifest.js';
import type {CarryIn} from '../mirror-carry-api.js';
import type {Actor} from '../publish/api.js';
import type {Ask} from '../sources/source.js';
import type {ImportOutcome} from './api.js';
import type {BundleBlob, BundleFiles} from './bundle-files.js';
import {ImportFiles} from './import-files.js';
import {ImageImport} from './import-image.js';
import type {Lines} from './import-lines.js';
import {Origins} from './import-order.js';
import {Slots} from './import-slots.js';
import {Twins} from './import-twins.js';
import type {ImportWork} from './import-work.js';
import type {BundleEntry} from './oci.js';

/** Files and images that are being written; of the files, each may be held in memory. */
const mostAtOnce = 8;
/** Of images that have come before their origins, unless told otherwise. */
const manyParkedBytes = 256 * 1024 * 1024;
const mostNamed = 5;

export type ImportSums = Readonly<Record<ImportOutcome, number>> & {readonly bytes: number};

export class ImportRun {
	readonly #entries: readonly BundleEntry[];
	readonly #bundle: BundleFiles;
	readonly #lines: Lines;
	readonly #carry: CarryIn;
	readonly #stopping = new AbortController();
	readonly #slots = new Slots(mostAtOnce);
	readonly #origins: Origins;
	readonly #files: ImportFiles;
	readonly #work: ImportWork;
	readonly #ask: Ask;
	readonly #isKnown = new Map<Uuid, Promise<boolean>>();
	readonly #passedOver: string[] = [];
	readonly #sums = {imported: 0, updated: 0, there: 0, failed: 0, bytes: 0};
	readonly #mostParkedBytes: number;
	#parkedBytes = 0;
	/** What ended it, where it was not its end. */
	#failure: Error | undefined;

	constructor(
		entries: readonly BundleEntry[],
		parts: {
			readonly bundle: BundleFiles;
			readonly carry: CarryIn;
			readonly host: Host;
			readonly lines: Lines;
			readonly by: Actor;
			readonly ask: Ask;
			readonly dryRun: boolean;
			readonly mostParkedBytes?: number | undefined;
		},
	) {
		const {bundle, carry, host, lines, by, dryRun} = parts;
		this.#entries = entries.filter(({foreign}) => !foreign);
		this.#passedOver.push(...entries.filter(({foreign}) => foreign).map(({name}) => name));
		this.#bundle = bundle;
		this.#mostParkedBytes = parts.mostParkedBytes ?? manyParkedBytes;
		this.#lines = lines;
		this.#carry = carry;
		this.#ask = {...parts.ask, signal: AbortSignal.any([parts.ask.signal, this.#stopping.signal])};
		this.#origins = new Origins(this.#entries.map(({name}) => name));
		const watched = {
			blob: (...[digest, how]: Parameters<BundleFiles['blob']>) => this.#blob(digest, how),
			drop: (digests: Iterable<string>) => bundle.drop(digests),
		};
		const shared = {carry, bundle: watched, slots: this.#slots, ask: this.#ask, dryRun};
		this.#files = new ImportFiles({...shared, log: host.log});
		this.#work = {
			...shared,
			...{files: this.#files, origins: this.#origins, twins: new Twins(), lines, by},
			isKnown: origin => this.#knows(origin),
			park: bytes => this.#park(bytes),
			ended: (outcome, newBytes) => {
				this.#sums[outcome]++;
				this.#sums.bytes += newBytes;
			},
			stop: error => this.#stop(error),
			passedOver: name => {
				this.#passedOver.push(name);
			},
		};
	}

	get images(): number {
		return this.#entries.length;
	}

	/** Throws what ended it too early; whatever happens, nothing is held or under way afterwards. */
	async run(): Promise<ImportSums> {
		const {signal} = this.#ask;
		const onAbort = (): void => {
			this.#origins.stop();
		};
		signal.addEventListener('abort', onAbort, {once: true});
		const finishing = new Set<Promise<void>>();
		try {
			for (const entry of this.#entries) {
				await this.#lines.room();
				// As many as are being written already: no more are read before one of them is.
				(await this.#slots.take())();
				signal.throwIfAborted();
				const image = new ImageImport(entry, this.#work);
				await image.read();
				const rest = image
					.finish()
					.catch((error: unknown) => this.#stop(error))
					.finally(() => finishing.delete(rest));
				finishing.add(rest);
			}
		} catch (error) {
			this.#stop(error);
		} finally {
			await Promise.all(finishing);
			signal.removeEventListener('abort', onAbort);
			await this.#files.close();
			if (!this.#work.dryRun) {
				// However it ended: what has come in is in lists when whoever brought it looks there.
				await this.#carry.settled();
			}
		}
		if (this.#failure !== undefined) {
			throw this.#failure;
		}
		this.#tellOdd();
		return {...this.#sums};
	}

	/** What goes wrong with a stream that is not wrong with the bundle: nothing more can be had of it. */
	async #blob(...[digest, how]: Parameters<BundleFiles['blob']>): Promise<BundleBlob | undefined> {
		try {
			return await this.#bundle.blob(digest, how);
		} catch (error) {
			if (this.#bundle.form === 'stream' && !(error instanceof IntegrityError)) {
				this.#stop(error);
			}
			throw error;
		}
	}

	#stop(error: unknown): void {
		this.#failure ??= asError(error);
		this.#stopping.abort(this.#failure);
	}

	/** Thousands may be built upon one that sources have to be asked for. */
	#knows(origin: Uuid): Promise<boolean> {
		const known = this.#isKnown.get(origin) ?? this.#carry.isKnown(origin, this.#ask);
		this.#isKnown.set(origin, known);
		return known;
	}

	#park(bytes: number): (() => void) | undefined {
		if (this.#parkedBytes + bytes > this.#mostParkedBytes) {
			return undefined;
		}
		this.#parkedBytes += bytes;
		return () => {
			this.#parkedBytes -= bytes;
		};
	}

	#tellOdd(): void {
		const others = this.#passedOver;
		if (others.length > 0) {
			const named = others.slice(0, mostNamed).join(', ');
			const more = others.length > mostNamed ? `, and ${others.length - mostNamed} more` : '';
			this.#lines.push({
				what: 'warning',
				message: `what is no SmartOS image in the index was passed over: ${named}${more}`,
			});
		}
		for (const odd of this.#bundle.odd) {
			this.#lines.push({what: 'warning', message: `in the bundle: ${odd}`});
		}
	}
}
