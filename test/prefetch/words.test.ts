import test from 'ava';
import {describeRule} from '../../src/prefetch/words.js';
import {dayMs, hourMs, rule} from './rules.js';

const cron = (expression: string): {readonly schedule: {readonly kind: 'cron'; readonly cron: string}} => ({
	schedule: {kind: 'cron', cron: expression},
});

for (const [words, said] of [
	['all images; every day', {}],
	[
		'newest 2 of each name base-64*, minimal-64* from smartos, version ^24, at most 50 GB; every day at 2:00 (0 2 * * *), 22:00-06:00, 5 MB/s',
		{
			newest: 2,
			include: {name: ['base-64*', 'minimal-64*']},
			sources: ['smartos'],
			version: '^24',
			maxBytes: 50e9,
			...cron('0 2 * * *'),
			window: {fromMinute: 22 * 60, toMinute: 6 * 60},
			bandwidth: 5e6,
		},
	],
	[
		'images named a from one, two, os smartos or linux, type zvol, not named *-rc*, not owner x; every 1h30m',
		{
			include: {name: ['a'], os: ['smartos', 'linux'], type: ['zvol']},
			exclude: {name: ['*-rc*'], owner: ['x']},
			sources: ['one', 'two'],
			schedule: {kind: 'every', everyMs: 1.5 * hourMs},
		},
	],
	[
		'newest 1 of each name, published since 2026-01-31, published within the last 90 days, at most 1.5 TB; every 3 days',
		{
			newest: 1,
			publishedSinceMs: Date.UTC(2026, 0, 31),
			publishedWithinMs: 90 * dayMs,
			maxBytes: 1.5e12,
			schedule: {kind: 'every', everyMs: 3 * dayMs},
		},
	],
	['all images; every hour at :05 (5 * * * *)', cron('5 * * * *')],
	['all images; every day at 2:30 and 14:30 (30 2,14 * * *)', cron('30 2,14 * * *')],
	['all images; every Sunday at 4:00 (0 4 * * 7)', cron('0 4 * * 7')],
	['all images; cron 0 4 1 * *', cron('0 4 1 * *')],
	['all images; cron */5 * * * *', cron('*/5 * * * *')],
	['all images; cron @daily', cron('@daily')],
	['all images; every day, at any time', {window: {fromMinute: 60, toMinute: 60}}],
] as const) {
	test(`a rule is told as: ${words}`, t => {
		t.is(describeRule(rule(said)), words);
	});
}
