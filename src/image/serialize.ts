/**
 * The manifest of an image of our own, as IMGAPI writes it (contract 4.5).
 *
 * The publish room makes one after every change. What a client gets beyond it, channels and where files are, is added
 * by `servedText`.
 */
import {stateOf, type ImageFields, type ServerMode, type StoredFile} from './image-fields.js';
import {indexOf, type JsonObject, type LocalFields, type Manifest} from './manifest.js';
import {textOfMembers} from './upgrade.js';

/** Fields without a rule of their own about whether they are shown, in their places. */
const optional = [
	...(['description', 'homepage', 'eula', 'icon', 'urn', 'requirements', 'users', 'generate_passwords'] as const),
	...(['inherited_directories', 'origin', 'nic_driver', 'disk_driver', 'cpu_type', 'image_size', 'tags'] as const),
];

/** What clients get of the image, with its index. */
export function localManifest(
	image: ImageFields,
	{channels}: Pick<LocalFields, 'channels'>,
	{mode}: {readonly mode: ServerMode},
): Manifest {
	const text = imageText(image, mode);
	const fields = JSON.parse(text) as JsonObject;
	return {
		...indexOf(image.uuid, fields, text),
		local: {channels, billingTags: image.billing_tags ?? [], stor: 'local'},
	};
}

function imageText(image: ImageFields, mode: ServerMode): string {
	const state = stateOf(image);
	// Text by text: an object would not keep keys like `7` in their places.
	const out = new Map<string, string>();
	const put = (name: string, value: unknown): void => {
		if (value !== undefined) {
			out.set(name, JSON.stringify(value));
		}
	};
	for (const name of ['v', 'uuid', 'owner', 'name', 'version'] as const) {
		put(name, image[name]);
	}
	put('state', state);
	for (const name of ['disabled', 'public', 'published_at', 'type', 'os'] as const) {
		put(name, image[name]);
	}
	out.set('files', `[${image.files.map(fileText).join(',')}]`);
	put('acl', unlessEmpty(image.acl));
	for (const name of optional) {
		put(name, image[name]);
	}
	if (mode !== 'public') {
		put('billing_tags', unlessEmpty(image.billing_tags));
		put('traits', unlessEmpty(image.traits));
	}
	if (state === 'failed') {
		put('error', image.error);
	}
	addExtra(out, image.extra, mode);
	return textOfMembers(out);
}

function fileText({sha1, size, compression, dataset_guid: guid, extra}: StoredFile): string {
	const out = new Map([
		['sha1', JSON.stringify(sha1)],
		['size', JSON.stringify(size)],
		['compression', JSON.stringify(compression)],
	]);
	if (guid !== undefined) {
		out.set('dataset_guid', JSON.stringify(guid));
	}
	addExtra(out, extra);
	return textOfMembers(out);
}

/** What is known stays as it is; what a public server keeps to itself does not come in by this door either. */
function addExtra(out: Map<string, string>, extra: JsonObject | undefined, mode?: ServerMode): void {
	for (const [name, value] of Object.entries(extra ?? {})) {
		const isHidden = mode === 'public' && (name === 'billing_tags' || name === 'traits');
		if (!isHidden && !out.has(name) && value !== undefined) {
			out.set(name, JSON.stringify(value));
		}
	}
}

function unlessEmpty<T extends object>(value: T | undefined): T | undefined {
	return value === undefined || Object.keys(value).length === 0 ? undefined : value;
}
