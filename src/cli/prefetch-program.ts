/**
 * What can be typed to fetch images ahead: `prefetch` with its selection, `prefetch rules` and `prefetch run`.
 *
 * `program.ts` hangs it below its own. What it does is loaded when it is run.
 */
import {Option, type Command} from 'commander';
import {systemClock} from '../host.js';
import {placeOf, readCount, readRate, readSince, readSize, several, withServer, type Place} from './common-flags.js';
import type {CliIo} from './io.js';
import {prefetchHelp, prefetchRulesHelp, prefetchRunHelp} from './keep-help.js';
import type {Done} from './see-program.js';

interface Shown extends Place {
	readonly json?: true;
}

interface Fetching extends Shown {
	readonly name?: readonly string[];
	readonly version?: string;
	readonly os?: readonly string[];
	readonly type?: readonly string[];
	readonly owner?: readonly string[];
	readonly source?: readonly string[];
	readonly newest?: number;
	readonly since?: string;
	readonly maxSize?: number;
	readonly rule?: string;
	readonly dryRun?: true;
	readonly bandwidth?: number;
	readonly concurrent?: number;
	readonly quiet?: true;
}

export function addPrefetchCommands(program: Command, io: CliIo, done: Done): void {
	const prefetch = withServer(program.command('prefetch'))
		.description('Fetch images before anybody asks for them.')
		.helpCommand('help [command]', 'print help for a command')
		.enablePositionalOptions()
		.argument('[uuid...]', 'these images, or the first digits of each')
		.option('--name <glob>', 'of that name, such as "base-*"; may be repeated', several)
		.option('--version <range>', 'of such a version: a range as npm has them, or a glob')
		.option('--os <os>', 'smartos, linux and their like; may be repeated', several)
		.option('--type <type>', 'zone-dataset, zvol and their like; may be repeated', several)
		.option('--owner <uuid>', 'whose they are; may be repeated', several)
		.option('--source <name>', 'from that source; may be repeated', several)
		.addOption(new Option('--newest <number>', 'so many of each name, the last published').argParser(readCount))
		.addOption(
			new Option('--since <time>', 'published since a date, or within a duration such as 30d').argParser(
				(text: string) => readSince(text, (io.clock ?? systemClock).now()),
			),
		)
		.addOption(new Option('--max-size <size>', 'no more than that altogether, the newest first').argParser(readSize))
		.option('--rule <name>', 'what that rule of the configuration wants')
		.option('--dry-run', 'only say what would be fetched, and how long it would take')
		.addOption(new Option('--bandwidth <rate>', 'no faster than that, such as "10 MB/s"').argParser(readRate))
		.addOption(new Option('--concurrent <number>', 'so many at once (default: a few)').argParser(readCount))
		.option('-q, --quiet', 'show no progress')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', prefetchHelp)
		.action(async (uuids: readonly string[], options: Fetching) => {
			const {prefetch: fetchAhead} = await import('./prefetch.js');
			const {name, version, os, type, owner, source: sources, newest, since, maxSize, rule} = options;
			const {dryRun = false, bandwidth, concurrent, quiet = false, json = false} = options;
			done(
				await fetchAhead(
					{
						where: placeOf(options, io),
						selection: {
							...{uuids, name, version, os, type, owner, sources, newest},
							...{publishedSince: since, maxBytes: maxSize, rule},
						},
						...{dryRun, bytesPerSecond: bandwidth, concurrent, quiet, json},
					},
					io,
				),
			);
		});

	withServer(prefetch.command('rules'))
		.description('Show the rules of the configuration, and how far each is.')
		.option('-j, --json', 'print them as JSON')
		.addHelpText('after', prefetchRulesHelp)
		.action(async (options: Shown) => {
			const {listRules} = await import('./prefetch-rules.js');
			done(await listRules({where: placeOf(options, io), json: options.json ?? false}, io));
		});

	withServer(prefetch.command('run'))
		.description('Have the server run a rule now, whatever its schedule says.')
		.argument('<rule>', 'its name')
		.addHelpText('after', prefetchRunHelp)
		.action(async (rule: string, options: Place) => {
			const {runRule} = await import('./prefetch-rules.js');
			done(await runRule({where: placeOf(options, io), rule}, io));
		});
}
