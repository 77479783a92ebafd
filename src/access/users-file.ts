/**
 * `users.json`: who there is, what they may, and how they show who they are.
 *
 * `imgmirror user` writes it, the server reads it; both may do so at once. No password and no token stands in it in
 * clear. A file is written whole and takes the place of the one before in one step.
 */
import {randomBytes} from 'node:crypto';
import {chown, mkdir, open, readFile, rename, rm, stat} from 'node:fs/promises';
import path from 'node:path';
import {codeOf, UsageError, describe} from '../errors.js';
import type {Clock} from '../host.js';
import {rights, type Right} from './caller.js';
import {LockLostError, withLock} from './file-lock.js';
import {hashKind} from './passwords.js';

export interface StoredToken {
	readonly label: string;
	/** SHA-256 of the token, in hexadecimal. */
	readonly sha256: string;
	/** ISO 8601. */
	readonly created: string;
}

export interface StoredUser {
	readonly may: readonly Right[];
	/** As `hashPassword` makes it. */
	readonly password?: string;
	/** As OpenSSH writes them. */
	readonly keys: readonly string[];
	readonly tokens: readonly StoredToken[];
}

export type StoredUsers = ReadonlyMap<string, StoredUser>;

export const userNamePattern = /^[\w.@-]{1,64}$/;

const version = 1;
const mostBytes = 16 * 1024 * 1024;

/** Where it and the folder of SSH keys are, below a data directory. */
export function accessPaths(data: string): {readonly users: string; readonly keys: string} {
	return {users: path.join(data, 'users.json'), keys: path.join(data, 'keys')};
}

/** A file that is not there is one without users. Throws UsageError, with all that is wrong, for one that is no such file. */
export async function readUsersFile(file: string): Promise<StoredUsers> {
	let text;
	try {
		const {size} = await stat(file);
		if (size > mostBytes) {
			throw new UsageError(`${file} is too large to be a file of users`);
		}
		text = await readFile(file, 'utf8');
	} catch (error) {
		if (codeOf(error) === 'ENOENT') {
			return new Map();
		}
		throw error instanceof UsageError
			? error
			: new UsageError(`${file} cannot be read: ${describe(error)}`, {cause: error});
	}
	return parseUsers(text, file);
}

/** Reads, lets `change` make new users of the old ones, and writes these. What `change` throws leaves all as it was. */
export async function editUsersFile(
	{file, clock}: {readonly file: string; readonly clock: Clock},
	change: (users: StoredUsers) => Promise<StoredUsers>,
): Promise<void> {
	await mkdirOf(file);
	for (let attempt = 0; ; attempt++) {
		try {
			await withLock({file: `${file}.lock`, clock}, async isOurs => {
				await write(file, formatUsers(await change(await readUsersFile(file))), isOurs);
			});
			return;
		} catch (error) {
			if (!(error instanceof LockLostError) || attempt >= 5) {
				throw error;
			}
		}
	}
}

function formatUsers(users: StoredUsers): string {
	const sorted = [...users].sort(([a], [b]) => (a < b ? -1 : 1));
	return `${JSON.stringify({version, users: Object.fromEntries(sorted)}, null, '\t')}\n`;
}

async function mkdirOf(file: string): Promise<void> {
	const folder = path.dirname(file);
	try {
		await mkdir(folder, {mode: 0o755});
	} catch (error) {
		if (codeOf(error) !== 'EEXIST') {
			// Not recursive: a slip of the pen should not make a tree of folders.
			throw new UsageError(`the data directory ${folder} cannot be made: ${describe(error)}`, {cause: error});
		}
	}
}

async function write(file: string, text: string, isOurs: () => Promise<boolean>): Promise<void> {
	const temporary = `${file}.${randomBytes(4).toString('hex')}.new`;
	try {
		const handle = await open(temporary, 'wx', 0o600);
		try {
			await handle.writeFile(text);
			await handle.sync();
		} finally {
			await handle.close();
		}
		await giveToOwner(temporary, file);
		if (!(await isOurs())) {
			throw new LockLostError(`${file} is being changed by somebody else`);
		}
		await rename(temporary, file);
		await syncFolder(path.dirname(file));
	} catch (error) {
		await rm(temporary, {force: true}).catch(() => undefined);
		throw error instanceof LockLostError
			? error
			: new UsageError(`${file} cannot be written: ${describe(error)}`, {cause: error});
	}
}

/** Root edits what the server's own account must be able to read. */
async function giveToOwner(temporary: string, file: string): Promise<void> {
	if (process.getuid?.() !== 0) {
		return;
	}
	const {uid, gid} = await stat(file).catch(() => stat(path.dirname(file)));
	await chown(temporary, uid, gid);
}

/** Makes the rename last. Not every platform lets a folder be opened: there it does so by itself. */
async function syncFolder(folder: string): Promise<void> {
	const handle = await open(folder, 'r').catch(() => undefined);
	try {
		await handle?.sync();
	} catch {
		// As above.
	} finally {
		await handle?.close();
	}
}

function parseUsers(text: string, file: string): StoredUsers {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new UsageError(`${file} is not JSON: ${describe(error)}`, {cause: error});
	}
	if (!isObject(value) || !isObject(value['users'])) {
		throw new UsageError(`${file} is no file of users`);
	}
	if (value['version'] !== version) {
		throw new UsageError(
			`${file} has version ${JSON.stringify(value['version'])}, this imgmirror knows ${version}: use the imgmirror that wrote it`,
		);
	}
	const faults: string[] = [];
	const users = new Map(
		Object.entries(value['users']).map(([name, user]) => {
			if (!userNamePattern.test(name)) {
				faults.push(`${JSON.stringify(name)} is no user name`);
			}
			return [name, readUser(user, problem => faults.push(`${name}: ${problem}`))] as const;
		}),
	);
	if (faults.length > 0) {
		throw new UsageError(`${file}: ${faults.join('; ')}`);
	}
	return users;
}

function readUser(value: unknown, report: (problem: string) => void): StoredUser {
	const user = isObject(value) ? value : {};
	if (!isObject(value)) {
		report('expected an object');
	}
	const may = strings(user['may']);
	const known = may?.filter((right): right is Right => rights.some(one => one === right));
	if (known === undefined || known.length !== may?.length) {
		report(`"may" must be an array with ${rights.join(', ')}`);
	}
	const password = user['password'];
	if (password !== undefined && (typeof password !== 'string' || hashKind(password) === undefined)) {
		report('"password" is no hash that we can check');
	}
	const keys = strings(user['keys'] ?? []);
	if (keys === undefined) {
		report('"keys" must be an array of strings');
	}
	const tokens = readTokens(user['tokens'] ?? []);
	if (tokens === undefined) {
		report('"tokens" must be an array of objects with label, sha256 and created');
	}
	return {
		may: known ?? [],
		...(typeof password === 'string' ? {password} : {}),
		keys: keys ?? [],
		tokens: tokens ?? [],
	};
}

function readTokens(value: unknown): readonly StoredToken[] | undefined {
	if (!Array.isArray(value)) {
		return undefined;
	}
	const tokens = (value as unknown[]).flatMap(token => {
		const {label, sha256, created} = isObject(token) ? token : {};
		return typeof label === 'string' && typeof sha256 === 'string' && /^[\da-f]{64}$/.test(sha256)
			? [{label, sha256, created: typeof created === 'string' ? created : ''}]
			: [];
	});
	return tokens.length === value.length ? tokens : undefined;
}

function strings(value: unknown): readonly string[] | undefined {
	return Array.isArray(value) && value.every(one => typeof one === 'string') ? value : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
