/**
 * A folder of this machine whose images become ours as soon as they are whole.
 *
 * Whatever `adopt` knows may be put there. A thing is whole when its file is what its manifest says, or, where that
 * says too little, when nothing has changed for a while. What cannot be taken stays, with a text beside it that says
 * why; links are never followed.
 */
import {randomBytes} from 'node:crypto';
import {watch, type FSWatcher} from 'node:fs';
import {rename, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {Layout} from '../blobs/layout.js';
import {describe, UsageError} from '../errors.js';
import type {Host, Timer} from '../host.js';
import {baseFirst, type Adoption} from './adopt.js';
import type {Outcome} from './adopt-image.js';
import {scanFolder, type FoundImage} from './adopt-scan.js';
import type {Change} from './api.js';

/** Where changes are not told to us, and to see whether they go on. */
const lookEveryMs = 10_000;
/** After a change was told: a file is often written in many steps. */
const settleMs = 1000;
/** A copy may have paused for so long before it counts as given up. */
const incompleteMs = 60_000;
/** What may have been the disk's fault is tried again. */
const retryMs = 600_000;

interface Seen {
	/** Of what lies there. */
	readonly stamp: string;
	/** Since when it has been so. */
	readonly sinceMs: number;
	/** Nothing need be done until then, unless something changes. */
	restUntilMs: number;
}

export class DropFolder {
	readonly #host: Host;
	readonly #folder: string;
	readonly #adoption: Pick<Adoption, 'take'>;
	readonly #layout: Pick<Layout, 'isOurs'>;
	readonly #stopping = new AbortController();
	/** By the manifest's file. */
	readonly #seen = new Map<string, Seen>();
	#watcher: FSWatcher | undefined;
	#timer: Timer | undefined;
	#looking: Promise<void> | undefined;
	#isUnreadable = false;

	constructor(options: {
		readonly host: Host;
		readonly layout: Pick<Layout, 'isOurs'>;
		readonly folder: string;
		readonly adoption: Pick<Adoption, 'take'>;
	}) {
		this.#host = options.host;
		this.#layout = options.layout;
		this.#folder = path.resolve(options.folder);
		this.#adoption = options.adoption;
	}

	/** Begins to look, at once and from then on. */
	start(): void {
		void this.#look();
	}

	/** Looks without waiting for the time; resolves when everything that is whole has been dealt with. */
	async lookNow(): Promise<void> {
		await this.#looking;
		await this.#look();
	}

	/** Breaks off what it is at; resolves when that has ended. */
	async stop(): Promise<void> {
		this.#stopping.abort(new Error('the server is being stopped'));
		this.#timer?.cancel();
		this.#watcher?.close();
		await this.#looking;
		this.#host.troubles.set('drop folder', undefined);
	}

	#look(): Promise<void> {
		this.#timer?.cancel();
		this.#timer = undefined;
		this.#looking ??= this.#lookOnce()
			.catch((error: unknown) => {
				if (!this.#stopping.signal.aborted) {
					this.#host.log.error({err: error, folder: this.#folder}, 'the drop folder could not be looked through');
				}
			})
			.finally(() => {
				this.#looking = undefined;
				this.#lookIn(lookEveryMs);
			});
		return this.#looking;
	}

	#lookIn(delayMs: number): void {
		if (!this.#stopping.signal.aborted) {
			this.#timer?.cancel();
			this.#timer = this.#host.clock.after(delayMs, () => void this.#look());
		}
	}

	async #lookOnce(): Promise<void> {
		const images = await this.#scan();
		if (images === undefined) {
			return;
		}
		this.#watch();
		for (const image of baseFirst(images)) {
			this.#stopping.signal.throwIfAborted();
			await this.#consider(image);
		}
		const there = new Set(images.map(({manifestFile}) => manifestFile));
		for (const file of this.#seen.keys()) {
			if (!there.has(file)) {
				this.#seen.delete(file);
				await this.#clear(file);
			}
		}
	}

	/** `undefined`: the folder cannot be read at the moment, which is said once. */
	async #scan(): Promise<readonly FoundImage[] | undefined> {
		try {
			// What is taken is cleared away.
			if (await this.#layout.isOurs(this.#folder)) {
				throw new UsageError('it is where the mirror keeps its own files: name a folder of its own');
			}
			const images = await scanFolder(this.#folder, {links: false, signal: this.#stopping.signal});
			this.#isUnreadable = false;
			this.#host.troubles.set('drop folder', undefined);
			return images;
		} catch (error) {
			this.#stopping.signal.throwIfAborted();
			this.#host.troubles.set('drop folder', `the drop folder ${this.#folder} cannot be read: ${describe(error)}`);
			if (!this.#isUnreadable) {
				this.#isUnreadable = true;
				this.#host.log.error({folder: this.#folder, problem: describe(error)}, 'the drop folder cannot be read');
			}
			return undefined;
		}
	}

	/** Tells us of changes in the folder itself, on file systems that can. The regular look finds the rest. */
	#watch(): void {
		if (this.#watcher !== undefined) {
			return;
		}
		try {
			const watcher = watch(this.#folder, {persistent: false}, () => {
				if (this.#timer !== undefined) {
					this.#lookIn(settleMs);
				}
			});
			watcher.on('error', () => {
				watcher.close();
				this.#watcher = undefined;
			});
			this.#watcher = watcher;
		} catch (error) {
			this.#host.log.debug({folder: this.#folder, problem: describe(error)}, 'the drop folder cannot be watched');
		}
	}

	async #consider(image: FoundImage): Promise<void> {
		const {manifestFile, stamp} = image;
		const nowMs = this.#host.clock.now();
		const before = this.#seen.get(manifestFile);
		const seen: Seen = before?.stamp === stamp ? before : {stamp, sinceMs: nowMs, restUntilMs: 0};
		this.#seen.set(manifestFile, seen);
		if (nowMs < seen.restUntilMs) {
			return;
		}
		const unchangedMs = nowMs - seen.sinceMs;
		const problem = image.problem ?? (image.files.length === 0 ? 'its file is not there' : undefined);
		if (problem !== undefined) {
			const mayCome = image.isIncomplete || image.problem === undefined;
			if (unchangedMs >= (mayCome ? incompleteMs : lookEveryMs)) {
				seen.restUntilMs = Infinity;
				await this.#failed(image, {outcome: 'failed', uuid: image.manifest?.uuid ?? image.label, problem});
			}
			return;
		}
		const isAnnounced = image.files.every(({told}) => told.size !== undefined && told.sha1 !== undefined);
		if (!isAnnounced && unchangedMs < lookEveryMs) {
			return;
		}
		// Beside a manifest in a folder of its own it would keep that folder from going.
		await this.#clear(manifestFile);
		const outcome = await this.#take(image);
		if (outcome.outcome === 'failed') {
			seen.restUntilMs = outcome.mayPass === true ? nowMs + retryMs : Infinity;
			await this.#failed(image, outcome);
		} else {
			this.#audit(image, outcome);
			this.#seen.delete(manifestFile);
		}
	}

	async #take(image: FoundImage): Promise<Outcome> {
		const change: Change = {
			actor: {name: undefined, operator: true},
			account: undefined,
			channel: undefined,
			ask: {signal: this.#stopping.signal},
		};
		const steps = this.#adoption.take(image, {how: 'move', dryRun: false}, change);
		let step = await steps.next();
		while (!step.done) {
			step = await steps.next();
		}
		return step.value;
	}

	async #failed(image: FoundImage, outcome: Outcome): Promise<void> {
		this.#audit(image, outcome);
		const file = problemFile(image.manifestFile);
		const temporary = path.join(path.dirname(file), `.${randomBytes(6).toString('hex')}.problem`);
		const text = `${image.label}: ${outcome.problem ?? 'it cannot be taken'}\n\nIt is looked at again when it changes.\n`;
		try {
			// By another name first: whatever lies under the final one is replaced, never written into.
			await writeFile(temporary, text, {flag: 'wx'});
			await rename(temporary, file);
		} catch (error) {
			await rm(temporary, {force: true}).catch(() => undefined);
			this.#host.log.warn({file, problem: describe(error)}, 'what is wrong could not be written into the drop folder');
		}
	}

	async #clear(manifestFile: string): Promise<void> {
		const file = problemFile(manifestFile);
		await rm(file, {force: true}).catch((error: unknown) => {
			this.#host.log.debug({file, problem: describe(error)}, 'a text could not be removed from the drop folder');
		});
	}

	#audit(image: FoundImage, {outcome, uuid, problem}: Outcome): void {
		this.#host.log.info(
			{
				audit: {
					...{user: undefined, credential: 'none', address: 'drop folder', action: 'adopt', image: uuid},
					...{outcome, file: image.label, problem},
				},
			},
			'audit',
		);
	}
}

function problemFile(manifestFile: string): string {
	return `${manifestFile}.problem.txt`;
}
