/**
 * The bytes of one file from wherever they can be had, in order.
 *
 * Every supplier offers the same file, so any of them may go on where another was cut off. A supplier that fails is
 * tried again, others first; one whose bytes turned out wrong is not asked for this file again. A download or a
 * pass-through reader pulls with `next`; what the bytes are worth is theirs to verify.
 */
import {IntegrityError, MirrorError, NotFoundError, SourceUnavailableError, describe} from '../errors.js';
import {pause, type Host} from '../host.js';
import {Batches} from './batches.js';
import {Candidates, offerOf, type CandidatesOptions} from './candidates.js';
import {Gate} from './gate.js';
import {GivingWay, type WayOptions} from './giving-way.js';
import {sumOf} from './growing.js';
import type {Wanted} from './partial.js';
import type {Supplier, SupplierBody} from './supplier.js';

export type {Supplier, SupplierBody, SupplyAt, Yielding} from './supplier.js';

/** What is on disk from an earlier attempt counts as a supplier that cannot be asked again. */
export const fromDisk = '(disk)';

const firstBackoffMs = 200;
const longestBackoffMs = 2000;
const maxRestarts = 3;

/** What a supplier has answered, before any of it is looked at. */
interface Answered {
	readonly supplier: Supplier;
	readonly body: SupplierBody;
	/** Also aborted when it has given way to clients. */
	readonly signal: AbortSignal;
}

interface Current extends Answered {
	readonly batches: Batches;
	/** Bytes still to be passed over: the supplier ignored the range. */
	surplus: number;
	/** How much was there before it. */
	readonly from: number;
	/** More came than the file has. */
	excess: boolean;
}

export class Supply {
	/** Who supplied the bytes that are there now. */
	readonly contributors: Set<string>;
	readonly #wanted: Wanted;
	readonly #host: Host;
	readonly #candidates: Candidates;
	/** Offers that the bytes came from which are there now. */
	readonly #used: Set<string>;
	readonly #etags: Map<string, string>;
	readonly #wayOptions: WayOptions;
	#way: GivingWay | undefined;
	readonly #gate = new Gate();
	#position: number;
	#current: Current | undefined;
	/** The first request, where it was made before anybody took bytes, and how to end it. */
	#ahead: {readonly asked: Promise<Answered | 'restart' | undefined>; readonly abort: AbortController} | undefined;
	#contentMd5: string | undefined;
	#giveBack: SupplierBody['giveBack'];
	#restarts = 0;

	constructor(
		options: CandidatesOptions &
			WayOptions & {
				readonly wanted: Wanted;
				/** How much is there already. */
				readonly position: number;
				/** Where that is not on the disk, who had it from whom. */
				readonly after?: Supply | undefined;
			},
	) {
		this.#wayOptions = options;
		this.#wanted = options.wanted;
		this.#host = options.host;
		this.#candidates = new Candidates(options);
		this.#position = options.position;
		const {after, position} = options;
		this.contributors = new Set(after?.contributors ?? (position > 0 ? [fromDisk] : []));
		this.#used = new Set(after === undefined ? [] : after.#used);
		this.#etags = new Map(after === undefined ? [] : after.#etags);
		this.#contentMd5 = after?.contentMd5;
	}

	/** Whoever is supplying, or did last. */
	get supplier(): string | undefined {
		return this.#current?.supplier.name ?? [...this.contributors].findLast(name => name !== fromDisk);
	}

	/** The whole file's MD5 (base64) as the last supplier told it. */
	get contentMd5(): string | undefined {
		return this.#contentMd5;
	}

	/** A source sends, or would if it were let. */
	get isOpen(): boolean {
		return this.#current !== undefined;
	}

	/**
	 * Asks for the file before anybody takes bytes of it, which do not begin to flow: they would keep busy whoever makes
	 * ready to take them. What goes wrong is for `next` to deal with.
	 */
	askAhead(signal: AbortSignal): void {
		const abort = new AbortController();
		const asked = this.#ask(AbortSignal.any([signal, abort.signal]));
		asked.catch(() => undefined);
		this.#ahead = {asked, abort};
	}

	/**
	 * The next bytes; `undefined` when the file is whole; `'restart'` when what was had so far cannot be gone on from:
	 * the caller throws it away, and the next call begins at 0. Throws when nobody can supply the rest.
	 */
	async next(signal: AbortSignal): Promise<readonly Buffer[] | 'restart' | undefined> {
		while (this.#position < this.#wanted.size) {
			await this.#gate.pass(signal);
			if (this.#current === undefined && (await this.#open(signal)) === 'restart') {
				return 'restart';
			}
			const chunks = await this.#pull(signal);
			if (chunks !== undefined) {
				return chunks;
			}
		}
		this.close();
		return undefined;
	}

