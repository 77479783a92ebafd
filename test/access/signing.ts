/**
 * Clients that sign: key pairs, and the Authorization headers that IMGAPI's clients make with them.
 */
import {execFileSync} from 'node:child_process';
import {generateKeyPairSync, sign, type KeyObject} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import sshpk from 'sshpk';

export interface SigningKey {
	/** As in `id_rsa.pub`. */
	readonly line: string;
	/** Of a text, in base64. */
	sign(text: string, hash?: string): string;
}

export type KeyType = 'rsa' | 'dsa' | 'ecdsa' | 'ed25519';

export function makeKey(type: KeyType, {bits = 2048, curve = 'P-256'} = {}): SigningKey {
	const {publicKey, privateKey} = pairOf(type, bits, curve);
	const pem = publicKey.export({type: 'spki', format: 'pem'});
	const line = sshpk
		.parseKey(pem, 'pem')
		.toString('ssh')
		.replace(/ \(unnamed\)$/, '');
	return {
		line: `${line} someone@example.com`,
		sign: (text, hash) =>
			sign(type === 'ed25519' ? undefined : (hash ?? 'sha256'), Buffer.from(text), privateKey).toString('base64'),
	};
}

function pairOf(type: KeyType, bits: number, curve: string): {publicKey: KeyObject; privateKey: KeyObject} {
	switch (type) {
		case 'rsa':
			return generateKeyPairSync('rsa', {modulusLength: bits});
		case 'dsa':
			return generateKeyPairSync('dsa', {modulusLength: 1024, divisorLength: 160});
		case 'ecdsa':
			return generateKeyPairSync('ec', {namedCurve: curve});
		case 'ed25519':
			return generateKeyPairSync('ed25519');
	}
}

/** One that OpenSSH itself has made. `undefined`: it is not installed, or makes none of that type any more. */
export function opensshKey(directory: string, type: KeyType): SigningKey | undefined {
	const file = join(directory, `id_${type}`);
	try {
		execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'me@there', '-f', file], {stdio: 'ignore'});
	} catch {
		return undefined;
	}
	const key = sshpk.parsePrivateKey(readFileSync(file), 'auto');
	return {
		line: readFileSync(`${file}.pub`, 'utf8').trim(),
		sign(text, hash = 'sha256') {
			const signer = key.createSign(type === 'ed25519' ? 'sha512' : (hash as 'sha1' | 'sha256'));
			signer.update(text);
			return signer.sign().toString('asn1');
		},
	};
}

export interface Signing {
	readonly user: string;
	readonly key: SigningKey;
	readonly date: string;
	readonly algorithm?: string;
}

/** What all of IMGAPI's clients send: a signature of the date. */
export function signedHeaders({user, key, date, algorithm = 'rsa-sha256'}: Signing): {
	date: string;
	authorization: string;
} {
	const signature = key.sign(`date: ${date}`, algorithm.split('-')[1]);
	return {date, authorization: `Signature keyId="${user}",algorithm="${algorithm}",signature="${signature}"`};
}
