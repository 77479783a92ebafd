/**
 * A configuration written out again: for `config show`, for telling what a new one changes, for documentation.
 *
 * The form is that of the file, so that what is shown can be used as one; secrets are masked.
 */
import {configFields, fileFields} from './keys.js';
import type {Written} from './kinds.js';
import {childPath} from './place.js';
import {isObject, section, type Fields} from './section.js';
import type {Reading} from './read.js';
import type {Config} from './types.js';

type WrittenObject = Readonly<Record<string, Written>>;

const whole = section(configFields);

/** With a comment beside each key that does not come from the file. */
export function written({config, origins}: Reading): WrittenObject {
	return annotated(whole.write(config, 'masked'), '', origins);
}

function annotated(object: WrittenObject, path: string, origins: ReadonlyMap<string, string>): WrittenObject {
	return Object.fromEntries(
		Object.entries(object).flatMap(([key, value]): (readonly [string, Written])[] => {
			const at = childPath(path, key);
			const origin = origins.get(at);
			const content = isObject(value) ? annotated(value, at, origins) : value;
			return origin === undefined
				? [[key, content]]
				: [
						[`// ${key}`, `from ${origin}`],
						[key, content],
					];
		}),
	);
}

/** One line for each key that `after` has otherwise: `sources.smartos.listTtl: "5m", now "10m"`. */
export function changes(before: Config, after: Config): readonly string[] {
	const plain = [whole.write(before, 'plain'), whole.write(after, 'plain')] as const;
	const masked = [whole.write(before, 'masked'), whole.write(after, 'masked')] as const;
	const old = {plain: flat(byName(plain[0])), masked: flat(byName(masked[0]))};
	const now = {plain: flat(byName(plain[1])), masked: flat(byName(masked[1]))};
	const lines: string[] = [];
	for (const path of new Set([...old.plain.keys(), ...now.plain.keys()])) {
		// What was empty and is so no more has a line for each key that came.
		const isEmptied = [old, now].some(({plain: lines}) => lines.get(path) === '{}');
		if (old.plain.get(path) !== now.plain.get(path) && !isEmptied) {
			lines.push(`${path}: ${old.masked.get(path) ?? 'nothing'}, now ${now.masked.get(path) ?? 'nothing'}`);
		}
	}
	return lines;
}

/** What has a name by it: a source that moves up in the list is still the same. */
function byName(config: WrittenObject): WrittenObject {
	const sources = config['sources'] as readonly WrittenObject[];
	const prefetch = config['prefetch'] as WrittenObject;
	return {
		...config,
		sources: named(sources),
		'order of sources': sources.map(({name}) => name as string),
		prefetch: {...prefetch, rules: named(prefetch['rules'] as readonly WrittenObject[])},
		webhooks: named(config['webhooks'] as readonly WrittenObject[]),
	};
}

function named(elements: readonly WrittenObject[]): WrittenObject {
	return Object.fromEntries(elements.map(({name, ...rest}) => [name as string, rest] as const));
}

/** Path to JSON text of everything that is not itself an object. */
function flat(value: Written, path = ''): ReadonlyMap<string, string> {
	if (!isObject(value) || Object.keys(value).length === 0) {
		return new Map([[path, JSON.stringify(value)]]);
	}
	return new Map(
		Object.entries(value).flatMap(([key, content]) => [...flat(content, path === '' ? key : `${path}.${key}`)]),
	);
}

/** `config.example.json`: every key with its default and a comment. */
export function example(): WrittenObject {
	return section(fileFields).example({});
}

export interface KeyDescription {
	/** `sources[].include.name` */
	readonly path: string;
	/** As it would stand in the file. */
	readonly default: Written;
	readonly meaning: string;
}

/** Every key there is, in the order of the example. */
export function describeKeys(): readonly KeyDescription[] {
	return describe(fileFields, '');
}

function describe(fields: Fields, prefix: string): readonly KeyDescription[] {
	return Object.entries(fields).flatMap(([name, {kind, default: standard, meaning}]) => {
		const path = `${prefix}${name}`;
		// What may stand in sourceDefaults is described once, at the sources.
		const inner =
			kind.fields === undefined || path === 'sourceDefaults'
				? []
				: describe(kind.fields, `${path}${kind.many === true ? '[]' : ''}.`);
		return [{path, default: standard, meaning}, ...inner];
	});
}
