/**
 * A catalog over fake sources, with a memory in a directory of its own and a clock that stands still.
 *
 * `startCatalog` is for most tests; those that restart give the same directory twice.
 */
import {Catalog, type CatalogOptions, type CatalogSource, type HeldImage} from '../../src/catalog/catalog.js';
import {Memory} from '../../src/catalog/memory.js';
import type {Manifest} from '../../src/image/manifest.js';
import {parseImageQuery, parseQueryString, type ImageQuery} from '../../src/image/query.js';
import type {ManualClock} from '../helpers/manual-clock.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

export interface Started {
	readonly catalog: Catalog;
	readonly memory: Memory;
	readonly host: TestHost;
	readonly clock: ManualClock;
	readonly held: HeldImage[];
	readonly dropped: Manifest[];
	readonly directory: string;
	/** Stops it and closes the memory, as a process that ends does. */
	readonly end: () => Promise<void>;
}

export interface StartOptions extends Partial<Omit<CatalogOptions, 'host' | 'memory' | 'sources' | 'held'>> {
	readonly host?: TestHost;
	readonly directory?: string;
	readonly held?: readonly HeldImage[];
	/** Plain files unless told otherwise: SQLite has its own suite. */
	readonly importSqlite?: () => Promise<unknown>;
	/** Only built: for tests that watch the start. */
	readonly unstarted?: boolean;
}

export async function startCatalog(
	t: Scope,
	sources: readonly CatalogSource[],
	options: StartOptions = {},
): Promise<Started> {
	const {host = testHost(), held: heldBefore = [], importSqlite = noSqlite, unstarted = false, ...rest} = options;
	const directory = options.directory ?? (await tempDir(t));
	const memory = await Memory.open({directory, file: 'memory.sqlite', host, importSqlite});
	const held = [...heldBefore];
	const dropped: Manifest[] = [];
	const catalog = new Catalog({
		firstListGraceMs: 1000,
		...rest,
		host,
		memory,
		sources,
		held: {
			list: () => held,
			onDrop: manifest => {
				dropped.push(manifest);
			},
		},
	});
	let ended: Promise<void> | undefined;
	const end = (): Promise<void> => {
		ended ??= catalog.stop().then(() => memory.close());
		return ended;
	};
	t.teardown(end);
	if (!unstarted) {
		await catalog.start();
	}
	return {catalog, memory, host, clock: host.clock, held, dropped, directory, end};
}

export function noSqlite(): Promise<unknown> {
	return Promise.reject(new Error('not installed'));
}

export function query(text = ''): ImageQuery {
	return parseImageQuery(parseQueryString(text, 100), {authenticated: false, seesPrivate: true});
}

export function uuidsOf(images: readonly Manifest[]): string[] {
	return images.map(({uuid}) => uuid);
}
