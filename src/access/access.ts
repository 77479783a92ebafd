/**
 * Who asks: makes a caller of a request, or refuses the login that it carries.
 *
 * The door of this room. The HTTP side asks once for each request and then lets routes decide by the caller's rights;
 * nothing here knows what is asked for.
 */
import {createHash} from 'node:crypto';
import type {IncomingHttpHeaders} from 'node:http';
import {UnauthorizedError} from '../errors.js';
import type {Host} from '../host.js';
import {Accounts, type Account, type AccountSettings} from './accounts.js';
import {readAuthorization, type Proof} from './authorization.js';
import {rights, withImplied, type Caller, type Credential} from './caller.js';
import {Origins, type Origin, type OriginSettings} from './origin.js';
import {PasswordChecks} from './password-checks.js';
import {Replays} from './replays.js';
import {Sessions, sessionWords, type SessionProof} from './sessions.js';
import {isKnownAlgorithm, signedText, signer} from './signature.js';
import {hashToken, looksLikeToken} from './tokens.js';

export interface Asked {
	readonly method: string;
	/** As it stood in the request line. */
	readonly target: string;
	readonly httpVersion: string;
	readonly headers: IncomingHttpHeaders;
	readonly peer: {
		/** `control`: the socket that only the server's own account can open. */
		readonly kind: 'tcp' | 'unix' | 'control';
		readonly address: string | undefined;
	};
}

export interface AccessSettings extends OriginSettings, AccountSettings {
	/** How long a login on the page lasts without being used; half a day unless it is said. */
	readonly sessionMs?: number;
}

/** A login by name and password, or with a token in place of either. */
export interface Login {
	readonly user: string;
	readonly password: string;
}

/** How far a signed date may be from ours, either way. */
const skewMs = 300_000;
const usualSessionMs = 12 * 3_600_000;

type Signature = Proof & {readonly kind: 'signature'};

/** Whom a password or a token is of, and which of them it was. */
interface Known {
	readonly account: Account;
	readonly proof: SessionProof;
}

export class Access {
	readonly #host: Pick<Host, 'clock' | 'log' | 'troubles'>;
	readonly #accounts: Accounts;
	readonly #passwords: PasswordChecks;
	readonly #replays = new Replays();
	readonly #sessions: Sessions;
	#origins: Origins;

	constructor(parts: {
		host: Pick<Host, 'clock' | 'log' | 'troubles'>;
		usersFile: string;
		/** Holds `<user>.keys`. */
		keysFolder: string;
		settings: AccessSettings;
	}) {
		const {host, settings} = parts;
		this.#host = host;
		this.#accounts = new Accounts(parts);
		this.#passwords = new PasswordChecks({clock: host.clock});
		this.#sessions = new Sessions({clock: host.clock, idleMs: settings.sessionMs ?? usualSessionMs});
		this.#origins = new Origins(settings);
	}

