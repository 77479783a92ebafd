import test from 'ava';
import fc from 'fast-check';
import {parseDate} from '../../src/image/dates.js';

const dates: readonly (readonly [string, string | undefined])[] = [
	['2012-05-02T15:14:45.805Z', '2012-05-02T15:14:45.805Z'],
	['2012-05-02T15:14:45Z', '2012-05-02T15:14:45.000Z'],
	['2011-03-15T13:33Z', '2011-03-15T13:33:00.000Z'],
	['2011-03-15T13:33', '2011-03-15T13:33:00.000Z'],
	['2014-11-10T09:08:07.123456789Z', '2014-11-10T09:08:07.123Z'],
	['2014-11-10T09:08:07.5Z', '2014-11-10T09:08:07.500Z'],
	['2014-11-10T09:08:07.123456', '2014-11-10T09:08:07.123Z'],
	['2014-11-10T09:08:07+02:00', '2014-11-10T07:08:07.000Z'],
	['2014-11-10T09:08:07.25-0130', '2014-11-10T10:38:07.250Z'],
	['2014-11-10 09:08:07 z', '2014-11-10T09:08:07.000Z'],
	['2014-11-10', '2014-11-10T00:00:00.000Z'],
	['2014-13-10T00:00:00Z', undefined],
	['2014-11-10T25:00:00Z', undefined],
	['2014-11-10T09', undefined],
	['yesterday', undefined],
	['', undefined],
	['1415610487', undefined],
];

for (const [text, expected] of dates) {
	test(`the date '${text}' is ${expected ?? 'none'}`, t => {
		const ms = parseDate(text);
		t.is(ms === undefined ? undefined : new Date(ms).toISOString(), expected);
	});
}

test('every date that ISO can write is read back', t => {
	fc.assert(
		fc.property(fc.date({min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true}), date => {
			t.is(parseDate(date.toISOString()), date.getTime());
		}),
	);
});
