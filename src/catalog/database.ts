/**
 * The SQLite file that the memory stands on: opened, checked, and moved aside when it is not ours or not whole.
 *
 * `memory.ts` brings the class that speaks to SQLite (an optional package, so it is known here by its shape only) and
 * puts keyv on top. A file that cannot be used costs time, never the start.
 */
import {open, rename, rm, stat} from 'node:fs/promises';
import {MirrorError, describe} from '../errors.js';
import {isObject} from '../image/json-text.js';

/** What we use of @keyv/sqlite's KeyvSqlite beyond what keyv itself does. */
export interface Database {
	query(sql: string, ...values: unknown[]): Promise<unknown>;
	disconnect(): Promise<void>;
}

export type DatabaseClass = new (options: {readonly uri: string; readonly busyTimeout: number}) => Database;

export interface OpenedDatabase {
	readonly database: Database;
	/** Where the file went that could not be used, and why. */
	readonly movedAside: {readonly to: string; readonly problem: string} | undefined;
	/** Which file it is, to notice when another or none stands in its place. */
	readonly inode: bigint;
}

/** In the header of every SQLite file that is ours: "imgm". */
const applicationId = 0x69_6d_67_6d;
const formatVersion = 1;

class DamagedError extends MirrorError {
	override readonly code = 'DAMAGED';
}

/** Throws where the place cannot hold a database at all. `now` names what is moved aside. */
export async function openDatabase(file: string, Class: DatabaseClass, now: number): Promise<OpenedDatabase> {
	let problem: string;
	const found = await look(file);
	if (found === 'new' || found === 'ours') {
		try {
			return {database: await connect(file, Class, found === 'new'), movedAside: undefined, inode: await inodeOf(file)};
		} catch (error) {
			if (!isDamage(error)) {
				throw error;
			}
			problem = describe(error);
		}
	} else {
		problem = found.problem;
	}
	const to = `${file}.broken-${new Date(now).toISOString().replaceAll(/[-:.]/gu, '')}`;
	// Their log must not meet the new file.
	for (const suffix of ['', '-wal', '-shm', '-journal']) {
		await rename(file + suffix, to + suffix).catch(ignoreAbsence);
	}
	const database = await connect(file, Class, true);
	return {database, movedAside: {to, problem}, inode: await inodeOf(file)};
}

/** The same file still stands there. */
export async function isInPlace(file: string, inode: bigint): Promise<boolean> {
	return (await inodeOf(file).catch(() => undefined)) === inode;
}

/** SQLite says that what it read makes no sense. */
export function isDamage(error: unknown): boolean {
	return (
		error instanceof DamagedError ||
		(error instanceof Error && 'code' in error && (error.code === 'SQLITE_CORRUPT' || error.code === 'SQLITE_NOTADB'))
	);
}

/** Looked at as a file: KeyvSqlite makes its table in whatever it opens, in other people's databases too. */
async function look(file: string): Promise<'new' | 'ours' | {readonly problem: string}> {
	const handle = await open(file, 'r').catch(ignoreAbsence);
	if (handle === undefined) {
		await forgetLogs(file);
		return 'new';
	}
	try {
		const {buffer, bytesRead} = await handle.read(Buffer.alloc(100), 0, 100, 0);
		if (bytesRead === 0) {
			await forgetLogs(file);
			return 'new';
		}
		if (bytesRead < 100 || buffer.toString('latin1', 0, 16) !== 'SQLite format 3\0') {
			return {problem: 'it is no SQLite database'};
		}
		const version = buffer.readUInt32BE(60);
		if (buffer.readUInt32BE(68) !== applicationId || version !== formatVersion) {
			return {problem: `it is another program's or another version's database`};
		}
		return 'ours';
	} finally {
		await handle.close();
	}
}

/** Of a database that somebody has deleted. */
async function forgetLogs(file: string): Promise<void> {
	for (const suffix of ['-wal', '-shm', '-journal']) {
		await rm(file + suffix, {force: true});
	}
}

async function connect(file: string, Class: DatabaseClass, isNew: boolean): Promise<Database> {
	const database = new Class({uri: `sqlite://${file}`, busyTimeout: 5000});
	try {
		if (isNew) {
			// Before the log is switched on: so they are in the file itself, where `look` finds them.
			await database.query(`PRAGMA application_id = ${applicationId}`);
			await database.query(`PRAGMA user_version = ${formatVersion}`);
		} else {
			const verdict = firstValue(await database.query('PRAGMA quick_check(1)'));
			if (verdict !== 'ok') {
				throw new DamagedError(String(verdict));
			}
		}
		// One flush per change of the list instead of three per page; a power cut loses the last change at most.
		await database.query('PRAGMA journal_mode = WAL');
		await database.query('PRAGMA synchronous = NORMAL');
		await database.query('PRAGMA journal_size_limit = 16777216');
		// keyv drops what has expired only when it is asked for.
		await database.query(
			`DELETE FROM keyv WHERE CASE WHEN json_valid(value) THEN json_extract(value, '$.expires') < ${Date.now()} ELSE 1 END`,
		);
		return database;
	} catch (error) {
		await database.disconnect().catch(() => undefined);
		throw error;
	}
}

function firstValue(rows: unknown): unknown {
	const row: unknown = Array.isArray(rows) ? rows[0] : undefined;
	return isObject(row) ? Object.values(row)[0] : undefined;
}

async function inodeOf(file: string): Promise<bigint> {
	return (await stat(file, {bigint: true})).ino;
}

function ignoreAbsence(error: unknown): undefined {
	if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
		return undefined;
	}
	throw error;
}
