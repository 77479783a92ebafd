/**
 * A lock file beside a file that people edit by command: `users.json.lock`.
 *
 * Whoever makes it has the lock. It says who that is, so that one left by a process that died can be told from one
 * that is held; a holder asks `isOurs` before its last step, in case somebody took it for dead all the same.
 */
import {randomBytes} from 'node:crypto';
import {link, open, readFile, rename, rm, stat} from 'node:fs/promises';
import {hostname} from 'node:os';
import {codeOf, MirrorError, UsageError, describe} from '../errors.js';
import {pause, type Clock} from '../host.js';

/** Somebody took the lock away from us. Nothing has been written. */
export class LockLostError extends MirrorError {
	override readonly code = 'LOCK_LOST';
}

const retryMs = 25;
const patienceMs = 10_000;
/** An edit takes milliseconds: nobody holds the lock for so long. */
const staleMs = 60_000;

interface Lock {
	readonly file: string;
	readonly clock: Clock;
}

/** Throws UsageError if the lock is held for too long, or cannot be made. */
export async function withLock<T>(
	{file, clock}: Lock,
	run: (isOurs: () => Promise<boolean>) => Promise<T>,
): Promise<T> {
	const text = JSON.stringify({pid: process.pid, host: hostname(), nonce: randomBytes(8).toString('hex')});
	const isOurs = async (): Promise<boolean> => (await textOf(file)) === text;
	const startedAt = clock.now();
	while (!(await make(file, text))) {
		const held = await textOf(file);
		if (held === undefined || ((await isStale(file, held, clock)) && (await clearAway(file, held)))) {
			continue;
		}
		if (clock.now() - startedAt > patienceMs) {
			throw new UsageError(`${file} is held by another process${ownerOf(held)}; if there is none, remove the file`);
		}
		await pause(clock, retryMs);
	}
	try {
		return await run(isOurs);
	} finally {
		if (await isOurs()) {
			await rm(file, {force: true});
		}
	}
}

async function make(file: string, text: string): Promise<boolean> {
	try {
		const handle = await open(file, 'wx', 0o600);
		try {
			await handle.writeFile(text);
		} catch (error) {
			// On a full disk: half a lock would keep everybody out until it is taken for dead.
			await rm(file, {force: true});
			throw error;
		} finally {
			await handle.close();
		}
		return true;
	} catch (error) {
		if (codeOf(error) === 'EEXIST') {
			return false;
		}
		throw new UsageError(`${file} cannot be made: ${describe(error)}`, {cause: error});
	}
}

/** `undefined`: it is gone. */
async function textOf(file: string): Promise<string | undefined> {
	try {
		return await readFile(file, 'utf8');
	} catch (error) {
		if (codeOf(error) === 'ENOENT') {
			return undefined;
		}
		throw new UsageError(`${file} cannot be read: ${describe(error)}`, {cause: error});
	}
}

async function isStale(file: string, text: string, clock: Clock): Promise<boolean> {
	const {pid, host} = read(text);
	if (pid !== undefined && host === hostname() && !isAlive(pid)) {
		return true;
	}
	// Another machine's process cannot be asked, a pid may be given out again, and a text may never have been written.
	const made = (await stat(file).catch(() => undefined))?.mtimeMs;
	return made !== undefined && clock.now() - made > staleMs;
}

function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return codeOf(error) !== 'ESRCH';
	}
}

/** Two may find the same dead lock; the one that renames something else by mistake puts it back. */
async function clearAway(file: string, dead: string): Promise<boolean> {
	const aside = `${file}.${randomBytes(4).toString('hex')}`;
	try {
		await rename(file, aside);
	} catch {
		return false;
	}
	if ((await textOf(aside)) !== dead) {
		await link(aside, file).catch(() => undefined);
	}
	await rm(aside, {force: true});
	return true;
}

function ownerOf(text: string | undefined): string {
	const {pid, host} = read(text ?? '');
	return pid === undefined ? '' : ` (${pid} on ${host ?? 'this machine'})`;
}

function read(text: string): {pid: number | undefined; host: string | undefined} {
	try {
		const {pid, host} = JSON.parse(text) as Record<string, unknown>;
		return {
			pid: typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0 ? pid : undefined,
			host: typeof host === 'string' ? host : undefined,
		};
	} catch {
		return {pid: undefined, host: undefined};
	}
}
