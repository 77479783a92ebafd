/**
 * A command line to an exit code.
 *
 * The door of this room: `main.ts` calls it with the real process, tests with a stand-in. What the user did wrong is
 * said on stderr here; failures of a running mirror are the commands' own to report.
 */
import {ConfigError, MirrorError, describe} from '../errors.js';
import {InterruptedError} from './client-errors.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {createServeProgram, runProgram} from './program-base.js';
import type {Actions} from './program.js';
import {printable} from './words.js';

export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
	try {
		if (argv[0] === 'serve') {
			// Nothing else of what can be typed is loaded: a mirror that starts has clients who wait.
			return await runProgram(argv, done => createServeProgram(actionsOf(io), io, done));
		}
		const {createProgram} = await import('./program.js');
		return await runProgram(argv, done => createProgram(actionsOf(io), io, done));
	} catch (error) {
		if (error instanceof ConfigError) {
			io.stderr.write(`imgmirror: ${error.message}\n${error.faults.map(fault => `  ${fault}\n`).join('')}`);
			return exitCodes.usage;
		}
		if (error instanceof InterruptedError) {
			// Whoever ends what would go on for ever knows that it has ended.
			io.stderr.write(error.message === '' ? '' : `imgmirror: ${error.message}\n`);
			return exitCodes.interrupted;
		}
		const text = error instanceof MirrorError || !(error instanceof Error) ? describe(error) : error.stack;
		io.stderr.write(`imgmirror: ${harmless(text ?? describe(error))}\n`);
		return exitCodes.failure;
	}
}

function actionsOf(io: CliIo): Actions {
	return {
		async serve(request) {
			const {serve} = await import('./serve.js');
			return serve(request, io);
		},
		async configCheck(request) {
			const {configCheck} = await import('./config-commands.js');
			return configCheck(request, io);
		},
		async configShow(request) {
			const {configShow} = await import('./config-commands.js');
			return configShow(request, io);
		},
		async configExample() {
			const {configExample} = await import('./config-commands.js');
			return configExample(io);
		},
		async publish(options) {
			const {publish} = await import('./publish.js');
			return publish(options, io);
		},
		async writeManifest(options) {
			const {writeManifest} = await import('./manifest-commands.js');
			return writeManifest(options, io);
		},
		async lint(options) {
			const {lint} = await import('./manifest-commands.js');
			return lint(options, io);
		},
		async adopt(options) {
			const {adopt} = await import('./adopt.js');
			return adopt(options, io);
		},
	};
}

/** What a server says of a failure must not take hold of the terminal. Several lines are several lines. */
function harmless(text: string): string {
	return text.split('\n').map(printable).join('\n');
}
