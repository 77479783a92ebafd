/**
 * Where one who works may be kept waiting by another: shut and opened as often as need be.
 */
export class Gate {
	readonly #waiting = new Set<() => void>();
	#shut = false;

	get isShut(): boolean {
		return this.#shut;
	}

	shut(): void {
		this.#shut = true;
	}

	open(): void {
		this.#shut = false;
		for (const goOn of [...this.#waiting]) {
			goOn();
		}
	}

	/** Resolves while it is open. Rejects with the signal's reason. */
	async pass(signal: AbortSignal): Promise<void> {
		signal.throwIfAborted();
		while (this.#shut) {
			await new Promise<void>((resolve, reject) => {
				const done = (): void => {
					this.#waiting.delete(goOn);
					signal.removeEventListener('abort', onAbort);
				};
				const goOn = (): void => {
					done();
					resolve();
				};
				const onAbort = (): void => {
					done();
					reject(signal.reason as Error);
				};
				this.#waiting.add(goOn);
				signal.addEventListener('abort', onAbort, {once: true});
			});
		}
	}
}
