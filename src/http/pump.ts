/**
 * A file's bytes on their way to one client, as fast as it takes them and others leave it turns.
 *
 * What lies in memory already is sent by the system, where there is a way to (`native-send.ts`); all else is read into
 * buffers (`shared-reads.ts`) and written by Node: the beginning with the headers, what has to come from the disk or has yet to arrive, and
 * one small piece whenever the connection is full, for Node tells when that has gone.
 */
import {readSync} from 'node:fs';
import {MirrorError} from '../errors.js';
import type {FileReader, Stretch} from '../mirror.js';
import type {Exchange} from './exchange.js';
import type {Turns} from './turns.js';
import {SendFailed, type NativeSend} from './native-send.js';
import {ClientGone} from './request-body.js';
import type {Piece, SharedReads} from './shared-reads.js';

export interface PumpOptions {
	readonly exchange: Pick<Exchange, 'write' | 'descriptor' | 'passed'>;
	readonly reader: FileReader;
	readonly length: number;
	readonly reads: SharedReads;
	readonly turns: Turns;
	readonly native: NativeSend | undefined;
	/** Called once, before the first byte goes: until then a failure can still be told. */
	readonly begin: () => void;
	readonly sent: (bytes: number) => void;
}

/** Of a file system that does not tell what is in memory: the disk may keep everybody waiting for so much. */
const blindBytes = 256 * 1024;
/** So often it is looked at what is in memory: less and less often, as long as all of it is. */
const probeBytes = 2 ** 20;
const mostProbeBytes = 4 * 2 ** 20;
/** The written piece of which Node tells when it has gone. */
const pieceBytes = 16 * 1024;
/** What has to come from the disk, before it is looked again whether the rest has. */
const coldBytes = 8 * 2 ** 20;

export class Pump {
	readonly #options: PumpOptions;
	#left: number;
	#native: NativeSend | undefined;
	#begun = false;
	#piece: Buffer | undefined;
	/** Up to there it lies in memory. */
	#cachedUpTo = 0;
	#probeBytes = probeBytes;
	/** The connection took nothing more. */
	#isFull = false;

	constructor(options: PumpOptions) {
		this.#options = options;
		this.#left = options.length;
		this.#native = options.native;
	}

	/** Resolves when the connection has taken all; throws once it never will. */
	async run(): Promise<void> {
		const {reads, reader, turns} = this.#options;
		const leave = reads.enter(reader);
		turns.enter();
		try {
			while (this.#left > 0 && this.#native !== undefined) {
				await this.#sendSome(this.#native);
			}
			if (this.#left > 0) {
				await this.#copy(this.#left);
			}
		} finally {
			leave();
			turns.leave();
		}
		this.#beginOnce();
	}

