/**
 * What a value of the configuration can be: how it is read, how it is written back, and how that is called.
 *
 * `keys.ts` and `source.ts` make the tables of keys out of these; a kind knows nothing of which key it is for.
 */
import {isAbsolute, resolve} from 'node:path';
import {Fault, shown, type Place} from './place.js';
import {nearest} from './spelling.js';
import {
	UnitError,
	durationHelp,
	formatDuration,
	formatRate,
	formatSize,
	parseDuration,
	parseRate,
	parseSize,
	rateHelp,
	sizeHelp,
} from './units.js';
import type {Fields} from './section.js';

/** A value as it stands in a file. */
export type Written = null | boolean | number | string | readonly Written[] | {readonly [key: string]: Written};

/** Whether passwords are written out. */
export type Secrets = 'masked' | 'plain';

export const mask = '********';

export interface Kind<T> {
	/** What is understood, as it stands after "expected". */
	readonly expected: string;
	/** Throws a `Fault` for the value itself; reports to `at` what is wrong inside of it. */
	read(value: unknown, at: Place): T;
	/** As it would stand in a file: `read` makes the same of it again, unless a secret is masked. */
	write(value: T, secrets: Secrets): Written;
	/** A written value with everything spelled out that may stand in it, and a comment beside each key. */
	example?(written: Written): Written;
	/** The keys inside, if it is an object or a list of them. */
	readonly fields?: Fields;
	/** It is a list: its keys are shown with `[]`. */
	readonly many?: boolean;
	/** An element to show the keys at where the list itself is empty. */
	readonly sample?: Written;
}

interface TextOptions {
	readonly pattern?: RegExp;
	readonly secret?: boolean;
}

export function text(expected: string, {pattern = /^[^\p{Cc}]+$/u, secret = false}: TextOptions = {}): Kind<string> {
	return {
		expected,
		read(value) {
			if (typeof value !== 'string' || !pattern.test(value)) {
				throw new Fault(expected, secret && typeof value === 'string' ? 'something else' : shown(value));
			}
			return value;
		},
		write: (value, secrets) => (secret && secrets === 'masked' ? mask : value),
	};
}

export function choice<const T extends string>(words: readonly T[]): Kind<T> {
	const expected = oneOf(words.map(word => JSON.stringify(word)));
	return {
		expected,
		read(value) {
			const found = words.find(word => word === value);
			if (found === undefined) {
				const near = typeof value === 'string' ? nearest(value, words) : undefined;
				throw new Fault(expected, shown(value), near === undefined ? undefined : `did you mean "${near}"?`);
			}
			return found;
		},
		write: value => value,
	};
}

export const flag: Kind<boolean> = {
	expected: 'true or false',
	read(value) {
		if (typeof value !== 'boolean') {
			const quoted = value === 'true' || value === 'false';
			throw new Fault(flag.expected, shown(value), quoted ? `write ${value} without quotes` : undefined);
		}
		return value;
	},
	write: value => value,
};

export function count(least: number, most: number): Kind<number> {
	const expected = `a whole number from ${least} to ${most}`;
	return {
		expected,
		read(value) {
			if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
				const quoted = typeof value === 'string' && /^\d+$/.test(value);
				throw new Fault(expected, shown(value), quoted ? 'write it without quotes' : undefined);
			}
			return value;
		},
		write: value => value,
	};
}

interface QuantityOptions {
	readonly least?: number;
	readonly most?: number;
	/** Words that stand for a number, such as `never`. */
	readonly words?: Readonly<Record<string, number>>;
}

interface Unit {
	readonly help: string;
	parse(written: string): number;
	format(value: number): string;
	/** What a plain number other than 0 means; throws if nothing. */
	plain(value: number): number;
}

function quantity(unit: Unit, {least = 0, most = Number.MAX_SAFE_INTEGER, words = {}}: QuantityOptions): Kind<number> {
	const named = Object.entries(words);
	const expected = oneOf([...named.map(([word]) => JSON.stringify(word)), unit.help]);
	const parse = (value: unknown): number => {
		const word = named.find(([name]) => name === value);
		if (word !== undefined) {
			return word[1];
		}
		if (typeof value === 'string') {
			return within(unit.parse(value));
		}
		if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
			return within(value === 0 ? 0 : unit.plain(value));
		}
		throw new Fault(expected, shown(value));
	};
	const within = (value: number): number => {
		if (value < least) {
			throw new UnitError(`at least ${unit.format(least)}`);
		}
		if (value > most) {
			throw new UnitError(`at most ${unit.format(most)}`);
		}
		return value;
	};
	return {
		expected,
		read(value) {
			try {
				return parse(value);
			} catch (error) {
				throw error instanceof UnitError ? new Fault(expected, shown(value), error.message) : error;
			}
		},
		write: value => named.find(([, number]) => number === value)?.[0] ?? unit.format(value),
	};
}

