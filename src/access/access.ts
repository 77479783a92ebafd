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
import {isKnownAlgorithm, signedText, signer} from './signature.js';

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

export interface AccessSettings extends OriginSettings, AccountSettings {}

/** How far a signed date may be from ours, either way. */
const skewMs = 300_000;

type Signature = Proof & {readonly kind: 'signature'};
type Password = Proof & {readonly kind: 'password'};

export class Access {
	readonly #host: Pick<Host, 'clock' | 'log'>;
	readonly #accounts: Accounts;
	readonly #passwords: PasswordChecks;
	readonly #replays = new Replays();
	#origins: Origins;

	constructor(parts: {
		host: Pick<Host, 'clock' | 'log'>;
		usersFile: string;
		/** Holds `<user>.keys`. */
		keysFolder: string;
		settings: AccessSettings;
	}) {
		const {host, settings} = parts;
		this.#host = host;
		this.#accounts = new Accounts(parts);
		this.#passwords = new PasswordChecks({clock: host.clock});
		this.#origins = new Origins(settings);
	}

	/**
	 * Throws UnauthorizedError for a login that is not right, unless told to pay it no attention. `asStranger`: where the
	 * request comes from gives it no rights.
	 */
	async identify(
		asked: Asked,
		{ignoreCredentials = false, asStranger = false}: {ignoreCredentials?: boolean; asStranger?: boolean} = {},
	): Promise<Caller> {
		const {kind, address} = asked.peer;
		if (kind === 'control') {
			return {user: undefined, credential: 'control', address: 'control', rights: withImplied(rights)};
		}
		const found = this.#origins.of({kind, address}, asked.headers);
		const origin = asStranger ? this.#origins.withoutNetwork(found) : found;
		const {authorization} = asked.headers;
		if (ignoreCredentials || authorization === undefined) {
			return {user: undefined, credential: 'none', ...origin};
		}
		const proof = readAuthorization(authorization);
		// Who has just been added need not wait.
		await this.#accounts.refresh(
			proof?.kind === 'password' && proof.password === '' ? {user: proof.user, token: proof.user} : proof,
		);
		switch (proof?.kind) {
			case 'password':
				return this.#byPassword(proof, origin);
			case 'token':
				return this.#byToken(proof.token, origin);
			case 'signature':
				return this.#bySignature(proof, asked, origin);
			case undefined:
				return this.#refuse(origin, {}, 'the Authorization header cannot be understood');
		}
	}

	/** In force at once. */
	setSettings(settings: AccessSettings): void {
		this.#origins = new Origins(settings);
		this.#accounts.setSettings(settings);
	}

	/** Reads users and keys again. What is wrong with them is logged, and changes nothing. */
	async reload(): Promise<void> {
		await this.#accounts.reload();
	}

	async #byPassword({user, password}: Password, origin: Origin): Promise<Caller> {
		// A token stands in for the user, or for that user's password: not all clients know Bearer.
		const owner = this.#accounts.byToken(password === '' ? user : password);
		if (owner !== undefined && (password === '' || owner.name === user)) {
			return caller(owner, 'token', origin);
		}
		const account = this.#accounts.get(user);
		const hash = account?.password;
		const fits = password !== '' && (await this.#passwords.fits({user, password, hash, address: origin.address}));
		if (!fits || account === undefined) {
			// Without a password it may be a token, spelt wrong or no longer good: nothing for the log.
			return this.#refuse(origin, password === '' ? {} : {user}, 'the user or the password is wrong');
		}
		return caller(account, 'password', origin);
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
