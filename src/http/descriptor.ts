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
	if (socket.destroyed || 'encrypted' in socket || socket.writableLength > 0 || !('_handle' in socket)) {
		return undefined;
	}
	const handle = socket._handle as {readonly fd?: unknown} | null;
	return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}
