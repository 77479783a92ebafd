/**
 * A bash script that completes command lines of ours: commands, flags, and what may stand behind them.
 *
 * It looks at the words before the cursor: which command they make, and whether the last of them wants a value.
 */
import {flagsOf, nodesOf, type CommandNode, type Flag, type Values} from './command-tree.js';

export function bashCompletion(tree: CommandNode): string {
	const nodes = nodesOf(tree);
	return [
		'# bash completion for imgmirror, made by "imgmirror completion bash"',
		'',
		'# What can be typed after a command.',
		'__imgmirror_words() {',
		...cases(
			nodes.map(node => ({
				patterns: [keyOf(node)],
				body: [
					`commands=${quoted(node.commands.map(({path}) => path.at(-1) ?? ''))}`,
					`flags=${quoted(flagsOf(node).flatMap(namesOf))}`,
					`places=${quoted([valueOf(placesOf(node))])}`,
				].join('; '),
			})),
		),
		'}',
		'',
		'# What a flag wants behind it: @file, @directory, @any, or one of some words. Fails where it wants nothing.',
		'__imgmirror_value() {',
		...cases(
			nodes.flatMap(node => {
				const flags = flagsOf(node).filter(({value}) => value !== undefined);
				return flags.map(flag => ({
					patterns: namesOf(flag).map(name => `${keyOf(node)} ${name}`),
					body: `value=${quoted([valueOf(flag.value?.values)])}`,
				}));
			}),
			'return 1',
		),
		'}',
		'',
		`_imgmirror() {
	local cur=\${COMP_WORDS[COMP_CWORD]} at=1 path=imgmirror commands flags places value word wanted=
	COMPREPLY=()
	__imgmirror_words "$path"
	while ((at < COMP_CWORD)); do
		word=\${COMP_WORDS[at]}
		wanted=
		if [[ $word == -* ]]; then
			if __imgmirror_value "$path $word"; then
				wanted=$value
				((at += 1))
			fi
		elif [[ " $commands " == *" $word "* ]]; then
			path="$path $word"
			__imgmirror_words "$path"
		else
			# An image or a file: no command comes any more.
			commands=
		fi
		((at += 1))
	done
	# The last flag wants what is being typed, not what stands before it.
	((at > COMP_CWORD)) || wanted=
	if [[ -z $wanted ]]; then
		if [[ $cur == -* ]]; then
			COMPREPLY=($(compgen -W "$flags" -- "$cur"))
			return
		fi
		wanted=$places
		COMPREPLY=($(compgen -W "$commands" -- "$cur"))
	fi
	case $wanted in
		@file)
			compopt -o filenames 2>/dev/null
			while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
			;;
		@directory)
			compopt -o filenames 2>/dev/null
			while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -d -- "$cur")
			;;
		@any) ;;
		*) COMPREPLY+=($(compgen -W "$wanted" -- "$cur")) ;;
	esac
}`,
		'',
		'complete -F _imgmirror imgmirror',
		'',
	].join('\n');
}

function keyOf({path}: CommandNode): string {
	return ['imgmirror', ...path].join(' ');
}

function namesOf({short, long}: Flag): readonly string[] {
	return [long, short].filter(name => name !== undefined);
}

/** What the arguments of a command are. */
function placesOf(node: CommandNode): Values | undefined {
	return node.places[0]?.values;
}

function valueOf(values: Values | undefined): string {
	if (values === undefined) {
		return '@any';
	}
	return values.kind === 'words' ? values.words.join(' ') : `@${values.kind}`;
}

function cases(
	entries: readonly {readonly patterns: readonly string[]; readonly body: string}[],
	otherwise = ':',
): readonly string[] {
	return [
		'\tcase $1 in',
		...entries.map(({patterns, body}) => `\t\t${patterns.map(one => quoted([one])).join(' | ')}) ${body} ;;`),
		`\t\t*) ${otherwise} ;;`,
		'\tesac',
	];
}

function quoted(words: readonly string[]): string {
	return `'${words.join(' ').replaceAll("'", `'\\''`)}'`;
}
