/**
 * What has happened since the page was opened, newest first, without what happens all the time.
 */
import type {MirrorEvent} from '../host-events.js';
import {Cell, type ReadonlyCell} from './cell.js';
import {isPassing} from './event-words.js';
import type {Live} from './live.js';

const most = 200;

export class EventLog {
	readonly #cell = new Cell<readonly MirrorEvent[]>([]);

	constructor(live: Live) {
		live.onEvent(event => {
			if (!isPassing(event)) {
				this.#cell.set([event, ...this.#cell.value].slice(0, most));
			}
		});
	}

	get all(): ReadonlyCell<readonly MirrorEvent[]> {
		return this.#cell;
	}
}
