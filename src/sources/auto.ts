/**
 * One address whose protocol nobody has told us: the first who needs it makes us ask (contract 13.1).
 *
 * From then on it is an IMGAPI or a DSAPI source. An attempt that fails is no answer and is not remembered; the next
 * call asks again. Whoever comes while the question is open waits for the same answer.
 */
import type {Manifest, Uuid} from '../image/manifest.js';
import {DsapiSource} from './dsapi.js';
import {ImgapiSource} from './imgapi.js';
import {askPing, isArray} from './probe.js';
import type {Remote} from './remote.js';
import type {Retry} from './retry.js';
import type {Ask, FileAt, FileBody, Icon, ListEnd, Source} from './source.js';

export class AutoSource implements Source {
	readonly name: string;
	readonly #base: string;
	readonly #channel: string | undefined;
	readonly #remote: Remote;
	readonly #retry: Retry;
	readonly #closing = new AbortController();
	#asking: Promise<Source> | undefined;
	#known: Source | undefined;

	constructor(options: {
		readonly name: string;
		/** Without trailing slash. One that ends in `/datasets` is a DSAPI server's. */
		readonly base: string;
		readonly channel: string | undefined;
		readonly remote: Remote;
		readonly retry: Retry;
	}) {
		this.name = options.name;
		this.#base = options.base;
		this.#channel = options.channel;
		this.#remote = options.remote;
		this.#retry = options.retry;
		if (options.base.endsWith('/datasets')) {
			this.#known = this.#make('dsapi', false);
		}
	}

	get kind(): Source['kind'] {
		return this.#known?.kind;
	}

	async *list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		const source = await this.#resolve(ask);
		return yield* source.list(ask);
	}

	async find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		return (await this.#resolve(ask)).find(uuid, ask);
	}

	async openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody> {
		return (await this.#resolve(ask)).openFile(image, index, at, ask);
	}

	async readIcon(image: Manifest, ask: Ask): Promise<Icon | undefined> {
		return (await this.#resolve(ask)).readIcon(image, ask);
	}

	close(): Promise<void> {
		this.#closing.abort(new Error(`source ${this.name} is being closed`));
		return this.#remote.close();
	}

	#resolve(ask: Ask): Promise<Source> {
		if (this.#known !== undefined) {
			return Promise.resolve(this.#known);
		}
		// The question outlives the caller who raised it: others wait for the answer too.
		this.#asking ??= this.#detect({...ask, signal: this.#closing.signal})
			.then(source => (this.#known = source))
			.finally(() => {
				this.#asking = undefined;
			});
		return whileWanted(this.#asking, ask.signal);
	}

	async #detect(ask: Ask): Promise<Source> {
		const kind = await this.#retry.run(ask, () => askPing(this.#remote, this.#base, ask));
		if (kind !== undefined) {
			return this.#make(kind, true);
		}
		// Plain files behind a web server have no ping.
		const query = this.#channel === undefined ? '' : `?${new URLSearchParams({channel: this.#channel}).toString()}`;
		if (await isArray(this.#remote, `${this.#base}/images${query}`, ask)) {
			return this.#make('imgapi', true);
		}
		if (await isArray(this.#remote, `${this.#base}/datasets`, ask)) {
			return this.#make('dsapi', true);
		}
		throw this.#remote.failure(this.#base, 'answers neither like an IMGAPI nor like a DSAPI server');
	}

	#make(kind: 'imgapi' | 'dsapi', proven: boolean): Source {
		const options = {name: this.name, base: this.#base, remote: this.#remote, retry: this.#retry, proven};
		return kind === 'imgapi' ? new ImgapiSource({...options, channel: this.#channel}) : new DsapiSource(options);
	}
}

/** The promise's outcome, or the signal's reason if that comes first. The promise itself goes on either way. */
function whileWanted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		if (signal.aborted) {
			promise.catch(() => undefined);
			reject(signal.reason as Error);
			return;
		}
		const onAbort = (): void => reject(signal.reason as Error);
		signal.addEventListener('abort', onAbort, {once: true});
		promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
	});
}
