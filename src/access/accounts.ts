/**
 * Everybody who can log in, out of the configuration, `users.json` and the folder of keys.
 *
 * The files are looked at again once a second at most, and only while somebody logs in. What cannot be read changes
 * nothing: those who could log in before still can.
 */
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import type {Right} from './caller.js';
import {fileState, keyFolderState, readKeyFolder} from './key-folder.js';
import {readSshKeys, type SshKey} from './ssh-keys.js';
import {hashToken} from './tokens.js';
import {readUsersFile, type StoredToken, type StoredUser, type StoredUsers} from './users-file.js';

export interface AccountSettings {
	/** SSH keys by user, as sdc-imgapi's configuration has them. */
	readonly authKeys: Readonly<Record<string, readonly string[]>>;
	/** What users may of whom nothing but keys is known. */
	readonly keyUsersMay: readonly Right[];
	/** Hashes of passwords by user, as older servers' configurations have them. */
	readonly users: Readonly<Record<string, {readonly password: string; readonly may: readonly Right[]}>>;
}

export interface Account {
	readonly name: string;
	readonly may: readonly Right[];
	/** The hash. */
	readonly password: string | undefined;
	readonly keys: readonly SshKey[];
	readonly tokens: readonly StoredToken[];
	/** Where it stands: `users.json`, `keys`, `configuration`. */
	readonly from: readonly string[];
}

type Keys = ReadonlyMap<string, readonly SshKey[]>;

/** What one look at the files and the settings has found. */
interface Found {
	readonly stored: StoredUsers;
	readonly storedKeys: Keys;
	readonly folderKeys: Keys;
	readonly settings: AccountSettings;
	readonly settingsKeys: Keys;
}

const lookEveryMs = 1000;

export class Accounts {
	readonly #host: Pick<Host, 'clock' | 'log' | 'troubles'>;
	readonly #usersFile: string;
	readonly #keysFolder: string;
	#settings: AccountSettings;
	/** The last that could be read. */
	#found: Found | undefined;
	#accounts: ReadonlyMap<string, Account> = new Map();
	#tokens: ReadonlyMap<string, Account> = new Map();
	#usersState: string | undefined;
	#keysState: string | undefined;
	#lookedAtMs = -Infinity;
	#looking: Promise<void> | undefined;

	constructor(parts: {
		host: Pick<Host, 'clock' | 'log' | 'troubles'>;
		usersFile: string;
		keysFolder: string;
		settings: AccountSettings;
	}) {
		this.#host = parts.host;
		this.#usersFile = parts.usersFile;
		this.#keysFolder = parts.keysFolder;
		this.#settings = parts.settings;
	}

	get(name: string): Account | undefined {
		return this.#accounts.get(name);
	}

	/** Looked up by its hash, so that how long it takes tells nothing of the tokens that there are. */
	byToken(token: string): Account | undefined {
		return this.#tokens.get(hashToken(token));
	}

