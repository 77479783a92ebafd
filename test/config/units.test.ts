import test from 'ava';
import fc from 'fast-check';
import {
	UnitError,
	formatDuration,
	formatRate,
	formatSize,
	parseDuration,
	parseRate,
	parseSize,
} from '../../src/config/units.js';

const table = (pairs: Readonly<Record<string, number>>): readonly (readonly [string, number])[] =>
	Object.entries(pairs);

for (const [text, bytes] of table({
	'500 GB': 500e9,
	'500GB': 500e9,
	'500 gb': 500e9,
	'64 MiB': 64 * 1024 ** 2,
	'64mib': 64 * 1024 ** 2,
	'1.5G': 1.5e9,
	'1.5 GiB': 1.5 * 1024 ** 3,
	'2 Ti': 2 * 1024 ** 4,
	'3 PB': 3e15,
	'10 k': 10_000,
	'10 kbytes': 10_000,
	'7 bytes': 7,
	'1 byte': 1,
	'12 B': 12,
	'1048576': 1_048_576,
	' 1 MB ': 1e6,
	'1.3 KiB': 1331,
	'0': 0,
	'0 GB': 0,
})) {
	test(`the size "${text}" is ${bytes} bytes`, t => {
		t.is(parseSize(text), bytes);
	});
}

for (const [text, ms] of table({
	'15m': 15 * 60_000,
	'1h30m': 90 * 60_000,
	'1h 30m': 90 * 60_000,
	'1 hour, 30 minutes': 90 * 60_000,
	'30 days': 30 * 86_400_000,
	'30 Days': 30 * 86_400_000,
	'500ms': 500,
	'2w': 14 * 86_400_000,
	'1.5h': 90 * 60_000,
	'1y': 365 * 86_400_000,
	'1 day 2 hrs 3 mins 4 secs 5 msecs': 93_784_005,
	'0': 0,
	'0s': 0,
	' 5s ': 5000,
})) {
	test(`the duration "${text}" is ${ms} ms`, t => {
		t.is(parseDuration(text), ms);
	});
}

for (const [text, bytesPerSecond] of table({
	'10 MB/s': 10e6,
	'10MB/s': 10e6,
	'10 MB / s': 10e6,
	'10 MiB/sec': 10 * 1024 ** 2,
	'100 Mbit/s': 12.5e6,
	'100 Mbits/second': 12.5e6,
	'100 Mbps': 12.5e6,
	'1 Gbit/s': 125e6,
	'1 kB/s': 1000,
	'5 bytes/s': 5,
	'1.5 KiB/s': 1536,
})) {
	test(`the rate "${text}" is ${bytesPerSecond} bytes per second`, t => {
		t.is(parseRate(text), bytesPerSecond);
	});
}

const refusals: readonly (readonly [(text: string) => number, string, RegExp])[] = [
	[parseSize, '', /no quantity/],
	[parseSize, 'GB', /no quantity/],
	[parseSize, '-1 GB', /no quantity/],
	[parseSize, '1,5 GB', /a point, not a comma/],
	[parseSize, '1e3', /no unit of size/],
	[parseSize, '0x10', /no unit of size/],
	[parseSize, '5 GB/s', /no unit of size/],
	[parseSize, '5 iB', /no unit of size/],
	[parseSize, '10 Mb', /bits or bytes: write "MB"/],
	[parseSize, '10 b', /bits or bytes/],
	[parseSize, '1.5', /no part of a byte/],
	[parseSize, '0.5 B', /no part of a byte/],
	[parseSize, '0.0001 kB', /less than the smallest/],
	[parseSize, '10000 PB', /too large/],
	[parseSize, '99999999999999999999', /too large/],
	[parseDuration, '15', /the unit is missing: write "15s" or "15m"/],
	[parseDuration, '', /no duration/],
	[parseDuration, 'm', /no duration/],
	[parseDuration, '-5m', /no duration/],
	[parseDuration, '1h30', /no duration/],
	[parseDuration, '1h,', /no duration/],
	[parseDuration, 'PT15M', /no duration/],
	[parseDuration, '15M', /months differ/],
	[parseDuration, '2 months', /months differ/],
	[parseDuration, '5 H', /lower case: "h"/],
	[parseDuration, '5 parsecs', /no unit of time/],
	[parseDuration, '30m1h', /larger units stand before/],
	[parseDuration, '1h1h', /larger units stand before/],
	[parseDuration, '0.1ms', /less than the smallest/],
	[parseDuration, '999999999 years', /too large/],
	[parseRate, '10', /no rate: write "10 MB\/s" or "10 Mbit\/s"/],
	[parseRate, '10 MB', /no rate/],
	[parseRate, '10 M/s', /no rate/],
	[parseRate, '10 Mb/s', /bits or bytes: write "MB\/s" or "Mbit\/s"/],
	[parseRate, '10 MB/h', /no rate/],
	[parseRate, 'fast', /no quantity/],
	[parseRate, '1 bit/s', /less than the smallest/],
];
for (const [parse, text, message] of refusals) {
	test(`${parse.name} refuses "${text}"`, t => {
		t.throws(() => parse(text), {instanceOf: UnitError, message});
	});
}

