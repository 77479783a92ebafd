/**
 * JSON as text: laid out anew, cut into its members, never retold.
 *
 * Every host's `imgadm update` compares manifests as text, so numbers, escapes, key order and duplicate keys must come
 * out as the source wrote them; `JSON.parse` and `JSON.stringify` would lose all four. `readCompact` is the only way in
 * for text of others: it bounds the nesting before anything recursive may see it. What the fields mean is not known here.
 */
import {IntegrityError} from '../errors.js';

/** A manifest has five levels or six. More than this is an attack on whatever recurses. */
const maxDepth = 200;

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const byteOrderMark = 0xfeff;

/** One name and its value. The texts share memory with the one they were cut from. */
export interface Member {
	/** Unescaped. */
	readonly name: string;
	/** Compact JSON. */
	readonly value: string;
	/** Name and value as they were. */
	readonly text: string;
}

/** JSON as a value and as text. */
export interface CompactJson {
	readonly value: unknown;
	readonly text: string;
}

/** Takes JSON text of any layout; throws IntegrityError for anything else. `drop`: top-level keys left out of `text`. */
export function readCompact(json: string, drop?: ReadonlySet<string>): CompactJson {
	const source = json.charCodeAt(0) === byteOrderMark ? json.slice(1) : json;
	// Stripping comes first because it bounds the nesting. It believes anything; JSON.parse, which does not, has to be
	// shown the text as it came: without its white space, `1 2` would pass for 12.
	const text = stripWhiteSpace(source);
	let value: unknown;
	try {
		value = JSON.parse(source);
	} catch (error) {
		throw new IntegrityError('not JSON', {cause: error});
	}
	if (drop === undefined || !isObject(value) || ![...drop].some(name => Object.hasOwn(value, name))) {
		return {value, text};
	}
	return {value, text: joinMembers(membersOf(text).filter(member => !drop.has(member.name)))};
}

/** The same tokens without white space between them. `drop`: top-level keys left out, with any duplicates. */
export function compactJson(text: string, drop?: ReadonlySet<string>): string {
	return readCompact(text, drop).text;
}

/**
 * Compact JSON as `JSON.stringify(x, null, 2)` would lay it out. Every line but the first is indented by `depth` levels
 * more, for a value that stands inside another.
 */
export function prettyJson(compact: string, depth = 0): string {
	const parts: string[] = [];
	let level = depth;
	let start = 0;
	for (let at = 0; at < compact.length; at++) {
		switch (compact.charCodeAt(at)) {
			case quote:
				at = closingQuote(compact, at);
				break;
			case openBrace:
			case openBracket: {
				// In ASCII, a closing bracket of either kind stands two after its opening one.
				if (compact.charCodeAt(at + 1) === compact.charCodeAt(at) + 2) {
					at++;
					break;
				}
				level++;
				parts.push(compact.slice(start, at + 1), newLine(level));
				start = at + 1;
				break;
			}
			case comma:
				parts.push(compact.slice(start, at + 1), newLine(level));
				start = at + 1;
				break;
			case colon:
				parts.push(compact.slice(start, at + 1), ' ');
				start = at + 1;
				break;
			case closeBrace:
			case closeBracket:
				level--;
				parts.push(compact.slice(start, at), newLine(level));
				start = at;
				break;
			default:
		}
	}
	parts.push(compact.slice(start));
	return parts.join('');
}

/** The members of an object's compact JSON, in its order, duplicates included. */
export function membersOf(compact: string): readonly Member[] {
	const members: Member[] = [];
	let at = 1;
	while (at < compact.length - 1) {
		const nameEnd = closingQuote(compact, at) + 1;
		const valueEnd = valueEndsAt(compact, nameEnd + 1);
		members.push({
			name: stringOf(compact.slice(at, nameEnd)),
			value: compact.slice(nameEnd + 1, valueEnd),
			text: compact.slice(at, valueEnd),
		});
		at = valueEnd + 1;
	}
	return members;
}

