/**
 * What is told of one transfer while it runs and when it ends: to the log, the metrics, and whoever listens.
 *
 * The download calls it at each turn of its life. How fast it is, is measured here, too.
 */
import {OverLimitError, describe, type MirrorError} from '../errors.js';
import type {EventAbout, Host} from '../host.js';
import {Meter} from './meter.js';
import type {Wanted} from './partial.js';

/** Listeners are told so often how far a transfer is. */
const progressMs = 1000;

/** As it is at the moment. */
export interface TransferState {
	readonly written: number;
	readonly followers: number;
	readonly background: boolean;
	readonly source: string | undefined;
}

export class TransferEvents {
	readonly meter: Meter;
	readonly #host: Host;
	readonly #wanted: Wanted;
	readonly #state: () => TransferState;
	#begunAtMs: number | undefined;
	#toldAtMs = 0;

	constructor({host, wanted, state}: {host: Host; wanted: Wanted; state: () => TransferState}) {
		this.#host = host;
		this.#wanted = wanted;
		this.#state = state;
		this.meter = new Meter(host.clock);
	}

	/** It is about to be fetched. */
	begun(resumedFrom: number): void {
		if (this.#begunAtMs === undefined) {
			this.#begunAtMs = this.#toldAtMs = this.#host.clock.now();
			const {background} = this.#state();
			this.#emit('transfer.begun', {bytes: this.#wanted.size, more: {resumedFrom, background}});
		}
	}

	/** So many more bytes came from a source. */
	moved(bytes: number): void {
		this.meter.add(bytes);
		const now = this.#host.clock.now();
		if (now < this.#toldAtMs || now - this.#toldAtMs >= progressMs) {
			this.#toldAtMs = now;
			const {written, background, followers} = this.#state();
			this.#emit('transfer.progress', {
				bytes: written,
				more: {...{background, followers}, size: this.#wanted.size, bytesPerSecond: this.meter.bytesPerSecond},
			});
		}
	}

	wrong(suppliers: readonly string[], blamed: readonly string[], problem: string): void {
		const {uuid, key} = this.#wanted;
		for (const source of blamed) {
			this.#host.metrics.verificationFailures.inc({source});
			this.#emit('verification.failed', {source, problem, bytes: this.#wanted.size});
		}
		this.#host.log.error(
			{image: uuid, file: key, suppliers, problem, followers: this.#state().followers},
			'a file is wrong: it is quarantined, its readers are cut off, and it is fetched again',
		);
	}

	/** The disk did not take it or did not let it be put in its place, or files may not take that much. */
	refused(error: unknown): void {
		const code = diskCode(error);
		const {uuid, key, size} = this.#wanted;
		const {followers, background} = this.#state();
		const isOver = error instanceof OverLimitError;
		const what = isOver ? 'what files may take has no room for' : 'the disk does not take';
		if (!isOver) {
			this.#host.metrics.diskErrors.inc({code: code ?? 'ENOSPC'});
		}
		this.#host.log[background || isOver ? 'warn' : 'error'](
			{image: uuid, file: key, problem: describe(error), followers},
			background
				? `${what} a file that was to be fetched ahead`
				: `${what} this file: its readers are served straight from upstream, nothing is kept`,
		);
		// Without one it is only that there is no room, which has events of its own.
		if (code !== undefined) {
			this.#emit('disk.error', {problem: describe(error), bytes: size, more: {code}});
		}
	}

	notPlaced(error: unknown): void {
		const {uuid, key, size} = this.#wanted;
		const code = diskCode(error);
		this.#host.metrics.diskErrors.inc({code: code ?? 'ENOSPC'});
		this.#host.log.error(
			{image: uuid, file: key, problem: describe(error)},
			'a file is right but could not be put in its place: the next request tries again',
		);
		this.#emit('disk.error', {problem: describe(error), bytes: size, more: {code}});
	}

	/** `suspended`: to be gone on with. */
	ended(outcome: 'done' | 'uncached' | 'suspended', why?: MirrorError | Error): void {
		this.#host.metrics.transfers.inc({outcome});
		const {written, background, source} = this.#state();
		if (outcome === 'suspended') {
			const {uuid, key} = this.#wanted;
			const problem = describe(why);
			this.#host.log.info({image: uuid, file: key, written, problem}, 'a transfer was suspended');
		}
		this.#emitEnd('transfer.ended', {
			bytes: written,
			more: {outcome, background, source, ms: this.#ms, fetched: this.meter.bytes},
		});
	}

	failed(error: unknown): void {
		this.#host.metrics.transfers.inc({outcome: 'failed'});
		const {written, background, source} = this.#state();
		const {uuid, key} = this.#wanted;
		const problem = describe(error);
		this.#host.log.error({image: uuid, file: key, written, problem}, 'a transfer failed');
		// Also where it never began to come: nobody had it, and somebody wanted it.
		this.#emit('transfer.failed', {bytes: written, problem, more: {background, source, ms: this.#ms}});
	}

	get #ms(): number {
		return Math.max(0, this.#host.clock.now() - (this.#begunAtMs ?? this.#host.clock.now()));
	}

	/** Of one that had begun. */
	#emitEnd(type: 'transfer.ended', about: EventAbout): void {
		if (this.#begunAtMs !== undefined) {
			this.#emit(type, about);
		}
	}

	#emit(type: Parameters<Host['events']['emit']>[0], about: EventAbout): void {
		const {about: image, sha1} = this.#wanted;
		this.#host.events.emit(type, {image, sha1, source: this.#state().source, ...about});
	}
}

/** The system's own word for what it refused; `undefined`: it was we who did. */
function diskCode(error: unknown): string | undefined {
	for (const failure of [error, error instanceof Error ? error.cause : undefined]) {
		if (failure instanceof Error && 'errno' in failure && 'code' in failure) {
			return String(failure.code);
		}
	}
	return undefined;
}
