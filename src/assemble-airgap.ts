/**
 * Carrying images by hand, put together: keys, the way out, the way in.
 *
 * `assemble.ts` makes it when everything else is there, and configures it anew on SIGHUP. HTTP sees the whole.
 */
import {rm} from 'node:fs/promises';
import type {AirgapApi, ExportRequest, ImportEvent, ImportOptions, PlanEvent, TarFile} from './airgap/api.js';
import type {Exporter} from './airgap/exporter.js';
import type {Importer} from './airgap/import.js';
import {Keys} from './airgap/keys.js';
import type {Layout} from './blobs/layout.js';
import type {DiskStore} from './blobs/store.js';
import type {SourceSet} from './assemble-sources.js';
import type {Catalog} from './catalog/catalog.js';
import type {Config} from './config.js';
import type {Host} from './host.js';
import {Carrying} from './mirror-carry.js';
import type {AheadApi} from './mirror-ahead-api.js';
import type {Mirror} from './mirror.js';
import type {Actor} from './publish/api.js';
import type {Publisher} from './publish/publisher.js';
import type {Ask} from './sources/source.js';

export interface AirgapParts {
	readonly host: Host;
	readonly layout: Layout;
	readonly store: DiskStore;
	readonly catalog: Catalog;
	readonly mirror: Mirror;
	readonly publisher: Publisher;
	readonly sources: SourceSet;
	readonly ahead: AheadApi;
	/** What stays free of the disk, whatever comes by hand. */
	readonly floorBytes: number;
}

export class Airgap implements AirgapApi {
	readonly keys: Keys;
	readonly #host: Host;
	readonly #layout: Layout;
	readonly #carrying: Carrying;
	/** Both are much, and most days nobody carries anything: loaded for the first who does. */
	readonly #loadExporter: () => Promise<Exporter>;
	readonly #loadImporter: () => Promise<Importer>;
	#exporter: Promise<Exporter> | undefined;
	#importer: Promise<Importer> | undefined;
	#config: Config;
	#floorBytes: number;

	constructor(config: Config, parts: AirgapParts) {
		const {host, layout, store, catalog, mirror, publisher, sources, ahead, floorBytes} = parts;
		this.#config = config;
		this.#floorBytes = floorBytes;
		this.#host = host;
		this.#layout = layout;
		this.keys = new Keys({
			...{keyFile: layout.bundleKey, trustedFile: layout.trustedKeys, log: host.log},
			configured: () => this.#config.bundles.trustedKeys,
		});
		this.#carrying = new Carrying({
			...{host, catalog, store, mirror, ahead, publish: publisher, carried: publisher.carried, files: mirror.files},
			channelOf: name => sources.channelOf(name),
		});
		const {keys} = this;
		this.#loadExporter = async () => {
			const {Exporter} = await import('./airgap/exporter.js');
			return new Exporter({
				...{host, carry: this.#carrying, keys},
				rules: () => this.#config.prefetch.rules,
				datasetNames: () => this.#config.datasets,
			});
		};
		this.#loadImporter = async () => {
			const [{Importer}, {folderSpool}] = await Promise.all([
				import('./airgap/import.js'),
				import('./airgap/spool.js'),
			]);
			return new Importer({
				...{host, carry: this.#carrying, keys},
				spool: () => folderSpool(layout.spool, this.#floorBytes),
			});
		};
	}

	/** What an import that was killed has left is of no use to anybody. */
	async load(): Promise<void> {
		await rm(this.#layout.spool, {recursive: true, force: true});
	}

	configure(config: Config, floorBytes: number): void {
		this.#config = config;
		this.#floorBytes = floorBytes;
	}

	async *plan(request: ExportRequest, ask: Ask): AsyncGenerator<PlanEvent, void, undefined> {
		await this.#carrying.ready(ask);
		const exporter = await this.#exporting();
		yield* exporter.plan(request, ask);
	}

	async export(request: ExportRequest, ask: Ask): Promise<TarFile> {
		await this.#carrying.ready(ask);
		const exporter = await this.#exporting();
		return exporter.export(request, ask);
	}

	async *import(
		body: AsyncIterable<Buffer>,
		options: ImportOptions,
		by: Actor,
		ask: Ask,
	): AsyncGenerator<ImportEvent, void, undefined> {
		const allowUnsigned = options.allowUnsigned || this.#config.bundles.allowUnsigned;
		const importer = await (this.#importer ??= this.#loadImporter());
		for await (const event of importer.import(body, {...options, allowUnsigned}, by, ask)) {
			if (event.what === 'end' && !options.dryRun) {
				this.#tell(event, by);
			}
			yield event;
		}
	}

	async have(): Promise<string> {
		const exporter = await this.#exporting();
		return exporter.have();
	}

	async exportForDsapid(uuid: string, ask: Ask): Promise<TarFile> {
		const exporter = await this.#exporting();
		return exporter.exportForDsapid(uuid, ask);
	}

	#exporting(): Promise<Exporter> {
		return (this.#exporter ??= this.#loadExporter());
	}

	#tell({imported, updated, there, failed, bytes}: Extract<ImportEvent, {what: 'end'}>, by: Actor): void {
		this.#host.events.emit('bundle.imported', {
			bytes,
			...(by.name === undefined ? {} : {by: by.name}),
			...(failed === 0 ? {} : {problem: `${failed} of its images could not be imported`}),
			more: {imported, updated, there, failed},
		});
	}
}
