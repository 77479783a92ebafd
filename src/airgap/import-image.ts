/**
 * One image of a bundle on its way in: read, compared with what is here, its files taken, and kept when all is whole.
 *
 * An import makes one for each entry of the index. `read` takes from the bundle what this image needs, and must have
 * ended before the next is read; `finish` does the rest beside others. Whatever is wrong with the image is told as its
 * outcome; both throw only what ends the whole import.
 */
import {IntegrityError, NoSpaceError, StoppingError, describeFields} from '../errors.js';
import {isObject} from '../image/json-text.js';
import {isUuid} from '../image/manifest.js';
import type {CarryIn, IncomingImage, TakenFile} from '../mirror-carry-api.js';
import type {Icon} from '../sources/source.js';
import type {ImportOutcome} from './api.js';
import {readVerified, short} from './bundle-files.js';
import {smallBytes, type ClaimedFile, type FoundFile} from './import-files.js';
import {ImageReport, type ImageLabel} from './import-report.js';
import type {Twin} from './import-twins.js';
import type {ImportWork} from './import-work.js';
import {
	checkConfig,
	imageArtifactType,
	maxIconBytes,
	maxManifestBytes,
	mediaTypes,
	parseImage,
	type BundleEntry,
	type BundleImage,
	type Descriptor,
} from './oci.js';
import {annotationNames} from './oci-terms.js';

/** Manifests of containers have a few kilobytes. */
const longestOfOthers = 256 * 1024;

type Standing = Awaited<ReturnType<CarryIn['compare']>>;

export class ImageImport {
	readonly #entry: BundleEntry;
	readonly #work: ImportWork;
	readonly #report: ImageReport;
	/** Its place in the index has been accounted for. */
	#isRead = false;
	/** Others with its uuid, or built upon it, look at how this one ends. */
	#answers = false;
	#isOver = false;
	#image: BundleImage | undefined;
	#incoming: IncomingImage | undefined;
	#standing: Standing | undefined;
	#twin: Twin | undefined;
	#tellTwins: (problem: string | undefined) => void = () => undefined;
	/** Found, and not claimed yet. */
	readonly #found: FoundFile[] = [];
	#icon: Icon | undefined;

