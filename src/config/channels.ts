/**
 * The channels that our own images can be in.
 */
import {flag, list, text, type Kind} from './kinds.js';
import {Fault, shown} from './place.js';
import {field, isObject, section} from './section.js';
import type {ChannelConfig} from './types.js';

const nameKind = text('a name of lower case letters, digits, "_" and "-" that begins with a letter', {
	pattern: /^[a-z][a-z0-9_-]*$/,
});

const channelSection = section(
	{
		name: field('name', nameKind, 'dev', 'What clients ask for.'),
		description: field('description', text('a line of text'), 'dev', 'For people.', ['title', 'desc']),
		default: field('isDefault', flag, false, 'Meant where a client names none.', ['isDefault']),
	},
	'an object with name and description',
);

const channel: Kind<ChannelConfig> = {
	expected: channelSection.expected,
	read(value, at) {
		for (const key of ['name', 'description'] as const) {
			if (isObject(value) && !Object.hasOwn(value, key)) {
				at.child(key).report(new Fault(channelSection.fields[key].kind.expected, 'nothing'));
			}
		}
		const {name, description, isDefault} = channelSection.read(value, at);
		return {name, description, ...(isDefault ? {default: true} : {})};
	},
	write: ({name, description, default: isDefault = false}, secrets) =>
		channelSection.write({name, description, isDefault}, secrets),
};

// Without `fields`: the example has no channel to show them at.
const all = list(channel);

export const channels: Kind<readonly ChannelConfig[]> = {
	...all,
	read(value, at) {
		const found = all.read(value, at);
		const isNamed = (index: number): boolean => !at.child(index).child('name').isFaulty;
		for (const [index, {name, default: isDefault}] of found.entries()) {
			const before = found.slice(0, index);
			if (isNamed(index) && before.some((other, place) => isNamed(place) && other.name === name)) {
				at.child(index).report(new Fault('each channel once', `${shown(name)} again`));
			}
			if (isDefault === true && before.some(other => other.default === true)) {
				at.child(index).report(new Fault('one default', `${shown(name)} as another`));
			}
		}
		return found;
	},
};
