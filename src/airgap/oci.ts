/**
 * Images written as OCI artifacts, and the index of a bundle of them: the same images make the same bytes.
 *
 * The export makes its bundles of these texts; `oci-read.ts` is the way back, for everybody who is given a bundle.
 * Nothing here knows of files, folders and tars.
 */
import {IntegrityError, InvalidParameterError} from '../errors.js';
import {fieldsOf, type Manifest} from '../image/manifest.js';
import type {Icon} from '../sources/source.js';
import {
	annotationNames,
	digestOf,
	emptyLayer,
	fileMediaType,
	fileTitle,
	iconTitle,
	imageArtifactType,
	maxEntries,
	maxIconBytes,
	maxIndexBytes,
	maxLayers,
	maxManifestBytes,
	mediaTypes,
	type Descriptor,
	type Digest,
} from './oci-terms.js';

export {checkConfig, parseImage, parseIndex, parsingIndex} from './oci-read.js';
export type {BundleEntry, BundleImage, CheckedConfig} from './oci-read.js';
export {
	blobPath,
	digestOf,
	emptyLayer,
	emptyLayerText,
	hexOf,
	imageArtifactType,
	isDigest,
	layoutText,
	maxIconBytes,
	maxIndexBytes,
	maxManifestBytes,
	mediaTypes,
} from './oci-terms.js';
export type {BundleFile, Descriptor, Digest} from './oci-terms.js';

/** What an image's artifact is made of. */
export interface ImageParts {
	readonly manifest: Manifest;
	/** The IMGAPI manifest as it travels. */
	readonly text: string;
	/** In the order of the manifest. */
	readonly files: readonly {readonly sha1: string; readonly sha256: string; readonly size: number}[];
	readonly icon?: Icon | undefined;
}

/** An image as an artifact. Its blobs are `manifestText`, the config's text, and one per layer. */
export interface MadeImage {
	readonly manifestText: string;
	/** Of `manifestText`. */
	readonly digest: Digest;
	readonly size: number;
	readonly config: Descriptor;
	/** The files, and the icon if there is one after them; never empty. */
	readonly layers: readonly Descriptor[];
	readonly files: readonly Descriptor[];
	readonly icon: Descriptor | undefined;
}

/** An image as the index has it. */
export interface IndexEntry {
	/** Of its OCI manifest. */
	readonly digest: Digest;
	readonly size: number;
	readonly uuid: string;
	readonly name: string;
	readonly version: string;
	/** Its layers are deliberately not in the bundle. */
	readonly filesElsewhere: boolean;
}

/** Throws IntegrityError where the files are not those of the manifest, or the icon is none. */
export function makeImage({manifest, text, files, icon}: ImageParts): MadeImage {
	const {uuid} = manifest;
	const config = descriptorOf(mediaTypes.config, text);
	const fileLayers = fileLayersOf(manifest, files);
	const iconLayer = icon === undefined ? undefined : iconLayerOf(manifest, icon);
	const some = [...fileLayers, ...(iconLayer === undefined ? [] : [iconLayer])];
	const layers = some.length === 0 ? [emptyLayer] : some;
	const manifestText = JSON.stringify({
		schemaVersion: 2,
		mediaType: mediaTypes.manifest,
		artifactType: imageArtifactType,
		config: plain(config),
		layers: layers.map(plain),
		annotations: annotationsOf(manifest),
	});
	const {digest, size} = descriptorOf(mediaTypes.manifest, manifestText);
	// What nobody could read again must not be written.
	if (layers.length > maxLayers || size > maxManifestBytes || config.size > maxManifestBytes) {
		throw new IntegrityError(`image ${uuid} has more files, or a longer manifest, than a bundle can carry`);
	}
	return {manifestText, digest, size, config, layers, files: fileLayers, icon: iconLayer};
}

/** index.json of these, in this order. Throws InvalidParameterError for more than one bundle can hold. */
export function indexText(entries: readonly IndexEntry[]): string {
	const text = JSON.stringify({
		schemaVersion: 2,
		mediaType: mediaTypes.index,
		manifests: entries.map(({digest, size, uuid, name, version, filesElsewhere}) => ({
			mediaType: mediaTypes.manifest,
			digest,
			size,
			annotations: {
				[annotationNames.refName]: uuid,
				[annotationNames.title]: name,
				[annotationNames.version]: version,
				...(filesElsewhere ? {[annotationNames.files]: 'elsewhere'} : {}),
			},
			artifactType: imageArtifactType,
		})),
	});
	if (entries.length > maxEntries || Buffer.byteLength(text) > maxIndexBytes) {
		throw new InvalidParameterError(`${entries.length} images are too many for one bundle`, []);
	}
	return text;
}

function fileLayersOf({uuid, files: told}: Manifest, files: ImageParts['files']): readonly Descriptor[] {
	if (files.length !== told.length) {
		throw new IntegrityError(`image ${uuid} has ${told.length} files, not ${files.length}`);
	}
	return told.map(({sha1, size, compression}, index) => {
		const file = files[index];
		if (file?.size !== size || (sha1 !== undefined && file.sha1 !== sha1)) {
			throw new IntegrityError(`file ${index} of image ${uuid} is not the one of its manifest`);
		}
		return {
			mediaType: fileMediaType(compression),
			digest: `sha256:${file.sha256}`,
			size,
			annotations: {
				[annotationNames.title]: fileTitle(uuid, index, compression),
				[annotationNames.sha1]: file.sha1,
			},
		};
	});
}

function iconLayerOf({uuid, icon: isTold}: Manifest, {bytes, contentType}: Icon): Descriptor {
	const title = iconTitle(uuid, contentType);
	if (title === undefined || bytes.length > maxIconBytes || !isTold) {
		throw new IntegrityError(
			isTold
				? `the icon of image ${uuid} is none that a bundle can carry: ${bytes.length} bytes of ${contentType}`
				: `the manifest of image ${uuid} speaks of no icon`,
		);
	}
	return {
		mediaType: contentType,
		digest: digestOf(bytes),
		size: bytes.length,
		annotations: {[annotationNames.title]: title},
	};
}

function annotationsOf(manifest: Manifest): Readonly<Record<string, string>> {
	const fields = fieldsOf(manifest);
	const told: readonly (readonly [string, unknown])[] = [
		[annotationNames.title, manifest.name],
		[annotationNames.version, manifest.version],
		[annotationNames.created, manifest.publishedAt],
		[annotationNames.description, fields['description']],
		[annotationNames.url, fields['homepage']],
		[annotationNames.uuid, manifest.uuid],
		[annotationNames.type, manifest.type],
		[annotationNames.os, manifest.os],
		[annotationNames.origin, manifest.origin],
	];
	return Object.fromEntries(
		told.filter((pair): pair is readonly [string, string] => typeof pair[1] === 'string' && pair[1] !== ''),
	);
}

function descriptorOf(mediaType: string, text: string): Descriptor {
	const bytes = Buffer.from(text);
	return {mediaType, digest: digestOf(bytes), size: bytes.length, annotations: {}};
}

/** As it stands in JSON: no annotations where there are none. */
function plain({mediaType, digest, size, annotations}: Descriptor): object {
	return Object.keys(annotations).length === 0 ? {mediaType, digest, size} : {mediaType, digest, size, annotations};
}
