/**
 * The thread that decompresses zstd block by block. Talks to `zstd-thread.ts` only.
 */
import {parentPort} from 'node:worker_threads';
import {Decompress} from 'fzstd';
import type {FromThread, ToThread} from './zstd-thread.js';

const port = parentPort;
let frame = new Decompress();

function answer(message: FromThread, transferred: readonly ArrayBufferLike[] = []): void {
	port?.postMessage(
		message,
		transferred.filter(buffer => buffer instanceof ArrayBuffer),
	);
}

function push({what, bytes}: ToThread): readonly Uint8Array[] {
	const pieces: Uint8Array[] = [];
	const onData = (piece: Uint8Array): void => {
		if (piece.length > 0) {
			pieces.push(piece);
		}
	};
	if (what === 'begin') {
		frame = new Decompress(onData);
		frame.push(withoutChecksum(bytes));
		return pieces;
	}
	frame.ondata = onData;
	// A block that comes in one piece leaves nothing over, and then the package never lets go of what it was given.
	frame.push(bytes.subarray(0, -1));
	frame.push(bytes.subarray(-1), what === 'last-block');
	return pieces;
}

/** The flag that says that four bytes follow the last block. */
function withoutChecksum(header: Uint8Array): Uint8Array {
	const changed = Uint8Array.from(header);
	changed[4] = (changed[4] ?? 0) & ~0x04;
	return changed;
}

port?.on('message', (message: ToThread) => {
	try {
		const pieces = push(message);
		answer(
			{pieces},
			pieces.map(piece => piece.buffer),
		);
	} catch (error) {
		answer({problem: error instanceof Error ? error.message : String(error)});
	}
});
