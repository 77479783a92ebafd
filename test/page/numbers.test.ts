/**
 * The mirror's numbers as the page draws them: lines of history, a source's good and bad hours, the disk by name.
 */
import test from 'ava';
import fc from 'fast-check';
import {stretchesOf, upShare} from '../../src/page/health-strip.js';
import {
	bytesInLines,
	bytesOutLines,
	hitRatioLines,
	overallRatio,
	requestLines,
	stacked,
} from '../../src/page/history-series.js';
import {groupsOf, kindOf, noName} from '../../src/page/storage-groups.js';
import {beginning, makeHistory, makeRows, makeStorage} from './fake-data.js';

const minute = 60_000;
const at = (minutes: number): string => new Date(beginning + minutes * minute).toISOString();

test('rates are by the time that a step really took, and lines break where the mirror did not run', t => {
	const point = {requests: 60, errors: 0, in: {}, files: {hit: 3, miss: 1}, connections: 0, storeBytes: 0};
	const report = {
		...{stepMs: minute, from: at(0), to: at(60), sources: {}},
		points: [
			{...point, at: at(1), ms: minute, out: {hit: 6000}},
			{...point, at: at(2), ms: minute / 2, out: {hit: 6000, miss: 600}},
			{...point, at: at(30), ms: 0, out: {}},
		],
	};
	const out = bytesOutLines(report);
	t.deepEqual(
		out.lines.map(({name, values, total}) => ({name, values, total})),
		[
			{name: 'hit', values: [100, 200, null, 0], total: 12_000},
			{name: 'miss', values: [0, 20, null, 0], total: 600},
		],
	);
	t.is(out.times.length, 4);
	t.deepEqual(stacked(out.lines)[1]?.values, [100, 220, null, 0]);
	t.deepEqual(requestLines(report).lines[0]?.values, [60, 120, null, 60]);
	t.is(requestLines(report).lines.length, 1, 'no line for errors that never were');
	t.is(overallRatio(report), 0.75);
	t.deepEqual(hitRatioLines(report).lines[0]?.values, [0.75, 0.75, null, 0.75]);
	t.deepEqual(bytesInLines(report).lines, []);
});

test('no history is no lines', t => {
	const report = makeHistory(1, true);
	t.deepEqual(bytesOutLines(report).times, []);
	t.is(overallRatio(report), undefined);
	t.deepEqual(
		requestLines(report).lines.map(({name}) => name),
		['requests'],
	);
});

test('a day of history has a line for each source and each way', t => {
	const report = makeHistory(24);
	t.deepEqual(
		bytesInLines(report).lines.map(({name}) => name),
		['smartos', 'triton'],
	);
	t.deepEqual(
		bytesOutLines(report).lines.map(({name}) => name),
		['hit', 'local', 'join', 'miss'],
	);
	t.true(bytesOutLines(report).lines.every(({values}) => values.includes(null)));
});

test('stretches of a source fill the whole time, in order, whatever was reported', t => {
	fc.assert(
		fc.property(
			fc.array(fc.tuple(fc.integer({min: -100, max: 100}), fc.constantFrom('up', 'down', 'unknown')), {maxLength: 8}),
			fc.array(fc.integer({min: 0, max: 60}), {maxLength: 12}),
			(changes, points) => {
				const history = {
					points: [...points]
						.sort((one, other) => one - other)
						.map(minutes => ({at: at(minutes), state: 'up' as const})),
					changes: [...changes]
						.sort(([one], [other]) => one - other)
						.map(([minutes, state]) => ({at: at(minutes), state})),
				};
				const [fromMs, toMs] = [beginning, beginning + 60 * minute];
				const stretches = stretchesOf(history, {fromMs, toMs, stepMs: minute});
				t.is(stretches[0]?.fromMs, fromMs);
				t.is(stretches.at(-1)?.toMs, toMs);
				for (const [index, stretch] of stretches.entries()) {
					t.true(stretch.toMs > stretch.fromMs);
					t.true(index === 0 || stretches[index - 1]?.toMs === stretch.fromMs);
				}
				const share = upShare(stretches);
				t.true(share === undefined || (share >= 0 && share <= 1));
			},
		),
		{numRuns: 300},
	);
});

test('a source that was down a quarter of the hour was up for the rest', t => {
	const points = Array.from({length: 61}, (_, minutes) => ({at: at(minutes), state: 'up' as const}));
	const changes = [
		{at: at(-10), state: 'up' as const},
		{at: at(15), state: 'down' as const, problem: 'no route'},
		{at: at(30), state: 'up' as const},
	];
	const stretches = stretchesOf({points, changes}, {fromMs: beginning, toMs: beginning + 60 * minute, stepMs: minute});
	t.deepEqual(
		stretches.map(({state, problem}) => [state, problem]),
		[
			['up', undefined],
			['down', 'no route'],
			['up', undefined],
		],
	);
	t.is(upShare(stretches), 0.75);
	const gappy = stretchesOf(
		{points: points.filter((_, index) => index < 40 || index > 50), changes},
		{fromMs: beginning, toMs: beginning + 60 * minute, stepMs: minute},
	);
	t.deepEqual(
		gappy.map(({state}) => state),
		['up', 'down', 'up', 'away', 'up'],
	);
});

test('the disk by name keeps every byte, also of those that are too small to be shown', t => {
	const {all, bytes} = makeStorage(makeRows(2000));
	for (const most of [3, 8, 100]) {
		const groups = groupsOf(all, most);
		t.true(groups.length <= most);
		t.is(
			groups.reduce((sum, group) => sum + group.bytes, 0),
			bytes,
		);
		t.is(
			groups.reduce((sum, {files}) => sum + files.length, 0),
			all.length,
		);
	}
	const few = groupsOf(all, 3);
	t.is(few[2]?.name, 'others');
	t.is(few[2]?.names, groupsOf(all, 1000).length - 2);
	t.is(kindOf({name: '', names: 1, files: [], bytes: 5, keptBytes: 5}), 'kept');
	t.is(kindOf({name: '', names: 1, files: [], bytes: 5, keptBytes: 0}), 'free');
	t.is(kindOf({name: '', names: 1, files: [], bytes: 5, keptBytes: 2}), 'mixed');
	const [file] = all;
	t.is(file === undefined ? '' : groupsOf([{...file, images: []}], 5)[0]?.name, noName);
});
