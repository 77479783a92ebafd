/**
 * What is fetched before anybody asks: the section `prefetch` with its rules.
 *
 * Which images a rule comes to is the business of `prefetch/`; here it is only seen that every rule can be understood.
 */
import {imageFilter} from './filter.js';
import {count, duration, list, optional, rate, size, text, type Kind, type Written} from './kinds.js';
import {Fault, shown, type Place} from './place.js';
import {field, isObject, section, type Values} from './section.js';
import {nearest} from './spelling.js';
import {cron, dayWindow, moment} from './times.js';
import type {PrefetchRuleConfig, SourceConfig} from './types.js';

const nothing: Written = {};
const none: Written = [];
const everyDay = '1d';

const ruleFields = {
	name: field(
		'name',
		text('a name of letters, digits, ".", "_" and "-"', {pattern: /^[\w.-]{1,64}$/}),
		'bases',
		'In logs, events and "imgmirror prefetch".',
		['id', 'label', 'title'],
	),
	sources: field(
		'sources',
		list(text('the name of a source')),
		none,
		'Names of the sources to fetch from; all if nothing is given.',
		['source', 'upstream', 'upstreams', 'from'],
	),
	include: field(
		'include',
		imageFilter,
		nothing,
		'Only these images. A rule that says nothing of which holds everything there is.',
		['only', 'filter', 'images', 'match'],
	),
	exclude: field('exclude', imageFilter, nothing, 'Not these, even if included.', ['except', 'ignore']),
	version: field(
		'version',
		optional(text('a range of versions such as ">=21.4" or "24.x", or a pattern such as "2024*"')),
		null,
		'A range such as ">=21.4 <25" or a pattern such as "2024*"; null: every version.',
		['versions', 'range'],
	),
	newest: field('newest', optional(count(1, 100_000)), null, 'Only so many of each name, the newest; null: all.', [
		'latest',
		'last',
		'keep',
		'count',
	]),
	publishedSince: field(
		'publishedSinceMs',
		optional(moment),
		null,
		'Only images published since a date such as "2026-01-31"; null: of any age.',
		['since', 'after'],
	),
	publishedWithin: field(
		'publishedWithinMs',
		optional(duration({least: 1})),
		null,
		'Only images published within the last "90d" or the like; null: of any age.',
		['within', 'maxAge', 'age'],
	),
	maxSize: field(
		'maxBytes',
		size({least: 1, words: {none: Infinity}}),
		'none',
		'The newest of them that fit into so much, origins included; "none" for no bound.',
		['maxBytes', 'size', 'limit', 'total'],
	),
	every: field(
		'everyMs',
		optional(duration({least: 60_000})),
		everyDay,
		'How often it is looked whether something is to be fetched; or cron.',
		['interval', 'period'],
	),
	cron: field(
		'cron',
		optional(cron),
		null,
		'The same as a cron expression, by the machine\'s own time: "0 3 * * *", "@daily".',
		['schedule', 'crontab', 'at'],
	),
	window: field(
		'window',
		optional(dayWindow),
		null,
		'Fetch only in this part of the day, such as "22:00-06:00"; null: at any time.',
		['hours', 'between', 'time', 'when'],
	),
	bandwidth: field(
		'bandwidth',
		rate({least: 1, words: {none: 0}}),
		'none',
		'For all that this rule fetches, such as "10 MB/s"; "none" for no limit.',
		['rate', 'rateLimit', 'bandwidthLimit'],
	),
};
const ruleSection = section(ruleFields, 'an object with a name and which images to hold');

const sample: Written = {
	name: 'bases',
	include: {name: ['base-64*', 'minimal-64*'], os: ['smartos']},
	newest: 2,
	window: '22:00-06:00',
};

const rule: Kind<PrefetchRuleConfig> = {
	expected: ruleSection.expected,
	fields: ruleFields,
	read(value, at) {
		if (isObject(value) && !Object.hasOwn(value, 'name')) {
			at.child('name').report(new Fault(ruleFields.name.kind.expected, 'nothing'));
		}
		const {everyMs, cron: expression, ...rest} = ruleSection.read(value, at);
		return {...rest, schedule: scheduleOf(everyMs, expression, isObject(value) && Object.hasOwn(value, 'every'), at)};
	},
	write: ({schedule, ...rest}, secrets) =>
		ruleSection.write(
			{
				...rest,
				everyMs: schedule.kind === 'every' ? schedule.everyMs : undefined,
				cron: schedule.kind === 'cron' ? schedule.cron : undefined,
			},
			secrets,
		),
	example: written => ruleSection.example(written),
};

function scheduleOf(
	everyMs: number | undefined,
	expression: string | undefined,
	everyGiven: boolean,
	at: Place,
): PrefetchRuleConfig['schedule'] {
	if (expression !== undefined) {
		if (everyGiven && everyMs !== undefined) {
			at.child('cron').report(new Fault('every or cron', 'both'));
		}
		return {kind: 'cron', cron: expression};
	}
	if (everyMs === undefined && !at.child('cron').isFaulty) {
		throw new Fault('every or cron', 'neither');
	}
	return {kind: 'every', everyMs: everyMs ?? Infinity};
}

const rules = list(rule, {sample});

const prefetchFields = {
	concurrent: field(
		'concurrent',
		count(1, 100),
		2,
		'Files fetched ahead at once. What clients wait for always goes first.',
		['max', 'concurrency', 'transfers'],
	),
	rules: field(
		'rules',
		{...rules, read: (value: unknown, at: Place) => uniqueRules(rules.read(value, at), at)},
		[],
		'What to hold before anybody asks: objects with these keys. What a rule wants is not evicted. [] for none.',
		['rule', 'prefetch', 'images', 'want'],
	),
};

function uniqueRules(found: readonly PrefetchRuleConfig[], at: Place): readonly PrefetchRuleConfig[] {
	const isNamed = (index: number): boolean => !at.child(index).child('name').isFaulty;
	for (const [index, {name}] of found.entries()) {
		if (isNamed(index) && found.slice(0, index).some((other, before) => isNamed(before) && other.name === name)) {
			at.child(index)
				.child('name')
				.report(new Fault('a name of its own for each rule', `${shown(name)} again`));
		}
	}
	return found;
}

export const prefetch: Kind<Values<typeof prefetchFields>> = section(prefetchFields);

/** Rules name sources that there are. Said of the whole configuration, as no rule knows them. */
export function checkRuleSources(
	{sources, prefetch: {rules: all}}: {sources: readonly SourceConfig[]; prefetch: Values<typeof prefetchFields>},
	at: Place,
): void {
	if (at.child('sources').isFaulty) {
		return;
	}
	const names = sources.map(({name}) => name);
	for (const [index, {sources: wanted}] of all.entries()) {
		for (const name of wanted.filter(one => !names.includes(one))) {
			const near = nearest(name, names);
			at.child('prefetch')
				.child('rules')
				.child(index)
				.child('sources')
				.report(
					new Fault(
						names.length === 0 ? 'none, as there are no sources' : `names of sources: ${names.join(', ')}`,
						shown(name),
						near === undefined ? undefined : `did you mean "${near}"?`,
					),
				);
		}
	}
}
