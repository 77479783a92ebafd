/**
 * Numbers, times and events as people read them.
 */
import test from 'ava';
import type {MirrorEvent} from '../../src/host-events.js';
import {ApiError, errorOf, noAnswer, problemText, wasAborted} from '../../src/page/api-error.js';
import {eventText, eventTone, eventTypes, isPassing} from '../../src/page/event-words.js';
import {linesOf} from '../../src/page/lines.js';
import {Rate} from '../../src/page/rate.js';
import {
	agoText,
	bytesText,
	countText,
	dayText,
	durationText,
	listText,
	percentText,
	plural,
	rateText,
	roughly,
	shortUuid,
	timeText,
} from '../../src/page/words.js';
import {humanBytes} from '../../src/cli/words.js';

test('amounts are written as the command line writes them', t => {
	for (const bytes of [0, 1, 999, 999.4, 1000, 1530, 99_949, 99_950, 999_500, 1e9, 5.1e12, 9e17]) {
		t.is(bytesText(bytes), humanBytes(bytes));
	}
	t.is(rateText(12_300_000), '12.3 MB/s');
	t.is(countText(25_000), '25\u202f000');
	t.is(countText(999), '999');
	t.is(plural(1, 'image'), '1 image');
	t.is(plural(2, 'entry', 'entries'), '2 entries');
	t.is(percentText(0.0042), '0.4 %');
	t.is(percentText(0), '0 %');
	t.is(percentText(0.999), '100 %');
	t.is(listText(['a', 'b', 'c']), 'a, b and c');
	t.is(listText(['a']), 'a');
	t.is(listText([]), '');
});

test('times are as long as they are', t => {
	t.deepEqual([0, 47_400, 200_000, 7_500_000, 275_000_000].map(durationText), [
		'0 s',
		'47 s',
		'3 min 20 s',
		'2 h 5 min',
		'3 d 4 h',
	]);
	t.deepEqual([4000, 200_000, 7_500_000, 275_000_000, 8e10].map(roughly), ['4 s', '3 min', '2 h', '3 d', '2 y']);
	const now = Date.parse('2026-03-01T12:00:00Z');
	t.is(agoText('2026-03-01T11:57:00Z', now), '3 min ago');
	t.is(agoText('2026-03-01T17:00:00Z', now), 'in 5 h');
	t.is(agoText('2026-03-01T12:00:01Z', now), 'now');
	t.is(agoText(undefined, now), '');
	t.is(agoText('when?', now), '');
	t.is(dayText('2026-03-01T12:00:00Z'), '2026-03-01');
	t.is(dayText(undefined), '');
	t.is(timeText('when?'), 'when?');
	t.regex(timeText('2026-03-01T12:00:00Z'), /^2026-0[23]-\d\d \d\d:\d0:00$/);
	t.is(shortUuid('63d6e664-3f1f-11e8-aef6-a3120cf8dd9d'), '63d6e664');
});

test('there is a line for every type of event', t => {
	const image = {uuid: 'x', name: 'web', version: '1.0.0', public: true};
	for (const type of eventTypes) {
		const event: MirrorEvent = {
			id: 1,
			type,
			at: '',
			image,
			source: 'smartos',
			bytes: 1000,
			by: 'op',
			problem: 'no luck',
		};
		const text = eventText(event);
		t.true(text.length > 10, type);
		t.notRegex(text, /undefined/);
		t.regex(eventText({id: 1, type, at: ''}), /^\D+$/u);
		t.is(isPassing(event), /progress$|^catalog/.test(type));
	}
	t.is(eventTypes.length, new Set(eventTypes).size);
	t.is(
		eventText({id: 1, type: 'transfer.failed', at: '', sha1: '0123456789abcdef', source: 's', problem: 'cut'}),
		'the transfer of file 0123456789ab from s failed: cut',
	);
	t.is(eventTone({id: 1, type: 'scrub.ended', at: ''}), 'plain');
	t.is(eventTone({id: 1, type: 'scrub.ended', at: '', problem: 'x'}), 'bad');
});

test('what went wrong is said in a sentence, with what to do about it', t => {
	const body = JSON.stringify({code: 'InvalidParameter', message: 'name is wrong', errors: [{field: 'name'}, 7]});
	const error = errorOf(422, body);
	t.like(error, {status: 422, code: 'InvalidParameter', errors: [{field: 'name'}]});
	t.is(problemText(error), 'Name is wrong.');
	t.regex(problemText(errorOf(401, '')), /Log in/);
	t.regex(problemText(errorOf(403, '<html>')), /right/);
	t.is(problemText(errorOf(502, '[]')), 'The mirror answered with status 502.');
	t.is(problemText(errorOf(404, '{}')), 'This is not there (any more).');
	t.is(problemText(noAnswer()), 'The mirror does not answer.');
	t.is(problemText(new Error('as it is')), 'as it is');
	t.is(problemText('text'), 'text');
	t.deepEqual(
		[0, 408, 429, 500, 503, 400, 409, 404].map(status => new ApiError('', {status}).mayPass),
		[true, true, true, true, true, false, false, false],
	);
	t.false(wasAborted(error));
});

test('lines come whole, however their bytes were cut', async t => {
	const bytes = new TextEncoder().encode('{"a":"ä"}\n\n{"b":1}\nlast');
	for (const size of [1, 2, 5, 100]) {
		const pieces = Array.from({length: Math.ceil(bytes.length / size)}, (_, at) =>
			bytes.slice(at * size, (at + 1) * size),
		);
		let isCancelled = false;
		const reader = {
			read: async () => {
				const value = pieces.shift();
				return value === undefined ? {done: true} : {done: false, value};
			},
			cancel: async () => {
				isCancelled = true;
			},
		};
		const lines: string[] = [];
		for await (const line of linesOf(reader)) {
			lines.push(line);
		}
		t.deepEqual(lines, ['{"a":"ä"}', '{"b":1}', 'last']);
		t.false(isCancelled);
	}
});

test('who stops reading lines has the rest cancelled', async t => {
	let isCancelled = false;
	const reader = {
		read: async () => ({done: false, value: new TextEncoder().encode('one\ntwo\n')}),
		cancel: async () => {
			isCancelled = true;
		},
	};
	for await (const line of linesOf(reader)) {
		t.is(line, 'one');
		break;
	}
	t.true(isCancelled);
});

test('a rate is that of the last seconds', t => {
	const rate = new Rate();
	t.is(rate.at(0, 0), 0);
	t.is(rate.at(1000, 5000), 5000);
	for (let second = 2; second <= 20; second++) {
		rate.at(second * 1000, 5000 + (second - 1) * 100);
	}
	t.is(rate.at(21_000, 5000 + 20 * 100), 100);
	rate.restart();
	t.is(rate.at(30_000, 0), 0);
});
