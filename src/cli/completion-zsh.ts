/**
 * A zsh function that completes command lines of ours, with a line about each command and flag.
 *
 * One function for each command, made for zsh's own `_arguments`.
 */
import {flagsOf, nodesOf, type CommandNode, type Flag, type Place, type Values} from './command-tree.js';

export function zshCompletion(tree: CommandNode): string {
	return [
		'#compdef imgmirror',
		'# made by "imgmirror completion zsh"',
		'',
		...nodesOf(tree).flatMap(node => [...functionsOf(node), '']),
		// As a file of $fpath it is run to complete; sourced, it has to be made known.
		'if [ "$funcstack[1]" = "_imgmirror" ]; then',
		'\t_imgmirror "$@"',
		'else',
		'\tcompdef _imgmirror imgmirror',
		'fi',
		'',
	].join('\n');
}

function functionsOf(node: CommandNode): readonly string[] {
	const name = nameOf(node.path);
	const specs = flagsOf(node).map(specOf);
	if (node.commands.length === 0) {
		return [`${name}() {`, ...argumentsOf([...specs, ...node.places.map(placeSpec)]), '}'];
	}
	const commands = node.commands.map(({path, description}) =>
		quoted(`${(path.at(-1) ?? '').replaceAll(':', '\\:')}:${oneLine(description)}`),
	);
	const usual = node.usual === undefined ? undefined : nameOf([...node.path, node.usual]);
	const ownPlaces = node.places.map(placeSpec);
	return [
		`${name}() {`,
		'\tlocal curcontext=$curcontext state line ret=1',
		'\ttypeset -A opt_args',
		// What stands behind the first word is that word's, flags as well.
		...argumentsOf([...specs, quoted(`1: :${name}__commands`), quoted('*:: :->rest')], "-C -A '-*'").map(
			(text, at, all) => (at === all.length - 1 ? `${text} && ret=0` : text),
		),
		'\tcase $state in',
		'\t\trest)',
		'\t\t\tcase $words[1] in',
		...node.commands.map(({path}) => `\t\t\t\t${path.at(-1) ?? ''}) ${nameOf(path)} && ret=0 ;;`),
		...(usual === undefined ? [] : [`\t\t\t\t*) ${usual} && ret=0 ;;`]),
		...(usual !== undefined || ownPlaces.length === 0 ? [] : [`\t\t\t\t*) ${name}__own && ret=0 ;;`]),
		'\t\t\tesac',
		'\t\t\t;;',
		'\tesac',
		'\treturn ret',
		'}',
		'',
		...(ownPlaces.length === 0 ? [] : [`${name}__own() {`, ...argumentsOf([...specs, ...ownPlaces]), '}', '']),
		`${name}__commands() {`,
		'\tlocal -a commands',
		'\tcommands=(',
		...commands.map(command => `\t\t${command}`),
		'\t)',
		`\t_describe -t commands 'command' commands`,
		'}',
	];
}

function argumentsOf(specs: readonly string[], mode = ''): readonly string[] {
	const first = `\t_arguments -s${mode === '' ? '' : ` ${mode}`}`;
	return specs.length === 0
		? [first]
		: [`${first} \\`, ...specs.map((spec, at) => `\t\t${spec}${at === specs.length - 1 ? '' : ' \\'}`)];
}

function nameOf(path: readonly string[]): string {
	return ['_imgmirror', ...path].join('_').replaceAll('-', '_');
}

function specOf({short, long, description, value, repeatable}: Flag): string {
	const names = [short, long].filter(name => name !== undefined);
	const text = `[${oneLine(description).replaceAll(/[[\]:]/g, '\\$&')}]`;
	const rest = value === undefined ? text : `${text}:${value.name.replaceAll(':', ' ')}:${actionOf(value.values)}`;
	if (names.length < 2) {
		return quoted(`${repeatable ? '*' : ''}${names[0] ?? ''}${rest}`);
	}
	const either = `{${names.join(',')}}`;
	return repeatable ? `'*'${either}${quoted(rest)}` : `${quoted(`(${names.join(' ')})`)}${either}${quoted(rest)}`;
}

function placeSpec({name, required, variadic, values}: Place, at: number): string {
	const where = variadic ? '*' : `${at + 1}`;
	return quoted(`${where}:${required || variadic ? '' : ':'}${name}:${actionOf(values)}`);
}

function actionOf(values: Values): string {
	switch (values.kind) {
		case 'file':
			return '_files';
		case 'directory':
			return '_files -/';
		case 'any':
			// None; a message instead would keep flags from being completed.
			return '()';
		case 'words':
			return `(${values.words.join(' ')})`;
	}
}

function oneLine(text: string): string {
	return text.replaceAll(/\s+/g, ' ').replace(/\.$/, '');
}

function quoted(text: string): string {
	return `'${text.replaceAll("'", `'\\''`)}'`;
}
