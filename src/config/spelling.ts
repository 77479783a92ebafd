/**
 * Which word somebody may have meant.
 *
 * Used for unknown keys and for values out of a fixed set; nothing is ever corrected silently.
 */

/** The best of `known`, or `undefined` if none is near. Case, `_` and `-` do not count. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
	const wanted = plain(word);
	let best: {readonly word: string; readonly distance: number} | undefined;
	for (const candidate of known) {
		const distance = editDistance(wanted, plain(candidate));
		if (distance <= tolerated(wanted.length, candidate.length) && distance < (best?.distance ?? Infinity)) {
			best = {word: candidate, distance};
		}
	}
	return best?.word;
}

function plain(word: string): string {
	return word
		.slice(0, 100)
		.toLowerCase()
		.replaceAll(/[_\s.-]/g, '');
}

// Two slips in a long word are likelier than two words; in a short one everything is two slips from everything.
function tolerated(a: number, b: number): number {
	return Math.min(3, Math.floor(Math.min(a, b) / 3));
}

/** Insertions, deletions, replacements and swaps of neighbours that make `a` into `b`. */
export function editDistance(a: string, b: string): number {
	let beforeLast: number[] = [];
	let last = Array.from({length: b.length + 1}, (_, index) => index);
	for (let i = 1; i <= a.length; i++) {
		const current = [i];
		for (let j = 1; j <= b.length; j++) {
			const same = a[i - 1] === b[j - 1];
			let cost = Math.min(at(last, j) + 1, at(current, j - 1) + 1, at(last, j - 1) + (same ? 0 : 1));
			if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
				cost = Math.min(cost, at(beforeLast, j - 2) + 1);
			}
			current.push(cost);
		}
		[beforeLast, last] = [last, current];
	}
	return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
	return row[index] ?? Infinity;
}
