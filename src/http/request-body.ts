/**
 * Request bodies that nobody wants.
 *
 * An answer may be given before the body has come; what is left of it has to be read all the same, within bounds, or
 * the client never gets to see why it was refused.
 */
import type {IncomingMessage} from 'node:http';
import type {Clock} from '../host.js';

/** So much more costs less to read than a new connection does. */
const smallBody = 64 * 1024;
/** Past this, the client is left to find out by itself that nobody reads. */
const maxDrainedBytes = 32 * 1024 * 1024;
const maxDrainMs = 10_000;

/** `false` also where so little is left that Node reads it by itself and the connection stays good. */
export function isUnread(request: IncomingMessage): boolean {
	if (request.complete) {
		return false;
	}
	const {expect, 'content-length': length, 'transfer-encoding': encoding} = request.headers;
	if (encoding !== undefined) {
		return true;
	}
	const bytes = Number(length ?? 0);
	// Somebody who waits for "100 Continue" may send its body or not: only closing tells a next request from it.
	return bytes > smallBody || (bytes > 0 && expect !== undefined);
}

/** Reads and drops the rest of a body; calls `done` at its end, or once that has taken long enough. */
export function drain(request: IncomingMessage, clock: Clock, done: () => void): void {
	let bytes = 0;
	const timer = clock.after(maxDrainMs, finish);
	request.on('data', (chunk: Buffer) => {
		bytes += chunk.length;
		if (bytes > maxDrainedBytes) {
			request.pause();
		}
	});
	request.once('end', finish);
	request.once('close', finish);

	function finish(): void {
		timer.cancel();
		request.off('end', finish);
		request.off('close', finish);
		done();
	}
}
