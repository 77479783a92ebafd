/**
 * Why the mirror could not start, in one line, with what can be done about it.
 *
 * Decides by error codes of the system and by our own error classes; what it does not know is a mistake of ours and
 * comes with its stack.
 */
import {MirrorError, describe} from '../errors.js';

interface SystemError extends Error {
	readonly code: string;
	readonly syscall?: string;
	readonly address?: string;
	readonly port?: number;
	readonly path?: string;
}

const diskTrouble = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOTDIR', 'EEXIST', 'EIO']);

/** `sockets` are the paths that we were to listen on: other sockets are nothing that `--listen` could help with. */
export function explainStartupFailure(error: unknown, sockets: readonly string[] = []): string {
	const system = systemErrorIn(error);
	const listening = system === undefined ? undefined : explainListening(system, sockets);
	if (listening !== undefined) {
		return listening;
	}
	if (error instanceof MirrorError) {
		return describe(error) + (system !== undefined && diskTrouble.has(system.code) ? diskAdvice : '');
	}
	if (system?.code === 'EMFILE' || system?.code === 'ENFILE') {
		return `${describe(error)}; allow more open files (ulimit -n)`;
	}
	if (system !== undefined) {
		return describe(error) + (diskTrouble.has(system.code) ? diskAdvice : '');
	}
	return error instanceof Error ? (error.stack ?? describe(error)) : describe(error);
}

const diskAdvice = '; choose another data directory with --data, or give it to the user that imgmirror runs as';

function explainListening(error: SystemError, sockets: readonly string[]): string | undefined {
	const where = `cannot listen on ${placeOf(error)}`;
	if (error.syscall === 'getaddrinfo') {
		return `cannot listen: this machine knows no address for the host name (${error.message}); use an address in --listen`;
	}
	const isListening = error.syscall === 'listen' || error.syscall === 'bind';
	if (!isListening || (error.address?.startsWith('/') === true && !sockets.includes(error.address))) {
		return undefined;
	}
	switch (error.code) {
		case 'EADDRINUSE':
			return `${where}: another process does so already; stop it, or choose another address with --listen`;
		case 'EADDRNOTAVAIL':
			return `${where}: this machine has no such address; use one that it has, or 0.0.0.0, in --listen`;
		case 'EACCES':
			return error.port !== undefined && error.port > 0 && error.port < 1024
				? `${where}: ports below 1024 need a privilege (net_privaddr on SmartOS, CAP_NET_BIND_SERVICE on Linux); grant it, or choose a higher port with --listen`
				: `${where}: no permission; choose another address with --listen`;
		default:
			return `${where}: ${error.message}`;
	}
}

function placeOf({address, port, path}: SystemError): string {
	const host = address ?? path ?? 'the address';
	if (port === undefined || port < 0) {
		return host.startsWith('/') ? `unix:${host}` : host;
	}
	return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The nearest one in the chain of causes that the system made. */
function systemErrorIn(error: unknown): SystemError | undefined {
	let current = error;
	for (let depth = 0; depth < 10 && current instanceof Error; depth++) {
		if (isSystemError(current)) {
			return current;
		}
		current = current instanceof AggregateError ? (current.errors as unknown[])[0] : current.cause;
	}
	return undefined;
}

function isSystemError(error: Error): error is SystemError {
	return 'syscall' in error && 'code' in error && typeof error.code === 'string';
}
