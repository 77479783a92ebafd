/**
 * What can be typed: commands, flags and their help. commander has its door here and in the files beside.
 *
 * Flags are handed to the configuration's reader as they are: it knows what may stand in them, and says it in the same
 * words as for the file. Commands for publishers are in `publish-program.ts`, those for operators in `see-program.ts`,
 * `keep-program.ts` and `prefetch-program.ts`, those about bundles in `export-program.ts`, `carry-program.ts` and
 * `bundle-program.ts`, those about users in `user-commands.ts`.
 */
import {Command, CommanderError} from 'commander';
import type {ConfigRequest} from '../config.js';
import {addBundleCommands} from './bundle-program.js';
import {addCarryCommands} from './carry-program.js';
import {addCompletionCommand} from './completion-program.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {addExportCommand} from './export-program.js';
import {addKeepCommands} from './keep-program.js';
import {addPrefetchCommands} from './prefetch-program.js';
import {checkHelp, configHelp, exampleHelp, generalHelp, serveHelp, showHelp} from './program-help.js';
import {addPublishCommands, type PublishActions} from './publish-program.js';
import {addSeeCommands} from './see-program.js';
import {userCommands} from './user-commands.js';

/** What each command does, with the request for its configuration already made. Resolves with the exit code. */
export interface Actions extends PublishActions {
	serve(request: ConfigRequest): Promise<number>;
	configCheck(request: ConfigRequest): number;
	configShow(request: ConfigRequest): number;
	configExample(): number;
}

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

/** Runs what `argv` says. Rejects with whatever the action throws. */
export async function runProgram(argv: readonly string[], actions: Actions, io: CliIo): Promise<number> {
	let code: number = exitCodes.ok;
	const program = createProgram(actions, io, exitCode => {
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

/** Every command that there is. `done` is told what the one that is run ends with. */
export function createProgram(actions: Actions, io: CliIo, done: (exitCode: number) => void): Command {
	const act = (action: (request: ConfigRequest) => Promise<number> | number) => {
		return async (options: Options): Promise<void> => {
			done(await action(requestFrom(options, io)));
		};
	};

	const program = new Command('imgmirror')
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
		.addHelpText('after', generalHelp);

	program.commandsGroup('Running it:');
	withConfiguration(program.command('serve'))
		.description('Run the mirror until it is told to stop.')
		.addHelpText('after', serveHelp)
		.action(act(request => actions.serve(request)));

	program.commandsGroup('Seeing how it fares:');
	addSeeCommands(program, io, done);
	program.commandsGroup('What is kept, and what is offered:');
	addPrefetchCommands(program, io, done);
	addKeepCommands(program, io, done);
	program.commandsGroup('Publishing:');
	addPublishCommands(program, actions, io, done);
	program.commandsGroup('Carrying images by hand:');
	addExportCommand(program, io, done);
	addCarryCommands(program, io, done);
	addBundleCommands(program, io, done);
	program.commandsGroup('Setting up:');
	userCommands(program, io);

	const config = program
		.command('config')
		.description('Look at the configuration without running it.')
		.helpCommand('help [command]', 'print help for a command')
		.addHelpText('after', configHelp);
	withConfiguration(config.command('check'))
		.description('Report every fault of the configuration.')
		.addHelpText('after', checkHelp)
		.action(act(request => actions.configCheck(request)));
	withConfiguration(config.command('show'))
		.description('Print the configuration as it would be used: defaults, file, environment and flags together.')
		.addHelpText('after', showHelp)
		.action(act(request => actions.configShow(request)));
	config
		.command('example')
		.description('Print a configuration file with every key, its default and a comment.')
		.addHelpText('after', exampleHelp)
		.action(act(() => actions.configExample()));

	addCompletionCommand(program, io, done);
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

function withConfiguration(command: Command): Command {
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
