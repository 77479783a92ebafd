/**
 * What is typed into the publish form: as a manifest to be checked, and as the metadata that an upload carries.
 *
 * Whether values are good ones the mirror says; here is only what it could not be told at all. Pure.
 */
export interface Draft {
	readonly name: string;
	readonly version: string;
	readonly os: string;
	readonly type: string;
	readonly description: string;
	readonly homepage: string;
	readonly public: boolean;
	/** A uuid. */
	readonly origin: string;
	readonly minRam: string;
	readonly maxRam: string;
	readonly minPlatform: string;
	readonly brand: string;
	readonly sshKey: boolean;
	/** A line each: `KEY=VALUE`. */
	readonly tags: string;
	readonly nicDriver: string;
	readonly diskDriver: string;
	readonly cpuType: string;
	/** Of a zvol, in MiB. */
	readonly imageSize: string;
	readonly channel: string;
	readonly activate: boolean;
}

export const systems = ['smartos', 'linux', 'windows', 'bsd', 'illumos', 'other'] as const;
export const types = ['zone-dataset', 'lx-dataset', 'zvol', 'docker', 'lxd', 'other'] as const;

export const emptyDraft: Draft = {
	...{name: '', version: '', os: 'smartos', type: 'zone-dataset', description: '', homepage: ''},
	...{public: false, origin: '', minRam: '', maxRam: '', minPlatform: '', brand: '', sshKey: false, tags: ''},
	...{nicDriver: 'virtio', diskDriver: 'virtio', cpuType: 'host', imageSize: '', channel: '', activate: true},
};

/** What such an image usually is: of Linux an lx-dataset, of Windows and BSD a zvol. */
export function usualType(os: string): string {
	switch (os) {
		case 'linux':
			return 'lx-dataset';
		case 'windows':
		case 'bsd':
			return 'zvol';
		case 'smartos':
		case 'illumos':
			return 'zone-dataset';
		default:
			return 'other';
	}
}

export interface DraftProblem {
	readonly field: string;
	readonly message: string;
}

/** What can be seen without asking the mirror. `field` as manifests have it. */
export function problemsIn(draft: Draft): readonly DraftProblem[] {
	const numbers: readonly (readonly [string, string])[] = [
		['requirements.min_ram', draft.minRam],
		['requirements.max_ram', draft.maxRam],
		...(draft.type === 'zvol' ? [['image_size', draft.imageSize] as const] : []),
	];
	const wrong = numbers
		.filter(([, text]) => text.trim() !== '' && !/^\d{1,15}$/.test(text.trim()))
		.map(([field]) => ({field, message: 'must be a whole number of MiB'}));
	return [...wrong, ...tagLines(draft.tags).flatMap(({problem}) => problem ?? [])];
}

/** As the mirror would make it. Empty fields are left out, so that it can say what is missing. */
export function manifestOf(draft: Draft): Readonly<Record<string, unknown>> {
	const requirements = filled({
		min_ram: numberIn(draft.minRam),
		max_ram: numberIn(draft.maxRam),
		min_platform: draft.minPlatform.trim() === '' ? undefined : {'7.0': draft.minPlatform.trim()},
		brand: textIn(draft.brand),
		ssh_key: draft.sshKey ? true : undefined,
	});
	const tags = Object.fromEntries(tagLines(draft.tags).flatMap(({pair}) => (pair === undefined ? [] : [pair])));
	return filled({
		v: 2,
		name: textIn(draft.name),
		version: textIn(draft.version),
		public: draft.public,
		type: draft.type,
		os: draft.os,
		...(draft.type === 'zvol'
			? {
					nic_driver: textIn(draft.nicDriver),
					disk_driver: textIn(draft.diskDriver),
					cpu_type: textIn(draft.cpuType),
					image_size: numberIn(draft.imageSize),
				}
			: {}),
		description: textIn(draft.description),
		homepage: textIn(draft.homepage),
		origin: textIn(draft.origin),
		requirements: Object.keys(requirements).length === 0 ? undefined : requirements,
		tags: Object.keys(tags).length === 0 ? undefined : tags,
	});
}

/** The same as names and values, and what is to be done with the file. */
export function metadataOf(
	draft: Draft,
	file: {readonly name: string; readonly compression: string},
): ReadonlyMap<string, string> {
	const metadata = new Map<string, string>([['filename', file.name]]);
	for (const [name, value] of Object.entries(manifestOf(draft))) {
		if (name === 'requirements' || name === 'tags') {
			const prefix = name === 'tags' ? 'tag' : 'requirements';
			for (const [key, member] of Object.entries(value as Record<string, unknown>)) {
				metadata.set(
					`${prefix}.${key}`,
					key === 'min_platform' && prefix !== 'tag' ? draft.minPlatform.trim() : String(member),
				);
			}
		} else if (name !== 'v') {
			metadata.set(name, String(value));
		}
	}
	metadata.set('compression', file.compression);
	metadata.set('activate', String(draft.activate));
	if (draft.channel !== '') {
		metadata.set('channel', draft.channel);
	}
	return metadata;
}

/** By its first bytes. */
export function compressionOf(first: Uint8Array): string {
	const magics: readonly (readonly [string, readonly number[]])[] = [
		['gzip', [0x1f, 0x8b]],
		['bzip2', [0x42, 0x5a, 0x68]],
		['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
	];
	return magics.find(([, magic]) => magic.every((byte, at) => first[at] === byte))?.[0] ?? 'none';
}

/** `web-1.0.0.zfs.gz` is version 1.0.0 of web. Only what is not there yet is filled in. */
export function withFileName(draft: Draft, fileName: string): Draft {
	const stem = fileName.replace(/\.(?:gz|bz2|xz)$/i, '').replace(/\.(?:zfs|zss|zvol|raw|img|tar)$/i, '');
	const [, name = stem, version = ''] = /^(.+?)-v?(\d+(?:\.\d\w*)+[\w.+-]*|\d{8}\w*)$/.exec(stem) ?? [];
	return {...draft, name: draft.name || name, version: draft.version || version};
}

interface TagLine {
	readonly pair?: readonly [string, string];
	readonly problem?: DraftProblem;
}

function tagLines(text: string): readonly TagLine[] {
	return text
		.split('\n')
		.map(line => line.trim())
		.filter(line => line !== '')
		.map(line => {
			const [, key = '', value] = /^([^=]*?)\s*=\s*(.*)$/.exec(line) ?? [];
			if (value === undefined) {
				return {problem: {field: 'tags', message: `${line}: must be KEY=VALUE`}};
			}
			// An upload carries them as names in a header.
			return /^[\x21-\x2b\x2d-\x7e]+$/.test(key)
				? {pair: [key, value] as const}
				: {problem: {field: 'tags', message: `${key || line}: a key has neither blanks nor commas`}};
		});
}

function textIn(text: string): string | undefined {
	return text.trim() === '' ? undefined : text.trim();
}

/** What is no number stays as it is: the mirror has a word for it. */
function numberIn(text: string): number | string | undefined {
	const trimmed = textIn(text);
	return trimmed !== undefined && /^\d{1,15}$/.test(trimmed) ? Number(trimmed) : trimmed;
}

function filled(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
