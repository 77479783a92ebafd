/**
 * What can be typed after `imgmirror user`: who may publish, and how they show who they are.
 *
 * `program.ts` hangs this below its own commands. What a command does is in `user-actions.ts`, which is loaded only
 * when one is run.
 */
import {InvalidArgumentError, type Command} from 'commander';
import type {ConfigRequest} from '../config.js';
import type {CliIo} from './io.js';
import type {AddOptions, UserActions} from './user-actions.js';

interface Place {
	readonly config?: string;
	readonly data?: string;
}

type Act = (actions: UserActions) => Promise<void>;

/** Adds the group. Actions throw what `runCli` knows how to say; ConfigError, CommanderError or any MirrorError. */
export function userCommands(program: Command, io: CliIo): Command {
	const user = program
		.command('user')
		.description('Who may log in, and what they may do.')
		.helpCommand('help [command]', 'print help for a command')
		.addHelpText('after', userHelp);

	const run = async (place: Place, act: Act): Promise<void> => {
		const {UserActions: Actions} = await import('./user-actions.js');
		await act(new Actions(io, requestFrom(place, io)));
	};

	withPlace(user.command('add'))
		.description('Let somebody log in.')
		.argument('<name>', 'letters, digits, ".", "_", "@" and "-"', readName)
		.option('--may <rights>', 'read, private, publish, operate, with commas between (default: none)', readRights)
		.option('--password-stdin', 'read the password from a pipe')
		.option('--hash-stdin', 'read a hash from a pipe: bcrypt, from the configuration of an older server')
		.option('--no-password', 'do not ask for a password: for keys and tokens only')
		.addHelpText('after', addHelp)
		.action((name: string, options: Place & AddOptions) => run(options, actions => actions.add(name, options)));

	withPlace(user.command('list'))
		.description('Print who there is.')
		.option('-j, --json', 'as JSON')
		.addHelpText('after', listHelp)
		.action((options: Place & {json?: true}) => run(options, actions => actions.list(options.json === true)));

	withPlace(user.command('passwd'))
		.description('Give somebody another password.')
		.argument('<name>', 'whose', readName)
		.option('--password-stdin', 'read the password from a pipe')
		.option('--hash-stdin', 'read a hash from a pipe')
		.addHelpText('after', passwdHelp)
		.action((name: string, options: Place & AddOptions) => run(options, actions => actions.passwd(name, options)));

	withPlace(user.command('may'))
		.description('Change what somebody may do.')
		.argument('<name>', 'who', readName)
		.argument('<rights>', 'read, private, publish, operate, with commas between; none', readRights)
		.addHelpText('after', mayHelp)
		.action((name: string, rights: readonly string[], options: Place) =>
			run(options, actions => actions.may(name, rights)),
		);

	const key = user
		.command('key')
		.description('SSH keys that somebody signs requests with.')
		.helpCommand('help [command]', 'print help for a command')
		.addHelpText('after', keyHelp);
	withPlace(key.command('add'))
		.description('Add public keys, one a line.')
		.argument('<name>', 'whose', readName)
		.argument('[file]', 'id_ed25519.pub or its like; - for a pipe', '-')
		.addHelpText('after', keyHelp)
		.action((name: string, file: string, options: Place) => run(options, actions => actions.keyAdd(name, file)));
	withPlace(key.command('list'))
		.description('Print fingerprints.')
		.argument('<name>', 'whose', readName)
		.addHelpText('after', keyHelp)
		.action((name: string, options: Place) => run(options, actions => actions.keyList(name)));
	withPlace(key.command('remove'))
		.description('Take keys away.')
		.argument('<name>', 'whose', readName)
		.argument('<key>', 'a fingerprint as "key list" prints it, a file of public keys, or - for a pipe')
		.addHelpText('after', keyHelp)
		.action((name: string, which: string, options: Place) => run(options, actions => actions.keyRemove(name, which)));

	const token = user
		.command('token')
		.description('Tokens: passwords for programs, made here.')
		.helpCommand('help [command]', 'print help for a command')
		.addHelpText('after', tokenHelp);
	withPlace(token.command('add'))
		.description('Make one and print it, this once.')
		.argument('<name>', 'whose', readName)
		.argument('[label]', 'what it is for', readLabel, 'token')
		.addHelpText('after', tokenHelp)
		.action((name: string, label: string, options: Place) => run(options, actions => actions.tokenAdd(name, label)));
	withPlace(token.command('list'))
		.description('Print their labels.')
		.argument('<name>', 'whose', readName)
		.addHelpText('after', tokenHelp)
		.action((name: string, options: Place) => run(options, actions => actions.tokenList(name)));
	withPlace(token.command('remove'))
		.description('Take one away.')
		.argument('<name>', 'whose', readName)
		.argument('<label>', 'which')
		.addHelpText('after', tokenHelp)
		.action((name: string, label: string, options: Place) => run(options, actions => actions.tokenRemove(name, label)));

	withPlace(user.command('remove'))
		.description('Let somebody log in no more.')
		.argument('<name>', 'who', readName)
		.addHelpText('after', removeHelp)
		.action((name: string, options: Place) => run(options, actions => actions.remove(name)));
	return user;
}

