/**
 * One file on its way past the disk, for all who are at about the same place in it.
 *
 * It takes bytes from the suppliers when a rider needs some, and keeps the last megabytes of them in memory: whoever
 * comes a little later, or takes a little longer, gets them from there. Riders that hold up the others for too long go
 * on in a passage of their own, together, from where they are. Where the end of the file is ridden to, everything is
 * hashed on the way, and the tail is held back until all of it is right: what a rider has had is what was hashed.
 */
import {createHash, type Hash} from 'node:crypto';
import {IntegrityError, MirrorError, asError} from '../errors.js';
import type {FlightStatus} from './flight-status.js';
import {sumOf} from './growing.js';
import {HadBytes} from './had-bytes.js';
import type {Digests} from './hashing.js';
import {Meter} from './meter.js';
import type {OnDisk, PassageKeeper, PassageOptions, Rider} from './passage-options.js';
import {Supply} from './supply.js';
import {wrongness} from './verdict.js';
import {freeBytesOf} from './watermark.js';
import {Window, type Batch} from './window.js';

/** Who is behind may keep the others waiting for so long, until it has been at the front without that. */
const holdUpMs = 1000;
const diskReadBytes = 262_144;

interface Beginning {
	readonly riders: readonly Rider[];
	/** Of the next byte that comes in. */
	readonly from: number;
	/** Before it nothing is kept. */
	readonly base: number;
	/** Of all that comes before `from`; `undefined`: it is not to be known. */
	readonly hash: Hash | undefined;
	/** What has come in before `from`, where it is another one's, and who had it from whom. */
	readonly batches?: readonly Batch[];
	readonly after?: Supply;
	readonly had?: HadBytes;
}

export class Passage {
	readonly #options: PassageOptions;
	readonly #keeper: PassageKeeper;
	#supply: Supply;
	readonly #meter: Meter;
	readonly #beganAtMs: number;
	readonly #beganAt: number;
	readonly #abort = new AbortController();
	readonly #riders = new Set<Rider>();
	readonly #waiting = new Map<Rider, {readonly resolve: () => void; readonly reject: (error: Error) => void}>();
	/** The last of what has come in. */
	readonly #window: Window;
	readonly #had: HadBytes;
	#base: number;
	#from: number;
	#hash: Hash | undefined;
	#isRight = false;
	#isPulling = false;
	#failure: Error | undefined;
	/** Set while somebody who is behind is waited for. */
	#onMoved: (() => void) | undefined;

	private constructor(options: PassageOptions, keeper: PassageKeeper, beginning: Beginning) {
		const {riders, from, base, hash, batches, after, had = new HadBytes()} = beginning;
		this.#options = options;
		this.#keeper = keeper;
		this.#from = from;
		this.#base = base;
		this.#hash = hash;
		this.#window = new Window(batches);
		this.#had = had;
		this.#beganAt = Math.max(from, options.onDisk?.bytes ?? 0);
		this.#supply = this.#supplyFrom(this.#beganAt, after);
		this.#meter = new Meter(options.host.clock);
		this.#meter.run();
		this.#beganAtMs = options.host.clock.now();
		for (const rider of riders) {
			this.#add(rider);
		}
		keeper.begun(this);
	}

	/** For one rider. */
	static begin(rider: Rider, options: PassageOptions, keeper: PassageKeeper): Passage {
		const {wanted, onDisk} = options;
		const {position, verifies} = rider;
		if (!verifies && position > 0) {
			return new Passage(options, keeper, {riders: [rider], from: position, base: position, hash: undefined});
		}
		// On the main thread, so no more than what decides.
		const hash = createHash(wanted.sha1 === undefined ? 'md5' : 'sha1');
		const base = Math.min(onDisk?.bytes ?? 0, freeBytesOf(wanted));
		return new Passage(options, keeper, {riders: [rider], from: 0, base, hash});
	}

	get supplier(): string | undefined {
		return this.#supply.supplier;
	}

	get contentMd5(): string | undefined {
		return this.#supply.contentMd5;
	}

