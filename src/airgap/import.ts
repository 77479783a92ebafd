/**
 * Bundles taken in: who signed them is judged first, then image after image becomes ours, each whole or not at all.
 *
 * HTTP hands in the body of a request as it comes; whoever has a bundle lying somewhere else hands in its files. What an
 * image needs of the mirror is behind `CarryIn`. Importing the same bundle again takes up what an import that was cut
 * short has left: what is here already is not looked at again.
 */
import type {Host} from '../host.js';
import {inSlices} from '../host-slices.js';
import type {CarryIn} from '../mirror-carry-api.js';
import type {Actor} from '../publish/api.js';
import type {Ask} from '../sources/source.js';
import type {ImportEvent, ImportOptions} from './api.js';
import type {BundleFiles} from './bundle-files.js';
import {decompressed} from './compressed.js';
import {Lines} from './import-lines.js';
import {ImportRun, type ImportSums} from './import-run.js';
import type {Keys} from './keys.js';
import {parsingIndex} from './oci.js';
import type {Spool} from './spool.js';
import {StreamBundle} from './stream-bundle.js';
import {untilAborted} from './until-aborted.js';

export class Importer {
	readonly #host: Host;
	readonly #carry: CarryIn;
	readonly #keys: Pick<Keys, 'judge'>;
	readonly #spool: () => Spool;
	readonly #mostParkedBytes: number | undefined;

	constructor(parts: {
		readonly host: Host;
		readonly carry: CarryIn;
		readonly keys: Pick<Keys, 'judge'>;
		/** Where a stream is kept that does not come in order. */
		readonly spool: () => Spool;
		/** What may be held of images that come before their origins: all of what is said of them, none of their files. */
		readonly mostParkedBytes?: number;
	}) {
		this.#host = parts.host;
		this.#carry = parts.carry;
		this.#keys = parts.keys;
		this.#spool = parts.spool;
		this.#mostParkedBytes = parts.mostParkedBytes;
	}

	/** `body` is a tar: plain, or compressed with gzip or zstd. */
	async *import(
		body: AsyncIterable<Buffer>,
		options: ImportOptions,
		by: Actor,
		ask: Ask,
	): AsyncGenerator<ImportEvent, void, undefined> {
		const left = new AbortController();
		const signal = AbortSignal.any([ask.signal, left.signal]);
		const source = untilAborted(body, signal);
		const {stream} = await decompressed(source, signal);
		const bundle = new StreamBundle(stream, {spool: this.#spool(), signal});
		try {
			yield* this.#import(bundle, options, by, {...ask, signal}, () => passOver(source, signal));
		} finally {
			left.abort(new Error('nobody waits for it any more'));
			await bundle.close();
		}
	}

	/**
	 * The same for a bundle that is open, and stays so. Throws before the first line what is wrong with all of it; later,
	 * NoSpaceError and what else leaves no sense in going on. Leaving the loop ends it after what is whole already.
	 */
	importFiles(
		bundle: BundleFiles,
		options: ImportOptions,
		by: Actor,
		ask: Ask,
	): AsyncGenerator<ImportEvent, void, undefined> {
		return this.#import(bundle, options, by, ask, async () => undefined);
	}

	async *#import(
		bundle: BundleFiles,
		{allowUnsigned, key, dryRun}: ImportOptions,
		by: Actor,
		ask: Ask,
		finish: () => Promise<void>,
	): AsyncGenerator<ImportEvent, void, undefined> {
		const begunAt = this.#host.clock.now();
		const index = await bundle.index();
		const signature = await bundle.signature();
		const {signedBy} = await this.#keys.judge(index, signature, {allowUnsigned, key});
		const left = new AbortController();
		const lines = new Lines();
		const run = new ImportRun(await inSlices(parsingIndex(index), ask.signal), {
			...{bundle, carry: this.#carry, host: this.#host, lines, by, dryRun, mostParkedBytes: this.#mostParkedBytes},
			ask: {...ask, signal: AbortSignal.any([ask.signal, left.signal])},
		});
		yield {what: 'begin', images: run.images, ...(signedBy === undefined ? {} : {signedBy})};
		const work = run.run().finally(() => lines.end());
		// Whoever stops reading does not hear of its failure any more.
		work.catch(() => undefined);
		let sums: ImportSums;
		try {
			yield* lines.all();
			sums = await work;
			await finish();
		} finally {
			left.abort(new Error('nobody waits for it any more'));
			lines.leave();
			await work.catch(() => undefined);
		}
		const end = {...sums, ms: this.#host.clock.now() - begunAt};
		this.#host.log.info(
			{...end, signedBy: signedBy?.fingerprint, by: by.name, dryRun},
			dryRun ? 'a bundle was tried' : 'a bundle was imported',
		);
		yield {what: 'end', ...end};
	}
}

/** Who sends a bundle to its end hears how it went; who is cut off in the middle of what nobody needs may not. */
async function passOver(source: AsyncGenerator<Buffer, void, undefined>, signal: AbortSignal): Promise<void> {
	try {
		while ((await source.next()).done !== true) {
			// Nobody needs it.
		}
	} catch {
		signal.throwIfAborted();
	}
}
