/**
 * More ways into one listener.
 *
 * By each handle that listens Node takes in one client in each round of the event loop, and rounds are long while files
 * are sent: the last of a fleet that knocks all at once would wait for as many rounds as there are before it. So there
 * are more handles, for copies of the listener's descriptor, which share its queue. A lone client costs each of them one
 * look that finds nobody.
 */
import {createServer, type Server, type ServerOpts} from 'node:net';
import {descriptorOfHandle} from './descriptor.js';
import type {NativeSend} from './native-send.js';

/** Besides the listener itself. More of them gain nothing: what it takes to hear each client out is more by then. */
const moreDoors = 7;

export interface DoorOptions {
	/** What `server`, which is one for HTTP, takes clients in with. */
	readonly taking: ServerOpts;
	/** How many may knock at once: said again by every handle, of the queue that all have in common. */
	readonly backlog: number;
	readonly native: NativeSend;
}

/** Opens them, as far as there are descriptors; who closes `server` closes them in the same tick. */
export function openDoors(server: Server, {taking, backlog, native}: DoorOptions): readonly Server[] {
	const doors: Server[] = [];
	const listening = descriptorOfHandle(server);
	for (let opened = 0; opened < moreDoors && listening !== undefined; opened++) {
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
