/**
 * Who is at work on which upload: one request at a time, and the newest wins.
 *
 * A client that has lost its connection comes back before the server knows of the loss. So whoever comes asks the one
 * before to stop, and waits until it has: what had come by then is not lost.
 */

interface Holder {
	readonly stop: () => void;
	readonly done: Promise<void>;
}

export class UploadTurns {
	readonly #holders = new Map<string, Holder>();

	/** Resolves with what ends the turn. `stop`: called when somebody else wants it; may come too late to matter. */
	async take(id: string, stop: () => void): Promise<() => void> {
		for (;;) {
			const holder = this.#holders.get(id);
			if (holder === undefined) {
				break;
			}
			holder.stop();
			await holder.done;
		}
		// In the same tick as the look above.
		let end: () => void = () => undefined;
		const done = new Promise<void>(resolve => (end = resolve));
		this.#holders.set(id, {stop, done});
		return () => {
			this.#holders.delete(id);
			end();
		};
	}
}
