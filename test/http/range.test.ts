import test from 'ava';
import fc from 'fast-check';
import {parseRange} from '../../src/http/range.js';

const rows: readonly (readonly [
	header: string,
	size: number,
	wanted: readonly [start: number, end: number] | 'unsatisfiable' | undefined,
])[] = [
	['bytes=0-9', 100, [0, 10]],
	['bytes=0-0', 100, [0, 1]],
	['bytes=90-', 100, [90, 100]],
	['bytes=90-1000', 100, [90, 100]],
	['bytes=-10', 100, [90, 100]],
	['bytes=-1000', 100, [0, 100]],
	['Bytes = 5-6 ', 100, [5, 7]],
	['bytes=99-', 100, [99, 100]],
	['bytes=100-', 100, 'unsatisfiable'],
	['bytes=100-200', 100, 'unsatisfiable'],
	['bytes=-0', 100, 'unsatisfiable'],
	['bytes=0-', 0, 'unsatisfiable'],
	['bytes=-5', 0, 'unsatisfiable'],
	['bytes=99999999999999999999999-', 100, 'unsatisfiable'],
	['bytes=0-99999999999999999999999', 100, [0, 100]],
	['bytes=9-5', 100, undefined],
	['bytes=0-1,5-6', 100, undefined],
	['bytes=0-1,', 100, undefined],
	['bytes=', 100, undefined],
	['bytes=-', 100, undefined],
	['bytes=a-b', 100, undefined],
	['bytes=1', 100, undefined],
	['bytes=+1-2', 100, undefined],
	['bytes=1-2=3', 100, undefined],
	['items=0-5', 100, undefined],
	['bytes 0-5', 100, undefined],
	['', 100, undefined],
];

for (const [header, size, wanted] of rows) {
	test(`${JSON.stringify(header)} of ${size} bytes is ${JSON.stringify(wanted ?? 'the whole file')}`, t => {
		t.deepEqual(parseRange(header, size), typeof wanted === 'object' ? {start: wanted[0], end: wanted[1]} : wanted);
	});
}

test('a range never leaves the file, and is what a slice of it would be', t => {
	const size = fc.integer({min: 1, max: 1000});
	t.notThrows(() =>
		fc.assert(
			fc.property(size, fc.nat(1200), fc.option(fc.nat(1200), {nil: undefined}), (bytes, first, last) => {
				const range = parseRange(`bytes=${first}-${last ?? ''}`, bytes);
				if (last !== undefined && last < first) {
					return range === undefined;
				}
				if (first >= bytes) {
					return range === 'unsatisfiable';
				}
				return (
					typeof range === 'object' && range.start === first && range.end === Math.min(bytes, (last ?? Infinity) + 1)
				);
			}),
		),
	);
	t.notThrows(() =>
		fc.assert(
			fc.property(size, fc.integer({min: 1, max: 1200}), (bytes, suffix) => {
				const range = parseRange(`bytes=-${suffix}`, bytes);
				return typeof range === 'object' && range.end === bytes && range.start === Math.max(0, bytes - suffix);
			}),
		),
	);
});

test('no header whatever makes it throw', t => {
	t.notThrows(() => fc.assert(fc.property(fc.string(), fc.nat(), (header, size) => void parseRange(header, size))));
});
