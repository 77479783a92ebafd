/**
 * Any character there is, for fast-check's strings. Its own `unit: 'binary'` has the same ones, but makes a table of all
 * million of them first, which takes every test file that asks for it a second.
 */
import fc from 'fast-check';

const surrogates = {first: 0xd800, count: 0x800};

export const anyCharacter: fc.Arbitrary<string> = fc
	.integer({min: 0, max: 0x10ffff - surrogates.count})
	.map(number => String.fromCodePoint(number < surrogates.first ? number : number + surrogates.count), numberOf);

/** The way back: with it fast-check also tries strings that it knows to be dangerous. */
function numberOf(character: unknown): number {
	const [code, ...more] = typeof character === 'string' ? Array.from(character, each => each.codePointAt(0)) : [];
	if (code === undefined || more.length > 0) {
		throw new Error('not a character');
	}
	const isAbove = code >= surrogates.first + surrogates.count;
	if (!isAbove && code >= surrogates.first) {
		throw new Error('half a character');
	}
	return isAbove ? code - surrogates.count : code;
}
