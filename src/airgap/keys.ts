/**
 * The key that our bundles are signed with, and those whose bundles are believed.
 *
 * Two files: `bundle-key.pem`, which only we may read, and `trusted-keys`, a line each, which an operator may edit as
 * well: both are read anew whenever they are asked for. HTTP and the command line manage them, the export signs, the
 * import has bundles judged. The signatures themselves are made and checked in `signature.ts`.
 */
import {asError, describe, IntegrityError, InvalidParameterError, NotFoundError, RefusedError} from '../errors.js';
import type {Logger} from '../host.js';
import type {ImportEvent, KeysApi, PublicKey, TrustedKey} from './api.js';
import {readKeyFile, writeKeyFile} from './key-files.js';
import {newKey, parsePublicKey, publicKeyOf, readSignature, sign, type Signature} from './signature.js';

export interface Judgement {
	/** `undefined`: nobody has signed it. */
	readonly signedBy?: NonNullable<Extract<ImportEvent, {what: 'begin'}>['signedBy']>;
}

interface OwnKey {
	readonly key: PublicKey;
	readonly pem: string;
}

const howToAllow = 'allow it with --allow-unsigned if you know where it comes from';

export class Keys implements KeysApi {
	readonly #keyFile: string;
	readonly #trustedFile: string;
	readonly #configured: () => readonly string[];
	readonly #log: Logger;
	/** Changes come one after the other. */
	#turn: Promise<unknown> = Promise.resolve();
	/** What has been said of lines that cannot be used: it is not said again while they stand there. */
	#said: ReadonlySet<string> = new Set();

	constructor({
		keyFile,
		trustedFile,
		configured,
		log,
	}: {
		readonly keyFile: string;
		readonly trustedFile: string;
		/** Lines of the configuration that is in force now. */
		readonly configured: () => readonly string[];
		readonly log: Logger;
	}) {
		this.#keyFile = keyFile;
		this.#trustedFile = trustedFile;
		this.#configured = configured;
		this.#log = log;
	}

	/** Throws IntegrityError where the file is there and holds no key. */
	async own(): Promise<PublicKey | undefined> {
		return (await this.#own())?.key;
	}

	create({comment, replace}: {readonly comment: string; readonly replace: boolean}): Promise<PublicKey> {
		return this.#inTurn(async () => {
			if (!replace && (await readKeyFile(this.#keyFile)) !== undefined) {
				throw new RefusedError(
					'KeyAlreadyExists',
					'there is a key already; bundles signed with a new one have to be trusted anew on the far side',
				);
			}
			const {privatePem, publicLine} = newKey(comment);
			// The line in front is where the comment is kept: readers of PEM pass over it.
			await writeKeyFile(this.#keyFile, `${publicLine}\n${privatePem}`, 0o600);
			const key = parsePublicKey(publicLine);
			this.#log.info({fingerprint: key.fingerprint, replace}, 'bundles are signed with a new key');
			return key;
		});
	}

	/** Each once: our own first, then those of the configuration, then those of the file. */
	async trusted(): Promise<readonly TrustedKey[]> {
		const own = await this.#own().catch((error: unknown) => {
			this.#log.warn({file: this.#keyFile, err: asError(error)}, 'our own key cannot be read');
			return undefined;
		});
		const file = linesOf((await readKeyFile(this.#trustedFile)) ?? '', this.#trustedFile);
		const configured = this.#configured().map((text, index) => ({
			text,
			where: `trusted key ${index + 1} of the configuration`,
		}));
		const faults: string[] = [];
		const keys = new Map<string, TrustedKey>();
		const add = (key: PublicKey, from: TrustedKey['from']): void => {
			if (!keys.has(key.fingerprint)) {
				keys.set(key.fingerprint, {...key, from});
			}
		};
		if (own !== undefined) {
			add(own.key, 'own');
		}
		for (const [lines, from] of [
			[configured, 'config'],
			[file, 'file'],
		] as const) {
			for (const {text, where} of lines) {
				const key = keyOrFault(text);
				if (typeof key === 'string') {
					faults.push(`${where}: ${key}`);
				} else {
					add(key, from);
				}
			}
		}
		this.#complain(faults);
		return [...keys.values()];
	}