	/** Of what `next` gave: nobody looks at it any more. */
	giveBack(chunks: readonly Buffer[]): void {
		for (const chunk of this.#giveBack === undefined ? [] : chunks) {
			this.#giveBack?.(chunk);
		}
	}

	/** Begins again at 0. */
	restart(): void {
		this.close();
		this.#position = 0;
		this.contributors.clear();
		this.#used.clear();
		this.#etags.clear();
		this.#contentMd5 = undefined;
	}

	/**
	 * The file was whole and wrong. Tells who is to blame, then begins again at 0 without them. Part of it having come
	 * from the disk, that is blamed: a crash of the machine is likelier than a liar, and who lies is found out next time.
	 */
	wrong(problem: string): readonly string[] {
		const blamed = this.contributors.has(fromDisk) ? [fromDisk] : [...this.contributors];
		this.#candidates.wrong(blamed, this.#used, problem);
		this.restart();
		return blamed;
	}

	close(): void {
		this.#ahead?.abort.abort(new MirrorError('the file is not wanted from there any more'));
		void this.#ahead?.asked.then(destroy, () => undefined);
		this.#ahead = undefined;
		this.#current?.batches.close();
		this.#current = undefined;
	}

	/** No client waits for the bytes any more. */
	left(): void {
		this.#way?.left?.();
	}

	/** Takes no more bytes until `goOn`. What is open stays open: not every source lets one go on in the middle. */
	hold(): void {
		this.#gate.shut();
		this.#current?.body.stream.pause();
	}

	goOn(): void {
		this.#current?.body.stream.resume();
		this.#gate.open();
	}

