/**
 * What is served where and to whom: routes as data, and how fastify is made to serve them.
 *
 * A route names its methods and who may use each; HEAD, OPTIONS, 405, Accept, Accept-Version and 401 follow from that.
 * Handlers answer through the exchange, so fastify finds them and does nothing else: bodies are theirs to read, too.
 */
import {METHODS, type IncomingMessage} from 'node:http';
import type {FastifyInstance} from 'fastify';
import type {Right} from '../access/caller.js';
import {NotFoundError} from '../errors.js';
import {isUuid} from '../image/manifest.js';
import {admit, isRead, refuseForged, refuseOtherSites, type Auth, type Gate, type Rule} from './callers.js';
import type {Exchange} from './exchange.js';
import type {KnownPaths} from './known-paths.js';
import {acceptsJson, checkVersion} from './negotiate.js';
import {RequestError} from './request-error.js';

export type Params = Readonly<Record<string, string | undefined>>;
export type Handler = (exchange: Exchange, params: Params) => Promise<void> | void;

/** A handler alone is `passive` and needs the right to read. */
export interface GuardedHandler {
	readonly handler: Handler;
	readonly auth: Auth;
	/** `strict` without one: publish. Otherwise: none is needed. */
	readonly right?: Right;
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';

export interface Route {
	/**
	 * `:name` stands for one segment. Also the route's name in metrics and log. Several routes may share a path: each
	 * brings methods of its own.
	 */
	readonly path: string;
	/** `imgapi` looks at Accept-Version; `plain` is for people and their tools, and not for pages of other sites. */
	readonly speaks: 'imgapi' | 'dsapi' | 'plain';
	/** Whoever cannot take JSON gets 406. imgadm asks for JSON even where it wants a file. */
	readonly json?: boolean;
	/** Nobody wants to read about these in the log. */
	readonly quiet?: boolean;
	/** Clients ask for it again and again, and the answer is ready. */
	readonly often?: boolean;
	/** HEAD is GET without a body, OPTIONS tells what there is, unless they are here themselves. */
	readonly methods: Partial<Readonly<Record<Method, Handler | GuardedHandler>>>;
}

export interface RouteContext {
	readonly access: Gate;
	readonly exchangeOf: (request: IncomingMessage) => Exchange;
	readonly known: KnownPaths;
}

/** How one method of a path is served. */
interface Served extends Rule {
	readonly handler: Handler;
	readonly route: Route;
}

/** CONNECT never comes this far. */
const everyMethod = METHODS.filter(method => method !== 'CONNECT');

/** Whatever else there is, such as WebDAV's, no route has: each path would be registered five times as often for it. */
const usualMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

const crossOriginHeaders = {
	'Access-Control-Allow-Headers':
		'Accept, Accept-Version, If-Match, If-Modified-Since, If-None-Match, If-Range, Range, X-Request-Id',
	'Access-Control-Max-Age': '86400',
};

/** Clients send whatever credential they have, right or wrong, along with these. */
export function open(handler: Handler, right: Right | 'none' = 'read'): GuardedHandler {
	return {handler, auth: 'open', ...(right === 'none' ? {} : {right})};
}

/** Only who has the right gets as far as anything else. */
export function strict(handler: Handler, right: Right = 'publish'): GuardedHandler {
	return {handler, auth: 'strict', right};
}

/** For whom images that are not public are there. */
export function seeing(handler: Handler): GuardedHandler {
	return {handler, auth: 'passive', right: 'private'};
}

export function serveRoutes(app: FastifyInstance, routes: readonly Route[], context: RouteContext): void {
	for (const method of everyMethod) {
		// Bodiless to fastify, which would read and parse them otherwise, before anybody was asked.
		app.addHttpMethod(method, {overrideExisting: true});
	}
	const paths: ServedPath[] = [];
	for (const path of new Set(routes.map(route => route.path))) {
		const alike = routes.filter(route => route.path === path);
		paths.push(servePath(app, path, alike, context));
	}
	app.setNotFoundHandler((request, reply) => {
		reply.hijack();
		const exchange = context.exchangeOf(request.raw);
		const unusual = !usualMethods.some(method => method === exchange.method);
		const there = unusual ? paths.find(({form}) => form.test(exchange.target.path ?? '')) : undefined;
		there?.mark(exchange);
		exchange.fail(there?.wrongMethod(exchange) ?? new NotFoundError(`${exchange.target.asked} does not exist`));
	});
}

/** A path as far as methods are concerned that no route has. */
interface ServedPath {
	readonly form: RegExp;
	readonly mark: (exchange: Exchange) => void;
	readonly wrongMethod: (exchange: Exchange) => RequestError;
}

function servePath(app: FastifyInstance, path: string, routes: readonly Route[], context: RouteContext): ServedPath {
	const served = new Map<string, Served>(routes.flatMap(methodsOf));
	const get = served.get('GET');
	if (get !== undefined && !served.has('HEAD')) {
		served.set('HEAD', get);
	}
	const allow = [...new Set([...served.keys(), 'OPTIONS'])].sort().join(', ');
	const crossOrigin = routes.some(({speaks}) => speaks !== 'plain');
	const quiet = routes.some(route => route.quiet ?? false);
	const often = routes.some(route => route.often ?? false);
	const options: Handler = exchange => {
		exchange.empty(204, {
			Allow: allow,
			...(crossOrigin ? {'Access-Control-Allow-Methods': allow, ...crossOriginHeaders} : {}),
		});
	};
	const wrongMethod = ({method}: Exchange): RequestError =>
		new RequestError('METHOD_NOT_ALLOWED', `${method} is not allowed`, {Allow: allow});
	const mark = (exchange: Exchange): void => {
		exchange.route = path;
		exchange.quiet = quiet;
		exchange.crossOrigin = crossOrigin;
	};

	for (const method of usualMethods) {
		const found = served.get(method);
		const answer = async (exchange: Exchange, params: Params): Promise<void> => {
			mark(exchange);
			try {
				if (found !== undefined) {
					await serve(found, exchange, params, context.access);
				} else if (method === 'OPTIONS') {
					await options(exchange, params);
				} else {
					throw wrongMethod(exchange);
				}
			} catch (error) {
				exchange.fail(error);
			} finally {
				exchange.handled();
			}
		};
		app.route<{Params: Params}>({
			method,
			url: path,
			async handler(request, reply) {
				reply.hijack();
				const {params} = request;
				const exchange = context.exchangeOf(request.raw);
				context.known.remember(exchange, again => void answer(again, params), often);
				await answer(exchange, params);
			},
		});
	}
	return {form: formOf(path), mark, wrongMethod};
}

/** What a path looks like that the router would take for this one. */
function formOf(path: string): RegExp {
	const parts = path.split('/').map(part => {
		if (part === '*') {
			return '.*';
		}
		return part.startsWith(':') ? '[^/]+' : part.replaceAll(/[.*+?^${}()|[\]\\]/gu, '\\$&');
	});
	return new RegExp(`^${parts.join('/')}$`, 'u');
}

function methodsOf(route: Route): readonly (readonly [string, Served])[] {
	return Object.entries(route.methods).map(([method, given]) => {
		const {handler, auth, right} =
			typeof given === 'function' ? {handler: given, auth: 'passive' as const, right: 'read' as const} : given;
		return [method, {handler, auth, right: right ?? (auth === 'strict' ? 'publish' : undefined), route}];
	});
}

/** Where anybody may ask, whatever is wrong with the question is said first; elsewhere, nothing is before the login. */
async function serve(served: Served, exchange: Exchange, params: Params, access: Gate): Promise<void> {
	const {route, handler, auth} = served;
	if (auth !== 'strict') {
		negotiate(route, exchange);
		checkUuid(params);
		await admit(exchange, access, served);
		if (!isRead(exchange) && exchange.method !== 'OPTIONS') {
			refuseForged(exchange);
		}
	} else {
		const writes = !isRead(exchange);
		if (writes) {
			exchange.audit(`${exchange.method} ${route.path}`, params['uuid'] ?? params['id']);
		}
		await admit(exchange, access, served);
		if (writes) {
			refuseOtherSites(exchange);
		}
		negotiate(route, exchange);
		checkUuid(params);
	}
	await handler(exchange, params);
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

function checkUuid(params: Params): void {
	const {uuid} = params;
	if (uuid !== undefined && !isUuid(uuid)) {
		throw new NotFoundError(`${uuid} is no uuid`);
	}
}
