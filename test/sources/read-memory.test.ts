import fc from 'fast-check';
import test from 'ava';
import {ReadMemory} from '../../src/sources/read-memory.js';

/** A connection that reads what it is given, and keeps what was handed on. */
class Reading {
	readonly taken: Buffer[] = [];
	readonly #how: ReturnType<ReadMemory['forConnection']>;
	#view: Uint8Array;

	constructor(memory: ReadMemory) {
		this.#how = memory.forConnection(bytes => this.taken.push(bytes) < 1e6);
		this.#view = this.#next();
	}

	/** As much of it as is read at once. */
	read(bytes: Buffer): number {
		const length = Math.min(bytes.length, this.#view.length);
		this.#view.set(bytes.subarray(0, length));
		this.#how.callback(length, this.#view);
		this.#view = this.#next();
		return length;
	}

	fill(value: number): Buffer {
		this.read(Buffer.alloc(1_000_000, value));
		return this.taken.at(-1) ?? Buffer.alloc(0);
	}

	#next(): Uint8Array {
		return typeof this.#how.buffer === 'function' ? this.#how.buffer() : this.#how.buffer;
	}
}

test('a connection reads more at once when more comes', t => {
	const reading = new Reading(new ReadMemory());
	const atFirst = reading.fill(1).length;
	t.true(reading.fill(1).length > atFirst);
	reading.read(Buffer.alloc(10));
	t.is(reading.fill(1).length, atFirst);
});

test('a block is used again when all of it has been given back, and not before', t => {
	const memory = new ReadMemory();
	const reading = new Reading(memory);
	const first: Buffer[] = [];
	for (let chunk = reading.fill(1); first.length === 0 || chunk.buffer === first[0]?.buffer; chunk = reading.fill(1)) {
		first.push(chunk);
	}
	const [block] = first;
	const blocksUsed = (): Set<ArrayBufferLike> => new Set(Array.from({length: 12}, () => reading.fill(2).buffer));
	for (const chunk of first.slice(1)) {
		memory.giveBack(chunk);
	}
	t.false(blocksUsed().has(block?.buffer ?? new ArrayBuffer(0)));
	t.true(first.every(chunk => chunk.every(byte => byte === 1)));
	memory.giveBack(block ?? Buffer.alloc(0));
	t.true(blocksUsed().has(block?.buffer ?? new ArrayBuffer(0)));
});

test('other threads can see what is read while a file is, if that is wanted, up to a bound', t => {
	const memory = new ReadMemory({shares: true});
	const reading = new Reading(memory);
	const isShared = (): boolean => reading.fill(1).buffer instanceof SharedArrayBuffer;
	const shared = (reads: number): number => Array.from({length: reads}, isShared).filter(Boolean).length;
	t.is(shared(20), 0);
	const over = memory.fileBegins();
	t.true(shared(20) > 10);
	// All that is taken, and none given back.
	t.true(shared(100) < 40);
	over();
	t.is(shared(20), 0);
	const unshared = new ReadMemory();
	unshared.fileBegins();
	t.false(new Reading(unshared).fill(1).buffer instanceof SharedArrayBuffer);
});

test('the same few blocks do for one file after the other, whatever is read between them', t => {
	const memory = new ReadMemory({shares: true});
	const reading = new Reading(memory);
	const blocks = new Set<ArrayBufferLike>();
	for (let file = 0; file < 50; file++) {
		const over = memory.fileBegins();
		for (let read = 0; read < 20; read++) {
			const chunk = reading.fill(1);
			if (chunk.buffer instanceof SharedArrayBuffer) {
				blocks.add(chunk.buffer);
			}
			// In parts, and not in their order.
			memory.giveBack(chunk.subarray(30_000));
			memory.giveBack(chunk.subarray(0, 30_000));
		}
		over();
		// The head of the next answer, which nobody gives back.
		reading.read(Buffer.alloc(160));
	}
	t.true(blocks.size > 0 && blocks.size < 4, String(blocks.size));
});

