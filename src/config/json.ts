/**
 * JSON as people write it by hand: read with the place of everything, so that faults can point at it.
 *
 * Accepts exactly what JSON.parse accepts. Unlike JSON.parse it knows lines and columns (whose messages differ between
 * Node versions, too), and it notices keys that are written twice.
 */
import {childPath} from './place.js';

export interface JsonText {
	/** Objects have no prototype, so that no key is special. */
	readonly value: unknown;
	/** Line numbers by path, from 1. */
	readonly lines: ReadonlyMap<string, number>;
	/** Paths of keys that are written twice in one object. Keys that begin with `//` are comments and may be. */
	readonly repeated: readonly {readonly path: string; readonly line: number; readonly firstLine: number}[];
}

/** The text is not JSON. */
export class JsonSyntaxError extends Error {
	readonly line: number;
	readonly column: number;
	/** The line in question, or the part of it around `column` if it is long. */
	readonly excerpt: string;

	constructor(problem: string, line: number, column: number, excerpt: string) {
		super(problem);
		this.line = line;
		this.column = column;
		this.excerpt = excerpt;
	}
}

/** Comment keys are whatever begins so. */
export function isComment(key: string): boolean {
	return key.startsWith('//');
}

export function readJson(text: string): JsonText {
	return new Reader(text).read();
}

const deepest = 100;

class Reader {
	readonly #text: string;
	readonly #lines = new Map<string, number>();
	readonly #repeated: {path: string; line: number; firstLine: number}[] = [];
	#at = 0;
	// Where line `#line` begins: lines are counted as the reading goes, not from the top for each value.
	#line = 1;
	#lineStart = 0;

	constructor(text: string) {
		this.#text = text.startsWith('\uFEFF') ? text.slice(1) : text;
	}

	read(): JsonText {
		const value = this.#value('', 0);
		this.#skipSpace();
		if (this.#at < this.#text.length) {
			this.#fail('the end of the file');
		}
		return {value, lines: this.#lines, repeated: this.#repeated};
	}

	#value(path: string, depth: number): unknown {
		this.#skipSpace();
		this.#lines.set(path, this.#line);
		if (depth > deepest) {
			this.#failWith(`expected no more than ${deepest} levels of brackets, got more`);
		}
		const first = this.#text[this.#at];
		if (first === '{') {
			return this.#object(path, depth);
		}
		if (first === '[') {
			return this.#array(path, depth);
		}
		return first === '"' ? this.#string() : this.#literal();
	}

	#object(path: string, depth: number): unknown {
		const object = Object.create(null) as Record<string, unknown>;
		const seen = new Map<string, number>();
		this.#at++;
		this.#skipSpace();
		while (this.#text[this.#at] !== '}') {
			if (seen.size > 0) {
				this.#expect(',', 'a comma or "}"');
				this.#skipSpace();
			}
			if (this.#text[this.#at] !== '"') {
				this.#fail(seen.size === 0 ? 'a key in double quotes or "}"' : 'a key in double quotes');
			}
			const line = this.#line;
			const key = this.#string();
			this.#skipSpace();
			this.#expect(':', `":" after the key ${JSON.stringify(key)}`);
			const place = childPath(path, key);
			object[key] = this.#value(place, depth + 1);
			const firstLine = seen.get(key);
			if (firstLine !== undefined && !isComment(key)) {
				this.#repeated.push({path: place, line, firstLine});
			}
			seen.set(key, firstLine ?? line);
			this.#skipSpace();
		}
		this.#at++;
		return object;
	}

	#array(path: string, depth: number): unknown {
		const array: unknown[] = [];
		this.#at++;
		this.#skipSpace();
		while (this.#text[this.#at] !== ']') {
			if (array.length > 0) {
				this.#expect(',', 'a comma or "]"');
			}
			array.push(this.#value(childPath(path, array.length), depth + 1));
			this.#skipSpace();
		}
		this.#at++;
		return array;
	}

	#string(): string {
		const match = this.#match(/"(?:[^"\\\u0000-\u001F]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*/y);
		if (this.#text[this.#at] !== '"') {
			const next = this.#text[this.#at];
			if (next === '\\') {
				this.#failWith(
					'expected one of the escapes \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX, got another (a backslash is \\\\)',
				);
			}
			this.#fail('the closing double quote of a string');
		}
		this.#at++;
		return JSON.parse(`${match}"`) as string;
	}

	#literal(): unknown {
		const start = this.#at;
		const word = this.#match(/-?[\w.][\w.+-]*/y);
		if (/^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/.test(word)) {
			return JSON.parse(word) as unknown;
		}
		this.#at = start;
		return this.#fail('a value: an object, an array, a string in double quotes, a number, true, false or null');
	}

	#match(pattern: RegExp): string {
		pattern.lastIndex = this.#at;
		const match = pattern.exec(this.#text)?.[0] ?? '';
		this.#at += match.length;
		return match;
	}

	#skipSpace(): void {
		const lines = this.#match(/[ \t\r\n]*/y).split('\n');
		if (lines.length > 1) {
			this.#line += lines.length - 1;
			this.#lineStart = this.#at - (lines.at(-1) ?? '').length;
		}
	}

	#expect(character: string, what: string): void {
		if (this.#text[this.#at] !== character) {
			this.#fail(what);
		}
		this.#at++;
	}

	#fail(expected: string): never {
		return this.#failWith(`expected ${expected}, got ${this.#here()}`);
	}

	/** What stands where the reading stopped, with what is known to be usual there. */
	#here(): string {
		const rest = this.#text.slice(this.#at, this.#at + 40);
		const next = rest[0];
		if (next === undefined) {
			return this.#text.trim() === '' ? 'an empty file' : 'the end of the file';
		}
		if (next === '\n' || next === '\r') {
			return 'the end of the line';
		}
		if (/^(?:\/[/*]|#)/.test(rest)) {
			return `${JSON.stringify(next)} (JSON has no comments: write them as a key, "//": "…")`;
		}
		if (next === "'") {
			return `"'" (JSON has double quotes only)`;
		}
		if ((next === '}' || next === ']') && /,\s*$/.test(this.#text.slice(0, this.#at))) {
			return `"${next}" (JSON has no comma after the last value)`;
		}
		return JSON.stringify(/^[\w$.-]+/.exec(rest)?.[0] ?? String.fromCodePoint(rest.codePointAt(0) ?? 0));
	}

	#failWith(problem: string): never {
		const lineEnd = this.#text.indexOf('\n', this.#at);
		const line = this.#text.slice(this.#lineStart, lineEnd === -1 ? undefined : lineEnd).trimEnd();
		const column = this.#at - this.#lineStart;
		const from = line.length > 120 ? Math.max(0, column - 60) : 0;
		throw new JsonSyntaxError(problem, this.#line, column + 1, line.slice(from, from + 120).trim());
	}
}
