import test from 'ava';
import {formFor, judge, rangeHolds, type Verdict} from '../../src/http/conditions.js';

const etag = 'a123a26c31821a9b7e5331f8c43aa3fdb117f41e';
const modifiedMs = Date.UTC(2024, 0, 2, 3, 4, 5, 678);
const at = 'Tue, 02 Jan 2024 03:04:05 GMT';
const before = 'Mon, 01 Jan 2024 00:00:00 GMT';
const after = 'Wed, 03 Jan 2024 00:00:00 GMT';

const rows: readonly (readonly [headers: Readonly<Record<string, string>>, verdict: Verdict])[] = [
	[{}, 'send'],
	[{'if-none-match': `"${etag}"`}, 'not modified'],
	[{'if-none-match': etag}, 'not modified'],
	[{'if-none-match': `W/"${etag}"`}, 'not modified'],
	[{'if-none-match': `"x", "${etag}"`}, 'not modified'],
	[{'if-none-match': '*'}, 'not modified'],
	[{'if-none-match': '"x"'}, 'send'],
	[{'if-none-match': ''}, 'send'],
	[{'if-none-match': etag.toUpperCase()}, 'send'],
	[{'if-match': `"${etag}"`}, 'send'],
	[{'if-match': etag}, 'send'],
	[{'if-match': `W/"${etag}"`}, 'send'],
	[{'if-match': `x, ${etag}`}, 'send'],
	[{'if-match': '*'}, 'send'],
	[{'if-match': '"x"'}, 'failed'],
	[{'if-match': `"${etag}"`, 'if-none-match': `"${etag}"`}, 'not modified'],
	[{'if-match': '"x"', 'if-none-match': `"${etag}"`}, 'failed'],
	[{'if-modified-since': at}, 'not modified'],
	[{'if-modified-since': after}, 'not modified'],
	[{'if-modified-since': before}, 'send'],
	[{'if-modified-since': 'garbage'}, 'send'],
	[{'if-modified-since': '2030'}, 'send'],
	[{'if-modified-since': after, 'if-none-match': '"x"'}, 'send'],
	[{'if-unmodified-since': before}, 'failed'],
	[{'if-unmodified-since': at}, 'send'],
	[{'if-unmodified-since': 'garbage'}, 'send'],
	[{'if-unmodified-since': before, 'if-match': etag}, 'send'],
];

for (const [headers, verdict] of rows) {
	test(`${JSON.stringify(headers)} means: ${verdict}`, t => {
		t.is(judge(headers, {etag, modifiedMs}), verdict);
	});
}

test('what has no ETag matches only the star', t => {
	t.is(judge({'if-match': `"${etag}"`}, {etag: undefined}), 'failed');
	t.is(judge({'if-none-match': `"${etag}"`}, {etag: undefined}), 'send');
	t.is(judge({'if-none-match': '*'}, {etag: undefined}), 'not modified');
	t.is(judge({'if-modified-since': after}, {etag: undefined}), 'send');
});

test('of several forms, it is about the one that the client has', t => {
	const forms = ['a-br', 'a-gzip', 'a'];
	t.is(formFor({}, forms), 0);
	t.is(formFor({'if-none-match': '"a-gzip"'}, forms), 1);
	t.is(formFor({'if-none-match': '"x", W/"a"'}, forms), 2);
	t.is(formFor({'if-none-match': '"a", "a-br"'}, forms), 0);
	t.is(formFor({'if-none-match': '"other"'}, forms), 0);
	t.is(formFor({'if-none-match': '*'}, forms), 0);
	t.is(formFor({'if-match': 'a', 'if-none-match': '"a-gzip"'}, forms), 2);
});

const ranges: readonly (readonly [ifRange: string, holds: boolean])[] = [
	[`"${etag}"`, true],
	[etag, true],
	[`W/"${etag}"`, false],
	['"x"', false],
	[at, true],
	[before, false],
	[after, false],
	['*', false],
];

for (const [ifRange, holds] of ranges) {
	test(`If-Range ${ifRange} ${holds ? 'holds' : 'does not hold'}`, t => {
		t.is(rangeHolds(ifRange, {etag, modifiedMs}), holds);
	});
}

test('If-Range holds for nothing that has neither ETag nor date', t => {
	t.false(rangeHolds(at, {etag: undefined}));
	t.false(rangeHolds(`"${etag}"`, {etag: undefined}));
});
