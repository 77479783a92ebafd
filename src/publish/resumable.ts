/**
 * Uploads that can be gone on with after a broken line or a restart of either side (tus speaks of them over HTTP).
 *
 * A sender appends as often as it likes and then has it finished, which may be tried again: an upload that has become
 * an image says so until it expires. Whose upload it is, is checked by whoever lets requests in.
 */
import {randomBytes, randomUUID} from 'node:crypto';
import type {Layout} from '../blobs/layout.js';
import {
	IntegrityError,
	InvalidParameterError,
	NotFoundError,
	PreconditionError,
	RefusedError,
	ValidationError,
	describe,
} from '../errors.js';
import type {Host} from '../host.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {Change, ResumableUpload, ResumableUploads, UploadPurpose} from './api.js';
import type {Intake} from './intake.js';
import type {HeldFile, LocalWrites, PublishStore} from './internal.js';
import {KeptUploads, type KeptUpload} from './kept-uploads.js';
import type {UploadInfo} from './resumable-record.js';
import {Turns} from './turns.js';
import {checkWhole, saveFilled} from './whole.js';

export class PersistentUploads implements ResumableUploads {
	readonly #host: Host;
	readonly #intake: Intake;
	readonly #writes: LocalWrites;
	readonly #kept: KeptUploads;
	readonly #turns = new Turns();

	constructor(parts: {host: Host; layout: Layout; store: PublishStore; intake: Intake; writes: LocalWrites}) {
		this.#host = parts.host;
		this.#intake = parts.intake;
		this.#writes = parts.writes;
		this.#kept = new KeptUploads({...parts, settings: () => parts.writes.settings});
	}

	/** Our images and the store must have been loaded. */
	async load(): Promise<void> {
		await this.#kept.load();
	}

	/** As `KeptUploads`. */
	get isIncomplete(): boolean {
		return this.#kept.isIncomplete;
	}

