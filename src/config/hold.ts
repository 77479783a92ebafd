/**
 * When images of a source are offered.
 *
 * Both clocks are named, as they are not the same: what was published long ago may have been added to the list today.
 */
import {duration, flag, type Kind} from './kinds.js';
import {Fault, shown} from './place.js';
import {field, section} from './section.js';
import type {HoldConfig} from './types.js';

const nothing: HoldConfig = {publishedMs: 0, seenMs: 0, untilReleased: false};

const holdFields = {
	published: field(
		'publishedMs',
		duration(),
		'0s',
		'Only so long after they were published ("published_at"), such as "7d".',
		['publishedAt', 'age', 'minAge'],
	),
	seen: field(
		'seenMs',
		duration(),
		'0s',
		'Only so long after they were first seen here; what stood in the first list ever was seen when it was published.',
		['firstSeen', 'listed', 'known', 'delay'],
	),
	untilReleased: field(
		'untilReleased',
		flag,
		false,
		'true: only what "imgmirror release" was said of, however old it is.',
		['manual', 'release', 'untilRelease', 'approve'],
	),
};
const holdSection = section(holdFields, 'null, or an object with published, seen or untilReleased');

export const hold: Kind<HoldConfig> = {
	expected: holdSection.expected,
	fields: holdFields,
	read(value, at) {
		if (value === null) {
			return nothing;
		}
		if (typeof value === 'string') {
			const written = JSON.stringify(value);
			throw new Fault(
				hold.expected,
				shown(value),
				`since when? write {"published": ${written}} or {"seen": ${written}}`,
			);
		}
		return holdSection.read(value, at);
	},
	write: (value, secrets) =>
		value.publishedMs > 0 || value.seenMs > 0 || value.untilReleased ? holdSection.write(value, secrets) : null,
	example: written => holdSection.example(written),
};
