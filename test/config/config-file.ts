/**
 * Configurations for tests: written to a file, read back, or refused.
 */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {ConfigError} from '../../src/errors.js';
import {readConfig, type Config, type Flags} from '../../src/config.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';

export interface Around {
	readonly env?: Readonly<Record<string, string>>;
	readonly flags?: Flags;
	/** Where the file is; a new directory unless given. */
	readonly directory?: string;
}

/** The file's path. `content` is its text, or what it is to hold as JSON. */
export async function configFile(t: Scope, content: unknown, directory?: string): Promise<string> {
	const file = join(directory ?? (await tempDir(t)), 'config.json');
	writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
	return file;
}

export async function configOf(t: Scope, content: unknown, around: Around = {}): Promise<Config> {
	const {env = {}, flags = {}, directory} = around;
	return readConfig({file: await configFile(t, content, directory), env, flags});
}

/** The lines of the ConfigError that reading it throws; none if it is fine. */
export async function faultsOf(t: Scope, content: unknown, around: Around = {}): Promise<readonly string[]> {
	try {
		await configOf(t, content, around);
		return [];
	} catch (error) {
		if (!(error instanceof ConfigError)) {
			throw error;
		}
		return error.faults;
	}
}