	async create({
		size,
		purpose,
		offer,
		metadata,
		change,
	}: Parameters<ResumableUploads['create']>[0]): Promise<ResumableUpload> {
		const image = await this.#targetOf(purpose, change);
		this.#writes.checkOffer({...offer, size}, change, {compressionMayMiss: purpose.kind === 'image'});
		const kept = await this.#kept.add({
			id: randomBytes(16).toString('hex'),
			size,
			purpose,
			offer,
			metadata,
			owner: change.actor.name,
			account: change.account,
			channel: change.channel,
			touchedAtMs: this.#host.clock.now(),
			...image,
			verified: undefined,
			image: undefined,
		});
		await this.#closeSurplus();
		return this.#kept.view(kept);
	}

	async get(id: string): Promise<ResumableUpload | undefined> {
		const kept = this.#kept.get(id);
		return kept === undefined || this.#kept.isExpired(kept) ? undefined : this.#kept.view(kept);
	}

	append(id: string, offset: number, body: AsyncIterable<Buffer>): Promise<ResumableUpload> {
		return this.#with(id, async kept => {
			checkUnfinished(kept);
			const upload = await this.#kept.open(kept);
			if (offset !== upload.written) {
				throw new PreconditionError(`the upload ends at ${upload.written}, not at ${offset}`);
			}
			try {
				await upload.fill(body);
			} finally {
				await this.#kept.touch(kept);
			}
			return this.#kept.view(kept);
		});
	}

	setSize(id: string, size: number): Promise<ResumableUpload> {
		return this.#with(id, async kept => {
			checkUnfinished(kept);
			const {info} = kept;
			if (info.size !== undefined && info.size !== size) {
				throw new PreconditionError(`the upload was said to have ${info.size} bytes, not ${size}`);
			}
			const upload = await this.#kept.open(kept);
			await upload.announce(size);
			await this.#kept.save(kept, {...info, size});
			return this.#kept.view(kept);
		});
	}

	finish(id: string, given: Change): Promise<Manifest> {
		return this.#with(id, async kept => {
			const {info} = kept;
			if (info.image === undefined && !this.#isNamed(info)) {
				await this.#finish(kept, {...given, account: info.account, channel: info.channel});
			}
			if (info.image === undefined) {
				// The image has it. Where this cannot be noted, whoever asks again finds out anew.
				await this.#kept.touch(kept, {image: info.target});
				await this.#kept.release(kept);
			}
			const manifest = this.#writes.manifest(info.target);
			if (manifest === undefined) {
				throw new NotFoundError(`image ${info.target}, which this upload became, is not there any more`);
			}
			return manifest;
		});
	}

	async remove(id: string): Promise<boolean> {
		return this.#turns.take([id], async () => {
			const kept = this.#kept.get(id);
			if (kept !== undefined) {
				await this.#kept.drop(kept);
			}
			return kept !== undefined;
		});
	}

	async sweep(): Promise<void> {
		for (const [id, kept] of this.#kept.list()) {
			// Whoever has a turn there goes on with it: nothing to wait for.
			if (kept.users === 0) {
				await this.#turns.take([id], () => this.#sweepOne(id, kept));
			}
		}
	}

	async close(): Promise<void> {
		for (const [, kept] of this.#kept.list()) {
			await this.#kept.close(kept);
		}
	}

	/** Runs `work` when nobody else does anything with that upload. */
	async #with<T>(id: string, work: (kept: KeptUpload) => Promise<T>): Promise<T> {
		const kept = this.#kept.get(id);
		if (kept === undefined || this.#kept.isExpired(kept)) {
			throw new NotFoundError('there is no such upload, or not any more');
		}
		kept.users++;
		try {
			return await this.#turns.take([id], async () => {
				if (this.#kept.get(id) !== kept) {
					throw new NotFoundError('the upload is not there any more');
				}
				return work(kept);
			});
		} finally {
			kept.users--;
			await this.#closeSurplus();
		}
	}

	async #closeSurplus(): Promise<void> {
		for (const kept of this.#kept.surplus()) {
			await this.#turns.take([kept.info.id], async () => {
				if (kept.users === 0) {
					await this.#kept.close(kept).catch((error: unknown) => {
						this.#host.log.warn({upload: kept.info.id, problem: describe(error)}, 'an upload could not be closed');
					});
				}
			});
		}
	}

	/** Everything that can be refused before the first byte; the image, which may be one that is not there yet. */
	async #targetOf(purpose: UploadPurpose, change: Change): Promise<{readonly target: Uuid; readonly born: string}> {
		if (purpose.kind === 'file') {
			const {born} = await this.#writes.fileTarget(purpose.image, change);
			return {target: purpose.image, born};
		}
		const {uuid} = await checkWhole(this.#writes, purpose.image, change);
		return {target: uuid, born: randomUUID()};
	}

	async #finish(kept: KeptUpload, change: Change): Promise<void> {
		try {
			const held = await this.#hold(kept);
			try {
				await this.#use(kept.info, held, change);
			} finally {
				await held.release();
			}
		} catch (error) {
			if (isFinal(error)) {
				await this.#kept.drop(kept);
			}
			throw error;
		}
	}

	/** Verifies all that is here and makes it a blob, which stays one until this is settled. */
	async #hold(kept: KeptUpload): Promise<HeldFile> {
		const {verified, offer, account, purpose} = kept.info;
		if (verified !== undefined) {
			const stored = await this.#writes.holdStored(verified.sha1, {...verified, datasetGuid: offer.datasetGuid});
			if (stored !== undefined) {
				return stored;
			}
		}
		const upload = await this.#kept.open(kept);
		const {size = upload.written} = kept.info;
		if (upload.written < size) {
			throw new PreconditionError(`${upload.written} of ${size} bytes are here`);
		}
		const mayMiss = {compressionMayMiss: purpose.kind === 'image'};
		const told = this.#writes.checkOffer({...offer, size}, {account}, mayMiss);
		const right = await this.#intake.verify(upload, told);
		const {sha1} = right.digests;
		// Written down first: after a crash, the start finds out by this what the blob is for.
		await this.#kept.save(kept, {...kept.info, size, verified: {sha1, compression: right.compression}});
		this.#kept.pin(kept, sha1);
		const held = await this.#intake.keep(upload, right, told);
		kept.upload = undefined;
		kept.offset = size;
		return held;
	}

	async #use({purpose, target, born, owner}: UploadInfo, held: HeldFile, change: Change): Promise<void> {
		if (purpose.kind === 'file') {
			await this.#writes.setFile(target, held, change, born);
			return;
		}
		const nowMs = this.#host.clock.now();
		await saveFilled(this.#writes, purpose.image, held, change, {nowMs, by: owner, uuid: target, born});
	}

	/** The process ended when the image had been written, and before that was noted here. */
	#isNamed({target, born, verified}: UploadInfo): boolean {
		const image = this.#writes.get(target);
		return verified !== undefined && image?.born === born && image.fields.files[0]?.sha1 === verified.sha1;
	}

	async #sweepOne(id: string, kept: KeptUpload): Promise<void> {
		if (this.#kept.get(id) !== kept) {
			return;
		}
		if (this.#kept.isExpired(kept)) {
			this.#host.log.info({upload: id, owner: kept.info.owner}, 'an upload that nobody went on with is removed');
			await this.#kept.drop(kept);
		} else {
			await this.#kept.closeIdle(kept);
		}
	}
}

function checkUnfinished({info}: KeptUpload): void {
	if (info.image !== undefined || info.verified !== undefined) {
		throw new PreconditionError('the upload is finished');
	}
}

/** Trying again would change nothing. */
function isFinal(error: unknown): boolean {
	if (error instanceof RefusedError) {
		// Whoever may, can still finish it.
		return error.refusal !== 'NotImageOwner';
	}
	return [NotFoundError, ValidationError, InvalidParameterError, IntegrityError].some(kind => error instanceof kind);
}
