/**
 * Passwords as they are kept: never in clear, with the cost of guessing in the text.
 *
 * `$scrypt$ln=15,r=8,p=1$SALT$HASH` is what we write. bcrypt (`$2a$`, `$2b$`, `$2y$`) is what older servers left
 * behind; it is checked on a thread of its own, since there it is JavaScript and would hold up everybody else.
 */
import {randomBytes, scrypt, timingSafeEqual, type ScryptOptions} from 'node:crypto';
import {Worker} from 'node:worker_threads';
import {UsageError} from '../errors.js';
import type {BcryptJob} from './bcrypt-worker.js';

interface ScryptHash {
	readonly options: ScryptOptions;
	readonly salt: Buffer;
	readonly hash: Buffer;
}

const logN = 15;
const blockSize = 8;
const parallel = 1;
const saltBytes = 16;
const hashBytes = 32;
/** More than any client sends; a hash of more would be work that a stranger orders. */
const mostBytes = 1024;

/** Throws UsageError for what no login can have. */
export function checkPassword(password: string): void {
	if (password === '') {
		throw new UsageError('the password is empty');
	}
	if (/\p{Cc}/u.test(password)) {
		throw new UsageError('the password has a line break or another control character in it');
	}
	if (Buffer.byteLength(password) > mostBytes) {
		throw new UsageError(`the password is longer than ${mostBytes} bytes`);
	}
}

/** Throws UsageError as `checkPassword` does. */
export async function hashPassword(password: string): Promise<string> {
	checkPassword(password);
	const salt = randomBytes(saltBytes);
	const hash = await derive(password, salt, hashBytes, {N: 2 ** logN, r: blockSize, p: parallel});
	return `$scrypt$ln=${logN},r=${blockSize},p=${parallel}$${base64(salt)}$${base64(hash)}`;
}

/** Of nobody's password: checking it takes as long as checking a real one. */
export function nobodysHash(): string {
	const [salt, hash] = [randomBytes(saltBytes), randomBytes(hashBytes)];
	return `$scrypt$ln=${logN},r=${blockSize},p=${parallel}$${base64(salt)}$${base64(hash)}`;
}

/** `undefined`: no hash that we can check. */
export function hashKind(hash: string): 'scrypt' | 'bcrypt' | undefined {
	// A cost of 16 is seconds already.
	if (/^\$2[aby]\$(?:0[4-9]|1[0-6])\$[./A-Za-z\d]{53}$/.test(hash)) {
		return 'bcrypt';
	}
	return readScrypt(hash) === undefined ? undefined : 'scrypt';
}

export async function passwordFits(password: string, hash: string): Promise<boolean> {
	if (password === '' || Buffer.byteLength(password) > mostBytes) {
		return false;
	}
	if (hashKind(hash) === 'bcrypt') {
		return bcryptFits({password, hash});
	}
	const kept = readScrypt(hash);
	if (kept === undefined) {
		return false;
	}
	return timingSafeEqual(await derive(password, kept.salt, kept.hash.length, kept.options), kept.hash);
}

function readScrypt(text: string): ScryptHash | undefined {
	const [, ln, r, p, salt = '', hash = ''] =
		/^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z\d+/]{11,88})\$([A-Za-z\d+/]{22,88})$/.exec(text) ?? [];
	const options = {N: 2 ** Number(ln), r: Number(r), p: Number(p)};
	// Whoever writes the file may ask for more than we do, but not for all of the memory.
	const usable = Number(ln) >= 10 && Number(ln) <= 18 && options.r >= 1 && options.r <= 16 && options.p >= 1;
	return usable && options.p <= 4
		? {options, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64')}
		: undefined;
}

function derive(password: string, salt: Buffer, length: number, options: ScryptOptions): Promise<Buffer> {
	const {N = 1, r = 1} = options;
	return new Promise((resolve, reject) => {
		scrypt(password, salt, length, {...options, maxmem: 128 * N * r + 16 * 1024 * 1024}, (error, hash) => {
			if (error === null) {
				resolve(hash);
			} else {
				reject(error);
			}
		});
	});
}

function base64(bytes: Buffer): string {
	return bytes.toString('base64').replace(/=+$/, '');
}

function bcryptFits(job: BcryptJob): Promise<boolean> {
	const worker = new Worker(new URL('./bcrypt-worker.js', import.meta.url), {workerData: job});
	return new Promise((resolve, reject) => {
		worker.once('message', fits => {
			resolve(fits === true);
		});
		worker.once('error', reject);
		worker.once('exit', () => {
			resolve(false);
		});
	});
}
