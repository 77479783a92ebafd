/**
 * A mirror as an import sees it, in memory: files that are held, and images that name them.
 *
 * It refuses what the real one refuses, runs out of room when it is told to, and takes as long as a test wants. What
 * became visible when is written down; what a real mirror relies upon (files whole, held and in order) is checked at
 * every `keep`, and `check` finds what is left behind.
 */
import {createHash} from 'node:crypto';
import {NoSpaceError, RefusedError} from '../../src/errors.js';
import {isSha1, type Sha1, type Uuid} from '../../src/image/manifest.js';
import type {CarryBlob, CarryIn, IncomingImage, TakenFile} from '../../src/mirror-carry-api.js';
import type {Actor} from '../../src/publish/api.js';
import type {Ask, Icon} from '../../src/sources/source.js';

export interface KeptImage {
	readonly text: string;
	readonly channels: readonly string[] | undefined;
	readonly files: readonly Sha1[];
	readonly icon: Icon | undefined;
	readonly by: string | undefined;
}

interface Stored {
	readonly blob: CarryBlob;
	readonly holds: Set<TakenFile>;
}

export class FakeCarryIn implements CarryIn {
	readonly images = new Map<string, KeptImage>();
	/** Uuids in the order in which they became visible, or were renewed. */
	readonly visible: string[] = [];
	/** Images of sources. */
	readonly theirs = new Set<string>();
	/** Ours, made or changed here. */
	readonly changedHere = new Set<string>();
	/** What `compare`, `take` (by sha256) and `keep` throw instead of working; by uuid or digest. */
	readonly refusals = new Map<string, Error>();
	/** Waited for before each `take` is over, each `keep`. */
	onTake: (blob: CarryBlob) => Promise<void> = async () => undefined;
	onKeep: (uuid: Uuid) => Promise<void> = async () => undefined;
	/** What is in the store may be gone from the disk all the same. */
	readonly vanished = new Set<string>();
	roomBytes = Infinity;
	/** Digests of files that came from bundles, in order. */
	readonly takes: string[] = [];
	takesUnderWay = 0;
	mostTakesUnderWay = 0;
	/** Of `take`s under way, what has been handed over and not yet written. */
	mostBytesUnderWay = 0;
	mostKeepsUnderWay = 0;
	readonly asked: string[] = [];
	settledAfter: number | undefined;
	readonly #stored = new Map<string, Stored>();
	readonly #named = new Set<string>();
	#bytesUnderWay = 0;
	#keepsUnderWay = 0;

	/** It is in the store, as if an image of ours or a source's had it. */
	store(bytes: Buffer): Sha1 {
		const blob = blobOf(bytes);
		this.#stored.set(blob.sha1, {blob, holds: new Set([pseudoHold])});
		return blob.sha1;
	}

