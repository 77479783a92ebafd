import test from 'ava';
import fc from 'fast-check';
import type {PrefetchRuleConfig} from '../../src/config.js';
import {checkCron} from '../../src/prefetch/schedule.js';
import type {Scope} from '../helpers/temp-dir.js';
import {configOf, faultsOf} from './config-file.js';

const day = 24 * 3_600_000;
const sources = ['a=http://a', 'b=http://b'].map(text => ({name: text.slice(0, 1), url: text.slice(2)}));

async function ruleOf(t: Scope, keys: object): Promise<PrefetchRuleConfig> {
	const {prefetch} = await configOf(t, {sources, prefetch: {rules: [{name: 'r', ...keys}]}});
	const [only] = prefetch.rules;
	if (only === undefined) {
		throw new Error('no rule was read');
	}
	return only;
}

const faults = (t: Scope, keys: object): Promise<readonly string[]> =>
	faultsOf(t, {sources, prefetch: {rules: [{name: 'r', ...keys}]}});

test('a rule that says nothing but its name holds everything, and looks once a day', async t => {
	const nothing = {name: [], os: [], type: [], owner: [], uuid: []};
	t.deepEqual(await ruleOf(t, {}), {
		name: 'r',
		sources: [],
		include: nothing,
		exclude: nothing,
		version: undefined,
		newest: undefined,
		publishedSinceMs: undefined,
		publishedWithinMs: undefined,
		maxBytes: Infinity,
		schedule: {kind: 'every', everyMs: day},
		window: undefined,
		bandwidth: 0,
	});
});

test('every key of a rule reaches its place', async t => {
	const rule = await ruleOf(t, {
		sources: ['b', 'a'],
		include: {name: 'base-*', os: ['smartos']},
		exclude: {type: 'docker'},
		version: '>=21.4 <25',
		newest: 2,
		publishedSince: '2026-01-31',
		publishedWithin: '90d',
		maxSize: '50 GB',
		cron: ' 0  3 * * mon ',
		window: '22:00-06:00',
		bandwidth: '10 MB/s',
	});
	t.deepEqual(rule, {
		name: 'r',
		sources: ['b', 'a'],
		include: {name: ['base-*'], os: ['smartos'], type: [], owner: [], uuid: []},
		exclude: {name: [], os: [], type: ['docker'], owner: [], uuid: []},
		version: '>=21.4 <25',
		newest: 2,
		publishedSinceMs: Date.UTC(2026, 0, 31),
		publishedWithinMs: 90 * day,
		maxBytes: 50e9,
		schedule: {kind: 'cron', cron: '0 3 * * mon'},
		window: {fromMinute: 1320, toMinute: 360},
		bandwidth: 10e6,
	});
	t.deepEqual((await ruleOf(t, {every: null, cron: '@Daily'})).schedule, {kind: 'cron', cron: '@daily'});
	t.deepEqual((await ruleOf(t, {every: '6h', cron: null})).schedule, {kind: 'every', everyMs: day / 4});
	t.is(
		(await ruleOf(t, {publishedSince: '2024-02-29T23:30:00.5-01:00'})).publishedSinceMs,
		Date.UTC(2024, 2, 1, 0, 30, 0, 500),
	);
});

test('a rule that names a source that has got its name from its host is understood', async t => {
	const rules = [{name: 'r', sources: 'images.example.com'}];
	const {prefetch} = await configOf(t, {sources: ['https://images.example.com'], prefetch: {rules}});
	t.deepEqual(prefetch.rules[0]?.sources, ['images.example.com']);
});

