/**
 * Which files were published here, known apart from the records of their images.
 *
 * Blobs of our own that no image needs are what a crash left of a publication, and go at the start. But a record may be
 * missing because a restore was incomplete, or a disk was not there: then a mark says that the file had been published,
 * and it stays, also where a source had it first. Each image has its own marks, as several may have one file. Whoever
 * publishes marks files once their record is written, and takes the marks away before that goes.
 */
import {writeFile} from 'node:fs/promises';
import {codeOf, describe} from '../errors.js';
import {makeFolder} from '../host-folders.js';
import type {Host} from '../host.js';
import {isSha1, isUuid, type Sha1, type Uuid} from '../image/manifest.js';
import {bytesInWords} from './keep-limits.js';
import type {Layout} from './layout.js';
import {listFolder, removeRecord} from './records.js';

/** Named in the log; there may be thousands. */
const mostNamed = 10;

export interface OwnFilesParts {
	readonly layout: Layout;
	readonly host: Host;
	readonly list: () => Iterable<{readonly sha1: Sha1; readonly size: number; readonly source: string}>;
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
	#marks: Map<Uuid, Set<Sha1>> | undefined;
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
				if (marks.get(uuid)?.has(sha1) !== true) {
					await this.#write(layout.ownFile(sha1, uuid));
					add(marks, uuid, sha1);
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

	/** That image has them no more, or will not in a moment. It lasts, so that a record that is gone leaves no mark. */
	async unmark(uuid: Uuid, files: Iterable<Sha1>): Promise<void> {
		const marks = await this.#load();
		for (const sha1 of files) {
			const own = marks.get(uuid);
			if (own?.delete(sha1) === true) {
				if (own.size === 0) {
					marks.delete(uuid);
				}
				await removeRecord(this.#parts.layout.ownFile(sha1, uuid));
			}
		}
	}

	/** Some mark was made for that image. Where nobody can tell, there may be. */
	async names(uuid: Uuid): Promise<boolean> {
		return this.#load().then(
			marks => marks.has(uuid),
			() => true,
		);
	}

	/** An image of ours has that file. Where nobody can tell, it may. */
	async isOurs(sha1: Sha1): Promise<boolean> {
		return this.#load().then(
			marks => [...marks.values()].some(files => files.has(sha1)),
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
		const images = new Map<Sha1, Uuid[]>();
		for (const [uuid, files] of marks) {
			for (const sha1 of files) {
				images.set(sha1, [...(images.get(sha1) ?? []), uuid]);
			}
		}
		const gone: Sha1[] = [];
		const found: {readonly sha1: Sha1; readonly size: number}[] = [];
		const needed = this.#parts.needed();
		for (const {sha1, size, source} of list()) {
			const isNeeded = isPinned(sha1);
			const own = images.get(sha1) ?? [];
			for (const image of own) {
				// Also where another image has it, which may be deleted.
				pin(sha1, `image ${image}`);
			}
			if (isNeeded) {
				continue;
			}
			if (own.length > 0) {
				found.push({sha1, size});
			} else if (source === 'local' && !needed.has(sha1) && (await this.#parts.delete(sha1))) {
				gone.push(sha1);
			}
		}
		const strays = found.flatMap(({sha1}) => (images.get(sha1) ?? []).map(image => ({sha1, image})));
		this.#strays = {files: found.length, bytes: found.reduce((bytes, {size}) => bytes + size, 0)};
		host.troubles.set('strays', inWords(this.#strays));
		if (strays.length > 0) {
			host.log.error(
				{...this.#strays, strays: strays.slice(0, mostNamed)},
				`FILES THAT WERE PUBLISHED HERE HAVE NO IMAGE: put the records back into ${layout.published} and start again; ` +
					`to let such a file go, delete its name in ${layout.own} before`,
			);
		}
		return gone;
	}

	async #write(file: string): Promise<void> {
		try {
			await writeFile(file, '');
		} catch (error) {
			if (codeOf(error) !== 'ENOENT') {
				throw error;
			}
			// Not before: a full disk keeps nobody from starting, and once it has room there is a next start.
			await makeFolder(this.#parts.layout.own);
			await writeFile(file, '');
		}
	}

	/** What is marked, by image. */
	async #load(): Promise<Map<Uuid, Set<Sha1>>> {
		if (this.#marks === undefined) {
			const marks = new Map<Uuid, Set<Sha1>>();
			for (const name of await listFolder(this.#parts.layout.own)) {
				const [sha1, uuid, ...more] = name.split('.');
				if (isSha1(sha1) && isUuid(uuid) && more.length === 0) {
					add(marks, uuid, sha1);
				}
			}
			this.#marks ??= marks;
		}
		return this.#marks;
	}
}

function add(marks: Map<Uuid, Set<Sha1>>, uuid: Uuid, sha1: Sha1): void {
	marks.set(uuid, (marks.get(uuid) ?? new Set()).add(sha1));
}

function inWords({files, bytes}: Strays): string | undefined {
	return files === 0
		? undefined
		: `${files} published files (${bytesInWords(bytes)}) belong to no image: records of images are missing (see the log)`;
}
