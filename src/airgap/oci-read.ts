/**
 * Bundles of others read: the index, an image's OCI manifest, and whether that fits the IMGAPI manifest beside it.
 *
 * Whoever opens, checks or imports a bundle asks here. Everything that comes in is taken for hostile and bounded; what
 * is wrong throws IntegrityError in words, and no other class. What other tools leave out when they copy a bundle
 * (media type of the index, artifact types and titles in it) is not missed.
 */
import {IntegrityError} from '../errors.js';
import {atOnce} from '../host-slices.js';
import {isObject} from '../image/json-text.js';
import {isSha1, manifestOf, readManifest, type Manifest} from '../image/manifest.js';
import {readJson, readObject, shown} from './bounded-json.js';
import {annotationsOf, checkKind, descriptorOf, ownText} from './oci-descriptors.js';
import {
	annotationNames,
	emptyLayer,
	fileMediaType,
	imageArtifactType,
	isFileMediaType,
	isIconType,
	maxEntries,
	maxIconBytes,
	maxIndexBytes,
	maxLayers,
	maxManifestBytes,
	mediaTypes,
	type BundleFile,
	type Descriptor,
	type Digest,
} from './oci-terms.js';

/** What the index says of one artifact. */
export interface BundleEntry {
	/** Of its OCI manifest. */
	readonly descriptor: Descriptor;
	/** For messages: its tag, or its digest where it has none that can be shown. The uuid is what the config says. */
	readonly name: string;
	/** The layers are deliberately not in this bundle: the far side has the files. */
	readonly filesElsewhere: boolean;
	/** An artifact of another kind, which is no business of ours. */
	readonly foreign: boolean;
}

/** An image's OCI manifest. */
export interface BundleImage {
	readonly config: Descriptor;
	/** In the order of the IMGAPI manifest. */
	readonly files: readonly BundleFile[];
	readonly icon: Descriptor | undefined;
	readonly annotations: Readonly<Record<string, string>>;
}

/** An image's IMGAPI manifest that agrees with its OCI manifest. */
export interface CheckedConfig {
	readonly manifest: Manifest;
	/** The config blob, byte for byte. */
	readonly text: string;
	/** `undefined`: it says nothing of channels. */
	readonly channels: readonly string[] | undefined;
}

/**
 * More values than this are no index: a hostile one could make hundreds of millions of them out of 64 MiB. Ours have
 * eleven for each image, and as many gaps again where something has laid them out.
 */
const maxIndexValues = 3_000_000;
/** An IMGAPI manifest has few values; tags, users and access lists of some length are still few. */
const maxManifestValues = 500_000;
const maxChannels = 1000;

/** Tags and uuids that can be shown on a terminal. */
const showable = /^[\w.\-:/@+]{1,200}$/u;

/** The artifacts of index.json in its order, each digest once, those of other kinds included. Throws IntegrityError. */
export function parseIndex(bytes: Buffer): readonly BundleEntry[] {
	return atOnce(parsingIndex(bytes));
}

/** The same, for those who do other work in between. */
export function* parsingIndex(bytes: Buffer): Generator<undefined, readonly BundleEntry[], undefined> {
	const what = 'index.json';
	if (bytes.length > maxIndexBytes) {
		throw new IntegrityError(`${what} has ${bytes.length} bytes, and may have ${maxIndexBytes}`);
	}
	const fields = readObject(bytes, what, maxIndexValues);
	yield;
	checkKind(fields, mediaTypes.index, what);
	const {manifests} = fields;
	if (!Array.isArray(manifests)) {
		throw new IntegrityError(`${what} has no list of manifests`);
	}
	if (manifests.length > maxEntries) {
		throw new IntegrityError(`${what} lists ${manifests.length} manifests, and may list ${maxEntries}`);
	}
	const entries = new Map<Digest, BundleEntry>();
	for (const [index, value] of manifests.entries()) {
		const where = `${what}: manifests[${index}]`;
		const entry = entryOf(descriptorOf(value, where));
		const known = entries.get(entry.descriptor.digest);
		if (known !== undefined && known.descriptor.size !== entry.descriptor.size) {
			throw new IntegrityError(`${where} gives ${entry.descriptor.digest} another size than before`);
		}
		// One image may have several tags. Its files are missing deliberately only if no tag promises them.
		entries.set(
			entry.descriptor.digest,
			known === undefined ? entry : {...known, filesElsewhere: known.filesElsewhere && entry.filesElsewhere},
		);
		yield;
	}
	return [...entries.values()];
}

