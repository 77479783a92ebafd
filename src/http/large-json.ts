/**
 * JSON that may be long: laid out in slices, compressed for whoever takes it so.
 *
 * 25,000 rows are 12 MB of text, which browsers get as one. Neither laying them out nor compressing them may stop the
 * files that flow meanwhile. Rows stand one a line, so that they can be read and cut by line.
 */
import {createHash} from 'node:crypto';
import type {OutgoingHttpHeaders} from 'node:http';
import {promisify} from 'node:util';
import {createGunzip, gzip} from 'node:zlib';
import {unlessSatisfied} from './conditions.js';
import type {Exchange} from './exchange.js';
import {encodingFor} from './negotiate.js';
import {json} from './respond.js';
import {slices} from './slices.js';

const compress = promisify(gzip);

/** Less is not worth it. */
const leastCompressed = 8 * 1024;
/** The last few per cent cost more time than they save on any network that a mirror stands in. */
const options = {level: 3, chunkSize: 256 * 1024};

/** A long answer, kept for whoever asks next. */
export interface StoredJson {
	readonly etag: string;
	/** As it is. */
	readonly length: number;
	/** Of a long one only the compressed form is kept. */
	readonly bytes: Buffer;
	readonly compressed: boolean;
}

/** The pieces of a JSON array, or of an object with one at its end (`head`: without its `}`, up to the array). */
export async function* arrayText(
	items: readonly object[],
	{head = '', tail = ''}: {readonly head?: string; readonly tail?: string} = {},
): AsyncGenerator<Buffer, void, undefined> {
	let before = `${head}[\n`;
	for await (const slice of slices(items)) {
		yield Buffer.from(before + slice.map(item => JSON.stringify(item)).join(',\n'));
		before = ',\n';
	}
	yield Buffer.from(`${items.length === 0 ? `${head}[` : '\n'}]${tail}`);
}

export async function store(pieces: AsyncIterable<Buffer>): Promise<StoredJson> {
	const {whole, etag} = await collect(pieces);
	const compressed = whole.length >= leastCompressed;
	return {etag, length: whole.length, bytes: compressed ? await compress(whole, options) : whole, compressed};
}

/** With its ETag: whoever has it already is told so. */
export async function answerStored(
	exchange: Exchange,
	{etag, length, bytes, compressed}: StoredJson,
	more: OutgoingHttpHeaders = {},
): Promise<void> {
	const asStored = compressed && encodingFor(exchange.headers['accept-encoding']) === 'gzip';
	exchange.alsoSend = {...more, 'Cache-Control': 'private, no-cache', Vary: 'Accept-Encoding'};
	const headers = unlessSatisfied(exchange, asStored ? `${etag}-gzip` : etag);
	if (headers === undefined) {
		return;
	}
	const all = {...headers, 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff'};
	if (asStored || !compressed) {
		exchange.body(200, bytes, {...all, ...(asStored ? {'Content-Encoding': 'gzip'} : {})});
		return;
	}
	const plain = createGunzip({chunkSize: 256 * 1024});
	try {
		plain.end(bytes);
		await exchange.chunks(200, plain as AsyncIterable<Buffer>, {...all, 'Content-Length': length});
	} finally {
		plain.destroy();
	}
}

/** An answer for now: nobody keeps it. */
export async function answerNow(exchange: Exchange, value: object): Promise<void> {
	await sendNow(exchange, json(value));
}

/** The same in pieces. */
export async function answerPieces(exchange: Exchange, pieces: AsyncIterable<Buffer>): Promise<void> {
	await sendNow(exchange, (await collect(pieces)).whole);
}

async function sendNow(exchange: Exchange, whole: Buffer): Promise<void> {
	const small = whole.length < leastCompressed || encodingFor(exchange.headers['accept-encoding']) === undefined;
	exchange.json(200, small ? whole : await compress(whole, options), {
		'Cache-Control': 'no-store',
		'X-Content-Type-Options': 'nosniff',
		...(small ? {} : {'Content-Encoding': 'gzip', Vary: 'Accept-Encoding'}),
	});
}

async function collect(pieces: AsyncIterable<Buffer>): Promise<{readonly whole: Buffer; readonly etag: string}> {
	const all: Buffer[] = [];
	const hash = createHash('sha1');
	for await (const piece of pieces) {
		hash.update(piece);
		all.push(piece);
	}
	return {whole: Buffer.concat(all), etag: hash.digest('hex')};
}
