/**
 * Access without files and ciphers: users by their Authorization header, and what the network may do.
 */
import type {Asked, Login} from '../../src/access/access.js';
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
	/** Users by their words; a test may take one away, or add one. */
	readonly sessions = new Map<string, {readonly name: string; readonly may: readonly Right[]}>();
	readonly #rights = new WeakMap<readonly Right[], Caller['rights']>();
	readonly #users: Map<string, {readonly name: string; readonly may: readonly Right[]}>;

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
		const session = [...this.sessions].find(([word]) => headers.cookie?.includes(`imgmirror=${word}`) === true)?.[1];
		if (!headers.authorization && session !== undefined && !ignoreCredentials && !asStranger) {
			return {
				...{user: session.name, credential: 'session', address},
				rights: withImplied([...network, ...session.may]),
			};
		}
		if (!headers.authorization || ignoreCredentials) {
			return {user: undefined, credential: 'none', address, rights: this.#rightsOf(network)};
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

	stranger({peer}: Pick<Asked, 'peer' | 'headers'>): Caller {
		const address = peer.address ?? peer.kind;
		return {user: undefined, credential: 'none', address, rights: this.#rightsOf(this.network)};
	}

	async logIn(asked: Asked, {user, password}: Login): Promise<{caller: Caller; word: string}> {
		await Promise.resolve();
		const found = this.#users.get(basicLogin(user, password));
		if (found === undefined) {
			throw new UnauthorizedError('the user or the password is wrong');
		}
		const word = `word-of-${user}-${this.sessions.size}`;
		this.sessions.set(word, found);
		const address = asked.peer.address ?? asked.peer.kind;
		const rights = withImplied([...this.network, ...found.may]);
		return {caller: {user, credential: 'session', address, rights}, word};
	}

	logOut({headers}: Asked): void {
		for (const word of [...this.sessions.keys()].filter(each => headers.cookie?.includes(`imgmirror=${each}`))) {
			this.sessions.delete(word);
		}
	}

	hasUsers(): Promise<boolean> {
		return Promise.resolve(this.#users.size > 0);
	}

	/** `undefined`: there is no such user. */
	setUser(name: string, may: readonly Right[] | undefined): void {
		if (may === undefined) {
			this.#users.delete(basicLogin(name));
		} else {
			this.#users.set(basicLogin(name), {name, may});
		}
	}

	reload(): Promise<void> {
		this.reloads++;
		return Promise.resolve();
	}

	/** The same set for the same network. */
	#rightsOf(network: readonly Right[]): Caller['rights'] {
		const rights = this.#rights.get(network) ?? withImplied(network);
		this.#rights.set(network, rights);
		return rights;
	}
}
