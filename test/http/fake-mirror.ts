/**
 * A mirror in memory, for tests of what stands in front of it.
 *
 * It answers from the images it is given, counts what is open, and does what a test tells it to: throw, wait, fail in
 * mid-file. The real rules of catalog and store are not here.
 */
import {createHash} from 'node:crypto';
import {encodeList} from '../../src/catalog/encoded-list.js';
import {NotFoundError} from '../../src/errors.js';
import {prettyJson} from '../../src/image/json-text.js';
import {compareImages, isActive, parseManifest, type Manifest, type Uuid} from '../../src/image/manifest.js';
import {runImageQuery, type ImageQuery} from '../../src/image/query.js';
import type {
	CacheOutcome,
	FileReader,
	FoundImage,
	IconFile,
	Listing,
	ListState,
	MirrorApi,
	OpenFile,
	Readiness,
	SearchResult,
} from '../../src/mirror.js';
import type {Ask} from '../../src/sources/source.js';
import type {TestManifest} from '../helpers/make-image.js';
import {FakePublish} from './fake-publish.js';

/** A `TestImage`, or a manifest with bytes that are made up as they are read. */
export type FakeImage = TestManifest & {
	readonly bytes?: Buffer;
	readonly contentMd5?: string;
	readonly icon?: Buffer | undefined;
};

type Verb =
	| 'list'
	| 'encoded'
	| 'search'
	| 'find'
	| 'openFile'
	| 'body'
	| 'read'
	| 'readIcon'
	| 'updateMetrics'
	| 'status'
	| 'readiness';

export class FakeMirror implements MirrorApi {
	readonly calls: {readonly verb: Verb; readonly ask?: Ask; readonly about?: string | number}[] = [];
	readonly manifests: readonly Manifest[];
	/** Finds nothing of its own unless a test puts it there. */
	readonly publish = new FakePublish();
	/** Runs before each call of that name; may throw or wait. `about`: a uuid, a query's key, or where a read begins. */
	readonly before: Partial<Record<Verb, ((ask?: Ask, about?: string | number) => Promise<void> | void) | undefined>> =
		{};
	cache: CacheOutcome = 'hit';
	/** What `body` finds out. */
	cacheOnceOpen: CacheOutcome | undefined;
	source = 'upstream';
	storedAtMs: number | undefined = Date.UTC(2024, 0, 2, 3, 4, 5, 678);
	iconType = 'image/png';
	/** Lists are put together before they are sent, not meanwhile. */
	isPutTogether = true;
	/** Bytes of one read, at most. */
	readSize = Infinity;
	ready: Readiness = {ready: true, problems: [], warnings: []};
	/** What `listNow` and `findNow` say; left out: that they cannot tell. */
	listedNow: Listing | undefined;
	/** Of the list; another when somebody has made it another. */
	version = 1;
	/** Whether `listState` can tell. */
	tellsState = false;
	foundNow: FoundImage | undefined;
	openFiles = 0;
	openedFiles = 0;
	readonly #images: ReadonlyMap<string, FakeImage>;
	readonly #waiting = new Set<() => void>();

	constructor(images: readonly FakeImage[] = []) {
		this.#images = new Map(images.map(image => [image.uuid, image]));
		this.manifests = images.map(({text}) => parseManifest(text)).sort(compareImages);
	}

	callsOf(verb: Verb): number {
		return this.calls.filter(call => call.verb === verb).length;
	}

