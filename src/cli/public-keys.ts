/**
 * Public keys as they are typed: a line in quotes or not, a file that holds some, or a pipe.
 */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {parsePublicKey} from '../airgap/signature.js';
import {MirrorError, describe} from '../errors.js';
import type {CliIo} from './io.js';
import {readPiped} from './password-input.js';

/** What a line of OpenSSH's begins with, whatever kind of key it is. */
const keyKind = /^(?:ssh|ecdsa|sk)-[\w.@-]+$/;

/** Each a line that is one. Throws MirrorError for what is none, or cannot be read. */
export async function publicKeysOf(words: readonly string[], io: CliIo): Promise<readonly string[]> {
	const [first = ''] = words;
	if (keyKind.test(first.trim().split(/\s/)[0] ?? '')) {
		// A line without quotes comes as several words.
		return keysIn(words.join(' '), 'the command line');
	}
	const keys: string[] = [];
	for (const word of words) {
		if (word.trim() === '') {
			// What a shell makes of a command that has failed.
			throw new MirrorError('expected a public key, got nothing');
		}
		const text = word === '-' ? await readPiped(io.stdin) : await fileText(resolve(io.directory, word));
		keys.push(...keysIn(text, word === '-' ? 'what was piped in' : word));
	}
	return keys;
}

async function fileText(path: string): Promise<string> {
	try {
		return await readFile(path, 'utf8');
	} catch (error) {
		throw new MirrorError(
			`${path} cannot be read: ${describe(error)}; expected a file with a public key, or its line, "ssh-ed25519 AAAA…"`,
			{cause: error},
		);
	}
}

function keysIn(text: string, where: string): readonly string[] {
	if (text.includes('PRIVATE KEY-----')) {
		throw new MirrorError(
			`${where} is a private key, and that goes nowhere: what is wanted is its public line, ` +
				'which "imgmirror key show" prints',
		);
	}
	const lines = text
		.replace(/^\uFEFF/u, '')
		.split(/\r?\n/)
		.map(line => line.trim())
		.filter(line => line !== '' && !line.startsWith('#'));
	if (lines.length === 0) {
		throw new MirrorError(`there is no key in ${where}`);
	}
	return lines.map(line => {
		try {
			return parsePublicKey(line).line;
		} catch (error) {
			throw new MirrorError(`${where}: ${describe(error)}`, {cause: error});
		}
	});
}
