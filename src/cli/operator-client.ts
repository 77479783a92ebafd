/**
 * The server as operators' commands speak to it: what is asked below `/mirror/`, and what a refusal means there.
 *
 * `withOperator` finds the server and stays with it until the command is done or interrupted. Answers come as they
 * are; `wire.ts` has the readers for them.
 */
import {gunzipSync} from 'node:zlib';
import {describe} from '../errors.js';
import {AnswerError, ConnectionError, pathAdvice} from './client-errors.js';
import type {Call, Client, Pieces} from './client.js';
import {interruptible} from './interruption.js';
import type {CliIo} from './io.js';
import {jsonLines, type Line} from './json-lines.js';
import {withServer, type Whereabouts} from './reach.js';

/** What a command needs of whoever runs it. */
type Needed = 'private' | 'operate';

interface Asked {
	readonly right?: Needed;
	/** How long the server may be silent. */
	readonly answerMs?: number;
}

/** A refusal that no right helps against: the bundle is signed by nobody whom the server trusts. */
export const untrusted = 'BundleNotTrusted';

const mostAnswerBytes = 512 * 1024 * 1024;

export class OperatorClient {
	readonly #client: Client;
	readonly signal: AbortSignal;
	/** The data directory on which none ran, so that this one was started for the command. */
	readonly startedFor: string | undefined;

	constructor(client: Client, signal: AbortSignal, startedFor?: string) {
		this.#client = client;
		this.signal = signal;
		this.startedFor = startedFor;
	}

	/** What the server is called in messages. */
	get shown(): string {
		return this.#client.target.shown;
	}

	/** What a client reaches it by; `undefined`: it was reached through a socket. */
	get url(): string | undefined {
		return this.#client.target.socketPath === undefined ? this.shown : undefined;
	}

	/** A JSON object or array. */
	async get(path: string, {right = 'private', answerMs}: Asked = {}): Promise<unknown> {
		return this.#ask({path}, right, answerMs);
	}

	async post(path: string, body?: object, {right = 'operate', answerMs}: Asked = {}): Promise<unknown> {
		return this.#ask(posted(path, body), right, answerMs);
	}

	/** An answer that is no JSON. */
	async text(path: string, {right = 'private', answerMs}: Asked = {}): Promise<string> {
		return this.#answered({path, headers: {accept: 'text/plain, application/json'}}, right, answerMs);
	}

	async delete(path: string, {right = 'operate'}: Asked = {}): Promise<void> {
		await this.#answered({method: 'DELETE', path}, right, undefined);
	}