/** The compact JSON of one member's value; of duplicates the last one's, as `JSON.parse` has it. */
export function memberIn(compact: string, name: string): string | undefined {
	const token = JSON.stringify(name);
	// Nearly always, it is not there, or there and spelled as we would spell it.
	if (!compact.includes(token) && !compact.includes('\\u')) {
		return undefined;
	}
	let found: string | undefined;
	let at = 1;
	while (at < compact.length - 1) {
		const nameEnd = closingQuote(compact, at) + 1;
		const valueEnd = valueEndsAt(compact, nameEnd + 1);
		const isSame = nameEnd - at === token.length && compact.startsWith(token, at);
		if (isSame || stringOf(compact.slice(at, nameEnd)) === name) {
			found = compact.slice(nameEnd + 1, valueEnd);
		}
		at = valueEnd + 1;
	}
	return found;
}

/** The elements of an array's compact JSON. */
export function elementsOf(compact: string): readonly string[] {
	const elements: string[] = [];
	let at = 1;
	while (at < compact.length - 1) {
		const end = valueEndsAt(compact, at);
		elements.push(compact.slice(at, end));
		at = end + 1;
	}
	return elements;
}

/** An object's compact JSON, of members as they were. */
export function joinMembers(members: readonly Member[]): string {
	return `{${members.map(member => member.text).join(',')}}`;
}

/**
 * A copy that shares no memory with the string it was cut from. V8's substrings point into their parent, and one kept
 * manifest would keep the whole answer that it came in. UTF-8 is what the text goes out as: half a surrogate pair,
 * which UTF-8 does not have, becomes U+FFFD here already, so that the text hashed is the text sent.
 */
export function ownCopy(text: string): string {
	return Buffer.from(text, 'utf8').toString('utf8');
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stripWhiteSpace(text: string): string {
	const parts: string[] = [];
	let depth = 0;
	let start = 0;
	for (let at = 0; at < text.length; at++) {
		switch (text.charCodeAt(at)) {
			case quote:
				at = closingQuote(text, at);
				break;
			case tab:
			case lineFeed:
			case carriageReturn:
			case space: {
				const blank = at;
				while (isWhiteSpace(text.charCodeAt(at + 1))) {
					at++;
				}
				if (blank > start) {
					parts.push(text.slice(start, blank));
				}
				start = at + 1;
				break;
			}
			case openBrace:
			case openBracket:
				depth++;
				if (depth > maxDepth) {
					throw new IntegrityError(`JSON nested more than ${maxDepth} levels deep`);
				}
				break;
			case closeBrace:
			case closeBracket:
				depth--;
				break;
			default:
		}
	}
	if (start === 0) {
		return text;
	}
	parts.push(text.slice(start));
	return parts.join('');
}

function isWhiteSpace(code: number): boolean {
	return code === space || code === lineFeed || code === carriageReturn || code === tab;
}

/** Where the string that opens at `at` closes; the last position of a text that ends before. */
function closingQuote(text: string, at: number): number {
	let end = text.indexOf('"', at + 1);
	while (end !== -1 && isEscaped(text, end)) {
		end = text.indexOf('"', end + 1);
	}
	return end === -1 ? text.length - 1 : end;
}

function isEscaped(text: string, at: number): boolean {
	let before = at - 1;
	while (text.charCodeAt(before) === backslash) {
		before--;
	}
	return (at - before) % 2 === 0;
}

/** Where the value that begins at `at` ends, in compact text. */
function valueEndsAt(text: string, at: number): number {
	let depth = 0;
	for (let index = at; index < text.length; index++) {
		switch (text.charCodeAt(index)) {
			case quote:
				index = closingQuote(text, index);
				break;
			case openBrace:
			case openBracket:
				depth++;
				break;
			case closeBrace:
			case closeBracket:
				if (depth === 0) {
					return index;
				}
				depth--;
				break;
			case comma:
				if (depth === 0) {
					return index;
				}
				break;
			default:
		}
	}
	return text.length;
}

function stringOf(token: string): string {
	return token.includes('\\') ? String(JSON.parse(token)) : token.slice(1, -1);
}

const newLines: readonly string[] = Array.from({length: 16}, (_, level) => `\n${'  '.repeat(level)}`);

function newLine(level: number): string {
	return newLines[level] ?? `\n${'  '.repeat(level)}`;
}
