/**
 * Only one process works on a data directory: whoever listens on its `lock.sock`.
 *
 * A process that dies, however it dies, stops listening; a pid in a file would have to be believed, and pids are
 * given out again (in a container nearly always the same ones).
 */
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {realpath, rename, rm} from 'node:fs/promises';
import {connect, createServer, type Server} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {DataInUseError, UsageError, describe} from '../errors.js';
import type {Layout} from './layout.js';

/** What fits into a socket's address on every platform. */
const longestPath = 100;

export class DataLock {
	readonly #server: Server;

	private constructor(server: Server) {
		this.#server = server;
	}

	/** Throws DataInUseError if another process has the directory. */
	static async take(layout: Layout): Promise<DataLock> {
		const socket = await socketPath(layout, layout.lock);
		for (let attempt = 0; attempt < 3; attempt++) {
			const server = await listen(socket, layout);
			if (server !== undefined) {
				return new DataLock(server);
			}
			if (await answers(socket)) {
				break;
			}
			await clearAway(socket);
		}
		throw new DataInUseError(
			`another imgmirror is using the data directory ${layout.root}: stop it first, or use another one`,
		);
	}

	async release(): Promise<void> {
		const closed = once(this.#server, 'close');
		this.#server.close();
		await closed;
	}
}

/**
 * Where to listen, or connect, for a socket of the data directory, which must be there. The same for every process,
 * wherever it was started and however it spells the directory.
 */
export async function socketPath(layout: Layout, file: string): Promise<string> {
	const real = path.join(await realpath(layout.root), path.basename(file));
	if (Buffer.byteLength(real) <= longestPath) {
		return real;
	}
	const name = createHash('sha1').update(real).digest('hex');
	return path.join(tmpdir(), `imgmirror-${name}.sock`);
}

/** `undefined`: there is such a socket already. */
async function listen(socket: string, layout: Layout): Promise<Server | undefined> {
	const server = createServer(connection => connection.destroy());
	// A lock keeps no process alive.
	server.unref();
	server.listen(socket);
	try {
		await once(server, 'listening');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
			return undefined;
		}
		throw new UsageError(`the data directory ${layout.root} cannot be locked: ${describe(error)}`, {cause: error});
	}
	return server;
}

async function answers(socket: string): Promise<boolean> {
	const connection = connect(socket);
	try {
		await once(connection, 'connect');
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EACCES') {
			throw new UsageError(`${socket} cannot be locked: ${describe(error)}`, {cause: error});
		}
		// Only these say that nobody listens. Somebody else's socket, or one too busy to answer, is somebody's.
		return !['ECONNREFUSED', 'ENOENT', 'ENOTSOCK'].includes((error as NodeJS.ErrnoException).code ?? '');
	} finally {
		connection.destroy();
	}
}

/** Two processes may find the same dead socket; only one of them can rename it, and neither deletes a living one. */
async function clearAway(socket: string): Promise<void> {
	const aside = `${socket}.${process.pid}`;
	try {
		await rename(socket, aside);
	} catch {
		return;
	}
	if (await answers(aside)) {
		await rename(aside, socket);
		return;
	}
	await rm(aside, {force: true});
}
