/**
 * Files of images as an export reads them: from the server, from any byte on, and on where the line breaks.
 *
 * What comes is checked by whoever writes it. Which failures pass, and for how long that is believed, is `patience.ts`'s.
 */
import type {IncomingMessage} from 'node:http';
import type {PlannedBlob} from '../airgap/api.js';
import type {FetchFile} from '../airgap/write-plan.js';
import {AnswerError, ConnectionError, mayPass} from './client-errors.js';
import type {Client} from './client.js';
import type {Patience} from './patience.js';

/** The server may have to fetch a file again that it has let go of meanwhile. */
const silenceMs = 10 * 60_000;
const mostProblemBytes = 65_536;

export function fileFetcher(client: Client, patience: Patience): FetchFile {
	return async (blob, start, signal) => new FileStretch(client, blob, signal).pieces(start, patience);
}

/** One file, from some byte on. */
class FileStretch {
	readonly #client: Client;
	readonly #blob: PlannedBlob;
	readonly #signal: AbortSignal;

	constructor(client: Client, blob: PlannedBlob, signal: AbortSignal) {
		this.#client = client;
		this.#blob = blob;
		this.#signal = signal;
	}

	async *pieces(start: number, patience: Patience): AsyncGenerator<Buffer, void, undefined> {
		const {size, file} = this.#blob;
		let at = start;
		while (at < size) {
			try {
				for await (const piece of this.#from(at)) {
					at += piece.length;
					patience.progress();
					yield piece;
				}
				if (at < size) {
					throw new ConnectionError(`${this.#client.target.shown} has sent ${at} of ${size} bytes of a file`);
				}
			} catch (error) {
				await patience.after(
					error instanceof AnswerError && !mayPass(error)
						? new AnswerError(`the file of image ${file?.uuid ?? ''} cannot be had: ${error.message}`, error)
						: error,
				);
			}
		}
	}

	async *#from(start: number): AsyncGenerator<Buffer, void, undefined> {
		const {file} = this.#blob;
		const call = {
			// Of whatever channel: it has been chosen by now.
			path: `/images/${file?.uuid ?? ''}/file?index=${file?.index ?? 0}&channel=*`,
			headers: start === 0 ? {} : {range: `bytes=${start}-`},
			answerMs: silenceMs,
			signal: this.#signal,
		};
		const response = await this.#client.open(call);
		const pieces = this.#client.read(response, call);
		// Whoever does not know ranges, or a proxy between, sends all of it.
		let surplus = await this.#surplus(response, pieces, start);
		for await (const piece of pieces) {
			if (surplus >= piece.length) {
				surplus -= piece.length;
			} else {
				yield piece.subarray(surplus);
				surplus = 0;
			}
		}
	}

	/** How many bytes come before those that were asked for. Throws AnswerError for an answer that has no file. */
	async #surplus(response: IncomingMessage, pieces: AsyncIterable<Buffer>, start: number): Promise<number> {
		const {statusCode = 0, headers} = response;
		if (statusCode === 206) {
			const first = Number(/^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1]);
			if (first <= start) {
				return start - first;
			}
			response.destroy();
			throw new ConnectionError(`${this.#client.target.shown} sends another part of a file than was asked for`, {
				final: true,
			});
		}
		if (statusCode !== 200) {
			this.#client.expectSuccess(statusCode === 204 ? 404 : statusCode, await problemIn(pieces), headers);
		}
		return start;
	}
}

async function problemIn(pieces: AsyncIterable<Buffer>): Promise<string> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const piece of pieces) {
		chunks.push(piece);
		length += piece.length;
		if (length > mostProblemBytes) {
			break;
		}
	}
	return Buffer.concat(chunks).toString('utf8');
}
