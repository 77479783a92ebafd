/**
 * Files that the configuration names: certificates, keys, passwords.
 *
 * They are read while the configuration is, so that a typing mistake is found then and not at the first connection.
 */
import {X509Certificate, createPrivateKey} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {describe} from '../errors.js';
import {path, type Kind} from './kinds.js';
import {Fault, shown, type Place} from './place.js';

/** The file's text. A `Fault` says why it cannot be read. */
export function readText(file: string, expected: string): string {
	try {
		return readFileSync(file, 'utf8');
	} catch (error) {
		throw new Fault(expected, shown(file), reasonOf(error));
	}
}

/** Why a file cannot be read, without its path: that stands beside it already. */
export function reasonOf(error: unknown): string {
	return describe(error)
		.replace(/, \w+ '.*$/, '')
		.replace(/, \w+$/, '');
}

function checkedFile(expected: string, check: (text: string, expected: string, file: string) => void): Kind<string> {
	return {
		...path,
		expected,
		read(value, at) {
			const file = path.read(value, at);
			check(readText(file, expected), expected, file);
			return file;
		},
	};
}

export const certificateFile = checkedFile('a readable file with a certificate (PEM)', (text, expected, file) => {
	try {
		new X509Certificate(text);
	} catch {
		throw new Fault(expected, shown(file), 'there is no certificate in it');
	}
});

export const keyFile = checkedFile('a readable file with a private key (PEM)', checkKey);

export const rsaKeyFile = checkedFile('a readable file with a private RSA key (PEM)', (text, expected, file) => {
	const type = checkKey(text, expected, file);
	if (type !== 'rsa') {
		throw new Fault(expected, shown(file), `it is a key of type ${type}`);
	}
});

function checkKey(text: string, expected: string, file: string): string {
	try {
		return createPrivateKey(text).asymmetricKeyType ?? 'unknown';
	} catch {
		throw new Fault(expected, shown(file), adviceFor(text));
	}
}

function adviceFor(text: string): string {
	if (text.includes('BEGIN OPENSSH PRIVATE KEY')) {
		return "it is in OpenSSH's own format: ssh-keygen -p -m PEM -f FILE rewrites it";
	}
	return text.includes('ENCRYPTED')
		? 'it is encrypted, and nobody is there to type the passphrase'
		: 'there is no private key in it';
}

/** A certificate and a key belong together: both or neither, and the one fits the other. `at`: the place of both. */
export function checkPair(
	certificate: string | undefined,
	key: string | undefined,
	at: Place,
	isFaulty = (name: 'certFile' | 'keyFile'): boolean => at.child(name).isFaulty,
): void {
	if ((certificate === undefined && key === undefined) || isFaulty('certFile') || isFaulty('keyFile')) {
		return;
	}
	if (certificate === undefined || key === undefined) {
		const [missing, there] = certificate === undefined ? ['certFile', 'keyFile'] : ['keyFile', 'certFile'];
		at.child(missing).report(new Fault(`a file, as there is a ${there}`, 'nothing'));
		return;
	}
	at.attempt(() => {
		const expected = 'a certificate and the key to it';
		const fits = new X509Certificate(readText(certificate, expected)).checkPrivateKey(
			createPrivateKey(readText(key, expected)),
		);
		if (!fits) {
			throw new Fault(expected, `a key in ${shown(key)} that is not the one of ${shown(certificate)}`);
		}
	});
}
