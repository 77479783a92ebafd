/**
 * What every command line begins with, and `serve`, which needs no more of it.
 *
 * The other commands are most of what can be typed: `program.ts` adds them, and is not loaded for a mirror that starts.
 */
import {Command, CommanderError} from 'commander';
import type {ConfigRequest} from '../config.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {generalHelp, serveHelp} from './program-help.js';

export interface ServeActions {
	serve(request: ConfigRequest): Promise<number>;
}

/** The flags of commands that have a configuration. */
interface Options {
	readonly config?: string;
	readonly listen?: readonly string[];
	readonly data?: string;
	readonly source?: readonly string[];
	readonly publicUrl?: string;
	readonly basePath?: string;
	readonly logLevel?: string;
	readonly logFormat?: string;
}

/** Runs what `argv` says. `create` is given what is to be told the exit code. Rejects with what the action throws. */
export async function runProgram(
	argv: readonly string[],
	create: (done: (exitCode: number) => void) => Command,
): Promise<number> {
	let code: number = exitCodes.ok;
	const program = create(exitCode => {
		code = exitCode;
	});
	try {
		await program.parseAsync(helpAsFlag(argv, program), {from: 'user'});
	} catch (error) {
		if (!(error instanceof CommanderError)) {
			throw error;
		}
		// Help that was asked for is no failure; help instead of a missing command is.
		return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
	}
	return code;
}

/** `help prefetch run` as `prefetch run --help`: commander's own looks one word deep, and says nothing of a wrong one. */
function helpAsFlag(argv: readonly string[], program: Command): readonly string[] {
	const [first, ...words] = argv;
	const [name] = words;
	if (first !== 'help' || name === undefined || name.startsWith('-') || name === 'help') {
		return argv;
	}
	return program.commands.some(command => command.name() === name) ? [...words, '--help'] : [name];
}

/** No other command than `serve`. */
export function createServeProgram(actions: ServeActions, io: CliIo, done: (exitCode: number) => void): Command {
	const program = newProgram(io);
	addServeCommand(program, actions, io, done);
	return withPointers(program);
}

/** Without commands. */
export function newProgram(io: CliIo): Command {
	return (
		new Command('imgmirror')
			.description('A caching image server for SmartOS: one catalog out of many sources, every file verified.')
			.version(`imgmirror ${io.version}`, '-V, --version', 'print the version')
			.helpOption('-h, --help', 'print help')
			.helpCommand('help [command]', 'print help for a command')
			// What stands behind a command is the command's: --version is an image's there.
			.enablePositionalOptions()
			.exitOverride()
			.configureOutput({
				writeOut: text => void io.stdout.write(text),
				writeErr: text => void io.stderr.write(text),
				outputError: (text, write) => write(text.replace(/^error: /, 'imgmirror: ')),
			})
			.addHelpText('after', generalHelp)
	);
}

export function addServeCommand(
	program: Command,
	actions: ServeActions,
	io: CliIo,
	done: (exitCode: number) => void,
): void {
	program.commandsGroup('Running it:');
	withConfiguration(program.command('serve'))
		.description('Run the mirror until it is told to stop.')
		.addHelpText('after', serveHelp)
		.action(actionOf(request => actions.serve(request), io, done));
}

/** What a command with a configuration does. */
export function actionOf(
	action: (request: ConfigRequest) => Promise<number>,
	io: CliIo,
	done: (exitCode: number) => void,
): (options: Options) => Promise<void> {
	return async options => {
		done(await action(requestFrom(options, io)));
	};
}

/** To be called when all commands are there. */
export function withPointers(program: Command): Command {
	pointToHelp(program, 'imgmirror help');
	// Only here, where there are many: what stands behind each is in its own help.
	return program.configureHelp({subcommandTerm: command => command.name()});
}

/** What is missing or unknown is said with where to read what may stand there. */
function pointToHelp(command: Command, line: string): void {
	command.showHelpAfterError(`("${line}" says what may stand there)`);
	for (const one of command.commands) {
		pointToHelp(one, `${line} ${one.name()}`);
	}
}

export function withConfiguration(command: Command): Command {
	const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
	return command
		.option('-c, --config <file>', 'the configuration, a JSON file (IMGMIRROR_CONFIG)')
		.option(
			'-l, --listen <address>',
			'HOST:PORT, [IPV6]:PORT, PORT or unix:PATH; may be repeated (IMGMIRROR_LISTEN)',
			several,
		)
		.option('-d, --data <directory>', 'where everything is kept (IMGMIRROR_DATA)')
		.option(
			'-s, --source <url>',
			'URL or NAME=URL, instead of the configured sources; may be repeated (IMGMIRROR_SOURCES)',
			several,
		)
		.option('--public-url <url>', 'what clients call this mirror (IMGMIRROR_PUBLIC_URL)')
		.option('--base-path <path>', 'what all our paths begin with (IMGMIRROR_BASE_PATH)')
		.option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent (IMGMIRROR_LOG_LEVEL)')
		.option('--log-format <format>', 'auto, text or json (IMGMIRROR_LOG_FORMAT)');
}

function requestFrom({config, source, ...flags}: Options, io: CliIo): ConfigRequest {
	return {
		file: config,
		env: io.env,
		flags: {...flags, ...(source === undefined ? {} : {sources: source})},
		directory: io.directory,
	};
}
