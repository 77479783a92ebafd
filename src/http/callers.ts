/**
 * Who asks: what of `Access` the routes need, and how a route's rule is applied to a request.
 *
 * Routes say how a credential is taken and which right they need; handlers find the caller on their exchange. How
 * somebody shows who they are is the access room's to know.
 */
import {isIP} from 'node:net';
import type {Access, Asked} from '../access/access.js';
import {requireRight, type Caller, type Right} from '../access/caller.js';
import {ForbiddenError, UnauthorizedError} from '../errors.js';
import type {Exchange} from './exchange.js';

/** What routes need of `Access`. */
export type Gate = Pick<Access, 'identify' | 'stranger' | 'reload' | 'logIn' | 'logOut' | 'hasUsers'>;

/** The other end of a connection. */
export type Peer = Asked['peer'];

/**
 * `open`: a wrong credential does no harm. `passive`: none is needed, but one that is sent must be right. `strict`: the
 * first thing looked at, before anything else of the request.
 */
export type Auth = 'open' | 'passive' | 'strict';

export interface Rule {
	readonly auth: Auth;
	/** `undefined`: nobody is turned away. */
	readonly right: Right | undefined;
}

const none: Caller['rights'] = new Set();

/** Whoever it is until that has been found out: may nothing. */
export function nobodyAt({address, kind}: Peer): Caller {
	return {user: undefined, credential: 'none', address: address ?? kind, rights: none};
}

/** Sets the exchange's caller. Throws UnauthorizedError or ForbiddenError for one who may not. */
export async function admit(exchange: Exchange, gate: Gate, {auth, right}: Rule): Promise<void> {
	// Pages may read our answers, and so may whoever made them, anywhere: their reader's network is not theirs.
	const asStranger = isRead(exchange) && isFromOtherSite(exchange);
	exchange.caller = await (auth === 'open'
		? identifyKindly(exchange, gate, asStranger)
		: gate.identify(exchange.asked, {asStranger}));
	if (right !== undefined) {
		requireRight(exchange.caller, right);
	}
}

/**
 * Whether the reader of a stream may go on reading: users go, their rights change, logins and networks as well. What
 * cannot be found out just now changes nothing, and a signature, which cannot be shown twice, holds for its stream.
 */
export async function mayStill(exchange: Exchange, gate: Gate, right: Right): Promise<boolean> {
	if (exchange.caller.credential === 'signature') {
		return true;
	}
	const asStranger = isRead(exchange) && isFromOtherSite(exchange);
	try {
		requireRight(await gate.identify(exchange.asked, {asStranger}), right);
		return true;
	} catch (error) {
		return !(error instanceof UnauthorizedError || error instanceof ForbiddenError);
	}
}

/**
 * A login that is right counts here, too: it may be what shows somebody a private image's file. Where the network's
 * rights are enough already, nobody's time is spent on it.
 */
async function identifyKindly(exchange: Exchange, gate: Gate, asStranger: boolean): Promise<Caller> {
	const {asked} = exchange;
	const anybody = await gate.identify(asked, {ignoreCredentials: true, asStranger});
	const {authorization, cookie} = asked.headers;
	if ((!authorization && cookie === undefined) || anybody.rights.has('private')) {
		return anybody;
	}
	try {
		return await gate.identify(asked, {asStranger});
	} catch (error) {
		if (error instanceof UnauthorizedError) {
			return anybody;
		}
		throw error;
	}
}

/**
 * A browser sends along what it can log in with, and comes from its user's network, whichever site's page makes it
 * write. No tool of ours says where it was sent from.
 */
export function refuseOtherSites(exchange: Exchange): void {
	refuseForged(exchange);
	// Whose page it is the name does not prove: it may have been made to mean us after the page was loaded.
	if (exchange.caller.credential === 'none' && isPageOfName(exchange)) {
		throw new ForbiddenError('a page changes nothing here without a login, unless it was asked for by address');
	}
}

/**
 * The same for whatever may be asked without a login. A session's cookie is sent along unasked, also by what tells
 * nothing of itself: it counts for no more than reading unless something shows that our own page asks.
 */
export function refuseForged(exchange: Exchange): void {
	if (isFromOtherSite(exchange)) {
		throw new ForbiddenError('pages of other sites may not change anything here');
	}
	if (exchange.caller.credential === 'session' && !isFromOurPage(exchange)) {
		throw new ForbiddenError('a login on the page counts for its own requests only; add the header x-imgmirror: page');
	}
}

export function isRead({method, head}: Exchange): boolean {
	return method === 'GET' || head;
}

export function isFromOtherSite(exchange: Pick<Exchange, 'headers'>): boolean {
	const {origin, host = '', 'sec-fetch-site': site} = exchange.headers;
	return site === undefined
		? origin !== undefined && !isOriginOf(host, origin) && !hasPageHeader(exchange)
		: site !== 'same-origin' && site !== 'none';
}

function isFromOurPage(exchange: Exchange): boolean {
	const {origin, host = '', 'sec-fetch-site': site} = exchange.headers;
	return site === 'same-origin' || (origin !== undefined && isOriginOf(host, origin)) || hasPageHeader(exchange);
}

/** No page of another site can send it: its browser would ask us first, and is never told that it may. */
function hasPageHeader({headers}: Pick<Exchange, 'headers'>): boolean {
	return headers['x-imgmirror'] === 'page';
}

function isOriginOf(host: string, origin: string): boolean {
	return origin.replace(/^https?:\/\//u, '') === host;
}

/** Browsers say `sec-fetch-site` where TLS, or being on this very machine, proves the name. */
function isPageOfName({headers}: Exchange): boolean {
	const {origin, host = ''} = headers;
	const name = host.replace(/:\d+$/u, '').replace(/^\[(.*)\]$/u, '$1');
	return origin !== undefined && headers['sec-fetch-site'] === undefined && isIP(name) === 0 && name !== 'localhost';
}
