/**
 * What a source can be asked for over its transport: JSON texts, lists as they come, files and icons.
 *
 * The protocols (`imgapi.ts`, `dsapi.ts`) name URLs and read what is in the JSON. Here answers are checked for what
 * HTTP says about them (lengths, encodings, ranges, content types) and bounded.
 */
import {pipeline} from 'node:stream';
import {createGunzip} from 'node:zlib';
import {SourceUnavailableError} from '../errors.js';
import type {ImageFile} from '../image/manifest.js';
import {printable, type SourceFailure} from './failure.js';
import {isTransient, problemOf, statusText} from './problems.js';
import {Relay} from './relay.js';
import type {Ask, FileAt, FileBody, Icon} from './source.js';
import type {Answer, Transport} from './transport.js';

/** How many idle timeouts a long list may take: half an hour, by default. */
const longPauses = 30;
/** setTimeout fires at once for anything longer. */
const longestTimerMs = 2 ** 31 - 1;

const json = {accept: 'application/json', 'accept-encoding': 'gzip'};

export class Remote {
	readonly #transport: Transport;

	constructor(transport: Transport) {
		this.#transport = transport;
	}

	/** A text of at most `maxBytes`; `undefined`: 404. Takes no longer than headers and one pause may take. */
	readJson(url: string, maxBytes: number, ask: Ask): Promise<string | undefined> {
		return this.#inTime(url, ask, async limited => {
			const answer = await this.#transport.get(url, json, limited);
			if (answer === undefined) {
				return undefined;
			}
			const bytes = await this.#readAll(answer, this.#jsonChunks(answer, limited), maxBytes);
			return new TextDecoder().decode(bytes);
		});
	}

	/** JSON as it comes; 404 throws. The first step sends the request; leaving the loop lets go of the connection. */
	async *readChunks(url: string, ask: Ask): AsyncGenerator<Uint8Array, undefined, undefined> {
		const deadline = this.#deadline(url, ask, longPauses);
		try {
			const answer = await this.#transport.get(url, json, deadline.ask);
			if (answer === undefined) {
				throw this.failure(url, 'answered 404 Not Found');
			}
			return yield* this.#jsonChunks(answer, deadline.ask);
		} catch (error) {
			throw deadline.explain(error);
		} finally {
			deadline.clear();
		}
	}

	/** `undefined`: 404. */
	async openFile(
		url: string,
		{offset, etag}: FileAt,
		expected: ImageFile | undefined,
		ask: Ask,
	): Promise<FileBody | undefined> {
		const headers = {
			accept: '*/*',
			// The bytes must be the stored ones.
			'accept-encoding': 'identity',
			...(offset > 0 ? {range: `bytes=${offset}-`} : {}),
			...(offset > 0 && etag !== undefined ? {'if-range': etag} : {}),
		};
		const answer = await this.#transport.get(url, headers, ask);
		if (answer === undefined) {
			return undefined;
		}
		try {
			return this.#fileBody(answer, offset, expected, ask);
		} catch (error) {
			answer.body.destroy();
			throw error;
		}
	}

	/** `undefined`: 404. */
	readIcon(url: string, maxBytes: number, ask: Ask): Promise<Icon | undefined> {
		return this.#inTime(url, ask, async limited => {
			const answer = await this.#transport.get(url, {accept: 'image/*', 'accept-encoding': 'identity'}, limited);
			if (answer === undefined) {
				return undefined;
			}
			const contentType = mediaType(answer);
			try {
				if (!/^image\/[a-z0-9.+-]{1,60}$/.test(contentType)) {
					throw this.failure(answer.url, `answered ${printable(contentType) || 'no content type'} for an icon`);
				}
				this.#refuseEncoding(answer);
				return {bytes: await this.#readAll(answer, answer.body as AsyncIterable<Uint8Array>, maxBytes), contentType};
			} catch (error) {
				throw this.#bodyFailure(answer.url, error, limited);
			} finally {
				answer.body.destroy();
			}
		});
	}

	/** An answer came, but not what was asked for. */
	failure(url: URL | string, problem: string, cause?: unknown): SourceFailure {
		return this.#transport.failure(url, problem, {unexpected: true, cause});
	}

	close(): Promise<void> {
		return this.#transport.close();
	}

	async #readAll(answer: Answer, chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
		const parts: Uint8Array[] = [];
		let bytes = 0;
		for await (const chunk of chunks) {
			bytes += chunk.length;
			if (bytes > maxBytes) {
				throw this.failure(answer.url, `answered more than ${maxBytes} bytes`);
			}
			parts.push(chunk);
		}
		return Buffer.concat(parts, bytes);
	}

	async *#jsonChunks(answer: Answer, ask: Ask): AsyncGenerator<Uint8Array, undefined, undefined> {
		const {url, status, body} = answer;
		try {
			if (isHtml(answer)) {
				throw this.failure(url, 'answered HTML where JSON was expected');
			}
			if (status !== 200 && status !== 203) {
				throw this.failure(url, `answered ${statusText(status)} where JSON was expected`);
			}
			let begun = false;
			for await (const chunk of this.#inflated(answer)) {
				// Proxies and captive portals call anything application/json.
				if (!begun && /^[\s\uFEFF]*</.test(Buffer.from(chunk.subarray(0, 64)).toString())) {
					throw this.failure(url, 'answered HTML where JSON was expected');
				}
				begun ||= chunk.length > 0;
				yield chunk;
			}
			return undefined;
		} catch (error) {
			throw this.#bodyFailure(url, error, ask);
		} finally {
			body.destroy();
		}
	}

	#inflated(answer: Answer): AsyncIterable<Uint8Array> {
		const encoding = encodingOf(answer);
		switch (encoding) {
			case 'identity':
				return answer.body as AsyncIterable<Uint8Array>;
			case 'gzip':
			case 'x-gzip': {
				const gunzip = createGunzip();
				// Whoever reads `gunzip` is told what goes wrong with either.
				pipeline(answer.body, gunzip, () => undefined);
				return gunzip as AsyncIterable<Uint8Array>;
			}
			default:
				throw this.failure(
					answer.url,
					`answered with content-encoding ${printable(encoding)}, which was not asked for`,
				);
		}
	}

	#fileBody(answer: Answer, offset: number, expected: ImageFile | undefined, ask: Ask): FileBody {
		const {url, status, header, body} = answer;
		if (status !== 200 && status !== 206) {
			throw this.failure(url, `answered ${statusText(status)} where a file was expected`);
		}
		if (isHtml(answer)) {
			throw this.failure(url, 'answered HTML where a file was expected');
		}
		const length = decimal(header('content-length'));
		const part = status === 206 ? this.#checkedPart(answer, offset, length) : undefined;
		const size = part === undefined ? length : part.total;
		// Plain web servers label a stored `.gz` as encoded (Apache's AddEncoding). With the right size it is what is
		// stored, and the digest will tell; with another it was encoded on the way.
		if (size === undefined || size !== expected?.size) {
			this.#refuseEncoding(answer);
		}
		const etag = header('etag');
		const stream = new Relay(body, {mapError: error => this.#bodyFailure(url, error, ask)});
		stream.once('close', this.#transport.fileBegins());
		return {
			stream,
			offset: part === undefined ? 0 : offset,
			size,
			// A weak tag promises nothing about bytes and must not go with ranges (RFC 9110 13.1.5).
			etag: etag === undefined || etag === '' || /^w\//i.test(etag) ? undefined : etag,
			// Of a part, servers disagree whether it is the digest of the part or of the whole.
			contentMd5: part === undefined ? md5In(header('content-md5')) : undefined,
			giveBack: chunk => {
				this.#transport.giveBack(chunk);
			},
		};
	}

	/** A 206 must be the very part that was asked for: any other, appended, would spoil what we have. */
	#checkedPart(answer: Answer, offset: number, length: number | undefined): {readonly total: number | undefined} {
		const text = answer.header('content-range') ?? '';
		const [, first, last, whole] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(text.trim()) ?? [];
		const [start, end] = [decimal(first), decimal(last)];
		const total = whole === '*' ? Infinity : decimal(whole);
		if (
			offset === 0 ||
			start !== offset ||
			end === undefined ||
			end < start ||
			total === undefined ||
			end >= total ||
			(length !== undefined && length !== end - start + 1)
		) {
			const said = text === '' ? 'no Content-Range' : `Content-Range ${printable(text, 80)}`;
			throw this.#transport.failure(answer.url, `answered 206 with ${said} when asked for bytes from ${offset} on`, {
				unexpected: true,
				scope: offset === 0 ? 'item' : 'part',
			});
		}
		return {total: total === Infinity ? undefined : total};
	}

	#refuseEncoding(answer: Answer): void {
		const encoding = encodingOf(answer);
		if (encoding !== 'identity') {
			throw this.failure(answer.url, `answered with content-encoding ${printable(encoding)}: not the stored bytes`);
		}
	}

	#bodyFailure(url: URL, error: unknown, ask: Ask): Error {
		if (ask.signal.aborted && ask.signal.reason instanceof Error) {
			return ask.signal.reason;
		}
		if (error instanceof SourceUnavailableError) {
			return error;
		}
		const transport = this.#transport;
		return transport.failure(url, problemOf(error, transport.timeouts), {cause: error, transient: isTransient(error)});
	}

	async #inTime<T>(url: string, ask: Ask, run: (limited: Ask) => Promise<T>): Promise<T> {
		const deadline = this.#deadline(url, ask, 1);
		try {
			return await run(deadline.ask);
		} catch (error) {
			throw deadline.explain(error);
		} finally {
			deadline.clear();
		}
	}

	/**
	 * A server that sends a byte now and then never runs into the idle timeout. So there is an end to the whole, after so
	 * many idle timeouts; time as the sockets' own timeouts count it, not the host's clock.
	 */
	#deadline(url: string, ask: Ask, pauses: number): Deadline {
		const {connectTimeoutMs, headerTimeoutMs, idleTimeoutMs} = this.#transport.timeouts;
		const limitMs = Math.min(connectTimeoutMs + headerTimeoutMs + idleTimeoutMs * pauses, longestTimerMs);
		const over = new AbortController();
		const timer = setTimeout(() => over.abort(), limitMs);
		return {
			ask: {...ask, signal: AbortSignal.any([ask.signal, over.signal])},
			explain: error =>
				over.signal.aborted && !ask.signal.aborted
					? this.#transport.failure(url, `did not answer in full within ${limitMs} ms`)
					: error,
			clear: () => clearTimeout(timer),
		};
	}
}

interface Deadline {
	/** To be used instead of the caller's. */
	readonly ask: Ask;
	/** The error, or that the time was over. */
	readonly explain: (error: unknown) => unknown;
	readonly clear: () => void;
}

function mediaType({header}: Answer): string {
	return (header('content-type') ?? '').replace(/;.*$/s, '').trim().toLowerCase();
}

function isHtml(answer: Answer): boolean {
	return ['text/html', 'application/xhtml+xml'].includes(mediaType(answer));
}

function encodingOf({header}: Answer): string {
	return (header('content-encoding') ?? '').trim().toLowerCase() || 'identity';
}

/** What a header says in decimal digits, if it is a number that we can count with. */
function decimal(text: string | undefined): number | undefined {
	const value = text !== undefined && /^\d{1,16}$/.test(text.trim()) ? Number(text) : NaN;
	return Number.isSafeInteger(value) ? value : undefined;
}

/** Some send hexadecimal there: nothing to pass on to clients that check it. */
function md5In(header: string | undefined): string | undefined {
	return header !== undefined && /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(header) ? header : undefined;
}
