/**
 * Which images of a source are wanted, or are not: globs by field.
 *
 * Only their form is looked at here; `sources/` matches them.
 */
import {list, type Kind, type Written} from './kinds.js';
import {Fault, shown} from './place.js';
import {field, section} from './section.js';
import {nearest} from './spelling.js';

const glob: Kind<string> = {
	expected: 'a pattern such as "base-64*", with *, ?, [a-z] and {a,b}',
	read(value) {
		if (typeof value !== 'string' || value === '' || /\p{Cc}/u.test(value)) {
			throw new Fault(glob.expected, shown(value));
		}
		const problem = unclosed(value);
		if (problem !== undefined) {
			throw new Fault(glob.expected, shown(value), problem);
		}
		return value;
	},
	write: value => value,
};

const uuidGlob: Kind<string> = {
	...glob,
	expected: 'a UUID or a pattern for one, in lower case',
	read(value, at) {
		const pattern = glob.read(value, at);
		// `[` and `{` may stand anywhere; every other letter must be one that a UUID can have.
		if (!/^[\da-f*?[\]{},!^-]+$/.test(pattern)) {
			throw new Fault(uuidGlob.expected, shown(value), /[A-F]/.test(pattern) ? 'write it in lower case' : undefined);
		}
		return pattern;
	},
};

/** Words that are usual, or patterns for them. Sources may have others; what is nearly one of these is a typing error. */
function wordGlob(words: readonly string[]): Kind<string> {
	const expected = `${words.join(', ')}, or a pattern with *, ?, [a-z] and {a,b}`;
	return {
		...glob,
		expected,
		read(value, at) {
			const pattern = glob.read(value, at);
			const near = /[*?[{\\]/.test(pattern) || words.includes(pattern) ? undefined : nearest(pattern, words);
			if (near !== undefined) {
				throw new Fault(expected, shown(value), `did you mean "${near}"?`);
			}
			return pattern;
		},
	};
}

const systems = ['smartos', 'linux', 'windows', 'bsd', 'illumos', 'other'];
const types = ['zone-dataset', 'lx-dataset', 'zvol', 'docker', 'lxd', 'other'];

function unclosed(pattern: string): string | undefined {
	let open: '[' | '{' | undefined;
	for (const character of pattern.replaceAll(/\\./gs, '')) {
		if (open === undefined && (character === '[' || character === '{')) {
			open = character;
		} else if ((open === '[' && character === ']') || (open === '{' && character === '}')) {
			open = undefined;
		}
	}
	return open === undefined ? undefined : `"${open}" is not closed`;
}

const noGlobs: Written = [];

/** An empty list matches everything in `include`, nothing in `exclude`. */
export const imageFilter = section(
	{
		name: field('name', list(glob), noGlobs, 'Names of images.', ['names']),
		os: field('os', list(wordGlob(systems)), noGlobs, `${systems.join(', ')}.`),
		type: field('type', list(wordGlob(types)), noGlobs, `${types.join(', ')}.`, ['types']),
		owner: field('owner', list(uuidGlob), noGlobs, 'UUIDs of owners.', ['owners']),
		uuid: field('uuid', list(uuidGlob), noGlobs, 'UUIDs of images.', ['uuids', 'images', 'image']),
	},
	'an object with name, os, type, owner or uuid',
);