export function size(options: QuantityOptions = {}): Kind<number> {
	return quantity({help: sizeHelp, parse: parseSize, format: formatSize, plain: value => value}, options);
}

/** 100 years, which is what "always" comes to: unlike Infinity it survives arithmetic, JSON and timers. */
export const alwaysMs = 100 * 365 * 24 * 3_600_000;

export function duration(options: QuantityOptions = {}): Kind<number> {
	return quantity(
		{
			help: durationHelp,
			parse: parseDuration,
			format: formatDuration,
			plain: value => parseDuration(String(value)),
		},
		{most: alwaysMs, ...options},
	);
}

export function rate(options: QuantityOptions = {}): Kind<number> {
	return quantity(
		{help: rateHelp, parse: parseRate, format: formatRate, plain: value => parseRate(String(value))},
		options,
	);
}

/** A share: 0.95 here, `"95%"` in the file. */
export function percentage({
	least = 0,
	most = 1,
}: {readonly least?: number; readonly most?: number} = {}): Kind<number> {
	const format = (value: number): string => `${Math.round(value * 10_000) / 100}%`;
	const expected = `a percentage such as "90%", from ${format(least)} to ${format(most)}`;
	return {
		expected,
		read(value) {
			const digits = typeof value === 'string' ? /^(\d{1,3}(?:\.\d{1,2})?) ?%$/.exec(value.trim())?.[1] : undefined;
			const share = Number(digits) / 100;
			if (digits === undefined || share < least || share > most) {
				throw new Fault(expected, shown(value), adviceForShare(value));
			}
			return share;
		},
		write: format,
	};
}

function adviceForShare(value: unknown): string | undefined {
	const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
	if (typeof number !== 'number' || !(number > 0 && number <= 100)) {
		return undefined;
	}
	return `write "${Math.round(number <= 1 ? number * 100 : number)}%"`;
}

/** The absolute path. Relative ones begin where the configuration file is. */
export const path: Kind<string> = {
	expected: 'a path, absolute or relative to the configuration file',
	read(value, at) {
		if (typeof value !== 'string' || value.trim() === '' || value.includes('\0')) {
			throw new Fault(path.expected, shown(value));
		}
		if (value.startsWith('~')) {
			throw new Fault(path.expected, shown(value), 'only a shell knows "~": write the directory out');
		}
		return isAbsolute(value) ? resolve(value) : resolve(at.around.directory, value);
	},
	write: value => value,
};

/** `null` in the file, `undefined` here. */
export function optional<T>(kind: Kind<T>): Kind<T | undefined> {
	return {
		...kind,
		expected: `${kind.expected}, or null`,
		read: (value, at) => (value === null ? undefined : kind.read(value, at)),
		write: (value, secrets) => (value === undefined ? null : kind.write(value, secrets)),
		example: written => kind.example?.(written) ?? written,
	};
}

interface ListOptions {
	readonly least?: number;
	readonly sample?: Written;
}

/** An array, or one element alone. */
export function list<T>(kind: Kind<T>, {least = 0, sample}: ListOptions = {}): Kind<readonly T[]> {
	const expected = least > 0 ? `${kind.expected}, or an array of at least ${least}` : `${kind.expected}, or an array`;
	const example = (written: Written): Written => kind.example?.(written) ?? written;
	return {
		expected,
		many: true,
		...(kind.fields === undefined ? {} : {fields: kind.fields}),
		...(sample === undefined ? {} : {sample: example(sample)}),
		read(value, at) {
			if (!Array.isArray(value)) {
				return [kind.read(value, at)];
			}
			if (value.length < least) {
				throw new Fault(expected, shown(value));
			}
			return (value as unknown[]).flatMap((element, index) => {
				const found = at.child(index).attempt(place => kind.read(element, place));
				return found === undefined ? [] : [found.value];
			});
		},
		write: (values, secrets) => values.map(value => kind.write(value, secrets)),
		example: written => (Array.isArray(written) ? (written as Written[]).map(example) : [example(written)]),
	};
}

function oneOf(words: readonly string[]): string {
	return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;
}
