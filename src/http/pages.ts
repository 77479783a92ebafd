/**
 * What is for people: the web page, the documentation of the API as this server speaks it, and the way there.
 *
 * All of it stands alone: no script, no font, no picture from anywhere else, and policies that say so.
 */
import {createHash} from 'node:crypto';
import {NotFoundError} from '../errors.js';
import {baseUrl, type BaseUrlSettings} from './base-url.js';
import {unlessSatisfied} from './conditions.js';
import {docsPage, docsStyle} from './docs-page.js';
import type {Exchange} from './exchange.js';
import {answerStored, store, type StoredJson} from './large-json.js';
import {namesHtml, namesJson} from './negotiate.js';
import {openApi} from './openapi.js';
import {operations} from './openapi-operations.js';
import type {PageFiles} from './page-files.js';
import {open, type Params, type Route} from './routes.js';

export interface PageSettings {
	readonly version: string;
	/** As DSAPI tells it. */
	readonly cloudName: () => string;
	readonly settings: () => BaseUrlSettings;
	/** `undefined`: there is no web page. */
	readonly page: PageFiles | undefined;
}

/** Caches keep a redirect for long: they must not give it to whoever asks for something else. */
const byAccept = {Vary: 'Accept'};

export function pageRoutes({version, cloudName, settings, page}: PageSettings): readonly Route[] {
	const endpoints = operations.map(({method, path}) => `${method} ${path}`);
	const styleHash = createHash('sha256').update(docsStyle).digest('base64');
	// By the URL that they name us by, which clients make up.
	let document: {readonly base: string; readonly json: Promise<StoredJson>} | undefined;

	/** Joyent's DSAPI told programs what it had, and people where to read about it. */
	function root(exchange: Exchange): void {
		const {accept} = exchange.headers;
		if (namesJson(accept)) {
			exchange.json(200, {endpoints, version, cloud_name: cloudName()}, byAccept);
		} else if (page !== undefined && namesHtml(accept)) {
			toFolder(exchange, 'ui', 302, byAccept);
		} else {
			toFolder(exchange, 'docs', 301, byAccept);
		}
	}

	function docs(exchange: Exchange): void {
		const text = Buffer.from(docsPage({version, base: baseUrl(exchange, settings()), hasPage: page !== undefined}));
		exchange.alsoSend = {'Cache-Control': 'no-cache'};
		const headers = unlessSatisfied(exchange, createHash('sha1').update(text).digest('hex'));
		if (headers !== undefined) {
			exchange.body(200, text, {
				...headers,
				'Content-Type': 'text/html; charset=utf-8',
				'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
				'X-Content-Type-Options': 'nosniff',
				'Referrer-Policy': 'no-referrer',
			});
		}
	}

	async function description(exchange: Exchange): Promise<void> {
		const base = baseUrl(exchange, settings());
		if (document?.base !== base) {
			document = {base, json: store(inOne(JSON.stringify(openApi({version, base}), null, 1)))};
		}
		await answerStored(exchange, await document.json);
	}

	async function pageFile(exchange: Exchange, {'*': name = ''}: Params): Promise<void> {
		const wanted = name === '' ? 'index.html' : name;
		// The page's own addresses, which it finds its way by, have no files.
		const found =
			page !== undefined &&
			((await page.answer(exchange, wanted)) || (isAddress(wanted) && (await page.answer(exchange, 'index.html'))));
		if (!found) {
			throw new NotFoundError(`${exchange.target.asked} does not exist`);
		}
	}

	function toPage(exchange: Exchange): void {
		if (page === undefined) {
			throw new NotFoundError('this server has no web page; there is /docs/');
		}
		toFolder(exchange, 'ui', 301);
	}

	async function favicon(exchange: Exchange): Promise<void> {
		if (page === undefined || !(await page.answer(exchange, 'favicon.ico'))) {
			exchange.empty(204, {'Cache-Control': 'max-age=86400'});
		}
	}

	const plain = {speaks: 'plain'} as const;
	return [
		{...plain, path: '/', methods: {GET: open(root, 'none')}},
		{...plain, path: '/docs', methods: {GET: open(exchange => toFolder(exchange, 'docs', 301), 'none')}},
		{...plain, path: '/docs/', methods: {GET: open(docs, 'none')}},
		{...plain, path: '/docs/openapi.json', methods: {GET: open(description, 'none')}},
		{...plain, path: '/ui', methods: {GET: open(toPage, 'none')}},
		{...plain, path: '/ui/*', quiet: true, methods: {GET: open(pageFile, 'none')}},
		{...plain, path: '/favicon.ico', quiet: true, methods: {GET: open(favicon, 'none')}},
	];
}

/** Relative to the last segment asked for, so that it is right below any path that a proxy puts before ours. */
function toFolder(
	exchange: Exchange,
	folder: string,
	status: 301 | 302,
	headers: Readonly<Record<string, string>> = {},
): void {
	const last = exchange.target.asked.split('/').at(-1) ?? '';
	const Location = last === '' || last === folder ? `${folder}/` : `${last}/${folder}/`;
	exchange.empty(status, {Location, ...headers});
}

/** Not what looks like a file that is missing, or like a way out. */
function isAddress(name: string): boolean {
	const segments = name.split('/');
	const last = segments.at(-1) ?? '';
	return !/[\\\0]/u.test(name) && !segments.includes('..') && !segments.includes('.') && !/\.\w{1,12}$/u.test(last);
}

async function* inOne(text: string): AsyncGenerator<Buffer, void, undefined> {
	await Promise.resolve();
	yield Buffer.from(text);
}
