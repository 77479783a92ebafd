import {gzipSync} from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import {compressionOfMagic, contradiction, magicOf, type Magic} from '../../src/image/magic.js';
import type {Compression} from '../../src/image/manifest.js';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

const known: readonly (readonly [string, Buffer, Magic | undefined])[] = [
	['gzip', gzipSync('x'), 'gzip'],
	['gzip', bytes('1f8b'), 'gzip'],
	['bzip2', bytes('425a6839 314159265359 0000'), 'bzip2'],
	['bzip2 of nothing', bytes('425a6831 177245385090 00000000'), 'bzip2'],
	['xz', bytes('fd377a585a00 0004'), 'xz'],
	['zstd', bytes('28b52ffd 04'), 'zstd'],
	['zip', bytes('504b0304 14'), 'zip'],
	['an empty zip', bytes('504b0506'), 'zip'],
	['lz4', bytes('04224d18'), 'lz4'],
	['a zfs stream', bytes('00000000 00000000 accbbaf5 02000000 0100'), 'zfs'],
	['a zfs stream with a payload', bytes('00000000 a0010000 accbbaf5 02000000'), 'zfs'],
	['a zfs stream of a big-endian host', bytes('00000000 00000000 00000002 f5bacbac'), 'zfs'],
	['nothing', Buffer.alloc(0), undefined],
	['zeros', Buffer.alloc(512), undefined],
	['text', Buffer.from('BZh9 is how bzip2 begins'), undefined],
	['half a beginning', bytes('1f'), undefined],
	['a stream that is cut', bytes('00000000 00000000 accbbaf5'), undefined],
];

for (const [what, first, magic] of known) {
	test(`${what} (${first.toString('hex').slice(0, 20)}) is known by its beginning`, t => {
		t.is(magicOf(first), magic);
		t.is(
			magicOf(Buffer.concat([first, Buffer.alloc(100, 'x')])),
			what.startsWith('a stream that is cut') ? undefined : magic,
		);
	});
}

test('a compression that hosts know is declared by its own name', t => {
	t.deepEqual((['gzip', 'bzip2', 'xz', 'zfs', undefined, 'zstd', 'zip', 'lz4'] as const).map(compressionOfMagic), [
		'gzip',
		'bzip2',
		'xz',
		'none',
		'none',
		undefined,
		undefined,
		undefined,
	]);
});

const declared: readonly (readonly [Compression, string, string | undefined, string?])[] = [
	['gzip', '1f8b0800', undefined],
	['gzip', 'fd377a585a00', 'the file is xz, not gzip as declared'],
	['xz', '1f8b0800', 'the file is gzip, not xz as declared'],
	['bzip2', '28b52ffd', 'the file is zstd, not bzip2 as declared'],
	['gzip', '00000000 00000000 accbbaf5 02000000', 'the file is a zfs stream without compression, not gzip as declared'],
	['none', '00000000 00000000 accbbaf5 02000000', undefined],
	['none', '1f8b0800', 'the file is gzip, not uncompressed as declared'],
	['none', '504b0304', 'the file is a zip archive, not uncompressed as declared'],
	['none', '504b0304', undefined, 'other'],
	['gzip', '504b0304', 'the file is a zip archive, not gzip as declared', 'other'],
	['none', '1f8b0800', 'the file is gzip, not uncompressed as declared', 'zvol'],
	['none', '64756d6d79', undefined],
	['gzip', '64756d6d79', undefined],
	['xz', '', undefined],
];

for (const [compression, hex, expected, type] of declared) {
	test(`${compression} declared of '${hex}' (${type ?? 'any type'}) is ${expected === undefined ? 'let pass' : 'wrong'}`, t => {
		t.is(contradiction(compression, bytes(hex), type), expected);
	});
}

test('what is found out from the first bytes never contradicts them', t => {
	const first = fc.oneof(fc.uint8Array({maxLength: 40}), fc.constantFrom(...known.map(([, buffer]) => buffer)));
	fc.assert(
		fc.property(first, given => {
			const compression = compressionOfMagic(magicOf(given));
			t.true(compression === undefined || contradiction(compression, given) === undefined);
		}),
	);
});
