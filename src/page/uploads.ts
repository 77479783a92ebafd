/**
 * The upload of this page: one file at a time, remembered by this browser until it has become an image.
 *
 * A page that is closed in the middle loses the file, not what has arrived: choosing the same file again (by name, size
 * and date) goes on. The publish view shows it and holds the form.
 */
import type {Api} from './api.js';
import {ApiError, problemText, wasAborted} from './api-error.js';
import {Cell, type ReadonlyCell} from './cell.js';
import {compressionOf, emptyDraft, metadataOf, type Draft} from './draft.js';
import {forget, keysLike, recall, remember} from './memory.js';
import {Rate} from './rate.js';
import {TusUpload} from './tus.js';
import {pause, xhrTransport} from './xhr.js';

export interface Begun {
	readonly id: string;
	readonly draft: Draft;
	readonly fileName: string;
	readonly size: number;
	readonly beganAt: string;
}

export type UploadState =
	| {readonly is: 'none'}
	| {
			readonly is: 'sending' | 'paused' | 'waiting' | 'failed';
			readonly file: File;
			readonly draft: Draft;
			readonly sent: number;
			readonly bytesPerSecond: number;
			/** Why it waits, or has ended. */
			readonly problem?: string;
			readonly error?: unknown;
			readonly nextTryMs?: number;
	  }
	| {readonly is: 'done'; readonly image: string; readonly draft: Draft; readonly size: number};

type Going = Extract<UploadState, {readonly file: File}>;

const prefix = 'imgmirror.upload.';
const keptMs = 14 * 86_400_000;

export class Uploads {
	readonly #cell = new Cell<UploadState>({is: 'none'});
	readonly #tus: TusUpload;
	#stop: AbortController | undefined;

	constructor(api: Api) {
		this.#tus = new TusUpload({transport: xhrTransport(path => api.url(path)), pause});
		window.addEventListener('beforeunload', event => {
			if (['sending', 'waiting'].includes(this.#cell.value.is)) {
				event.preventDefault();
			}
		});
	}

	get state(): ReadonlyCell<UploadState> {
		return this.#cell;
	}

	/** Uploads of other visits that have not been finished. */
	unfinished(): readonly Begun[] {
		return keysLike(prefix).flatMap(key => {
			const begun = readBegun(recall(key));
			if (begun === undefined || Date.now() - Date.parse(begun.beganAt) > keptMs) {
				forget(key);
				return [];
			}
			return begun;
		});
	}

	/** Of this very file. */
	begun(file: File): Begun | undefined {
		return readBegun(recall(keyOf(file)));
	}

	/** Begins, or goes on where an earlier visit was. Never fails: what went wrong is in the state. */
	async start(file: File, draft: Draft): Promise<void> {
		this.#stop?.abort();
		const stop = new AbortController();
		this.#stop = stop;
		const rate = new Rate();
		const going = (more: Partial<Going>): void => {
			const {value} = this.#cell;
			const before = 'file' in value && value.file === file ? value : {sent: 0, bytesPerSecond: 0};
			if (!stop.signal.aborted) {
				this.#cell.set({is: 'sending', file, draft, sent: before.sent, bytesPerSecond: before.bytesPerSecond, ...more});
			}
		};
		going({});
		const key = keyOf(file);
		try {
			const first = new Uint8Array(await file.slice(0, 8).arrayBuffer());
			const metadata = metadataOf(draft, {name: file.name, compression: compressionOf(first)});
			const image = await this.#tus.send(
				{file, metadata, id: readBegun(recall(key))?.id},
				{
					begun: id => {
						const begun: Begun = {
							...{id, draft, fileName: file.name, size: file.size},
							beganAt: new Date().toISOString(),
						};
						remember(key, JSON.stringify(begun));
					},
					progress: bytes => going({sent: bytes, bytesPerSecond: rate.at(performance.now(), bytes)}),
					waiting: (waitMs, error) => {
						rate.restart();
						going({
							...{is: 'waiting', problem: problemText(error), bytesPerSecond: 0},
							nextTryMs: Date.now() + waitMs,
						});
					},
				},
				stop.signal,
			);
			forget(key);
			this.#cell.set({is: 'done', image, draft, size: file.size});
		} catch (error) {
			if (!wasAborted(error)) {
				going({is: 'failed', problem: problemText(error), error, bytesPerSecond: 0});
				this.#forgetIfHopeless(key, error);
			}
		}
	}

	pause(): void {
		const {value} = this.#cell;
		this.#stop?.abort();
		if ('file' in value) {
			const {file, draft, sent} = value;
			this.#cell.set({is: 'paused', file, draft, sent, bytesPerSecond: 0});
		}
	}

	async resume(): Promise<void> {
		const {value} = this.#cell;
		if ('file' in value) {
			await this.start(value.file, value.draft);
		}
	}

	/** What has arrived is given back as well. */
	async giveUp(): Promise<void> {
		const {value} = this.#cell;
		this.#stop?.abort();
		this.#cell.set({is: 'none'});
		if ('file' in value) {
			await this.#drop(keyOf(value.file));
		}
	}

	/** The same for one of an earlier visit. */
	async giveUpBegun(begun: Begun): Promise<void> {
		const key = keysLike(prefix).find(one => readBegun(recall(one))?.id === begun.id);
		if (key !== undefined) {
			await this.#drop(key);
		}
	}

	/** After it is done: the form is free again. */
	clear(): void {
		this.#cell.set({is: 'none'});
	}

	async #drop(key: string): Promise<void> {
		const begun = readBegun(recall(key));
		forget(key);
		if (begun !== undefined) {
			// It expires by itself where the mirror cannot be reached now.
			await this.#tus.remove(begun.id, new AbortController().signal).catch(() => undefined);
		}
	}

	/** What the mirror will not have whatever happens is begun anew next time. A login may still help. */
	#forgetIfHopeless(key: string, error: unknown): void {
		if (error instanceof ApiError && ![0, 401, 403].includes(error.status)) {
			void this.#drop(key);
		}
	}
}

function keyOf({name, size, lastModified}: File): string {
	return `${prefix}${name}/${size}/${lastModified}`;
}

function readBegun(text: string | undefined): Begun | undefined {
	if (text === undefined) {
		return undefined;
	}
	try {
		const begun = JSON.parse(text) as Begun;
		return typeof begun.id === 'string' ? {...begun, draft: {...emptyDraft, ...begun.draft}} : undefined;
	} catch {
		return undefined;
	}
}
