/**
 * What an honest image server answers, before anything is made to go wrong.
 *
 * `answerFor` looks at one request and at the images there are, and returns status, headers and body; nothing here
 * touches a socket. The four kinds differ as the real servers do.
 */
import {createHash} from 'node:crypto';
import {datasetOf, type TestImage, type TestManifest} from './make-image.js';
import type {SeenRequest} from './upstream-request.js';

/**
 * `imgapi`: as sdc-imgapi. `dsapi`: v1 manifests only, newest first. `both`: as dsapid, both protocols under one
 * address. `static`: the IMGAPI paths as plain files behind an nginx.
 */
export type UpstreamKind = 'imgapi' | 'dsapi' | 'both' | 'static';

export interface AnswerSettings {
	readonly kind: UpstreamKind;
	/** Of the upstream, for `files[].url`. */
	readonly url: string;
	/** `absolute`, `relative`, `none`, `placeholder` (`-automatic-`), or the URL of another server that has the files. */
	readonly datasetUrls: string;
	/** The most that one list holds. */
	readonly maxPage: number;
	readonly channels: readonly string[] | undefined;
	readonly defaultChannel: string | undefined;
	readonly auth: {readonly user: string; readonly password: string} | undefined;
	/** Every page is the whole list. */
	readonly ignoresPaging: boolean;
}

export interface Answer {
	status: number;
	/** Without Content-Length. */
	headers: Record<string, string>;
	body: Buffer;
	/** The entries of a list as JSON texts, for those who want to spoil it; the body says the same. */
	readonly entries?: readonly string[];
	/** Whether `body` is a whole file that ranges apply to. */
	readonly isFile?: boolean;
}

export type Images = ReadonlyMap<string, TestManifest>;

export function answerFor(request: SeenRequest, images: Images, settings: AnswerSettings): Answer {
	const {kind} = settings;
	if (request.method !== 'GET' && !(request.method === 'HEAD' && kind !== 'imgapi')) {
		return withHeaders(errorAnswer(405, kind), {Allow: 'GET'});
	}
	if (settings.auth !== undefined && request.headers.authorization !== basic(settings.auth)) {
		return withHeaders(errorAnswer(401, kind), {'WWW-Authenticate': 'Basic realm="IMGAPI"'});
	}
	const isDataset = request.path.startsWith('/datasets');
	if (isDataset ? kind === 'imgapi' || kind === 'static' : kind === 'dsapi' && request.route !== 'ping') {
		return errorAnswer(404, kind);
	}
	switch (request.route) {
		case 'ping':
			return json(pings[kind]);
		case 'channels':
			return settings.channels === undefined
				? errorAnswer(404, kind)
				: json(settings.channels.map(name => ({name, description: name, default: name === settings.defaultChannel})));
		case 'list':
			return isDataset ? datasetList(images, settings) : imageList(request, images, settings);
		case 'manifest':
		case 'file':
		case 'icon':
			return oneImage(request, images, settings, isDataset);
		case 'other':
			return errorAnswer(404, kind);
	}
}

const pings: Readonly<Record<UpstreamKind, object>> = {
	imgapi: {ping: 'pong', version: '4.13.1', imgapi: true},
	static: {ping: 'pong', version: '1.0.0', imgapi: true},
	dsapi: {ping: 'pong'},
	both: {app: 'Dataset Image Server', dsapi: true, imgapi: true, ping: 'pong', version: '0.7.2'},
};

function imageList(request: SeenRequest, images: Images, settings: AnswerSettings): Answer {
	const channel = channelOf(request, settings);
	if (typeof channel === 'object') {
		return channel;
	}
	let found = sorted(images).filter(image => image.manifest['state'] === 'active' && isIn(image, channel));
	if (settings.kind === 'both') {
		found.reverse();
	}
	const pages = settings.kind === 'imgapi' && !settings.ignoresPaging;
	const marker = pages ? request.query.get('marker') : null;
	if (marker !== null) {
		const since = publishedAt(images.get(marker)) ?? (marker.includes('T') ? marker : undefined);
		if (since === undefined) {
			return errorAnswer(404, settings.kind);
		}
		// The reference returns whatever is not older, so the marker itself comes first.
		found = found.filter(image => (publishedAt(image) ?? '') >= since);
	}
	const limit = pages ? Number(request.query.get('limit') ?? 0) : 0;
	const page = found.slice(0, Math.min(limit > 0 ? limit : Infinity, settings.maxPage));
	return listAnswer(page.map(image => imageText(image, request, settings)));
}

function datasetList(images: Images, settings: AnswerSettings): Answer {
	const listed = sorted(images).filter(({manifest}) => manifest['state'] === 'active');
	return listAnswer(listed.reverse().map(image => datasetText(image, settings)));
}

export function listAnswer(entries: readonly string[]): Answer {
	return {
		status: 200,
		headers: {'Content-Type': 'application/json'},
		body: Buffer.from(entries.length === 0 ? '[]' : `[\n  ${entries.join(',\n  ')}\n]`),
		entries,
	};
}