	status(): FlightStatus {
		const {wanted} = this.#options;
		return {
			...{image: wanted.uuid, file: wanted.key, size: wanted.size, source: this.supplier},
			// What has come by before is only read again, or hashed.
			...{written: Math.max(this.#from, this.#beganAt), resumedFrom: this.#beganAt, followers: this.#riders.size},
			...{waiting: false, background: false, passing: true},
			...{bytesPerSecond: this.#meter.bytesPerSecond, sinceMs: this.#beganAtMs},
		};
	}

	/** False: what that one needs will not come by here, or not soon, or is not what goes with the bytes it has had. */
	board(rider: Rider, onDisk: OnDisk | undefined): boolean {
		const {position, verifies} = rider;
		const mine = this.#options.onDisk;
		// What is about to go is not for newcomers.
		const batch = this.#isFull ? this.#window.next : this.#window.oldest;
		const oldest = batch?.from ?? Math.max(this.#from, this.#base);
		// Whoever needs the end has all that comes before it fetched in any case.
		const comesBy = verifies
			? this.#hash !== undefined
			: this.#from >= this.#base && position <= Math.max(this.#from, this.#base);
		// What is on the disk is there for as long as those stay who came with it.
		const stays = mine === undefined || this.#from >= mine.bytes || mine.partial === onDisk?.partial;
		const goesWith = !verifies || onDisk === undefined || onDisk.partial === mine?.partial;
		if (this.#failure !== undefined || position < oldest || !comesBy || !stays || !goesWith) {
			return false;
		}
		this.#add(rider);
		return true;
	}

	/** Fills `into` with what comes next, and moves the rider on. Throws when the rest will never come or must not be sent. */
	async take(rider: Rider, into: Buffer): Promise<number> {
		await this.ready(rider);
		if (rider.passage !== this) {
			return rider.passage?.take(rider, into) ?? Promise.reject(gone());
		}
		const before = rider.position;
		const bytes = this.#window.copy(before, this.#readable, into);
		rider.position += bytes;
		if (this.#onMoved === undefined && this.#readable - rider.position <= this.#keeper.keepBytes / 2) {
			rider.heldUpMs = 0;
		}
		const {oldest} = this.#window;
		if (oldest !== undefined && before < oldest.end && rider.position >= oldest.end) {
			this.trim();
		}
		this.#onMoved?.();
		return bytes;
	}

	/** Resolves once there is something to take. */
	async ready(rider: Rider): Promise<void> {
		for (;;) {
			if (this.#failure !== undefined) {
				throw this.#failure;
			}
			if (rider.passage !== this || this.#readable > rider.position) {
				return;
			}
			await new Promise<void>((resolve, reject) => {
				this.#waiting.set(rider, {resolve, reject});
				void this.#pull();
			});
		}
	}

	/** A rider takes nothing: where none does, others may have the source, and the memory. */
	stalled(): void {
		if (this.#isStalled) {
			this.#supply.left();
			this.trim();
		}
	}

	leave(rider: Rider): void {
		if (!this.#riders.delete(rider)) {
			return;
		}
		rider.passage = undefined;
		this.#waiting.get(rider)?.reject(gone());
		this.#waiting.delete(rider);
		if (this.#riders.size === 0) {
			this.#end(new MirrorError('all clients have gone'));
			return;
		}
		this.trim();
		this.stalled();
		this.#onMoved?.();
	}

	/** Lets go of what no rider needs, down to what may be kept, and of all where that is not enough and none takes any. */
	trim(): void {
		while (this.#isFull && this.#behind.length === 0) {
			// Riders have copies, and the sources' connections a use for the memory.
			this.#supply.giveBack(this.#window.drop()?.chunks ?? []);
		}
		// One that has a connection keeps it, and there are not many of them.
		const isIdle = !this.#isPulling && !this.#supply.isOpen && this.#isStalled;
		if (isIdle && this.#window.bytes > this.#keeper.keepBytes) {
			this.#goBack();
		}
	}

	get #isStalled(): boolean {
		return [...this.#riders].every(({isStalled}) => isStalled);
	}

	get #readable(): number {
		return this.#isRight ? this.#from : Math.min(this.#from, freeBytesOf(this.#options.wanted));
	}

	/** There is more than may be kept. The tail does not count: it waits for itself to be complete. */
	get #isFull(): boolean {
		const {oldest, bytes} = this.#window;
		const isFree = oldest !== undefined && oldest.end <= freeBytesOf(this.#options.wanted);
		return isFree && bytes > this.#keeper.keepBytes;
	}

	/** To where the first rider is: what comes from there on is fetched again when somebody takes it. */
	#goBack(): void {
		const positions = [...this.#riders].map(({position}) => position).filter(position => position <= this.#from);
		const {onDisk} = this.#options;
		this.#window.dropUpTo(Math.min(...positions));
		const {oldest} = this.#window;
		// What is on the disk may be there for some of the riders only.
		if (oldest === undefined || oldest.from < (onDisk?.bytes ?? 0)) {
			return;
		}
		const batches = this.#window.dropUpTo(Infinity);
		this.#had.note(Math.max(...positions), batches);
		this.#from = oldest.from;
		this.#base = oldest.from;
		this.#hash = oldest.before;
		this.#isRight = false;
		for (const {chunks} of batches) {
			this.#supply.giveBack(chunks);
		}
		this.#supply = this.#supplyFrom(oldest.from, this.#supply);
	}

	#supplyFrom(position: number, after: Supply | undefined): Supply {
		return new Supply({...this.#options, position, isBackground: () => this.#isStalled, after});
	}

	#add(rider: Rider): void {
		this.#riders.add(rider);
		rider.passage = this;
		rider.heldUpMs = 0;
	}

	/** Who needs what is oldest. */
	get #behind(): readonly Rider[] {
		const end = this.#window.oldest?.end ?? 0;
		return [...this.#riders].filter(({position}) => position < end);
	}

	/** Once for all who wait. */
	async #pull(): Promise<void> {
		if (this.#isPulling) {
			return;
		}
		this.#isPulling = true;
		try {
			await this.#makeRoom();
			if (this.#waiting.size > 0) {
				this.#push(await this.#next());
			}
		} catch (error) {
			// Nobody waits any more: whoever does next may have better luck.
			if (this.#waiting.size > 0 || error instanceof IntegrityError) {
				this.#end(asError(error));
			}
		}
		this.#isPulling = false;
		const waiting = [...this.#waiting.values()];
		this.#waiting.clear();
		waiting.forEach(({resolve}) => {
			resolve();
		});
	}

	#push(chunks: readonly Buffer[]): void {
		if (this.#from >= this.#base) {
			this.#window.push(chunks, this.#from, this.#hash);
		}
		for (const chunk of chunks) {
			if (this.#hash !== undefined) {
				this.#had.add(chunk, this.#from, this.#hash);
			}
			this.#from += chunk.length;
		}
		if (this.#from === this.#options.wanted.size) {
			if (this.#hash !== undefined) {
				this.#verify(this.#hash);
			}
			// However long the riders take: others may have the source.
			this.#supply.close();
		}
	}

	async #next(): Promise<readonly Buffer[]> {
		const {onDisk} = this.#options;
		if (onDisk !== undefined && this.#from < onDisk.bytes) {
			const upTo = this.#from < this.#base ? this.#base : onDisk.bytes;
			const buffer = Buffer.allocUnsafe(Math.min(diskReadBytes, upTo - this.#from));
			const bytes = await onDisk.partial.read(buffer, buffer.length, this.#from);
			if (bytes === 0) {
				throw new MirrorError('what was on the disk of this file is gone');
			}
			return [buffer.subarray(0, bytes)];
		}
		const chunks = await this.#supply.next(this.#abort.signal);
		if (chunks === 'restart' || chunks === undefined) {
			throw new IntegrityError('the file changed while it was being passed on');
		}
		this.#meter.add(sumOf(chunks));
		return chunks;
	}

	/** Lets go of what is oldest until no more is kept than may be; who still needs that is waited for, within limits. */
	async #makeRoom(): Promise<void> {
		for (;;) {
			this.trim();
			const {oldest} = this.#window;
			const behind = this.#behind;
			if (oldest === undefined || !this.#isFull || this.#waiting.size === 0) {
				return;
			}
			// Whoever is not much further would be the next to be waited for.
			const line = Math.max(oldest.end, this.#readable - this.#keeper.keepBytes / 2);
			const slow = [...this.#riders].filter(({position}) => position < line);
			const patienceMs = Math.min(...behind.map(rider => (rider.isStalled ? 0 : holdUpMs - rider.heldUpMs)));
			if (patienceMs > 0) {
				await this.#waitFor(slow, patienceMs);
			} else {
				this.#split(line, slow);
			}
		}
	}

	/** Until one of all riders has moved. */
	async #waitFor(slow: readonly Rider[], ms: number): Promise<void> {
		const {clock} = this.#options.host;
		const beganAtMs = clock.now();
		const hasMoved = await new Promise<boolean>(resolve => {
			const timer = clock.after(ms, () => {
				resolve(false);
			});
			this.#onMoved = () => {
				timer.cancel();
				resolve(true);
			};
		});
		this.#onMoved = undefined;
		this.#abort.signal.throwIfAborted();
		const waitedMs = hasMoved ? Math.max(0, clock.now() - beganAtMs) : ms;
		for (const rider of slow) {
			rider.heldUpMs += waitedMs;
		}
	}

	/** Those who are before `line` go on together by themselves, with what only they need. */
	#split(line: number, riders: readonly Rider[]): void {
		const batches = this.#window.dropUpTo(line);
		const from = batches.at(-1)?.end ?? this.#from;
		for (const rider of riders) {
			this.#riders.delete(rider);
		}
		const hash = (this.#window.oldest?.before ?? this.#hash)?.copy();
		const beginning = {riders, from, base: from, hash, batches, after: this.#supply, had: this.#had.copy()};
		new Passage(this.#options, this.#keeper, beginning).stalled();
	}

	#verify(hash: Hash): void {
		const {wanted, host} = this.#options;
		const digests: Digests = {[wanted.sha1 === undefined ? 'md5' : 'sha1']: hash.copy().digest('hex')};
		const problem = wrongness(wanted, digests, this.#supply.contentMd5);
		if (problem === undefined) {
			this.#isRight = true;
			return;
		}
		for (const source of this.#supply.wrong(problem)) {
			host.metrics.verificationFailures.inc({source});
			host.events.emit('verification.failed', {
				...{source, problem, image: wanted.about, sha1: wanted.sha1},
				bytes: wanted.size,
			});
		}
		host.log.error({image: wanted.uuid, problem}, 'a file passed through is wrong; its clients are cut off');
		throw new IntegrityError(problem);
	}

	#end(error: Error): void {
		if (this.#failure !== undefined) {
			return;
		}
		this.#failure = error;
		this.#abort.abort(error);
		this.#supply.close();
		// Those who are aboard may look here for a long time.
		this.#window.clear();
		for (const {reject} of this.#waiting.values()) {
			reject(error);
		}
		this.#waiting.clear();
		this.#onMoved?.();
		this.#keeper.over(this);
	}
}

function gone(): MirrorError {
	return new MirrorError('the client has gone');
}
