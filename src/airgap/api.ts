/**
 * Carrying images by hand, as HTTP and the command line ask for it.
 *
 * What goes over the wire is plain data and goes as it is: sizes are bytes, digests hexadecimal unless they begin with
 * their algorithm, what is not known is left out.
 */
import type {Actor} from '../publish/api.js';
import type {Selection} from '../prefetch/api.js';
import type {Ask} from '../sources/source.js';

/** Which images: one of the three, or several together. Origins come by themselves. */
export interface ExportRequest {
	readonly selection?: Selection;
	/** Those in that channel: ours, and those of sources that are asked for it. */
	readonly channel?: string;
	/** Everything whose files are here. */
	readonly all?: boolean;
	/** False: without the images that others are built upon. */
	readonly origins: boolean;
	/** What the far side has, as `have` told it there. */
	readonly have?: string;
	/** Fetch nothing, make no index: only tell what it would be. */
	readonly dryRun?: boolean;
}

/** One file below `blobs/sha256/`. Exactly one of `text`, `base64` and `file` says where its bytes are. */
export interface PlannedBlob {
	/** `sha256:…`. */
	readonly digest: string;
	readonly size: number;
	/** The bytes themselves: JSON. */
	readonly text?: string;
	/** The bytes themselves: an icon. */
	readonly base64?: string;
	/** To be had with `GET /images/<uuid>/file?index=<index>`. */
	readonly file?: {readonly uuid: string; readonly index: number; readonly sha1: string};
}

/**
 * One line of a plan, in this order: `begin`; `fetching` and `progress` for what is not here; `image` for each image
 * that goes (origins first) and `left-out` for each that does not; `index`; `end`. A `warning` may come at any time.
 */
export type PlanEvent =
	| {
			readonly what: 'begin';
			readonly images: number;
			/** Of all files, and of those that have to be fetched first. */
			readonly bytes: number;
			readonly bytesToFetch: number;
	  }
	| {
			readonly what: 'fetching';
			readonly uuid: string;
			readonly name: string;
			readonly version: string;
			readonly bytes: number;
	  }
	/** Of what has to be fetched, so far. */
	| {readonly what: 'progress'; readonly bytesDone: number}
	| {readonly what: 'warning'; readonly message: string}
	| {
			readonly what: 'image';
			readonly uuid: string;
			readonly name: string;
			readonly version: string;
			/** Of its files, whether they go along or not. */
			readonly bytes: number;
			/** Not chosen itself: an origin of this one. */
			readonly originOf?: string;
			/** The far side has its files, and only what is said of it is new. */
			readonly filesLeftOut: boolean;
			/** What the bundle has of it that no image before it brought. Empty for a dry run. */
			readonly blobs: readonly PlannedBlob[];
	  }
	| {
			readonly what: 'left-out';
			readonly uuid: string;
			readonly name?: string;
			readonly version?: string;
			/** `there`: the far side has it as it is. */
			readonly why: 'there' | 'failed';
			readonly problem?: string;
	  }
	| {
			readonly what: 'index';
			/** index.json, byte for byte. */
			readonly text: string;
			/** index.json.sig, byte for byte. */
			readonly signature?: string;
			/** The fingerprint of the key. */
			readonly signedBy?: string;
	  }
	| {
			readonly what: 'end';
			readonly images: number;
			readonly there: number;
			readonly failed: number;
			/** Of all blobs. */
			readonly bytes: number;
	  };

/** A tar whose every byte is known before the first is sent. */
export interface TarFile {
	readonly size: number;
	/** Without quotes; the same for the same bytes only. */
	readonly etag: string;
	readonly fileName: string;
	/** From `start` up to `end`. Throws where a file has gone or changed meanwhile: the caller then cuts the connection. */
	read(start: number, end: number, signal: AbortSignal): AsyncIterable<Buffer>;
	/** Must be called, whatever happened. */
	close(): void;
}

export interface ImportOptions {
	/** Also what nobody has signed, or somebody whose key is not trusted. */
	readonly allowUnsigned: boolean;
	/** A key to be trusted this once: a line as `imgmirror key show` prints it. */
	readonly key?: string;
	/** Reads and checks everything, and keeps nothing. */
	readonly dryRun: boolean;
}

/** `imported`: it is new here; `updated`: its files were here, and what is said of it is new; `there`: nothing was new. */
export type ImportOutcome = 'imported' | 'updated' | 'there' | 'failed';

/** One line of an import: `begin`, then per image `image` and `done` (others may come in between), then `end`. */
export type ImportEvent =
	| {
			readonly what: 'begin';
			readonly images: number;
			/** As far as it is known beforehand: of everything the index speaks of. */
			readonly bytes?: number;
			/** Left out: nobody has signed it. */
			readonly signedBy?: {readonly fingerprint: string; readonly comment?: string; readonly trusted: boolean};
	  }
	| {
			readonly what: 'image';
			readonly uuid: string;
			readonly name: string;
			readonly version: string;
			readonly bytes: number;
	  }
	/** Bytes of files that have been dealt with, those that were here already included. */
	| {readonly what: 'progress'; readonly bytesDone: number}
	| {readonly what: 'warning'; readonly message: string}
	| {
			readonly what: 'done';
			/** What the index calls it, where not even its uuid can be read. */
			readonly uuid: string;
			readonly name: string;
			readonly version: string;
			readonly bytes: number;
			readonly outcome: ImportOutcome;
			readonly problem?: string;
	  }
	| {
			readonly what: 'end';
			readonly imported: number;
			readonly updated: number;
			readonly there: number;
			readonly failed: number;
			/** Of files that are new here. */
			readonly bytes: number;
			readonly ms: number;
	  };

export interface PublicKey {
	/** `ssh-ed25519 AAAA… comment`. */
	readonly line: string;
	/** `SHA256:…`, as ssh-keygen shows it. */
	readonly fingerprint: string;
	readonly comment: string;
}

export interface TrustedKey extends PublicKey {
	/** `own`: bundles of our own come back; `config`: it stands in the configuration. */
	readonly from: 'own' | 'file' | 'config';
}

export interface KeysApi {
	/** What our bundles are signed with. Throws MirrorError where that is there and cannot be used. */
	own(): Promise<PublicKey | undefined>;
	/** Throws RefusedError KeyAlreadyExists unless it may be replaced. */
	create(options: {readonly comment: string; readonly replace: boolean}): Promise<PublicKey>;
	trusted(): Promise<readonly TrustedKey[]>;
	/** Throws InvalidParameterError for what is no ed25519 public key. False: it was trusted already. */
	trust(line: string): Promise<{readonly key: TrustedKey; readonly added: boolean}>;
	/** By fingerprint or comment. Throws NotFoundError, and RefusedError where it stands in the configuration. */
	untrust(which: string): Promise<PublicKey>;
}

export interface AirgapApi {
	readonly keys: KeysApi;
	plan(request: ExportRequest, ask: Ask): AsyncGenerator<PlanEvent, void, undefined>;
	/** Resolves once everything that goes into it is here. Throws where an image cannot go. */
	export(request: ExportRequest, ask: Ask): Promise<TarFile>;
	/** A tar: plain, or compressed with gzip or zstd. */
	import(
		body: AsyncIterable<Buffer>,
		options: ImportOptions,
		by: Actor,
		ask: Ask,
	): AsyncGenerator<ImportEvent, void, undefined>;
	/** Every image that is here whole, a line each, for `export --have` of the near side. */
	have(): Promise<string>;
	/** One image as dsapid exports it: two manifests and the files. Throws NotFoundError. */
	exportForDsapid(uuid: string, ask: Ask): Promise<TarFile>;
}
