/**
 * What flags and the environment change for one run, laid over what the file says.
 *
 * Each replaces one key of the file as a whole; a flag goes before a variable. Where a value came from is remembered,
 * so that faults and `config show` can name it.
 */
import {isAbsolute, join} from 'node:path';
import type {Environment} from './place.js';
import {isObject} from './section.js';
import type {Written} from './kinds.js';

/** As given on the command line. */
export interface Flags {
	readonly listen?: readonly string[];
	readonly data?: string;
	/** `[NAME=]URL` each. */
	readonly sources?: readonly string[];
	readonly publicUrl?: string;
	readonly basePath?: string;
	readonly logLevel?: string;
	readonly logFormat?: string;
}

interface Override {
	readonly path: readonly [string] | readonly [string, string];
	readonly flag: string;
	readonly variable: string;
	of(flags: Flags): string | readonly string[] | undefined;
	/** How several stand in the variable; a flag is given several times. */
	readonly separator?: RegExp;
	/** As it would stand in the file. */
	written?(text: string, directory: string): Written;
}

const overrides: readonly Override[] = [
	{
		path: ['data'],
		flag: '--data',
		variable: 'IMGMIRROR_DATA',
		of: flags => flags.data,
		written: absolutePath,
	},
	{
		path: ['listen'],
		flag: '--listen',
		variable: 'IMGMIRROR_LISTEN',
		of: flags => flags.listen,
		separator: /,/,
		written: (text, directory) =>
			text.startsWith('unix:') ? `unix:${absolutePath(text.slice('unix:'.length), directory)}` : text,
	},
	{
		path: ['basePath'],
		flag: '--base-path',
		variable: 'IMGMIRROR_BASE_PATH',
		of: flags => flags.basePath,
	},
	{
		path: ['publicUrl'],
		flag: '--public-url',
		variable: 'IMGMIRROR_PUBLIC_URL',
		of: flags => flags.publicUrl,
	},
	{
		path: ['log', 'level'],
		flag: '--log-level',
		variable: 'IMGMIRROR_LOG_LEVEL',
		of: flags => flags.logLevel,
	},
	{
		path: ['log', 'format'],
		flag: '--log-format',
		variable: 'IMGMIRROR_LOG_FORMAT',
		of: flags => flags.logFormat,
	},
	{
		path: ['sources'],
		flag: '--source',
		variable: 'IMGMIRROR_SOURCES',
		of: flags => flags.sources,
		separator: /[\s,]+/,
		written: namedUrl,
	},
];

// Not every unknown IMGMIRROR_ variable can be refused: container platforms add some of their own for a service of
// that name (IMGMIRROR_PORT, IMGMIRROR_SERVICE_HOST …).
const mistaken: ReadonlyMap<string, string> = new Map([
	['IMGMIRROR_SOURCE', 'IMGMIRROR_SOURCES'],
	['IMGMIRROR_DATADIR', 'IMGMIRROR_DATA'],
	['IMGMIRROR_DATA_DIR', 'IMGMIRROR_DATA'],
	['IMGMIRROR_LOGLEVEL', 'IMGMIRROR_LOG_LEVEL'],
	['IMGMIRROR_CONFIG_FILE', 'IMGMIRROR_CONFIG'],
	['IMGMIRROR_LISTENERS', 'IMGMIRROR_LISTEN'],
]);

/** Here a relative path begins where we were started, unlike one in the file. */
function absolutePath(path: string, directory: string): string {
	return path === '' || path.startsWith('~') || isAbsolute(path) ? path : join(directory, path);
}

function namedUrl(text: string): Written {
	const match = /^([^=:/?]*)=(.*)$/s.exec(text);
	return match === null ? {url: text} : {name: match[1] ?? '', url: match[2] ?? ''};
}

export interface Overlaid {
	readonly value: unknown;
	/** Path of the key to the flag or variable that it came from. */
	readonly origins: ReadonlyMap<string, string>;
	/** Variables that look like one of ours. */
	readonly faults: readonly string[];
}

/** Relative paths are relative to `directory`. */
export function overlay(file: unknown, flags: Flags, env: Environment, directory: string): Overlaid {
	const origins = new Map<string, string>();
	// Something other than an object is a fault that the reading reports; there is nothing to lay over then.
	const value: Record<string, unknown> | undefined = isObject(file) ? {...file} : undefined;
	for (const override of overrides) {
		const fromFlag = override.of(flags);
		const given = fromFlag ?? fromVariable(override, env);
		if (given !== undefined && value !== undefined) {
			const written = (text: string): Written => override.written?.(text, directory) ?? text;
			set(value, override.path, typeof given === 'string' ? written(given) : given.map(written));
			origins.set(override.path.join('.'), fromFlag === undefined ? override.variable : override.flag);
		}
	}
	const faults = [...mistaken].flatMap(([wrong, right]) =>
		env[wrong] ? [`${wrong}: expected a known variable, got "${wrong}"; did you mean "${right}"?`] : [],
	);
	return {value: value ?? file, origins, faults};
}

function fromVariable({variable, separator}: Override, env: Environment): string | readonly string[] | undefined {
	const text = env[variable]?.trim();
	// An empty variable is how service managers and containers say that there is none.
	if (text === undefined || text === '') {
		return undefined;
	}
	return separator === undefined
		? text
		: text
				.split(separator)
				.map(part => part.trim())
				.filter(part => part !== '');
}

function set(object: Record<string, unknown>, [first, second]: Override['path'], given: Written): void {
	if (second === undefined) {
		object[first] = given;
		return;
	}
	const inner = object[first];
	if (inner === undefined || isObject(inner)) {
		object[first] = {...inner, [second]: given};
	}
}
