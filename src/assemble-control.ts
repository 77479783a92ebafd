/**
 * The way to the server of a data directory for whoever runs as the same account: a socket in it.
 *
 * The server listens there for the command line; whoever can open it may do everything.
 */
import {connect} from 'node:net';
import {once} from 'node:events';
import {Layout} from './blobs/layout.js';
import {socketPath} from './blobs/lock.js';
import type {ListenOptions} from './http/server.js';

/** The path of the socket, whether or not anybody listens there. The directory must be there. */
export function controlSocket(data: string): Promise<string> {
	const layout = new Layout(data);
	return socketPath(layout, layout.control);
}

/** Whether a server works on the data directory. */
export async function isRunning(data: string): Promise<boolean> {
	const connection = connect(await controlSocket(data));
	try {
		await once(connection, 'connect');
		return true;
	} catch {
		return false;
	} finally {
		connection.destroy();
	}
}

export async function controlListener(data: string): Promise<ListenOptions> {
	const path = await controlSocket(data);
	return {
		address: `unix:${path}`,
		host: undefined,
		port: undefined,
		path,
		mode: 0o600,
		tls: undefined,
		control: true,
	};
}
