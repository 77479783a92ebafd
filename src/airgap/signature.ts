/**
 * Signatures over a bundle's index, in the form that OpenSSH gives them, and the ed25519 keys behind them.
 *
 * `ssh-keygen -Y` makes and checks the same ones, so that nobody has to believe this program. Where keys are kept and
 * whom they are trusted by is known in `keys.ts`.
 */
import {
	createHash,
	createPrivateKey,
	createPublicKey,
	generateKeyPairSync,
	sign as signBytes,
	verify,
} from 'node:crypto';
import type {KeyObject} from 'node:crypto';
import {IntegrityError, InvalidParameterError} from '../errors.js';
import type {PublicKey} from './api.js';

/** A signature that has been read, and not checked yet. */
export interface Signature {
	/** Of the key that it says it is by: `SHA256:…`. */
	readonly fingerprint: string;
	/** That key: `ssh-ed25519 AAAA…`. No comment: signatures have none. */
	readonly publicLine: string;
	/** Whether it is over these bytes. */
	verify(index: Buffer): boolean;
}

/** What the signature is for, so that none over something else will do. */
export const namespace = 'imgmirror-bundle';

const keyType = 'ssh-ed25519';
const magic = Buffer.from('SSHSIG');
const hashName = 'sha512';
const keyBytes = 32;
const signatureBytes = 64;
const maxTextBytes = 65_536;
const maxCommentLength = 255;
const armorWidth = 70;
const begin = '-----BEGIN SSH SIGNATURE-----';
const end = '-----END SSH SIGNATURE-----';
/** What stands in front of an ed25519 public key in DER (RFC 8410). */
const derPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** Throws InvalidParameterError for a comment that does not fit on a line. */
export function newKey(comment: string): {readonly privatePem: string; readonly publicLine: string} {
	const wanted = checkedComment(comment);
	const {privateKey} = generateKeyPairSync('ed25519');
	const privatePem = String(privateKey.export({type: 'pkcs8', format: 'pem'}));
	return {privatePem, publicLine: lineOf(rawOf(privateKey), wanted)};
}

/** The public half. Throws IntegrityError for what is no ed25519 private key. */
export function publicKeyOf(privatePem: string, comment = ''): PublicKey {
	return publicKey(rawOf(readPrivate(privatePem)), checkedComment(comment));
}

/** index.json.sig, byte for byte as `ssh-keygen -Y sign` would write it with that key. */
export function sign(index: Buffer, privatePem: string): string {
	const key = readPrivate(privatePem);
	const body = Buffer.concat([
		magic,
		uint32(1),
		string(blobOf(rawOf(key))),
		string(namespace),
		string(''),
		string(hashName),
		string(Buffer.concat([string(keyType), string(signBytes(null, signedBytes(index), key))])),
	]).toString('base64');
	const lines = body.match(new RegExp(`.{1,${armorWidth}}`, 'gu')) ?? [];
	return `${[begin, ...lines, end].join('\n')}\n`;
}

/** Throws IntegrityError for what is no signature, or none that could be ours. */
export function readSignature(text: string | Buffer): Signature {
	const reader = new Reader(unarmored(text));
	if (!reader.take(magic.length).equals(magic) || reader.uint32() !== 1) {
		throw unreadable('it is no SSH signature of version 1');
	}
	const raw = rawOfBlob(reader.string());
	const purpose = reader.string().toString('latin1');
	if (purpose !== namespace) {
		throw unreadable(`it is made for ${shown(purpose)} and not for ${namespace}`);
	}
	if (reader.string().length > 0) {
		throw unreadable('it says more than we understand');
	}
	const hash = reader.string().toString('latin1');
	if (hash !== hashName) {
		throw unreadable(`it is over ${shown(hash)} and not over ${hashName}`);
	}
	const inner = new Reader(reader.string());
	reader.end();
	if (inner.string().toString('latin1') !== keyType) {
		throw unreadable(`it is not of the kind ${keyType}`);
	}
	const signature = inner.string();
	inner.end();
	if (signature.length !== signatureBytes) {
		throw unreadable(`it has ${signature.length} bytes and not ${signatureBytes}`);
	}
	const key = publicKey(raw, '');
	return {
		fingerprint: key.fingerprint,
		publicLine: key.line,
		verify: index => verify(null, signedBytes(index), publicObject(raw), signature),
	};
}

/** An OpenSSH line. Throws InvalidParameterError, without showing the line: people put private keys there. */
export function parsePublicKey(line: string): PublicKey {
	const words =
		line.length > maxTextBytes ? null : /^([\w@.-]+)[ \t]+([A-Za-z\d+/]+={0,2})(?:[ \t]+(.*))?$/u.exec(line.trim());
	const [, type = '', data = '', comment = ''] = words ?? [];
	if (words === null) {
		throw notAKey(
			line.includes('PRIVATE KEY')
				? 'that is a private key, which nobody else should have: take the file that ends in .pub'
				: `that is no public key: it is one line that begins with ${keyType}`,
		);
	}
	if (type !== keyType) {
		throw notAKey(`that is a key of the kind ${shown(type)}: bundles are signed with ${keyType}`);
	}
	const blob = Buffer.from(data, 'base64');
	let raw: Buffer;
	try {
		raw = rawOfBlob(blob);
	} catch (error) {
		throw notAKey(`that is no ${keyType} key: a part of it is missing, or it has been changed`, error);
	}
	// Base64 that decodes to the same bytes in another spelling would be the same key twice.
	if (blob.toString('base64') !== data) {
		throw notAKey(`that is no ${keyType} key: it has been changed`);
	}
	return publicKey(raw, checkedComment(comment));
}

