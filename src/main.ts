#!/usr/bin/env node
/**
 * argv to a command, its outcome to an exit code.
 *
 * The only place that touches the process itself; everything it starts gets what it needs from here.
 */
import {readFileSync} from 'node:fs';
import {networkInterfaces} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {exitCodes} from './cli/exit-codes.js';
import {runCli} from './cli/run.js';
import {startWithSmallHeap} from './main-heap.js';

for (const stream of [process.stdout, process.stderr]) {
	// `imgmirror help | head -1`, a terminal that went away, a log on a full disk: no reason to stop a mirror.
	stream.on('error', (error: NodeJS.ErrnoException) => {
		if (stream === process.stdout && error.code !== 'EPIPE') {
			process.on('exit', code => {
				failUnprinted(code, error);
			});
		}
	});
}

// The one command that stays, and has clients who wait for it.
const heap = process.argv[2] === 'serve' ? startWithSmallHeap() : undefined;

process.exitCode = await runCli(process.argv.slice(2), {
	// Only when asked for: opening it starts to read.
	get stdin() {
		return process.stdin;
	},
	stdout: process.stdout,
	stderr: process.stderr,
	env: process.env,
	directory: process.cwd(),
	version: ownVersion(dirname(fileURLToPath(import.meta.url))),
	process,
	...(heap === undefined ? {} : {heap}),
	exit: code => process.exit(code),
	networkInterfaces,
});
// A handle that somebody forgot must not keep a service manager waiting.
setTimeout(() => process.exit(), 1000).unref();

/** What was done is done, but who asked for its outcome did not get it. */
function failUnprinted(code: number, {message}: Error): void {
	if (code === exitCodes.ok && process.exitCode !== exitCodes.failure) {
		process.stderr.write(`imgmirror: what was to be printed could not be: ${message}\n`);
		process.exitCode = exitCodes.failure;
	}
}

/** From the package.json above, however deep the build has put us. */
function ownVersion(directory: string): string {
	try {
		const {name, version} = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Record<
			string,
			unknown
		>;
		if (name === 'imgmirror' && typeof version === 'string') {
			return version;
		}
	} catch {
		// Not here: further up.
	}
	const above = dirname(directory);
	return above === directory ? 'of unknown version' : ownVersion(above);
}
