/**
 * The folder of SSH keys: `<user>.keys`, one public key a line, as sdc-imgapi keeps them.
 *
 * Operators write these files with an editor, or copy them from an older server. What cannot be used is reported and
 * passed over; it takes no key away from anybody else.
 */
import {readFile, readdir, stat} from 'node:fs/promises';
import path from 'node:path';
import {codeOf, describe} from '../errors.js';
import {readSshKeys, type SshKey} from './ssh-keys.js';
import {userNamePattern} from './users-file.js';

export interface FolderKeys {
	readonly users: ReadonlyMap<string, readonly SshKey[]>;
	readonly faults: readonly string[];
}

const ending = '.keys';
const mostBytes = 1024 * 1024;

/** A folder that is not there has none. Throws where it cannot be read. */
export async function readKeyFolder(folder: string): Promise<FolderKeys> {
	const users = new Map<string, readonly SshKey[]>();
	const faults: string[] = [];
	for (const name of await keyFiles(folder)) {
		const file = path.join(folder, name);
		const user = name.slice(0, -ending.length);
		if (!userNamePattern.test(user)) {
			faults.push(`${file}: ${JSON.stringify(user)} is no user name`);
			continue;
		}
		try {
			if ((await stat(file)).size > mostBytes) {
				faults.push(`${file}: too large to be a file of keys`);
				continue;
			}
			const read = await readSshKeys(await readFile(file, 'utf8'));
			users.set(user, read.keys);
			faults.push(...read.faults.map(fault => `${file}, ${fault}`));
		} catch (error) {
			faults.push(`${file} cannot be read: ${describe(error)}`);
		}
	}
	return {users, faults};
}

/** Changes whenever what `readKeyFolder` gives may have changed. */
export async function keyFolderState(folder: string): Promise<string> {
	const files = await keyFiles(folder);
	return (await Promise.all(files.map(async name => `${name} ${await fileState(path.join(folder, name))}`))).join('\n');
}

/** Changes whenever the file's content may have changed. */
export async function fileState(file: string): Promise<string> {
	try {
		const {ino, size, mtimeNs, ctimeNs} = await stat(file, {bigint: true});
		return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
	} catch (error) {
		return codeOf(error) ?? describe(error);
	}
}

async function keyFiles(folder: string): Promise<readonly string[]> {
	try {
		return (await readdir(folder)).filter(name => name.endsWith(ending) && !name.startsWith('.#')).sort();
	} catch (error) {
		if (codeOf(error) === 'ENOENT') {
			return [];
		}
		throw error;
	}
}
