/**
 * Every path below the data directory, and the layout's version.
 *
 * Nobody else joins paths there. `prepareLayout` makes the folders and refuses a directory that a newer version of
 * the mirror has written.
 */
import {randomBytes} from 'node:crypto';
import {open, readFile, realpath, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {UsageError, describe} from '../errors.js';
import {dataMode, makeFolder} from '../host-folders.js';
import type {Sha1, Uuid} from '../image/manifest.js';

const layoutVersion = 1;

/** What may name an upload: nothing that leads elsewhere, and nothing that another file of the folder could have. */
export function isUploadId(value: string): boolean {
	return /^[0-9A-Za-z_-]{1,100}$/.test(value);
}

export class Layout {
	readonly root: string;
	/** Whole files: `blobs/ab/<sha1>`, with `.info` and the manifests of their images beside them. */
	readonly blobs: string;
	/** Files on their way in, and blobs that must be looked at again. */
	readonly partials: string;
	/** Files that were not what their digest says. */
	readonly quarantine: string;
	/** SHA-1s found out for images whose manifests have none: `digests/<uuid>.<index>`. */
	readonly digests: string;
	/** What sources said and when: the catalog's memory. */
	readonly memory: string;
	readonly lock: string;
	/** Our own images: `<uuid>.json` each, with icons beside them. */
	readonly published: string;
	/** Names only: which files were published here, for which image. */
	readonly own: string;
	/** Files that somebody is sending: `uploads/<id>`, with `<id>.json` beside those that may be gone on with later. */
	readonly uploads: string;
	/** What runs in the background, and what came of it: `<uuid>.json` each. */
	readonly jobs: string;
	/** Who may do what. */
	readonly users: string;
	/** SSH public keys: `<user>.keys` each. */
	readonly keys: string;
	/** Images that operators pinned. */
	readonly pins: string;
	/** When each file was last used, across restarts. */
	readonly usage: string;
	/** What lies in each folder of blobs, so that a start need not look at each. */
	readonly index: string;
	/** When each file was last read again and found right. */
	readonly scrub: string;
	/** What operators held and released, and when each image was first seen. */
	readonly holds: string;
	/** The last hours in numbers. */
	readonly history: string;
	/** What webhooks have still to be told. */
	readonly hooks: string;
	/** When prefetch rules last ran. */
	readonly prefetch: string;
	/** What our bundles are signed with, and whose bundles are taken. */
	readonly bundleKey: string;
	readonly trustedKeys: string;
	/** Parts of bundles that came before their turn. */
	readonly spool: string;
	/** Written again and again, to see whether anything can be. */
	readonly alive: string;
	/** Where commands of the same account reach a running mirror. To listen or connect, ask `socketPath`. */
	readonly control: string;

	constructor(root: string) {
		this.root = path.resolve(root);
		this.blobs = path.join(this.root, 'blobs');
		this.partials = path.join(this.root, 'partial');
		this.quarantine = path.join(this.root, 'quarantine');
		this.digests = path.join(this.root, 'digests');
		this.memory = path.join(this.root, 'memory');
		this.lock = path.join(this.root, 'lock.sock');
		this.published = path.join(this.root, 'published');
		this.own = path.join(this.root, 'own');
		this.uploads = path.join(this.root, 'uploads');
		this.jobs = path.join(this.root, 'jobs');
		this.users = path.join(this.root, 'users.json');
		this.keys = path.join(this.root, 'keys');
		this.pins = path.join(this.root, 'pins.json');
		this.usage = path.join(this.root, 'usage');
		this.index = path.join(this.root, 'index');
		this.scrub = path.join(this.root, 'scrub');
		this.holds = path.join(this.root, 'holds.json');
		this.history = path.join(this.root, 'history.json');
		this.hooks = path.join(this.root, 'hooks.json');
		this.prefetch = path.join(this.root, 'prefetch.json');
		this.bundleKey = path.join(this.root, 'bundle-key.pem');
		this.trustedKeys = path.join(this.root, 'trusted-keys');
		this.spool = path.join(this.root, 'spool');
		this.alive = path.join(this.root, 'alive');
		this.control = path.join(this.root, 'control.sock');
	}

	/** Whether it is one of these, lies in one of them, or has them all in it. Throws the system's error if it is not there. */
	async isOurs(folder: string): Promise<boolean> {
		const root = await realpath(this.root);
		const steps = path.relative(root, await realpath(folder)).split(path.sep);
		const isAround = steps.every(step => step === '' || step === '..');
		const ours = new Set((Object.values(this) as string[]).map(place => path.relative(this.root, place)));
		return isAround || ours.has(steps[0] ?? '');
	}

	blobFolder(sha1: Sha1): string {
		return path.join(this.blobs, sha1.slice(0, 2));
	}

	blob(sha1: Sha1): string {
		return path.join(this.blobFolder(sha1), sha1);
	}

	info(sha1: Sha1): string {
		return `${this.blob(sha1)}.info`;
	}

	/** `name`: the two digits that a folder of blobs is called. */
	indexOf(name: string): string {
		return path.join(this.index, name);
	}

	/** The manifest of an image whose file number `index` is this blob. */
	manifest(sha1: Sha1, uuid: Uuid, index: number): string {
		return `${this.blob(sha1)}.${uuid}${index === 0 ? '' : `.${index}`}.json`;
	}

	partial(key: string): string {
		return path.join(this.partials, key);
	}

	quarantined(name: string): string {
		return path.join(this.quarantine, name);
	}

	digest(uuid: Uuid, index: number): string {
		return path.join(this.digests, `${uuid}.${index}`);
	}

	publishedRecord(uuid: Uuid): string {
		return path.join(this.published, `${uuid}.json`);
	}

	publishedIcon(uuid: Uuid, sha1: Sha1): string {
		return path.join(this.published, `${uuid}.icon.${sha1}`);
	}

	/** Says that this blob was published here, for that image. */
	ownFile(sha1: Sha1, uuid: Uuid): string {
		return path.join(this.own, `${sha1}.${uuid}`);
	}

	/** `id` must be one that `isUploadId` passes. */
	upload(id: string): string {
		return path.join(this.uploads, id);
	}

	uploadInfo(id: string): string {
		return `${this.upload(id)}.json`;
	}

	job(uuid: Uuid): string {
		return path.join(this.jobs, `${uuid}.json`);
	}
}

/** Makes what is missing. Throws UsageError, in words, where the directory cannot be used. */
export async function prepareLayout(layout: Layout): Promise<void> {
	try {
		await makeFolder(layout.root, dataMode);
		const {blobs, partials, quarantine, digests, memory, published, uploads, jobs, keys} = layout;
		for (const folder of [blobs, partials, quarantine, digests, memory, published, uploads, jobs, keys]) {
			await makeFolder(folder);
		}
	} catch (error) {
		throw new UsageError(`the data directory ${layout.root} cannot be used: ${describe(error)}`, {cause: error});
	}

	const file = path.join(layout.root, 'version');
	const found = await readFile(file, 'utf8').catch(() => undefined);
	if (found === undefined || found.trim() === '') {
		await writeWhole(file, `${layoutVersion}\n`).catch(() => {
			// A full disk must not keep the mirror from serving what it holds; the next start writes it.
		});
		return;
	}
	if (Number(found) !== layoutVersion) {
		throw new UsageError(
			`the data directory ${layout.root} has layout version ${found.trim()}, this imgmirror knows ${layoutVersion}: ` +
				'use the imgmirror that wrote it, or another directory',
		);
	}
}

/** Writes a small file so that it is either there whole or as it was before, across a crash. */
export async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
	const temporary = `${file}.${randomBytes(4).toString('hex')}.new`;
	try {
		const handle = await open(temporary, 'wx');
		try {
			await handle.writeFile(content);
			await handle.sync();
		} finally {
			await handle.close();
		}
		await rename(temporary, file);
	} catch (error) {
		await rm(temporary, {force: true}).catch(() => undefined);
		throw error;
	}
}

/** Makes the renames in a folder last. Not every platform lets a folder be opened: there it does so by itself. */
export async function syncFolder(folder: string): Promise<void> {
	const handle = await open(folder, 'r').catch(() => undefined);
	try {
		await handle?.sync();
	} catch {
		// As above.
	} finally {
		await handle?.close();
	}
}
