/**
 * Images that are built upon each other, drawn as a tree.
 */
import type {CliIo} from './io.js';
import {printable, type Colour, type Paint} from './words.js';

export interface Branch {
	readonly text: string;
	readonly colour: Colour | undefined;
	readonly branches: readonly Branch[];
}

export function drawnTree(
	tree: Branch,
	{io, paint, indent}: {readonly io: Pick<CliIo, 'env'>; readonly paint: Paint; readonly indent: string},
): string {
	const {between, last, past} = strokesOf(io);
	const lines: string[] = [];
	const draw = ({text, colour, branches}: Branch, first: string, rest: string): void => {
		const shown = printable(text);
		lines.push(`${first}${colour === undefined ? shown : paint(colour, shown)}\n`);
		for (const [at, branch] of branches.entries()) {
			const isLast = at === branches.length - 1;
			draw(branch, rest + (isLast ? last : between), rest + (isLast ? '   ' : past));
		}
	};
	draw(tree, indent, indent);
	return lines.join('');
}

/** Lines where the terminal has them, as its locale tells. */
function strokesOf({env}: Pick<CliIo, 'env'>): {
	readonly between: string;
	readonly last: string;
	readonly past: string;
} {
	const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
	return /utf-?8/i.test(locale)
		? {between: '├─ ', last: '└─ ', past: '│  '}
		: {between: '|- ', last: '`- ', past: '|  '};
}
