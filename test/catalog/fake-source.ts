/**
 * A source that lists and finds what a test puts into it, fails when told, and answers when told.
 *
 * Tests set `images`, `loose` and `failure`, and call `hold` to keep questions waiting; `lists` and `finds` record
 * what was asked.
 */
import type {Ask, FileBody, Icon, ListEnd, Source, SourceKind} from '../../src/sources/source.js';
import {NotFoundError, SourceUnavailableError} from '../../src/errors.js';
import {parseManifest, type Manifest, type Uuid} from '../../src/image/manifest.js';
import {Packer, UnpackedTexts} from '../../src/image/packed.js';
import type {CatalogSource} from '../../src/catalog/catalog.js';
import {makeManifests} from '../helpers/make-image.js';
import {settle} from '../helpers/manual-clock.js';

export class FakeSource implements Source {
	readonly name: string;
	kind: SourceKind | undefined = 'imgapi';
	images: Manifest[];
	/** Found by uuid, in no list. */
	loose: Manifest[] = [];
	failure: Error | undefined;
	/** The list breaks after so many images. */
	breakAfter: number | undefined;
	skipped = 0;
	lists = 0;
	closed = false;
	readonly finds: Uuid[] = [];
	readonly asks: Ask[] = [];
	#gate: Promise<void> | undefined;
	#second: Promise<void> | undefined;
	readonly #watchers = new Set<() => void>();

	constructor(name: string, images: readonly Manifest[] = []) {
		this.name = name;
		this.images = [...images];
	}

	down(problem = 'connection refused'): this {
		this.failure = new SourceUnavailableError(this.name, problem);
		return this;
	}

	up(): this {
		this.failure = undefined;
		return this;
	}

	/** Questions from now on wait until the function that this returns is called. */
	hold(): () => void {
		let release = (): void => undefined;
		const gate = new Promise<void>(resolve => {
			release = resolve;
		});
		this.#gate = gate;
		return () => {
			if (this.#gate === gate) {
				this.#gate = undefined;
			}
			release();
		};
	}

	/** Resolves once so many questions of that kind have been asked. */
	async asked(what: 'list' | 'find', count = 1): Promise<void> {
		await new Promise<void>(resolve => {
			const look = (): void => {
				if ((what === 'list' ? this.lists : this.finds.length) >= count) {
					this.#watchers.delete(look);
					resolve();
				}
			};
			this.#watchers.add(look);
			look();
		});
	}

	/** Lists give their first image at once, and wait before the second until the function that this returns is called. */
	holdAfterFirst(): () => void {
		let release = (): void => undefined;
		this.#second = new Promise<void>(resolve => {
			release = resolve;
		});
		return release;
	}

	async *list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		this.lists++;
		this.asks.push(ask);
		this.#noticed();
		await this.#gate;
		if (this.failure !== undefined) {
			throw this.failure;
		}
		for (const [at, image] of this.images.entries()) {
			if (at === this.breakAfter) {
				throw new SourceUnavailableError(this.name, 'the connection broke');
			}
			if (at === 1) {
				await this.#second;
			}
			yield image;
		}
		return {skipped: this.skipped, reasons: this.skipped === 0 ? [] : ['no uuid']};
	}

	async find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		this.finds.push(uuid);
		this.asks.push(ask);
		this.#noticed();
		await this.#gate;
		if (this.failure !== undefined) {
			throw this.failure;
		}
		return [...this.images, ...this.loose].find(image => image.uuid === uuid);
	}

	openFile(image: Manifest): Promise<FileBody> {
		return Promise.reject(new NotFoundError(`${image.uuid} has no file`));
	}

	readIcon(): Promise<Icon | undefined> {
		return Promise.resolve(undefined);
	}

	close(): Promise<void> {
		this.closed = true;
		return Promise.resolve();
	}

	#noticed(): void {
		for (const look of [...this.#watchers]) {
			look();
		}
	}
}

export const minute = 60_000;
export const day = 24 * 60 * minute;

/** As the configuration would have it, unless the test says otherwise. */
export function entry(source: Source, options: Partial<CatalogSource> = {}): CatalogSource {
	return {
		source,
		listTtlMs: 10 * minute,
		imageTtlMs: 5 * minute,
		missingTtlMs: minute,
		keepForMs: 30 * day,
		vanished: 'keep',
		matches: () => true,
		...options,
	};
}

/** New images, oldest first. */
export function images(count: number): Manifest[] {
	return kept(makeManifests(count).map(({text}) => text));
}

/** One new image. */
export function image(fields: Readonly<Record<string, unknown>> = {}): Manifest {
	const [made] = makeManifests(1);
	return keptOne(JSON.stringify({...made?.manifest, ...fields}));
}

/** The same image with other fields. */
export function changed(manifest: Manifest, fields: Readonly<Record<string, unknown>>): Manifest {
	return keptOne(JSON.stringify({...(JSON.parse(manifest.text) as object), ...fields}));
}

/** As a source yields it: what the catalog keeps has no fields of its own that could be spread. */
export function plain({text}: Manifest): Manifest {
	return parseManifest(text);
}

/** As the catalog keeps them: so they are the same objects that come out of a list. */
function kept(texts: readonly string[]): Manifest[] {
	const packer = new Packer(new UnpackedTexts());
	const manifests = texts.map(text => packer.pack(parseManifest(text)));
	packer.end();
	return manifests;
}

function keptOne(text: string): Manifest {
	const [manifest = parseManifest(text)] = kept([text]);
	return manifest;
}

export function disabled(manifest: Manifest): Manifest {
	return changed(manifest, {state: 'disabled', disabled: true});
}

export function files(sha1: string, size = 1000): Readonly<Record<string, unknown>> {
	return {files: [{sha1, size, compression: 'gzip'}]};
}

export function someAsk(options: Omit<Partial<Ask>, 'signal'> = {}): Ask {
	return {signal: new AbortController().signal, ...options};
}

/** Lets disks and promises have some turns; for looking at what has not happened. */
export async function quiet(): Promise<void> {
	for (let turn = 0; turn < 20; turn++) {
		await settle();
	}
}
