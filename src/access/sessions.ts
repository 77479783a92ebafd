/**
 * Logins of the web page: a long random word in a cookie stands for a user, as long as it is used.
 *
 * `Access` begins one for whoever shows a password or a token, and asks at each request whose word it is; what the user
 * may is looked up anew each time. They are in memory only, so a restart ends them all.
 */
import {randomBytes} from 'node:crypto';
import type {Clock} from '../host.js';
import {hashToken} from './tokens.js';

export const sessionCookie = 'imgmirror';

/** What somebody has logged in with. Where the user has it no longer, the session is none any more. */
export interface SessionProof {
	readonly kind: 'password' | 'token';
	/** The hash that it was checked against. */
	readonly hash: string;
}

export interface Session {
	readonly user: string;
	readonly proof: SessionProof;
}

interface Kept extends Session {
	readonly usedMs: number;
}

/** 256 bits. */
const wordBytes = 32;
const wordForm = /^[\w-]{43}$/;
/** Pages of other servers on the same machine may leave cookies of this name as well. */
const mostWords = 4;

export class Sessions {
	/** How long one lasts without being used. */
	idleMs: number;
	readonly #clock: Clock;
	readonly #most: number;
	/** By the hash of their word, in the order of their last use. */
	readonly #kept = new Map<string, Kept>();

	constructor({clock, idleMs, most = 1000}: {clock: Clock; idleMs: number; most?: number}) {
		this.#clock = clock;
		this.idleMs = idleMs;
		this.#most = most;
	}

	get size(): number {
		return this.#kept.size;
	}

	/** The word for the cookie: nobody is told it again. Where there are too many, the one unused for longest ends. */
	begin(session: Session): string {
		const word = randomBytes(wordBytes).toString('base64url');
		this.#kept.set(hashToken(word), {...session, usedMs: this.#clock.now()});
		for (const [hash, kept] of this.#kept) {
			if (this.#kept.size <= this.#most && !this.#isOver(kept)) {
				break;
			}
			this.#kept.delete(hash);
		}
		return word;
	}

	/** Being asked for is being used. */
	find(word: string): Session | undefined {
		const hash = hashToken(word);
		const kept = this.#kept.get(hash);
		if (kept === undefined) {
			return undefined;
		}
		this.#kept.delete(hash);
		if (this.#isOver(kept)) {
			return undefined;
		}
		this.#kept.set(hash, {...kept, usedMs: this.#clock.now()});
		return kept;
	}

	end(word: string): void {
		this.#kept.delete(hashToken(word));
	}

	#isOver({usedMs}: Kept): boolean {
		return this.#clock.now() - usedMs > this.idleMs;
	}
}

/** What a Cookie header has under our name, as far as it could be a word of ours. */
export function sessionWords(cookie: string | undefined): readonly string[] {
	if (cookie?.includes(`${sessionCookie}=`) !== true) {
		return [];
	}
	return cookie
		.split(';')
		.map(pair => pair.trim())
		.filter(pair => pair.startsWith(`${sessionCookie}=`))
		.map(pair => pair.slice(sessionCookie.length + 1))
		.filter(word => wordForm.test(word))
		.slice(0, mostWords);
}
