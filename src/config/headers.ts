/**
 * Extra request headers for a source.
 *
 * What the mirror must say itself (lengths, ranges, the connection) cannot be set. Values that look like credentials
 * are masked when the configuration is shown.
 */
import {mask, type Kind} from './kinds.js';
import {isComment} from './json.js';
import {Fault, shown} from './place.js';
import {isObject} from './section.js';

type Headers = Readonly<Record<string, string>>;

const ours = new Set([
	'accept-encoding',
	'connection',
	'content-length',
	'date',
	'expect',
	'host',
	'if-match',
	'if-none-match',
	'if-range',
	'keep-alive',
	'range',
	'te',
	'trailer',
	'transfer-encoding',
	'upgrade',
	'via',
]);

const secretName = /auth|cookie|key|pass|secret|session|signature|token/i;

export const headers: Kind<Headers> = {
	expected: 'an object of header names and their values',
	read(value, at) {
		if (!isObject(value)) {
			throw new Fault(headers.expected, shown(value));
		}
		const found = new Map<string, {readonly name: string; readonly value: string}>();
		for (const [name, content] of Object.entries(value)) {
			if (isComment(name)) {
				continue;
			}
			at.child(name).attempt(() => {
				const key = name.toLowerCase();
				checkName(name, found.get(key)?.name);
				found.set(key, {name, value: readValue(content)});
			});
		}
		return Object.fromEntries([...found.values()].map(header => [header.name, header.value]));
	},
	write: (value, secrets) =>
		Object.fromEntries(
			Object.entries(value).map(([name, content]) => [
				name,
				secrets === 'masked' && secretName.test(name) ? mask : content,
			]),
		),
};

function checkName(name: string, before: string | undefined): void {
	if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
		throw new Fault('the name of a header', shown(name));
	}
	if (ours.has(name.toLowerCase())) {
		throw new Fault("a header that is not the mirror's own business", shown(name));
	}
	if (before !== undefined) {
		throw new Fault('each header once', `${shown(name)} beside ${shown(before)}`);
	}
}

function readValue(content: unknown): string {
	// What is wrong is not shown: it may be a secret.
	const expected = 'a string without line breaks, in Latin-1';
	if (typeof content !== 'string') {
		throw new Fault(expected, Array.isArray(content) ? 'an array' : `a ${typeof content}`);
	}
	if (!/^[\t\u0020-\u007E\u0080-\u00FF]*$/.test(content)) {
		throw new Fault(expected, 'other characters');
	}
	return content.trim();
}
