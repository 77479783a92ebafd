/**
 * What a server answers, made into types: readers that put together what one object must have.
 *
 * A server may be older or newer than the command. What it leaves out reads as nothing, what it says beyond is passed
 * over; nothing here ever throws. Whether an answer is one at all is looked at by `operator-client.ts`.
 */

/** Takes whatever JSON can be. */
export type Reader<T> = (value: unknown) => T;

/** What a reader makes. */
export type Read<R> = R extends Reader<infer T> ? T : never;

export const text: Reader<string> = value => (typeof value === 'string' ? value : '');

export const number: Reader<number> = value => (typeof value === 'number' ? value : 0);

export const flag: Reader<boolean> = value => value === true;

/** `undefined` for what is missing, and for what is of another type than JSON's own `like`. */
function when<T>(like: 'string' | 'number' | 'object', read: Reader<T>): Reader<T | undefined> {
	return value => (typeof value === like && value !== null ? read(value) : undefined);
}

export const maybeText = when('string', text);
export const maybeNumber = when('number', number);

export function maybe<T>(read: Reader<T>): Reader<T | undefined> {
	return when('object', read);
}

export function list<T>(read: Reader<T>): Reader<readonly T[]> {
	return value => (Array.isArray(value) ? value.map(read) : []);
}

/** One of some words; the first of them where it is none. */
export function word<const W extends readonly [string, ...string[]]>(...words: W): Reader<W[number]> {
	return value => words.find(known => known === value) ?? words[0];
}

/** Numbers by name. */
export const amounts: Reader<ReadonlyMap<string, number>> = value =>
	new Map(Object.entries(isObject(value) ? value : {}).map(([name, amount]) => [name, number(amount)]));

export function shape<F extends Readonly<Record<string, Reader<unknown>>>>(
	fields: F,
): Reader<{readonly [K in keyof F]: Read<F[K]>}> {
	const names = Object.entries(fields);
	return value => {
		const members = isObject(value) ? value : {};
		// What `fromEntries` has put together the compiler cannot follow.
		return Object.fromEntries(names.map(([name, read]) => [name, read(members[name])])) as {
			readonly [K in keyof F]: Read<F[K]>;
		};
	};
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
