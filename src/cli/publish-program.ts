/**
 * What publishers can type: `publish`, `import-image`, `adopt`, `manifest` and `lint`, with their flags.
 *
 * `program.ts` hangs them below its own. The help texts are in `publish-help.ts`, what the commands do is loaded when
 * one is run.
 */
import {Option, type Command} from 'commander';
import type {Compression} from '../image/manifest.js';
import type {AdoptOptions} from './adopt.js';
import {placeOf, readDuration, several, withServer, type Place} from './common-flags.js';
import type {ImageFlags} from './image-flags.js';
import type {CliIo} from './io.js';
import type {LintOptions, ManifestOptions} from './manifest-commands.js';
import {adoptHelp, importImageHelp, lintHelp, manifestHelp, publishHelp} from './publish-help.js';
import type {PublishOptions} from './publish.js';
import {shellWords} from './shell-words.js';
import {commandLineError} from './target.js';

/** Each resolves with the exit code. */
export interface PublishActions {
	publish(options: PublishOptions): Promise<number>;
	writeManifest(options: ManifestOptions): Promise<number>;
	lint(options: LintOptions): Promise<number>;
	adopt(options: AdoptOptions): Promise<number>;
}

interface Sending extends Place {
	readonly channel?: string;
	readonly check: boolean;
	readonly retryFor: number;
	readonly quiet?: true;
	readonly json?: true;
}

interface Publishing extends Sending, ImageFlags {
	readonly compression?: Compression;
	readonly icon?: string;
	readonly activate: boolean;
	readonly resume: boolean;
}

/** Actions throw what `runCli` knows how to say. */
export function addPublishCommands(
	program: Command,
	actions: PublishActions,
	io: CliIo,
	done: (exitCode: number) => void,
): void {
	withSending(withImage(withServer(program.command('publish'))))
		.description('Make an image of a file, or of what is piped in, and print its uuid.')
		.argument('[file]', 'the file of the image; - or nothing for a pipe')
		.option('--icon <file>', 'a picture: PNG, JPEG or GIF')
		.option('--no-activate', 'leave it unactivated: nobody sees it in a list')
		.option('--no-resume', 'neither go on with an earlier upload nor leave one to go on with')
		.addHelpText('after', publishHelp)
		.action(async (file: string | undefined, options: Publishing) => {
			done(
				await actions.publish({
					...sendingOf(options, io),
					file,
					flags: options,
					compression: options.compression,
					icon: options.icon,
					activate: options.activate,
					resume: options.resume,
				}),
			);
		});

	withSending(withServer(program.command('import-image')))
		.description('Make an image of the zfs stream that is piped in, as the script of that name did.')
		.argument('[name]', 'of the image')
		.argument('[version]', 'of the image')
		.argument('[description]', 'of the image')
		.option('--no-public', 'hide it from those who may not see what is private')
		.addHelpText('after', importImageHelp)
		.action(
			async (
				name: string | undefined,
				version: string | undefined,
				description: string | undefined,
				options: Sending & {readonly public: boolean},
			) => {
				const words = name === undefined ? wordsOfSsh(io) : [name, version, description];
				done(await actions.publish(importOf(words, options, io)));
			},
		);

	withServer(program.command('adopt'))
		.description('Take over the images that an older server kept in a directory of this machine.')
		.argument('<directory>', 'of smartos-image-server, dsapid, sdc-imgapi or imgapi')
		.option('--link', 'make hard links instead of copies, where it is one filesystem')
		.addOption(new Option('--move', 'move the files: what is adopted is gone from there').conflicts('link'))
		.option('--dry-run', 'only say what would be done')
		.option('-q, --quiet', 'show no progress')
		.option('-j, --json', 'print the report as JSON')
		.addHelpText('after', adoptHelp)
		.action(
			async (
				directory: string,
				options: Place & Readonly<Record<'link' | 'move' | 'dryRun' | 'quiet' | 'json', true | undefined>>,
			) => {
				const {link, move, dryRun = false, quiet = false, json = false} = options;
				const how = link === true ? 'link' : move === true ? 'move' : 'copy';
				done(await actions.adopt({where: placeOf(options, io), directory, how, dryRun, quiet, json}));
			},
		);

	withImage(withServer(program.command('manifest')))
		.description('Print the manifest of a file, or that of an image of a server.')
		.argument('[file]', 'the file of the image; - for a pipe')
		.option('--from <uuid>', 'of this image of the server, instead of a file')
		.option('-C, --channel <name>', 'the channel to look in, with --from')
		.option('-o, --output <file>', 'write it there')
		.option('-q, --quiet', 'show no progress')
		.addHelpText('after', manifestHelp)
		.action(
			async (file: string | undefined, options: Publishing & {readonly from?: string; readonly output?: string}) => {
				const {compression, from, channel, output, quiet = false} = options;
				const where = placeOf(options, io);
				done(await actions.writeManifest({where, file, flags: options, compression, from, channel, output, quiet}));
			},
		);

	program
		.command('lint')
		.description('Look manifests over: what no server takes, and what is unwise.')
		.argument('<file...>', 'manifests; - for a pipe')
		.addOption(new Option('--mode <mode>', 'what the server takes').choices(['any', 'public', 'private']))
		.option('--strict', 'warnings and advice are reason enough to fail')
		.option('-j, --json', 'print the findings as JSON')
		.addHelpText('after', lintHelp)
		.action(
			async (files: readonly string[], options: {mode?: 'any' | 'public' | 'private'; strict?: true; json?: true}) => {
				const {mode, strict = false, json = false} = options;
				done(await actions.lint({files, mode, strict, json}));
			},
		);
}

