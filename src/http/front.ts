/**
 * What the exchanges of one server have in common: the host, names that go into headers, and a limit that may change.
 */
import type {Host} from '../host.js';
import type {HttpDate} from './http-date.js';
import type {NativeSend} from './native-send.js';
import type {Together} from './together.js';

export interface Front {
	readonly host: Host;
	readonly date: HttpDate;
	/** `undefined`: all is written by Node. */
	readonly native: NativeSend | undefined;
	/** Short answers that go out in one round. */
	readonly together: Together;
	/** For the `Server` header. */
	readonly product: string;
	/** What sources are told in `x-imgmirror-via`. */
	readonly instanceId: string;
	readonly hostName: string;
	/** How long nothing of a body may come before its client is given up; 0: for ever. */
	readonly uploadIdleMs: () => number;
}
