/**
 * What the exchanges of one server have in common: the host, names that go into headers, and a limit that may change.
 */
import type {Host} from '../host.js';

export interface Front {
	readonly host: Host;
	/** For the `Server` header. */
	readonly product: string;
	/** What sources are told in `x-imgmirror-via`. */
	readonly instanceId: string;
	readonly hostName: string;
	/** How long nothing of a body may come before its client is given up; 0: for ever. */
	readonly uploadIdleMs: () => number;
}
