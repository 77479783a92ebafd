/**
 * One request that a fake upstream has seen, and what became of it.
 *
 * Tests read it; the upstream fills it in while it answers. Headers are as Node gives them, names in lower case.
 */
import type {IncomingHttpHeaders, IncomingMessage} from 'node:http';

/** What was asked for, whichever protocol asked. */
export type Route = 'ping' | 'list' | 'manifest' | 'file' | 'icon' | 'channels' | 'other';

/** `cut`: the upstream broke it off, as told. `left`: the client went away before the end. */
export type Outcome = 'open' | 'done' | 'cut' | 'left';

export class SeenRequest {
	readonly method: string;
	/** As it came: path and query, or a whole URL. */
	readonly url: string;
	/** Without host, base path and query. */
	readonly path: string;
	readonly query: URLSearchParams;
	readonly headers: IncomingHttpHeaders;
	readonly rawHeaders: readonly string[];
	readonly route: Route;
	readonly uuid: string | undefined;
	/** The file's name in a DSAPI path. */
	readonly fileName: string | undefined;
	/** The Range header. */
	readonly range: string | undefined;
	status: number | undefined;
	/** Bytes of the body that went out. */
	sentBytes = 0;
	outcome: Outcome = 'open';

	constructor(
		message: IncomingMessage,
		basePath: string,
		/** Counted from 1 per upstream. */
		readonly number: number,
		/** Counted from 1 per upstream: the same for requests on one kept-alive connection. */
		readonly connection: number,
	) {
		this.method = message.method ?? '';
		this.url = message.url ?? '';
		this.headers = message.headers;
		this.rawHeaders = message.rawHeaders;
		this.range = message.headers.range;
		const afterHost = /^https?:\/\/[^/]*(.*)$/i.exec(this.url)?.[1] ?? this.url;
		const [path = '', ...query] = afterHost.split('?');
		this.path = path.startsWith(basePath) ? path.slice(basePath.length) : path;
		this.query = new URLSearchParams(query.join('?'));
		const [, first, second, third, ...more] = this.path.split('/');
		this.uuid = first === 'images' || first === 'datasets' ? second : undefined;
		this.route = more.length > 0 ? 'other' : routeOf(first, second, third);
		this.fileName = first === 'datasets' && third !== undefined ? decodeURIComponent(third) : undefined;
	}
}

function routeOf(first: string | undefined, second: string | undefined, third: string | undefined): Route {
	if ((first === 'ping' || first === 'channels') && second === undefined) {
		return first;
	}
	if (first !== 'images' && first !== 'datasets') {
		return 'other';
	}
	if (third === undefined) {
		return second === undefined ? 'list' : 'manifest';
	}
	if (first === 'datasets' || third === 'file') {
		return 'file';
	}
	return third === 'icon' ? 'icon' : 'other';
}
