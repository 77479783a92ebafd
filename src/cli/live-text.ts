/**
 * Some lines of a terminal that are written over in their place.
 *
 * No line is longer than the terminal is wide, and there are no more of them than it is high: what has scrolled away
 * cannot be written over.
 */
import type {Output} from './io.js';

const escape = '\u001b[';
/** Colours of ours: they take no room. */
const colours = /\u001b\[\d+m/g;

export class LiveText {
	readonly #output: Output;
	#lines = 0;

	constructor(output: Output) {
		this.#output = output;
	}

	/** Instead of what was there. */
	draw(text: string): void {
		// A terminal that does not know how large it is says 0.
		const {columns = 0, rows = 0} = this.#output;
		const width = columns > 0 ? columns : 80;
		const height = rows > 0 ? rows : 24;
		const all = text.replace(/\n$/, '').split('\n');
		const most = Math.max(1, height - 2);
		const shown = all.length <= most ? all : [...all.slice(0, most - 1), `… and ${all.length - most + 1} more`];
		const lines = shown.map(line => fitting(line, width));
		// In one go: a terminal that draws in between would flicker.
		this.#output.write(`${this.#back()}${lines.map(line => `${line}${escape}K\n`).join('')}${escape}J`);
		this.#lines = lines.length;
	}

	/** What is there stays; the next drawing goes below. */
	leave(): void {
		this.#lines = 0;
	}

	#back(): string {
		return this.#lines === 0 ? '' : `${escape}${this.#lines}A\r`;
	}
}

/** Cut where it would not fit; without its colours then, as they may be what is cut. */
function fitting(line: string, columns: number): string {
	const plain = line.replaceAll(colours, '');
	return plain.length < columns ? line : `${plain.slice(0, Math.max(0, columns - 2))}…`;
}
