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

test('what is of other memory is nobody’s to take back', t => {
	t.notThrows(() => {
		new ReadMemory().giveBack(Buffer.alloc(10));
	});
});

test('whatever comes and is given back in whatever order, what was not given back stays as it is', t => {
	fc.assert(
		fc.property(
			fc.array(fc.tuple(fc.integer({min: 1, max: 300_000}), fc.nat(3), fc.boolean()), {maxLength: 60}),
			steps => {
				const memory = new ReadMemory();
				const connections = [new Reading(memory), new Reading(memory)];
				const kept: {readonly chunk: Buffer; readonly value: number}[] = [];
				for (const [at, [bytes, which, givesBack]] of steps.entries()) {
					const reading = connections[which % 2];
					const value = at % 251;
					reading?.read(Buffer.alloc(bytes, value));
					const chunk = reading?.taken.at(-1);
					if (chunk !== undefined) {
						kept.push({chunk, value});
					}
					if (givesBack) {
						const [gone] = kept.splice(which % Math.max(1, kept.length), 1);
						memory.giveBack(gone?.chunk ?? Buffer.alloc(0));
					}
					t.true(kept.every(one => one.chunk[0] === one.value && one.chunk.at(-1) === one.value));
				}
			},
		),
		{numRuns: 50},
	);
});
