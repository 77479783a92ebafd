/**
 * Which rows of a long list are drawn: those that can be seen, and some on either side so that a scroll finds them there.
 */
export interface RowWindow {
	readonly first: number;
	/** Behind the last. */
	readonly end: number;
}

const spare = 12;
/** Windows begin at multiples of it, so that a scroll of a few pixels draws nothing. */
const step = 6;

export function windowOf({
	count,
	rowHeight,
	scrollTop,
	viewHeight,
}: {
	readonly count: number;
	readonly rowHeight: number;
	readonly scrollTop: number;
	readonly viewHeight: number;
}): RowWindow {
	const top = Math.floor(Math.max(0, scrollTop) / rowHeight);
	const first = Math.max(0, Math.min(Math.floor((top - spare) / step) * step, count - 1));
	const seen = Math.ceil(viewHeight / rowHeight) + 1;
	const end = Math.min(count, Math.ceil((top + seen + spare) / step) * step);
	return {first, end: Math.max(first, end)};
}

/** How far to scroll so that the row is seen whole. `undefined`: it is. */
export function scrollTo(
	row: number,
	view: {readonly rowHeight: number; readonly scrollTop: number; readonly viewHeight: number},
): number | undefined {
	const top = row * view.rowHeight;
	if (top < view.scrollTop) {
		return top;
	}
	const bottom = top + view.rowHeight;
	return bottom > view.scrollTop + view.viewHeight ? bottom - view.viewHeight : undefined;
}
