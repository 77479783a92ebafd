/**
 * What is served where: routes as data, and how fastify is made to serve them.
 *
 * A route names its methods; HEAD, OPTIONS, 405, Accept and Accept-Version follow from that. Handlers answer through
 * the exchange, so fastify finds them and does nothing else: bodies are theirs to read, too.
 */
import {METHODS, type IncomingMessage} from 'node:http';
import type {FastifyInstance} from 'fastify';
import {NotFoundError, UnauthorizedError} from '../errors.js';
import type {Exchange} from './exchange.js';
import {acceptsJson, checkVersion} from './negotiate.js';
import {RequestError} from './request-error.js';

export type Params = Readonly<Record<string, string | undefined>>;
export type Handler = (exchange: Exchange, params: Params) => Promise<void> | void;

export interface Route {
	/** `:name` stands for one segment. Also the route's name in metrics and log. */
	readonly path: string;
	/** `imgapi` looks at Accept-Version; `plain` is for people and their tools, and not for pages of other sites. */
	readonly speaks: 'imgapi' | 'dsapi' | 'plain';
	/** Whoever cannot take JSON gets 406. imgadm asks for JSON even where it wants a file. */
	readonly json?: boolean;
	/** Nobody wants to read about these in the log. */
	readonly quiet?: boolean;
	/** HEAD is GET without a body. */
	readonly methods: Partial<Readonly<Record<'GET' | 'POST' | 'PUT' | 'DELETE', Handler>>>;
}

/** CONNECT never comes this far. */
const everyMethod = METHODS.filter(method => method !== 'CONNECT');

const crossOriginHeaders = {
	'Access-Control-Allow-Headers':
		'Accept, Accept-Version, If-Match, If-Modified-Since, If-None-Match, If-Range, Range, X-Request-Id',
	'Access-Control-Max-Age': '86400',
};

/** For endpoints that need a credential: there are none yet, so that every write is refused. */
export function refuse(): never {
	throw new UnauthorizedError('this needs a login, and nobody has one');
}

/**
 * For endpoints that need no credential but refuse a wrong one: it is how command-line tools test theirs. imgadm sends
 * what its source's URL has (`http://user:password@…`) with everything but has no use for it here: its operator learns
 * so from `imgadm sources -a`, before anything depends on it. A proxy in front that has logins of its own must
 * not pass them on.
 */
export function refuseCredentials(exchange: Exchange): void {
	if (exchange.headers.authorization) {
		throw new UnauthorizedError('nobody can log in here: leave the user and password out');
	}
}

export function serveRoutes(
	app: FastifyInstance,
	routes: readonly Route[],
	exchangeOf: (request: IncomingMessage) => Exchange,
): void {
	for (const method of everyMethod) {
		// Bodiless to fastify, which would read and parse them otherwise, before anybody was asked.
		app.addHttpMethod(method, {overrideExisting: true});
	}
	for (const route of routes) {
		serve(app, route, exchangeOf);
	}
	app.setNotFoundHandler((request, reply) => {
		reply.hijack();
		const exchange = exchangeOf(request.raw);
		exchange.fail(new NotFoundError(`${exchange.target.asked} does not exist`));
	});
}

function serve(app: FastifyInstance, route: Route, exchangeOf: (request: IncomingMessage) => Exchange): void {
	const handlers = new Map<string, Handler>(Object.entries(route.methods));
	const get = handlers.get('GET');
	if (get !== undefined) {
		handlers.set('HEAD', get);
	}
	const allow = [...handlers.keys(), 'OPTIONS'].sort().join(', ');
	handlers.set('OPTIONS', exchange => {
		exchange.empty(204, {
			Allow: allow,
			...(route.speaks === 'plain' ? {} : {'Access-Control-Allow-Methods': allow, ...crossOriginHeaders}),
		});
	});
	const wrongMethod: Handler = exchange => {
		throw new RequestError('METHOD_NOT_ALLOWED', `${exchange.method} is not allowed`, {Allow: allow});
	};

	for (const method of everyMethod) {
		const handle = handlers.get(method) ?? wrongMethod;
		app.route<{Params: Params}>({
			method,
			url: route.path,
			async handler(request, reply) {
				reply.hijack();
				const exchange = exchangeOf(request.raw);
				exchange.route = route.path;
				exchange.quiet = route.quiet ?? false;
				exchange.crossOrigin = route.speaks !== 'plain';
				try {
					if (handle !== wrongMethod && method !== 'OPTIONS') {
						negotiate(route, exchange);
					}
					await handle(exchange, request.params);
				} catch (error) {
					exchange.fail(error);
				}
			},
		});
	}
}

function negotiate(route: Route, exchange: Exchange): void {
	const {'accept-version': version, accept} = exchange.headers;
	if (route.speaks === 'imgapi') {
		checkVersion(typeof version === 'string' ? version : undefined);
	}
	if (route.json === true && !acceptsJson(accept)) {
		throw new RequestError('NOT_ACCEPTABLE', 'there is nothing but JSON here');
	}
}