function withPlace(command: Command): Command {
	return command
		.option('-c, --config <file>', 'the configuration, a JSON file (IMGMIRROR_CONFIG)')
		.option('-d, --data <directory>', 'where everything is kept (IMGMIRROR_DATA)');
}

function requestFrom({config, data}: Place, io: CliIo): ConfigRequest {
	return {file: config, env: io.env, flags: data === undefined ? {} : {data}, directory: io.directory};
}

function readName(name: string): string {
	if (!/^[\w.@-]{1,64}$/.test(name)) {
		throw new InvalidArgumentError('a user name has up to 64 letters, digits, ".", "_", "@" and "-".');
	}
	return name;
}

const known: readonly string[] = ['read', 'private', 'publish', 'operate'];

function readRights(text: string): readonly string[] {
	const words = text.split(/[\s,]+/).filter(word => word !== '' && word !== 'none');
	const unknown = words.find(word => !known.includes(word));
	if (unknown !== undefined || text.trim() === '') {
		throw new InvalidArgumentError(`rights are ${known.join(', ')}, with commas between, or none.`);
	}
	return [...new Set(words)];
}

function readLabel(label: string): string {
	if (!/^[^\p{Cc}]{1,64}$/u.test(label) || label.trim() !== label) {
		throw new InvalidArgumentError('a label is up to 64 characters on one line.');
	}
	return label;
}

const rightsHelp = `
Rights:
  read     lists, manifests and files; everybody has it unless the configuration
           takes it away
  private  the same of images that are not public
  publish  make images, and change one's own; brings private
  operate  everything; brings publish`;

const exitHelp = `
Exit codes:
  0  done
  1  it could not be done, for instance because there is no such user
  2  the command line or the configuration is wrong`;

const userHelp = `
Users are kept in users.json in the data directory. A mirror that runs there takes
a change over within a second or two; none needs to run.

Examples:
  imgmirror user add alice --may publish
  echo "$PASSWORD" | imgmirror user add ci --may publish --password-stdin
  imgmirror user key add alice ~/.ssh/id_ed25519.pub
  imgmirror user token add ci "build server"
  imgmirror user list
  imgmirror user help add
${exitHelp}`;

const addHelp = `${rightsHelp}

Without one of the last three options, a terminal is asked for a password. Nothing
keeps it in clear. A compute node logs in with it by its source URL:
  imgadm sources -a http://alice:PASSWORD@mirror/

Examples:
  imgmirror user add alice --may publish
  echo "$PASSWORD" | imgmirror user add ci --may publish,operate --password-stdin
  echo '$2a$10$…' | imgmirror user add bob --may publish --hash-stdin
${exitHelp}`;

const listHelp = `
Examples:
  imgmirror user list
  imgmirror user list --json --data /var/imgmirror
${exitHelp}`;

const passwdHelp = `
Examples:
  imgmirror user passwd alice
  echo "$PASSWORD" | imgmirror user passwd alice --password-stdin
${exitHelp}`;

const mayHelp = `${rightsHelp}

Examples:
  imgmirror user may alice publish,operate
  imgmirror user may alice none
${exitHelp}`;

const keyHelp = `
Keys are public ones as OpenSSH writes them: RSA, ECDSA, Ed25519 or DSA. Clients
show them by HTTP Signature. Files in the folder keys of the data directory, one
named NAME.keys for each user, do as well.

Examples:
  imgmirror user key add alice ~/.ssh/id_ed25519.pub
  ssh alice@build cat .ssh/id_rsa.pub | imgmirror user key add alice -
  imgmirror user key list alice
  imgmirror user key remove alice SHA256:jXr2…
${exitHelp}`;

const tokenHelp = `
A token stands in for user and password: as "Authorization: Bearer TOKEN", or as
the user in a URL, http://TOKEN@mirror/. It is printed once and kept as a hash.

Examples:
  imgmirror user token add ci "build server" > token
  imgmirror user token list ci
  imgmirror user token remove ci "build server"
${exitHelp}`;

const removeHelp = `
Images stay as they are. Keys of the same name in the folder keys, or in the
configuration, go on to be good.

Example:
  imgmirror user remove alice
${exitHelp}`;
