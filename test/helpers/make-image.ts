/**
 * Images for tests: a manifest as a real server would give it, and bytes that fit it.
 *
 * `makeImage` is for tests that move files, `makeManifests` for those that need thousands of entries and no bytes.
 * Every image is a new one, published later than the one before, so lists have one right order.
 */
import {createHash, randomUUID} from 'node:crypto';

export interface TestManifest {
	readonly uuid: string;
	/** v2, keys in IMGAPI's order. */
	readonly manifest: Readonly<Record<string, unknown>>;
	/** The manifest as compact JSON. */
	readonly text: string;
}

export interface TestImage extends TestManifest {
	readonly bytes: Buffer;
	readonly size: number;
	/** Of the bytes, hexadecimal, whatever the manifest says. */
	readonly sha1: string;
	readonly md5: string;
	readonly sha256: string;
	/** What `Content-MD5` is. */
	readonly contentMd5: string;
	/** The manifest as IMGAPI puts it on the wire: indented by two spaces. */
	readonly pretty: string;
	/** The image as a DSAPI server shows it. `files[].url` has no host. */
	readonly dataset: Readonly<Record<string, unknown>>;
	/** The last segment of the file's DSAPI path. */
	readonly path: string;
	/** `undefined`: the image has none. */
	readonly icon: Buffer | undefined;
}

export interface ImageOptions {
	/** Bytes. 10,000 unless given. */
	readonly size?: number;
	/** The same seed and size make the same bytes. */
	readonly seed?: number;
	/** Instead of bytes from the seed. */
	readonly bytes?: Buffer;
	readonly uuid?: string;
	readonly name?: string;
	readonly version?: string;
	readonly type?: string;
	readonly os?: string;
	readonly owner?: string;
	/** The parent image, or its uuid. */
	readonly origin?: string | TestManifest;
	readonly public?: boolean;
	readonly state?: 'active' | 'disabled' | 'unactivated';
	readonly acl?: readonly string[];
	readonly compression?: 'none' | 'gzip' | 'bzip2' | 'xz';
	readonly publishedAt?: string;
	readonly description?: string;
	readonly urn?: string;
	/** Served under /icon; sets `icon: true`. */
	readonly icon?: Buffer;
	/** The sha1 that the manifest claims; `undefined`: it has none. */
	readonly claimedSha1?: string | undefined;
	/** The size that the manifest claims; `undefined`: it has none. */
	readonly claimedSize?: number | undefined;
	/** Adds `md5` to `files[0]`, as dsapid does. */
	readonly withMd5?: boolean;
	/** Added to `files[0]`. */
	readonly file?: Readonly<Record<string, unknown>>;
	/** Added to the manifest at its end, or put in place of what is there; `undefined` removes a key. */
	readonly extra?: Readonly<Record<string, unknown>>;
	/** The last segment of the file's DSAPI path, for hostile ones. */
	readonly path?: string;
	/** What the sources say, to the letter, instead of the manifest that the other options make. */
	readonly text?: string;
}

// The one thing counted across a test process: two images never share a time or a seed by accident.
let made = 0;

export const publisher = '00000000-1111-4222-8333-444444444444';

export function makeImage(options: ImageOptions = {}): TestImage {
	const number = ++made;
	const uuid = options.uuid ?? randomUUID();
	const bytes = options.bytes ?? pseudoRandom(options.size ?? 10_000, options.seed ?? number);
	const sha1 = digest('sha1', bytes);
	const compression = options.compression ?? 'gzip';
	const file: Record<string, unknown> = {
		sha1: 'claimedSha1' in options ? options.claimedSha1 : sha1,
		size: 'claimedSize' in options ? options.claimedSize : bytes.length,
		compression,
		...(options.withMd5 ? {md5: digest('md5', bytes)} : {}),
		...options.file,
	};
	const state = options.state ?? 'active';
	const origin = typeof options.origin === 'object' ? options.origin.uuid : options.origin;
	const built = {
		v: 2,
		uuid,
		owner: options.owner ?? publisher,
		name: options.name ?? `image-${number}`,
		version: options.version ?? '1.0.0',
		state,
		disabled: state === 'disabled',
		public: options.public ?? true,
		published_at: state === 'unactivated' ? undefined : (options.publishedAt ?? publishedAt(number)),
		type: options.type ?? 'zone-dataset',
		os: options.os ?? 'smartos',
		files: [file],
		acl: options.acl,
		description: options.description ?? `Image number ${number}`,
		icon: options.icon === undefined ? undefined : true,
		urn: options.urn,
		origin,
		...options.extra,
	};
	const text = options.text ?? JSON.stringify(built);
	return new MadeImage(text, bytes, sha1, options.path, options.icon);
}

class MadeImage implements TestImage {
	readonly uuid: string;
	readonly manifest: Readonly<Record<string, unknown>>;
	readonly path: string;
	#md5: Buffer | undefined;
	#sha256: string | undefined;

	constructor(
		readonly text: string,
		readonly bytes: Buffer,
		readonly sha1: string,
		path: string | undefined,
		readonly icon: Buffer | undefined,
	) {
		this.manifest = JSON.parse(text) as Record<string, unknown>;
		this.uuid = String(this.manifest['uuid']);
		this.path = path ?? derivedPath(this.manifest);
	}

	get size(): number {
		return this.bytes.length;
	}

	get md5(): string {
		return this.#md5Bytes().toString('hex');
	}

	get contentMd5(): string {
		return this.#md5Bytes().toString('base64');
	}

