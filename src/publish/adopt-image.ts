/**
 * One image of a folder made ours: compared with what we and the sources have, its files verified and stored, written.
 *
 * `adopt.ts` makes one for each image found. Originals that are to be moved are linked or copied first and go last, so
 * that a crash at any moment leaves the image where it was, or here, or both.
 */
import {randomUUID} from 'node:crypto';
import {rm, rmdir} from 'node:fs/promises';
import path from 'node:path';
import {isDeepStrictEqual} from 'node:util';
import {IntegrityError, RefusedError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {compressionOfMagic, magicBytes, magicOf} from '../image/magic.js';
import type {Compression, JsonObject, Sha1, Uuid} from '../image/manifest.js';
import type {ImageFields} from '../image/rules.js';
import {plainFile, readFirst, readSmall} from './adopt-files.js';
import type {FoundManifest} from './adopt-manifest.js';
import type {FoundImage} from './adopt-scan.js';
import type {AdoptRequest, Change} from './api.js';
import type {HeldFile, LocalImage, LocalWrites, NewImage, PublishStore} from './internal.js';

export interface Outcome {
	readonly outcome: 'adopted' | 'there' | 'failed';
	readonly uuid: string;
	readonly problem?: string;
	/** It failed in a way that may pass by itself: no room, an unreadable disk. */
	readonly mayPass?: boolean;
}

/** What a source says that file 0 of its image of the same uuid is. */
export interface Theirs {
	readonly source: string;
	readonly sha1: Sha1 | undefined;
}

const maxIconBytes = 128 * 1024;
const iconTypes: ReadonlySet<string> = new Set(['image/jpeg', 'image/png', 'image/gif']);

type How = Pick<AdoptRequest, 'how' | 'dryRun'>;

/** One image on its way. */
export class ImageAdoption {
	readonly #host: Host;
	readonly #image: FoundImage;
	readonly #manifest: FoundManifest;
	readonly #how: How;
	readonly #change: Change;
	readonly #writes: LocalWrites;
	readonly #store: Pick<PublishStore, 'importFile' | 'release' | 'stat'>;
	readonly #pin = `adopting ${randomUUID()}`;
	#theirs: Theirs | undefined;

	constructor(options: {
		readonly host: Host;
		readonly image: FoundImage;
		readonly how: How;
		readonly change: Change;
		readonly writes: LocalWrites;
		readonly store: Pick<PublishStore, 'importFile' | 'release' | 'stat'>;
	}) {
		const {image} = options;
		if (image.problem !== undefined || image.manifest === undefined) {
			throw new IntegrityError(image.problem ?? 'it cannot be read');
		}
		if (image.manifest.uuid === undefined && options.how.how !== 'move') {
			// Each time it would become another one.
			throw new IntegrityError('its manifest has no uuid');
		}
		this.#host = options.host;
		this.#image = image;
		this.#manifest = image.manifest;
		this.#how = options.how;
		this.#change = options.change;
		this.#writes = options.writes;
		this.#store = options.store;
	}

	get uuid(): Uuid | undefined {
		return this.#manifest.uuid;
	}

	/** Whether nothing need be done. Throws where we have another image of that uuid. */
	compareWithOurs(): boolean {
		const {uuid} = this;
		if (uuid === undefined) {
			return false;
		}
		const ours = this.#writes.get(uuid);
		if (ours === undefined && this.#writes.isTaken(uuid)) {
			throw new RefusedError('ImageUuidAlreadyExists', 'our own record of that uuid cannot be read');
		}
		if (ours === undefined) {
			return false;
		}
		const [found] = this.#image.files;
		const told = found?.told.sha1;
		const sha1 = ours.fields.files[0]?.sha1;
		const isSame = found === undefined || sha1 === undefined ? found === sha1 : (told ?? sha1) === sha1;
		if (!isSame) {
			throw new RefusedError('ImageUuidAlreadyExists', 'we have that uuid already, with another file');
		}
		// What is to go, or says nothing of its digest, is looked at first; and where ours was lost, this one is taken.
		const isHere = sha1 !== undefined && this.#store.stat(sha1) !== undefined;
		return found === undefined || (told !== undefined && isHere && this.#how.how !== 'move');
	}

	/** Throws where a source has another file under that uuid. */
	compareWithTheirs(theirs: Theirs | undefined): void {
		this.#theirs = theirs;
		this.#checkTheirs(this.#image.files[0]?.told.sha1);
	}

	/** Takes it over. Whatever it throws, the folder and our images are as they were. */
	async run(report: (bytes: number) => void, signal: AbortSignal): Promise<Outcome> {
		const {fields} = this.#writes.readWhole(
			{manifest: this.#manifest.fields, adopt: true, activate: this.#manifest.state !== 'unactivated'},
			{account: undefined},
		);
		const channels = this.#channels();
		const ours = this.uuid === undefined ? undefined : this.#writes.get(this.uuid);
		const {uuid} = fields;
		if (ours !== undefined && this.#how.how === 'move') {
			this.#refuseOther(fields, ours);
		}
		const outcome = ours === undefined ? 'adopted' : 'there';
		if (this.#how.dryRun) {
			return {outcome, uuid};
		}
		const icon = await this.#icon();
		const held: HeldFile[] = [];
		try {
			await this.#hold(held, ours, report, signal);
			signal.throwIfAborted();
			if (ours === undefined) {
				const files = held.map(({file}) => file);
				const by = this.#change.actor.name;
				await this.#writes.saveWhole({fields: {...fields, files}, channels, by, icon});
			} else if (this.#writes.get(uuid)?.born !== ours.born) {
				throw new RefusedError('ImageUuidAlreadyExists', 'somebody deleted our image of that uuid just now');
			}
		} finally {
			for (const file of held) {
				await file.release();
			}
		}
		if (this.#how.how === 'move') {
			await this.#tidy();
		}
		return {outcome, uuid};
	}

	/** Nobody would find out what it says once it is gone. */
	#refuseOther(fields: ImageFields, ours: LocalImage): void {
		const [told, known] = [plainFields(fields), plainFields(ours.fields)];
		const other = this.#manifest.named.filter(name => !isDeepStrictEqual(told[name], known[name]));
		if (other.length > 0) {
			throw new RefusedError(
				'ImageUuidAlreadyExists',
				`we have that uuid already, with another ${other.join(', ')}: UpdateImage ` +
					`(POST /images/${ours.fields.uuid}?action=update) changes what an image says, another file takes another uuid`,
			);
		}
	}

	/** Has every file verified and in the store. */
	async #hold(
		held: HeldFile[],
		ours: LocalImage | undefined,
		report: (bytes: number) => void,
		signal: AbortSignal,
	): Promise<void> {
		let before = 0;
		for (const [index, {told, found}] of this.#image.files.entries()) {
			const begun = before;
			const sha1 = told.sha1 ?? ours?.fields.files[index]?.sha1;
			const stored = await this.#store.importFile(found.file, this.#howFor(found.isOurs), {
				...(sha1 === undefined ? {} : {expected: {sha1, size: told.size ?? found.size}}),
				inode: found.inode,
				pinnedBy: this.#pin,
				onProgress: bytes => report(begun + bytes),
				signal,
			});
			try {
				const compression = told.compression ?? (await compressionOf(found.file));
				const file = await this.#writes.holdStored(stored.sha1, {compression, datasetGuid: told.datasetGuid});
				if (file === undefined) {
					throw new IntegrityError(`${found.file} is gone from the store`);
				}
				held.push(file);
			} finally {
				await this.#store.release(stored.sha1, this.#pin);
			}
			if (told.sha1 === undefined && told.md5 !== undefined && stored.md5 !== undefined && stored.md5 !== told.md5) {
				throw new IntegrityError(`${path.basename(found.file)} does not have the md5 that its manifest says`);
			}
			this.#checkTheirs(index === 0 ? stored.sha1 : undefined);
			before += stored.size;
		}
	}

	#checkTheirs(sha1: Sha1 | undefined): void {
		const theirs = this.#theirs;
		if (theirs?.sha1 !== undefined && sha1 !== undefined && theirs.sha1 !== sha1) {
			throw new RefusedError(
				'ImageUuidAlreadyExists',
				`source ${theirs.source} has that uuid with another file, ${theirs.sha1}`,
			);
		}
	}

	/** What other accounts could still write to is copied, whatever is asked for. */
	#howFor(isOurs: boolean): 'copy' | 'link' {
		const {how} = this.#how;
		return how === 'copy' || (how === 'move' && !isOurs) ? 'copy' : 'link';
	}

	/** Those of its manifest that we have; otherwise as for any new image. */
	#channels(): readonly string[] {
		const ours = this.#writes.settings.channels.map(({name}) => name);
		const known = this.#manifest.channels.filter(channel => ours.includes(channel));
		return known.length > 0 && this.#change.channel === undefined
			? [...new Set(known)]
			: this.#writes.channelsFor(this.#change.channel);
	}

	/** An icon that no client could be given is left behind. */
	async #icon(): Promise<NewImage['icon']> {
		const {icon} = this.#image;
		const contentType = icon?.contentType;
		if (icon === undefined || contentType === undefined || !iconTypes.has(contentType)) {
			return undefined;
		}
		try {
			const bytes = await readSmall(icon.found.file, maxIconBytes);
			return bytes.length === 0 ? undefined : {bytes, contentType};
		} catch (error) {
			if (error instanceof IntegrityError) {
				return undefined;
			}
			throw error;
		}
	}

	/** What has become ours goes, and so do the image's own folders once they are empty. */
	async #tidy(): Promise<void> {
		const {files, icon, manifestFile, record, folders} = this.#image;
		try {
			for (const found of [...files.map(file => file.found), icon?.found, record]) {
				// Somebody may have put the next one in its place meanwhile, or a link on the way there.
				if (found !== undefined && (await plainFile('/', found.file, {links: false}))?.stamp === found.stamp) {
					await rm(found.file, {force: true});
				}
			}
		} catch (error) {
			this.#host.log.warn({file: manifestFile, problem: describe(error)}, 'what was taken over cannot be removed');
			return;
		}
		for (const folder of folders) {
			await rmdir(folder).catch(() => undefined);
		}
	}
}

/** As they are served, whether we know them or not; a date as the time that it is, however it is written. */
function plainFields({extra, ...known}: ImageFields): JsonObject {
	return {...extra, ...known, published_at: Date.parse(known.published_at ?? '')};
}

const compressionByEnding: ReadonlyMap<string, Compression> = new Map([
	['.gz', 'gzip'],
	['.bz2', 'bzip2'],
	['.xz', 'xz'],
]);

async function compressionOf(file: string): Promise<Compression> {
	const magic = magicOf(await readFirst(file, magicBytes));
	const byMagic = magic === undefined ? undefined : compressionOfMagic(magic);
	return byMagic ?? compressionByEnding.get(path.extname(file)) ?? 'none';
}