	get storedBytes(): number {
		return [...this.#stored.values()].reduce((sum, {blob}) => sum + blob.size, 0);
	}

	/** What is held by nobody but imports. */
	get held(): readonly Sha1[] {
		return [...this.#stored.values()]
			.filter(({holds}) => [...holds].some(hold => hold !== pseudoHold))
			.map(({blob}) => blob.sha1);
	}

	/** What is wrong now that no import runs: held files, files that no image names, images without their files. */
	faults(): readonly string[] {
		const named = new Set([...this.images.values()].flatMap(({files}) => files));
		return [
			...this.held.map(sha1 => `${sha1} is held still`),
			...[...this.#stored.values()]
				.filter(({blob, holds}) => holds.size === 0 && !named.has(blob.sha1))
				.map(({blob}) => `${blob.sha1} is nobody's`),
			...[...named].filter(sha1 => !this.#stored.has(sha1)).map(sha1 => `${sha1} is missing`),
			...(this.takesUnderWay === 0 ? [] : ['a file is under way']),
		];
	}

	async compare(image: IncomingImage, {signal}: Ask): Promise<'new' | 'there' | 'changed' | 'ours'> {
		signal.throwIfAborted();
		const {uuid} = image.manifest;
		this.#refuse(uuid);
		const ours = this.images.get(uuid);
		if (ours === undefined) {
			return 'new';
		}
		if (image.manifest.files.some(({sha1}, index) => sha1 !== undefined && sha1 !== ours.files[index])) {
			throw new RefusedError('ImageUuidAlreadyExists', 'we have that uuid already, with another file');
		}
		return ours.text === image.text ? 'there' : this.changedHere.has(uuid) ? 'ours' : 'changed';
	}

	async isKnown(uuid: Uuid): Promise<boolean> {
		this.asked.push(uuid);
		return this.images.has(uuid) || this.theirs.has(uuid);
	}

	stored(sha1: Sha1): CarryBlob | undefined {
		return this.#stored.get(sha1)?.blob;
	}

	async holdStored(sha1: Sha1): Promise<TakenFile | undefined> {
		const stored = this.#stored.get(sha1);
		return stored === undefined || this.vanished.has(sha1) ? undefined : this.#hold(stored);
	}

	async take(
		{sha1, size, body}: {readonly sha1: Sha1 | undefined; readonly size: number; readonly body: AsyncIterable<Buffer>},
		{signal}: Ask,
	): Promise<TakenFile> {
		signal.throwIfAborted();
		if (size > this.roomBytes) {
			throw new NoSpaceError(`${size} bytes are needed, ${this.roomBytes} are free`);
		}
		this.takesUnderWay++;
		this.mostTakesUnderWay = Math.max(this.mostTakesUnderWay, this.takesUnderWay);
		let held = 0;
		try {
			const hashes = [createHash('sha1'), createHash('sha256')] as const;
			let bytes = 0;
			for await (const chunk of body) {
				signal.throwIfAborted();
				bytes += chunk.length;
				// A small one is in memory until it is written.
				held = Math.max(held, chunk.length);
				this.#bytesUnderWay += chunk.length;
				this.mostBytesUnderWay = Math.max(this.mostBytesUnderWay, this.#bytesUnderWay);
				await Promise.resolve();
				this.#bytesUnderWay -= chunk.length;
				for (const hash of hashes) {
					hash.update(chunk);
				}
			}
			const blob = asBlob(hashes[0].digest('hex'), hashes[1].digest('hex'), bytes);
			if (bytes === 0) {
				throw new RefusedError('Download', 'the file is empty');
			}
			if (bytes !== size) {
				throw new RefusedError('Download', `the file has ${bytes} bytes, not ${size}`);
			}
			if (sha1 !== undefined && sha1 !== blob.sha1) {
				throw new RefusedError('Download', `the file has the sha1 ${blob.sha1}, not ${sha1}`);
			}
			this.#refuse(blob.sha256);
			this.#bytesUnderWay += held;
			this.mostBytesUnderWay = Math.max(this.mostBytesUnderWay, this.#bytesUnderWay);
			try {
				await this.onTake(blob);
			} finally {
				this.#bytesUnderWay -= held;
			}
			signal.throwIfAborted();
			this.takes.push(`sha256:${blob.sha256}`);
			this.vanished.delete(blob.sha1);
			const stored = this.#stored.get(blob.sha1) ?? {blob, holds: new Set<TakenFile>()};
			if (!this.#stored.has(blob.sha1)) {
				this.roomBytes -= size;
			}
			this.#stored.set(blob.sha1, stored);
			return this.#hold(stored);
		} finally {
			this.takesUnderWay--;
		}
	}

	async keep(
		image: IncomingImage,
		{files, icon, by}: {readonly files: readonly TakenFile[]; readonly icon: Icon | undefined; readonly by: Actor},
		ask: Ask,
	): Promise<'imported' | 'updated' | 'there'> {
		const {uuid} = image.manifest;
		this.#keepsUnderWay++;
		this.mostKeepsUnderWay = Math.max(this.mostKeepsUnderWay, this.#keepsUnderWay);
		try {
			await this.onKeep(uuid);
			const standing = await this.compare(image, ask);
			const {manifest} = image;
			const areRight =
				files.length === manifest.files.length &&
				files.every(({sha1, size}, index) => {
					const told = manifest.files[index];
					return told?.size === size && (told.sha1 === undefined || told.sha1 === sha1);
				});
			const areHeld = files.every(file => this.#stored.get(file.sha1)?.holds.has(file) === true);
			if (!areRight || !areHeld) {
				throw new TypeError(`image ${uuid} would be kept with files that are ${areRight ? 'not held' : 'not its own'}`);
			}
			if (standing === 'there' || standing === 'ours') {
				return 'there';
			}
			const {text, channels} = image;
			this.images.set(uuid, {text, channels, files: files.map(({sha1}) => sha1), icon, by: by.name});
			for (const {sha1} of files) {
				this.#named.add(sha1);
			}
			this.visible.push(uuid);
			return standing === 'new' ? 'imported' : 'updated';
		} finally {
			this.#keepsUnderWay--;
		}
	}

	async settled(): Promise<void> {
		this.settledAfter = this.visible.length;
	}

	#hold(stored: Stored): TakenFile {
		let isReleased = false;
		const taken: TakenFile = {
			...stored.blob,
			release: async () => {
				if (isReleased) {
					throw new TypeError(`${stored.blob.sha1} is released twice`);
				}
				isReleased = true;
				stored.holds.delete(taken);
				if (stored.holds.size === 0 && !this.#named.has(stored.blob.sha1)) {
					this.#stored.delete(stored.blob.sha1);
					this.roomBytes += stored.blob.size;
				}
			},
		};
		stored.holds.add(taken);
		return taken;
	}

	#refuse(what: string): void {
		const refusal = this.refusals.get(what);
		if (refusal !== undefined) {
			throw refusal;
		}
	}
}

const pseudoHold: TakenFile = {...asBlob('0'.repeat(40), '', 0), release: async () => undefined};

function blobOf(bytes: Buffer): CarryBlob {
	const hex = (algorithm: string): string => createHash(algorithm).update(bytes).digest('hex');
	return asBlob(hex('sha1'), hex('sha256'), bytes.length);
}

function asBlob(sha1: string, sha256: string, size: number): CarryBlob {
	if (!isSha1(sha1)) {
		throw new TypeError('a digest is not one');
	}
	return {sha1, sha256, size};
}
