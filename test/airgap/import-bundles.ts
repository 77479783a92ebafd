/**
 * Bundles for imports: of any shape, with what is wrong in them wrong on purpose, and a way to have one imported.
 *
 * Unlike those of `make-bundle.ts` these may lie with right digests: in the index, in an OCI manifest, in an IMGAPI
 * manifest. What is done to the bytes afterwards (`flipped`, `changed`, `without`) is what a `TestBundle` can do.
 */
import {createHash, randomUUID} from 'node:crypto';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import type {ImportEvent, ImportOptions} from '../../src/airgap/api.js';
import {FolderBundle} from '../../src/airgap/folder-bundle.js';
import {Importer} from '../../src/airgap/import.js';
import {folderSpool, type Spool} from '../../src/airgap/spool.js';
import {asError} from '../../src/errors.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import type {FakeCarryIn} from './fake-carry-in.js';
import {TestBundle, inPieces, tarOf} from './make-bundle.js';

/** What a bundle may say that is not so, with right digests all the same. */
export const lies = [
	'index: another size',
	'index: a digest of nothing',
	'index: another uuid',
	'manifest: another uuid',
	'manifest: another version of the schema',
	'manifest: a config that is not there',
	'manifest: a layer more',
	'manifest: a layer of another kind',
	'manifest: another sha1',
	'both: another sha1',
	'both: another size',
	'config: no JSON',
	'config: another compression',
] as const;

export type Lie = (typeof lies)[number];

export interface ImageSpec {
	readonly uuid?: string;
	readonly name?: string;
	readonly origin?: string;
	readonly files?: readonly Buffer[];
	readonly icon?: Buffer;
	/** Its uuid unless given. */
	readonly tag?: string;
	readonly channels?: readonly string[];
	readonly description?: string;
	/** False: only the layer says what the sha1 is. */
	readonly sha1InConfig?: boolean;
	readonly elsewhere?: boolean;
	readonly lie?: Lie | undefined;
}

export interface BundledSpec {
	readonly uuid: string;
	readonly origin: string | undefined;
	/** The IMGAPI manifest. */
	readonly text: string;
	/** Paths below the bundle. */
	readonly manifest: string;
	readonly config: string;
	readonly files: readonly string[];
	readonly icon: string | undefined;
}

export interface SpecBundle {
	readonly bundle: TestBundle;
	/** As they were given. */
	readonly images: readonly BundledSpec[];
}

interface Descriptor {
	readonly mediaType: string;
	readonly digest: string;
	readonly size: number;
	readonly annotations?: Readonly<Record<string, string>>;
	readonly artifactType?: string;
}

export const layoutBytes = Buffer.from('{"imageLayoutVersion":"1.0.0"}');

export function hexOf(algorithm: 'sha1' | 'sha256', bytes: Buffer): string {
	return createHash(algorithm).update(bytes).digest('hex');
}

export function pathOf(bytes: Buffer): string {
	return `blobs/sha256/${hexOf('sha256', bytes)}`;
}

function describe(mediaType: string, bytes: Buffer, annotations?: Readonly<Record<string, string>>): Descriptor {
	const digest = `sha256:${hexOf('sha256', bytes)}`;
	return {mediaType, digest, size: bytes.length, ...(annotations === undefined ? {} : {annotations})};
}

const nothing = `sha256:${'ab'.repeat(32)}`;

