/**
 * Only one process works on a data directory: whoever listens on its `lock.sock`.
 *
 * A process that dies, however it dies, stops listening; a pid in a file would have to be believed, and pids are
 * given out again (in a container nearly always the same ones).
 */
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {rename, rm} from 'node:fs/promises';
import {connect, createServer, type Server} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {UsageError, describe} from '../errors.js';
import type {Layout} from './layout.js';

/** What fits into a socket's address on every platform. */
const longestPath = 100;

export class DataLock {
	readonly #server: Server;

	private constructor(server: Server) {
		this.#server = server;
	}

	/** Throws UsageError if another process has the directory. */
	static async take(layout: Layout): Promise<DataLock> {
		const socket = socketPath(layout);
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
		throw new UsageError(
			`another imgmirror is using the data directory ${layout.root}: stop it first, or use another one`,
		);
	}

	async release(): Promise<void> {
		const closed = once(this.#server, 'close');
		this.#server.close();
		await closed;
	}
}

function socketPath(layout: Layout): string {
	const relative = path.relative(process.cwd(), layout.lock);
	const shortest = relative.length < layout.lock.length ? relative : layout.lock;
	if (shortest.length <= longestPath) {
		return shortest;
	}
	const name = createHash('sha1').update(layout.lock).digest('hex');
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
		// Not ours to judge: somebody else's socket is somebody's.
		return (error as NodeJS.ErrnoException).code === 'EACCES';
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
