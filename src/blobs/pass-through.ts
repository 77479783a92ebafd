/**
 * A file straight from upstream to one client, because the disk cannot take it.
 *
 * Begins with what had reached the disk, goes on from the suppliers, and keeps the promise all the same: where the
 * range includes the end of the file, everything is hashed on the way and the tail is held back until it is right.
 */
import {createHash, type Hash} from 'node:crypto';
import {IntegrityError, MirrorError} from '../errors.js';
import type {Host, Timer} from '../host.js';
import type {Digests} from './hashing.js';
import type {PartialBlob, Wanted} from './partial.js';
import type {Reader} from './reader.js';
import {Supply, type Supplier} from './supply.js';
import {wrongness} from './verdict.js';
import {heldBackBytes} from './watermark.js';

const diskReadBytes = 262_144;
/** A client that has taken nothing for so long keeps no other from the source: it gives way there, and goes on later. */
const stalledMs = 2000;

export class PassThroughReader implements Pick<Reader, 'read' | 'close'> {
	readonly #wanted: Wanted;
	readonly #host: Host;
	readonly #onDisk: {readonly partial: PartialBlob; readonly bytes: number} | undefined;
	readonly #supply: Supply;
	readonly #hashes: ReadonlyMap<string, Hash>;
	readonly #abort = new AbortController();
	readonly #end: number;
	/** Where in the file the next byte comes from. */
	#from: number;
	/** Where in the file the next byte for the client is. */
	#to: number;
	#ready: Buffer[] = [];
	#heldBack: Buffer[] = [];
	#stall: Timer | undefined;
	#isStalled = false;

	constructor(options: {
		wanted: Wanted;
		host: Host;
		suppliers: () => readonly Supplier[];
		retries: number;
		patienceMs?: number | undefined;
		start: number;
		end: number;
		onDisk: {readonly partial: PartialBlob; readonly bytes: number} | undefined;
	}) {
		const {wanted, host, start, end, onDisk} = options;
		this.#wanted = wanted;
		this.#host = host;
		this.#onDisk = onDisk;
		this.#end = end;
		this.#to = start;
		const verifies = end > wanted.size - heldBackBytes;
		// On the main thread, so no more than what decides.
		const algorithm = wanted.sha1 === undefined ? 'md5' : 'sha1';
		this.#hashes = new Map(verifies ? [[algorithm, createHash(algorithm)]] : []);
		this.#from = verifies ? 0 : start;
		const isBackground = (): boolean => this.#isStalled;
		this.#supply = new Supply({...options, position: Math.max(this.#from, onDisk?.bytes ?? 0), isBackground});
	}

	get supplier(): string | undefined {
		return this.#supply.supplier;
	}

	get contentMd5(): string | undefined {
		return this.#supply.contentMd5;
	}

	async read(into: Buffer): Promise<number> {
		this.#stall?.cancel();
		this.#isStalled = false;
		const filled = await this.#fill(into);
		if (filled > 0) {
			this.#stall = this.#host.clock.after(stalledMs, () => {
				this.#isStalled = true;
				this.#supply.left();
			});
		}
		return filled;
	}

	async #fill(into: Buffer): Promise<number> {
		while (this.#ready.length === 0) {
			if (this.#complete) {
				this.close();
				return 0;
			}
			await this.#pull();
		}
		let filled = 0;
		while (filled < into.length) {
			const chunk = this.#ready.shift();
			if (chunk === undefined) {
				break;
			}
			const copied = chunk.copy(into, filled);
			filled += copied;
			if (copied < chunk.length) {
				this.#ready.unshift(chunk.subarray(copied));
			}
		}
		return filled;
	}

	/** Resolves once the first byte may be sent. */
	async begin(): Promise<void> {
		while (this.#ready.length === 0 && !this.#complete) {
			await this.#pull();
		}
	}

	close(): void {
		this.#stall?.cancel();
		this.#abort.abort(new MirrorError('the client has gone'));
		this.#supply.close();
	}

	/** Nothing is missing, and nothing waits for the bytes behind the range to prove it right. */
	get #complete(): boolean {
		return this.#to >= this.#end && this.#heldBack.length === 0;
	}

	async #pull(): Promise<void> {
		for (const chunk of await this.#next()) {
			for (const hash of this.#hashes.values()) {
				hash.update(chunk);
			}
			this.#hand(chunk);
			this.#from += chunk.length;
		}
		if (this.#from === this.#wanted.size && this.#hashes.size > 0) {
			this.#verify();
			this.#ready.push(...this.#heldBack);
			this.#heldBack = [];
		}
	}

	async #next(): Promise<readonly Buffer[]> {
		if (this.#onDisk !== undefined && this.#from < this.#onDisk.bytes) {
			const buffer = Buffer.allocUnsafe(Math.min(diskReadBytes, this.#onDisk.bytes - this.#from));
			const bytes = await this.#onDisk.partial.read(buffer, buffer.length, this.#from);
			if (bytes === 0) {
				throw new MirrorError('what was on the disk of this file is gone');
			}
			return [buffer.subarray(0, bytes)];
		}
		const chunks = await this.#supply.next(this.#abort.signal);
		if (chunks === 'restart') {
			throw new IntegrityError('the file changed while it was being passed on');
		}
		if (chunks === undefined) {
			throw new MirrorError('a file ended before its range');
		}
		return chunks;
	}

	/** Sorts a chunk that begins at `#from` into what the client may have, what waits, and what it did not ask for. */
	#hand(chunk: Buffer): void {
		const wantedPart = chunk.subarray(
			Math.max(0, this.#to - this.#from),
			Math.max(0, Math.min(chunk.length, this.#end - this.#from)),
		);
		if (wantedPart.length === 0) {
			return;
		}
		const freely = Math.max(0, this.#wanted.size - heldBackBytes - this.#to);
		const now = wantedPart.subarray(0, freely);
		const later = wantedPart.subarray(freely);
		if (now.length > 0) {
			this.#ready.push(now);
		}
		if (later.length > 0) {
			this.#heldBack.push(later);
		}
		this.#to += wantedPart.length;
	}

	#verify(): void {
		const digests = Object.fromEntries([...this.#hashes].map(([name, hash]) => [name, hash.digest('hex')])) as Digests;
		const problem = wrongness(this.#wanted, digests, this.#supply.contentMd5);
		if (problem === undefined) {
			return;
		}
		for (const source of this.#supply.wrong(problem)) {
			this.#host.metrics.verificationFailures.inc({source});
			this.#host.events.emit('verification.failed', {
				...{source, problem, image: this.#wanted.about, sha1: this.#wanted.sha1},
				bytes: this.#wanted.size,
			});
		}
		this.#host.log.error({image: this.#wanted.uuid, problem}, 'a file passed through is wrong; the client is cut off');
		throw new IntegrityError(problem);
	}
}
