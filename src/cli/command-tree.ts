/**
 * All that can be typed, as plain data: read from commander's own tree, for completions and the man page.
 */
import type {Argument, Command, Help, Option} from 'commander';

/** What may stand in a place. */
export type Values =
	{readonly kind: 'file' | 'directory' | 'any'} | {readonly kind: 'words'; readonly words: readonly string[]};

export interface Flag {
	readonly short: string | undefined;
	readonly long: string | undefined;
	/** As help writes it: `-j, --json`. */
	readonly flags: string;
	readonly description: string;
	/** `undefined`: nothing stands behind it. */
	readonly value: {readonly name: string; readonly values: Values} | undefined;
	readonly default: string | undefined;
	readonly repeatable: boolean;
}

export interface Place {
	readonly name: string;
	readonly description: string;
	readonly required: boolean;
	readonly variadic: boolean;
	readonly values: Values;
}

export interface CommandNode {
	/** Without the program's own: `['images', 'list']`. */
	readonly path: readonly string[];
	readonly description: string;
	readonly flags: readonly Flag[];
	readonly places: readonly Place[];
	readonly commands: readonly CommandNode[];
	/** The one that is meant where none is named. */
	readonly usual: string | undefined;
	/** What its help says below the flags. */
	readonly notes: string;
}

/** What places are called where a path may stand; of a key, its line may as well. */
const fileNames: ReadonlySet<string> = new Set(['file', 'bundle', 'where', 'key']);

/** commander keeps this to itself. */
const usualCommands: ReadonlyMap<string, string> = new Map([['images', 'list']]);

export function treeOf(program: Command): CommandNode {
	return nodeOf(program, [], []);
}

/** It and all below it, in the order of help. */
export function nodesOf(node: CommandNode): readonly CommandNode[] {
	return [node, ...node.commands.flatMap(nodesOf)];
}

/** Its own, and those of the command that is meant where none is named. */
export function flagsOf({flags, commands, usual}: CommandNode): readonly Flag[] {
	const further = commands.find(({path}) => path.at(-1) === usual)?.flags ?? [];
	return [...flags, ...further.filter(({flags: name}) => !flags.some(own => own.flags === name))];
}

function nodeOf(command: Command, path: readonly string[], siblings: readonly string[]): CommandNode {
	const help = command.createHelp();
	const commands = help.visibleCommands(command);
	const names = commands.map(one => one.name()).filter(name => name !== 'help');
	const isHelp = path.at(-1) === 'help';
	return {
		path,
		description: command.description(),
		flags: help.visibleOptions(command).map(option => flagOf(option, help)),
		places: command.registeredArguments.map(place => placeOf(place, help, isHelp ? siblings : undefined)),
		commands: commands.map(one => nodeOf(one, [...path, one.name()], names)),
		usual: usualCommands.get(path.join(' ')),
		notes: notesOf(command),
	};
}

function flagOf(option: Option, help: Help): Flag {
	const name = /[<[]([^>\]]+)/.exec(option.flags)?.[1];
	return {
		short: option.short,
		long: option.long,
		flags: option.flags,
		description: help.optionDescription(option),
		value: name === undefined ? undefined : {name, values: valuesOf(name, option.argChoices)},
		default: option.defaultValueDescription,
		repeatable: option.description.includes('may be repeated'),
	};
}

function placeOf(place: Argument, help: Help, words: readonly string[] | undefined): Place {
	const name = place.name();
	return {
		name,
		description: help.argumentDescription(place),
		required: place.required,
		variadic: place.variadic,
		values: valuesOf(name, words ?? place.argChoices),
	};
}

function valuesOf(name: string, words: readonly string[] | undefined): Values {
	if (words !== undefined) {
		return {kind: 'words', words};
	}
	return {kind: name === 'directory' ? name : fileNames.has(name) ? 'file' : 'any'};
}

/** The text that was added to help: commander gives it only with all the rest before it. */
function notesOf(command: Command): string {
	let text = '';
	const before = command.configureOutput();
	command.configureOutput({
		writeOut: part => {
			text += part;
		},
	});
	command.outputHelp();
	command.configureOutput(before);
	return text.slice(command.helpInformation().length).trim();
}