test('of what comes where a file begins no more is copied than may be the head of its answer', t => {
	const memory = new ReadMemory();
	const reading = new Reading(memory);
	const {byteLength} = reading.fill(1).buffer;
	memory.fileBegins();
	reading.read(Buffer.alloc(300, 2));
	t.true((reading.taken.at(-1)?.buffer.byteLength ?? NaN) < byteLength);
	memory.fileBegins();
	// Its place was chosen before that, in a block.
	reading.fill(3);
	const [head, rest] = reading.taken.slice(-2);
	t.is(head?.length, 16_384);
	t.not(head?.buffer, rest?.buffer);
	t.is(rest?.buffer.byteLength, byteLength);
	for (let reads = 0; reads < 20; reads++) {
		reading.fill(4);
	}
	t.true([head, rest].every(chunk => chunk?.every(byte => byte === 3)));
});

test('the same few blocks do for one file after the other where head and body come at once', t => {
	const memory = new ReadMemory({shares: true});
	const reading = new Reading(memory);
	const blocks = new Set<ArrayBufferLike>();
	let shared = 0;
	const dealWith = (file: number, isHead = false): void => {
		for (const [place, chunk] of reading.taken.splice(0).entries()) {
			t.true(chunk.every(byte => byte === file));
			if (chunk.buffer instanceof SharedArrayBuffer) {
				blocks.add(chunk.buffer);
				shared++;
			}
			// What has the head in it never comes back whole.
			memory.giveBack(place === 0 && isHead ? chunk.subarray(160) : chunk);
		}
	};
	for (let file = 0; file < 30; file++) {
		// It has answered before we know that this is a file.
		reading.read(Buffer.alloc(65_536, file));
		const over = memory.fileBegins();
		dealWith(file, true);
		for (let reads = 0; reads < 20; reads++) {
			reading.fill(file);
			dealWith(file);
		}
		over();
	}
	t.true(shared > 500, String(shared));
	t.true(blocks.size > 0);
	t.true(blocks.size <= 4, String(blocks.size));
});

test('what is of other memory is nobody’s to take back', t => {
	t.notThrows(() => {
		new ReadMemory().giveBack(Buffer.alloc(10));
	});
});

test('whatever comes and is given back in whatever parts and order, what was not given back stays as it is', t => {
	const step = fc.record({
		bytes: fc.integer({min: 1, max: 300_000}),
		which: fc.nat(1),
		/** Where what was read is cut in two; of what is held, so much is given back, from there on. */
		cut: fc.nat(300_000),
		gives: fc.nat(4),
		from: fc.nat(1000),
		file: fc.constantFrom('begins', 'ends', undefined, undefined),
	});
	fc.assert(
		fc.property(fc.boolean(), fc.array(step, {maxLength: 80}), (shares, steps) => {
			const memory = new ReadMemory({shares});
			const connections = [new Reading(memory), new Reading(memory)];
			const files: (() => void)[] = [];
			const kept: {readonly chunk: Buffer; readonly value: number}[] = [];
			for (const [at, {bytes, which, cut, gives, from, file}] of steps.entries()) {
				if (file === 'begins') {
					files.push(memory.fileBegins());
				} else if (file === 'ends') {
					files.pop()?.();
				}
				const reading = connections[which];
				const value = at % 251;
				reading?.read(Buffer.alloc(bytes, value));
				const chunk = reading?.taken.at(-1) ?? Buffer.alloc(0);
				for (const part of [chunk.subarray(0, cut), chunk.subarray(cut)].filter(({length}) => length > 0)) {
					kept.push({chunk: part, value});
				}
				for (const gone of kept.splice(from % (kept.length + 1), gives)) {
					memory.giveBack(gone.chunk);
				}
				t.true(kept.every(one => one.chunk.every(byte => byte === one.value)));
			}
		}),
		{numRuns: 30},
	);
});
