/**
 * What can be typed about what stays on the disk and what is offered: `evict`, `pin`, `unpin`, `du`, `verify`, `hold`,
 * `release` and `held`.
 *
 * `program.ts` hangs them below its own. What a command does is loaded when it is run.
 */
import {Option, type Command} from 'commander';
import {placeOf, readCount, readRate, withServer, type Place} from './common-flags.js';
import type {EachOptions} from './each-image.js';
import type {CliIo} from './io.js';
import {duHelp, evictHelp, heldHelp, holdHelp, pinHelp, releaseHelp, unpinHelp, verifyHelp} from './keep-help.js';
import type {Done} from './see-program.js';

interface Shown extends Place {
	readonly json?: true;
}

export function addKeepCommands(program: Command, io: CliIo, done: Done): void {
	const each = (uuids: readonly string[], options: Shown): EachOptions => ({
		...{where: placeOf(options, io), uuids},
		json: options.json ?? false,
	});

	withImages(program.command('evict'))
		.description('Take files of images from the disk.')
		.option('--force', 'also what a rule wants, another image is built upon, or nobody offers any more')
		.option('--dry-run', 'only say what would be done')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', evictHelp)
		.action(async (uuids: readonly string[], options: Shown & {readonly force?: true; readonly dryRun?: true}) => {
			const {force = false, dryRun = false} = options;
			const {evict} = await import('./evict.js');
			done(await evict({...each(uuids, options), force, dryRun}, io));
		});

	withImages(program.command('pin'))
		.description('Keep images, with their origins, until they are unpinned.')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', pinHelp)
		.action(async (uuids: readonly string[], options: Shown) => {
			const {pin} = await import('./pins.js');
			done(await pin(each(uuids, options), io));
		});

	withImages(program.command('unpin'))
		.description('Let pinned images go when room is needed.')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', unpinHelp)
		.action(async (uuids: readonly string[], options: Shown) => {
			const {unpin} = await import('./pins.js');
			done(await unpin(each(uuids, options), io));
		});

	withServer(program.command('du'))
		.description('Show what the disk holds, what would go next, and why.')
		.option('-a, --all', 'all files, not only the first of each table')
		.addOption(
			new Option('-n, --lines <number>', 'so many lines of each table (default: 10)')
				.argParser(readCount)
				.conflicts('all'),
		)
		.option('-j, --json', 'print it as JSON')
		.addHelpText('after', duHelp)
		.action(async (options: Shown & {readonly all?: true; readonly lines?: number}) => {
			const {all = false, lines = 10, json = false} = options;
			const {showStorage} = await import('./du.js');
			done(await showStorage({where: placeOf(options, io), lines: all ? Infinity : lines, json}, io));
		});

	withServer(program.command('verify'))
		.description('Read files again and compare them with what they should be.')
		.argument('[uuid...]', 'of these images, or the first digits of each (default: all files)')
		.addOption(new Option('--rate <rate>', 'read no faster, such as "50 MB/s" (default: no limit)').argParser(readRate))
		.option('-q, --quiet', 'show no progress')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', verifyHelp)
		.action(async (uuids: readonly string[], options: Shown & {readonly rate?: number; readonly quiet?: true}) => {
			const {rate, quiet = false} = options;
			const {verify} = await import('./verify.js');
			done(await verify({...each(uuids, options), bytesPerSecond: rate, quiet}, io));
		});

	withImages(program.command('hold'))
		.description('Offer images to nobody until they are released.')
		.option('--note <text>', 'why, for whoever looks')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', holdHelp)
		.action(async (uuids: readonly string[], options: Shown & {readonly note?: string}) => {
			const {hold} = await import('./holds.js');
			done(await hold({...each(uuids, options), note: options.note}, io));
		});

	withImages(program.command('release'))
		.description('Offer images that are held back, with their origins.')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', releaseHelp)
		.action(async (uuids: readonly string[], options: Shown) => {
			const {release} = await import('./holds.js');
			done(await release(each(uuids, options), io));
		});

	withServer(program.command('held'))
		.description('Show the images that are held back, and why.')
		.option('-j, --json', 'print them as JSON')
		.addHelpText('after', heldHelp)
		.action(async (options: Shown) => {
			const {listHeld} = await import('./holds.js');
			done(await listHeld({where: placeOf(options, io), json: options.json ?? false}, io));
		});
}

function withImages(command: Command): Command {
	return withServer(command).argument('<uuid...>', 'the images, or the first digits of each');
}
