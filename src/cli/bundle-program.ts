/**
 * What can be typed to look at a bundle where no mirror is: `bundle inspect` and `bundle verify`.
 *
 * `program.ts` hangs them below its own. What a command does is loaded when it is run.
 */
import type {Command} from 'commander';
import {bundleHelp, bundleInspectHelp, bundleVerifyHelp} from './bundle-help.js';
import type {CliIo} from './io.js';
import type {Done} from './see-program.js';

export function addBundleCommands(program: Command, io: CliIo, done: Done): void {
	const bundle = program
		.command('bundle')
		.description('Look at a bundle, or read all of it and check it. No server is needed.')
		.helpCommand('help [command]', 'print help for a command')
		.addHelpText('after', bundleHelp);

	bundle
		.command('inspect')
		.description('List the images of a bundle, and who has signed it.')
		.argument('<bundle...>', 'folders, tars or parts of one; - for a pipe')
		.option('-j, --json', 'print it as JSON')
		.addHelpText('after', bundleInspectHelp)
		.action(async (bundles: readonly string[], options: {readonly json?: true}) => {
			const {inspectBundles} = await import('./bundle-inspect.js');
			done(await inspectBundles({bundles, json: options.json ?? false}, io));
		});

	bundle
		.command('verify')
		.description('Read all of a bundle, and check every digest and the signature.')
		.argument('<bundle...>', 'folders, tars or parts of one; - for a pipe')
		.option('--key <key>', 'it must be signed with this key: its line, or a file that it stands in')
		.option('-q, --quiet', 'show no progress')
		.option('-j, --json', 'print the report as JSON')
		.addHelpText('after', bundleVerifyHelp)
		.action(
			async (
				bundles: readonly string[],
				options: {readonly key?: string; readonly quiet?: true; readonly json?: true},
			) => {
				const {key, quiet = false, json = false} = options;
				const {verifyBundles} = await import('./bundle-verify.js');
				done(await verifyBundles({bundles, key, quiet, json}, io));
			},
		);
}
