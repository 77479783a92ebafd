/**
 * One file of an image on its way into a bundle: what an earlier run left of it is read again, the rest is fetched, and
 * it counts only with the digest that it should have.
 *
 * The same for a file of its own and for a stretch of a tar.
 */
import {createHash, type Hash} from 'node:crypto';
import {IntegrityError} from '../errors.js';
import type {PlannedBlob} from './api.js';
import type {FetchFile} from './write-plan.js';

/** Where a blob goes. Positions are its own. */
export interface BlobPlace {
	/** Fills as much of `into` as is there. */
	read(into: Buffer, position: number): Promise<number>;
	write(bytes: Buffer, position: number): Promise<void>;
}

export interface BlobWork {
	readonly blob: PlannedBlob;
	/** So many bytes seem to be there. */
	readonly kept: number;
	readonly place: BlobPlace;
	readonly fetch: FetchFile;
	/** How many of its bytes have been dealt with; fewer than before where it begins anew. */
	readonly onMove: (bytes: number) => void;
	readonly signal: AbortSignal;
}

export const pieceBytes = 262_144;

/** Throws IntegrityError, and whatever the place and the server throw; what is there then can be gone on with. */
export async function putFile({blob, kept, place, fetch, onMove, signal}: BlobWork): Promise<void> {
	for (let from = Math.min(kept, blob.size); ; from = 0) {
		const hash = createHash('sha256');
		let at = await hashKept(place, from, {hash, onMove, signal});
		if (at < blob.size) {
			for await (const chunk of await fetch(blob, at, signal)) {
				signal.throwIfAborted();
				if (at + chunk.length > blob.size) {
					throw wrong(blob, 'has more bytes than it should');
				}
				hash.update(chunk);
				await place.write(chunk, at);
				at += chunk.length;
				onMove(at);
			}
		}
		if (at < blob.size) {
			throw wrong(blob, `ends after ${at} of ${blob.size} bytes`);
		}
		if (isRight(hash, blob)) {
			return;
		}
		if (from === 0) {
			throw wrong(blob, 'is not the one that was planned: its digest is another');
		}
		// What was left of it has been damaged since: it begins anew.
	}
}

/** Whether all of it is there, byte for byte. */
export async function isThere({
	blob,
	place,
	onMove,
	signal,
}: Pick<BlobWork, 'blob' | 'place' | 'onMove' | 'signal'>): Promise<boolean> {
	const hash = createHash('sha256');
	return (await hashKept(place, blob.size, {hash, onMove, signal})) === blob.size && isRight(hash, blob);
}

/** Resolves with how many bytes there really are, up to `end`. */
async function hashKept(
	place: Pick<BlobPlace, 'read'>,
	end: number,
	{hash, onMove, signal}: {readonly hash: Hash} & Pick<BlobWork, 'onMove' | 'signal'>,
): Promise<number> {
	const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, end));
	let at = 0;
	while (at < end) {
		signal.throwIfAborted();
		const count = await place.read(buffer.subarray(0, Math.min(buffer.length, end - at)), at);
		if (count === 0) {
			break;
		}
		hash.update(buffer.subarray(0, count));
		at += count;
		onMove(at);
	}
	return at;
}

function isRight(hash: Hash, {digest}: PlannedBlob): boolean {
	return `sha256:${hash.digest('hex')}` === digest;
}

export function wrong({file, digest}: PlannedBlob, what: string): IntegrityError {
	const name = file === undefined ? digest : `the file of image ${file.uuid}`;
	return new IntegrityError(`${name}, as the server gives it, ${what}`);
}
