/**
 * Resumable uploads in memory, for tests of the protocol in front of them.
 *
 * They keep what the publish room keeps across restarts; what they are for is written down and not done.
 */
import {createHash} from 'node:crypto';
import {NotFoundError} from '../../src/errors.js';
import {parseManifest, type Manifest} from '../../src/image/manifest.js';
import type {Change, FileOffer, ResumableUpload, ResumableUploads, UploadPurpose} from '../../src/publish/api.js';

interface Kept {
	readonly purpose: UploadPurpose;
	readonly offer: Omit<FileOffer, 'body' | 'size'>;
	readonly change: Change;
	upload: ResumableUpload;
	bytes: Buffer[];
	busy: boolean;
}

export class FakeUploads implements ResumableUploads {
	readonly kept = new Map<string, Kept>();
	readonly finished: {readonly id: string; readonly bytes: Buffer; readonly change: Change}[] = [];
	/** Runs when an upload is finished; may throw or wait. */
	onFinish: (id: string) => Promise<void> | void = () => undefined;
	/** Called with all bytes of an upload after each piece. */
	onPiece: (id: string, offset: number) => void = () => undefined;
	made: Manifest = parseManifest(
		'{"v":2,"uuid":"11111111-2222-4333-8444-555555555555","name":"made","version":"1","state":"active","public":true,"files":[]}',
	);

	async create(given: Parameters<ResumableUploads['create']>[0]): Promise<ResumableUpload> {
		const {size, purpose, offer, metadata, change} = given;
		const id = `upload-${this.kept.size + 1}`;
		const expiresAtMs = Date.UTC(2024, 0, 2, 3, 4, 5);
		const upload = {id, offset: 0, size, owner: change.actor.name, metadata, expiresAtMs};
		this.kept.set(id, {purpose, offer, change, upload, bytes: [], busy: false});
		return upload;
	}

	async get(id: string): Promise<ResumableUpload | undefined> {
		return this.kept.get(id)?.upload;
	}

	async append(id: string, offset: number, body: AsyncIterable<Buffer>): Promise<ResumableUpload> {
		const kept = this.#find(id);
		if (kept.busy || offset !== kept.upload.offset) {
			throw new Error('the protocol let somebody through');
		}
		kept.busy = true;
		try {
			for await (const piece of body) {
				kept.bytes.push(piece);
				kept.upload = {...kept.upload, offset: kept.upload.offset + piece.length};
				this.onPiece(id, kept.upload.offset);
			}
		} finally {
			kept.busy = false;
		}
		return kept.upload;
	}

	async setSize(id: string, size: number): Promise<ResumableUpload> {
		const kept = this.#find(id);
		kept.upload = {...kept.upload, size};
		return kept.upload;
	}

	async finish(id: string, change: Change): Promise<Manifest> {
		const kept = this.#find(id);
		try {
			await this.onFinish(id);
		} catch (error) {
			this.kept.delete(id);
			throw error;
		}
		this.finished.push({id, bytes: Buffer.concat(kept.bytes), change});
		kept.upload = {...kept.upload, image: this.made.uuid};
		return this.made;
	}

	async remove(id: string): Promise<boolean> {
		return this.kept.delete(id);
	}

	async sweep(): Promise<void> {
		await Promise.resolve();
	}

	sha1Of(id: string): string {
		return createHash('sha1')
			.update(Buffer.concat(this.#find(id).bytes))
			.digest('hex');
	}

	#find(id: string): Kept {
		const kept = this.kept.get(id);
		if (kept === undefined) {
			throw new NotFoundError(`there is no upload ${id}`);
		}
		return kept;
	}
}
