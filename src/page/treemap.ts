/**
 * Where the rectangles of a treemap go: areas as their values, as near to squares as can be (Bruls, Huizing, van Wijk:
 * Squarified Treemaps). Pure; `treemap-figure.ts` draws them.
 */
export interface Rect {
	readonly x: number;
	readonly y: number;
	readonly width: number;
	readonly height: number;
}

/** A rectangle for each value, in their order; values must be above 0 and are best given from the largest down. */
export function squarify(values: readonly number[], within: Rect): readonly Rect[] {
	const total = values.reduce((sum, value) => sum + value, 0);
	if (total <= 0 || within.width <= 0 || within.height <= 0) {
		return values.map(() => ({x: within.x, y: within.y, width: 0, height: 0}));
	}
	const scale = (within.width * within.height) / total;
	const areas = values.map(value => value * scale);
	const placed: Rect[] = [];
	let room = within;
	let from = 0;
	while (from < areas.length) {
		const side = Math.min(room.width, room.height);
		let end = from + 1;
		while (end < areas.length && worst(areas.slice(from, end + 1), side) <= worst(areas.slice(from, end), side)) {
			end++;
		}
		room = placeRow(areas.slice(from, end), room, end === areas.length, placed);
		from = end;
	}
	return placed;
}

/** The largest ratio of sides among the rectangles of a row along `side`. */
function worst(areas: readonly number[], side: number): number {
	const sum = areas.reduce((total, area) => total + area, 0);
	const square = side * side;
	const [largest, smallest] = [Math.max(...areas), Math.min(...areas)];
	return Math.max((square * largest) / (sum * sum), (sum * sum) / (square * smallest));
}

/** Puts a row along the shorter side; what is left over of the room comes back. `last`: it takes all there is. */
function placeRow(areas: readonly number[], room: Rect, last: boolean, placed: Rect[]): Rect {
	const sum = areas.reduce((total, area) => total + area, 0);
	const isColumn = room.width >= room.height;
	const side = isColumn ? room.height : room.width;
	// Rounding must neither leave a gap nor stand out of the room.
	const thickness = last
		? isColumn
			? room.width
			: room.height
		: Math.min(sum / side, isColumn ? room.width : room.height);
	let at = 0;
	for (const area of areas) {
		const length = Math.min((area / sum) * side, side - at);
		placed.push(
			isColumn
				? {x: room.x, y: room.y + at, width: thickness, height: length}
				: {x: room.x + at, y: room.y, width: length, height: thickness},
		);
		at += length;
	}
	return isColumn
		? {...room, x: room.x + thickness, width: room.width - thickness}
		: {...room, y: room.y + thickness, height: room.height - thickness};
}