/** An OCI manifest whose bytes have been checked against the index. Throws IntegrityError, also for what is no image. */
export function parseImage(bytes: Buffer): BundleImage {
	const what = 'the OCI manifest';
	if (bytes.length > maxManifestBytes) {
		throw new IntegrityError(`${what} has ${bytes.length} bytes, and may have ${maxManifestBytes}`);
	}
	const fields = readObject(bytes, what, maxManifestValues);
	checkKind(fields, mediaTypes.manifest, what);
	const artifactType = fields['artifactType'] ?? imageArtifactType;
	if (artifactType !== imageArtifactType) {
		throw new IntegrityError(`${what} is of no SmartOS image but of ${shown(artifactType)}`);
	}
	const config = descriptorOf(fields['config'], `${what}: config`);
	if (config.mediaType !== mediaTypes.config) {
		throw new IntegrityError(`${what} is of no SmartOS image: its config is ${shown(config.mediaType)}`);
	}
	if (config.size > maxManifestBytes) {
		throw new IntegrityError(`${what}: the config may have ${maxManifestBytes} bytes, not ${config.size}`);
	}
	const layers = layersOf(fields['layers'], what);
	checkSizes([config, ...layers], what);
	return {
		config,
		...partsOf(layers, what),
		annotations: annotationsOf(fields['annotations'], `${what}: annotations`),
	};
}

/**
 * The IMGAPI manifest, whose bytes have been checked against the descriptor. Throws IntegrityError where it is none, and
 * where it speaks of other files than the OCI manifest does.
 */
export function checkConfig(image: BundleImage, configBytes: Buffer): CheckedConfig {
	if (configBytes.length !== image.config.size) {
		throw new IntegrityError(`the manifest has ${configBytes.length} bytes, not ${image.config.size}`);
	}
	const text = configBytes.toString('utf8');
	if (!Buffer.from(text, 'utf8').equals(configBytes)) {
		throw new IntegrityError('the manifest is not UTF-8');
	}
	const read = readJson(configBytes, 'the manifest', maxManifestValues, readManifest);
	const manifest = manifestOf(read);
	const channels = isObject(read.value) ? channelsOf(read.value['channels'], manifest.uuid) : undefined;
	const {uuid} = manifest;
	const told = ownText(image.annotations, annotationNames.uuid);
	if (told !== undefined && told !== uuid) {
		throw new IntegrityError(`the manifest is that of ${uuid}, its annotations speak of ${shown(told)}`);
	}
	if (manifest.files.length !== image.files.length) {
		throw new IntegrityError(
			`manifest ${uuid} speaks of ${manifest.files.length} files, its layers are ${image.files.length}`,
		);
	}
	for (const [index, {descriptor, sha1}] of image.files.entries()) {
		const file = manifest.files[index];
		const where = `manifest ${uuid}: files[${index}]`;
		if (file?.size !== descriptor.size) {
			throw new IntegrityError(`${where} has ${file?.size ?? 0} bytes, its layer ${descriptor.size}`);
		}
		if (file.sha1 !== undefined && sha1 !== undefined && file.sha1 !== sha1) {
			throw new IntegrityError(`${where} has the sha1 ${file.sha1}, its layer ${sha1}`);
		}
		if (fileMediaType(file.compression) !== descriptor.mediaType) {
			throw new IntegrityError(
				`${where} has the compression ${file.compression}, its layer is ${shown(descriptor.mediaType)}`,
			);
		}
	}
	if (image.icon !== undefined && !manifest.icon) {
		throw new IntegrityError(`manifest ${uuid} says that there is no icon, and a layer is one`);
	}
	return {manifest, text, channels};
}