/** Its blobs as a bundle has them, in order, and what the index says of it. */
export function artifactOf(spec: ImageSpec): {
	readonly image: BundledSpec;
	readonly blobs: readonly Buffer[];
	readonly entry: Descriptor;
} {
	const {uuid = randomUUID(), name = 'base', origin, files = [], icon, lie, sha1InConfig = true} = spec;
	const otherSha1 = '0123456789abcdef0123456789abcdef01234567';
	const sizeOf = (bytes: Buffer): number => bytes.length + (lie === 'both: another size' ? 1 : 0);
	const lyingSha1 = (bytes: Buffer): string => (lie === 'both: another sha1' ? otherSha1 : hexOf('sha1', bytes));
	const told = {
		v: 2,
		uuid,
		owner: '00000000-1111-4222-8333-444444444444',
		name,
		version: '1.0.0',
		state: 'active',
		disabled: false,
		public: true,
		published_at: '2024-01-01T00:00:00.000Z',
		type: 'zone-dataset',
		os: 'smartos',
		files: files.map(bytes => ({
			...(sha1InConfig ? {sha1: lyingSha1(bytes)} : {}),
			size: sizeOf(bytes),
			compression: lie === 'config: another compression' ? 'xz' : 'gzip',
		})),
		description: spec.description,
		icon: icon === undefined ? undefined : true,
		origin,
		channels: spec.channels,
	};
	const text = lie === 'config: no JSON' ? '{"v":2,' : JSON.stringify(told, undefined, 2);
	const config = Buffer.from(text);
	const layers: Descriptor[] = files.map((bytes, index) => ({
		...describe('application/vnd.smartos.image.file.v1.zfs+gzip', bytes, {
			'org.opencontainers.image.title': `${uuid}-file${index === 0 ? '' : index}.gz`,
			'org.smartos.image.file.sha1': lie === 'manifest: another sha1' ? otherSha1 : lyingSha1(bytes),
		}),
		size: sizeOf(bytes),
	}));
	if (icon !== undefined) {
		layers.push(describe('image/png', icon, {'org.opencontainers.image.title': `${uuid}-icon.png`}));
	}
	if (lie === 'manifest: a layer more') {
		layers.unshift({
			...describe('application/vnd.smartos.image.file.v1.zfs+gzip', Buffer.from('more')),
			annotations: {},
		});
	}
	if (lie === 'manifest: a layer of another kind') {
		layers.push(describe('application/vnd.oci.image.layer.v1.tar+gzip', Buffer.from('layer')));
	}
	const empty = describe('application/vnd.oci.empty.v1+json', Buffer.from('{}'));
	const configDescriptor = describe('application/vnd.smartos.image.manifest.v2+json', config);
	const manifest = Buffer.from(
		JSON.stringify({
			schemaVersion: lie === 'manifest: another version of the schema' ? 1 : 2,
			mediaType: 'application/vnd.oci.image.manifest.v1+json',
			artifactType: 'application/vnd.smartos.image.v1',
			config:
				lie === 'manifest: a config that is not there' ? {...configDescriptor, digest: nothing} : configDescriptor,
			layers: layers.length === 0 ? [empty] : layers,
			annotations: {
				'org.opencontainers.image.title': name,
				'org.smartos.image.uuid': lie === 'manifest: another uuid' ? randomUUID() : uuid,
			},
		}),
	);
	const described = describe('application/vnd.oci.image.manifest.v1+json', manifest, {
		'org.opencontainers.image.ref.name': lie === 'index: another uuid' ? randomUUID() : (spec.tag ?? uuid),
		'org.opencontainers.image.title': name,
		'org.opencontainers.image.version': '1.0.0',
		...(spec.elsewhere === true ? {'org.smartos.image.files': 'elsewhere'} : {}),
	});
	const entry: Descriptor = {
		...described,
		...(lie === 'index: another size' ? {size: described.size + 1} : {}),
		...(lie === 'index: a digest of nothing' ? {digest: `sha256:${hexOf('sha256', Buffer.from(uuid))}`} : {}),
		artifactType: 'application/vnd.smartos.image.v1',
	};
	const carried = spec.elsewhere === true ? [] : files;
	return {
		image: {
			...{uuid, origin, text, manifest: pathOf(manifest), config: pathOf(config)},
			files: files.map(pathOf),
			icon: icon === undefined ? undefined : pathOf(icon),
		},
		blobs: [manifest, config, ...carried, ...(icon === undefined ? [] : [icon])],
		entry,
	};
}

export function indexOf(entries: readonly object[]): Buffer {
	return Buffer.from(
		JSON.stringify({schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: entries}),
	);
}

/** `more`: further entries of the index, and their blobs. */
export function specBundle(
	specs: readonly ImageSpec[],
	{more = [], sign}: {readonly more?: readonly object[]; readonly sign?: (index: Buffer) => string} = {},
): SpecBundle {
	const made = specs.map(artifactOf);
	const index = indexOf([...made.map(({entry}) => entry), ...more]);
	const blobs = new Map(made.flatMap(({blobs: own}) => own.map(bytes => [pathOf(bytes), bytes] as const)));
	const files = new Map([
		['oci-layout', layoutBytes],
		['index.json', index],
		...(sign === undefined ? [] : [['index.json.sig', Buffer.from(sign(index))] as const]),
		...blobs,
	]);
	return {bundle: new TestBundle(files, []), images: made.map(({image}) => image)};
}

