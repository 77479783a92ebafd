/**
 * Telling others what happens here: each event to every webhook that wants to know, at least once.
 *
 * It hears of everything by `Host.events`. `assemble.ts` says how something is posted and where is kept what has still to
 * be told: that outlives a restart, and but for the last seconds also the sudden end of the process.
 */
import {randomUUID} from 'node:crypto';
import {describe} from '../errors.js';
import type {Host, MirrorEvent, Timer} from '../host.js';
import {Calm} from './calm.js';
import {Hook, type HookReport, type HookSettings, type Post} from './hook.js';
import {readWaiting, waitingText, type Message, type Teller} from './message.js';

export type {HookReport, HookSettings, Post} from './hook.js';

export interface WebhooksParts {
	readonly host: Host;
	readonly settings: readonly HookSettings[];
	readonly mirror: Teller;
	readonly post: Post;
	/** What was written last; `undefined`: nothing yet. */
	readonly read: () => Promise<string | undefined>;
	/** Must be whole or as it was, whatever happens. */
	readonly write: (text: string) => Promise<void>;
	/** Keeps what was written last under another name, which it resolves with. */
	readonly setAside: () => Promise<string>;
}

/** What happens within these is written at once. */
const writeAfterMs = 3000;
/** A dead hook's thousands are not written every few seconds. */
const writeLongAfterMs = 30_000;
const longText = 1024 * 1024;

export class Webhooks {
	readonly #host: Host;
	readonly #mirror: Teller;
	readonly #post: Post;
	readonly #read: WebhooksParts['read'];
	readonly #write: WebhooksParts['write'];
	readonly #setAside: WebhooksParts['setAside'];
	readonly #calm: Calm;
	readonly #hooks = new Map<string, Hook>();
	#stopListening = (): void => undefined;
	#timer: Timer | undefined;
	#isDirty = false;
	#lastLength = 0;
	#writing: Promise<void> = Promise.resolve();
	#unwritable = false;
	#running = false;

	constructor({host, settings, mirror, post, read, write, setAside}: WebhooksParts) {
		this.#host = host;
		this.#mirror = mirror;
		this.#post = post;
		this.#read = read;
		this.#write = write;
		this.#setAside = setAside;
		this.#calm = new Calm({clock: host.clock, tell: event => this.#tell(event)});
		for (const one of settings) {
			this.#add(one);
		}
	}

	/** Takes up what an earlier run had still to tell. */
	async load(): Promise<void> {
		for (const [name, messages] of await this.#readLast()) {
			const hook = this.#hooks.get(name);
			if (hook !== undefined) {
				hook.restore(messages);
			} else if (messages.length > 0) {
				this.#noteRemoved(name, messages.length);
			}
		}
	}

	/** Hears of everything from now on. */
	start(): void {
		this.#running = true;
		this.#stopListening = this.#host.events.listen(event => {
			this.#calm.take(event);
		});
		for (const hook of this.#hooks.values()) {
			hook.start();
		}
	}

	/** In force at once; all of them are tried anew. What one that is no more had to be told is gone with it. */
	setSettings(settings: readonly HookSettings[]): void {
		const names = new Set(settings.map(({name}) => name));
		for (const [name, hook] of this.#hooks) {
			if (!names.has(name)) {
				this.#hooks.delete(name);
				hook.forget();
				if (hook.waiting.length > 0) {
					this.#noteRemoved(name, hook.waiting.length);
				}
			}
		}
		for (const one of settings) {
			const hook = this.#hooks.get(one.name);
			if (hook === undefined) {
				this.#add(one);
			} else {
				hook.configure(one);
			}
		}
	}

	/** Waits for nobody who is being told; that is done again by the next run. */
	async stop(): Promise<void> {
		this.#stopListening();
		this.#calm.flush();
		this.#running = false;
		for (const hook of this.#hooks.values()) {
			hook.stop();
		}
		this.#timer?.cancel();
		this.#timer = undefined;
		await this.#save();
	}

	report(): readonly HookReport[] {
		return [...this.#hooks.values()].map(hook => hook.report());
	}

	async #readLast(): Promise<ReadonlyMap<string, readonly Message[]>> {
		try {
			const text = await this.#read();
			if (text === undefined) {
				return new Map();
			}
			const {waiting, isWhole} = readWaiting(text);
			if (!isWhole) {
				await this.#keepDamaged('it is damaged');
				this.#isDirty = [...waiting.values()].some(({length}) => length > 0);
			}
			return waiting;
		} catch (error) {
			await this.#keepDamaged(describe(error));
			return new Map();
		}
	}

	/** What is written next would take its place. Throws nothing. */
	async #keepDamaged(problem: string): Promise<void> {
		const msg = 'what webhooks had still to be told cannot be read: they are not told of all of it';
		try {
			this.#host.log.warn({problem, keptAs: await this.#setAside()}, msg);
		} catch (error) {
			this.#host.log.warn({problem: `${problem}; it cannot be kept aside: ${describe(error)}`}, msg);
		}
	}

	#add(settings: HookSettings): void {
		const [host, mirror, post] = [this.#host, this.#mirror, this.#post];
		const hook = new Hook({host, settings, mirror, post, changed: () => this.#changed()});
		this.#hooks.set(settings.name, hook);
		if (this.#running) {
			hook.start();
		}
	}

	#tell(event: MirrorEvent): void {
		const message: Message = {id: `evt_${randomUUID()}`, at: this.#host.clock.now(), event};
		for (const hook of this.#hooks.values()) {
			if (hook.wants(event)) {
				hook.push(message);
			}
		}
	}

	#noteRemoved(hook: string, messages: number): void {
		this.#host.log.warn({hook, messages}, 'a webhook that is no more was not told of everything');
		this.#changed();
	}

	#changed(): void {
		this.#isDirty = true;
		if (this.#timer === undefined && this.#running) {
			this.#timer = this.#host.clock.after(this.#lastLength > longText ? writeLongAfterMs : writeAfterMs, () => {
				this.#timer = undefined;
				void this.#save();
			});
		}
	}

	#save(): Promise<void> {
		// One after the other, so that the last that is written is the last that was so.
		this.#writing = this.#writing.then(() => this.#writeAll());
		return this.#writing;
	}

	async #writeAll(): Promise<void> {
		if (!this.#isDirty) {
			return;
		}
		this.#isDirty = false;
		const waiting = [...this.#hooks].map(([name, hook]): [string, readonly Message[]] => [name, hook.waiting]);
		const text = waitingText(new Map(waiting.filter(([, messages]) => messages.length > 0)));
		this.#lastLength = text.length;
		try {
			await this.#write(text);
			this.#unwritable = false;
		} catch (error) {
			const level = this.#unwritable ? 'debug' : 'warn';
			this.#unwritable = true;
			this.#host.log[level]({problem: describe(error)}, 'what webhooks have still to be told cannot be written');
			this.#changed();
		}
	}
}