const safe = fc.oneof(
	fc.maxSafeNat(),
	fc.nat({max: 10_000}),
	// Round numbers are the usual ones.
	fc.tuple(fc.nat({max: 9000}), fc.nat({max: 4})).map(([amount, power]) => amount * 1000 ** power),
	fc.tuple(fc.nat({max: 8000}), fc.nat({max: 4})).map(([amount, power]) => amount * 1024 ** power),
);

test('every size, duration and rate that is written can be read back as the same', t => {
	fc.assert(
		fc.property(safe, value => {
			t.is(parseSize(formatSize(value)), value);
			t.is(parseDuration(formatDuration(value)), value);
			t.is(parseRate(formatRate(value)), value);
		}),
	);
});

test('whatever is given to them, the readers give a whole number or say what is wrong', t => {
	const pieces = [
		'1',
		'30',
		'0.5',
		'1e9',
		' ',
		'.',
		',',
		'-',
		'k',
		'M',
		'Gi',
		'B',
		'b',
		'bit',
		'/s',
		'ps',
		'h',
		'm',
		'ms',
		'day',
	];
	const texts = fc.oneof(
		fc.string(),
		fc.array(fc.constantFrom(...pieces), {maxLength: 6}).map(parts => parts.join('')),
	);
	fc.assert(
		fc.property(texts, fc.constantFrom(parseSize, parseDuration, parseRate), (text, parse) => {
			try {
				const value = parse(text);
				t.true(Number.isSafeInteger(value) && value >= 0, `${text}: ${value}`);
			} catch (error) {
				t.true(error instanceof UnitError && error.message.length > 0, text);
			}
		}),
		{numRuns: 2000},
	);
});

test('blanks between number and unit make no difference', t => {
	fc.assert(
		fc.property(fc.nat({max: 1000}), fc.constantFrom('kB', 'MiB', 'G', 'B'), (amount, unit) => {
			t.is(parseSize(`${amount}${unit}`), parseSize(` ${amount} ${unit} `));
		}),
	);
});

test('sizes are written as people would', t => {
	t.deepEqual([0, 1, 999, 1000, 1024, 65_536, 1_500_000_000, 5e9, 1_234_567].map(formatSize), [
		'0 B',
		'1 B',
		'999 B',
		'1 kB',
		'1 KiB',
		'64 KiB',
		'1.5 GB',
		'5 GB',
		'1234567 B',
	]);
	t.is(formatRate(12_500_000), '12.5 MB/s');
});

test('durations are written as people would', t => {
	t.deepEqual([0, 1, 1000, 60_000, 5_400_000, 30 * 86_400_000, 90_061_001].map(formatDuration), [
		'0s',
		'1ms',
		'1s',
		'1m',
		'1h30m',
		'30d',
		'1d1h1m1s1ms',
	]);
});
