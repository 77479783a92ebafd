/**
 * The way out: images carried away as a bundle, and what is told of them before.
 *
 * The assembly puts it together with the import to what HTTP and the command line see. What goes along, and in which
 * order, is decided by the plan; this keeps the files here until whoever carries them away has them.
 */
import {createHash} from 'node:crypto';
import {InvalidParameterError, MirrorError, asError} from '../errors.js';
import type {Host} from '../host.js';
import {Slices} from '../host-slices.js';
import type {DatasetNames} from '../image/dataset.js';
import {isActivated, isUuid} from '../image/manifest.js';
import type {CarryBlob, CarryOut} from '../mirror-carry-api.js';
import {carryingName} from '../mirror-carry.js';
import type {PrefetchRule} from '../prefetch/rule.js';
import type {Ask} from '../sources/source.js';
import type {AirgapApi, ExportRequest, PlanEvent, TarFile} from './api.js';
import {readWish} from './choose-images.js';
import {dsapidTar} from './export-dsapid.js';
import {ExportPlan, type Signer} from './export-plan.js';
import {BundleContents} from './export-tar.js';
import {haveText, parseHave, type HaveImage} from './have.js';
import {HeldFiles} from './held-files.js';

export interface ExporterParts {
	readonly carry: CarryOut;
	readonly keys: Signer;
	/** Those of the configuration that is in force now. */
	readonly rules: () => readonly PrefetchRule[];
	readonly host: Host;
	/** For the URNs of images that have none. */
	readonly datasetNames: () => DatasetNames;
}

export class Exporter implements Pick<AirgapApi, 'plan' | 'export' | 'exportForDsapid' | 'have'> {
	readonly #parts: ExporterParts;

	constructor(parts: ExporterParts) {
		this.#parts = parts;
	}

	/**
	 * What cannot be asked for is thrown at once: InvalidParameterError, NotFoundError. That nothing is like that is
	 * thrown when the first event is asked for.
	 */
	plan(request: ExportRequest, ask: Ask): AsyncGenerator<PlanEvent, void, undefined> {
		const by = carryingName();
		const plan = this.#plan(request, {by, dryRun: request.dryRun ?? false, strict: false}, ask);
		return this.#letGoAfter(plan.events(), by);
	}

	async export(request: ExportRequest, ask: Ask): Promise<TarFile> {
		const by = carryingName();
		const {carry} = this.#parts;
		const close = (): void => {
			carry.letGo(by);
		};
		try {
			const contents = new BundleContents();
			for await (const event of this.#plan(request, {by, dryRun: false, strict: true}, ask).events()) {
				if (event.what === 'image') {
					contents.add(event.blobs);
				} else if (event.what === 'index') {
					return await contents.tar(event, {carry, close});
				} else if (event.what === 'warning') {
					this.#parts.host.log.warn({request: ask.requestId}, `export: ${event.message}`);
				}
			}
			throw new MirrorError('the plan of an export ended without an index');
		} catch (error) {
			close();
			throw error;
		}
	}

	async have(): Promise<string> {
		const {carry} = this.#parts;
		const slices = new Slices();
		// What is here is known without asking anybody who could keep us waiting.
		const ask = {signal: new AbortController().signal};
		const images: HaveImage[] = [];
		for (const uuid of carry.whole()) {
			if (slices.over) {
				await slices.next();
			}
			try {
				const {text, files} = await carry.find(uuid, ask);
				const configSha256 = createHash('sha256').update(text).digest('hex');
				images.push({uuid, configSha256, sha1s: files.flatMap(({sha1}) => sha1 ?? [])});
			} catch (error) {
				// It has gone meanwhile. To be given it once more does no harm.
				this.#parts.host.log.info({image: uuid, err: asError(error)}, 'have: an image is left out');
			}
		}
		return haveText(images);
	}

	async exportForDsapid(uuid: string, ask: Ask): Promise<TarFile> {
		if (!isUuid(uuid)) {
			const message = 'must be a uuid in lower case';
			throw new InvalidParameterError(`uuid ${message}`, [{field: 'uuid', code: 'Invalid', message}]);
		}
		const {carry, datasetNames} = this.#parts;
		const found = await carry.find(uuid, ask);
		if (!isActivated(found.manifest)) {
			throw new InvalidParameterError(`image ${uuid} has not been activated yet`, []);
		}
		const by = carryingName();
		const close = (): void => {
			carry.letGo(by);
		};
		try {
			const held = new HeldFiles(carry, by);
			if (held.missing(found.files).length > 0) {
				await held.fetch(uuid, ask);
			}
			const image = await carry.find(uuid, ask);
			const files = image.files.map(({sha1}, index): CarryBlob => {
				const blob = sha1 === undefined ? undefined : held.hold(sha1);
				if (blob === undefined) {
					throw new MirrorError(`file ${index} of image ${uuid} was here, and has gone`);
				}
				return blob;
			});
			return await dsapidTar(image, files, {names: datasetNames(), carry, close});
		} catch (error) {
			close();
			throw error;
		}
	}

	#plan(
		request: ExportRequest,
		options: {readonly by: string; readonly dryRun: boolean; readonly strict: boolean},
		ask: Ask,
	): ExportPlan {
		const {carry, keys, rules, host} = this.#parts;
		const wish = readWish(request, rules());
		const have = request.have === undefined ? undefined : parseHave(request.have);
		return new ExportPlan({...options, carry, signer: keys, clock: host.clock, wish, have}, ask);
	}

	async *#letGoAfter(
		events: AsyncGenerator<PlanEvent, void, undefined>,
		by: string,
	): AsyncGenerator<PlanEvent, void, undefined> {
		try {
			yield* events;
		} finally {
			this.#parts.carry.letGo(by);
		}
	}
}