	/**
	 * Throws UnauthorizedError for a login that is not right, unless told to pay it no attention. `asStranger`: where the
	 * request comes from gives it no rights, and no session of the page counts: its browser sends that along unasked. A
	 * session that there is not is just no login.
	 */
	async identify(
		asked: Asked,
		{ignoreCredentials = false, asStranger = false}: {ignoreCredentials?: boolean; asStranger?: boolean} = {},
	): Promise<Caller> {
		const found = this.stranger(asked);
		if (found.credential === 'control') {
			return found;
		}
		const origin = asStranger ? this.#origins.withoutNetwork(found) : found;
		const nobody: Caller = asStranger ? {...found, ...origin} : found;
		const {authorization, cookie} = asked.headers;
		if (ignoreCredentials) {
			return nobody;
		}
		if (authorization === undefined) {
			return (asStranger ? undefined : await this.#bySession(cookie, origin)) ?? nobody;
		}
		const proof = readAuthorization(authorization);
		await this.#refreshFor(proof);
		switch (proof?.kind) {
			case 'password': {
				const {account, proof: by} = await this.#byPassword(proof, origin);
				return caller(account, by.kind, origin);
			}
			case 'token':
				return this.#byToken(proof.token, origin);
			case 'signature':
				return this.#bySignature(proof, asked, origin);
			case undefined:
				return this.#refuse(origin, {}, 'the Authorization header cannot be understood');
		}
	}

	/** Whoever it is by where the request comes from alone. The same rights are the same set. */
	stranger({peer: {kind, address}, headers}: Pick<Asked, 'peer' | 'headers'>): Caller {
		if (kind === 'control') {
			return {user: undefined, credential: 'control', address: 'control', rights: withImplied(rights)};
		}
		const origin = this.#origins.of({kind, address}, headers);
		return {user: undefined, credential: 'none', address: origin.address, rights: origin.rights};
	}

	/** A session for the page. `word` is for its cookie. Throws UnauthorizedError for a login that is not right. */
	async logIn(asked: Asked, login: Login): Promise<{readonly caller: Caller; readonly word: string}> {
		const {kind, address} = asked.peer;
		const origin = this.#origins.of({kind: kind === 'control' ? 'unix' : kind, address}, asked.headers);
		await this.#refreshFor({kind: 'password', ...login});
		const {account, proof} = await this.#byPassword(login, origin);
		const word = this.#sessions.begin({user: account.name, proof});
		return {caller: caller(account, 'session', origin), word};
	}

	/** Ends the sessions that a request brings along. */
	logOut({headers}: Asked): void {
		for (const word of sessionWords(headers.cookie)) {
			this.#sessions.end(word);
		}
	}

	/** Whether there is anybody who could log in on the page. */
	async hasUsers(): Promise<boolean> {
		await this.#accounts.refresh();
		return this.#accounts.list().some(({password, tokens}) => password !== undefined || tokens.length > 0);
	}

	/** In force at once. */
	setSettings(settings: AccessSettings): void {
		this.#origins = new Origins(settings);
		this.#accounts.setSettings(settings);
		this.#sessions.idleMs = settings.sessionMs ?? usualSessionMs;
	}

	/** Reads users and keys again. What is wrong with them is logged, and changes nothing. */
	async reload(): Promise<void> {
		await this.#accounts.reload();
	}

	/** Who has just been added need not wait. */
	#refreshFor(proof: Proof | undefined): Promise<void> {
		return this.#accounts.refresh(
			proof?.kind === 'password' && proof.password === '' ? {user: proof.user, token: proof.user} : proof,
		);
	}

	async #byPassword({user, password}: Login, origin: Origin): Promise<Known> {
		// A token stands in for the user, or for that user's password: not all clients know Bearer.
		const token = password === '' ? user : password;
		const owner = this.#accounts.byToken(token);
		if (owner !== undefined && (password === '' || owner.name === user)) {
			return {account: owner, proof: {kind: 'token', hash: hashToken(token)}};
		}
		const account = this.#accounts.get(user);
		const hash = account?.password;
		const fits = password !== '' && (await this.#passwords.fits({user, password, hash, address: origin.address}));
		if (!fits || account === undefined || hash === undefined) {
			// It may be a token, spelt wrong, no longer good, or with some password beside it: nothing for the log.
			const isSecret = password === '' || looksLikeToken(user);
			return this.#refuse(origin, isSecret ? {} : {user}, 'the user or the password is wrong');
		}
		return {account, proof: {kind: 'password', hash}};
	}

	/** Of a user who is there no longer, or has got another password, it is the end. */
	async #bySession(cookie: string | undefined, origin: Origin): Promise<Caller | undefined> {
		for (const word of sessionWords(cookie)) {
			const session = this.#sessions.find(word);
			if (session !== undefined) {
				await this.#accounts.refresh();
				const account = this.#accounts.get(session.user);
				if (account !== undefined && stillHas(account, session.proof)) {
					return caller(account, 'session', origin);
				}
				this.#sessions.end(word);
			}
		}
		return undefined;
	}

	#byToken(token: string, origin: Origin): Caller {
		const account = this.#accounts.byToken(token);
		return account === undefined ? this.#refuse(origin, {}, 'the token is unknown') : caller(account, 'token', origin);
	}

	#bySignature({user, algorithm, headers, signature}: Signature, asked: Asked, origin: Origin): Caller {
		const refuse = (problem: string): never => this.#refuse(origin, {user}, problem);
		if (!isKnownAlgorithm(algorithm)) {
			return refuse('the algorithm of the signature is none that is taken');
		}
		const signed = signedText(asked, headers);
		if (signed === undefined) {
			return refuse('the signature needs a Date that can be read, and every header that it covers');
		}
		const nowMs = this.#host.clock.now();
		const {text, fromMs, toMs} = signed;
		if (nowMs - fromMs > skewMs || toMs - nowMs > skewMs) {
			return refuse('the signed date is too far from the time here');
		}
		const account = this.#accounts.get(user);
		const key = signer(account?.keys ?? [], {text, algorithm, signature});
		if (account === undefined || key === undefined) {
			return refuse('the signature is none of that user');
		}
		const use = {
			user,
			signed: createHash('sha256').update(`${key.fingerprint}\n${text}`).digest('base64'),
			address: origin.address,
			nowMs,
			untilMs: fromMs + skewMs,
		};
		return this.#replays.allows(use)
			? caller(account, 'signature', origin)
			: refuse('the signature has been used already');
	}

	#refuse(origin: Origin, who: {readonly user?: string}, problem: string): never {
		this.#host.log.info({...who, address: origin.address, problem}, 'login refused');
		throw new UnauthorizedError(problem);
	}
}

/** Logging in takes no right away: what the network has, its users have. */
function caller({name, may}: Account, credential: Credential, {address, rights: without}: Origin): Caller {
	return {user: name, credential, address, rights: withImplied([...without, ...may])};
}

function stillHas({password, tokens}: Account, {kind, hash}: SessionProof): boolean {
	return kind === 'password' ? password === hash : tokens.some(({sha256}) => sha256 === hash);
}