	get sha256(): string {
		return (this.#sha256 ??= digest('sha256', this.bytes));
	}

	get pretty(): string {
		return JSON.stringify(this.manifest, undefined, 2);
	}

	get dataset(): Readonly<Record<string, unknown>> {
		return datasetOf(this, `/datasets/${this.uuid}/${this.path}`);
	}

	// Hashing a large image costs more than making it, and few tests look at the md5.
	#md5Bytes(): Buffer {
		return (this.#md5 ??= createHash('md5').update(this.bytes).digest());
	}
}

// What DSAPI shows under another name, or not at all.
const v2Only = ['v', 'owner', 'state', 'disabled', 'public', 'acl', 'files', 'homepage', 'tags', 'billing_tags'];

/** `image` as a DSAPI server shows it, its file at `url`; `undefined`: without that key. */
export function datasetOf(
	image: TestManifest & {readonly path?: string},
	url: string | undefined,
): Readonly<Record<string, unknown>> {
	const {manifest} = image;
	const {
		name,
		version,
		owner,
		acl,
		urn,
		image_size: imageSize,
	} = manifest as Partial<Record<'name' | 'version' | 'owner' | 'urn', string>> & {
		readonly acl?: readonly string[];
		readonly image_size?: number;
	};
	const published = manifest['published_at'];
	const [file] = (manifest['files'] ?? []) as Readonly<Record<string, unknown>>[];
	const fileKeys = Object.entries(file ?? {}).filter(([key]) => key !== 'compression');
	const dataset = {
		...Object.fromEntries(Object.entries(manifest).filter(([key]) => !v2Only.includes(key))),
		creator_uuid: owner,
		vendor_uuid: owner,
		creator_name: 'sdc',
		cloud_name: 'sdc',
		platform_type: 'smartos',
		created_at: published,
		updated_at: published,
		urn: urn ?? `sdc:sdc:${name ?? ''}:${version ?? ''}`,
		restricted_to_uuid: manifest['public'] === false ? (acl?.[0] ?? owner) : undefined,
		image_size: imageSize === undefined ? undefined : String(imageSize),
		files:
			file === undefined ? [] : [{path: image.path ?? derivedPath(manifest), ...Object.fromEntries(fileKeys), url}],
	};
	return JSON.parse(JSON.stringify(dataset)) as Record<string, unknown>;
}

const extensions: Readonly<Record<string, string>> = {gzip: '.gz', bzip2: '.bz2', xz: '.xz'};

function derivedPath(manifest: Readonly<Record<string, unknown>>): string {
	const [file] = (manifest['files'] ?? []) as Readonly<Record<string, unknown>>[];
	const extension = extensions[String(file?.['compression'])] ?? '';
	const kind = manifest['type'] === 'zvol' ? 'zvol' : 'zfs';
	const stem = `${String(manifest['name'])}-${String(manifest['version'])}`;
	return `${stem.replaceAll(/[^A-Za-z0-9._+-]/g, '_')}.${kind}${extension}`;
}

/** `count` manifests such as updates.tritondatacenter.com lists, a good kilobyte each. They have no file to give. */
export function makeManifests(count: number, options: {readonly startAt?: number} = {}): readonly TestManifest[] {
	const names = ['imgapi', 'vmapi', 'cnapi', 'agents-installer', 'platform', 'sdcadm', 'gz-tools', 'manta-webapi'];
	return Array.from({length: count}, (_, place) => {
		const number = (options.startAt ?? 0) + place;
		const uuid = randomUUID();
		const name = names[number % names.length] ?? 'imgapi';
		const branch = number % 3 === 0 ? 'master' : 'release-20260101';
		const stamp = publishedAt(number).replaceAll(/[-:]|\.\d+/g, '');
		const manifest = {
			v: 2,
			uuid,
			owner: publisher,
			name,
			version: `${branch}-${stamp}-g${digest('sha1', Buffer.from(uuid)).slice(0, 7)}`,
			state: 'active',
			disabled: false,
			public: false,
			published_at: publishedAt(number),
			type: 'zone-dataset',
			os: 'smartos',
			files: [{sha1: digest('sha1', Buffer.from(`${uuid} file`)), size: 40_000_000 + number, compression: 'gzip'}],
			acl: [publisher],
			description: `SmartDataCenter ${name}, built from ${branch}. ${'It runs in its own zone. '.repeat(8)}`.trim(),
			homepage: `https://github.com/TritonDataCenter/sdc-${name}`,
			requirements: {
				min_platform: {'7.0': '20210826T002459Z'},
				networks: [{name: 'net0', description: 'admin'}],
			},
			origin: '04a48d7d-6bb5-4e83-8c3b-e60a99e0f48f',
			tags: {
				smartdc_service: 'true',
				buildstamp: `${branch}-${stamp}`,
				git: {branch, describe: `${stamp}-${number}`},
			},
			channels: ['dev', 'staging'],
		};
		return {uuid, manifest, text: JSON.stringify(manifest)};
	});
}

/** A second for each number, from the beginning of 2020. */
function publishedAt(number: number): string {
	return new Date(Date.UTC(2020, 0, 1) + number * 1000).toISOString();
}

/** Bytes that look random and are the same for the same seed; half a gigabyte per second or so. */
export function pseudoRandom(size: number, seed: number): Buffer {
	const words = new Uint32Array(Math.ceil(size / 4));
	// Any other number than 0, which xorshift never leaves.
	let x = (Math.imul(seed + 1, 0x9e3779b1) ^ size) | 1;
	for (let place = 0; place < words.length; place++) {
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
		words[place] = x;
	}
	return Buffer.from(words.buffer, 0, size);
}

export function digest(algorithm: 'md5' | 'sha1' | 'sha256', bytes: Uint8Array): string {
	return createHash(algorithm).update(bytes).digest('hex');
}