	async #pull(signal: AbortSignal): Promise<readonly Buffer[] | 'restart' | undefined> {
		const current = this.#current;
		if (current === undefined) {
			return undefined;
		}
		let chunks: readonly Buffer[] | undefined;
		try {
			chunks = await current.batches.next(current.signal);
		} catch (error) {
			signal.throwIfAborted();
			if (!current.signal.aborted) {
				this.#lost(current, error);
			}
			return undefined;
		}
		if (this.#gate.isShut) {
			// Taking a batch has set it going again.
			current.body.stream.pause();
		}
		if (chunks === undefined) {
			this.#endedEarly(current);
			return undefined;
		}
		const useful = this.#clip(chunks, current);
		if (useful.length === 0) {
			return undefined;
		}
		const after = this.#position + sumOf(useful);
		if (after === this.#wanted.size && this.#sizeDecides(current) && (await this.#goesOn(current, signal))) {
			this.#condemn(current.supplier, `the file has more than the ${this.#wanted.size} bytes of its manifest`);
			this.restart();
			return 'restart';
		}
		this.#position = after;
		this.contributors.delete(current.supplier.name);
		this.contributors.add(current.supplier.name);
		this.#used.add(offerOf(current.supplier));
		this.#candidates.progressed(current.supplier);
		return useful;
	}

	/** Nothing but the size tells this file from another one, and its sender has not said it. */
	#sizeDecides({body}: Current): boolean {
		const {sha1, md5} = this.#wanted;
		return sha1 === undefined && md5 === undefined && this.#contentMd5 === undefined && body.size === undefined;
	}

	/** Whether more comes than the whole file. */
	async #goesOn(current: Current, signal: AbortSignal): Promise<boolean> {
		if (current.excess) {
			return true;
		}
		try {
			return (await current.batches.next(signal)) !== undefined;
		} catch {
			// Cut off behind the last byte: that says nothing about the file.
			signal.throwIfAborted();
			return false;
		}
	}

	/** Passes over what we have already, and cuts off what is too much. */
	#clip(chunks: readonly Buffer[], current: Current): readonly Buffer[] {
		const useful: Buffer[] = [];
		let room = this.#wanted.size - this.#position;
		for (const chunk of chunks) {
			const skipped = Math.min(current.surplus, chunk.length);
			current.surplus -= skipped;
			const rest = chunk.subarray(skipped, skipped + room);
			if (rest.length > 0) {
				useful.push(rest);
				room -= rest.length;
			}
			current.excess ||= rest.length < chunk.length - skipped;
		}
		return useful;
	}

	#endedEarly(current: Current): void {
		const at = this.#position - current.surplus;
		const problem = `the file ended at ${at} of ${this.#wanted.size} bytes`;
		if (current.body.size === undefined && (this.#position === current.from || this.#sizeDecides(current))) {
			// It ended as its sender meant it to, and nothing of the rest has come, or would be known for it: another file.
			this.#condemn(current.supplier, problem);
		} else {
			this.#lost(current, new SourceUnavailableError(current.supplier.name, problem));
		}
		this.close();
	}

	#lost(current: Current, error: unknown): void {
		this.#failed(current.supplier, error);
		this.close();
	}

	#failed(supplier: Supplier, error: unknown): void {
		this.#candidates.failed(supplier, error);
		const failures = this.#candidates.failuresOf(supplier.name);
		this.#host.log.warn(
			{source: supplier.name, image: this.#wanted.uuid, at: this.#position, failures, problem: describe(error)},
			'a transfer was interrupted',
		);
	}

	#condemn(supplier: Supplier, problem: string): void {
		this.#candidates.unfit(supplier, new IntegrityError(`source ${supplier.name}: ${problem}`));
		supplier.mark(problem);
		this.#host.log.warn(
			{source: supplier.name, image: this.#wanted.uuid, problem},
			'a source is not used for this file',
		);
	}

	async #open(signal: AbortSignal): Promise<'restart' | undefined> {
		const asked = this.#ahead?.asked ?? this.#ask(signal);
		const answered = await asked.finally(() => {
			this.#ahead = undefined;
		});
		if (typeof answered !== 'object') {
			return answered;
		}
		if (answered.signal.aborted) {
			// Whoever would close it has been here already.
			destroy(answered);
			signal.throwIfAborted();
			return undefined;
		}
		return this.#accept(answered);
	}

	async #ask(signal: AbortSignal): Promise<Answered | 'restart' | undefined> {
		const supplier = this.#candidates.choose();
		if (this.#candidates.mustNotMix(supplier, this.contributors)) {
			return this.#beginAgain(supplier);
		}
		const failures = this.#candidates.failuresOf(supplier.name);
		if (failures > 0) {
			const backoffMs = Math.min(longestBackoffMs, firstBackoffMs * 2 ** (failures - 1));
			await pause(this.#host.clock, backoffMs * (0.5 + this.#host.random() / 2), signal);
		}
		let body: SupplierBody;
		const way = new GivingWay(this.#wayOptions, () => {
			if (this.#current?.signal.aborted) {
				this.close();
			}
		});
		this.#way = way;
		const either = AbortSignal.any([signal, way.signal]);
		try {
			const etag = this.#etags.get(offerOf(supplier));
			body = await supplier.open(
				{
					offset: this.#candidates.givesNoPart(supplier) ? 0 : this.#position,
					...(etag === undefined ? {} : {etag}),
					yielding: way,
				},
				either,
			);
		} catch (error) {
			signal.throwIfAborted();
			if (either.aborted) {
				return undefined;
			}
			if (error instanceof NotFoundError) {
				this.#candidates.absent(supplier, error);
			} else {
				this.#failed(supplier, error);
			}
			return undefined;
		}
		// It may break before anybody looks at it; whoever does is told then.
		body.stream.on('error', () => undefined);
		return {supplier, body, signal: either};
	}

	/** Looks at what a supplier answered before any byte of it is used. */
	#accept({supplier, body, signal}: Answered): 'restart' | undefined {
		const batches = new Batches(body.stream);
		if (this.#gate.isShut) {
			body.stream.pause();
		}
		const problem = this.#misfit(body);
		if (problem !== undefined) {
			batches.close();
			if (this.#position > 0 && body.offset > 0 && !this.#candidates.givesNoPart(supplier)) {
				this.#failed(supplier, new SourceUnavailableError(supplier.name, problem, {scope: 'part'}));
			} else {
				this.#condemn(supplier, problem);
			}
			return undefined;
		}
		const server = `${offerOf(supplier)} ${body.address ?? ''}`;
		const before = this.#etags.get(server);
		if (body.etag !== undefined && before !== undefined && body.etag !== before && this.#position > 0) {
			batches.close();
			if (!this.#candidates.hasOthers(supplier)) {
				return this.#beginAgain(supplier);
			}
			this.#condemn(supplier, 'the file changed while it was being fetched');
			return undefined;
		}
		if (body.etag !== undefined) {
			this.#etags.set(server, body.etag);
			this.#etags.set(offerOf(supplier), body.etag);
		}
		this.#contentMd5 = body.contentMd5 ?? this.#contentMd5;
		this.#giveBack = body.giveBack;
		const from = this.#position;
		this.#current = {supplier, body, batches, signal, surplus: from - body.offset, from, excess: false};
		return undefined;
	}

	#misfit(body: SupplierBody): string | undefined {
		if (body.size !== undefined && body.size !== this.#wanted.size) {
			return `the file has ${body.size} bytes there, its manifest says ${this.#wanted.size}`;
		}
		if (body.offset > this.#position) {
			return `the file was asked for from ${this.#position}, and came from ${body.offset}`;
		}
		return undefined;
	}

	#beginAgain(supplier: Supplier): 'restart' | undefined {
		if (++this.#restarts > maxRestarts) {
			this.#condemn(supplier, 'the file keeps changing while it is being fetched');
			return undefined;
		}
		this.restart();
		return 'restart';
	}
}

function destroy(answered: Answered | 'restart' | undefined): void {
	if (typeof answered === 'object') {
		answered.body.stream.destroy();
	}
}
