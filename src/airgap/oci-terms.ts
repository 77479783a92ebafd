/**
 * The words of the bundle's format: media types, annotations, digests and descriptors.
 *
 * `oci.ts` writes in them and `oci-read.ts` reads them. What a bundle consists of as files is known elsewhere.
 */
import {createHash} from 'node:crypto';
import type {Compression, Sha1} from '../image/manifest.js';

/** `sha256:` and 64 lower-case hexadecimal digits. */
export type Digest = string;

/** What a blob is, and how to know it. */
export interface Descriptor {
	readonly mediaType: string;
	readonly digest: Digest;
	readonly size: number;
	readonly annotations: Readonly<Record<string, string>>;
	readonly artifactType?: string;
}

/** A file of an image. */
export interface BundleFile {
	readonly descriptor: Descriptor;
	/** As the layer says it; other tools may have left it out. */
	readonly sha1: Sha1 | undefined;
}

/** What `oci-layout` holds, byte for byte. */
export const layoutText = '{"imageLayoutVersion":"1.0.0"}';

export const mediaTypes = {
	index: 'application/vnd.oci.image.index.v1+json',
	manifest: 'application/vnd.oci.image.manifest.v1+json',
	empty: 'application/vnd.oci.empty.v1+json',
	config: 'application/vnd.smartos.image.manifest.v2+json',
	file: 'application/vnd.smartos.image.file.v1.zfs',
} as const;

/** What an image of ours is called, in its manifest and in the index. */
export const imageArtifactType = 'application/vnd.smartos.image.v1';

export const annotationNames = {
	refName: 'org.opencontainers.image.ref.name',
	title: 'org.opencontainers.image.title',
	version: 'org.opencontainers.image.version',
	created: 'org.opencontainers.image.created',
	description: 'org.opencontainers.image.description',
	url: 'org.opencontainers.image.url',
	uuid: 'org.smartos.image.uuid',
	type: 'org.smartos.image.type',
	os: 'org.smartos.image.os',
	origin: 'org.smartos.image.origin',
	/** In the index: `elsewhere` where the layers are deliberately not in the bundle. */
	files: 'org.smartos.image.files',
	sha1: 'org.smartos.image.file.sha1',
} as const;

/** The blob that stands for no layers at all. */
export const emptyLayerText = '{}';
export const emptyLayer: Descriptor = {
	mediaType: mediaTypes.empty,
	digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
	size: emptyLayerText.length,
	annotations: {},
};

export const maxIndexBytes = 67_108_864;
export const maxEntries = 200_000;
/** Of an OCI manifest, and of the IMGAPI manifest that is its config. */
export const maxManifestBytes = 4_194_304;
export const maxLayers = 64;
export const maxIconBytes = 131_072;

const compressionSuffixes: Readonly<Record<Compression, string>> = {
	none: '',
	gzip: '+gzip',
	bzip2: '+bzip2',
	xz: '+xz',
};
const fileSuffixes: Readonly<Record<Compression, string>> = {none: '', gzip: '.gz', bzip2: '.bz2', xz: '.xz'};
const iconSuffixes: ReadonlyMap<string, string> = new Map([
	['image/png', '.png'],
	['image/jpeg', '.jpg'],
	['image/gif', '.gif'],
]);
const digestForm = /^sha256:[0-9a-f]{64}$/u;

export function isDigest(text: unknown): text is Digest {
	return typeof text === 'string' && digestForm.test(text);
}

export function digestOf(bytes: Uint8Array | string): Digest {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The 64 digits. */
export function hexOf(digest: Digest): string {
	return digest.slice('sha256:'.length);
}

/** Where a blob lies in the bundle. */
export function blobPath(digest: Digest): string {
	return `blobs/sha256/${hexOf(digest)}`;
}

/** The media type of an image's file. */
export function fileMediaType(compression: Compression): string {
	return mediaTypes.file + compressionSuffixes[compression];
}

export function isFileMediaType(mediaType: string): boolean {
	return mediaType === mediaTypes.file || mediaType.startsWith(`${mediaTypes.file}+`);
}

/** What a file of an image is called where names are wanted. */
export function fileTitle(uuid: string, index: number, compression: Compression): string {
	return `${uuid}-file${index === 0 ? '' : index}${fileSuffixes[compression]}`;
}

/** `undefined`: images have no icons of that type. */
export function iconTitle(uuid: string, contentType: string): string | undefined {
	const suffix = iconSuffixes.get(contentType);
	return suffix === undefined ? undefined : `${uuid}-icon${suffix}`;
}

export function isIconType(mediaType: string): boolean {
	return iconSuffixes.has(mediaType);
}
