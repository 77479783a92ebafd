/**
 * What the writers of bundles are tested with: plans made of test bundles, a server's side that serves their files, and
 * a disk on which the process dies, or the power goes, at any operation.
 */
import {readFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import type {PlanEvent, PlannedBlob} from '../../src/airgap/api.js';
import {machineDisk, type Disk, type DiskFile, type Found, type Room} from '../../src/airgap/disk.js';
import type {WriteOptions} from '../../src/airgap/write-options.js';
import {PlanCollector, type BundlePlan, type FetchFile} from '../../src/airgap/write-plan.js';
import type {TestImage} from '../helpers/make-image.js';
import {digestOfPath, makeBundle, type BundleOptions, type TestBundle} from './make-bundle.js';

/** The events of a plan for these images, as the server tells them. */
export function eventsOf(bundle: TestBundle, images: readonly TestImage[]): readonly PlanEvent[] {
	const told = new Set<string>();
	const blob = (path: string | undefined, more: (bytes: Buffer) => Partial<PlannedBlob>): PlannedBlob[] => {
		if (path === undefined || told.has(path)) {
			return [];
		}
		told.add(path);
		const bytes = bundle.bytes(path);
		return [{digest: digestOfPath(path), size: bytes.length, ...more(bytes)}];
	};
	const text = (bytes: Buffer): Partial<PlannedBlob> => ({text: bytes.toString()});
	const going = images.map((image): PlanEvent => {
		const {uuid, sha1, size} = image;
		const {name, version} = image.manifest as {name: string; version: string};
		const {manifest, config, file, icon} = bundle.image(image);
		const blobs = [
			...blob(manifest, text),
			...blob(config, text),
			...blob(file, () => ({file: {uuid, index: 0, sha1}})),
			...blob(icon, bytes => ({base64: bytes.toString('base64')})),
		];
		return {what: 'image', uuid, name, version, bytes: size, filesLeftOut: file === undefined, blobs};
	});
	const signature = bundle.files.get('index.json.sig')?.toString();
	const bytes = [...told].reduce((sum, path) => sum + bundle.bytes(path).length, 0);
	return [
		{what: 'begin', images: images.length, bytes: images.reduce((sum, {size}) => sum + size, 0), bytesToFetch: 0},
		...going,
		{
			...{what: 'index', text: bundle.index.toString()},
			...(signature === undefined ? {} : {signature, signedBy: 'SHA256:test'}),
		},
		{what: 'end', images: images.length, there: 0, failed: 0, bytes},
	];
}

export function planOf(events: Iterable<PlanEvent>): BundlePlan {
	const collector = new PlanCollector();
	for (const event of events) {
		collector.take(event);
	}
	const plan = collector.plan();
	if (plan === undefined) {
		throw new Error('there is no index in the plan');
	}
	return plan;
}

export interface Made {
	readonly bundle: TestBundle;
	readonly plan: BundlePlan;
	readonly files: TestFiles;
}

export function makePlan(options: BundleOptions): Made {
	const bundle = makeBundle(options);
	return {bundle, plan: planOf(eventsOf(bundle, options.images)), files: new TestFiles(options.images)};
}

/** The files of images as a server gives them. */
export class TestFiles {
	readonly #bytes: ReadonlyMap<string, Buffer>;
	/** So many went out. */
	served = 0;
	/** Each is `uuid from byte`. */
	readonly asked: string[] = [];
	/** What somebody gets instead of the right bytes. */
	spoil: (bytes: Buffer) => Buffer = bytes => bytes;
	/** Thrown after so many bytes of all together. */
	breakAfter: {readonly bytes: number; readonly error: Error} | undefined;
	pieceBytes = 700;
	/** Called with every piece, before it goes out. */
	onPiece: () => void = () => undefined;

	constructor(images: readonly TestImage[]) {
		this.#bytes = new Map(images.map(({uuid, bytes}) => [uuid, bytes]));
	}

	readonly fetch: FetchFile = async ({file}, start) => {
		this.asked.push(`${file?.uuid ?? ''} ${start}`);
		return this.#pieces(this.spoil(this.#bytes.get(file?.uuid ?? '') ?? Buffer.alloc(0)).subarray(start));
	};

	async *#pieces(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
		for (let at = 0; at < bytes.length; at += this.pieceBytes) {
			const piece = bytes.subarray(at, at + this.pieceBytes);
			if (this.breakAfter !== undefined && this.served + piece.length > this.breakAfter.bytes) {
				throw this.breakAfter.error;
			}
			this.onPiece();
			this.served += piece.length;
			yield piece;
			await Promise.resolve();
		}
	}
}

/** Everything below a folder, by path. */
export async function treeOf(folder: string): Promise<ReadonlyMap<string, Buffer>> {
	const entries = await readdir(folder, {recursive: true, withFileTypes: true});
	const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
	const tree = new Map<string, Buffer>();
	for (const file of files.sort()) {
		tree.set(file.slice(folder.length + 1), await readFile(file));
	}
	return tree;
}