	/** As `get`; the answer counts whatever its status, as long as it is JSON. */
	async look(path: string): Promise<{readonly status: number; readonly value: unknown}> {
		const {status, body} = await this.#request({path});
		return {status, value: this.#parsed(body)};
	}

	/** An answer that is told line by line. */
	async *lines(
		call: {readonly path: string; readonly body?: object},
		{right = 'operate', answerMs}: Asked = {},
	): AsyncGenerator<Line, void, undefined> {
		const {path, body} = call;
		yield* this.#told(body === undefined ? {path} : posted(path, body), right, answerMs);
	}

	/** The same while a body is sent. Throws what the body throws. */
	async *sending(
		call: {readonly path: string; readonly type: string; readonly body: Pieces},
		{right = 'operate', answerMs}: Asked = {},
	): AsyncGenerator<Line, void, undefined> {
		const {path, type, body} = call;
		const headers = {'content-type': type};
		yield* this.#told({method: 'PUT', path, headers, body, meanwhile: true}, right, answerMs);
	}

	async *#told(call: Call, right: Needed, answerMs: number | undefined): AsyncGenerator<Line, void, undefined> {
		try {
			yield* jsonLines(this.#client, {
				...call,
				...(answerMs === undefined ? {} : {answerMs}),
				signal: this.signal,
			});
		} catch (error) {
			throw await this.#explained(error, right);
		}
	}

	async #ask(call: Call, right: Needed, answerMs: number | undefined): Promise<unknown> {
		return this.#parsed(await this.#answered(call, right, answerMs));
	}

	async #answered(call: Call, right: Needed, answerMs: number | undefined): Promise<string> {
		try {
			const {status, body, headers} = await this.#request({...call, ...(answerMs === undefined ? {} : {answerMs})});
			this.#client.expectSuccess(status, body, headers);
			return body;
		} catch (error) {
			throw await this.#explained(error, right);
		}
	}

	async #request(call: Call): Promise<{status: number; body: string; headers: AnswerHeaders}> {
		const {signal} = this;
		const response = await this.#client.open({
			...call,
			headers: {accept: 'application/json', 'accept-encoding': 'gzip', ...call.headers},
			signal,
		});
		const chunks: Buffer[] = [];
		let length = 0;
		for await (const chunk of this.#client.read(response, {...call, signal})) {
			length += chunk.length;
			if (length > mostAnswerBytes) {
				throw new ConnectionError(`${this.shown} answers without end`, {final: true});
			}
			chunks.push(chunk);
		}
		const {statusCode = 0, headers} = response;
		return {status: statusCode, headers, body: this.#plain(Buffer.concat(chunks), headers['content-encoding'])};
	}

	#plain(body: Buffer, encoding: string | undefined): string {
		if (encoding !== 'gzip') {
			return body.toString('utf8');
		}
		try {
			return gunzipSync(body, {maxOutputLength: mostAnswerBytes}).toString('utf8');
		} catch (error) {
			throw new ConnectionError(`what ${this.shown} answers cannot be unpacked: ${describe(error)}`, {final: true});
		}
	}

	#parsed(body: string): unknown {
		try {
			const value = JSON.parse(body) as unknown;
			if (typeof value === 'object' && value !== null) {
				return value;
			}
		} catch {
			// Said below.
		}
		const advice = pathAdvice(this.#client.target);
		throw new ConnectionError(
			`what ${this.shown} answers is not an imgmirror's${advice === undefined ? '' : `: ${advice}`}`,
			{final: true},
		);
	}

	/** What whoever typed the command can do about it. */
	async #explained(error: unknown, right: Needed): Promise<unknown> {
		if (!(error instanceof AnswerError)) {
			return error;
		}
		if (error.status === 401 || (error.status === 403 && error.reason !== untrusted)) {
			return new AnswerError(
				`${error.message}\n  this takes the right "${right}", which, on the machine of the server, ` +
					`"imgmirror user may NAME ${right}" gives; there, its own account needs no login`,
				error,
			);
		}
		if ((error.status === 404 || error.status === 405) && !(await this.#knowsOperators())) {
			return new AnswerError(
				`${this.shown} knows nothing of this command: ` +
					(pathAdvice(this.#client.target) ?? 'it is an older imgmirror, or another image server'),
				error,
			);
		}
		return error;
	}

	/** Whether a 404 is about an image, and not about the way we ask. */
	async #knowsOperators(): Promise<boolean> {
		try {
			const {status} = await this.#request({path: '/mirror/sources'});
			return status !== 404;
		} catch {
			return true;
		}
	}
}

type AnswerHeaders = Parameters<Client['expectSuccess']>[2];

function posted(path: string, body: object | undefined): Call {
	return {
		method: 'POST',
		path,
		...(body === undefined
			? {}
			: {headers: {'content-type': 'application/json'}, body: Buffer.from(JSON.stringify(body))}),
	};
}

/** `about`: what is seen is of a server that runs, so it is said where one was only started for this. */
type Sought = Whereabouts & {readonly about?: boolean};

/** Runs `use` with the server that the command line names, until it is done or the user has had enough. */
export async function withOperator<T>(
	where: Sought,
	io: CliIo,
	use: (server: OperatorClient) => Promise<T>,
): Promise<T> {
	return interruptible(io, signal => withOperatorUntil(signal, where, io, use));
}

/** The same for whoever listens to signals already. */
export async function withOperatorUntil<T>(
	signal: AbortSignal,
	where: Sought,
	io: CliIo,
	use: (server: OperatorClient) => Promise<T>,
): Promise<T> {
	return withServer(where, io, async ({client, startedHere, name}) => {
		const startedFor = startedHere ? name.replace(/^data:/, '') : undefined;
		if (startedFor !== undefined && where.about === true) {
			io.stderr.write(`imgmirror: no server runs on ${startedFor}: started one for this\n`);
		}
		return use(new OperatorClient(client, signal, startedFor));
	});
}