	/** Resolves once nothing is open, or once `holds` does. */
	async until(holds: () => boolean = () => this.openFiles === 0): Promise<void> {
		while (!holds()) {
			await new Promise<void>(resolve => this.#waiting.add(resolve));
		}
	}

	async list(query: ImageQuery, ask: Ask): Promise<Listing> {
		await this.called('list', ask, query.key);
		const images = runImageQuery(query, this.#listed());
		const text = `[${images.map(({text}) => text).join(',')}]`;
		const whole = Buffer.from(prettyJson(text));
		// In pieces, as a long list comes.
		const half = Math.ceil(whole.length / 2);
		const chunks = [whole.subarray(0, half), whole.subarray(half)];
		return {
			chunks: () => (this.isPutTogether ? chunks : undefined),
			parts: () => chunks,
			length: whole.length,
			etag: createHash('sha1').update(whole).digest('hex'),
			encodings: whole.length < 1024 ? [] : ['br', 'gzip'],
			encoded: async encoding => {
				await this.called('encoded', ask, encoding);
				return encodeList({parts: () => [whole], length: whole.length}, encoding);
			},
			cache: this.cache,
		};
	}

	listNow(): Listing | undefined {
		return this.listedNow;
	}

	findNow(): FoundImage | undefined {
		return this.foundNow;
	}

	async search(query: ImageQuery, ask: Ask): Promise<SearchResult> {
		await this.called('search', ask, query.key);
		return {version: this.version, images: runImageQuery(query, this.#listed()), cache: this.cache};
	}

	listState(): ListState | undefined {
		return this.tellsState ? {version: this.version, cache: this.cache} : undefined;
	}

	async find(uuid: Uuid, ask: Ask): Promise<FoundImage> {
		await this.called('find', ask, uuid);
		const ours = this.publish.get(uuid);
		if (ours !== undefined) {
			return {manifest: ours, source: 'local', cache: 'local'};
		}
		const manifest = this.manifests.find(each => each.uuid === uuid);
		if (manifest === undefined) {
			throw new NotFoundError(`image ${uuid} not found`);
		}
		return {manifest, source: this.source, cache: this.cache};
	}

	async openFile({manifest}: FoundImage, index: number): Promise<OpenFile> {
		await this.called('openFile', undefined, `${manifest.uuid} ${index}`);
		const file = manifest.files[index];
		const image = this.#images.get(manifest.uuid);
		if (file === undefined || image === undefined) {
			throw new NotFoundError(`image ${manifest.uuid} has no file ${index}`);
		}
		this.openFiles++;
		this.openedFiles++;
		return new FakeFile(this, image, file, () => {
			this.openFiles--;
			this.moved();
		});
	}

	async readIcon({manifest}: FoundImage, ask: Ask): Promise<IconFile> {
		await this.called('readIcon', ask, manifest.uuid);
		const icon = this.#images.get(manifest.uuid)?.icon;
		if (icon === undefined) {
			throw new NotFoundError(`image ${manifest.uuid} has no icon`);
		}
		return {
			bytes: icon,
			contentType: this.iconType,
			storedAtMs: Date.UTC(2024, 0, 2, 3, 4, 5),
			source: this.source,
			cache: this.cache,
		};
	}

	async updateMetrics(): Promise<void> {
		await this.called('updateMetrics');
	}

	async status({namesImages} = {namesImages: true}): Promise<object> {
		await this.called('status');
		return {...(namesImages ? {} : {namesImages}), sources: [{name: this.source, up: true}]};
	}

	async readiness(): Promise<Readiness> {
		await this.called('readiness');
		return this.ready;
	}

	moved(): void {
		const waiting = [...this.#waiting];
		this.#waiting.clear();
		for (const look of waiting) {
			look();
		}
	}

	async called(verb: Verb, ask?: Ask, about?: string | number): Promise<void> {
		this.calls.push({
			verb,
			...(ask === undefined ? {} : {ask}),
			...(about === undefined ? {} : {about}),
		});
		this.moved();
		await this.before[verb]?.(ask, about);
	}

	#listed(): readonly Manifest[] {
		return this.manifests.filter(isActive);
	}
}

class FakeFile implements OpenFile {
	readonly size: number;
	readonly sha1: string | undefined;
	readonly contentMd5: string | undefined;
	readonly storedAtMs: number | undefined;
	source: string;
	cache: CacheOutcome;
	#open = true;
	readonly #mirror: FakeMirror;
	readonly #image: FakeImage;
	readonly #onClose: () => void;
	#cutReads = new Set<(error: Error) => void>();

	constructor(
		mirror: FakeMirror,
		image: FakeImage,
		file: {readonly size: number; readonly sha1: string | undefined},
		onClose: () => void,
	) {
		this.#mirror = mirror;
		this.#image = image;
		this.#onClose = onClose;
		this.size = file.size;
		this.sha1 = file.sha1;
		this.contentMd5 = image.contentMd5;
		this.storedAtMs = mirror.storedAtMs;
		this.source = mirror.source;
		this.cache = mirror.cache;
	}

	async body(start: number, end: number, ask: Ask): Promise<FileReader> {
		await this.#whileOpen(this.#mirror.called('body', ask, start));
		this.cache = this.#mirror.cacheOnceOpen ?? this.cache;
		let position = start;
		return {
			content: undefined,
			ready: () => Promise.resolve(),
			stretch: () => undefined,
			skip: () => undefined,
			readStretch: () => Promise.resolve(0),
			read: async into => {
				await this.#whileOpen(this.#mirror.called('read', ask, position));
				const length = Math.min(into.length, end - position, this.#mirror.readSize);
				fill(into.subarray(0, length), this.#image, position);
				position += length;
				return length;
			},
		};
	}

	close(): void {
		if (!this.#open) {
			throw new Error('closed twice');
		}
		this.#open = false;
		for (const cut of this.#cutReads) {
			cut(new Error('the file is closed'));
		}
		this.#onClose();
	}

	async #whileOpen(work: Promise<void>): Promise<void> {
		let cut: (error: Error) => void = () => undefined;
		const closed = new Promise<never>((_, reject) => {
			cut = reject;
			this.#cutReads.add(reject);
		});
		try {
			await Promise.race([work, closed]);
		} finally {
			this.#cutReads.delete(cut);
		}
	}
}

/** What stands at `position` of an image without bytes of its own: the number of each 64 KiB. */
export function fill(into: Buffer, image: FakeImage, position: number): void {
	if (image.bytes !== undefined) {
		image.bytes.copy(into, 0, position, position + into.length);
		return;
	}
	for (let at = 0; at < into.length;) {
		const block = Math.floor((position + at) / 65_536);
		const end = Math.min(into.length, (block + 1) * 65_536 - position);
		into.fill(block % 251, at, end);
		at = end;
	}
}
