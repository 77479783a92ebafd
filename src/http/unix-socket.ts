/**
 * What a unix socket's path needs before one can listen there.
 *
 * A process that was killed leaves its socket behind; one that lives must not lose its own.
 */
import {lstat, unlink} from 'node:fs/promises';
import {connect} from 'node:net';
import {codeOf, UsageError} from '../errors.js';

/** What Linux and illumos take. Of a longer path, Node would bind the beginning without a word. */
const maxPathBytes = 107;

/** Removes a socket on which nobody answers. Throws UsageError for one that is in use, and for any other file. */
export async function clearSocketPath(path: string): Promise<void> {
	if (Buffer.byteLength(path) > maxPathBytes) {
		throw new UsageError(`cannot listen on unix:${path}: the path is longer than ${maxPathBytes} bytes`);
	}
	let isSocket: boolean;
	try {
		isSocket = (await lstat(path)).isSocket();
	} catch (error) {
		if (codeOf(error) === 'ENOENT') {
			return;
		}
		throw new UsageError(`cannot listen on unix:${path}`, {cause: error});
	}
	if (!isSocket) {
		throw new UsageError(`cannot listen on unix:${path}: there is a file that is no socket`);
	}
	if (await somebodyAnswers(path)) {
		throw new UsageError(`cannot listen on unix:${path}: another process does`);
	}
	await unlink(path);
}

function somebodyAnswers(path: string): Promise<boolean> {
	return new Promise(resolve => {
		const socket = connect(path);
		socket.once('connect', () => {
			socket.destroy();
			resolve(true);
		});
		// Any other failure (a full queue, no permission) is no proof that nobody is there.
		socket.once('error', error => resolve(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error) ?? '')));
	});
}
