/**
 * An object of the configuration: a table of keys, each with its kind, default and meaning.
 *
 * The tables are the single truth about what may be configured: reading, writing back, the example file and the
 * documentation all come from them. A key's name in the file and the property it ends up in differ where the property
 * names its unit.
 */
import {isComment} from './json.js';
import type {Kind, Secrets, Written} from './kinds.js';
import {Fault, shown, type Place} from './place.js';
import {nearest} from './spelling.js';

export interface Field<Into extends string = string, T = unknown> {
	/** The property that holds it. */
	readonly into: Into;
	readonly kind: Kind<T>;
	/** As it would stand in the file. */
	readonly default: Written;
	/** For the example file and the documentation. */
	readonly meaning: string;
	/** What people may call it by mistake. */
	readonly alias: readonly string[];
}

export type Fields = Readonly<Record<string, Field>>;

/** What a section with these fields reads to. */
export type Values<F extends Fields> = {
	readonly [K in keyof F as F[K]['into']]: F[K] extends Field<string, infer T> ? T : never;
};

export function field<const Into extends string, T>(
	into: Into,
	kind: Kind<T>,
	standard: Written,
	meaning: string,
	alias: readonly string[] = [],
): Field<Into, T> {
	return {into, kind, default: standard, meaning, alias};
}

export interface Section<F extends Fields> extends Kind<Values<F>> {
	readonly fields: F;
	/** Keys that are not there are as in `fallback`, not as by default. */
	readWith(value: unknown, at: Place, fallback: Partial<Values<F>>): Values<F>;
	example(written: Written): Readonly<Record<string, Written>>;
	write(value: Values<F>, secrets: Secrets): Readonly<Record<string, Written>>;
}

export function section<const F extends Fields>(fields: F, expected = 'an object'): Section<F> {
	const entries = Object.entries<Field>(fields);
	return {
		expected,
		fields,
		read: (value, at) => read(value, at, {}),
		readWith: (value, at, fallback) => read(value, at, fallback),
		write: (value, secrets) =>
			Object.fromEntries(
				entries.map(([name, {into, kind}]) => [name, kind.write(property(value, into), secrets)] as const),
			),
		example(written) {
			const given = isObject(written) ? written : {};
			return Object.fromEntries(
				entries.flatMap(([name, {kind, default: standard, meaning}]) => {
					const value = Object.hasOwn(given, name) ? (given[name] as Written) : standard;
					// A comment, as nothing that is in use can be shown.
					const isBare = Array.isArray(value) && value.length === 0;
					return [
						[`// ${name}`, meaning] as const,
						[name, kind.example === undefined ? value : kind.example(value)] as const,
						...(isBare && kind.sample !== undefined ? [[`// ${name}[0]`, kind.sample] as const] : []),
					];
				}),
			);
		},
	};

	function read(value: unknown, at: Place, fallback: object): Values<F> {
		if (!isObject(value)) {
			throw new Fault(expected, shown(value));
		}
		reportUnknown(value, at, fields);
		const values = entries.map(([name, {into, kind, default: standard}]): [string, unknown] => {
			if (!Object.hasOwn(value, name)) {
				return [into, Object.hasOwn(fallback, into) ? property(fallback, into) : kind.read(standard, at.child(name))];
			}
			// After a fault the default stands in, so that what depends on this key can still be looked at.
			const found = at.child(name).attempt(place => kind.read(value[name], place));
			return [into, found === undefined ? kind.read(standard, at.child(name)) : found.value];
		});
		// The compiler cannot see that the entries are those of `fields`.
		return Object.fromEntries(values) as unknown as Values<F>;
	}
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function property(object: object, name: string): unknown {
	return (object as Readonly<Record<string, unknown>>)[name];
}

function reportUnknown(value: Readonly<Record<string, unknown>>, at: Place, fields: Fields): void {
	for (const key of Object.keys(value)) {
		if (Object.hasOwn(fields, key) || isComment(key)) {
			continue;
		}
		const meant = suggestion(key, fields);
		const known = `one of ${Object.keys(fields).join(', ')}`;
		at.child(key).report(
			meant === undefined
				? new Fault(known, `the unknown key "${key}"`)
				: new Fault('a known key', `"${key}"`, `did you mean "${meant}"?`),
		);
	}
}

/** The key that is called so by mistake, or is spelled nearly so, or has a key inside that is called just so. */
function suggestion(key: string, fields: Fields): string | undefined {
	const spelled = plain(key);
	const entries = Object.entries(fields);
	return (
		entries.find(([name, {alias}]) => [name, ...alias].some(word => plain(word) === spelled))?.[0] ??
		inside(spelled, fields) ??
		nearest(
			key,
			entries.map(([name]) => name),
		)
	);
}

function inside(spelled: string, fields: Fields): string | undefined {
	for (const [name, {kind}] of Object.entries(fields)) {
		const within = Object.entries(kind.fields ?? {}).find(([inner, {alias}]) =>
			[inner, ...alias].some(word => plain(word) === spelled || plain(`${name}${word}`) === spelled),
		);
		if (within !== undefined) {
			return `${name}${kind.many === true ? '[]' : ''}.${within[0]}`;
		}
	}
	return undefined;
}

function plain(word: string): string {
	return word.toLowerCase().replaceAll(/[_\s.-]/g, '');
}
