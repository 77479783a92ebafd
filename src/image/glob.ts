/**
 * Patterns for names: `*`, `?`, `[a-z]`, `[!a-z]`, `{a,b}`, and `\` before a character that is meant as it is.
 *
 * Filters of sources and prefetch rules are made of them. Names come from strangers, so a pattern is matched by walking,
 * never by a regular expression that a name could keep busy.
 */
export type Glob = (text: string) => boolean;

/** One character of text, or (`undefined`) any number of them. */
type Step = ((character: string) => boolean) | undefined;

/** How many alternatives braces may multiply to; the rest of a pattern beyond that is taken as it is written. */
const maxAlternatives = 1000;

/** Whether a text is wholly what the pattern says. */
export function createGlob(pattern: string): Glob {
	const alternatives = expand(pattern).map(parse);
	return text => {
		const characters = Array.from(text);
		return alternatives.some(steps => matches(steps, characters));
	};
}

/** The patterns that `{a,b}` stands for. */
function expand(pattern: string): readonly string[] {
	let done: string[] = [''];
	let at = 0;
	while (at < pattern.length) {
		const end = pattern[at] === '{' ? closing(pattern, at) : undefined;
		const parts = end === undefined ? [] : alternativesIn(pattern.slice(at + 1, end)).flatMap(expand);
		if (end !== undefined && parts.length > 0 && parts.length * done.length <= maxAlternatives) {
			done = done.flatMap(before => parts.map(part => before + part));
			at = end + 1;
			continue;
		}
		const taken = pattern.slice(at, at + (pattern[at] === '\\' ? 2 : 1));
		done = done.map(before => before + taken);
		at += taken.length;
	}
	return done;
}

/** Where the brace that opens at `open` closes; `undefined`: nowhere, or there is no comma in it. */
function closing(pattern: string, open: number): number | undefined {
	let depth = 0;
	let hasComma = false;
	for (let at = open; at < pattern.length; at++) {
		const character = pattern[at];
		if (character === '\\') {
			at++;
		} else if (character === '{') {
			depth++;
		} else if (character === ',') {
			hasComma ||= depth === 1;
		} else if (character === '}' && --depth === 0) {
			return hasComma ? at : undefined;
		}
	}
	return undefined;
}

function alternativesIn(text: string): readonly string[] {
	const parts: string[] = [];
	let depth = 0;
	let start = 0;
	for (let at = 0; at < text.length; at++) {
		const character = text[at];
		if (character === '\\') {
			at++;
		} else if (character === '{') {
			depth++;
		} else if (character === '}') {
			depth--;
		} else if (character === ',' && depth === 0) {
			parts.push(text.slice(start, at));
			start = at + 1;
		}
	}
	return [...parts, text.slice(start)];
}

function parse(pattern: string): readonly Step[] {
	const characters = Array.from(pattern);
	const steps: Step[] = [];
	for (let at = 0; at < characters.length; at++) {
		const character = characters[at] ?? '';
		const set = character === '[' ? parseSet(characters, at) : undefined;
		if (set !== undefined) {
			steps.push(set.holds);
			at = set.end;
		} else if (character === '?') {
			steps.push(() => true);
		} else if (character !== '*') {
			const literal = character === '\\' && at + 1 < characters.length ? (characters[++at] ?? '') : character;
			steps.push(other => other === literal);
		} else if (steps.length === 0 || steps.at(-1) !== undefined) {
			steps.push(undefined);
		}
	}
	return steps;
}

/** `[a-z0-9_]`, `[!x]` or `[^x]`; a bracket that never closes is just a bracket. */
function parseSet(
	pattern: readonly string[],
	open: number,
): {readonly holds: (character: string) => boolean; readonly end: number} | undefined {
	const isNegated = pattern[open + 1] === '!' || pattern[open + 1] === '^';
	const begin = open + (isNegated ? 2 : 1);
	// A closing bracket that comes first is a member.
	const end = pattern.indexOf(']', begin + 1);
	if (end < 0) {
		return undefined;
	}
	const ranges: (readonly [string, string])[] = [];
	for (let at = begin; at < end; at++) {
		const from = pattern[at] ?? '';
		const isRange = pattern[at + 1] === '-' && at + 2 < end;
		ranges.push([from, isRange ? (pattern[at + 2] ?? '') : from]);
		at += isRange ? 2 : 0;
	}
	return {
		holds: character => ranges.some(([from, to]) => from <= character && character <= to) !== isNegated,
		end,
	};
}

/** Goes back only to the last `*`, which is enough, so the time is at most length times length. */
function matches(steps: readonly Step[], text: readonly string[]): boolean {
	let at = 0;
	let step = 0;
	let star = -1;
	let starAt = 0;
	while (at < text.length) {
		const holds = steps[step];
		if (step < steps.length && holds === undefined) {
			star = step++;
			starAt = at;
		} else if (holds?.(text[at] ?? '')) {
			step++;
			at++;
		} else if (star >= 0) {
			step = star + 1;
			at = ++starAt;
		} else {
			return false;
		}
	}
	while (step < steps.length && steps[step] === undefined) {
		step++;
	}
	return step === steps.length;
}
