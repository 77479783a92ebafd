/**
 * SSH public keys: one line each, as OpenSSH writes them into `id_ed25519.pub`.
 *
 * sshpk has its door here and reads the line; what checks signatures is Node's own key. sshpk is slow to load, so a
 * server without keys does without it.
 */
import {createPublicKey, type KeyObject} from 'node:crypto';
import {UsageError} from '../errors.js';

export interface SshKey {
	readonly type: 'rsa' | 'dsa' | 'ecdsa' | 'ed25519';
	readonly bits: number;
	/** `SHA256:…`, as ssh-keygen -l shows it. */
	readonly fingerprint: string;
	/** Empty where there is none. */
	readonly comment: string;
	/** Type, key and comment with single blanks between. */
	readonly line: string;
	readonly key: KeyObject;
}

export interface SshKeys {
	readonly keys: readonly SshKey[];
	/** `line 3: …` for each that cannot be used. */
	readonly faults: readonly string[];
}

/** What OpenSSH takes; smaller ones can be broken. */
const leastRsaBits = 1024;

/** Throws UsageError, without showing the line: people put private keys there. */
export async function readSshKey(line: string): Promise<SshKey> {
	const [, type = '', data = '', comment = ''] =
		/^\s*([\w@.-]+)\s+([A-Za-z\d+/]+=*)(?:\s+(\S.*?))?\s*$/.exec(line) ?? [];
	if (data === '') {
		throw new UsageError(`that is no SSH public key${adviceFor(line)}`);
	}
	const {default: sshpk} = await import('sshpk');
	let parsed;
	try {
		const key = sshpk.parseKey(`${type} ${data}`, 'ssh');
		parsed = {
			type: key.type,
			bits: key.size,
			fingerprint: key.fingerprint('sha256').toString(),
			key: createPublicKey(key.toString('pkcs8')),
		};
	} catch (error) {
		throw new UsageError(`that is no SSH public key that can be used${adviceFor(line)}`, {cause: error});
	}
	const {type: kind, bits} = parsed;
	if (kind === 'curve25519') {
		throw new UsageError('that key is for agreeing on keys, not for signing');
	}
	if (kind === 'rsa' && bits < leastRsaBits) {
		throw new UsageError(`an RSA key of ${bits} bits is no protection: at least ${leastRsaBits}`);
	}
	return {...parsed, type: kind, comment, line: [type, data, ...(comment === '' ? [] : [comment])].join(' ')};
}

/** A file of them. Empty lines and those that begin with `#` are passed over. */
export async function readSshKeys(text: string): Promise<SshKeys> {
	const keys: SshKey[] = [];
	const faults: string[] = [];
	for (const [index, line] of text
		.replace(/^\uFEFF/, '')
		.split(/\r?\n|\r/)
		.entries()) {
		if (line.trim() === '' || line.trimStart().startsWith('#')) {
			continue;
		}
		try {
			keys.push(await readSshKey(line));
		} catch (error) {
			if (!(error instanceof UsageError)) {
				throw error;
			}
			faults.push(`line ${index + 1}: ${error.message}`);
		}
	}
	return {keys, faults};
}

function adviceFor(line: string): string {
	if (line.includes('PRIVATE KEY')) {
		return ': it is a private one, which nobody else should have; take the file that ends in .pub';
	}
	if (/^\s*(?:sk-|[\w-]+-cert-)/.test(line)) {
		return ': neither certificates nor keys in hardware tokens can sign HTTP requests';
	}
	return /\s(?:ssh|ecdsa)-[\w-]+\s/.test(line) ? ': options in front of the key are not understood' : '';
}
