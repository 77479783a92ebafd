/**
 * One place a file's bytes can be had from, as a supply sees it. The mirror makes them of the sources that list a file.
 */
import type {Readable} from 'node:stream';

export interface Supplier {
	readonly name: string;
	/** Tells apart what one source offers under several images. */
	readonly offer?: string;
	/** Known to be in trouble: asked after the others. */
	readonly doubtful: boolean;
	/** `undefined`: it was there when it was last asked for something. */
	readonly downSinceMs?: number | undefined;
	open(at: SupplyAt, signal: AbortSignal): Promise<SupplierBody>;
	/** What it sent was wrong. */
	mark(problem: string): void;
}

export interface SupplyAt {
	readonly offset: number;
	/** The strong ETag under which the earlier part was had there. */
	readonly etag?: string;
	/** Left out: a client waits for the bytes, to their end. */
	readonly yielding?: Yielding;
}

/** Whoever fetches a file: at its source, too, clients go first. */
export interface Yielding {
	/** Whether no client waits for it, at the moment. */
	readonly background: boolean;
	/** A client waits: the source is to be let go of soon. */
	giveWay(): void;
	/** Told when the source has to be waited for, and when that has ended. */
	waits?(waits: boolean): void;
	/** Set by whoever is asked: to be called when no client waits for the file any more. */
	left?: () => void;
}

export interface SupplierBody {
	readonly stream: Readable;
	/** Where in the file `stream` begins; may be less than was asked for. */
	readonly offset: number;
	readonly size: number | undefined;
	readonly etag: string | undefined;
	readonly contentMd5: string | undefined;
	/** Which of its addresses answers: ETags of different servers cannot be compared. */
	readonly address?: string | undefined;
	/** Takes back chunks of `stream` that nobody looks at any more, so that their memory is used again. */
	readonly giveBack?: ((chunk: Buffer) => void) | undefined;
}
