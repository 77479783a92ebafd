/**
 * The files of the web page, in memory: they are few and small, and only what is among them can be asked for.
 *
 * Each is compressed when somebody first asks for it so: a mirror whose page nobody opens pays nothing for it.
 */
import {createHash} from 'node:crypto';
import {readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import {brotliCompress, constants, gzip} from 'node:zlib';
import type {Logger} from '../host.js';
import {describe} from '../errors.js';
import {unlessSatisfied} from './conditions.js';
import type {Exchange} from './exchange.js';
import {encodingFor, type Encoding} from './negotiate.js';

const types: ReadonlyMap<string, string> = new Map([
	['.html', 'text/html; charset=utf-8'],
	['.js', 'text/javascript; charset=utf-8'],
	['.mjs', 'text/javascript; charset=utf-8'],
	['.css', 'text/css; charset=utf-8'],
	['.json', 'application/json'],
	['.webmanifest', 'application/manifest+json'],
	['.svg', 'image/svg+xml'],
	['.png', 'image/png'],
	['.ico', 'image/x-icon'],
	['.woff2', 'font/woff2'],
	['.txt', 'text/plain; charset=utf-8'],
]);

/** Nothing from anywhere else, and no script or style that stands inline. */
const pageHeaders = {
	'Content-Security-Policy': [
		...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
		...["font-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
	].join('; '),
	'X-Content-Type-Options': 'nosniff',
	'Referrer-Policy': 'no-referrer',
	'Cross-Origin-Opener-Policy': 'same-origin',
	'Cross-Origin-Resource-Policy': 'same-origin',
	// A new version of the server brings a new page.
	'Cache-Control': 'no-cache',
};

const compressed: ReadonlySet<string> = new Set([
	'.html',
	'.js',
	'.mjs',
	'.css',
	'.json',
	'.svg',
	'.txt',
	'.webmanifest',
]);
const compressors: Readonly<Record<Encoding, (bytes: Buffer) => Promise<Buffer>>> = {
	gzip: promisify(gzip),
	br: bytes => brotli(bytes, {params: {[constants.BROTLI_PARAM_QUALITY]: 9}}),
};
const brotli = promisify(brotliCompress);

interface PageFile {
	readonly bytes: Buffer;
	readonly type: string;
	readonly etag: string;
	readonly encodings: readonly Encoding[];
	/** As somebody has asked for it. */
	readonly forms: Map<Encoding, Promise<Buffer>>;
}

export class PageFiles {
	readonly #files: ReadonlyMap<string, PageFile>;

	private constructor(files: ReadonlyMap<string, PageFile>) {
		this.#files = files;
	}

	/** `undefined`: there is no page, which is logged where there should be one. */
	static async load(directory: string | undefined, log: Pick<Logger, 'warn'>): Promise<PageFiles | undefined> {
		if (directory === undefined) {
			return undefined;
		}
		try {
			const files = await readFiles(directory);
			if (files.has('index.html')) {
				return new PageFiles(files);
			}
			log.warn({directory}, 'the web page has not been built: there is only /docs/');
		} catch (error) {
			log.warn({directory, problem: describe(error)}, 'the web page cannot be read: there is only /docs/');
		}
		return undefined;
	}

	/** `name`: its path below the page. `false`: there is no such file. */
	async answer(exchange: Exchange, name: string): Promise<boolean> {
		const file = this.#files.get(name);
		if (file === undefined) {
			return false;
		}
		const {bytes, type, etag, encodings, forms} = file;
		const encoding = encodingFor(exchange.headers['accept-encoding'], encodings);
		exchange.alsoSend = {...pageHeaders, ...(encodings.length === 0 ? {} : {Vary: 'Accept-Encoding'})};
		const headers = unlessSatisfied(exchange, encoding === undefined ? etag : `${etag}-${encoding}`);
		if (headers === undefined) {
			return true;
		}
		let body = bytes;
		if (encoding !== undefined) {
			const form = forms.get(encoding) ?? compressors[encoding](bytes);
			forms.set(encoding, form);
			body = await form;
		}
		exchange.body(200, body, {
			...headers,
			'Content-Type': type,
			...(encoding === undefined ? {} : {'Content-Encoding': encoding}),
		});
		return true;
	}
}

/** What browsers load: neither sources nor what debuggers want. By their paths with slashes. */
async function readFiles(directory: string): Promise<ReadonlyMap<string, PageFile>> {
	const files = new Map<string, PageFile>();
	const entries = await readdir(directory, {recursive: true, withFileTypes: true});
	for (const entry of entries) {
		const extension = path.extname(entry.name);
		const type = types.get(extension);
		if (entry.isFile() && type !== undefined) {
			const file = path.join(entry.parentPath, entry.name);
			const bytes = await readFile(file);
			files.set(path.relative(directory, file).split(path.sep).join('/'), {
				...{bytes, type},
				etag: createHash('sha1').update(bytes).digest('hex'),
				encodings: compressed.has(extension) && bytes.length > 1000 ? ['br', 'gzip'] : [],
				forms: new Map(),
			});
		}
	}
	return files;
}
