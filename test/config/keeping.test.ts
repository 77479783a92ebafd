import test from 'ava';
import {configOf, faultsOf} from './config-file.js';

const hour = 3_600_000;
const day = 24 * hour;

test('what files may take reaches its place', async t => {
	const store = {
		maxSize: '500 GB',
		minFree: '2 GB',
		maxUnused: '90d',
		highMark: '97.5 %',
		lowMark: '80%',
		keepPartials: '1h',
	};
	t.deepEqual((await configOf(t, {store})).store, {
		maxBytes: 500e9,
		minFreeBytes: 2e9,
		maxUnusedMs: 90 * day,
		highMark: 0.975,
		lowMark: 0.8,
		keepPartialsMs: hour,
	});
	const none = (await configOf(t, {store: {maxSize: 'none', maxUnused: 'never', keepPartials: 'always'}})).store;
	t.deepEqual([none.maxBytes, none.maxUnusedMs, none.keepPartialsMs], [Infinity, 36_500 * day, 36_500 * day]);
});

test('how files are read again reaches its place', async t => {
	const {scrub} = await configOf(t, {scrub: {every: '1w', rate: '8 Mbit/s', window: '22:00-06:30'}});
	t.deepEqual(scrub, {everyMs: 7 * day, bytesPerSecond: 1e6, window: {fromMinute: 1320, toMinute: 390}});
	t.deepEqual((await configOf(t, {scrub: {every: 'never', rate: 'none', window: null}})).scrub, {
		everyMs: 36_500 * day,
		bytesPerSecond: 0,
		window: undefined,
	});
	t.deepEqual((await configOf(t, {scrub: {window: '9:05 - 24:00'}})).scrub.window, {fromMinute: 545, toMinute: 0});
});

test('a source can offer images later; its own hold replaces the one of all', async t => {
	const {sources} = await configOf(t, {
		sourceDefaults: {hold: {published: '7d'}},
		sources: [
			'http://a',
			{url: 'http://b', hold: {seen: '2d', untilReleased: true}},
			{url: 'http://c', hold: null},
			{url: 'http://d', hold: {}},
		],
	});
	t.deepEqual(
		sources.map(({hold}) => hold),
		[
			{publishedMs: 7 * day, seenMs: 0, untilReleased: false},
			{publishedMs: 0, seenMs: 2 * day, untilReleased: true},
			{publishedMs: 0, seenMs: 0, untilReleased: false},
			{publishedMs: 0, seenMs: 0, untilReleased: false},
		],
	);
});

const wrong: Readonly<Record<string, readonly [config: object, fault: RegExp]>> = {
	'a mark as a share': [
		{store: {highMark: 0.9}},
		/^store\.highMark .*a percentage such as "90%", .*got 0\.9; write "90%"$/,
	],
	'a mark without its sign': [{store: {lowMark: '85'}}, /^store\.lowMark .*got "85"; write "85%"$/],
	'a mark of more than all': [{store: {highMark: '101%'}}, /from 1% to 100%, got "101%"$/],
	'a mark that is wrong, not too high': [{store: {highMark: '5%', lowMark: 'x'}}, /^store\.lowMark .*got "x"$/],
	'a mark of nothing': [{store: {lowMark: '0%'}}, /from 1% to 100%, got "0%"$/],
	'a low mark above the high one': [
		{store: {highMark: '80%'}},
		/^store\.lowMark .*expected less than the highMark, 80%, got 90%$/,
	],
	'a low mark that is the high one': [
		{store: {highMark: '50%', lowMark: '50%'}},
		/less than the highMark, 50%, got 50%$/,
	],
	'no room at all': [{store: {maxSize: 0}}, /^store\.maxSize .*got 0; at least 1 B$/],
	'a share of the disk': [{store: {minFree: '5%'}}, /^store\.minFree .*expected .*a size/],
	'an age without unit': [{store: {maxUnused: 30}}, /the unit is missing/],
	'reading again all the time': [{scrub: {every: '1m'}}, /^scrub\.every .*at least 1h$/],
	'a rate of nothing': [{scrub: {rate: 0}}, /^scrub\.rate .*at least 1 B\/s$/],
	'a window of hours': [{scrub: {window: '22-6'}}, /^scrub\.window .*got "22-6"; with minutes$/],
	'a window of no length': [{scrub: {window: '00:00-24:00'}}, /two different times, got .*; null is the whole day$/],
	'a window with the 61st minute': [{scrub: {window: '22:61-23:00'}}, /a part of the day such as/],
	'a window with the 25th hour': [{scrub: {window: '22:00-24:01'}}, /a part of the day such as/],
	'a hold that names no clock': [
		{sources: [{url: 'http://a', hold: '7d'}]},
		/^sources\[0\]\.hold .*got "7d"; since when\? write \{"published": "7d"\} or \{"seen": "7d"\}$/,
	],
	'a hold that names another': [
		{sources: [{url: 'http://a', hold: {publishedAt: '7d'}}]},
		/hold\.publishedAt .*did you mean "published"\?$/,
	],
	'a hold in words': [
		{sources: [{url: 'http://a', hold: {untilReleased: 'yes'}}]},
		/expected true or false, got "yes"$/,
	],
	'a page in words': [{page: 'on'}, /^page .*expected true or false/],
	'a login for no time': [{http: {sessionFor: '1s'}}, /^http\.sessionFor .*at least 1m$/],
};
for (const [what, [config, fault]] of Object.entries(wrong)) {
	test(`refused with a reason: ${what}`, async t => {
		const faults = await faultsOf(t, config);
		t.is(faults.length, 1, faults.join('\n'));
		t.regex(faults[0] ?? '', fault);
	});
}
