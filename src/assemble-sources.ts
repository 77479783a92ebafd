/**
 * The sources that are open: which of them stay, open and close when the configuration changes.
 *
 * `assemble.ts` plans with the new configuration and uses the plan once nothing can fail any more.
 */
import {isDeepStrictEqual} from 'node:util';
import type {CatalogSource} from './catalog/catalog.js';
import type {Config, SourceConfig} from './config.js';
import {createFilter} from './sources/filter.js';
import {openSource, type SourceDeps} from './sources/open-source.js';
import type {HealthySource} from './sources/source.js';

export interface OpenSource {
	readonly settings: SourceConfig;
	readonly source: HealthySource;
}

/** The sources that are open. One whose settings do not change stays the same object across a reload. */
export class SourceSet {
	readonly #deps: Omit<SourceDeps, 'environment'>;
	#open: ReadonlyMap<string, OpenSource> = new Map();

	constructor(deps: Omit<SourceDeps, 'environment'>) {
		this.#deps = deps;
	}

	/** In their order. */
	list(): readonly OpenSource[] {
		return [...this.#open.values()];
	}

	/** What the source is asked for, by its settings or its first URL. */
	channelOf(name: string): string | undefined {
		const settings = this.#open.get(name)?.settings;
		return (
			settings?.channel ??
			settings?.urls.map(url => new URL(url).searchParams.get('channel')).find(Boolean) ??
			undefined
		);
	}

	/** Opens what is new. Nothing else changes until `use`. Throws ConfigError where a file cannot be read. */
	plan(config: Config): {use(): readonly CatalogSource[]; discard(): void} {
		const {environment} = config;
		const before = this.#open;
		const next = new Map<string, OpenSource>();
		for (const settings of config.sources) {
			const open = before.get(settings.name);
			const same = open !== undefined && isDeepStrictEqual(open.settings, settings) && !hasFiles(settings);
			next.set(settings.name, same ? open : {settings, source: openSource(settings, {...this.#deps, environment})});
		}
		return {
			use: () => {
				this.#open = next;
				closeAllBut(before, next);
				return [...next.values()].map(catalogSource);
			},
			discard: () => {
				closeAllBut(next, before);
			},
		};
	}

	async close(): Promise<void> {
		await Promise.all([...this.#open.values()].map(({source}) => source.close()));
	}
}

/** A transfer under way keeps its connection until it ends: nobody waits for that here. */
function closeAllBut(sources: ReadonlyMap<string, OpenSource>, kept: ReadonlyMap<string, OpenSource>): void {
	for (const [name, {source}] of sources) {
		if (kept.get(name)?.source !== source) {
			void source.close().catch(() => undefined);
		}
	}
}

function catalogSource({settings, source}: OpenSource): CatalogSource {
	return {
		source,
		listTtlMs: settings.listTtlMs,
		imageTtlMs: settings.imageTtlMs,
		missingTtlMs: settings.missingTtlMs,
		keepForMs: settings.keepForMs,
		vanished: settings.vanished,
		hold: settings.hold,
		matches: createFilter(settings.include, settings.exclude),
		health: () => source.health(),
	};
}

/** Files are read when a source is opened: they may have changed where the configuration has not. */
function hasFiles(settings: SourceConfig): boolean {
	const {caFile, certFile, keyFile, auth} = settings;
	return [caFile, certFile, keyFile].some(file => file !== undefined) || auth.kind === 'signature';
}
