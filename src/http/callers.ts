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
export type Gate = Pick<Access, 'identify' | 'reload'>;

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
 * A login that is right counts here, too: it may be what shows somebody a private image's file. Where the network's
 * rights are enough already, nobody's time is spent on it.
 */
async function identifyKindly(exchange: Exchange, gate: Gate, asStranger: boolean): Promise<Caller> {
	const {asked} = exchange;
	const anybody = await gate.identify(asked, {ignoreCredentials: true, asStranger});
	if (!asked.headers.authorization || anybody.rights.has('private')) {
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
	if (isFromOtherSite(exchange)) {
		throw new ForbiddenError('pages of other sites may not change anything here');
	}
	// Whose page it is the name does not prove: it may have been made to mean us after the page was loaded.
	if (exchange.caller.credential === 'none' && isPageOfName(exchange)) {
		throw new ForbiddenError('a page changes nothing here without a login, unless it was asked for by address');
	}
}

export function isRead({method, head}: Exchange): boolean {
	return method === 'GET' || head;
}

function isFromOtherSite({headers}: Exchange): boolean {
	const {origin, host = ''} = headers;
	const site = headers['sec-fetch-site'];
	return site === undefined
		? origin !== undefined && origin.replace(/^https?:\/\//u, '') !== host
		: site !== 'same-origin' && site !== 'none';
}

/** Browsers say `sec-fetch-site` where TLS, or being on this very machine, proves the name. */
function isPageOfName({headers}: Exchange): boolean {
	const {origin, host = ''} = headers;
	const name = host.replace(/:\d+$/u, '').replace(/^\[(.*)\]$/u, '$1');
	return origin !== undefined && headers['sec-fetch-site'] === undefined && isIP(name) === 0 && name !== 'localhost';
}
