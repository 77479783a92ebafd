/**
 * A directory of its own for each test.
 *
 * Tests ask for as many as they like; each goes away, with all that is in it, when its test ends.
 */
import {mkdtemp, realpath, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

/** What the helpers need of a test: AVA's `t` has it. */
export interface Scope {
	teardown(run: () => Promise<void> | void): void;
}

export async function tempDir(t: Scope): Promise<string> {
	const directory = await mkdtemp(join(await realpath(tmpdir()), 'imgmirror-test-'));
	t.teardown(async () => {
		// A process that the same test started may be writing its last file yet.
		await rm(directory, {recursive: true, force: true, maxRetries: 5, retryDelay: 20});
	});
	return directory;
}