function withSending(command: Command): Command {
	return command
		.option('-C, --channel <name>', 'the channel of the server to publish to')
		.option('--no-check', 'take what is sent even if it looks cut off')
		.addOption(
			new Option('--retry-for <duration>', 'how long to go on trying while nothing gets through')
				.argParser(readDuration)
				.default(3_600_000, '1h'),
		)
		.option('-q, --quiet', 'show no progress')
		.option('-j, --json', 'print the manifest instead of the uuid');
}

function withImage(command: Command): Command {
	return command
		.option('--name <name>', 'of the image')
		.option('--version <version>', 'of the image')
		.option('--description <text>', 'what it is')
		.option('--os <os>', 'smartos, linux, windows, bsd, illumos or other (default: smartos)')
		.option('--type <type>', 'zone-dataset, lx-dataset, zvol or other (default: zone-dataset)')
		.option('--origin <uuid>', 'the image that it is an increment to')
		.option('--public', 'let everybody see it')
		.option('--uuid <uuid>', 'instead of a new one')
		.option('--owner <uuid>', 'whose it is said to be')
		.option('--homepage <url>', 'where to read about it')
		.option('--requirement <key=value>', 'such as min_ram=512 or brand=lx; may be repeated', several)
		.option('--tag <key=value>', 'may be repeated', several)
		.option('-m, --manifest <file>', 'begin with this manifest, as imgadm create writes it; flags go before it')
		.addOption(
			new Option('--compression <how>', 'of the file (default: what its first bytes say)').choices([
				'none',
				'gzip',
				'bzip2',
				'xz',
			]),
		);
}

function sendingOf(
	options: Sending,
	io: CliIo,
): Pick<PublishOptions, 'where' | 'channel' | 'check' | 'retryForMs' | 'quiet' | 'json'> {
	const {channel, check, retryFor, quiet = false, json = false} = options;
	return {where: placeOf(options, io), channel, check, retryForMs: retryFor, quiet, json};
}

function importOf(
	words: readonly (string | undefined)[],
	options: Sending & {readonly public: boolean},
	io: CliIo,
): PublishOptions {
	const [name, version, description] = words;
	if (name === undefined || version === undefined || description === undefined || words.length !== 3) {
		throw commandLineError(['expected NAME VERSION DESCRIPTION, the last one in quotes']);
	}
	return {
		...sendingOf(options, io),
		file: '-',
		// As it was there: all that was imported was for everybody.
		flags: {name, version, description, public: options.public},
		compression: undefined,
		icon: undefined,
		activate: true,
		resume: false,
	};
}

/** Of a forced command, sshd says what the client typed as one text: `[…/]import-image NAME VERSION DESCRIPTION`. */
function wordsOfSsh({env}: CliIo): readonly string[] {
	const words = shellWords(env['SSH_ORIGINAL_COMMAND'] ?? '') ?? [];
	const at = words.findIndex(word => /(?:^|\/)import-image$/.test(word));
	const rest = at === -1 ? [] : words.slice(at + 1);
	return rest[0] === '--' ? rest.slice(1) : rest;
}
