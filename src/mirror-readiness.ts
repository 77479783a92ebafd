/**
 * Whether the mirror can do its work, and what is to be looked at though it can.
 *
 * `readiness` judges facts that others bring; `Vitals` finds out those that nobody else knows: whether the disk really
 * takes a byte, whether files are still hashed, whether this process keeps up. A load balancer asks every few seconds,
 * so looking must cost next to nothing.
 */
import {createHash} from 'node:crypto';
import {open} from 'node:fs/promises';
import {monitorEventLoopDelay, type IntervalHistogram} from 'node:perf_hooks';
import {codeOf, describe} from './errors.js';
import {pause, type Clock, type Host} from './host.js';

export interface ReadinessFacts {
	readonly stopping: boolean;
	/** In the merged list. */
	readonly images: number;
	readonly sources: readonly {
		readonly name: string;
		/** There is a list of it, if an old one. */
		readonly known: boolean;
		readonly down: boolean;
		/** Its files were wrong lately, and none was right. */
		readonly wrong: boolean;
	}[];
	readonly vitals: VitalSigns;
	/** Why no more files can be kept, or too little is free. */
	readonly diskLow: string | undefined;
	/** Published images whose file is wrong on our own disk. */
	readonly damaged: readonly {readonly name: string; readonly uuid: string}[];
	/** Published images whose record cannot be read, by uuid. */
	readonly unreadable: readonly string[];
	/** Other things that somebody should look at, in words. */
	readonly others: readonly string[];
	/** Webhooks that do not take what they are told, by name. */
	readonly failingHooks: readonly string[];
}

export interface VitalSigns {
	/** Nothing can be written or hashed, in words. */
	readonly broken: string | undefined;
	/** The disk takes nothing more; what is here is served all the same, and the rest passed through. */
	readonly full: boolean;
	/** How late whatever is due comes, mostly. */
	readonly lagMs: number;
}

export interface Judgement {
	readonly ready: boolean;
	/** Why not, in words. */
	readonly problems: readonly string[];
	/** What to look at: clients are served. */
	readonly warnings: readonly string[];
}

const mostLagMs = 1000;

export function readiness(facts: ReadinessFacts): Judgement {
	const {stopping, images, sources, vitals, diskLow, damaged, unreadable, others, failingHooks} = facts;
	const problems: string[] = [];
	const warnings: string[] = [];
	if (stopping) {
		problems.push('the mirror is stopping');
	}
	if (images === 0 && sources.length > 0 && sources.every(({known}) => !known)) {
		problems.push('no source has answered yet, and nothing is known from before');
	}
	if (vitals.broken !== undefined) {
		problems.push(vitals.broken);
	}
	if (vitals.lagMs > mostLagMs) {
		problems.push(`the process does not keep up: what is due comes ${Math.round(vitals.lagMs)} ms late`);
	}
	const down = sources.filter(one => one.down).map(({name}) => name);
	if (down.length > 0) {
		warnings.push(`${down.length === 1 ? 'a source is' : `${down.length} sources are`} down: ${down.join(', ')}`);
	}
	const wrong = sources.filter(one => one.wrong).map(({name}) => name);
	if (wrong.length > 0) {
		warnings.push(
			`${wrong.length === 1 ? 'a source sends' : `${wrong.length} sources send`} wrong files: ${wrong.join(', ')}`,
		);
	}
	if (vitals.full) {
		warnings.push('the disk is full: what is not here yet is passed through and not kept');
	} else if (diskLow !== undefined) {
		warnings.push(`there is no room for more files: ${diskLow}`);
	}
	for (const {name, uuid} of damaged) {
		warnings.push(`the file of the published image ${name} (${uuid}) is damaged, and there is no other`);
	}
	for (const uuid of unreadable) {
		warnings.push(`the record of the published image ${uuid} cannot be read: it is not offered`);
	}
	warnings.push(...others);
	if (failingHooks.length > 0) {
		warnings.push(
			`${failingHooks.length === 1 ? 'a webhook does' : 'webhooks do'} not answer: ${failingHooks.join(', ')}`,
		);
	}
	return {ready: problems.length === 0, problems, warnings};
}