export interface Imported {
	readonly events: readonly ImportEvent[];
	/** What it threw. */
	readonly error: Error | undefined;
	readonly done: ReadonlyMap<string, Extract<ImportEvent, {what: 'done'}>>;
	readonly warnings: readonly string[];
	readonly end: Extract<ImportEvent, {what: 'end'}> | undefined;
}

/** As a tar of ours, or with what other tools say of when a file was written. */
export function tarBytes(bundle: TestBundle, form: Form = 'stream'): Buffer {
	const mtime = form === 'shuffled' ? 1_700_000_000 : 0;
	return tarOf([...bundle.files].map(([path, bytes]) => ({path, bytes, mtime})));
}

export type Form = 'stream' | 'gzip' | 'shuffled' | 'folder';

/** Nothing larger may be put aside. */
function limited(spool: Spool, mostBytes: number): Spool {
	return {
		create: async size => {
			if (size > mostBytes) {
				throw new TypeError(`${size} bytes would be put aside`);
			}
			return spool.create(size);
		},
		close: () => spool.close(),
	};
}

export interface Bench {
	readonly host: TestHost;
	readonly importer: Importer;
	/** Of any body. */
	start(body: AsyncIterable<Buffer>, signal?: AbortSignal): AsyncGenerator<ImportEvent, void, undefined>;
	/** All of it. */
	run(bundle: TestBundle, form?: Form, more?: RunOptions): Promise<Imported>;
}

export interface RunOptions {
	readonly signal?: AbortSignal;
	readonly options?: Partial<ImportOptions>;
	/** Called with each event, before the next is asked for. */
	readonly onEvent?: (event: ImportEvent) => void | Promise<void>;
}

export async function importBench(
	t: Scope,
	carry: FakeCarryIn,
	{
		mostAside = Infinity,
		judge = async () => ({}),
	}: {readonly mostAside?: number; readonly judge?: ConstructorParameters<typeof Importer>[0]['keys']['judge']} = {},
): Promise<Bench> {
	const folder = await tempDir(t);
	const host = testHost();
	const importer = new Importer({
		host,
		carry,
		keys: {judge},
		spool: () => limited(folderSpool(join(folder, 'spool')), mostAside),
	});
	const by = {name: 'ann', operator: true};
	const all: ImportOptions = {allowUnsigned: true, dryRun: false};
	const whole = (signal = new AbortController().signal): {readonly signal: AbortSignal} => ({signal});
	let folders = 0;
	return {
		host,
		importer,
		start: (body, signal) => importer.import(body, all, by, whole(signal)),
		async run(bundle, form = 'stream', {signal, options, onEvent} = {}) {
			const how = {...all, ...options};
			if (form !== 'folder') {
				const tar = tarBytes(bundle, form);
				const body = inPieces(form === 'gzip' ? gzipSync(tar, {level: 1}) : tar);
				return readAll(importer.import(body, how, by, whole(signal)), onEvent);
			}
			const files = new FolderBundle(await bundle.writeFolder(join(folder, `bundle-${folders++}`)));
			try {
				return await readAll(importer.importFiles(files, how, by, whole(signal)), onEvent);
			} finally {
				await files.close();
			}
		},
	};
}

export async function readAll(
	lines: AsyncGenerator<ImportEvent, void, undefined>,
	onEvent: RunOptions['onEvent'] = () => undefined,
): Promise<Imported> {
	const events: ImportEvent[] = [];
	let error: Error | undefined;
	try {
		for await (const event of lines) {
			events.push(event);
			await onEvent(event);
		}
	} catch (thrown) {
		error = asError(thrown);
	}
	return {
		events,
		error,
		done: new Map(events.filter(event => event.what === 'done').map(event => [event.uuid, event])),
		warnings: events.filter(event => event.what === 'warning').map(({message}) => message),
		end: events.find(event => event.what === 'end'),
	};
}