	/** What has come, as far as it lies in memory, until the connection is full. */
	async #sendSome(native: NativeSend): Promise<void> {
		const {reader} = this.#options;
		let stretch = reader.stretch();
		if (stretch === undefined) {
			await reader.ready();
			stretch = reader.stretch();
		}
		if (stretch === undefined) {
			// Whatever is the matter: reading says it, or knows another way.
			this.#native = undefined;
			return;
		}
		if (this.#cachedPart(native, stretch, 1) === 0) {
			await this.#copy(Math.min(stretch.length, this.#left, coldBytes));
			return;
		}
		if (!this.#begun || this.#isFull) {
			await this.#sendPiece(stretch);
		}
		await this.#options.turns.take(most => this.#sendNatively(native, most));
	}

	/** Up to `limit`, until the connection is full, or nothing more lies in memory. Returns how much was sent. */
	#sendNatively(native: NativeSend, limit: number): number {
		const {exchange, reader, sent} = this.#options;
		let total = 0;
		while (this.#left > 0 && total < limit && this.#native !== undefined) {
			const stretch = reader.stretch();
			const most = stretch === undefined ? 0 : this.#cachedPart(native, stretch, limit - total);
			if (stretch === undefined || most === 0) {
				break;
			}
			const socket = exchange.descriptor;
			if (socket === undefined) {
				// Writing says why.
				this.#native = undefined;
				break;
			}
			const bytes = this.#send(native, socket, {...stretch, length: Math.min(most, this.#left)});
			if (bytes === 0) {
				this.#isFull = true;
				break;
			}
			reader.skip(bytes);
			exchange.passed(bytes);
			this.#left -= bytes;
			total += bytes;
			sent(bytes);
		}
		return total;
	}

	/** 0: it is full, or cannot be sent so. */
	#send(native: NativeSend, socket: number, stretch: Stretch): number {
		try {
			return native.send(socket, stretch);
		} catch (error) {
			if (!(error instanceof SendFailed)) {
				throw error;
			}
			if (error.gone) {
				throw new ClientGone();
			}
			// Whatever this file is, Node can read it, or say what is wrong with it.
			this.#native = undefined;
			return 0;
		}
	}

	/** How much of it can be sent in one go; 0: it has to come from the disk. */
	#cachedPart(native: NativeSend, {fd, position, length}: Stretch, limit: number): number {
		const end = position + Math.min(length, limit);
		while (this.#cachedUpTo < end) {
			const from = Math.max(position, this.#cachedUpTo);
			const to = Math.min(position + length, from + this.#probeBytes);
			const isCached = native.isCached(fd, to - 1);
			if (isCached === undefined) {
				return Math.min(end - position, blindBytes);
			}
			if (!isCached) {
				this.#probeBytes = probeBytes;
				break;
			}
			this.#probeBytes = Math.min(2 * this.#probeBytes, mostProbeBytes);
			this.#cachedUpTo = to;
		}
		return Math.max(0, Math.min(end, this.#cachedUpTo) - position);
	}

	/** Written, a small piece of what lies in memory: resolves when it has gone. */
	async #sendPiece({fd, position, length}: Stretch): Promise<void> {
		const {reader, exchange, sent} = this.#options;
		this.#piece ??= Buffer.allocUnsafeSlow(pieceBytes);
		const bytes = readSync(fd, this.#piece, 0, Math.min(length, this.#left, pieceBytes), position);
		if (bytes === 0) {
			throw new MirrorError(`the file ended ${this.#left} bytes early`);
		}
		this.#beginOnce();
		reader.skip(bytes);
		this.#left -= bytes;
		await exchange.write(this.#piece.subarray(0, bytes));
		this.#isFull = false;
		sent(bytes);
	}

	#beginOnce(): void {
		if (!this.#begun) {
			this.#begun = true;
			this.#options.begin();
		}
	}

	/** At least so much. While one piece is on its way to the client the next is being read: where there is room for two. */
	async #copy(length: number): Promise<void> {
		const {reader, reads, turns} = this.#options;
		const until = this.#left - length;
		let sending: Promise<void> | undefined;
		while (this.#left > until) {
			if (!reads.double) {
				await sending;
			}
			const piece = await reads.next(reader);
			try {
				if (piece.bytes.length === 0) {
					throw new MirrorError(`the file ended ${this.#left} bytes early`);
				}
				await sending;
				await turns.take(() => {
					this.#beginOnce();
					this.#left -= piece.bytes.length;
					sending = this.#pass(piece);
					// It is awaited above or below; were the read in between to fail, nobody would look at it any more.
					sending.catch(() => undefined);
					return piece.bytes.length;
				});
			} catch (error) {
				piece.release(false);
				throw error;
			}
		}
		await sending;
	}

	async #pass({bytes, release}: Piece): Promise<void> {
		const {exchange, sent} = this.#options;
		let taken = false;
		try {
			await exchange.write(bytes);
			taken = true;
			sent(bytes.length);
		} finally {
			// A connection that broke may still be sending from it.
			release(taken);
		}
	}
}
