/** Programs of the system that a test talks to: where one is missing, the test says so and passes. */
import {existsSync} from 'node:fs';
import path from 'node:path';
import type {ExecutionContext} from 'ava';

const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];

export function has(t: ExecutionContext, ...programs: readonly string[]): boolean {
	const missing = programs.filter(name => !folders.some(folder => existsSync(path.join(folder, name))));
	if (missing.length > 0) {
		t.log(`skipped: this machine has no ${missing.join(' and no ')}`);
		t.pass();
	}
	return missing.length === 0;
}