function entryOf(descriptor: Descriptor): BundleEntry {
	const {mediaType, digest, artifactType, annotations} = descriptor;
	const tag = ownText(annotations, annotationNames.refName);
	return {
		descriptor,
		name: tag !== undefined && showable.test(tag) ? tag : digest,
		filesElsewhere: ownText(annotations, annotationNames.files) === 'elsewhere',
		foreign: mediaType !== mediaTypes.manifest || (artifactType ?? imageArtifactType) !== imageArtifactType,
	};
}

function layersOf(value: unknown, what: string): readonly Descriptor[] {
	if (!Array.isArray(value)) {
		throw new IntegrityError(`${what} has no list of layers`);
	}
	if (value.length > maxLayers) {
		throw new IntegrityError(`${what} has ${value.length} layers, and may have ${maxLayers}`);
	}
	return value.map((layer, index) => descriptorOf(layer, `${what}: layers[${index}]`));
}

/** Files first, then at most one icon; or the empty layer alone. */
function partsOf(layers: readonly Descriptor[], what: string): Pick<BundleImage, 'files' | 'icon'> {
	const files: BundleFile[] = [];
	let icon: Descriptor | undefined;
	for (const [index, descriptor] of layers.entries()) {
		const where = `${what}: layers[${index}]`;
		const {mediaType, digest, size} = descriptor;
		if (isFileMediaType(mediaType)) {
			if (icon !== undefined) {
				throw new IntegrityError(`${where} is a file after the icon`);
			}
			files.push({descriptor, sha1: sha1Of(descriptor, where)});
		} else if (isIconType(mediaType)) {
			if (icon !== undefined) {
				throw new IntegrityError(`${where} is a second icon`);
			}
			if (size > maxIconBytes) {
				throw new IntegrityError(`${where}: an icon may have ${maxIconBytes} bytes, not ${size}`);
			}
			icon = descriptor;
		} else if (mediaType !== mediaTypes.empty || digest !== emptyLayer.digest || layers.length > 1) {
			throw new IntegrityError(`${where} is neither a file nor an icon: ${shown(mediaType)}`);
		}
	}
	return {files, icon};
}

function sha1Of({annotations}: Descriptor, where: string): BundleFile['sha1'] {
	const sha1 = ownText(annotations, annotationNames.sha1);
	if (sha1 !== undefined && !isSha1(sha1)) {
		throw new IntegrityError(`${where}: ${shown(sha1)} is no sha1`);
	}
	return sha1;
}

/** The same bytes may serve twice, but have one size. */
function checkSizes(descriptors: readonly Descriptor[], what: string): void {
	const sizes = new Map<Digest, number>([[emptyLayer.digest, emptyLayer.size]]);
	for (const {digest, size} of descriptors) {
		if ((sizes.get(digest) ?? size) !== size) {
			throw new IntegrityError(`${what} gives ${digest} two sizes`);
		}
		sizes.set(digest, size);
	}
}

function channelsOf(value: unknown, uuid: string): readonly string[] | undefined {
	if (value === undefined || value === null) {
		return undefined;
	}
	if (!Array.isArray(value) || value.length > maxChannels) {
		throw new IntegrityError(`manifest ${uuid}: channels is no list of names`);
	}
	const names = value.filter((name): name is string => typeof name === 'string' && name !== '');
	if (names.length !== value.length) {
		throw new IntegrityError(`manifest ${uuid}: channels is no list of names`);
	}
	return [...new Set(names)];
}
