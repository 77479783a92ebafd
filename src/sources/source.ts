/**
 * Somewhere images come from.
 *
 * The catalog lists and finds, transfers open files; what stands behind (an IMGAPI or DSAPI server, or several addresses
 * of one) is no concern of theirs.
 */
import type {Readable} from 'node:stream';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {Yielding} from './slots.js';

export type SourceKind = 'imgapi' | 'dsapi';

/** On whose behalf a source is asked. */
export interface Ask {
	readonly signal: AbortSignal;
	/** Goes through to upstream and into the log. */
	readonly requestId?: string;
	/** Mirrors that the request has come through already, so that a circle of mirrors ends. */
	readonly via?: string;
}

export interface Source {
	/** As configured. Appears in logs, metrics and on the page. */
	readonly name: string;
	/** `undefined` until a source whose type was not configured has been asked. */
	readonly kind: SourceKind | undefined;
	/**
	 * Every image the source offers, once each. Throws if the list could not be read to its end. Entries that cannot
	 * be used are left out and counted in `skipped` of the iteration's return value.
	 */
	list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined>;
	/** `undefined`: the source answered and does not have it. Any doubt throws. */
	find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined>;
	/**
	 * Opens one file at `offset`, or earlier if the source ignores ranges: see `FileBody.offset`. Throws NotFoundError
	 * where the source answered that it has no such file. The stream must be read to its end or destroyed.
	 */
	openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody>;
	/** `undefined`: the source answered and does not have it. At most 128 KiB. */
	readIcon(image: Manifest, ask: Ask): Promise<Icon | undefined>;
	/** Lets go of connections once nothing uses them. */
	close(): Promise<void>;
}

export interface ListEnd {
	/** Entries that could not be used. */
	readonly skipped: number;
	/** Why, in words, the first few of them. */
	readonly reasons: readonly string[];
}

export interface FileAt {
	/** 0 or more: how much we have already. */
	readonly offset: number;
	/** The strong ETag under which the earlier part was had from this source, if it gave one. Goes out as If-Range. */
	readonly etag?: string;
	/** Nobody waits for it: those for whom somebody does go first. */
	readonly yielding?: Yielding;
}

export interface FileBody {
	readonly stream: Readable;
	/** Where in the file `stream` begins: what was asked for, or 0 where the source ignored the range. */
	readonly offset: number;
	/** What the source says the whole file's size is. `undefined`: it did not say. */
	readonly size: number | undefined;
	readonly etag: string | undefined;
	/** Content-MD5 (base64), of the whole file. */
	readonly contentMd5: string | undefined;
	/** Which of the source's addresses answered: ETags of different servers cannot be compared. */
	readonly address?: string;
	/** Takes back chunks of `stream` that nobody looks at any more, so that their memory is used again. */
	readonly giveBack?: (chunk: Buffer) => void;
}

export interface Icon {
	readonly bytes: Buffer;
	readonly contentType: string;
}

/** A source that knows how it is. */
export interface HealthySource extends Source {
	health(): SourceHealth;
	/** Notes that a file from there was not what its digest says: `problem` in words, `uuid` the image. */
	mark(problem: string, uuid?: Uuid): void;
}

/** Times are in milliseconds since the epoch, by the host's clock. */
export interface SourceHealth {
	/** `up`: the last contact went well. `unknown`: there was none yet. */
	readonly state: 'unknown' | 'up' | 'down';
	/** When that state began. */
	readonly sinceMs: number;
	readonly lastSuccessMs: number | undefined;
	readonly lastFailureMs: number | undefined;
	readonly lastError: string | undefined;
	readonly consecutiveFailures: number;
	/** How long answers take to begin, smoothed. */
	readonly latencyMs: number | undefined;
	readonly requests: number;
	readonly failures: number;
	/** When to ask a source again that is down; nothing here keeps anybody from asking earlier. */
	readonly retryAtMs: number | undefined;
	/** Files from there that failed verification. */
	readonly marks: number;
	readonly lastMark: string | undefined;
}

/** Servers that a client names, for the imports and uploads that fetch by themselves. */
export interface RemoteServers {
	/**
	 * Another image server: `http(s)://…[?channel=X]`, or the name of a configured source. Throws
	 * InvalidParameterError for anything else, and SourceUnavailableError for an address where no client may send us.
	 * To be closed afterwards; that does a configured one no harm.
	 */
	open(source: string): Source;
	/**
	 * One https URL, without redirects. Throws InvalidParameterError for what is none, SourceUnavailableError for all
	 * but a file that begins to come.
	 */
	fetch(url: string, ask: Ask): Promise<FileBody>;
}
