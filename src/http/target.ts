/**
 * Where a request wants to go: the request target, brought into the one form that routes know.
 *
 * imgadm's DSAPI client sends `files[0].url` as it stands, so an absolute URL of any host is as good as a path.
 */
import {RequestError} from './request-error.js';

export interface Target {
	/** Below the base path, slashes single, still percent-encoded. `undefined`: outside of what we serve. */
	readonly path: string | undefined;
	/** Without `?`. */
	readonly query: string;
	/** As asked for, without host and query. */
	readonly asked: string;
	/** The base path was part of it; `/ping` and `/datasets` are there without, too. */
	readonly belowBase: boolean;
}

const absoluteForm = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/u;
/** Neither absolute nor encoded, no fragment, no slash beside another: as nearly all are. */
const plainForm = /^(?:\/[\w.~:@!$&'()*+,;=-]+)+$/u;
const rootPath = /^\/(?:ping$|datasets(?:\/|$))/u;

/** Throws RequestError for malformed percent-encoding. */
export function parseTarget(url: string, basePath: string): Target {
	const whole = url.startsWith('/') && !url.includes('#') ? url : withoutOrigin(url);
	const mark = whole.indexOf('?');
	const query = mark === -1 ? '' : whole.slice(mark + 1);
	const asked = (mark === -1 ? whole : whole.slice(0, mark)) || '/';
	// OPTIONS * asks about the server as a whole.
	const isPlain = plainForm.test(asked);
	const path = isPlain ? asked : asked === '*' ? '/' : asked.replaceAll(/\/{2,}/gu, '/');
	if (!isPlain && !isDecodable(path)) {
		throw new RequestError('BAD_REQUEST', 'the path is not properly percent-encoded');
	}
	if (!path.startsWith('/')) {
		return {path: undefined, query, asked, belowBase: false};
	}
	if (path === basePath || path.startsWith(`${basePath}/`)) {
		return {path: ownPath(path.slice(basePath.length)), query, asked, belowBase: true};
	}
	// imgadm keeps the path of an IMGAPI source's URL and drops that of a DSAPI source's.
	return {path: rootPath.test(path) ? path : undefined, query, asked, belowBase: false};
}

/** DSAPI's clients read errors in its own shape. */
export function isOfDatasets({path = ''}: Target): boolean {
	return /^\/(?:datasets|assets|api\/export)(?:\/|$)/u.test(path);
}

function withoutOrigin(url: string): string {
	const [whole = ''] = url.replace(absoluteForm, '').split('#', 1);
	return whole;
}

function ownPath(path: string): string {
	// The reference's own redirects point to the form with the slash.
	return path === '/images/' ? '/images' : path || '/';
}

function isDecodable(path: string): boolean {
	try {
		decodeURIComponent(path);
		return true;
	} catch {
		return false;
	}
}
