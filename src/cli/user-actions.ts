/**
 * `imgmirror user …`: reads and changes `users.json` of a data directory.
 *
 * It works on the file itself, so it needs no server; one that runs looks at the file when somebody logs in. Nothing is
 * done before all input is there and right.
 */
import {readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import {MessageChannel} from 'node:worker_threads';
import {Accounts, type Account} from '../access/accounts.js';
import type {Right} from '../access/caller.js';
import {checkPassword, hashKind, hashPassword} from '../access/passwords.js';
import {readSshKeys, type SshKey} from '../access/ssh-keys.js';
import {hashToken, makeToken} from '../access/tokens.js';
import {accessPaths, editUsersFile, readUsersFile, type StoredUser} from '../access/users-file.js';
import {readConfig, type Config, type ConfigRequest} from '../config.js';
import {UsageError, codeOf, describe} from '../errors.js';
import {createLogger, systemClock, type Clock} from '../host.js';
import {Troubles} from '../host-troubles.js';
import type {CliIo} from './io.js';
import {askHidden, isTerminal, readPiped} from './password-input.js';

export interface AddOptions {
	readonly may?: readonly string[];
	readonly passwordStdin?: true;
	readonly hashStdin?: true;
	/** `false`: --no-password. */
	readonly password?: boolean;
}

const nobody: StoredUser = {may: [], keys: [], tokens: []};

export class UserActions {
	readonly #io: CliIo;
	readonly #config: Config;
	readonly #file: string;
	readonly #clock: Clock;

	/** Throws ConfigError. */
	constructor(io: CliIo, request: ConfigRequest) {
		this.#io = io;
		this.#config = readConfig(request);
		this.#file = accessPaths(this.#config.data).users;
		this.#clock = io.clock ?? systemClock;
	}

	async add(name: string, options: AddOptions): Promise<void> {
		await this.#refuseKnown(name);
		const wanted = options.password !== false && isTerminal(this.#io.stdin);
		const password = await this.#password(name, options, wanted);
		await this.#edit(users => {
			if (users.has(name)) {
				throw alreadyThere(name);
			}
			// The command line has checked them.
			const may = (options.may ?? []) as readonly Right[];
			users.set(name, {...nobody, may, ...(password === undefined ? {} : {password})});
		});
		this.#say(`added ${name} to ${this.#file}, who may ${shownRights(options.may ?? [])}`);
		if (password === undefined) {
			this.#say(`${name} has no password: add a key or a token, or set one with "imgmirror user passwd ${name}"`);
		}
	}

	async list(json: boolean): Promise<void> {
		const accounts = await this.#accounts();
		if (accounts.length === 0) {
			await this.#expectFolder();
		}
		if (json) {
			this.#io.stdout.write(`${JSON.stringify(accounts.map(described), undefined, 2)}\n`);
			return;
		}
		if (accounts.length === 0) {
			this.#say(`there are no users: none in ${this.#file}, and none in the configuration`);
			return;
		}
		this.#table([
			['NAME', 'MAY', 'PASSWORD', 'KEYS', 'TOKENS', 'FROM'],
			...accounts.map(account => [
				account.name,
				shownRights(account.may),
				account.password === undefined ? '-' : (hashKind(account.password) ?? '-'),
				String(account.keys.length),
				String(account.tokens.length),
				account.from.join(','),
			]),
		]);
	}

	async passwd(name: string, options: AddOptions): Promise<void> {
		await this.#stored(name);
		const password = await this.#password(name, options, true);
		if (password === undefined) {
			throw new UsageError('no password was given: pipe it in with --password-stdin');
		}
		await this.#change(name, user => ({...user, password}));
		this.#say(`changed the password of ${name}`);
	}

	async may(name: string, rights: readonly string[]): Promise<void> {
		await this.#change(name, user => ({...user, may: rights as readonly Right[]}));
		this.#say(`${name} may ${shownRights(rights)}`);
	}

	async remove(name: string): Promise<void> {
		await this.#expectFolder();
		await this.#edit(users => {
			if (!users.delete(name)) {
				throw unknown(name, this.#file);
			}
		});
		const rest = (await this.#accounts()).find(account => account.name === name);
		this.#say(
			rest === undefined
				? `removed ${name}`
				: `removed ${name} from ${this.#file}; what is known from ${rest.from.join(' and ')} goes on to be good`,
		);
	}

	async keyAdd(name: string, file: string): Promise<void> {
		const keys = await this.#keysIn(file);
		let added: readonly SshKey[] = [];
		await this.#change(name, async user => {
			const {keys: before} = await readSshKeys(user.keys.join('\n'));
			added = keys.filter(({fingerprint}) => !before.some(known => known.fingerprint === fingerprint));
			return {...user, keys: [...user.keys, ...added.map(({line}) => line)]};
		});
		for (const {fingerprint} of keys) {
			const isNew = added.some(key => key.fingerprint === fingerprint);
			this.#say(isNew ? `added ${fingerprint} to ${name}` : `${name} has ${fingerprint} already`);
		}
	}

	async keyList(name: string): Promise<void> {
		const account = (await this.#accounts()).find(one => one.name === name);
		if (account === undefined) {
			await this.#expectFolder();
			throw unknown(name, this.#file);
		}
		if (account.keys.length === 0) {
			this.#say(`${name} has no keys`);
			return;
		}
		this.#table(
			account.keys.map(({fingerprint, type, bits, comment}) => [
				fingerprint,
				type.toUpperCase(),
				String(bits),
				comment,
			]),
		);
	}

	async keyRemove(name: string, which: string): Promise<void> {
		const unwanted = /^SHA256:[A-Za-z\d+/]{43}=?$/.test(which)
			? [which.replace(/=$/, '')]
			: (await this.#keysIn(which)).map(({fingerprint}) => fingerprint);
		let removed: readonly string[] = [];
		await this.#change(name, async user => {
			const kept: string[] = [];
			const gone: string[] = [];
			for (const line of user.keys) {
				const [key] = (await readSshKeys(line)).keys;
				if (key !== undefined && unwanted.includes(key.fingerprint)) {
					gone.push(key.fingerprint);
				} else {
					kept.push(line);
				}
			}
			if (gone.length === 0) {
				throw new UsageError(`${name} has no such key in ${this.#file}`);
			}
			removed = gone;
			return {...user, keys: kept};
		});
		this.#say(`removed ${removed.join(' and ')} from ${name}`);
	}

	async tokenAdd(name: string, label: string): Promise<void> {
		const token = makeToken();
		const created = new Date(this.#clock.now()).toISOString();
		await this.#change(name, user => {
			if (user.tokens.some(known => known.label === label)) {
				throw new UsageError(`${name} has a token "${label}" already: choose another label, or remove that one`);
			}
			return {...user, tokens: [...user.tokens, {label, sha256: hashToken(token), created}]};
		});
		this.#io.stderr.write(`made the token "${label}" of ${name}; it is not shown again:\n`);
		this.#io.stdout.write(`${token}\n`);
	}

	async tokenList(name: string): Promise<void> {
		const {tokens} = await this.#stored(name);
		if (tokens.length === 0) {
			this.#say(`${name} has no tokens`);
			return;
		}
		this.#table([['LABEL', 'CREATED'], ...tokens.map(({label, created}) => [label, created])]);
	}

	async tokenRemove(name: string, label: string): Promise<void> {
		await this.#change(name, user => {
			const tokens = user.tokens.filter(known => known.label !== label);
			if (tokens.length === user.tokens.length) {
				throw new UsageError(`${name} has no token "${label}"`);
			}
			return {...user, tokens};
		});
		this.#say(`removed the token "${label}" of ${name}`);
	}

	/** The hash. `undefined`: none was given, and nobody was asked. */
	async #password(name: string, options: AddOptions, ask: boolean): Promise<string | undefined> {
		const {stdin, stderr} = this.#io;
		if (options.passwordStdin === true && options.hashStdin === true) {
			throw new UsageError('there is one pipe: either --password-stdin or --hash-stdin');
		}
		if (options.hashStdin === true) {
			const hash = (await readPiped(stdin)).trim();
			if (hashKind(hash) === undefined) {
				throw new UsageError(
					'what was piped in is no hash that we can check: bcrypt ($2a$, $2b$, $2y$) or our own scrypt',
				);
			}
			return hash;
		}
		if (options.passwordStdin === true) {
			return hashPassword(await readPiped(stdin));
		}
		if (!ask || !isTerminal(stdin)) {
			return undefined;
		}
		const [first = '', second] = await askHidden(stdin, stderr, [`Password for ${name}: `, 'Once more: ']);
		checkPassword(first);
		if (first !== second) {
			throw new UsageError('the two passwords differ');
		}
		return hashPassword(first);
	}

	async #keysIn(file: string): Promise<readonly SshKey[]> {
		let text;
		try {
			text =
				file === '-' ? await readPiped(this.#io.stdin) : await readFile(path.resolve(this.#io.directory, file), 'utf8');
		} catch (error) {
			throw new UsageError(`the file of keys cannot be read: ${describe(error)}`, {cause: error});
		}
		const where = file === '-' ? 'what was piped in' : file;
		// A private key has many lines, and one thing wrong with it.
		if (text.includes('PRIVATE KEY-----')) {
			throw new UsageError(`${where} is a private key, which nobody else should have: take the file that ends in .pub`);
		}
		const {keys, faults} = await readSshKeys(text);
		if (faults.length > 0 || keys.length === 0) {
			throw new UsageError(`${where}: ${faults.join('; ') || 'there is no key in it'}`);
		}
		return keys;
	}

	async #accounts(): Promise<readonly Account[]> {
		// What cannot be used is to be said here, not passed over as in a server that runs.
		await readUsersFile(this.#file);
		const problems: string[] = [];
		const log = createLogger({
			level: 'warn',
			format: 'json',
			write: line => problems.push((JSON.parse(line) as {problem: string}).problem),
		});
		const {users, keys} = accessPaths(this.#config.data);
		const accounts = new Accounts({
			host: {clock: this.#clock, log, troubles: new Troubles()},
			usersFile: users,
			keysFolder: keys,
			settings: this.#config.access,
		});
		await accounts.reload();
		for (const problem of problems) {
			this.#io.stderr.write(`imgmirror: ${problem}\n`);
		}
		return accounts.list();
	}

	async #stored(name: string): Promise<StoredUser> {
		await this.#expectFolder();
		const user = (await readUsersFile(this.#file)).get(name);
		if (user === undefined) {
			throw unknown(name, this.#file);
		}
		return user;
	}

	/** Only a new user is a reason to make one: another folder was meant. */
	async #expectFolder(): Promise<void> {
		const {data} = this.#config;
		try {
			await stat(data);
		} catch (error) {
			if (codeOf(error) === 'ENOENT') {
				throw new UsageError(`there is no data directory ${data}: name the one of the server with --data or --config`);
			}
			throw new UsageError(`the data directory ${data} cannot be read: ${describe(error)}`, {cause: error});
		}
	}

	/** Before anybody is asked for a password. */
	async #refuseKnown(name: string): Promise<void> {
		if ((await readUsersFile(this.#file)).has(name)) {
			throw alreadyThere(name);
		}
	}

	async #change(name: string, change: (user: StoredUser) => StoredUser | Promise<StoredUser>): Promise<void> {
		await this.#expectFolder();
		await this.#edit(async users => {
			const user = users.get(name);
			if (user === undefined) {
				throw unknown(name, this.#file);
			}
			users.set(name, await change(user));
		});
	}

	async #edit(change: (users: Map<string, StoredUser>) => Promise<void> | void): Promise<void> {
		// Timers keep no process alive, and a lock may have to be waited for.
		const {port1, port2} = new MessageChannel();
		port1.ref();
		try {
			await editUsersFile({file: this.#file, clock: this.#clock}, async before => {
				const users = new Map(before);
				await change(users);
				return users;
			});
		} finally {
			port1.close();
			port2.close();
		}
	}

	#say(text: string): void {
		this.#io.stdout.write(`${text}\n`);
	}

	#table(rows: readonly (readonly string[])[]): void {
		const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)));
		for (const row of rows) {
			this.#say(
				row
					.map((cell, column) => cell.padEnd(widths[column] ?? 0))
					.join('  ')
					.trimEnd(),
			);
		}
	}
}

function described({name, may, password, keys, tokens, from}: Account): unknown {
	return {
		name,
		may,
		password: password === undefined ? null : (hashKind(password) ?? null),
		keys: keys.map(({fingerprint, type, bits, comment}) => ({fingerprint, type, bits, comment})),
		tokens: tokens.map(({label, created}) => ({label, created})),
		from,
	};
}

function shownRights(may: readonly string[]): string {
	return may.length === 0 ? 'nothing of their own' : may.join(',');
}

function alreadyThere(name: string): UsageError {
	return new UsageError(
		`there is a user ${name} already: "imgmirror user passwd ${name}" and "imgmirror user may ${name} RIGHTS" change one`,
	);
}

function unknown(name: string, file: string): UsageError {
	return new UsageError(`there is no user ${name} in ${file}`);
}
