/**
 * What can be typed to fetch images ahead: `prefetch` with its selection, `prefetch rules` and `prefetch run`.
 *
 * `program.ts` hangs it below its own. What it does is loaded when it is run.
 */
import {Option, type Command} from 'commander';
import {placeOf, readCount, readRate, withChoosing, withServer, type Place} from './common-flags.js';
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
	const prefetch = withChoosing(
		withServer(program.command('prefetch'))
			.description('Fetch images before anybody asks for them.')
			.helpCommand('help [command]', 'print help for a command')
			.enablePositionalOptions()
			.argument('[uuid...]', 'these images, or the first digits of each'),
		io,
		'--since',
	)
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