/** For messages that can be read: how two trees differ; `''`: they are the same to the last byte. */
export function difference(found: ReadonlyMap<string, Buffer>, wanted: ReadonlyMap<string, Buffer>): string {
	const names = new Set([...found.keys(), ...wanted.keys()]);
	return [...names]
		.filter(name => found.get(name)?.equals(wanted.get(name) ?? Buffer.from('absent')) !== true)
		.map(name => `${name}: ${found.get(name)?.length ?? 'absent'} instead of ${wanted.get(name)?.length ?? 'absent'}`)
		.join(', ');
}

/** What a process that was killed would have thrown, had it been asked. */
export class Killed extends Error {}

/** The machine's, with what a test has in mind for it. */
export class TestDisk implements Disk {
	/** Operations so far. */
	steps = 0;
	/** The process dies at that one; of a write, half of it is done. */
	killAt = Infinity;
	/** What was not synced when it died is zeros. */
	powerGoes = false;
	/** What the file system says to each operation, if not what the machine's does. */
	refuse: (operation: string, path: string) => Error | undefined = () => undefined;
	/** `undefined`: it does not tell. */
	roomIs: Room | undefined = {freeBytes: 1e12, blockBytes: 512, isFat: false};
	#dead = false;
	readonly #unsynced = new Map<string, (readonly [start: number, end: number])[]>();

	async find(path: string): Promise<Found | undefined> {
		await this.#step('find', path);
		return machineDisk.find(path);
	}

	async open(path: string): Promise<DiskFile> {
		await this.#step('open', path);
		const file = await machineDisk.open(path);
		return {
			size: () => file.size(),
			read: (into, position) => file.read(into, position),
			write: async (bytes, position) => {
				await this.#step('write', path, async () => {
					const half = bytes.subarray(0, Math.floor(bytes.length / 2));
					await file.write(half, position);
					this.#touched(path, position, half.length);
				});
				await file.write(bytes, position);
				this.#touched(path, position, bytes.length);
			},
			truncate: async size => {
				await this.#step('truncate', path);
				await file.truncate(size);
			},
			sync: async () => {
				await this.#step('sync', path);
				this.#unsynced.delete(path);
			},
			// Also when the process is dead: the test goes on living.
			close: () => file.close(),
		};
	}

	async list(folder: string): Promise<readonly string[]> {
		await this.#step('list', folder);
		return machineDisk.list(folder);
	}

	async makeFolder(path: string): Promise<void> {
		await this.#step('makeFolder', path);
		await machineDisk.makeFolder(path);
	}

	async rename(from: string, to: string): Promise<void> {
		await this.#step('rename', to);
		await machineDisk.rename(from, to);
		const ranges = this.#unsynced.get(from);
		this.#unsynced.delete(from);
		this.#unsynced.delete(to);
		if (ranges !== undefined) {
			this.#unsynced.set(to, ranges);
		}
	}

	async remove(path: string): Promise<void> {
		await this.#step('remove', path);
		this.#unsynced.delete(path);
		await machineDisk.remove(path);
	}

	async syncFolder(path: string): Promise<void> {
		await this.#step('syncFolder', path);
	}

	async room(): Promise<Room | undefined> {
		return this.roomIs;
	}

	async #step(operation: string, path: string, atDeath?: () => Promise<void>): Promise<void> {
		if (this.#dead) {
			throw new Killed();
		}
		this.steps++;
		if (this.steps >= this.killAt) {
			this.#dead = true;
			await atDeath?.();
			await this.#lose();
			throw new Killed();
		}
		const error = this.refuse(operation, path);
		if (error !== undefined) {
			throw error;
		}
	}

	#touched(path: string, start: number, length: number): void {
		const ranges = this.#unsynced.get(path) ?? [];
		ranges.push([start, start + length]);
		this.#unsynced.set(path, ranges);
	}

	async #lose(): Promise<void> {
		if (!this.powerGoes) {
			return;
		}
		for (const [path, ranges] of this.#unsynced) {
			const file = await machineDisk.open(path);
			for (const [start, end] of ranges) {
				await file.write(Buffer.alloc(end - start), start);
			}
			await file.close();
		}
	}
}

/** Everything that a writer is given, and what came of it. */
export class TestWrite implements WriteOptions {
	readonly disk = new TestDisk();
	readonly plan: BundlePlan;
	readonly fetch: FetchFile;
	readonly controller = new AbortController();
	readonly signal = this.controller.signal;
	replace = false;
	partBytes: number | undefined;
	total = 0;
	/** The last that was told. */
	done = 0;
	readonly said: string[] = [];
	readonly progress = {
		start: (total: number): void => void (this.total = total),
		update: (done: number): void => void (this.done = done),
		say: (line: string): void => void this.said.push(line),
	};

	constructor({plan, files}: Pick<Made, 'plan' | 'files'>, options: {replace?: boolean; partBytes?: number} = {}) {
		this.plan = plan;
		this.fetch = files.fetch;
		this.replace = options.replace ?? false;
		this.partBytes = options.partBytes;
	}
}
