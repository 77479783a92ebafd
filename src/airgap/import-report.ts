/**
 * What is told of one image of an import: that it has begun, how its bytes come along, how it ended.
 *
 * The image says what it knows of itself, as soon as it knows it; of each there are the same two lines in the end,
 * whatever happens to it.
 */
import type {ImportOutcome} from './api.js';
import type {Lines} from './import-lines.js';

/** An image as a report names it. */
export interface ImageLabel {
	/** What the index calls it, where nobody knows its uuid. */
	readonly uuid: string;
	readonly name: string;
	readonly version: string;
	/** Of its files. */
	readonly bytes: number;
}

export class ImageReport {
	readonly #lines: Lines;
	#label: ImageLabel;
	#countedBytes = 0;

	constructor(lines: Lines, label: ImageLabel) {
		this.#lines = lines;
		this.#label = label;
	}

	get label(): ImageLabel {
		return this.#label;
	}

	/** It is known by this from now on. */
	begin(label: ImageLabel): void {
		this.#label = label;
		this.#lines.push({what: 'image', ...label});
	}

	progress(bytes: number): void {
		this.#countedBytes += bytes;
		this.#lines.progress(bytes);
	}

	warn(message: string): void {
		this.#lines.push({what: 'warning', message});
	}

	/** Once it has begun. */
	end(outcome: ImportOutcome, problem: string | undefined): void {
		// What was here already, and what will never come, is dealt with all the same.
		this.progress(Math.max(0, this.#label.bytes - this.#countedBytes));
		this.#lines.push({what: 'done', ...this.#label, outcome, ...(problem === undefined ? {} : {problem})});
	}
}