/** As `ssh-keygen -l` shows it. */
export function fingerprintOf(blob: Uint8Array): string {
	return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/u, '')}`;
}

/** What is signed: not the index but its digest, with what it is for. */
function signedBytes(index: Buffer): Buffer {
	const digest = createHash(hashName).update(index).digest();
	return Buffer.concat([magic, string(namespace), string(''), string(hashName), string(digest)]);
}

function publicKey(raw: Buffer, comment: string): PublicKey {
	return {line: lineOf(raw, comment), fingerprint: fingerprintOf(blobOf(raw)), comment};
}

function lineOf(raw: Buffer, comment: string): string {
	return `${keyType} ${blobOf(raw).toString('base64')}${comment === '' ? '' : ` ${comment}`}`;
}

/** The public key as it stands in lines and signatures. */
function blobOf(raw: Buffer): Buffer {
	return Buffer.concat([string(keyType), string(raw)]);
}

function rawOfBlob(blob: Buffer): Buffer {
	const reader = new Reader(blob);
	const type = reader.string().toString('latin1');
	if (type !== keyType) {
		throw unreadable(`it is by a key of the kind ${shown(type)} and not ${keyType}`);
	}
	const raw = reader.string();
	reader.end();
	if (raw.length !== keyBytes) {
		throw unreadable(`its key has ${raw.length} bytes and not ${keyBytes}`);
	}
	return raw;
}

/** The 32 bytes of a key's public half. */
function rawOf(key: KeyObject): Buffer {
	return createPublicKey(key).export({type: 'spki', format: 'der'}).subarray(derPrefix.length);
}

function publicObject(raw: Buffer): KeyObject {
	return createPublicKey({key: Buffer.concat([derPrefix, raw]), format: 'der', type: 'spki'});
}

function readPrivate(pem: string): KeyObject {
	let key: KeyObject;
	try {
		key = createPrivateKey(pem);
	} catch (error) {
		throw new IntegrityError('that is no private key in PEM', {cause: error});
	}
	if (key.asymmetricKeyType !== 'ed25519') {
		throw new IntegrityError(
			`that is a private key of the kind ${key.asymmetricKeyType ?? 'unknown'}, and not ed25519`,
		);
	}
	return key;
}

function checkedComment(comment: string): string {
	const trimmed = comment.trim();
	if (trimmed.length > maxCommentLength || /\p{C}/u.test(trimmed)) {
		throw notAKey(`the comment of a key is one line of at most ${maxCommentLength} characters`);
	}
	return trimmed;
}

function unarmored(given: string | Buffer): Buffer {
	const text = given.length > maxTextBytes ? '' : given.toString('latin1').trim();
	if (!text.startsWith(begin) || !text.endsWith(end)) {
		throw unreadable(`it does not stand between "${begin}" and "${end}"`);
	}
	const body = text.slice(begin.length, -end.length).replaceAll(/[\r\n]/gu, '');
	if (!/^[A-Za-z\d+/]+={0,2}$/u.test(body)) {
		throw unreadable('it is not base64');
	}
	return Buffer.from(body, 'base64');
}

function uint32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(value);
	return bytes;
}

/** SSH's: a length, and so many bytes. */
function string(value: string | Uint8Array): Buffer {
	const bytes = Buffer.from(value);
	return Buffer.concat([uint32(bytes.length), bytes]);
}

class Reader {
	readonly #bytes: Buffer;
	#at = 0;

	constructor(bytes: Buffer) {
		this.#bytes = bytes;
	}

	take(length: number): Buffer {
		if (length > this.#bytes.length - this.#at) {
			throw unreadable('it ends in the middle');
		}
		this.#at += length;
		return this.#bytes.subarray(this.#at - length, this.#at);
	}

	uint32(): number {
		return this.take(4).readUInt32BE();
	}

	string(): Buffer {
		return this.take(this.uint32());
	}

	end(): void {
		if (this.#at !== this.#bytes.length) {
			throw unreadable('it goes on after its end');
		}
	}
}

function shown(text: string): string {
	return JSON.stringify(text.slice(0, 60)).replaceAll(/[^\x20-\x7e]/gu, '?');
}

function unreadable(problem: string): IntegrityError {
	return new IntegrityError(`the signature cannot be read: ${problem}`);
}

function notAKey(message: string, cause?: unknown): InvalidParameterError {
	return new InvalidParameterError(message, [{field: 'key', code: 'Invalid', message}], {cause});
}
