/**
 * The descriptor below an answer's connection, for who writes to it past Node.
 *
 * Good for the tick in which it was asked for, and no longer: by the next, the connection may be closed and its number
 * somebody else's.
 */
import type {ServerResponse} from 'node:http';
import type {Socket} from 'node:net';

/** `undefined`: not now, for something is still to be sent before; or never, for the connection is TLS or gone. */
export function descriptorOf(
	response: Pick<ServerResponse, 'socket' | 'headersSent' | 'writableLength'>,
): number | undefined {
	const {socket} = response;
	return socket === null || !response.headersSent || response.writableLength > 0 ? undefined : freeDescriptor(socket);
}

/** Of a connection that nothing is waiting to be sent on. */
export function freeDescriptor(socket: Socket): number | undefined {
	return socket.destroyed || 'encrypted' in socket || socket.writableLength > 0
		? undefined
		: descriptorOfHandle(socket);
}

/** Of whatever Node has open; `undefined`: it has been closed, or has none. */
export function descriptorOfHandle(owner: object): number | undefined {
	const handle = '_handle' in owner ? (owner._handle as {readonly fd?: unknown} | null) : null;
	return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}
