/**
 * What an import tells while it goes on, to be read as fast as the reader takes it.
 *
 * The work pushes and now and then waits in `room`, so that one who reads slowly slows it down and finds no more than a
 * bounded number of lines waiting. How far files have come is told in steps, not for every byte.
 */
import type {ImportEvent} from './api.js';

const mostWaiting = 1000;
const stepBytes = 8 * 1024 * 1024;

export class Lines {
	#lines: ImportEvent[] = [];
	#bytes = 0;
	#told = 0;
	#isOver = false;
	#wakeReader: (() => void) | undefined;
	#wakeWork: (() => void) | undefined;

	push(line: ImportEvent): void {
		this.#lines.push(line);
		this.#wakeReader?.();
	}

	/** So many bytes more have been dealt with. */
	progress(bytes: number): void {
		this.#bytes += bytes;
		if (this.#bytes - this.#told >= stepBytes) {
			this.#tell();
		}
	}

	/** Resolves once the reader has not too much left to read. */
	async room(): Promise<void> {
		while (this.#lines.length >= mostWaiting && !this.#isOver) {
			await new Promise<void>(resolve => {
				this.#wakeWork = resolve;
			});
		}
	}

	/** Nothing comes any more. */
	end(): void {
		if (this.#bytes > this.#told) {
			this.#tell();
		}
		this.#isOver = true;
		this.#wakeReader?.();
		this.#wakeWork?.();
	}

	/** Nobody reads any more: the work must not wait for it. */
	leave(): void {
		this.#isOver = true;
		this.#wakeWork?.();
	}

	async *all(): AsyncGenerator<ImportEvent, void, undefined> {
		for (;;) {
			const lines = this.#lines;
			this.#lines = [];
			this.#wakeWork?.();
			yield* lines;
			// The last look and the promise in one tick: a line pushed in between would wait for the next one.
			if (this.#hasNews()) {
				continue;
			}
			if (this.#isOver) {
				return;
			}
			await new Promise<void>(resolve => {
				this.#wakeReader = resolve;
			});
		}
	}

	#tell(): void {
		this.#told = this.#bytes;
		this.push({what: 'progress', bytesDone: this.#bytes});
	}

	/** Changed while the reader was elsewhere, which the compiler does not see. */
	#hasNews(): boolean {
		return this.#lines.length > 0;
	}
}
