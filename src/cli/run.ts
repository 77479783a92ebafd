/**
 * A command line to an exit code.
 *
 * The door of this room: `main.ts` calls it with the real process, tests with a stand-in. What the user did wrong is
 * said on stderr here; failures of a running mirror are the commands' own to report.
 */
import {ConfigError, MirrorError, describe} from '../errors.js';
import {InterruptedError} from './client-errors.js';
import {configCheck, configExample, configShow} from './config-commands.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {runProgram} from './program.js';
import {printable} from './words.js';

export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
	try {
		return await runProgram(
			argv,
			{
				async serve(request) {
					const {serve} = await import('./serve.js');
					return serve(request, io);
				},
				configCheck: request => configCheck(request, io),
				configShow: request => configShow(request, io),
				configExample: () => configExample(io),
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
			},
			io,
		);
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

/** What a server says of a failure must not take hold of the terminal. Several lines are several lines. */
function harmless(text: string): string {
	return text.split('\n').map(printable).join('\n');
}
