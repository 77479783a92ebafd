/**
 * Short answers that are ready in the same round of the event loop go out together, at its end.
 *
 * Each write may have to wake who waits for it, which costs more than the answer; who is awake for the first one finds
 * the others.
 */
import type {Socket} from 'node:net';

export class Together {
	#ready: Socket[] = [];

	/** What is written to it from now on goes out with what others write in this round. */
	join(socket: Socket): void {
		socket.cork();
		if (this.#ready.push(socket) === 1) {
			setImmediate(() => {
				this.#release();
			});
		}
	}

	#release(): void {
		const sockets = this.#ready;
		this.#ready = [];
		for (const socket of sockets) {
			socket.uncork();
		}
	}
}
