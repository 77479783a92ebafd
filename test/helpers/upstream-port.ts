/**
 * Ports on which nobody listens, and one on which nobody answers.
 *
 * Tests run side by side, so a port that is merely free may be somebody else's a moment later. A reserved one stays
 * in use by a connection of our own: connecting to it is refused, and no other `listen(0)` is given it.
 */
import {connect, createServer, type AddressInfo, type Server, type Socket} from 'node:net';
import {once} from 'node:events';
import {Worker} from 'node:worker_threads';
import {settle} from './manual-clock.js';
import type {Scope} from './temp-dir.js';

/** Keeps `port` (0: any) from being listened on. */
export class ReservedPort {
	readonly port: number;
	readonly #far: Server;
	readonly #near: Socket;
	readonly #accepted: Socket;

	private constructor(far: Server, near: Socket, accepted: Socket) {
		this.#far = far;
		this.#near = near;
		this.#accepted = accepted;
		this.port = near.localPort ?? 0;
	}

	static async open(port = 0): Promise<ReservedPort> {
		const far = createServer();
		far.listen(0, '127.0.0.1');
		await once(far, 'listening');
		const accepting = once(far, 'connection');
		const {port: farPort} = far.address() as AddressInfo;
		const near = connect({port: farPort, host: '127.0.0.1', ...(port === 0 ? {} : {localPort: port})});
		await once(near, 'connect');
		const [accepted] = (await accepting) as [Socket];
		for (const socket of [near, accepted]) {
			socket.on('error', () => undefined);
			socket.unref();
		}
		far.unref();
		return new ReservedPort(far, near, accepted);
	}

	async close(): Promise<void> {
		// By a reset, since an orderly close would keep the port busy for a minute.
		const gone = new Promise(resolve => this.#near.once('close', resolve));
		// What is waited for must keep the process alive, or it ends in the middle of a test.
		this.#near.ref();
		this.#near.resume();
		this.#accepted.resetAndDestroy();
		await gone;
		this.#far.close();
	}
}

/** A URL whose port refuses connections until the test ends. */
export async function deadUrl(t: Scope, protocol = 'http'): Promise<string> {
	const reserved = await ReservedPort.open();
	t.teardown(() => reserved.close());
	return `${protocol}://127.0.0.1:${reserved.port}`;
}

/**
 * A URL to which connecting neither succeeds nor fails. Its listener's queue is full and its thread asleep, so that
 * Linux drops further handshakes; elsewhere it may connect, and is then merely silent.
 */
export async function unreachableUrl(t: Scope): Promise<string> {
	const asleep = new Worker(
		`const {parentPort} = require('node:worker_threads');
		const server = require('node:net').createServer();
		server.listen({port: 0, host: '127.0.0.1', backlog: 1}, () => {
			parentPort.postMessage(server.address().port);
			// The message is on its way once this turn ends; nothing is accepted after it.
			setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
		});`,
		{eval: true},
	);
	const [port] = (await once(asleep, 'message')) as [number];
	const fillers: Socket[] = [];
	t.teardown(async () => {
		for (const filler of fillers) {
			filler.destroy();
		}
		await asleep.terminate();
	});
	// Backlog 1 holds two on Linux. Those that find no room in it keep it full.
	for (let place = 0; place < 8; place++) {
		const filler = connect({port, host: '127.0.0.1'});
		filler.on('error', () => undefined);
		filler.unref();
		fillers.push(filler);
	}
	// Once the system has been asked, the loopback has answered too, or dropped it.
	await settle();
	return `http://127.0.0.1:${port}`;
}
