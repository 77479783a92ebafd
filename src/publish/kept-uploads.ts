/**
 * Unfinished uploads on disk and in memory: their bytes, what is known of them, and when they expire.
 *
 * `resumable.ts` says what may be done to one and when; it has the turn of an upload whenever it changes one here.
 */
import {stat} from 'node:fs/promises';
import type {Layout} from '../blobs/layout.js';
import type {Upload} from '../blobs/upload.js';
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {ResumableUpload} from './api.js';
import type {PublishSettings, PublishStore} from './internal.js';
import {infoText, readInfo, type UploadInfo} from './resumable-record.js';

export interface KeptUpload {
	info: UploadInfo;
	/** Open while somebody appends, and for a while after that: taking it up anew reads all of it. */
	upload: Upload | undefined;
	/** Where it ends, while it is not open. */
	offset: number;
	/** How many wait for it or work on it. */
	users: number;
}

/** So long an upload that nobody goes on with stays open. */
const openForMs = 300_000;
/** And so many of them: whoever begins thousands must not have every file that this process may open. */
const mostIdle = 50;
const readsAtOnce = 16;

export class KeptUploads {
	readonly #host: Host;
	readonly #layout: Layout;
	readonly #store: PublishStore;
	readonly #settings: () => PublishSettings;
	readonly #kept = new Map<string, KeptUpload>();
	/** In the order in which they were opened. */
	readonly #open = new Set<KeptUpload>();
	#isIncomplete = false;

	constructor(parts: {host: Host; layout: Layout; store: PublishStore; settings: () => PublishSettings}) {
		this.#host = parts.host;
		this.#layout = parts.layout;
		this.#store = parts.store;
		this.#settings = parts.settings;
	}

	/** What some upload was about to become could not be read: nobody knows which files are needed. */
	get isIncomplete(): boolean {
		return this.#isIncomplete;
	}

	/** Reads what is there, and pins what was about to become an image. */
	async load(): Promise<void> {
		const names = await this.#store.listFolder(this.#layout.uploads);
		const left = names.filter(name => name.endsWith('.json'))[Symbol.iterator]();
		await Promise.all(
			Array.from({length: readsAtOnce}, async () => {
				for (const name of left) {
					await this.#read(name.slice(0, -'.json'.length));
				}
			}),
		);
	}

	get(id: string): KeptUpload | undefined {
		return this.#kept.get(id);
	}

	list(): readonly (readonly [string, KeptUpload])[] {
		return [...this.#kept];
	}

	/** Throws where there is no room for it; nothing is left then. */
	async add(info: UploadInfo): Promise<KeptUpload> {
		const kept: KeptUpload = {info, upload: undefined, offset: 0, users: 0};
		try {
			// Bytes without a record beside them are cleared away at the next start.
			await this.save(kept, info);
			await this.open(kept);
		} catch (error) {
			await this.drop(kept);
			throw error;
		}
		this.#kept.set(info.id, kept);
		return kept;
	}

	async save(kept: KeptUpload, info: UploadInfo): Promise<void> {
		await this.#store.writeRecord(this.#layout.uploadInfo(info.id), infoText(info));
		kept.info = info;
	}

	/** Somebody has gone on with it. That this cannot be written down is no failure of theirs. */
	async touch(kept: KeptUpload, changes: Partial<UploadInfo> = {}): Promise<void> {
		kept.info = {...kept.info, ...changes, touchedAtMs: this.#host.clock.now()};
		await this.save(kept, kept.info).catch((error: unknown) => {
			this.#host.log.warn(
				{upload: kept.info.id, problem: describe(error)},
				'what is known of an upload is not written',
			);
		});
	}

	async open(kept: KeptUpload): Promise<Upload> {
		const {id, size} = kept.info;
		kept.upload ??= await this.#store.upload({id, size, maxBytes: this.#settings().maxFileBytes});
		this.#open.delete(kept);
		this.#open.add(kept);
		return kept.upload;
	}

	/** More than should stay open: those to close whenever nobody works on them. */
	surplus(): readonly KeptUpload[] {
		const idle: KeptUpload[] = [];
		for (const kept of this.#open) {
			if (kept.upload === undefined) {
				this.#open.delete(kept);
			} else if (kept.users === 0) {
				idle.push(kept);
			}
		}
		return idle.slice(0, Math.max(0, idle.length - mostIdle));
	}

	async close(kept: KeptUpload): Promise<void> {
		const {upload} = kept;
		if (upload !== undefined) {
			kept.upload = undefined;
			kept.offset = upload.written;
			await upload.close();
		}
	}

	async closeIdle(kept: KeptUpload): Promise<void> {
		if (this.#host.clock.now() - kept.info.touchedAtMs > openForMs) {
			await this.close(kept);
		}
	}

	async drop(kept: KeptUpload): Promise<void> {
		const {id, verified} = kept.info;
		this.#kept.delete(id);
		await this.close(kept);
		await this.#store.removeRecord(this.#layout.upload(id));
		await this.#store.removeRecord(this.#layout.uploadInfo(id));
		if (verified !== undefined) {
			await this.release(kept);
		}
	}

	/** Keeps the blob that it becomes, until `release`. */
	pin(kept: KeptUpload, sha1: Sha1): void {
		this.#store.pin(sha1, reasonOf(kept));
	}

	async release(kept: KeptUpload): Promise<void> {
		const sha1 = kept.info.verified?.sha1;
		if (sha1 !== undefined) {
			await this.#store.release(sha1, reasonOf(kept)).catch((error: unknown) => {
				this.#host.log.warn({sha1, problem: describe(error)}, 'a file that no image needs could not be deleted');
			});
		}
	}

	/** Not while somebody works on it. */
	isExpired(kept: KeptUpload): boolean {
		return kept.users === 0 && this.#expiresAt(kept) <= this.#host.clock.now();
	}

	view(kept: KeptUpload): ResumableUpload {
		const {id, size, owner, metadata, image} = kept.info;
		return {
			id,
			offset: kept.upload?.written ?? kept.offset,
			size,
			owner,
			metadata,
			expiresAtMs: this.#expiresAt(kept),
			...(image === undefined ? {} : {image}),
		};
	}

	#expiresAt({info}: KeptUpload): number {
		return info.touchedAtMs + this.#settings().resumableForMs;
	}

	async #read(id: string): Promise<void> {
		const file = this.#layout.uploadInfo(id);
		try {
			const text = await this.#store.readRecord(file);
			if (text === undefined) {
				return;
			}
			const info = readInfo(text, id);
			const bytes = info.image === undefined ? await sizeOf(this.#layout.upload(id)) : info.size;
			const blob = info.verified === undefined ? undefined : this.#store.stat(info.verified.sha1);
			const kept: KeptUpload = {info, upload: undefined, offset: bytes ?? blob?.size ?? 0, users: 0};
			this.#kept.set(id, kept);
			if (info.verified !== undefined && info.image === undefined) {
				this.pin(kept, info.verified.sha1);
			}
		} catch (error) {
			this.#isIncomplete = true;
			this.#host.log.error({file, problem: describe(error)}, 'what is known of an upload cannot be read; it is left');
		}
	}
}

function reasonOf({info}: KeptUpload): string {
	return `upload ${info.id}`;
}

/** `undefined`: there is none. */
async function sizeOf(file: string): Promise<number | undefined> {
	return stat(file).then(
		found => found.size,
		() => undefined,
	);
}
