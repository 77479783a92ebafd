/**
 * The man page imgmirror(8), in mdoc: chapters written by hand around all commands and flags as commander has them.
 *
 * `scripts/man.mjs` writes it to `man/`; a test compares the two. Only characters of ASCII come out, and no line of it
 * is longer than a terminal is wide.
 */
import type {CommandNode, Flag, Place} from './command-tree.js';
import {nodesOf} from './command-tree.js';
import {afterCommands, beforeCommands} from './man-chapters.js';
import {exits, prefixHelp, serverHelp} from './see-help.js';

export function manPage(tree: CommandNode): string {
	const commands = nodesOf(tree).filter(({path}) => path.length > 0 && path.at(-1) !== 'help');
	return [
		...beforeCommands,
		'.Sh COMMANDS',
		...text('Every command takes --help, and "imgmirror help COMMAND" says the same as this page does.'),
		...commands.flatMap(commandLines),
		...afterCommands,
		'',
	].join('\n');
}

function commandLines(node: CommandNode): readonly string[] {
	const flags = node.flags.filter(({long}) => long !== '--help');
	return [
		`.Ss imgmirror ${node.path.join(' ')}`,
		'.Nm imgmirror',
		`.Cm ${node.path.join(' ')}`,
		...(flags.length === 0 ? [] : ['.Op Ar flags']),
		...(node.commands.length === 0 ? [] : [node.places.length > 0 ? '.Op Ar command' : '.Ar command']),
		...node.places.map(placeLine),
		'.Pp',
		...text(node.description),
		...(node.usual === undefined ? [] : text(`Without a command, ${node.usual} is meant.`)),
		...listed(node.places.map(place => ({term: `Ar ${place.name}`, about: place.description}))),
		...listed(flags.map(flag => ({term: termOf(flag), about: flag.description}))),
		...notesOf(node),
	];
}

function placeLine({name, required, variadic}: Place): string {
	const argument = `Ar ${name}${variadic ? ' ...' : ''}`;
	return required ? `.${argument}` : `.Op ${argument}`;
}

/** `Fl u , Fl -url Ar url` */
function termOf({short, long, value}: Flag): string {
	const names = [short, long].flatMap(name => (name === undefined ? [] : [`Fl ${name.slice(1)}`]));
	return names.join(' , ') + (value === undefined ? '' : ` Ar ${value.name}`);
}

function listed(items: readonly {readonly term: string; readonly about: string}[]): readonly string[] {
	if (items.length === 0) {
		return [];
	}
	return ['.Bl -tag -width Ds', ...items.flatMap(({term, about}) => [`.It ${term}`, ...text(about)]), '.El'];
}

/** Without what the chapters say once for all commands. */
function notesOf({notes}: CommandNode): readonly string[] {
	const own = [serverHelp, prefixHelp, exits].reduce((rest, common) => rest.replace(common.trim(), ''), notes);
	return own
		.split(/\n\s*\n/)
		.map(block => block.replace(/^\n+/, '').trimEnd())
		.filter(block => block !== '')
		.flatMap(blockLines);
}

/** What is indented in help stays as it is; the rest is text. */
function blockLines(block: string): readonly string[] {
	const lines = block.split('\n');
	const out: string[] = ['.Pp'];
	let at = 0;
	while (at < lines.length) {
		const isLiteral = lines[at]?.startsWith('  ') === true;
		const from = at;
		while (at < lines.length && lines[at]?.startsWith('  ') === isLiteral) {
			at++;
		}
		const part = lines.slice(from, at);
		out.push(...(isLiteral ? literal(part) : text(part.join(' '))));
	}
	// A display begins a paragraph of its own.
	return out[1] === displayBegin ? out.slice(1) : out;
}

const displayBegin = '.Bd -literal -offset indent';

export function literal(lines: readonly string[]): readonly string[] {
	return [displayBegin, ...lines.map(line => guarded(exact(line.replace(/^ {2}/, '')))), '.Ed'];
}

const widest = 76;

/** Each sentence on a line of its own, as roff wants them, and none too long. */
export function text(words: string): readonly string[] {
	return words
		.replaceAll(/\s+/g, ' ')
		.trim()
		.split(/(?<=[.!?:])\s+(?=["A-Z])/)
		.flatMap(one => wrapped(one))
		.map(line => guarded(escaped(line)));
}

function wrapped(words: string): readonly string[] {
	const lines: string[] = [];
	for (const word of words.split(' ')) {
		const line = lines.at(-1);
		if (line === undefined || line.length + word.length >= widest) {
			lines.push(word);
		} else {
			lines[lines.length - 1] = `${line} ${word}`;
		}
	}
	return lines;
}

/** Flags keep their minus, so that they can be copied from the page. */
function escaped(line: string): string {
	return ascii(line.replaceAll('\\', '\\e').replaceAll(/(?<![\w)])-+(?=[\w"])/g, run => '\\-'.repeat(run.length)));
}

function exact(line: string): string {
	return ascii(
		line
			.replaceAll('\\', '\\e')
			.replaceAll('-', '\\-')
			.replaceAll("'", '\\(aq')
			.replaceAll('`', '\\(ga')
			.replaceAll('^', '\\(ha')
			.replaceAll('~', '\\(ti'),
	);
}

function ascii(line: string): string {
	return line
		.replaceAll('…', '...')
		.replaceAll(/[^\n -~]/gu, char => `\\[u${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`);
}

/** A line of text that begins as a macro does is text all the same. */
function guarded(line: string): string {
	return /^[.']/.test(line) ? `\\&${line}` : line;
}
