import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {
	blobOf,
	checkLayout,
	hashed,
	readVerified,
	short,
	type BundleBlob,
	type Expected,
} from '../../src/airgap/bundle-files.js';
import {BundlePlaces} from '../../src/airgap/bundle-places.js';
import {OddThings} from '../../src/airgap/odd-things.js';
import {digestOf} from '../../src/airgap/oci.js';
import {IntegrityError} from '../../src/errors.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';

const bytes = pseudoRandom(100_000, 1);
const expected: Expected = {digest: digestOf(bytes), size: bytes.length};

/** A blob of that size which gives these pieces. */
function inChunks(size: number, chunks: readonly Buffer[]): BundleBlob {
	return {
		size,
		async *read() {
			yield* chunks;
		},
	};
}

async function gathered(
	t: ExecutionContext,
	stream: AsyncIterable<Buffer>,
): Promise<{got: Buffer; error: Error | undefined}> {
	const chunks: Buffer[] = [];
	try {
		for await (const chunk of stream) {
			t.true(chunk.length > 0);
			chunks.push(chunk);
		}
	} catch (error) {
		t.true(error instanceof IntegrityError);
		return {got: Buffer.concat(chunks), error: error as Error};
	}
	return {got: Buffer.concat(chunks), error: undefined};
}

test('a blob that is right comes through as it is, however it is cut into pieces', async t => {
	await fc.assert(
		fc.asyncProperty(fc.uint8Array({maxLength: 300}), fc.array(fc.nat(40), {maxLength: 20}), async (array, lengths) => {
			const whole = Buffer.from(array);
			const chunks: Buffer[] = [];
			let at = 0;
			for (const length of lengths) {
				chunks.push(whole.subarray(at, at + length));
				at += length;
			}
			chunks.push(whole.subarray(at));
			const wanted = {digest: digestOf(whole), size: whole.length};
			const {got, error} = await gathered(t, hashed(inChunks(whole.length, chunks), wanted));
			t.is(error, undefined);
			sameBytes(t, got, whole);
			sameBytes(t, await readVerified(blobOf(whole), wanted, 300), whole);
		}),
		{numRuns: 60},
	);
});

test('whoever waits for all bytes of a wrong blob never has them all', async t => {
	await fc.assert(
		fc.asyncProperty(
			fc.integer({min: 1, max: 300}),
			fc.nat(299),
			fc.integer({min: 1, max: 100}),
			async (size, where, step) => {
				const whole = pseudoRandom(size, 2);
				const wrong = Buffer.from(whole);
				const at = where % size;
				wrong[at] = (wrong[at] ?? 0) ^ 0x10;
				const chunks = Array.from({length: Math.ceil(size / step)}, (_, index) =>
					wrong.subarray(index * step, (index + 1) * step),
				);
				const {got, error} = await gathered(t, hashed(inChunks(size, chunks), {digest: digestOf(whole), size}));
				t.regex(error?.message ?? '', /is damaged: its bytes have another digest$/);
				t.true(got.length < size);
			},
		),
		{numRuns: 60},
	);
});

test('a size that is not the one expected is said before anything is read', async t => {
	const blob: BundleBlob = {
		size: 7,
		read() {
			throw new Error('it is read');
		},
	};
	const {got, error} = await gathered(t, hashed(blob, expected));
	t.is(got.length, 0);
	t.is(error?.message, `${short(expected.digest)} has 7 bytes instead of 100000`);
	await t.throwsAsync(readVerified(blob, {...expected, size: 1000}, 999), {
		instanceOf: IntegrityError,
		message: /has 1000 bytes, more than the 999 allowed/,
	});
});

test('a blob that gives fewer or more bytes than it says is wrong', async t => {
	const fewer = await gathered(t, hashed(inChunks(bytes.length, [bytes.subarray(1)]), expected));
	t.regex(fewer.error?.message ?? '', /ends after 99999 of 100000 bytes/);
	const more = await gathered(t, hashed(inChunks(bytes.length, [bytes, Buffer.from('x')]), expected));
	t.regex(more.error?.message ?? '', /has more than its 100000 bytes/);
	const empty = await gathered(t, hashed(blobOf(Buffer.alloc(0)), {digest: digestOf(''), size: 0}));
	t.deepEqual(empty, {got: Buffer.alloc(0), error: undefined});
});

test('a blob in memory is read from anywhere, and often', async t => {
	const blob = blobOf(bytes);
	t.is(blob.size, bytes.length);
	for (const start of [0, 1, 99_999]) {
		t.true((await gathered(t, blob.read(start))).got.equals(bytes.subarray(start)));
	}
	t.is((await gathered(t, blob.read(100_000))).got.length, 0);
});

test('oci-layout must be of a version that is known', t => {
	t.notThrows(() => {
		checkLayout(Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
		checkLayout(Buffer.from('{"imageLayoutVersion": "1.1.0", "more": 1}\n'));
	});
	for (const wrong of ['{"imageLayoutVersion":"2.0.0"}', '{}', '[]', 'null', '{"imageLayoutVersion":1}']) {
		t.throws(() => checkLayout(Buffer.from(wrong)), {instanceOf: IntegrityError, message: /of no version 1\.x/}, wrong);
	}
	t.throws(() => checkLayout(Buffer.from('oops')), {instanceOf: IntegrityError, message: /is no JSON/});
});

test('the first file of a bundle says where all of them are', t => {
	const hex = 'ab'.repeat(32);
	const plain = new BundlePlaces();
	t.is(plain.of('README'), undefined);
	t.deepEqual(plain.of('oci-layout'), {what: 'layout'});
	t.deepEqual(plain.of('index.json'), {what: 'index'});
	t.deepEqual(plain.of('index.json.sig'), {what: 'signature'});
	t.deepEqual(plain.of(`blobs/sha256/${hex}`), {what: 'blob', digest: `sha256:${hex}`});
	t.is(plain.of('other/index.json'), undefined);
	for (const strange of [
		`blobs/sha256/${hex.toUpperCase()}`,
		`blobs/sha256/${hex}0`,
		`blobs/sha512/${hex}`,
		`blobs/sha256/${hex}.part`,
		`a/b/index.json`,
		'index.json\n',
		'',
	]) {
		t.is(plain.of(strange), undefined, strange);
	}
	const below = new BundlePlaces();
	t.deepEqual(below.of(`my bundle/blobs/sha256/${hex}`), {what: 'blob', digest: `sha256:${hex}`});
	t.is(below.of('index.json'), undefined);
	t.is(below.of('another/index.json'), undefined);
	t.deepEqual(below.of('my bundle/index.json'), {what: 'index'});
});

test('of odd things, a few are told and the rest is counted', t => {
	const odd = new OddThings();
	t.deepEqual(odd.list, []);
	odd.add('one');
	odd.add('one');
	odd.add('x'.repeat(1000));
	t.deepEqual(odd.list, ['one', `${'x'.repeat(300)}…`]);
	for (let number = 0; number < 30; number++) {
		odd.add(`number ${number}`);
	}
	t.is(odd.list.length, 21);
	t.is(odd.list.at(-1), 'and 12 more of such things');
});
