/**
 * Why files stay: what the store must be told of images before it lets any file go.
 *
 * The store knows files, sizes and who is reading; which image has which file, what somebody pinned and what a rule
 * wants is known above. `Keeper` asks for the facts whenever it has to decide, so they are never out of date.
 */
import type {Sha1, Uuid} from '../image/manifest.js';

/** An image some file of which may be here. */
export interface KeptImage {
	readonly uuid: Uuid;
	readonly name: string;
	readonly version: string;
	readonly origin: Uuid | undefined;
	readonly files: readonly Sha1[];
	/** Made here: its files are all there is of it. */
	readonly published: boolean;
	/** By an operator, itself. That its origins stay follows from it. */
	readonly pinned: boolean;
	/** Rules that want it, by name. */
	readonly wantedBy: readonly string[];
	/** No source offers it any more: once gone it cannot be had again. Goes last, but goes. */
	readonly onlyHere: boolean;
}

export interface KeepFacts {
	readonly images: readonly KeptImage[];
}

/** What keeps a file from going. */
export type Protection =
	| {readonly kind: 'published'; readonly image: Uuid}
	| {readonly kind: 'pinned'; readonly image: Uuid}
	/** The file of an origin, however far up, of an image that is pinned, published or wanted. */
	| {readonly kind: 'origin'; readonly of: Uuid}
	| {readonly kind: 'wanted'; readonly rule: string}
	/** Somebody has it open, or what is being imported needs it. */
	| {readonly kind: 'in-use'};

/** One file and what is to become of it. Files in the order in which they would go; protected ones behind. */
export interface Verdict {
	readonly sha1: Sha1;
	readonly size: number;
	/** Its own, or that of an image built upon it, if later. */
	readonly lastUsedMs: number;
	readonly storedAtMs: number;
	readonly images: readonly KeptImage[];
	/** Empty: it may go. */
	readonly protections: readonly Protection[];
}
