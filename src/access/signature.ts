/**
 * HTTP Signature: what a request's signature covers, and whether one of a user's keys made it.
 *
 * Contract 10.1. Keys are public, so algorithms that would take the key for a shared secret (hmac) are not known here,
 * nor is any that the key's own type does not match.
 */
import {verify} from 'node:crypto';
import type {IncomingHttpHeaders} from 'node:http';
import {signedDate} from './dates.js';
import type {SshKey} from './ssh-keys.js';

export interface SignedRequest {
	readonly method: string;
	/** As it stood in the request line. */
	readonly target: string;
	readonly httpVersion: string;
	readonly headers: IncomingHttpHeaders;
}

export interface SignedText {
	readonly text: string;
	/** Of the date that is signed; the oldest if there are two. */
	readonly fromMs: number;
	/** The newest. */
	readonly toMs: number;
}

interface Algorithm {
	readonly type: SshKey['type'];
	/** Ed25519 has its own. */
	readonly hash: string | undefined;
}

const algorithms: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
	['rsa-sha1', {type: 'rsa', hash: 'sha1'}],
	['rsa-sha256', {type: 'rsa', hash: 'sha256'}],
	['dsa-sha1', {type: 'dsa', hash: 'sha1'}],
	['ecdsa-sha256', {type: 'ecdsa', hash: 'sha256'}],
	['ecdsa-sha384', {type: 'ecdsa', hash: 'sha384'}],
	['ecdsa-sha512', {type: 'ecdsa', hash: 'sha512'}],
	['ed25519', {type: 'ed25519', hash: undefined}],
	// What Joyent's own library calls it.
	['ed25519-sha512', {type: 'ed25519', hash: undefined}],
]);

export function isKnownAlgorithm(algorithm: string): boolean {
	return algorithms.has(algorithm);
}

const mostHeaders = 50;

/** `undefined`: the request lacks something that is said to be signed, or no date is, or it is none. */
export function signedText(request: SignedRequest, names: readonly string[] | undefined): SignedText | undefined {
	const {method, target, httpVersion, headers} = request;
	const covered = names ?? [headers['x-date'] === undefined ? 'date' : 'x-date'];
	if (covered.length > mostHeaders) {
		return undefined;
	}
	const lines: string[] = [];
	const dates: number[] = [];
	for (const name of covered) {
		if (name === 'request-line') {
			lines.push(`${method} ${target} HTTP/${httpVersion}`);
			continue;
		}
		if (name === '(request-target)') {
			lines.push(`(request-target): ${method.toLowerCase()} ${target}`);
			continue;
		}
		const found = headerOf(headers, name);
		if (found === undefined) {
			return undefined;
		}
		lines.push(`${name}: ${found}`);
		if (name === 'date' || name === 'x-date') {
			dates.push(signedDate(found) ?? Number.NaN);
		}
	}
	if (dates.length === 0 || dates.some(Number.isNaN)) {
		return undefined;
	}
	return {text: lines.join('\n'), fromMs: Math.min(...dates), toMs: Math.max(...dates)};
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
	const found = Object.hasOwn(headers, name) ? headers[name] : undefined;
	return Array.isArray(found) ? found.join(', ') : found;
}

/** The one of the keys that made it. */
export function signer(
	keys: readonly SshKey[],
	signed: {readonly text: string; readonly algorithm: string; readonly signature: Buffer},
): SshKey | undefined {
	const algorithm = algorithms.get(signed.algorithm);
	// Header values are bytes, which Node shows as Latin-1.
	const data = Buffer.from(signed.text, 'latin1');
	return keys.find(({type, key}) => type === algorithm?.type && verifies(algorithm.hash, data, key, signed.signature));
}

function verifies(hash: string | undefined, data: Buffer, key: SshKey['key'], signature: Buffer): boolean {
	try {
		return verify(hash, data, key, signature);
	} catch {
		// Some malformed signatures are an error to OpenSSL and not just wrong.
		return false;
	}
}
