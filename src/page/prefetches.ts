/**
 * Images that are being fetched because somebody asked for it here. They go on while one looks at other views.
 */
import type {PrefetchEvent} from '../prefetch/api.js';
import type {Api} from './api.js';
import {problemText} from './api-error.js';
import {Cell, type ReadonlyCell} from './cell.js';
import type {Catalog} from './catalog.js';
import type {Notices} from './notices.js';
import {bytesText, durationText, listText, plural} from './words.js';

export interface Prefetch {
	readonly uuid: string;
	/** So far, by image: itself and its origins. */
	readonly bytes: ReadonlyMap<string, number>;
	/** 0 while nobody knows. */
	readonly total: number;
	/** What is on its way just now: the image itself or one of its origins. */
	readonly name: string;
}

export function bytesOf({bytes}: Prefetch): number {
	return [...bytes.values()].reduce((sum, one) => sum + one, 0);
}

export class Prefetches {
	readonly #cell = new Cell<ReadonlyMap<string, Prefetch>>(new Map());
	readonly #stops = new Map<string, AbortController>();
	readonly #api: Api;
	readonly #notices: Notices;
	readonly #catalog: Catalog;

	constructor({api, notices, catalog}: {api: Api; notices: Notices; catalog: Catalog}) {
		this.#api = api;
		this.#notices = notices;
		this.#catalog = catalog;
	}

	get running(): ReadonlyCell<ReadonlyMap<string, Prefetch>> {
		return this.#cell;
	}

	stop(uuid: string): void {
		this.#stops.get(uuid)?.abort();
	}

	/** With its origins. Never fails: what came of it is said. */
	async start({uuid, name, version}: {uuid: string; name: string; version: string}): Promise<void> {
		if (this.#stops.has(uuid)) {
			return;
		}
		const stop = new AbortController();
		const label = `${name} ${version}`;
		const problems: string[] = [];
		let told = '';
		this.#stops.set(uuid, stop);
		this.#show({uuid, bytes: new Map(), total: 0, name: label});
		try {
			const selection = {uuids: [uuid]};
			for await (const event of this.#api.lines<PrefetchEvent>('mirror/prefetch', {selection}, stop.signal)) {
				if (event.what === 'done' && event.problem !== undefined) {
					problems.push(event.problem);
				}
				told = this.#follow(uuid, event) ?? told;
			}
			const problem = listText(problems);
			this.#notices.say(
				problem === '' ? `${label}: ${told || 'is here'}.` : `${label} could not be fetched: ${problem}`,
				problem === '' ? 'good' : 'bad',
			);
		} catch (error) {
			if (stop.signal.aborted) {
				this.#notices.say(`${label}: stopped. What has arrived is kept.`);
			} else {
				this.#notices.say(`${label} could not be fetched: ${problemText(error)}`, 'bad');
			}
		} finally {
			this.#stops.delete(uuid);
			this.#cell.set(new Map([...this.#cell.value].filter(([running]) => running !== uuid)));
			this.#catalog.touch([uuid]);
		}
	}

	/** What the end of it says, in words. */
	#follow(uuid: string, event: PrefetchEvent): string | undefined {
		const before = this.#cell.value.get(uuid);
		if (before === undefined) {
			return undefined;
		}
		switch (event.what) {
			case 'plan':
				this.#show({...before, total: event.plan.bytesToFetch});
				return undefined;
			case 'image':
				this.#show({...before, name: `${event.name} ${event.version}`});
				return undefined;
			case 'progress':
				this.#show({...before, bytes: new Map([...before.bytes, [event.uuid, event.bytes]])});
				return undefined;
			case 'done':
				return undefined;
			case 'end':
				return event.fetched === 0
					? 'was here already'
					: `${plural(event.fetched, 'file')} fetched, ${bytesText(event.bytes)} in ${durationText(event.ms)}`;
		}
	}

	#show(prefetch: Prefetch): void {
		this.#cell.set(new Map([...this.#cell.value, [prefetch.uuid, prefetch]]));
	}
}
