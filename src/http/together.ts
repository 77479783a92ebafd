/**
 * Short answers that are ready in the same round of the event loop go out together, at its end.
 *
 * Each write may have to wake who waits for it, which costs more than the answer; who is awake for the first one finds
 * the others.
 */
import type {Socket} from 'node:net';

/** Something that goes out at the end of the round. */
export interface Ready {
	/** Throws nothing. */
	send(): void;
}

export class Together {
	#ready: Ready[] = [];

	/** What is written to it from now on goes out with what others write in this round. */
	join(socket: Socket): void {
		socket.cork();
		this.atEnd(new Corked(socket));
	}

	/** Goes out with the others. */
	atEnd(answer: Ready): void {
		if (this.#ready.push(answer) === 1) {
			setImmediate(() => {
				this.#release();
			});
		}
	}

	#release(): void {
		// Whatever becomes ready meanwhile goes out with them: its connection may be at its end in the next round.
		for (const answer of this.#ready) {
			answer.send();
		}
		this.#ready = [];
	}
}

class Corked implements Ready {
	readonly #socket: Socket;

	constructor(socket: Socket) {
		this.#socket = socket;
	}

	send(): void {
		this.#socket.uncork();
	}
}
