/**
 * What can be typed to write images as a bundle: `export`.
 *
 * `program.ts` hangs it below its own. What it does is loaded when it is run.
 */
import {InvalidArgumentError, Option, type Command} from 'commander';
import {largestFatFile} from '../airgap/write-options.js';
import {placeOf, readSize, several, withChoosing, withServer, type Place} from './common-flags.js';
import {exportHelp} from './export-help.js';
import type {CliIo} from './io.js';
import type {Done} from './see-program.js';

interface Exported extends Place {
	readonly to?: string;
	readonly split?: number;
	readonly all?: true;
	readonly channel?: string;
	readonly name?: readonly string[];
	readonly version?: string;
	readonly os?: readonly string[];
	readonly type?: readonly string[];
	readonly owner?: readonly string[];
	readonly source?: readonly string[];
	readonly newest?: number;
	readonly publishedSince?: string;
	readonly maxSize?: number;
	readonly rule?: string;
	readonly origins: boolean;
	readonly since?: readonly string[];
	readonly have?: readonly string[];
	readonly replace?: true;
	readonly dryRun?: true;
	readonly quiet?: true;
	readonly json?: true;
}

export function addExportCommand(program: Command, io: CliIo, done: Done): void {
	withChoosing(
		withServer(program.command('export'))
			.description('Write images as a bundle, to be carried to a mirror that no line goes to.')
			.argument('[uuid...]', 'these images, or the first digits of each')
			.option('--to <where>', 'a folder, NAME.tar, or - for a pipe')
			.addOption(
				new Option('--split <size>', 'a tar in parts of at most that size: "fat", "4 GB", "650 MiB"').argParser(
					readPartSize,
				),
			)
			.option('--all', 'everything that is here')
			.option('--channel <name>', 'what is in that channel'),
		io,
		'--published-since',
	)
		.option('--no-origins', 'without the images that they are built upon')
		.option('--since <bundle>', 'only what is not in that earlier bundle; may be repeated', several)
		.option('--have <file>', 'only what is not there where "imgmirror have" wrote it; may be repeated', several)
		.option('--replace', 'also if there is another bundle of that name, which goes then')
		.option('--dry-run', 'only say what would go, and what has to be fetched for it')
		.option('-q, --quiet', 'show no progress')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', exportHelp)
		.action(async (uuids: readonly string[], options: Exported) => {
			const {exportImages} = await import('./export.js');
			const {name, version, os, type, owner, source: sources, newest, publishedSince, maxSize, rule} = options;
			const {to, split, all = false, channel, origins, since = [], have = []} = options;
			const {replace = false, dryRun = false, quiet = false, json = false} = options;
			done(
				await exportImages(
					{
						where: placeOf(options, io),
						selection: {
							...{uuids, name, version, os, type, owner, sources, newest, publishedSince},
							...{maxBytes: maxSize, rule},
						},
						...{channel, all, origins, to, split, since, have, replace, dryRun, quiet, json},
					},
					io,
				),
			);
		});
}

/** `fat`, and 4 GiB in any way of writing it, are the most that FAT can hold. */
function readPartSize(text: string): number {
	const bytes = /^(?:fat(?:32)?|4 ?gi?)$/i.test(text.trim()) ? largestFatFile : readSize(text);
	if (bytes === 0) {
		throw new InvalidArgumentError('a part has one byte or more.');
	}
	return bytes === largestFatFile + 1 ? largestFatFile : bytes;
}
