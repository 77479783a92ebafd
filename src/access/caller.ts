/**
 * Who asks, and what they may do.
 *
 * `Access.identify` makes one for each request; routes say which right they need. Nothing here knows how a caller
 * showed who they are.
 */
import {ForbiddenError, UnauthorizedError} from '../errors.js';

/**
 * `read`: lists, manifests and files. `private`: also of images that are not public. `publish`: make images, and change
 * one's own. `operate`: everything. Each of the last two brings those before it.
 */
export type Right = 'read' | 'private' | 'publish' | 'operate';

export const rights: readonly Right[] = ['read', 'private', 'publish', 'operate'];

/**
 * How a caller showed who they are. `session`: by the cookie of the web page. `control`: through the socket that only the
 * server's own account can open.
 */
export type Credential = 'none' | 'password' | 'token' | 'signature' | 'session' | 'control';

export interface Caller {
	/** `undefined`: nobody has logged in; the rights are the network's. */
	readonly user: string | undefined;
	readonly credential: Credential;
	/** The client's, as far as proxies that we trust tell it; `unix` or `control` for sockets without addresses. */
	readonly address: string;
	/** All of them: those that a right brings are here as well. */
	readonly rights: ReadonlySet<Right>;
}

/** The rights that these bring. */
export function withImplied(given: Iterable<Right>): ReadonlySet<Right> {
	const all = new Set(given);
	if (all.has('operate')) {
		all.add('publish');
	}
	if (all.has('publish')) {
		all.add('private');
	}
	if (all.has('private')) {
		all.add('read');
	}
	return all;
}

/** Whether IMGAPI would call the caller authenticated: it sees images that are not active, and operators' fields. */
export function isAuthenticated(caller: Caller): boolean {
	return caller.user !== undefined || caller.rights.has('publish');
}

/** Throws UnauthorizedError (a login might help) or ForbiddenError (it was tried). */
export function requireRight(caller: Caller, right: Right): void {
	if (caller.rights.has(right)) {
		return;
	}
	if (caller.user === undefined) {
		throw new UnauthorizedError(`this needs a login that may ${right}`);
	}
	throw new ForbiddenError(`${caller.user} may not ${right} here`);
}

/** For the audit line. */
export function describeCaller({user, credential, address}: Caller): {
	readonly user: string | undefined;
	readonly credential: Credential;
	readonly address: string;
} {
	return {user, credential, address};
}
