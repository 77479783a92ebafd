/**
 * All images that the mirror knows, kept up to date by its events.
 *
 * Asked for whole once; a few images that changed are asked for one by one, many at once whole again. Who may not see
 * the operator's list gets IMGAPI's, which says less. The images view and the choice of an origin read it here.
 */
import type {MirrorEvent} from '../host-events.js';
import type {ImageDetails, ImageRow} from '../mirror-operate-api.js';
import type {Api} from './api.js';
import {ApiError} from './api-error.js';
import {Cell, type ReadonlyCell} from './cell.js';
import type {Live} from './live.js';
import {Facets} from './filters.js';
import {throttle} from './load.js';
import {rowsOfManifests, type PublicManifest} from './public-rows.js';
import {SearchIndex} from './search.js';
import type {Session} from './session.js';
import {Orders} from './sort.js';

export interface CatalogState {
	readonly index: SearchIndex;
	readonly orders: Orders;
	readonly facets: Facets;
	readonly positions: ReadonlyMap<string, number>;
	readonly isLoading: boolean;
	/** Whether there has been an answer at all. */
	readonly isThere: boolean;
	readonly error: unknown;
	/** IMGAPI's list: what is here, pinned or held nobody has told. */
	readonly isPublic: boolean;
}

/** More than so many at once, and the list is asked for as a whole. */
const fewImages = 12;
const rowsEveryMs = 1000;
const wholeEveryMs = 5000;

/** Events after which a row may look different. */
const touches = /^(?:image|transfer)\.(?!progress)/;

export class Catalog {
	readonly #cell = new Cell<CatalogState>(stateOf([], {isThere: false, isPublic: false}));
	readonly #api: Api;
	readonly #session: Session;
	readonly #touched = new Set<string>();
	readonly #rowsSoon = throttle(() => void this.#refreshRows(), rowsEveryMs);
	readonly #wholeSoon = throttle(() => void this.load(), wholeEveryMs);
	#isAsked = false;
	#loading: Promise<void> | undefined;

	constructor({api, session, live}: {api: Api; session: Session; live: Live}) {
		this.#api = api;
		this.#session = session;
		live.onEvent(event => this.#note(event));
		live.onStale(() => {
			if (this.#isAsked) {
				this.#wholeSoon.call();
			}
		});
		let rights = session.state.value.rights;
		session.state.listen(() => {
			const {rights: now} = session.state.value;
			if (this.#isAsked && now !== rights) {
				void this.load();
			}
			rights = now;
		});
	}

	get state(): ReadonlyCell<CatalogState> {
		return this.#cell;
	}

	/** Loads it unless somebody has before. */
	need(): void {
		if (!this.#isAsked) {
			this.#isAsked = true;
			void this.load();
		}
	}

	row(uuid: string): ImageRow | undefined {
		const {index, positions} = this.#cell.value;
		const at = positions.get(uuid);
		return at === undefined ? undefined : index.rows[at];
	}

	/** Never fails: what went wrong is in the state. */
	load(): Promise<void> {
		this.#isAsked = true;
		this.#loading ??= this.#load().finally(() => {
			this.#loading = undefined;
		});
		return this.#loading;
	}

	/** These may have changed: asked for soon. */
	touch(uuids: readonly string[]): void {
		for (const uuid of uuids) {
			this.#touched.add(uuid);
		}
		if (this.#isAsked) {
			this.#rowsSoon.call();
		}
	}

	async #load(): Promise<void> {
		const {value} = this.#cell;
		this.#cell.set({...value, isLoading: true});
		this.#touched.clear();
		try {
			const isPublic = !this.#session.may('private');
			const rows = isPublic
				? rowsOfManifests(await this.#api.get<readonly PublicManifest[]>('images'))
				: await this.#api.get<readonly ImageRow[]>('mirror/images');
			this.#cell.set(stateOf(rows, {isThere: true, isPublic}));
		} catch (error) {
			this.#cell.set({...this.#cell.value, isLoading: false, error});
		}
	}

	#note({type, image}: MirrorEvent): void {
		if (!this.#isAsked) {
			return;
		}
		if (type === 'catalog.changed' || type === 'prefetch.ended') {
			this.#wholeSoon.call();
		} else if (image !== undefined && touches.test(type)) {
			this.touch([image.uuid]);
		}
	}

	async #refreshRows(): Promise<void> {
		const uuids = [...this.#touched];
		this.#touched.clear();
		if (this.#cell.value.isPublic || this.#loading !== undefined || uuids.length > fewImages) {
			this.#wholeSoon.call();
			return;
		}
		const answers = await Promise.all(
			uuids.map(async uuid => {
				try {
					return {uuid, row: rowOf(await this.#api.get<ImageDetails>(`mirror/images/${uuid}`))};
				} catch (error) {
					// Gone; or not to be had now, and then what we have is as good as anything.
					return {uuid, row: error instanceof ApiError && error.status === 404 ? undefined : this.row(uuid)};
				}
			}),
		);
		const {value} = this.#cell;
		const changed = new Map(answers.map(({uuid, row}) => [uuid, row]));
		const rows = value.index.rows.flatMap(row => (changed.has(row.uuid) ? (changed.get(row.uuid) ?? []) : row));
		const added = answers.flatMap(({uuid, row}) => (row === undefined || value.positions.has(uuid) ? [] : row));
		this.#cell.set(stateOf([...rows, ...added], value, value));
	}
}

function stateOf(
	rows: readonly ImageRow[],
	{isThere, isPublic}: Pick<CatalogState, 'isThere' | 'isPublic'>,
	before?: CatalogState,
): CatalogState {
	return {
		index: new SearchIndex(rows, before?.index),
		orders: new Orders(rows, before?.orders),
		facets: new Facets(rows),
		positions: new Map(rows.map(({uuid}, at) => [uuid, at])),
		isLoading: false,
		...{isThere, isPublic, error: undefined},
	};
}

/** Of an image's details, what a row has: thousands of them are kept. */
function rowOf(details: ImageDetails): ImageRow {
	const beyond = new Set(['manifest', 'origins', 'dependents', 'files']);
	return {...details, ...Object.fromEntries([...beyond].map(name => [name, undefined]))};
}
