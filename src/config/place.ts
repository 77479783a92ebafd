/**
 * Where in the configuration a value stands, and how to say that it is wrong.
 *
 * Kinds throw a `Fault` for the value they were given; whatever holds several values (an object, a list) catches it
 * at each of them, reports it and goes on, so that every fault is found in one reading.
 */

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a value cannot be read without. */
export interface Surroundings {
	/** What relative paths are relative to. */
	readonly directory: string;
	readonly env: Environment;
}

/** One value that cannot be used. */
export class Fault extends Error {
	constructor(expected: string, got: string, advice?: string) {
		super(`expected ${expected}, got ${got}${advice === undefined ? '' : `; ${advice}`}`);
	}
}

export class Place {
	readonly #report: (path: string, message: string) => void;
	/** Paths at which there was a fault, wherever it was reported. */
	readonly #faulty: Set<string>;
	readonly path: string;
	readonly around: Surroundings;

	constructor(
		path: string,
		around: Surroundings,
		report: (path: string, message: string) => void,
		faulty = new Set<string>(),
	) {
		this.path = path;
		this.around = around;
		this.#report = report;
		this.#faulty = faulty;
	}

	/** There was a fault here, or inside: what stands in for the value is not what was meant, and says nothing. */
	get isFaulty(): boolean {
		return [...this.#faulty].some(
			path => path === this.path || path.startsWith(`${this.path}.`) || path.startsWith(`${this.path}[`),
		);
	}

	child(key: string | number): Place {
		return new Place(childPath(this.path, key), this.around, this.#report, this.#faulty);
	}

	report(fault: Fault): void {
		this.#faulty.add(this.path);
		this.#report(this.path, fault.message);
	}

	/** `undefined`: there was a fault, and it is reported. */
	attempt<T>(read: (at: Place) => T): {readonly value: T} | undefined {
		try {
			return {value: read(this)};
		} catch (error) {
			if (!(error instanceof Fault)) {
				throw error;
			}
			this.report(error);
			return undefined;
		}
	}
}

/** `a.b[0]["odd key"]`: as one would write it in a program that holds the file. */
export function childPath(path: string, key: string | number): string {
	if (typeof key === 'number') {
		return `${path}[${key}]`;
	}
	if (!/^[A-Za-z_$][\w$-]*$/.test(key)) {
		return `${path}[${JSON.stringify(key)}]`;
	}
	return path === '' ? key : `${path}.${key}`;
}

const shownLength = 80;

/** A value as faults show it: on one line, never long, never with a password in a URL. */
export function shown(value: unknown): string {
	if (Array.isArray(value)) {
		return value.length === 0 ? 'an empty array' : `an array of ${value.length}`;
	}
	if (typeof value === 'object' && value !== null) {
		return Object.keys(value).length === 0 ? 'an empty object' : 'an object';
	}
	if (value === undefined) {
		return 'nothing';
	}
	const text = JSON.stringify(value).replace(/(\/\/)[^/@\s"]+@/g, '$1********@');
	return text.length > shownLength ? `${text.slice(0, shownLength - 1)}…${typeof value === 'string' ? '"' : ''}` : text;
}
