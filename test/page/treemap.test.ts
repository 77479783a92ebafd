/**
 * Treemaps: that rectangles are as large as their values and fill the room, whatever the values are.
 */
import test from 'ava';
import fc from 'fast-check';
import {squarify, type Rect} from '../../src/page/treemap.js';

const near = (one: number, other: number, scale: number): boolean => Math.abs(one - other) <= scale * 1e-6;
const area = ({width, height}: Rect): number => width * height;

test('areas are as values, all inside, none over another', t => {
	fc.assert(
		fc.property(
			fc.array(fc.integer({min: 1, max: 1_000_000}), {minLength: 1, maxLength: 60}),
			fc.integer({min: 50, max: 2000}),
			fc.integer({min: 50, max: 2000}),
			(values, width, height) => {
				const sorted = [...values].sort((one, other) => other - one);
				const within = {x: 10, y: 20, width, height};
				const rects = squarify(sorted, within);
				const total = sorted.reduce((sum, value) => sum + value, 0);
				t.is(rects.length, sorted.length);
				for (const [at, rect] of rects.entries()) {
					t.true(near(area(rect), ((sorted[at] ?? 0) / total) * area(within), area(within)));
					t.true(rect.x >= 10 - 1e-6 && rect.y >= 20 - 1e-6);
					t.true(rect.x + rect.width <= 10 + width + 1e-6 && rect.y + rect.height <= 20 + height + 1e-6);
				}
				for (const [at, one] of rects.entries()) {
					for (const other of rects.slice(at + 1)) {
						const wide = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
						const high = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
						t.true(wide <= 1e-6 || high <= 1e-6);
					}
				}
			},
		),
		{numRuns: 100},
	);
});

test('equal values are near to squares', t => {
	const rects = squarify(
		Array.from({length: 12}, () => 1),
		{x: 0, y: 0, width: 400, height: 300},
	);
	for (const {width, height} of rects) {
		t.true(Math.max(width / height, height / width) < 1.6);
	}
});

test('nothing to show, or no room to show it in, takes no room', t => {
	t.deepEqual(squarify([], {x: 0, y: 0, width: 10, height: 10}), []);
	t.deepEqual(squarify([3, 1], {x: 5, y: 6, width: 0, height: 10}), [
		{x: 5, y: 6, width: 0, height: 0},
		{x: 5, y: 6, width: 0, height: 0},
	]);
});
