/**
 * One run of the scrub in numbers, told to whoever listens while it goes.
 *
 * The scrub counts here what it reads; who asks for the state of things is answered from here.
 */
import type {Host} from '../host.js';
import type {BlobInfo} from './blob-info.js';

export interface ScrubNumbers {
	readonly files: number;
	readonly filesDone: number;
	readonly bytes: number;
	readonly bytesDone: number;
	readonly wrong: number;
	/** ISO 8601. */
	readonly beganAt?: string;
	readonly endedAt?: string;
}

const progressMs = 1000;

export class ScrubRun {
	readonly files: number;
	readonly bytes: number;
	readonly #host: Host;
	readonly #asked: boolean;
	readonly #beganAtMs: number;
	#toldAtMs: number;
	#endedAtMs: number | undefined;
	#filesDone = 0;
	/** Of files that are done with, and of the one that is being read. */
	#doneBytes = 0;
	#readBytes = 0;
	#right = 0;
	#wrong = 0;
	#unreadable = 0;

	constructor({host, files, asked}: {host: Host; files: readonly BlobInfo[]; asked: boolean}) {
		this.#host = host;
		this.#asked = asked;
		this.files = files.length;
		this.bytes = files.reduce((sum, {size}) => sum + size, 0);
		this.#beganAtMs = this.#toldAtMs = host.clock.now();
		host.events.emit('scrub.begun', {bytes: this.bytes, more: {files: this.files, asked}});
	}

	get bytesDone(): number {
		return this.#doneBytes + this.#readBytes;
	}

	get outcomes(): {readonly right: number; readonly wrong: number; readonly unreadable: number} {
		return {right: this.#right, wrong: this.#wrong, unreadable: this.#unreadable};
	}

	/** Of the file that is being read. One that is read a second time is no further for it. */
	read(bytes: number): void {
		this.#readBytes = Math.max(this.#readBytes, bytes);
		const now = this.#host.clock.now();
		if (now < this.#toldAtMs || now - this.#toldAtMs >= progressMs) {
			this.#toldAtMs = now;
			const more = {files: this.files, filesDone: this.#filesDone, size: this.bytes, asked: this.#asked};
			this.#host.events.emit('scrub.progress', {bytes: this.bytesDone, more});
		}
	}

	fileDone({size}: BlobInfo, outcome: 'right' | 'refetching' | 'lost' | 'unreadable' | 'gone'): void {
		this.#filesDone++;
		this.#doneBytes += size;
		this.#readBytes = 0;
		if (outcome === 'right') {
			this.#right++;
		} else if (outcome === 'unreadable') {
			this.#unreadable++;
		} else if (outcome !== 'gone') {
			this.#wrong++;
		}
	}

	end(): void {
		this.#endedAtMs = this.#host.clock.now();
		const {bytesDone: bytes, outcomes} = this;
		const ms = Math.max(0, this.#endedAtMs - this.#beganAtMs);
		const more = {files: this.files, filesDone: this.#filesDone, ...outcomes, ms, asked: this.#asked};
		this.#host.events.emit('scrub.ended', {bytes, more});
		const line = {files: this.#filesDone, bytes, ...outcomes, ms};
		this.#host.log.info(line, 'stored files have been read again');
	}

	numbers(): ScrubNumbers {
		const {files, bytes, bytesDone} = this;
		return {
			...{files, bytes, bytesDone, filesDone: this.#filesDone, wrong: this.#wrong + this.#unreadable},
			beganAt: new Date(this.#beganAtMs).toISOString(),
			...(this.#endedAtMs === undefined ? {} : {endedAt: new Date(this.#endedAtMs).toISOString()}),
		};
	}
}
