/**
 * What can be typed: commands, flags and their help. commander has its only door here.
 *
 * Flags are handed to the configuration's reader as they are: it knows what may stand in them, and says it in the same
 * words as for the file.
 */
import {Command, CommanderError} from 'commander';
import type {ConfigRequest} from '../config.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';

/** What each command does, with the request for its configuration already made. Resolves with the exit code. */
export interface Actions {
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
	const act = (action: (request: ConfigRequest) => Promise<number> | number) => {
		return async (options: Options): Promise<void> => {
			code = await action(requestFrom(options, io));
		};
	};

	const program = new Command('imgmirror')
		.description('A caching image server for SmartOS: one catalog out of many sources, every file verified.')
		.version(`imgmirror ${io.version}`, '-V, --version', 'print the version')
		.helpOption('-h, --help', 'print help')
		.helpCommand('help [command]', 'print help for a command')
		.exitOverride()
		.configureOutput({
			writeOut: text => void io.stdout.write(text),
			writeErr: text => void io.stderr.write(text),
			outputError: (text, write) => write(text.replace(/^error: /, 'imgmirror: ')),
		})
		.addHelpText('after', generalHelp);

	withConfiguration(program.command('serve'))
		.description('Run the mirror until it is told to stop.')
		.addHelpText('after', serveHelp)
		.action(act(request => actions.serve(request)));

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

	try {
		await program.parseAsync(argv, {from: 'user'});
	} catch (error) {
		if (!(error instanceof CommanderError)) {
			throw error;
		}
		// Help that was asked for is no failure; help instead of a missing command is.
		return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
	}
	return code;
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

const generalHelp = `
Without a configuration, "imgmirror serve" fronts the public image servers, keeps
what it fetches in ./data and listens on 127.0.0.1:8080.

Examples:
  imgmirror serve
  imgmirror serve --config /etc/imgmirror.json
  imgmirror config check --config /etc/imgmirror.json
  imgmirror help serve

Exit codes:
  0  all went well
  1  it could not be done, for instance because the port is taken
  2  the command line or the configuration is wrong`;

const overriding = `
A flag goes before its environment variable, that before the file, that before the
defaults. No file is read unless it is named. Relative paths in a file begin at its
own directory.`;

const serveHelp = `${overriding}

Signals:
  HUP        read the configuration again; a faulty one changes nothing
  TERM, INT  stop: let answers finish, suspend transfers so that they resume;
             a second one stops at once

Examples:
  imgmirror serve
  imgmirror serve --listen 0.0.0.0:80 --data /var/imgmirror
  imgmirror serve --listen 8080 --listen unix:/run/imgmirror.sock
  imgmirror serve --source https://images.smartos.org --source lab=http://10.0.0.5/datasets

Exit codes:
  0  it was told to stop, and did
  1  it could not start (the port or the data directory is taken), failed, or was
     told twice to stop
  2  the command line or the configuration is wrong`;

const configHelp = `
Examples:
  imgmirror config check --config /etc/imgmirror.json
  imgmirror config example > /etc/imgmirror.json
  imgmirror config help show

Exit codes:
  0  all went well
  2  the command line or the configuration is wrong`;

const checkHelp = `${overriding}

Example:
  imgmirror config check --config /etc/imgmirror.json && svcadm refresh imgmirror

Exit codes:
  0  there are no faults
  2  there are: one line for each of them`;

const showHelp = `${overriding}

Passwords are masked. What comes from a flag or a variable has a comment that says so.

Example:
  imgmirror config show --source https://images.smartos.org

Exit codes:
  0  printed
  2  the configuration has faults`;

const exampleHelp = `
Example:
  imgmirror config example > /etc/imgmirror.json

Exit codes:
  0  printed`;
