/**
 * Which files were published here, known apart from the records of their images.
 *
 * Blobs of our own that no image needs are what a crash left of a publication, and go at the start. But a record may be
 * missing because a restore was incomplete, or a disk was not there: then a mark says that the file had been published,
 * and it stays. Whoever publishes marks files once their record is written, and takes the mark away before that goes.
 */
import {rm, writeFile} from 'node:fs/promises';
import {describe} from '../errors.js';
import {makeFolder} from '../host-folders.js';
import type {Host} from '../host.js';
import {isSha1, isUuid, type Sha1, type Uuid} from '../image/manifest.js';
import {bytesInWords} from './keep-limits.js';
import type {Layout} from './layout.js';
import {listFolder} from './records.js';

/** Named in the log; there may be thousands. */
const mostNamed = 10;

export interface OwnFilesParts {
	readonly layout: Layout;
	readonly host: Host;
	/** All blobs that were made here. */
	readonly list: () => Iterable<{readonly sha1: Sha1; readonly size: number}>;
	readonly isHere: (sha1: Sha1) => boolean;
	/** What images of sources have. */
	readonly needed: () => ReadonlySet<Sha1>;
	readonly isPinned: (sha1: Sha1) => boolean;
	readonly pin: (sha1: Sha1, by: string) => void;
	/** False: it is pinned, or in use. */
	readonly delete: (sha1: Sha1) => Promise<boolean>;
}

export interface Strays {
	readonly files: number;
	readonly bytes: number;
}

export class OwnFiles {
	readonly #parts: OwnFilesParts;
	#marks: Map<Sha1, Uuid> | undefined;
	#strays: Strays = {files: 0, bytes: 0};
	/** Said once. */
	#isRefused = false;

	constructor(parts: OwnFilesParts) {
		this.#parts = parts;
	}

	/** Files that had been published, and whose image has no record any more. As of the start. */
	get strays(): Strays {
		return this.#strays;
	}

	/** An image of ours that has a record has these files. That it cannot be written down is no failure of anybody's. */
	async mark(uuid: Uuid, files: Iterable<Sha1>): Promise<void> {
		const {layout, host} = this.#parts;
		try {
			const marks = await this.#load();
			for (const sha1 of files) {
				if (!marks.has(sha1)) {
					// Not before: a full disk keeps nobody from starting, and once it has room there is a next start.
					await makeFolder(layout.own);
					await writeFile(layout.ownFile(sha1, uuid), '');
					marks.set(sha1, uuid);
				}
			}
			this.#isRefused = false;
		} catch (error) {
			if (!this.#isRefused) {
				this.#isRefused = true;
				host.log.warn({image: uuid, problem: describe(error)}, 'that files were published here cannot be written down');
			}
		}
	}

	/** No image of ours has them, or will have in a moment. */
	async unmark(files: Iterable<Sha1>): Promise<void> {
		const marks = await this.#load();
		for (const sha1 of files) {
			const image = marks.get(sha1);
			if (image !== undefined) {
				marks.delete(sha1);
				await rm(this.#parts.layout.ownFile(sha1, image), {force: true});
			}
		}
	}

	/** Some mark was made for that image. Where nobody can tell, there may be. */
	async names(uuid: Uuid): Promise<boolean> {
		return this.#load().then(
			marks => [...marks.values()].includes(uuid),
			() => true,
		);
	}

	/** An image of ours has that file. Where nobody can tell, it may. */
	async isOurs(sha1: Sha1): Promise<boolean> {
		return this.#load().then(
			marks => marks.has(sha1),
			() => true,
		);
	}

	/** An image of ours has that file, and it is not here. */
	async isLost(sha1: string): Promise<boolean> {
		return isSha1(sha1) && !this.#parts.isHere(sha1) && (await this.isOurs(sha1));
	}

	/** Once, when all that is needed is pinned: deletes what a crash left without its image, and keeps what was published. */
	async sweep(): Promise<readonly Sha1[]> {
		const {layout, host, list, isPinned, pin} = this.#parts;
		const marks = await this.#load().catch((error: unknown) => {
			const msg = 'files that no image needs are left, as it cannot be read which of them were published';
			host.log.error({folder: layout.own, problem: describe(error)}, msg);
		});
		if (marks === undefined) {
			return [];
		}
		const gone: Sha1[] = [];
		const strays: {readonly sha1: Sha1; readonly size: number; readonly image: Uuid}[] = [];
		const needed = this.#parts.needed();
		for (const {sha1, size} of list()) {
			if (isPinned(sha1)) {
				continue;
			}
			const image = marks.get(sha1);
			if (image !== undefined) {
				strays.push({sha1, size, image});
			} else if (!needed.has(sha1) && (await this.#parts.delete(sha1))) {
				gone.push(sha1);
			}
		}
		for (const {sha1, image} of strays) {
			pin(sha1, `image ${image}`);
		}
		this.#strays = {files: strays.length, bytes: strays.reduce((bytes, {size}) => bytes + size, 0)};
		host.troubles.set('strays', inWords(this.#strays));
		if (strays.length > 0) {
			host.log.error(
				{...this.#strays, strays: strays.slice(0, mostNamed).map(({sha1, image}) => ({sha1, image}))},
				`FILES THAT WERE PUBLISHED HERE HAVE NO IMAGE: put the records back into ${layout.published} and start again; ` +
					`to let such a file go, delete its name in ${layout.own} before`,
			);
		}
		return gone;
	}

	/** What is marked, for which image. */
	async #load(): Promise<Map<Sha1, Uuid>> {
		if (this.#marks === undefined) {
			const marks = new Map<Sha1, Uuid>();
			for (const name of await listFolder(this.#parts.layout.own)) {
				const [sha1, uuid, ...more] = name.split('.');
				if (isSha1(sha1) && isUuid(uuid) && more.length === 0) {
					marks.set(sha1, uuid);
				}
			}
			this.#marks ??= marks;
		}
		return this.#marks;
	}
}

function inWords({files, bytes}: Strays): string | undefined {
	return files === 0
		? undefined
		: `${files} published files (${bytesInWords(bytes)}) belong to no image: records of images are missing (see the log)`;
}