	constructor(entry: BundleEntry, work: ImportWork) {
		const {annotations} = entry.descriptor;
		this.#entry = entry;
		this.#work = work;
		this.#report = new ImageReport(work.lines, {
			uuid: entry.name,
			name: annotations[annotationNames.title] ?? '',
			version: annotations[annotationNames.version] ?? '',
			bytes: 0,
		});
	}

	async read(): Promise<void> {
		try {
			const bytes = await this.#blob(this.#entry.descriptor, 'OCI manifest', maxManifestBytes);
			const image = this.#parsed(bytes);
			if (image === undefined) {
				return;
			}
			this.#twin = this.#work.twins.get(image.config.digest);
			if (this.#twin === undefined) {
				await this.#readRest(image);
			} else {
				this.#read(this.#twin.label, false);
			}
		} catch (error) {
			await this.#fail(error);
		}
	}

	async finish(): Promise<void> {
		try {
			if (this.#twin !== undefined) {
				const problem = await this.#twin.problem;
				if (problem !== undefined) {
					throw new IntegrityError(problem);
				}
				this.#end('there', 0);
			} else if (!this.#isOver) {
				await this.#settle();
			}
		} catch (error) {
			await this.#fail(error);
		}
	}

	/** `undefined`: it is no image, which the indexes of other tools do not say. */
	#parsed(bytes: Buffer): BundleImage | undefined {
		try {
			this.#image = parseImage(bytes);
		} catch (error) {
			if (!isOfOthers(bytes)) {
				throw error;
			}
			this.#isOver = true;
			this.#work.origins.passOver(this.#entry.name);
			this.#work.passedOver(this.#entry.name);
		}
		return this.#image;
	}

	async #readRest(image: BundleImage): Promise<void> {
		const {carry, ask, origins, bundle} = this.#work;
		const incoming = await this.#readConfig(image);
		const {manifest} = incoming;
		const standing = await carry.compare(incoming, ask);
		this.#incoming = incoming;
		this.#standing = standing;
		const isOurs = standing === 'there' || standing === 'ours';
		if (isOurs && manifest.files.every(({sha1}) => sha1 === undefined || carry.stored(sha1) !== undefined)) {
			await bundle.drop(image.files.map(({descriptor}) => descriptor.digest));
			this.#end('there', 0);
			return;
		}
		if (manifest.origin !== undefined && origins.hasFailed(manifest.origin)) {
			throw originFailed(manifest.origin);
		}
		for (const [index, {descriptor, sha1}] of image.files.entries()) {
			const found = await this.#work.files.find({
				descriptor,
				sha1: manifest.files[index]?.sha1 ?? sha1,
				isElsewhere: this.#entry.filesElsewhere,
				onBytes: bytes => this.#report.progress(bytes),
			});
			this.#found.push(found);
		}
		if (image.icon !== undefined) {
			const bytes = await this.#blob(image.icon, 'icon', maxIconBytes, {again: true});
			this.#icon = {bytes, contentType: image.icon.mediaType};
		}
	}

	async #readConfig(image: BundleImage): Promise<IncomingImage> {
		const {twins, origins} = this.#work;
		const bytes = await this.#blob(image.config, 'manifest', maxManifestBytes);
		const {manifest, text, channels} = checkConfig(image, bytes);
		const {uuid, name, version} = manifest;
		const tag = this.#entry.name;
		if (isUuid(tag) && tag !== uuid) {
			throw new IntegrityError(`the index calls it ${tag}, and its manifest is that of ${uuid}`);
		}
		const isContested = twins.hasOther(uuid) && origins.outcome(uuid) !== 'failed';
		this.#read({uuid, name, version, bytes: manifest.files.reduce((sum, {size}) => sum + size, 0)}, !isContested);
		if (isContested) {
			throw new IntegrityError('the bundle has this image more than once, and says different things of it');
		}
		const problem = new Promise<string | undefined>(resolve => {
			this.#tellTwins = resolve;
		});
		twins.add(image.config.digest, {label: this.#report.label, problem});
		return {text, manifest, channels};
	}

	/** All but what is in the bundle: that has been read. */
	async #settle(): Promise<void> {
		await Promise.all(this.#found.map(({whole}) => whole));
		await this.#awaitOrigin();
		const claimed: ClaimedFile[] = [];
		let isKept = false;
		try {
			for (let file = this.#found.shift(); file !== undefined; file = this.#found.shift()) {
				claimed.push(await file.claim());
			}
			const outcome = await this.#work.slots.run(() => this.#keep(claimed));
			isKept = true;
			this.#end(
				outcome,
				claimed.reduce((sum, {newBytes}) => sum + newBytes, 0),
			);
		} finally {
			for (const file of claimed) {
				await file.release(isKept);
			}
		}
	}

	async #keep(claimed: readonly ClaimedFile[]): Promise<ImportOutcome> {
		const {carry, by, ask, dryRun} = this.#work;
		const incoming = this.#incoming;
		ask.signal.throwIfAborted();
		if (incoming === undefined || dryRun) {
			return this.#standing === 'new' ? 'imported' : this.#standing === 'changed' ? 'updated' : 'there';
		}
		const files = claimed.map(({taken}) => taken).filter((taken): taken is TakenFile => taken !== undefined);
		return carry.keep(incoming, {files, icon: this.#icon, by}, ask);
	}

	/** Resolves when the image may be seen without the one it is built upon being missed. */
	async #awaitOrigin(): Promise<void> {
		const {origins, ask} = this.#work;
		const {manifest, text} = this.#incoming ?? {};
		const {origin, uuid} = manifest ?? {};
		if (uuid === undefined || origin === undefined) {
			return;
		}
		const unpark = this.#work.park(2 * (text?.length ?? 0) + (this.#icon?.bytes.length ?? 0));
		if (unpark === undefined) {
			if (await this.#work.isKnown(origin)) {
				return;
			}
			throw new IntegrityError(
				`too many images of the bundle come before their origins, as this one before ${origin}: import it once more`,
			);
		}
		const standing = await origins.of(uuid, origin).finally(unpark);
		ask.signal.throwIfAborted();
		switch (standing) {
			case 'here':
				break;
			case 'circle':
				throw new IntegrityError(`it is built upon ${origin}, and that is built upon it`);
			case 'failed':
			case 'stopped':
				throw originFailed(origin);
			case 'unreadable':
			case 'absent': {
				if (await this.#work.isKnown(origin)) {
					break;
				}
				if (standing === 'unreadable') {
					throw new IntegrityError(`its origin ${origin} is not here, and not among what can be read of the bundle`);
				}
				const {name, version} = this.#report.label;
				this.#report.warn(
					`image ${uuid} (${name} ${version}) cannot be installed yet: its origin ${origin} is neither in the bundle nor here`,
				);
			}
		}
	}

	/** A small blob, verified. */
	async #blob(descriptor: Descriptor, what: string, maxBytes: number, how?: {readonly again: true}): Promise<Buffer> {
		const blob = await this.#work.bundle.blob(descriptor.digest, how);
		if (blob === undefined) {
			throw new IntegrityError(`its ${what} (${short(descriptor.digest)}) is not in the bundle`);
		}
		return readVerified(blob, descriptor, maxBytes);
	}

	/** It is known which image it is. `answers`: the one for which others of its uuid, or built upon it, look. */
	#read(label: ImageLabel, answers: boolean): void {
		const {origins} = this.#work;
		this.#isRead = true;
		this.#answers = answers;
		if (answers) {
			origins.read(this.#entry.name, label.uuid);
		} else {
			origins.passOver(this.#entry.name);
		}
		this.#report.begin(label);
	}

	#end(outcome: ImportOutcome, newBytes: number, problem?: string): void {
		this.#isOver = true;
		this.#report.end(outcome, problem);
		this.#work.ended(outcome, newBytes);
		this.#tellTwins(problem);
		if (this.#answers) {
			this.#work.origins.end(this.#report.label.uuid, outcome !== 'failed');
		}
	}

	/** It could not be imported; or, where the import ends with it, throws what it was. */
	async #fail(error: unknown): Promise<void> {
		const {ask, bundle, origins} = this.#work;
		for (let file = this.#found.shift(); file !== undefined; file = this.#found.shift()) {
			await file.letGo();
		}
		if (ask.signal.aborted || error instanceof NoSpaceError || error instanceof StoppingError) {
			this.#work.stop(error);
			this.#tellTwins('the import has ended before');
			throw error;
		}
		if (!this.#isRead) {
			const told = [this.#entry.name, this.#image?.annotations[annotationNames.uuid]].filter(isUuid);
			origins.spoiled(this.#entry.name, told);
			const {label} = this.#report;
			this.#report.begin({...label, uuid: told[0] ?? label.uuid});
		}
		// First of all: others wait for it, and would for ever if what follows failed.
		this.#end('failed', 0, describeFields(error));
		// A large one would need room twice, for nothing; small ones may be wanted by another image that shares them.
		const layers = this.#image?.files.map(({descriptor}) => descriptor) ?? [];
		await bundle.drop(layers.filter(({size}) => size > smallBytes).map(({digest}) => digest));
	}
}

/** Whether a manifest that is not one of ours says so. */
function isOfOthers(bytes: Buffer): boolean {
	let fields: unknown;
	try {
		fields = bytes.length > longestOfOthers ? undefined : JSON.parse(bytes.toString('utf8'));
	} catch {
		return false;
	}
	const {artifactType, config} = isObject(fields) ? fields : {};
	const kind = artifactType ?? (isObject(config) ? config['mediaType'] : undefined);
	return typeof kind === 'string' && kind !== imageArtifactType && kind !== mediaTypes.config;
}

function originFailed(origin: string): IntegrityError {
	return new IntegrityError(`its origin ${origin} could not be imported`);
}