	/** In the order of their names. */
	list(): readonly Account[] {
		return [...this.#accounts.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** In force with the next `refresh`. */
	setSettings(settings: AccountSettings): void {
		this.#settings = settings;
		this.#lookedAtMs = -Infinity;
	}

	/** Looks at the files if that has not been done for a second; at once for `somebody` who is not known. */
	async refresh(somebody?: {readonly user?: string; readonly token?: string}): Promise<void> {
		await this.#looking;
		const sinceMs = this.#host.clock.now() - this.#lookedAtMs;
		const isNew = somebody !== undefined && !this.#knows(somebody);
		// Somebody else's look may have begun in this very tick: what it finds counts for both.
		if (isNew || sinceMs < 0 || sinceMs >= lookEveryMs || this.#looking !== undefined) {
			await this.#look(false);
		}
	}

	/** Reads the files whether they seem to have changed or not. */
	async reload(): Promise<void> {
		// One that is under way may have begun before the change that this is about.
		await this.#looking;
		await this.#look(true);
	}

	#knows({user, token}: {readonly user?: string; readonly token?: string}): boolean {
		return (
			(user !== undefined && this.#accounts.has(user)) || (token !== undefined && this.byToken(token) !== undefined)
		);
	}

	#look(anyway: boolean): Promise<void> {
		this.#looking ??= this.#lookOnce(anyway).finally(() => {
			this.#looking = undefined;
		});
		return this.#looking;
	}

	async #lookOnce(anyway: boolean): Promise<void> {
		this.#lookedAtMs = this.#host.clock.now();
		const settings = this.#settings;
		const before = anyway ? undefined : this.#found;
		const stored = await this.#readStored(anyway);
		const folderKeys = await this.#readFolder(anyway);
		const same = settings === before?.settings;
		if (same && stored === undefined && folderKeys === undefined) {
			return;
		}
		const last = this.#found;
		this.#found = {
			stored: stored ?? last?.stored ?? new Map(),
			storedKeys:
				stored === undefined ? (last?.storedKeys ?? new Map()) : await this.#keysOf(keyLines(stored), this.#usersFile),
			folderKeys: folderKeys ?? last?.folderKeys ?? new Map(),
			settings,
			settingsKeys: same
				? before.settingsKeys
				: await this.#keysOf(new Map(Object.entries(settings.authKeys)), 'access.authKeys'),
		};
		this.#accounts = accountsOf(this.#found);
		this.#tokens = new Map(
			[...this.#accounts.values()].flatMap(account => account.tokens.map(({sha256}) => [sha256, account] as const)),
		);
	}

	/** `undefined`: as before. */
	async #readStored(anyway: boolean): Promise<StoredUsers | undefined> {
		const state = await fileState(this.#usersFile);
		if (state === this.#usersState && !anyway) {
			return undefined;
		}
		this.#usersState = state;
		try {
			const users = await readUsersFile(this.#usersFile);
			this.#host.troubles.set('users', undefined);
			return users;
		} catch (error) {
			this.#host.troubles.set('users', `the file of users cannot be used: ${describe(error)}`);
			this.#host.log.error({problem: describe(error)}, 'the file of users cannot be used: users stay as they were');
			return undefined;
		}
	}

	async #readFolder(anyway: boolean): Promise<Keys | undefined> {
		try {
			const state = await keyFolderState(this.#keysFolder);
			if (state === this.#keysState && !anyway) {
				return undefined;
			}
			this.#keysState = state;
			const {users, faults} = await readKeyFolder(this.#keysFolder);
			this.#warn(faults);
			this.#host.troubles.set('keys', undefined);
			return users;
		} catch (error) {
			if (this.#keysState !== 'unreadable') {
				this.#host.log.error({problem: describe(error)}, 'the folder of keys cannot be read: keys stay as they were');
			}
			this.#keysState = 'unreadable';
			this.#host.troubles.set('keys', `the folder of keys cannot be read: ${describe(error)}`);
			return undefined;
		}
	}

	async #keysOf(lines: ReadonlyMap<string, readonly string[]>, where: string): Promise<Keys> {
		const users = new Map<string, readonly SshKey[]>();
		for (const [name, given] of lines) {
			const {keys, faults} = await readSshKeys(given.join('\n'));
			users.set(name, keys);
			this.#warn(faults.map(fault => `${where}, ${name}, ${fault}`));
		}
		return users;
	}

	#warn(faults: readonly string[]): void {
		for (const problem of faults) {
			this.#host.log.warn({problem}, 'a key cannot be used');
		}
	}
}

function keyLines(stored: StoredUsers): ReadonlyMap<string, readonly string[]> {
	return new Map([...stored].map(([name, {keys}]) => [name, keys] as const).filter(([, keys]) => keys.length > 0));
}

/** `users.json` says what somebody may, then the configuration; keys are of everywhere. */
function accountsOf({stored, storedKeys, folderKeys, settings, settingsKeys}: Found): ReadonlyMap<string, Account> {
	const configured = new Map(Object.entries(settings.users));
	const names = new Set([...stored.keys(), ...configured.keys(), ...settingsKeys.keys(), ...folderKeys.keys()]);
	return new Map(
		[...names].map(name => {
			const known: StoredUser | undefined = stored.get(name);
			const old = configured.get(name);
			const keys = [settingsKeys, storedKeys, folderKeys].flatMap(users => users.get(name) ?? []);
			const account: Account = {
				name,
				may: known?.may ?? old?.may ?? settings.keyUsersMay,
				password: known === undefined ? old?.password : known.password,
				keys: [...new Map(keys.map(key => [key.fingerprint, key])).values()],
				tokens: known?.tokens ?? [],
				from: [
					...(known === undefined ? [] : ['users.json']),
					...(old === undefined && !settingsKeys.has(name) ? [] : ['configuration']),
					...(folderKeys.has(name) ? ['keys'] : []),
				],
			};
			return [name, account] as const;
		}),
	);
}
