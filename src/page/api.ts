/**
 * Requests to the mirror that has served this page.
 *
 * Paths are relative to the page, so that it works below any base path and behind any proxy. Everything throws
 * `ApiError`, or what `signal` was aborted with. The mirror and its page are of one build, so that answers have the types
 * that both were compiled with.
 */
import {errorOf, noAnswer, wasAborted} from './api-error.js';
import {linesOf} from './lines.js';

export interface Call {
	readonly method?: string;
	readonly headers?: Readonly<Record<string, string>>;
	/** Sent as JSON. */
	readonly body?: unknown;
	readonly signal?: AbortSignal | undefined;
}

export class Api {
	readonly #onUnauthorized: () => void;

	/** `onUnauthorized`: called whenever the mirror says that it does not know us, or not any more. */
	constructor({onUnauthorized}: {onUnauthorized: () => void}) {
		this.#onUnauthorized = onUnauthorized;
	}

	/** Of a path below the mirror's root, such as `mirror/images`. */
	url(path: string): string {
		return `../${path}`;
	}

	async get<T>(path: string, call: Omit<Call, 'method' | 'body'> = {}): Promise<T> {
		return jsonIn<T>(await this.send(path, call));
	}

	/** `undefined` where the answer has no body. */
	async post<T = unknown>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
		return jsonIn<T>(await this.send(path, {method: 'POST', body, signal}));
	}

	async delete(path: string): Promise<void> {
		await this.send(path, {method: 'DELETE'});
	}

	/** An answer that comes line by line, each of them JSON, while something is going on. */
	async *lines<T>(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
		const {body: stream} = await this.send(path, {method: 'POST', body, signal});
		if (stream === null) {
			return;
		}
		try {
			for await (const line of linesOf(stream.getReader())) {
				yield JSON.parse(line) as T;
			}
		} catch (error) {
			throw wasAborted(error) ? error : noAnswer();
		}
	}

	async send(path: string, {method = 'GET', headers = {}, body, signal}: Call = {}): Promise<Response> {
		let response: Response;
		try {
			response = await fetch(this.url(path), {
				method,
				headers: {
					accept: 'application/json',
					// Says that a program asks: a browser's own login window would be in the way of ours.
					'x-imgmirror': 'page',
					...(body === undefined ? {} : {'content-type': 'application/json'}),
					...headers,
				},
				...(body === undefined ? {} : {body: JSON.stringify(body)}),
				...(signal === undefined ? {} : {signal}),
				credentials: 'same-origin',
				// Lists are large and change rarely: the browser asks whether they did.
				cache: 'no-cache',
			});
		} catch (error) {
			throw wasAborted(error) ? error : noAnswer();
		}
		if (!response.ok) {
			if (response.status === 401) {
				this.#onUnauthorized();
			}
			throw errorOf(response.status, await response.text().catch(() => ''));
		}
		return response;
	}
}

async function jsonIn<T>(response: Response): Promise<T> {
	let text: string;
	try {
		text = await response.text();
	} catch (error) {
		throw wasAborted(error) ? error : noAnswer();
	}
	return JSON.parse(text === '' ? 'null' : text) as T;
}
