/**
 * An `Access` over a directory of its own, with users in it and a clock that the test moves.
 */
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {Access, type AccessSettings, type Asked} from '../../src/access/access.js';
import {withImplied, type Caller, type Right} from '../../src/access/caller.js';
import {editUsersFile, type StoredUser} from '../../src/access/users-file.js';
import {UnauthorizedError} from '../../src/errors.js';
import {systemClock} from '../../src/host.js';
import type {ManualClock} from '../helpers/manual-clock.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

export const noSettings: AccessSettings = {
	anonymous: ['read'],
	networks: [{cidrs: ['127.0.0.0/8', '::1', '10.0.0.0/8', 'fc00::/7', 'unix'], may: ['private']}],
	trustedProxies: [],
	authKeys: {},
	keyUsersMay: ['publish'],
	users: {},
};

export interface StartedAccess {
	readonly access: Access;
	readonly host: TestHost;
	readonly clock: ManualClock;
	readonly usersFile: string;
	readonly keysFolder: string;
	/** Of the clock, as HTTP has it. */
	readonly date: () => string;
	/** From outside, unless the headers or the peer say otherwise. */
	readonly identify: (headers?: Record<string, string>, more?: Partial<Asked>) => Promise<Caller>;
	/** The message of the refusal; `undefined`: it was none. */
	readonly refusal: (headers: Record<string, string>, more?: Partial<Asked>) => Promise<string | undefined>;
	readonly setUsers: (users: Readonly<Record<string, Partial<StoredUser>>>) => Promise<void>;
	readonly setKeys: (user: string, text: string) => void;
}

export async function startAccess(t: Scope, settings: Partial<AccessSettings> = {}): Promise<StartedAccess> {
	const directory = await tempDir(t);
	const host = testHost();
	const usersFile = join(directory, 'users.json');
	const keysFolder = join(directory, 'keys');
	mkdirSync(keysFolder);
	const access = new Access({host, usersFile, keysFolder, settings: {...noSettings, ...settings}});
	const identify = (headers: Record<string, string> = {}, more: Partial<Asked> = {}): Promise<Caller> =>
		access.identify({...request(headers), ...more});
	return {
		access,
		host,
		clock: host.clock,
		usersFile,
		keysFolder,
		identify,
		date: () => new Date(host.clock.now()).toUTCString(),
		async refusal(headers, more) {
			try {
				await identify(headers, more);
				return undefined;
			} catch (error) {
				if (!(error instanceof UnauthorizedError)) {
					throw error;
				}
				return error.message;
			}
		},
		async setUsers(users) {
			const all = Object.entries(users).map(
				([name, user]) => [name, {may: [], keys: [], tokens: [], ...user}] as const,
			);
			await editUsersFile({file: usersFile, clock: systemClock}, async () => new Map(all));
		},
		setKeys(user, text) {
			writeFileSync(join(keysFolder, `${user}.keys`), text);
		},
	};
}

export function request(headers: Record<string, string> = {}): Asked {
	return {
		method: 'POST',
		target: '/images?action=import',
		httpVersion: '1.1',
		headers,
		peer: {kind: 'tcp', address: '203.0.113.5'},
	};
}

export function basic(user: string, password: string): {authorization: string} {
	return {authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`};
}

export function sorted(rights: ReadonlySet<Right>): readonly Right[] {
	return [...rights].sort();
}

export function implied(...given: Right[]): readonly Right[] {
	return sorted(withImplied(given));
}
