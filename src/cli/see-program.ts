/**
 * What can be typed to see how the mirror fares: `status`, `images`, `transfers`, `sources`, `refresh` and `log`.
 *
 * `program.ts` hangs them below its own. What a command does is loaded when it is run.
 */
import {Option, type Command} from 'commander';
import {placeOf, readCount, withServer, type Place} from './common-flags.js';
import {columnNames, usualColumns, usualOrder} from './image-columns.js';
import {filterNames} from './image-filters.js';
import type {CliIo} from './io.js';
import {
	imagesHelp,
	imagesListHelp,
	imagesShowHelp,
	logHelp,
	refreshHelp,
	sourcesHelp,
	statusHelp,
	transfersHelp,
} from './see-help.js';

/** Told the exit code of a command. */
export type Done = (exitCode: number) => void;

interface Shown extends Place {
	readonly json?: true;
}

/** Filters that are flags as well. */
const filterFlags = ['name', 'version', 'os', 'type', 'owner', 'state', 'source'] as const;

interface Listed extends Shown, Readonly<Partial<Record<(typeof filterFlags)[number], string>>> {
	readonly output: string;
	readonly sort: string;
	readonly skipHeader?: true;
	readonly parsable?: true;
	readonly all?: true;
}

export function addSeeCommands(program: Command, io: CliIo, done: Done): void {
	withServer(program.command('status'))
		.description('Show how the mirror fares: sources, images, disk, transfers, failures.')
		.option('--check', 'only say what is not well, for cron and monitoring')
		.option('-q, --quiet', 'with --check: print nothing where all is well')
		.option('-j, --json', 'print it as JSON')
		.addHelpText('after', statusHelp)
		.action(async (options: Shown & {readonly check?: true; readonly quiet?: true}) => {
			const {check = false, quiet = false, json = false} = options;
			const {showStatus} = await import('./status.js');
			done(await showStatus({where: placeOf(options, io), check, quiet, json}, io));
		});

	addImages(program, io, done);

	withServer(program.command('transfers'))
		.description('Show the files that are on their way.')
		.option('-w, --watch', 'go on showing them until Ctrl-C')
		.option('-j, --json', 'print them as JSON')
		.addHelpText('after', transfersHelp)
		.action(async (options: Shown & {readonly watch?: true}) => {
			const {watch = false, json = false} = options;
			const {showTransfers} = await import('./transfers.js');
			done(await showTransfers({where: placeOf(options, io), watch, json}, io));
		});

	withServer(program.command('sources'))
		.description('Show where images come from, and how each source fares.')
		.option('-j, --json', 'print them as JSON')
		.addHelpText('after', sourcesHelp)
		.action(async (options: Shown) => {
			const {listSources} = await import('./sources.js');
			done(await listSources({where: placeOf(options, io), json: options.json ?? false}, io));
		});

	withServer(program.command('refresh'))
		.description('Ask sources for their lists now.')
		.argument('[source...]', 'names of sources (default: all)')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', refreshHelp)
		.action(async (sources: readonly string[], options: Shown) => {
			const {refresh} = await import('./sources.js');
			done(await refresh({where: placeOf(options, io), sources, json: options.json ?? false}, io));
		});

	withServer(program.command('log'))
		.description("Show the server's log.")
		.option('-f, --follow', 'go on with what comes, until Ctrl-C')
		.addOption(new Option('-n, --lines <number>', 'so many of the last lines').argParser(readCount))
		.addOption(
			new Option('-l, --level <level>', 'only lines of that level and above').choices([
				...['trace', 'debug', 'info', 'warn', 'error', 'fatal'],
			]),
		)
		.option('-j, --json', 'print lines as the server has written them')
		.addHelpText('after', logHelp)
		.action(async (options: Shown & {readonly follow?: true; readonly lines?: number; readonly level?: string}) => {
			const {follow = false, lines, level, json = false} = options;
			const {showLog} = await import('./log.js');
			done(await showLog({where: placeOf(options, io), follow, lines, level, json}, io));
		});
}

function addImages(program: Command, io: CliIo, done: Done): void {
	const images = program
		.command('images')
		.description('List images, or show one.')
		.helpCommand('help [command]', 'print help for a command')
		.enablePositionalOptions()
		.addHelpText('after', imagesHelp);

	const list = withServer(images.command('list', {isDefault: true}))
		.description('List the images that the mirror knows, in the columns of "imgadm avail".')
		.argument('[filter...]', 'NAME=VALUE, as IMGAPI has them')
		.option('-o, --output <columns>', 'these columns, with commas between', usualColumns)
		.option('-s, --sort <columns>', 'in the order of these', usualOrder)
		.option('-H, --skip-header', 'print no heads')
		.option('-p, --parsable', 'for programs: fields with ":" between, sizes in bytes, no heads')
		.option('-a, --all', 'also what nobody is offered')
		.option('-j, --json', 'print them as JSON');
	for (const name of filterFlags) {
		list.option(`--${name} <value>`, `the same as the filter ${name}=VALUE`);
	}
	list
		.addHelpText('after', imagesListHelp(columnNames, filterNames))
		.action(async (filters: readonly string[], options: Listed) => {
			const {listImages} = await import('./images-list.js');
			const flags = filterFlags.flatMap(name => (options[name] === undefined ? [] : [`${name}=${options[name]}`]));
			const {output, sort, skipHeader = false, parsable = false, all = false, json = false} = options;
			done(
				await listImages(
					{
						where: placeOf(options, io),
						filters: [...filters, ...flags],
						columns: output,
						order: sort,
						header: !skipHeader,
						...{parsable, all, json},
					},
					io,
				),
			);
		});

	withServer(images.command('show'))
		.description('Show all that the mirror knows of an image.')
		.argument('<uuid>', 'which, or the first digits of it')
		.option('-j, --json', 'print it as JSON')
		.addHelpText('after', imagesShowHelp)
		.action(async (uuid: string, options: Shown) => {
			const {showImage} = await import('./images-show.js');
			done(await showImage({where: placeOf(options, io), uuid, json: options.json ?? false}, io));
		});
}