function oneImage(request: SeenRequest, images: Images, settings: AnswerSettings, isDataset: boolean): Answer {
	const {kind} = settings;
	const image = images.get(request.uuid ?? '');
	if (image === undefined) {
		return errorAnswer(404, kind);
	}
	const channel = isDataset ? undefined : channelOf(request, settings);
	if (typeof channel === 'object') {
		return channel;
	}
	if (!isIn(image, channel)) {
		return errorAnswer(404, kind);
	}
	if (request.route === 'manifest') {
		const text = isDataset ? datasetText(image, settings) : imageText(image, request, settings);
		const etag = createHash('sha1').update(text).digest('hex');
		const answer: Answer = {status: 200, headers: {'Content-Type': 'application/json'}, body: Buffer.from(text)};
		return withHeaders(answer, kind === 'imgapi' ? {Etag: etag} : kind === 'static' ? {ETag: `"${etag}"`} : {});
	}
	if (!hasBytes(image)) {
		return errorAnswer(404, kind);
	}
	if (request.route === 'icon') {
		return image.icon === undefined
			? errorAnswer(404, kind)
			: {status: 200, headers: {'Content-Type': 'image/png'}, body: image.icon};
	}
	if (isDataset ? request.fileName !== image.path : !['0', null].includes(request.query.get('index'))) {
		return errorAnswer(404, kind);
	}
	return {status: 200, headers: fileHeaders(image, kind), body: image.bytes, isFile: true};
}

function fileHeaders(image: TestImage, kind: UpstreamKind): Record<string, string> {
	const common = {
		'Content-Type': 'application/octet-stream',
		'Last-Modified': new Date(Date.parse(String(image.manifest['published_at'])) || 0).toUTCString(),
	};
	switch (kind) {
		case 'imgapi':
			return {...common, Etag: image.sha1, 'Content-MD5': image.contentMd5};
		case 'both':
			return {...common, 'Content-Md5': image.contentMd5, 'Accept-Ranges': 'bytes'};
		case 'static':
			return {...common, ETag: `"${image.sha1.slice(0, 8)}-${image.size.toString(16)}"`, 'Accept-Ranges': 'bytes'};
		case 'dsapi':
			return common;
	}
}

export function hasBytes(image: TestManifest): image is TestImage {
	return 'bytes' in image;
}

function publishedAt(image: TestManifest | undefined): string | undefined {
	return image?.manifest['published_at'] as string | undefined;
}

/** Oldest first; those without a date before all others. */
function sorted(images: Images): TestManifest[] {
	const key = (image: TestManifest): string => `${publishedAt(image) ?? ''} ${image.uuid}`;
	return [...images.values()]
		.map(image => ({image, key: key(image)}))
		.sort((a, b) => (a.key < b.key ? -1 : 1))
		.map(({image}) => image);
}

function imageText(image: TestManifest, request: SeenRequest, settings: AnswerSettings): string {
	const {channels, ...rest} = image.manifest;
	const shown =
		settings.channels !== undefined && /[*2]/.test((request.headers['accept-version'] as string | undefined) ?? '');
	const text = shown || channels === undefined ? image.text : JSON.stringify(rest);
	// What was given to the letter goes out to the letter.
	return text === JSON.stringify(image.manifest) || text !== image.text
		? JSON.stringify(JSON.parse(text), undefined, 2)
		: text;
}

function datasetText(image: TestManifest & {readonly path?: string}, settings: AnswerSettings): string {
	const path = image.path ?? String((datasetOf(image, '')['files'] as {path?: string}[])[0]?.path);
	const below = `/datasets/${image.uuid}/${path}`;
	const urls: Readonly<Record<string, string | undefined>> = {
		absolute: `${settings.url}${below}`,
		relative: below,
		placeholder: '-automatic-',
		none: undefined,
	};
	const url = settings.datasetUrls in urls ? urls[settings.datasetUrls] : `${settings.datasetUrls}${below}`;
	return JSON.stringify(datasetOf(image, url), undefined, 2);
}

/** The channel asked for; `'*'` for all, `undefined` on a server without; an error where there is no such one. */
function channelOf(
	request: SeenRequest,
	{channels, defaultChannel, kind}: AnswerSettings,
): string | undefined | Answer {
	if (channels === undefined) {
		return undefined;
	}
	const channel = request.query.get('channel') ?? defaultChannel;
	return channel === '*' || (channel !== undefined && channels.includes(channel)) ? channel : errorAnswer(422, kind);
}

function isIn(image: TestManifest, channel: string | undefined): boolean {
	const of = (image.manifest['channels'] ?? []) as readonly string[];
	return channel === undefined || channel === '*' || of.includes(channel);
}

const codes: Readonly<Record<number, string>> = {
	400: 'BadRequestError',
	401: 'UnauthorizedError',
	403: 'OperatorOnly',
	404: 'ResourceNotFound',
	405: 'MethodNotAllowedError',
	416: 'RequestedRangeNotSatisfiable',
	422: 'ValidationFailed',
	429: 'RequestThrottled',
	500: 'InternalError',
	502: 'BadGatewayError',
	503: 'ServiceUnavailableError',
};

/** An error in the words of that kind of server. */
export function errorAnswer(status: number, kind: UpstreamKind): Answer {
	const code = codes[status] ?? 'InternalError';
	switch (kind) {
		case 'imgapi':
			return {...json({code, message: `fake upstream says ${status}`}), status};
		case 'dsapi':
			return {...json({error: {message: `fake upstream says ${status}`, code: status}}), status};
		case 'both':
			return {status, headers: {'Content-Type': 'text/plain; charset=utf-8'}, body: Buffer.from('Not found\n')};
		case 'static':
			return htmlAnswer(status);
	}
}

export function htmlAnswer(status: number): Answer {
	const body = `<html>\r\n<head><title>${status}</title></head>\r\n<body><center><h1>${status}</h1></center></body>\r\n</html>\r\n`;
	return {status, headers: {'Content-Type': 'text/html'}, body: Buffer.from(body)};
}

function json(value: unknown): Answer {
	return {
		status: 200,
		headers: {'Content-Type': 'application/json'},
		body: Buffer.from(JSON.stringify(value, undefined, 2)),
	};
}

function withHeaders(answer: Answer, headers: Record<string, string>): Answer {
	return {...answer, headers: {...answer.headers, ...headers}};
}

function basic({user, password}: {readonly user: string; readonly password: string}): string {
	return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
