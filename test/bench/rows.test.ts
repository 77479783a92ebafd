import test from 'ava';
import {compared, median, percentile, rounded, tableText} from './rows.js';

test('a median is the middle one, or between the two in the middle', t => {
	t.is(median([3, 1, 2]), 2);
	t.is(median([4, 1, 3, 2]), 2.5);
	t.is(median([7]), 7);
	t.is(median([]), NaN);
});

test('a percentile is a value that was measured', t => {
	const values = Array.from({length: 100}, (_, place) => 100 - place);
	t.is(percentile(values, 0), 1);
	t.is(percentile(values, 0.5), 50);
	t.is(percentile(values, 0.99), 99);
	t.is(percentile(values, 1), 100);
	t.is(percentile([5], 0.99), 5);
	t.is(percentile([], 0.5), NaN);
});

test('three digits of a number matter', t => {
	t.deepEqual([6.7123, 323.4, 60_690, 0.012345, 0].map(rounded), [6.71, 323, 60_700, 0.0123, 0]);
});

test('ratios are those inside a round, not those of the medians', t => {
	// The machine was twice as slow in the second round, for both.
	const row = compared(
		{workload: 'hits', what: '1 client', unit: 'GB/s', peerName: 'nginx', target: 'ratio >= 0.9'},
		[
			[9, 10],
			[4.5, 5],
			[8, 10],
		],
		ratio => ratio >= 0.9,
	);
	t.like(row, {ours: 8, peer: 10, ratio: 0.9, holds: true});
	t.is(compared({workload: 'hits', what: 'x', unit: 's'}, [[1, 2]]).holds, undefined);
});

test('the table says what holds and what misses', t => {
	const rows = [
		{workload: 'hits', what: '1 client', unit: 'GB/s', ours: 6.5, peer: 6.7, peerName: 'nginx', ratio: 0.97},
		{workload: 'catalog', what: 'one', unit: 'requests/s', ours: 15_600, target: '>= 15,000', holds: true},
		{workload: 'cold', what: 'late', unit: 'ms', ours: 70, target: '< 5 ms', holds: false, note: 'why'},
	];
	const lines = tableText(rows).split('\n');
	t.is(lines.length, 5);
	t.regex(lines[1] ?? '', /^(?:\| -+ )+\|$/);
	t.deepEqual(
		lines.slice(2).map(line => line.split('|').map(cell => cell.trim())),
		[
			['', 'hits', '1 client', '6.5', '6.7 nginx', 'GB/s', '0.97', '', '', '', ''],
			['', 'catalog', 'one', '15,600', '', 'requests/s', '', '>= 15,000', 'holds', '', ''],
			['', 'cold', 'late', '70', '', 'ms', '', '< 5 ms', 'MISSES', 'why', ''],
		],
	);
});
