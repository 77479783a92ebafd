/**
 * Images as DSAPI shows them: which ones it lists, under which names, and their manifests as v1.
 *
 * `http/datasets.ts` serves what comes out of here; the way in is in `upgrade.ts`. Values go out as the source wrote
 * them, and keys keep their place: what replaces a key stands where that stood, the rest comes last. Only the list is
 * narrow: by uuid every image can be had, because disabled ones are other images' origins.
 */
import {NotFoundError} from '../errors.js';
import {nobody} from './image-fields.js';
import {elementsOf, membersOf, ownCopy} from './json-text.js';
import {isActive, type Compression, type Manifest} from './manifest.js';
import {lastOfEach, onlyInDatasets, textOfMembers} from './upgrade.js';
import {namesInUrn, urnOf, type DatasetNames} from './urn.js';

export {datasetFiles, manifestFromAny} from './upgrade.js';
export {findByUrn, urnOf, type DatasetNames} from './urn.js';

/** What most file systems allow one name. */
const maxPathBytes = 255;

const extensions: Readonly<Record<Compression, string>> = {none: '', gzip: '.gz', bzip2: '.bz2', xz: '.xz'};

/** Of v2, without place in v1, or said in other words there. */
const notInDatasets: ReadonlySet<string> = new Set([
	...onlyInDatasets,
	...['v', 'billing_tags', 'state', 'disabled', 'public', 'creator_uuid', 'restricted_to_uuid'],
]);

// Separators of any system, and whatever is invisible: control and format characters, halves of surrogate pairs.
const unsafe = /[/\\]|[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** Where a URL of ours goes. JSON text cannot contain it: control characters are escaped there. */
const urlPlace = '\0';

/** Whether GET /datasets shows it, to a caller who sees private images or not. */
export function isListedDataset(manifest: Manifest, {seesPrivate}: {readonly seesPrivate: boolean}): boolean {
	return (
		isActive(manifest) &&
		(seesPrivate || manifest.public) &&
		(manifest.type === 'zone-dataset' || manifest.type === 'zvol') &&
		manifest.files.length > 0
	);
}

/**
 * The name that DSAPI gives a file of the image: one safe path segment. To be compared with what a client asks for,
 * never to be joined to a directory.
 */
export function datasetPath(manifest: Manifest, index: number): string {
	const file = manifest.files[index];
	if (file === undefined) {
		throw new NotFoundError(`image ${manifest.uuid} has no file ${index}`);
	}
	const further = index === 0 ? '' : `-${index}`;
	const ending = `${further}.${manifest.type === 'zvol' ? 'zvol' : 'zfs'}${extensions[file.compression]}`;
	const name = `${manifest.name}-${manifest.version}`.replace(unsafe, '-');
	return truncated(name, maxPathBytes - ending.length) + ending;
}

/** The one that v1 says a private image is for. `undefined`: for everybody. */
export function restriction({public: isPublic, acl, owner}: Manifest): string | undefined {
	if (isPublic) {
		return undefined;
	}
	const [only, ...others] = acl;
	return only !== undefined && others.length === 0 ? only : owner || nobody;
}

/** The image as v1. What is returned lays out the text with each `files[].url` under a base URL (no trailing slash). */
export function datasetText(manifest: Manifest, names: DatasetNames): (baseUrl: string) => string {
	const [first = '', ...rest] = downgrade(manifest, names).split(urlPlace).map(ownCopy);
	return baseUrl => {
		const base = JSON.stringify(baseUrl).slice(1, -1);
		return [first, ...rest].join(base);
	};
}

function downgrade(manifest: Manifest, names: DatasetNames): string {
	const {cloudName, creatorName} = namesInUrn(manifest, names);
	const members = lastOfEach(membersOf(manifest.text));
	const out = new Map<string, string>();
	const addCreator = (owner: string): void => {
		out.set('creator_uuid', owner);
		out.set('vendor_uuid', owner);
	};
	const addUrn = (): void => {
		out.set('cloud_name', JSON.stringify(cloudName));
		out.set('creator_name', JSON.stringify(creatorName));
		out.set('urn', JSON.stringify(urnOf(manifest, names)));
	};
	for (const [name, value] of members) {
		switch (name) {
			case 'owner':
				if (manifest.owner !== '') {
					addCreator(value);
				}
				break;
			case 'published_at':
				for (const key of ['published_at', 'created_at', 'updated_at']) {
					out.set(key, value);
				}
				break;
			case 'urn':
				addUrn();
				break;
			case 'acl':
				// For a private image restricted_to_uuid says it.
				if (manifest.public && manifest.acl.length > 0) {
					out.set(name, value);
				}
				break;
			case 'image_size':
				out.set(name, /^[-\d]/u.test(value) ? `"${value}"` : value);
				break;
			case 'files':
				out.set(name, manifest.files.length === 0 ? '[]' : downgradeFiles(value, manifest));
				break;
			default:
				if (!notInDatasets.has(name)) {
					out.set(name, value);
				}
		}
	}
	if (!out.has('creator_uuid')) {
		addCreator(JSON.stringify(nobody));
	}
	out.set('platform_type', '"smartos"');
	if (!out.has('urn')) {
		addUrn();
	}
	const restrictedTo = restriction(manifest);
	if (restrictedTo !== undefined) {
		out.set('restricted_to_uuid', JSON.stringify(restrictedTo));
	}
	if (!isActive(manifest)) {
		// The one word that v1 has for it: without, a reader would take the image for active.
		out.set('disabled', 'true');
	}
	return textOfMembers(out);
}

function downgradeFiles(text: string, manifest: Manifest): string {
	return `[${elementsOf(text)
		.map((file, index) => downgradeFile(file, manifest, index))
		.join(',')}]`;
}

/** `compression` stays although v1 has none: imgadm crashes on an origin without it. */
function downgradeFile(text: string, manifest: Manifest, index: number): string {
	const path = datasetPath(manifest, index);
	const url = JSON.stringify(`/datasets/${manifest.uuid}/${encodeURIComponent(path)}`);
	const out = new Map([['path', JSON.stringify(path)]]);
	for (const [name, value] of lastOfEach(membersOf(text))) {
		if (name !== 'path' && name !== 'url') {
			out.set(name, value);
		}
	}
	out.set('url', `"${urlPlace}${url.slice(1)}`);
	return textOfMembers(out);
}

/** The longest beginning of whole characters that fits. */
function truncated(text: string, maxBytes: number): string {
	if (Buffer.byteLength(text) <= maxBytes) {
		return text;
	}
	let bytes = 0;
	let kept = '';
	for (const character of text) {
		bytes += Buffer.byteLength(character);
		if (bytes > maxBytes) {
			break;
		}
		kept += character;
	}
	return kept;
}