	trust(line: string): Promise<{readonly key: TrustedKey; readonly added: boolean}> {
		return this.#inTurn(async () => {
			const key = parsePublicKey(line);
			const known = (await this.trusted()).find(({fingerprint}) => fingerprint === key.fingerprint);
			if (known !== undefined) {
				return {key: known, added: false};
			}
			const text = (await readKeyFile(this.#trustedFile)) ?? '';
			const before = text === '' || text.endsWith('\n') ? text : `${text}\n`;
			await writeKeyFile(this.#trustedFile, `${before}${key.line}\n`, 0o644);
			this.#log.info({fingerprint: key.fingerprint, comment: key.comment}, 'bundles signed with this key are trusted');
			return {key: {...key, from: 'file'}, added: true};
		});
	}

	untrust(which: string): Promise<PublicKey> {
		return this.#inTurn(async () => {
			const key = oneOf(await this.trusted(), which.trim());
			if (key.from !== 'file') {
				throw new RefusedError(
					'KeyIsConfigured',
					key.from === 'own'
						? 'that is the key of this mirror itself: its own bundles are always trusted'
						: 'that key stands in the configuration: take it out there',
				);
			}
			const text = (await readKeyFile(this.#trustedFile)) ?? '';
			// What else stands in the file is the operator's: comments, and lines that we cannot read.
			const kept = text.split('\n').filter(line => {
				const read = isComment(line) ? '' : keyOrFault(line);
				return typeof read === 'string' || read.fingerprint !== key.fingerprint;
			});
			await writeKeyFile(this.#trustedFile, kept.join('\n'), 0o644);
			this.#log.info(
				{fingerprint: key.fingerprint, comment: key.comment},
				'bundles signed with this key are trusted no more',
			);
			return {line: key.line, fingerprint: key.fingerprint, comment: key.comment};
		});
	}

	/** index.json.sig over that index. `undefined`: we have no key. Throws IntegrityError where ours cannot be read. */
	async sign(index: Buffer): Promise<{readonly signature: string; readonly signedBy: string} | undefined> {
		const own = await this.#own();
		return own === undefined ? undefined : {signature: sign(index, own.pem), signedBy: own.key.fingerprint};
	}

	/**
	 * Whether a bundle may come in, and who has signed it. `key` is trusted this once. Throws RefusedError
	 * BundleNotTrusted; whatever is allowed, for a signature that is there and not right.
	 */
	async judge(
		index: Buffer,
		signature: Buffer | undefined,
		{allowUnsigned, key}: {readonly allowUnsigned: boolean; readonly key?: string | undefined},
	): Promise<Judgement> {
		const once = key === undefined ? undefined : parsePublicKey(key);
		if (signature === undefined) {
			if (!allowUnsigned) {
				throw notTrusted(`nobody has signed this bundle: ${howToAllow}`);
			}
			return {};
		}
		const read = checked(index, signature);
		const {fingerprint} = read;
		const known = [...(once === undefined ? [] : [once]), ...(await this.trusted())].find(
			one => one.fingerprint === fingerprint,
		);
		if (known === undefined && !allowUnsigned) {
			throw notTrusted(
				`this bundle is signed with the key ${fingerprint}, which is not trusted here: compare it with what ` +
					`\`imgmirror key show\` says where the bundle was made, and trust it with \`imgmirror key trust\` or --key, ` +
					`or ${howToAllow}`,
			);
		}
		const comment = known?.comment ?? '';
		return {signedBy: {fingerprint, ...(comment === '' ? {} : {comment}), trusted: known !== undefined}};
	}

	async #own(): Promise<OwnKey | undefined> {
		const text = await readKeyFile(this.#keyFile);
		if (text === undefined) {
			return undefined;
		}
		const pem = /-----BEGIN [A-Z ]+-----[^-]*-----END [A-Z ]+-----/u.exec(text)?.[0] ?? '';
		try {
			const key = publicKeyOf(pem);
			const first = keyOrFault(text.slice(0, Math.max(0, text.indexOf('\n'))));
			// A line of another key says nothing of this one.
			const named = typeof first === 'string' || first.fingerprint !== key.fingerprint ? key : first;
			return {key: named, pem};
		} catch (error) {
			throw new IntegrityError(`${this.#keyFile} cannot be used: ${describe(error)}`, {cause: error});
		}
	}

	#complain(faults: readonly string[]): void {
		for (const fault of faults) {
			if (!this.#said.has(fault)) {
				this.#log.warn({fault}, 'a trusted key cannot be used');
			}
		}
		this.#said = new Set(faults);
	}

	#inTurn<T>(change: () => Promise<T>): Promise<T> {
		const result = this.#turn.then(change);
		this.#turn = result.catch(() => undefined);
		return result;
	}
}

/** The signature, which is over that index. */
function checked(index: Buffer, signature: Buffer): Signature {
	let read: Signature;
	try {
		read = readSignature(signature);
	} catch (error) {
		throw notTrusted(describe(error), error);
	}
	if (!read.verify(index)) {
		throw notTrusted(
			`the signature of ${read.fingerprint} does not fit: the index was changed after it was signed, and nothing of ` +
				'this bundle can be believed',
		);
	}
	return read;
}

function oneOf(keys: readonly TrustedKey[], which: string): TrustedKey {
	const byFingerprint = keys.find(({fingerprint}) => fingerprint === which || fingerprint === `SHA256:${which}`);
	const found =
		byFingerprint === undefined ? keys.filter(({comment}) => comment !== '' && comment === which) : [byFingerprint];
	const [key] = found;
	if (key === undefined) {
		throw new NotFoundError('no such key is trusted: neither a fingerprint nor a comment is that');
	}
	if (found.length > 1) {
		const message = `several keys have that comment: ${found.map(({fingerprint}) => fingerprint).join(', ')}`;
		throw new InvalidParameterError(message, [{field: 'key', code: 'Invalid', message}]);
	}
	return key;
}

function linesOf(text: string, file: string): readonly {readonly text: string; readonly where: string}[] {
	return text
		.replace(/^\uFEFF/u, '')
		.split('\n')
		.map((line, index) => ({text: line, where: `line ${index + 1} of ${file}`}))
		.filter(line => !isComment(line.text));
}

function isComment(line: string): boolean {
	const trimmed = line.replace(/^\uFEFF/u, '').trim();
	return trimmed === '' || trimmed.startsWith('#');
}

/** What is wrong with the line, where it is no key. */
function keyOrFault(line: string): PublicKey | string {
	try {
		return parsePublicKey(line.replace(/^\uFEFF/u, ''));
	} catch (error) {
		return describe(error);
	}
}

function notTrusted(message: string, cause?: unknown): RefusedError {
	return new RefusedError('BundleNotTrusted', message, {cause});
}
