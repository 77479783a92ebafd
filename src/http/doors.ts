/**
 * More ways into one listener.
 *
 * By each handle that listens Node takes in one client in each round of the event loop, and rounds are long while files
 * are sent: the last of a fleet that knocks all at once would wait for as many rounds as there are before it. More
 * handles, for copies of the listener's descriptor, share its queue. Each costs every client that comes alone a look that
 * finds nobody, so there is one more at first; where two clients come in one round, there are more for a while.
 */
import {createServer, type Server, type ServerOpts} from 'node:net';
import type {Clock, Timer} from '../host.js';
import {descriptorOfHandle} from './descriptor.js';
import type {NativeSend} from './native-send.js';

/** For a crowd. More of them gain nothing: what it takes to hear each client out is more by then. */
const moreDoors = 6;
/** After the last crowd. */
const openForMs = 1000;

export interface DoorOptions {
	/** What `server`, which is one for HTTP, takes clients in with. */
	readonly taking: ServerOpts;
	/** How many may knock at once: said again by every handle, of the queue that all have in common. */
	readonly backlog: number;
	readonly native: NativeSend;
	readonly clock: Clock;
}

export class Doors {
	readonly #server: Server;
	readonly #options: DoorOptions;
	readonly #first: readonly Server[];
	#more: readonly Server[] = [];
	/** Until those who came in by one that was closed are gone. */
	readonly #leaving = new Set<Promise<void>>();
	#hasOneCome = false;
	#wasCrowded = false;
	#timer: Timer | undefined;
	#closed = false;

	/** `server` listens. */
	constructor(server: Server, options: DoorOptions) {
		this.#server = server;
		this.#options = options;
		this.#first = this.#open(1);
		server.on('connection', () => this.#came());
	}

	/** How many there are besides the listener's own. */
	get count(): number {
		return this.#first.length + this.#more.length;
	}

	/** All at once, so to be called in the tick that closes the listener. Resolves when those who came in by them are gone. */
	async close(): Promise<void> {
		this.#closed = true;
		this.#timer?.cancel();
		this.#shut([...this.#first, ...this.#more]);
		await Promise.all(this.#leaving);
	}

	#came(): void {
		if (this.#hasOneCome) {
			this.#crowd();
			return;
		}
		this.#hasOneCome = true;
		// That is when all who can come in this round have.
		setImmediate(() => {
			this.#hasOneCome = false;
		});
	}

	#crowd(): void {
		this.#wasCrowded = true;
		if (!this.#closed && this.#timer === undefined) {
			this.#more = this.#open(moreDoors);
			this.#wait();
		}
	}

	#wait(): void {
		this.#wasCrowded = false;
		this.#timer = this.#options.clock.after(openForMs, () => {
			if (this.#wasCrowded) {
				this.#wait();
				return;
			}
			this.#timer = undefined;
			this.#shut(this.#more);
			this.#more = [];
		});
	}

	/** As far as there are descriptors. */
	#open(count: number): readonly Server[] {
		const {taking, backlog, native} = this.#options;
		const server = this.#server;
		const doors: Server[] = [];
		const listening = descriptorOfHandle(server);
		while (doors.length < count && listening !== undefined) {
			const fd = native.duplicate(listening);
			if (fd === undefined) {
				break;
			}
			// As Node's HTTP server has it.
			const door = createServer({...taking, allowHalfOpen: true}, socket => server.emit('connection', socket));
			// Clients come in by the others.
			door.on('error', error => server.emit('error', error));
			// Of a descriptor Node takes it like this only.
			door.listen({fd}, backlog);
			doors.push(door);
		}
		return doors;
	}

	#shut(doors: readonly Server[]): void {
		for (const door of doors) {
			const left = new Promise<void>(resolve => void door.close(() => resolve())).finally(() => {
				this.#leaving.delete(left);
			});
			this.#leaving.add(left);
		}
	}
}
