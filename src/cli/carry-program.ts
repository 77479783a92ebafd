/**
 * What can be typed to carry images by hand: `import`, `have` and `key` with what stands behind it.
 *
 * `program.ts` hangs them below its own, between `export` and `bundle`. What a command does is loaded when it is run.
 */
import type {Command} from 'commander';
import {
	haveHelp,
	importHelp,
	keyHelp,
	keyListHelp,
	keyNewHelp,
	keyShowHelp,
	keyTrustHelp,
	keyUntrustHelp,
} from './carry-help.js';
import {placeOf, withServer, type Place} from './common-flags.js';
import type {CliIo} from './io.js';
import type {Done} from './see-program.js';

interface Shown extends Place {
	readonly json?: true;
}

interface Importing extends Shown {
	readonly allowUnsigned?: true;
	readonly key?: string;
	readonly dryRun?: true;
	readonly quiet?: true;
}

export function addCarryCommands(program: Command, io: CliIo, done: Done): void {
	withServer(program.command('import'))
		.description('Take in the images of a bundle that was carried here.')
		.argument('<bundle...>', 'folders, tars or parts of one; - for a pipe')
		.option('--allow-unsigned', 'also what nobody has signed, or somebody whose key is not trusted')
		.option('--key <key>', 'trust this key for once: its line, or a file that it stands in')
		.option('--dry-run', 'read and check everything, and keep nothing')
		.option('-q, --quiet', 'show no progress')
		.option('-j, --json', 'print the report as JSON')
		.addHelpText('after', importHelp)
		.action(async (bundles: readonly string[], options: Importing) => {
			const {allowUnsigned = false, key, dryRun = false, quiet = false, json = false} = options;
			const {importBundles} = await import('./import.js');
			done(await importBundles({where: placeOf(options, io), bundles, allowUnsigned, key, dryRun, quiet, json}, io));
		});

	withServer(program.command('have'))
		.description('Print what is here, so that the next bundle brings only the rest.')
		.option('--to <file>', 'write it there (default: print it)')
		.addHelpText('after', haveHelp)
		.action(async (options: Place & {readonly to?: string}) => {
			const {have} = await import('./have.js');
			done(await have({where: placeOf(options, io), to: options.to}, io));
		});

	addKeys(program, io, done);
}

function addKeys(program: Command, io: CliIo, done: Done): void {
	const key = program
		.command('key')
		.description('The key that bundles are signed with, and those that are trusted.')
		.helpCommand('help [command]', 'print help for a command')
		.addHelpText('after', keyHelp);
	const shown = (options: Shown): {where: ReturnType<typeof placeOf>; json: boolean} => ({
		where: placeOf(options, io),
		json: options.json ?? false,
	});

	withServer(key.command('new'))
		.description('Make the key that bundles are signed with from now on, and print its public line.')
		.option('--comment <text>', 'what the far side calls it (default: imgmirror@HOST)')
		.option('--replace', 'also if there is one: the far side has to trust the new one then')
		.option('-j, --json', 'print it as JSON')
		.addHelpText('after', keyNewHelp)
		.action(async (options: Shown & {readonly comment?: string; readonly replace?: true}) => {
			const {comment, replace = false} = options;
			const {newKey} = await import('./keys.js');
			done(await newKey({...shown(options), comment, replace}, io));
		});

	withServer(key.command('show'))
		.description('Print the public line of the key that bundles are signed with.')
		.option('-j, --json', 'print it as JSON')
		.addHelpText('after', keyShowHelp)
		.action(async (options: Shown) => {
			const {showKey} = await import('./keys.js');
			done(await showKey(shown(options), io));
		});

	withServer(key.command('list'))
		.description('List the keys whose bundles are taken.')
		.option('-j, --json', 'print them as JSON')
		.addHelpText('after', keyListHelp)
		.action(async (options: Shown) => {
			const {listKeys} = await import('./keys.js');
			done(await listKeys(shown(options), io));
		});

	withServer(key.command('trust'))
		.description('Take bundles that were signed with a key.')
		.argument('<key...>', 'the line that "key show" prints, a file that it stands in, or - for a pipe')
		.option('-j, --json', 'print the outcome as JSON')
		.addHelpText('after', keyTrustHelp)
		.action(async (keys: readonly string[], options: Shown) => {
			const {trustKeys} = await import('./keys.js');
			done(await trustKeys({...shown(options), keys}, io));
		});

	withServer(key.command('untrust'))
		.description('Take bundles that were signed with a key no more.')
		.argument('<which>', 'its fingerprint or its comment, as "key list" prints them')
		.addHelpText('after', keyUntrustHelp)
		.action(async (which: string, options: Place) => {
			const {untrustKey} = await import('./keys.js');
			done(await untrustKey({where: placeOf(options, io), which}, io));
		});
}
