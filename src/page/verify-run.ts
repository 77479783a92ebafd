/**
 * Files being read again because somebody asked for it here: how far it is, and what was found wrong.
 */
import type {VerifyEvent} from '../mirror-operate-api.js';
import type {Api} from './api.js';
import {problemText} from './api-error.js';
import {Cell, type ReadonlyCell} from './cell.js';
import type {Notices} from './notices.js';
import {plural} from './words.js';

type FileEvent = Extract<VerifyEvent, {readonly what: 'file'}>;

export interface VerifyState {
	readonly files: number;
	readonly bytes: number;
	readonly filesDone: number;
	readonly bytesDone: number;
	/** All but the right ones. */
	readonly wrong: readonly FileEvent[];
}

export class VerifyRun {
	readonly #cell = new Cell<VerifyState | undefined>(undefined);
	readonly #api: Api;
	readonly #notices: Notices;
	#stop: AbortController | undefined;

	constructor({api, notices}: {api: Api; notices: Notices}) {
		this.#api = api;
		this.#notices = notices;
	}

	/** `undefined`: none is running. */
	get state(): ReadonlyCell<VerifyState | undefined> {
		return this.#cell;
	}

	stop(): void {
		this.#stop?.abort();
	}

	/** Empty: all of them. Never fails: what came of it is said. */
	async start(uuids: readonly string[] = []): Promise<void> {
		if (this.#stop !== undefined) {
			this.#notices.say('Files are being read again already.');
			return;
		}
		const stop = new AbortController();
		this.#stop = stop;
		let state: VerifyState = {files: 0, bytes: 0, filesDone: 0, bytesDone: 0, wrong: []};
		this.#cell.set(state);
		const asked = uuids.length === 0 ? {} : {uuids};
		try {
			for await (const event of this.#api.lines<VerifyEvent>('mirror/verify', asked, stop.signal)) {
				state = after(state, event);
				this.#cell.set(state);
				if (event.what === 'end') {
					this.#say(event, state);
				}
			}
		} catch (error) {
			if (stop.signal.aborted) {
				this.#notices.say(`Stopped after ${plural(state.filesDone, 'file')}.`);
			} else {
				this.#notices.say(`Files could not be read again: ${problemText(error)}`, 'bad');
			}
		} finally {
			this.#stop = undefined;
			this.#cell.set(undefined);
		}
	}

	#say({right, wrong, unreadable}: Extract<VerifyEvent, {what: 'end'}>, state: VerifyState): void {
		if (wrong + unreadable === 0) {
			this.#notices.say(`${plural(right, 'file is', 'files are')} what the manifests say.`, 'good');
			return;
		}
		const named = state.wrong.map(file => `${labelOf(file)}: ${outcomes[file.outcome]}`);
		this.#notices.say(`${wrong} wrong, ${unreadable} unreadable. ${named.slice(0, 5).join('; ')}`, 'bad');
	}
}

const outcomes: Readonly<Record<FileEvent['outcome'], string>> = {
	right: 'right',
	refetching: 'wrong, being fetched anew',
	lost: 'wrong, and nobody has another',
	unreadable: 'the disk cannot read it',
	gone: 'no longer here',
};

function after(state: VerifyState, event: VerifyEvent): VerifyState {
	switch (event.what) {
		case 'begin':
			return {...state, files: event.files, bytes: event.bytes};
		case 'progress':
			return {...state, bytesDone: event.bytesDone};
		case 'file': {
			const wrong = event.outcome === 'right' || event.outcome === 'gone' ? state.wrong : [...state.wrong, event];
			return {...state, filesDone: state.filesDone + 1, wrong};
		}
		case 'end':
			return state;
	}
}

function labelOf({images, sha1}: FileEvent): string {
	const [image] = images;
	return image === undefined ? `file ${sha1.slice(0, 12)}` : `${image.name} ${image.version}`;
}