const wrong: Readonly<Record<string, readonly [keys: object, fault: RegExp]>> = {
	'a name with a blank': [{name: 'a b'}, /rules\[0\]\.name .*letters, digits/],
	'a source that is none': [{sources: ['a', 'c']}, /^prefetch\.rules\[0\]\.sources .*names of sources: a, b, got "c"/],
	'a source in other letters': [{sources: 'A'}, /got "A"; did you mean "a"\?$|got "A"$/],
	'a half-said owner': [{include: {owner: 'XYZ'}}, /include\.owner .*a UUID or a pattern/],
	'none of each name': [{newest: 0}, /rules\[0\]\.newest .*from 1 to 100000/],
	'the 30th of February': [{publishedSince: '2026-02-30'}, /publishedSince .*a date such as/],
	'the 13th month': [{publishedSince: '2026-13-01'}, /a date such as/],
	'a date in words': [{publishedSince: 'yesterday'}, /a date such as/],
	'a time of no place': [{publishedSince: '2026-01-31T12:00:00'}, /which time it is: "Z" at its end is UTC$/],
	'every and cron': [{every: '1d', cron: '@daily'}, /rules\[0\]\.cron .*expected every or cron, got both$/],
	'no every and a bad cron': [{every: null, cron: 'daily'}, /^prefetch\.rules\[0\]\.cron .*it has 1 field/],
	'a system in other letters': [{include: {os: 'smartOS'}}, /include\.os .*got "smartOS"; did you mean "smartos"\?$/],
	'a type that is nearly one': [{exclude: {type: ['lxd', 'zvoll']}}, /exclude\.type\[1\] .*did you mean "zvol"\?$/],
	'neither every nor cron': [{every: null}, /rules\[0\] .*expected every or cron, got neither$/],
	'looking all the time': [{every: '1s'}, /at least 1m$/],
	'a version that is a number': [{version: 21}, /a range of versions such as/],
	'no room': [{maxSize: 0}, /maxSize .*at least 1 B$/],
	'a cron expression of a word': [{cron: 'daily'}, /it has 1 field, not 5, or 6 with seconds$/],
	'a cron expression that is a number': [{cron: 5}, /got 5$/],
	'a nickname that nobody has': [{cron: '@reboot'}, /there are @hourly, @daily/],
	'the 60th minute': [{cron: '60 * * * *'}, /"60 \* \* \* \*"; minute: from 0 to 59$/],
	'the 24th hour': [{cron: '0 24 * * *'}, /hour: from 0 to 23$/],
	'day 0': [{cron: '0 0 0 * *'}, /day of the month: from 1 to 31$/],
	'a month that is none': [{cron: '0 0 1 foo *'}, /month: "foo" is not understood$/],
	'a weekday that is none': [{cron: '0 0 * * abc#1'}, /day of the week: "abc#1" is not understood$/],
	'a weekday as a month': [{cron: '0 0 1 MON *'}, /month: "MON" is not understood$/],
	'a sixth Friday': [{cron: '0 0 * * FRI#6'}, /"FRI#6" is not understood$/],
	'a range backwards': [{cron: '0 22-6 * * *'}, /hour: 22-6 runs backwards: write two ranges$/],
	'a step of nothing': [{cron: '*/0 * * * *'}, /minute: a step is from 1 to 60, not 0$/],
	'a step over all': [{cron: '*/61 * * * *'}, /a step is from 1 to 60, not 61$/],
	'a step from a number on': [{cron: '5/10 * * * *'}, /a step needs a range: "5-59\/10"$/],
	'an empty element': [{cron: '1,,2 * * * *'}, /minute: nothing is not understood$/],
	'a day that February never has': [{cron: '0 3 31 2 *'}, /got "0 3 31 2 \*"; there is no such day, in no year$/],
	'a day that no month of a range has': [{cron: '0 0 3 31 apr-6/2,9 ?'}, /there is no such day, in no year$/],
	'days that are all too late': [{cron: '0 3 30-31,31 Feb *'}, /there is no such day, in no year$/],
	'the 60th second': [{cron: '60 0 0 * * *'}, /second: from 0 to 59$/],
};
for (const [what, [keys, fault]] of Object.entries(wrong)) {
	test(`refused with a reason: ${what}`, async t => {
		const found = await faults(t, keys);
		t.is(found.length, 1, found.join('\n'));
		t.regex(found[0] ?? '', fault);
	});
}