/** Looked at anew only so often: each time writes to the disk. */
const freshForMs = 10_000;
/** Whoever asks waits no longer for a disk that is busy, and is told what was so before. */
const patienceMs = 2000;
/** A disk that has not taken a byte by then is as good as none. */
const hangsAfterMs = 30_000;
const fullCodes: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

type DiskSigns = Pick<VitalSigns, 'broken' | 'full'>;

export class Vitals {
	readonly #clock: Clock;
	readonly #file: string;
	readonly #sha1Of: (file: string, bytes: number) => Promise<string | undefined>;
	readonly #delays: IntervalHistogram;
	#disk: DiskSigns = {broken: undefined, full: false};
	#lookedAt = -Infinity;
	#looking: {readonly sinceMs: number; readonly done: Promise<void>} | undefined;
	#lagMs = 0;
	#lagFromMs: number;

	constructor(parts: {
		readonly host: Host;
		/** Of our own, in the data directory: it is written again and again. */
		readonly file: string;
		/** Hashes it where all files are hashed. */
		readonly sha1Of: (file: string, bytes: number) => Promise<string | undefined>;
	}) {
		this.#clock = parts.host.clock;
		this.#file = parts.file;
		this.#sha1Of = parts.sha1Of;
		this.#delays = monitorEventLoopDelay({resolution: 20});
		this.#delays.enable();
		this.#lagFromMs = this.#clock.now();
	}

	async signs(): Promise<VitalSigns> {
		const lagMs = this.#lag();
		const sinceMs = this.#clock.now() - this.#lookedAt;
		// Also where the clock was put back.
		if (this.#looking === undefined && (sinceMs >= freshForMs || sinceMs < 0)) {
			this.#look();
		}
		const looking = this.#looking;
		if (looking !== undefined) {
			await this.#patiently(looking.done);
		}
		const hangs = this.#looking !== undefined && this.#clock.now() - this.#looking.sinceMs >= hangsAfterMs;
		const broken = hangs
			? `the data directory cannot be written: it has not taken a byte for ${hangsAfterMs / 1000} s`
			: this.#disk.broken;
		return {broken, full: this.#disk.full && !hangs, lagMs};
	}

	stop(): void {
		this.#delays.disable();
	}

	/** Most delays of the last ten seconds or so were that long: one long pause is no lag. */
	#lag(): number {
		const now = this.#clock.now();
		if (now - this.#lagFromMs >= freshForMs || now < this.#lagFromMs) {
			this.#lagMs = this.#delays.count === 0 ? 0 : this.#delays.percentile(50) / 1e6;
			this.#lagFromMs = now;
			this.#delays.reset();
		}
		return this.#lagMs;
	}

	#look(): void {
		const done = this.#lookAtDisk()
			.then(disk => {
				this.#disk = disk;
			})
			.finally(() => {
				this.#looking = undefined;
				this.#lookedAt = this.#clock.now();
			});
		this.#looking = {sinceMs: this.#clock.now(), done};
	}

	async #lookAtDisk(): Promise<DiskSigns> {
		const content = Buffer.from([this.#clock.now() & 0xff]);
		try {
			await writeThrough(this.#file, content);
		} catch (error) {
			return fullCodes.has(codeOf(error) ?? '')
				? {broken: undefined, full: true}
				: {broken: `the data directory cannot be written: ${describe(error)}`, full: false};
		}
		try {
			const sha1 = await this.#sha1Of(this.#file, content.length);
			return sha1 === createHash('sha1').update(content).digest('hex')
				? {broken: undefined, full: false}
				: {broken: 'files are read back from the data directory otherwise than they were written', full: false};
		} catch (error) {
			return {broken: `files cannot be verified: ${describe(error)}`, full: false};
		}
	}

	async #patiently(done: Promise<void>): Promise<void> {
		const enough = new AbortController();
		const waited = pause(this.#clock, patienceMs, enough.signal).catch(() => undefined);
		await Promise.race([done, waited]);
		enough.abort();
	}
}

/** In place: it is but one byte, and nobody's. */
async function writeThrough(file: string, content: Uint8Array): Promise<void> {
	const handle = await open(file, 'w');
	try {
		await handle.writeFile(content);
		await handle.sync();
	} finally {
		await handle.close();
	}
}
