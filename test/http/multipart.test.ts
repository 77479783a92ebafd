/**
 * Forms with files: whatever the pieces in which they come, the parts come out; what is no whole form never looks so.
 */
import {randomBytes} from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import {isForm, readForm} from '../../src/http/multipart.js';

const type = 'multipart/form-data; boundary=xyz';

interface Sent {
	readonly name: string;
	readonly bytes: Buffer;
	readonly filename?: string;
}

function formOf(parts: readonly Sent[], {boundary = 'xyz', end = '--\r\n'} = {}): Buffer {
	return Buffer.concat([
		...parts.flatMap(({name, bytes, filename}) => [
			Buffer.from(
				`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"\r\nContent-Type: application/octet-stream`}\r\n\r\n`,
			),
			bytes,
			Buffer.from('\r\n'),
		]),
		Buffer.from(`--${boundary}${end}`),
	]);
}

async function* cut(whole: Buffer, sizes: readonly number[], after?: Error): AsyncGenerator<Buffer> {
	let at = 0;
	for (let turn = 0; at < whole.length; turn++) {
		const end = at + (sizes[turn % sizes.length] ?? whole.length);
		yield whole.subarray(at, end);
		at = end;
	}
	if (after !== undefined) {
		throw after;
	}
}

async function partsOf(body: AsyncIterable<Buffer>, contentType = type): Promise<{name: string; bytes: Buffer}[]> {
	const parts: {name: string; bytes: Buffer}[] = [];
	for await (const {name, body: bytes} of readForm(contentType, body)) {
		const pieces: Buffer[] = [];
		for await (const piece of bytes) {
			pieces.push(piece);
		}
		parts.push({name, bytes: Buffer.concat(pieces)});
	}
	return parts;
}

test('parts come out as they were sent, whatever the pieces in which the form comes', async t => {
	const content = fc.oneof(
		fc.uint8Array({maxLength: 200}).map(bytes => Buffer.from(bytes)),
		fc
			.constantFrom('', '\r\n', '\r\n--', '--xy', 'x--xyz', '\r\n--xy', '-', '\r', '\n--xyz--')
			.map(text => Buffer.from(text)),
	);
	const sent = fc.array(
		fc.record({name: fc.constantFrom('manifest', 'a b', 'ünïcode.zfs.gz', 'x/../y'), bytes: content}),
		{minLength: 1, maxLength: 5},
	);
	await fc.assert(
		fc.asyncProperty(
			sent,
			fc.array(fc.integer({min: 1, max: 70}), {minLength: 1, maxLength: 5}),
			async (parts, sizes) => {
				const named = parts.map((part, index) => (index % 2 === 0 ? part : {...part, filename: 'f'}));
				t.deepEqual(await partsOf(cut(formOf(named), sizes)), parts);
			},
		),
		{numRuns: 300},
	);
});

test('a preamble, an epilogue, quoted boundaries and odd names do no harm', async t => {
	const parts = [{name: 'a', bytes: Buffer.from('1')}];
	const form = Buffer.concat([Buffer.from('not for you\r\n'), formOf(parts), Buffer.from('nor this\r\n--xyz--')]);
	t.deepEqual(await partsOf(cut(form, [7])), parts);
	t.deepEqual(
		await partsOf(cut(formOf(parts, {boundary: "a'b c"}), [9]), `Multipart/Form-Data; charset=x; boundary="a'b c"`),
		parts,
	);
	t.deepEqual(
		(await partsOf(cut(formOf([{name: '__proto__', bytes: Buffer.alloc(0)}]), [5]))).map(({name}) => name),
		['__proto__'],
	);
});

test('a form that breaks off anywhere is refused, and nobody is left waiting', async t => {
	const whole = formOf([
		{name: 'a', bytes: Buffer.from('first')},
		{name: 'b', bytes: randomBytes(500), filename: 'b'},
	]);
	// Without the final line end it is whole.
	for (let length = 0; length < whole.length - 2; length += 3) {
		const error = await t.throwsAsync(partsOf(cut(whole.subarray(0, length), [100])), undefined, String(length));
		t.is((error as {code?: string}).code, 'BAD_REQUEST', String(length));
	}
	await t.notThrowsAsync(partsOf(cut(whole.subarray(0, -2), [100])));
});

test('what breaks the body is what its readers are told', async t => {
	const whole = formOf([{name: 'a', bytes: randomBytes(5000)}]);
	const gone = new Error('the client is gone');
	for (const length of [0, 20, 300, whole.length]) {
		t.is(await t.throwsAsync(partsOf(cut(whole.subarray(0, length), [64], gone))), gone, String(length));
	}
});

test('nothing but forms, and none without a proper boundary', async t => {
	for (const hostile of [
		undefined,
		'',
		'application/json',
		'multipart/mixed; boundary=xyz',
		'multipart/form-data',
		'multipart/form-data; boundary=',
		'multipart/form-data; boundary=""',
		`multipart/form-data; boundary=${'x'.repeat(71)}`,
		'multipart/form-data; notboundary=xyz',
	]) {
		const error = await t.throwsAsync(partsOf(cut(formOf([]), [10]), hostile ?? ''), undefined, hostile);
		t.is((error as {code?: string}).code, 'BAD_REQUEST', hostile);
	}
	t.false(isForm(undefined));
	t.false(isForm('multipart/form-dataset'));
	t.true(isForm('multipart/form-data;boundary=x'));
});

test('too many parts, and headers without end, are refused', async t => {
	const many = Array.from({length: 17}, () => ({name: 'a', bytes: Buffer.from('x')}));
	const error = await t.throwsAsync(partsOf(cut(formOf(many), [1000])));
	t.regex(error.message, /more than 16 parts/);
	const endless = Buffer.concat([Buffer.from('--xyz\r\nX: '), Buffer.alloc(2_000_000, 'x')]);
	await t.throwsAsync(partsOf(cut(endless, [65_536])), {message: /no proper end/});
});

test('no more is read than is asked for, and nothing after a reader has left', async t => {
	const size = 50 * 1024 * 1024;
	let given = 0;
	let closed = false;
	async function* body(): AsyncGenerator<Buffer> {
		try {
			yield Buffer.from('--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n');
			for (; given < size; given += 65_536) {
				yield Buffer.alloc(65_536, 'x');
				await new Promise(resolve => setImmediate(resolve));
			}
			yield Buffer.from('\r\n--xyz--');
		} finally {
			closed = true;
		}
	}
	const parts = readForm(type, body());
	const first = await parts.next();
	let read = 0;
	for await (const piece of first.value?.body ?? []) {
		read += piece.length;
		await new Promise(resolve => setImmediate(resolve));
		t.true(given - read < 2 * 1024 * 1024, `${given - read} bytes ahead`);
		if (read > size / 10) {
			break;
		}
	}
	await parts.return();
	const before = given;
	await new Promise(resolve => setImmediate(resolve));
	await new Promise(resolve => setImmediate(resolve));
	t.true(given - before <= 65_536);
	t.true(closed);
});

test('a part must be read to its end before the next is asked for', async t => {
	const parts = readForm(type, cut(formOf([{name: 'a', bytes: Buffer.from('1')}]), [10]));
	await parts.next();
	await t.throwsAsync(parts.next(), {message: /has not been read/});
});
