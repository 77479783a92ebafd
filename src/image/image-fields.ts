/**
 * An image of our own as we keep it: IMGAPI's fields by name, checked and normalized.
 *
 * `rules.ts` makes one of what a client sends, `rules-update.ts` changes one, `serialize.ts` writes the manifest that
 * clients get. It is plain JSON data, so that a record file can hold it as it is.
 */
import type {Compression, JsonObject, Sha1, Uuid} from './manifest.js';

/** Which images a server takes: those with `public:true`, those with `public:false`, or both. */
export type ServerMode = 'any' | 'public' | 'private';

/** The owner of images that have none. */
export const nobody = '00000000-0000-0000-0000-000000000000' as Uuid;

export interface StoredFile {
	readonly sha1: Sha1;
	readonly size: number;
	readonly compression: Compression;
	readonly dataset_guid?: string | undefined;
	/** Of docker images; kept, never served. */
	readonly digest?: string | undefined;
	/** As `digest`. */
	readonly uncompressedDigest?: string | undefined;
	/** Kept, never served. */
	readonly sha256?: string | undefined;
	/** Base64. Kept, never served. */
	readonly contentMD5?: string | undefined;
	/** ISO date. Kept, never served. */
	readonly mtime?: string | undefined;
	/** What another server said of it and we do not know: served after the rest. */
	readonly extra?: JsonObject | undefined;
}

/** What `serialize.ts` leaves out is never served. An optional field that is `undefined` is absent. */
export interface ImageFields {
	readonly v: number;
	readonly uuid: Uuid;
	readonly owner: Uuid;
	readonly name: string;
	readonly version: string;
	/** Never served: `state` tells it. */
	readonly activated: boolean;
	readonly disabled: boolean;
	readonly public: boolean;
	readonly published_at?: string | undefined;
	readonly type: string;
	readonly os: string;
	readonly files: readonly StoredFile[];
	readonly acl?: readonly Uuid[] | undefined;
	readonly description?: string | undefined;
	readonly homepage?: string | undefined;
	readonly eula?: string | undefined;
	readonly icon?: true | undefined;
	readonly urn?: string | undefined;
	readonly requirements?: JsonObject | undefined;
	readonly users?: readonly {readonly name: string}[] | undefined;
	readonly generate_passwords?: boolean | undefined;
	readonly inherited_directories?: readonly string[] | undefined;
	readonly origin?: Uuid | undefined;
	readonly nic_driver?: string | undefined;
	readonly disk_driver?: string | undefined;
	readonly cpu_type?: string | undefined;
	readonly image_size?: number | undefined;
	readonly tags?: JsonObject | undefined;
	readonly billing_tags?: readonly string[] | undefined;
	readonly traits?: JsonObject | undefined;
	readonly error?: JsonObject | undefined;
	/** Only if an operator has set it. `withComputedState` takes it out again. */
	readonly state?: ImageState | undefined;
	/** What another server said of the image and we do not know: served after the rest. Never from a client. */
	readonly extra?: JsonObject | undefined;
}

export type ImageState = 'unactivated' | 'active' | 'disabled' | 'creating' | 'failed';

export const imageStates: ReadonlySet<unknown> = new Set<ImageState>([
	'unactivated',
	'active',
	'disabled',
	'creating',
	'failed',
]);

/** Contract 4.4: computed, unless an operator has set another one. */
export function stateOf(image: Pick<ImageFields, 'activated' | 'disabled' | 'state'>): ImageState {
	return image.state ?? computedState(image);
}

/** The image after an event that decides its state anew: activation, switching off or on. */
export function withComputedState(image: ImageFields): ImageFields {
	if (image.state === undefined) {
		return image;
	}
	return {...image, state: undefined};
}

function computedState({activated, disabled}: Pick<ImageFields, 'activated' | 'disabled'>): ImageState {
	if (!activated) {
		return 'unactivated';
	}
	return disabled ? 'disabled' : 'active';
}
