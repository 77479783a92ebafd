/**
 * Access without files and ciphers: users by their Authorization header, and what the network may do.
 */
import type {Asked} from '../../src/access/access.js';
import {withImplied, type Caller, type Right} from '../../src/access/caller.js';
import {UnauthorizedError} from '../../src/errors.js';
import type {Gate} from '../../src/http/callers.js';

export function basicLogin(user: string, password = 'secret'): string {
	return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** The password of everybody is `secret`. */
export class FakeAccess implements Gate {
	readonly asked: Asked[] = [];
	/** What whoever has no login may do. */
	network: readonly Right[];
	/** What those may whom their network gives nothing. */
	readonly anonymous: readonly Right[] = ['read'];
	reloads = 0;
	readonly #users: ReadonlyMap<string, {readonly name: string; readonly may: readonly Right[]}>;

	constructor(
		users: Readonly<Record<string, readonly Right[]>> = {},
		{network = ['read', 'private']}: {readonly network?: readonly Right[]} = {},
	) {
		this.network = network;
		this.#users = new Map(Object.entries(users).map(([name, may]) => [basicLogin(name), {name, may}]));
	}

	async identify(asked: Asked, {ignoreCredentials = false, asStranger = false} = {}): Promise<Caller> {
		await Promise.resolve();
		const network = asStranger ? this.anonymous : this.network;
		this.asked.push(asked);
		const {peer, headers} = asked;
		const address = peer.address ?? peer.kind;
		if (peer.kind === 'control') {
			return {user: undefined, credential: 'control', address, rights: withImplied(['operate'])};
		}
		if (!headers.authorization || ignoreCredentials) {
			return {user: undefined, credential: 'none', address, rights: withImplied(network)};
		}
		const user = this.#users.get(headers.authorization);
		if (user === undefined) {
			throw new UnauthorizedError('the login is wrong');
		}
		return {
			user: user.name,
			credential: 'password',
			address,
			rights: withImplied([...network, ...user.may]),
		};
	}

	reload(): Promise<void> {
		this.reloads++;
		return Promise.resolve();
	}
}
