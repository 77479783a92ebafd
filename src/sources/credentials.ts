/**
 * How we show a source who we are: HTTP Basic or HTTP Signature (contract 10).
 *
 * The transport adds these headers to requests for the source's own origins, never to others. Keys are plain text by
 * then; whoever opens the source has read the files.
 */
import {createPrivateKey, sign, type KeyObject} from 'node:crypto';

export type SignatureAlgorithm = 'rsa-sha256' | 'rsa-sha1';

/** Makes the headers for one request at that time (milliseconds since the epoch). */
export type Authorize = (nowMs: number) => Readonly<Record<string, string>>;

export function basicAuthorization(user: string, password: string): string {
	return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** PEM only: node:crypto does not read OpenSSH's own format. Throws where the key cannot be used. */
export function signingKey(pem: string): KeyObject {
	if (pem.includes('BEGIN OPENSSH PRIVATE KEY')) {
		throw new TypeError('a key in OpenSSH format; convert a copy of it with: ssh-keygen -p -m PEM -f COPY');
	}
	const key = createPrivateKey(pem);
	if (key.asymmetricKeyType !== 'rsa') {
		throw new TypeError(`an RSA key is needed, this is ${key.asymmetricKeyType ?? 'another kind'}`);
	}
	return key;
}

/** The usual signing string of IMGAPI clients: the `date` header and nothing else (contract 10.1). */
export function signatureAuthorization(options: {
	readonly keyId: string;
	readonly key: KeyObject;
	readonly algorithm: SignatureAlgorithm;
}): Authorize {
	const hash = options.algorithm === 'rsa-sha1' ? 'sha1' : 'sha256';
	return nowMs => {
		const date = new Date(nowMs).toUTCString();
		const signature = sign(hash, Buffer.from(`date: ${date}`), options.key).toString('base64');
		return {
			date,
			authorization: `Signature keyId="${options.keyId}",algorithm="${options.algorithm}",signature="${signature}"`,
		};
	};
}
