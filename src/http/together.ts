/**
 * Short answers that are ready in the same round of the event loop go out together, at its end.
 *
 * Each write may have to wake who waits for it, which costs more than the answer; who is awake for the first one finds
 * the others.
 */
import type {Socket} from 'node:net';

let ready: Socket[] = [];

/** What is written to it from now on goes out with what others write in this round. */
export function writeTogether(socket: Socket): void {
	socket.cork();
	if (ready.push(socket) === 1) {
		setImmediate(release);
	}
}

function release(): void {
	const sockets = ready;
	ready = [];
	for (const socket of sockets) {
		socket.uncork();
	}
}
