/**
 * Sending past Node: files without reading them by the system's sendfile(2), answers that are in memory by send(2). All
 * of it, and what else Node has no call for, through koffi, whose only door is here.
 *
 * Made once when the server starts; where the system or the package is not there for it, all is read and written by
 * Node, and `why` says so. Descriptors are used during a call only: who calls has just seen them open.
 */
import {describe, MirrorError} from '../errors.js';

export interface NativeSend {
	/** How many bytes the socket took, at least one; 0: it is full. Throws SendFailed. */
	send(socketFd: number, file: {readonly fd: number; readonly position: number; readonly length: number}): number;
	/**
	 * How many bytes the socket took. Fewer: it is full, or something is wrong, which who goes on by Node will be told.
	 * `more`: there is more to come at once, so no packet needs to go before that.
	 */
	write(socketFd: number, bytes: Buffer, more: boolean): number;
	/** The same for text, a byte to a character. */
	writeText(socketFd: number, text: string, more: boolean): number;
	/** Another descriptor of the same file or socket, to be closed by whoever asked; `undefined`: there is none to be had. */
	duplicate(fd: number): number | undefined;
	/** Whether reading that byte would not wait for the disk; `undefined`: the file system does not tell. */
	isCached(fd: number, position: number): boolean | undefined;
}

/** What the system said. `gone`: the connection is no more; otherwise this file cannot be sent like this. */
export class SendFailed extends MirrorError {
	readonly gone: boolean;

	constructor(problem: string, gone: boolean) {
		super(`sendfile: ${problem}`);
		this.gone = gone;
	}
}

export type NativeSends =
	{readonly native: NativeSend; readonly why: undefined} | {readonly native: undefined; readonly why: string};

/** Numbers of Linux, the same on all machines that koffi has a build for. */
const errors = {eagain: 11, eintr: 4, epipe: 32, econnreset: 104, enotconn: 107, etimedout: 110, ebadf: 9} as const;
const gone: ReadonlySet<number> = new Set([errors.epipe, errors.econnreset, errors.enotconn, errors.etimedout]);
const nowait = 8;
/** F_DUPFD_CLOEXEC of fcntl(2). */
const duplicateForUs = 1030;
/** A longer one is taken in part. */
const mostText = 65_536;
/** Of send(2). */
const flags = {dontwait: 0x40, nosignal: 0x4000, more: 0x8000} as const;
const sendFlags = flags.dontwait | flags.nosignal;

/** What is used of koffi. Written down here, so that this compiles where the package is not there. */
interface Koffi {
	load(library: null): {func(declaration: string): unknown};
	address(buffer: Buffer): bigint;
	errno(): number;
}

type Load = () => Promise<{readonly default: Koffi}>;

async function loadKoffi(): Promise<{readonly default: Koffi}> {
	const name = 'koffi' as string;
	return (await import(name)) as {readonly default: Koffi};
}

export async function loadNativeSend(
	platform: string = process.platform,
	load: Load = loadKoffi,
): Promise<NativeSends> {
	if (platform !== 'linux') {
		return {native: undefined, why: `there is no sendfile for ${platform} here`};
	}
	try {
		const {default: koffi} = await load();
		return {native: bind(koffi), why: undefined};
	} catch (error) {
		return {native: undefined, why: `the package koffi cannot be used: ${describe(error)}`};
	}
}

function bind(koffi: Koffi): NativeSend {
	const system = koffi.load(null);
	const sendfile = system.func('intptr_t sendfile64(int to, int from, void *offset, size_t count)') as (
		to: number,
		from: number,
		offset: BigInt64Array,
		count: number,
	) => number;
	const preadv = system.func('intptr_t preadv64v2(int fd, void *vectors, int count, int64_t offset, int flags)') as (
		fd: number,
		vectors: BigUint64Array,
		count: number,
		offset: number,
		flags: number,
	) => number;
	const sendBytes = system.func('intptr_t send(int to, const void *bytes, size_t count, int flags)') as (
		to: number,
		bytes: Buffer,
		count: number,
		flags: number,
	) => number;
	const control = system.func('int fcntl(int fd, int command, ...)') as (
		fd: number,
		command: number,
		type: 'int',
		least: number,
	) => number;
	const textBytes = Buffer.allocUnsafeSlow(mostText);
	const offset = new BigInt64Array(1);
	const scratch = Buffer.allocUnsafeSlow(8);
	const oneByte = new BigUint64Array([koffi.address(scratch), 1n]);
	return {
		send(socketFd, {fd, position, length}) {
			for (;;) {
				offset[0] = BigInt(position);
				const sent = sendfile(socketFd, fd, offset, length);
				if (sent > 0) {
					return sent;
				}
				if (sent === 0) {
					throw new SendFailed(`the file ends before ${position + length}`, false);
				}
				const errno = koffi.errno();
				if (errno === errors.eagain) {
					return 0;
				}
				if (errno !== errors.eintr) {
					throw new SendFailed(`error ${errno}`, gone.has(errno));
				}
			}
		},
		write(socketFd, bytes, more) {
			return Math.max(0, sendBytes(socketFd, bytes, bytes.length, more ? sendFlags | flags.more : sendFlags));
		},
		writeText(socketFd, text, more) {
			const length = textBytes.write(text, 'latin1');
			const isMore = more || length < text.length;
			return Math.max(0, sendBytes(socketFd, textBytes, length, isMore ? sendFlags | flags.more : sendFlags));
		},
		duplicate(fd) {
			const copy = control(fd, duplicateForUs, 'int', 0);
			return copy < 0 ? undefined : copy;
		},
		isCached(fd, position) {
			// Kept alive by being looked at here: the system writes to it.
			const read = scratch.length > 0 ? preadv(fd, oneByte, 1, position, nowait) : 0;
			if (read >= 0) {
				return true;
			}
			return koffi.errno() === errors.eagain ? false : undefined;
		},
	};
}