test('a day that comes is taken, however seldom that is', async t => {
	for (const cron of ['0 3 29 2 *', '0 3 31 2 mon', '0 3 31 4-5 *', '0 3 30,L 2 *', '0 3 31 */6 *', '0 3 */31 2 *']) {
		t.deepEqual((await ruleOf(t, {cron})).schedule, {kind: 'cron', cron});
	}
});

test('a day that never comes is said with its line', async t => {
	const text = '{"prefetch": {"rules": [\n\t{"name": "r",\n\t"cron": "0 3 31 2 *"}]}}';
	const found = await faultsOf(t, text);
	t.is(found.length, 1);
	t.regex(found[0] ?? '', /^prefetch\.rules\[0\]\.cron \(line 3\): /);
});

test('each rule has a name, and one of its own', async t => {
	const found = await faultsOf(t, {prefetch: {rules: [{name: 'a'}, {name: 'a'}, {newest: 1}]}});
	t.is(found.length, 2);
	t.regex(found.join('\n'), /rules\[1\]\.name .*a name of its own for each rule, got "a" again/);
	t.regex(found.join('\n'), /rules\[2\]\.name .*got nothing/);
});

test('without sources a rule can name none', async t => {
	const [fault] = await faultsOf(t, {sources: [], prefetch: {rules: [{name: 'a', sources: 'smartos'}]}});
	t.regex(fault ?? '', /expected none, as there are no sources, got "smartos"/);
});

test('whatever cron expression is taken, the scheduler takes it as well', async t => {
	const within = (least: number, most: number, words: readonly string[] = []): fc.Arbitrary<string> => {
		const number = fc.integer({min: least, max: most});
		const name = words.length === 0 ? number.map(String) : fc.oneof(number.map(String), fc.constantFrom(...words));
		const range = fc.tuple(number, number).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
		const step = fc.integer({min: 0, max: most + 2});
		const element = fc.oneof(
			fc.constantFrom('*', '?', 'L', '', '-', `${least}-${most}`),
			name,
			range,
			fc.tuple(fc.oneof(range, fc.constant('*')), step).map(([what, by]) => `${what}/${by}`),
			fc.tuple(name, fc.constantFrom('1', '5', '6', 'L')).map(([what, nth]) => `${what}#${nth}`),
		);
		return fc.array(element, {minLength: 1, maxLength: 3}).map(elements => elements.join(','));
	};
	const names = ['JAN', 'dec', 'Feb', 'XYZ'];
	const days = ['SUN', 'sat', 'Wed', 'XYZ'];
	const sixty = within(0, 59);
	const five = fc.tuple(sixty, within(0, 23), within(1, 31), within(1, 12, names), within(0, 7, days));
	const expression = fc.oneof(
		five.map(fields => fields.join(' ')),
		fc.tuple(sixty, five).map(([second, fields]) => [second, ...fields].join(' ')),
		fc.constantFrom('@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually'),
	);
	const date = fc.tuple(
		fc.integer({min: 28, max: 31}),
		fc.constantFrom('2', 'feb', '4', '*/2', '2-6/2'),
		fc.constantFrom('*', '?'),
	);
	const late = date.map(([day, month, weekday]) => `0 3 ${day} ${month} ${weekday}`);
	let taken = 0;
	await fc.assert(
		fc.asyncProperty(fc.oneof(expression, late), async text => {
			const found = await faults(t, {cron: text});
			if (found.length === 0) {
				taken++;
				t.is(checkCron(text), undefined, text);
			} else if (found[0]?.endsWith('in no year') === true) {
				t.is(checkCron(text), 'there is no such day, ever', text);
			}
		}),
		{numRuns: 300},
	);
	t.true(taken > 5);
});
