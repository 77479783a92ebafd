/**
 * What can be typed: commands, flags and their help. commander has its door here and in the files beside.
 *
 * Flags are handed to the configuration's reader as they are: it knows what may stand in them, and says it in the same
 * words as for the file. Commands for publishers are in `publish-program.ts`, those for operators in `see-program.ts`,
 * `keep-program.ts` and `prefetch-program.ts`, those about bundles in `export-program.ts`, `carry-program.ts` and
 * `bundle-program.ts`, those about users in `user-commands.ts`.
 */
import type {Command} from 'commander';
import type {ConfigRequest} from '../config.js';
import {addBundleCommands} from './bundle-program.js';
import {addCarryCommands} from './carry-program.js';
import {addCompletionCommand} from './completion-program.js';
import {addExportCommand} from './export-program.js';
import type {CliIo} from './io.js';
import {addKeepCommands} from './keep-program.js';
import {addPrefetchCommands} from './prefetch-program.js';
import {
	actionOf,
	addServeCommand,
	newProgram,
	withConfiguration,
	withPointers,
	type ServeActions,
} from './program-base.js';
import {checkHelp, configHelp, exampleHelp, showHelp} from './program-help.js';
import {addPublishCommands, type PublishActions} from './publish-program.js';
import {addSeeCommands} from './see-program.js';
import {userCommands} from './user-commands.js';

/** What each command does, with the request for its configuration already made. Resolves with the exit code. */
export interface Actions extends PublishActions, ServeActions {
	configCheck(request: ConfigRequest): Promise<number>;
	configShow(request: ConfigRequest): Promise<number>;
	configExample(): Promise<number>;
}

/** Every command that there is. `done` is told what the one that is run ends with. */
export function createProgram(actions: Actions, io: CliIo, done: (exitCode: number) => void): Command {
	const act = (action: (request: ConfigRequest) => Promise<number>): ReturnType<typeof actionOf> =>
		actionOf(action, io, done);
	const program = newProgram(io);
	addServeCommand(program, actions, io, done);

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
	return withPointers(program);
}
