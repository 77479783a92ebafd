/**
 * What files may take of the disk, and how often they are read again: the sections `store` and `scrub`.
 */
import {alwaysMs, duration, optional, percentage, rate, size, type Kind} from './kinds.js';
import {Fault} from './place.js';
import {field, section, type Values} from './section.js';
import {dayWindow} from './times.js';

const mark = percentage({least: 0.01, most: 1});

const storeFields = {
	maxSize: field(
		'maxBytes',
		size({least: 1, words: {none: Infinity}}),
		'none',
		'What all files together may take, published ones included; what was used least lately goes. "none" for no limit.',
		['maxBytes', 'limit', 'size', 'quota', 'cacheSize'],
	),
	minFree: field(
		'minFreeBytes',
		size({words: {auto: -1}}),
		'auto',
		'What the disk must have left; "auto": 1 GB, or a twentieth of a small disk. A file for which no room can be made is passed through and not kept.',
		['free', 'reserve', 'minFreeBytes', 'freeSpace', 'floor'],
	),
	maxUnused: field(
		'maxUnusedMs',
		duration({least: 60_000, words: {never: alwaysMs}}),
		'never',
		'Files that nobody has used for so long go, however much room there is; "never": they stay.',
		['maxAge', 'ttl', 'expire', 'expireAfter', 'unused'],
	),
	highMark: field('highMark', mark, '95%', 'Where files begin to go: a share of what they may take.', [
		'highWatermark',
		'high',
		'highWater',
	]),
	lowMark: field('lowMark', mark, '90%', 'Where that ends.', ['lowWatermark', 'low', 'lowWater']),
	keepPartials: field(
		'keepPartialsMs',
		duration({least: 60_000, words: {always: alwaysMs}}),
		'7d',
		'How long the part of a file that has arrived waits for somebody who wants the rest.',
		['partials', 'partialTtl', 'keepPartial'],
	),
};
const storeSection = section(storeFields);

export const store: Kind<Values<typeof storeFields>> = {
	...storeSection,
	read(value, at) {
		const values = storeSection.read(value, at);
		const areRead = !at.child('lowMark').isFaulty && !at.child('highMark').isFaulty;
		if (areRead && values.lowMark >= values.highMark) {
			const [low, high] = [values.lowMark, values.highMark].map(share => mark.write(share, 'plain') as string);
			at.child('lowMark').report(new Fault(`less than the highMark, ${high ?? ''}`, low ?? ''));
		}
		return values;
	},
};

export const scrub = section({
	every: field(
		'everyMs',
		duration({least: 3_600_000, words: {never: alwaysMs}}),
		'30d',
		'How often each file is read again and compared with its digest; "never": only when somebody asks.',
		['interval', 'schedule', 'period'],
	),
	rate: field(
		'bytesPerSecond',
		rate({least: 1, words: {none: 0}}),
		'20 MB/s',
		'How fast it is read; "none" for no limit.',
		['bandwidth', 'limit', 'speed', 'rateLimit'],
	),
	window: field(
		'window',
		optional(dayWindow),
		null,
		'Only in this part of the day, such as "22:00-06:00", by the machine\'s own time; null: at any time.',
		['hours', 'between', 'time', 'when'],
	),
});
