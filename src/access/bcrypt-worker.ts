/**
 * The thread that checks one bcrypt hash and ends.
 *
 * `passwords.ts` starts it and gets the answer as its one message. bcryptjs has its door here.
 */
import {parentPort, workerData} from 'node:worker_threads';
import bcrypt from 'bcryptjs';

export interface BcryptJob {
	readonly password: string;
	readonly hash: string;
}

const {password, hash} = workerData as BcryptJob;
// PHP's name for what everybody else calls 2b.
parentPort?.postMessage(bcrypt.compareSync(password, hash.replace(/^\$2y\$/, '$2b$')));
