import fc from 'fast-check';
import test, {type ExecutionContext} from 'ava';
import {BufferBudget} from '../../src/http/buffers.js';
import {SharedReads, type Piece} from '../../src/http/shared-reads.js';
import type {FileReader, Stretch} from '../../src/mirror.js';
import {sameBytes} from '../helpers/same-bytes.js';

const mebibyte = 2 ** 20;

/** A file that says how often it is read, and is read when told to. */
class FakeFile {
	readonly bytes: Buffer;
	reads = 0;
	/** The same for all of its readers. */
	content: object | undefined = {};
	/** What the next reads throw. */
	failures: Error[] = [];
	/** Runs once the next bytes have been read, before anybody is told. */
	onRead: () => void = () => undefined;
	readonly #waiting: (() => void)[] = [];
	#held = false;

	constructor(size: number) {
		this.bytes = Buffer.alloc(size);
		for (let at = 0; at < size; at += 4) {
			this.bytes.writeUInt32BE(at, Math.min(at, size - 4));
		}
	}

	hold(): void {
		this.#held = true;
	}

	go(): void {
		this.#held = false;
		for (const wake of this.#waiting.splice(0)) {
			wake();
		}
	}

	async read(into: Buffer, position: number, end: number): Promise<number> {
		this.reads++;
		if (this.#held) {
			await new Promise<void>(resolve => {
				this.#waiting.push(resolve);
			});
		}
		await Promise.resolve();
		const failure = this.failures.shift();
		if (failure !== undefined) {
			throw failure;
		}
		const length = this.bytes.copy(into, 0, position, Math.min(end, position + into.length));
		this.onRead();
		return length;
	}
}

class FakeReader implements FileReader {
	readonly #file: FakeFile;
	readonly #end: number;
	position: number;
	/** So far has the file come. */
	readable: () => number;

	constructor(file: FakeFile, {start = 0, end = file.bytes.length}: {start?: number; end?: number} = {}) {
		this.#file = file;
		this.position = start;
		this.#end = end;
		this.readable = () => end;
	}

	get content(): object | undefined {
		return this.#file.content;
	}

	ready(): Promise<void> {
		return Promise.resolve();
	}

	stretch(): Stretch | undefined {
		const length = Math.min(this.#end, this.readable()) - this.position;
		return length > 0 ? {fd: -1, position: this.position, length} : undefined;
	}

	skip(bytes: number): void {
		this.position += bytes;
	}

	readStretch(into: Buffer): Promise<number> {
		return this.read(into);
	}

	async read(into: Buffer): Promise<number> {
		const bytes = await this.#file.read(into, this.position, Math.min(this.#end, this.readable()));
		this.position += bytes;
		return bytes;
	}
}

function startReads(maxBytes = 28 * mebibyte): {budget: BufferBudget; reads: SharedReads} {
	const budget = new BufferBudget({maxBytes});
	return {budget, reads: new SharedReads(budget)};
}

/** Everything for one client, released piece by piece. */
async function readAll(reads: SharedReads, reader: FileReader, length: number): Promise<Buffer> {
	const parts: Buffer[] = [];
	for (let left = length; left > 0;) {
		const piece = await reads.next(reader);
		parts.push(Buffer.from(piece.bytes));
		left -= piece.bytes.length;
		piece.release(true);
		if (piece.bytes.length === 0) {
			break;
		}
	}
	return Buffer.concat(parts);
}

/** Nothing is left then. */
function allLeave(t: ExecutionContext, budget: BufferBudget, leave: readonly (() => void)[]): void {
	for (const end of leave) {
		end();
	}
	t.is(budget.heldBytes, 0);
	t.is(budget.users, 0);
	t.is(budget.spareBytes, 0);
}

test('what several clients are sent is read once, whoever comes first', async t => {
	const {budget, reads} = startReads();
	const file = new FakeFile(5 * mebibyte + 1000);
	const readers = Array.from({length: 20}, () => new FakeReader(file));
	const leave = readers.map(reader => reads.enter(reader));
	t.is(budget.users, 1, 'one share for all of them');
	const all = await Promise.all(readers.map(reader => readAll(reads, reader, file.bytes.length)));
	for (const bytes of all) {
		sameBytes(t, bytes, file.bytes);
	}
	t.is(file.reads, 6, 'a mebibyte at a time');
	allLeave(t, budget, leave);
});

test('who is a little behind finds what was read before, who is far behind reads again', async t => {
	const {budget, reads} = startReads();
	const file = new FakeFile(20 * mebibyte);
	const [ahead, behind, far] = [new FakeReader(file), new FakeReader(file), new FakeReader(file)] as const;
	const leave = [ahead, behind, far].map(reader => reads.enter(reader));
	await readAll(reads, ahead, 3 * mebibyte);
	t.is(file.reads, 3);
	await readAll(reads, behind, 3 * mebibyte);
	t.is(file.reads, 3);
	await readAll(reads, ahead, 17 * mebibyte);
	t.is(file.reads, 20);
	t.true(budget.heldBytes <= 4 * mebibyte, 'only so much is kept');
	sameBytes(t, await readAll(reads, far, file.bytes.length), file.bytes);
	t.true(file.reads > 30);
	allLeave(t, budget, leave);
});

test('one client, or several of different files, have their reads for themselves, and nothing is kept', async t => {
	const {budget, reads} = startReads();
	const [one, other] = [new FakeFile(3 * mebibyte), new FakeFile(3 * mebibyte)];
	const nobodys = new FakeFile(3 * mebibyte);
	nobodys.content = undefined;
	const readers = [new FakeReader(one), new FakeReader(other), new FakeReader(nobodys), new FakeReader(nobodys)];
	const leave = readers.map(reader => reads.enter(reader));
	t.is(budget.users, 4);
	for (const bytes of await Promise.all(readers.map(reader => readAll(reads, reader, 3 * mebibyte)))) {
		sameBytes(t, bytes, one.bytes);
	}
	t.deepEqual([one.reads, other.reads, nobodys.reads], [3, 3, 6]);
	t.is(budget.heldBytes, 0);
	allLeave(t, budget, leave);
});

test('a read that fails is the trouble of who read: others read for themselves', async t => {
	const {budget, reads} = startReads();
	const file = new FakeFile(mebibyte);
	const readers = [new FakeReader(file), new FakeReader(file), new FakeReader(file)] as const;
	const leave = readers.map(reader => reads.enter(reader));
	file.failures = [new Error('the disk is ill')];
	const [first, ...others] = await Promise.allSettled(readers.map(reader => readAll(reads, reader, mebibyte)));
	t.like(first, {status: 'rejected', reason: {message: 'the disk is ill'}});
	for (const other of others) {
		sameBytes(t, other.status === 'fulfilled' ? other.value : undefined, file.bytes);
	}
	t.is(file.reads, 3, 'both at once');
	allLeave(t, budget, leave);
});

test('what was read while a file began again is for nobody else', async t => {
	const {budget, reads} = startReads();
	const file = new FakeFile(mebibyte);
	const readers = [new FakeReader(file), new FakeReader(file)] as const;
	const leave = readers.map(reader => reads.enter(reader));
	file.onRead = () => {
		file.content = {};
		file.onRead = () => undefined;
	};
	const pieces = await Promise.all(readers.map(reader => reads.next(reader)));
	t.is(file.reads, 2);
	t.not(pieces[0]?.bytes.buffer, pieces[1]?.bytes.buffer);
	for (const piece of pieces) {
		piece.release(true);
	}
	allLeave(t, budget, leave);
});

test('the end of a file, where it is too short, is told to everybody', async t => {
	const {budget, reads} = startReads();
	const file = new FakeFile(1000);
	const readers = [new FakeReader(file, {end: 2000}), new FakeReader(file, {end: 2000})] as const;
	const leave = readers.map(reader => reads.enter(reader));
	for (const bytes of await Promise.all(readers.map(reader => readAll(reads, reader, 2000)))) {
		t.is(bytes.length, 1000);
	}
	allLeave(t, budget, leave);
});

test('memory that the system may still be sending from is not used again', async t => {
	const {budget, reads} = startReads();
	const file = new FakeFile(mebibyte);
	const readers = [new FakeReader(file), new FakeReader(file)] as const;
	const leave = readers.map(reader => reads.enter(reader));
	const [first, second] = await Promise.all(readers.map(reader => reads.next(reader)));
	t.is(first?.bytes.buffer, second?.bytes.buffer);
	first?.release(false);
	second?.release(true);
	leave[0]?.();
	t.is(budget.heldBytes, 0);
	t.is(budget.spareBytes, 0, 'for the collector');
	allLeave(t, budget, leave.slice(1));
});

test('a client that stalls keeps its piece, which others may still be sent', async t => {
	const {budget, reads} = startReads();
	const file = new FakeFile(30 * mebibyte);
	const [stalled, quick, late] = [new FakeReader(file), new FakeReader(file), new FakeReader(file)] as const;
	const leave = [stalled, quick, late].map(reader => reads.enter(reader));
	const held = await reads.next(stalled);
	sameBytes(t, await readAll(reads, quick, file.bytes.length), file.bytes);
	t.is(file.reads, 30);
	const found = await reads.next(late);
	t.is(found.bytes.buffer, held.bytes.buffer);
	sameBytes(t, found.bytes, file.bytes.subarray(0, mebibyte));
	t.is(file.reads, 30);
	held.release(true);
	found.release(true);
	allLeave(t, budget, leave);
});

test('what nobody looks at any more is kept up to a part of the budget, however much it was', async t => {
	const {budget, reads} = startReads(14 * mebibyte);
	const file = new FakeFile(20 * mebibyte);
	const readers = [0, 2, 4, 6, 8, 10].map(start => new FakeReader(file, {start: start * mebibyte}));
	const leave = readers.map(reader => reads.enter(reader));
	const pieces = await Promise.all(readers.map(reader => reads.next(reader)));
	t.true(budget.heldBytes > 4 * mebibyte);
	for (const piece of pieces) {
		piece.release(true);
	}
	t.true(budget.heldBytes <= 2 * mebibyte, `${budget.heldBytes}`);
	allLeave(t, budget, leave);
});

test('a file that begins again while it is read keeps nobody waiting for who reads it', async t => {
	const {budget, reads} = startReads();
	const file = new FakeFile(3 * mebibyte);
	const [first, waiting] = [new FakeReader(file), new FakeReader(file)] as const;
	const leave = [first, waiting].map(reader => reads.enter(reader));
	const gates = {again: (): void => undefined, came: (): void => undefined};
	const begunAgain = new Promise<void>(resolve => {
		gates.again = resolve;
	});
	const come = new Promise<void>(resolve => {
		gates.came = resolve;
	});
	first.readStretch = async () => {
		await begunAgain;
		file.content = {};
		return 0;
	};
	first.read = async into => {
		await come;
		const bytes = await file.read(into, 0, mebibyte);
		first.skip(bytes);
		return bytes;
	};
	const [leading, following] = [reads.next(first), reads.next(waiting)];
	gates.again();
	const followed = await following;
	sameBytes(t, followed.bytes, file.bytes.subarray(0, mebibyte));
	gates.came();
	const led = await leading;
	sameBytes(t, led.bytes, file.bytes.subarray(0, mebibyte));
	for (const piece of [led, followed]) {
		piece.release(true);
	}
	allLeave(t, budget, leave);
});

const doings = [
	...['comes', 'comes', 'asks', 'asks', 'asks', 'asks', 'asks', 'releases'],
	...['breaks', 'leaves', 'holds', 'goes', 'fails'],
] as const;

interface Client {
	readonly reader: FakeReader;
	readonly start: number;
	readonly end: number;
	readonly leave: () => void;
	readonly got: Buffer[];
	readonly held: {piece: Piece; copy: Buffer}[];
	asking: Promise<void> | undefined;
}

test('whoever comes, stalls, breaks or leaves: everybody has the right bytes, and nobody’s memory is written to', async t => {
	await fc.assert(
		fc.asyncProperty(
			fc.integer({min: 1, max: 300_000}),
			fc.integer({min: 1, max: 20}),
			fc.array(
				fc.record({
					who: fc.nat({max: 7}),
					does: fc.constantFrom(...doings),
					share: fc.double({min: 0, max: 1, noNaN: true}),
				}),
				{maxLength: 120, size: 'max'},
			),
			async (size, budgetPages, steps) => {
				const {budget, reads} = startReads(budgetPages * 65_536);
				const file = new FakeFile(size + 4);
				const clients: Client[] = [];
				const letGo = (client: Client, reusable: boolean): void => {
					for (const {piece, copy} of client.held.splice(0)) {
						t.true(piece.bytes.equals(copy), 'it was written to while somebody had it');
						piece.release(reusable);
					}
				};
				for (const {who, does, share} of steps) {
					const client = clients[who % Math.max(1, clients.length)];
					if (does === 'comes') {
						// Few places, so that they meet.
						const start = Math.floor((Math.floor(share * 3) / 3) * size);
						const reader = new FakeReader(file, {start});
						clients.push({
							...{reader, start, end: file.bytes.length, leave: reads.enter(reader)},
							...{got: [], held: [], asking: undefined},
						});
					} else if (does === 'holds') {
						file.hold();
					} else if (does === 'goes') {
						file.go();
					} else if (does === 'fails') {
						file.failures.push(new Error('ill'));
					} else if (client === undefined) {
						continue;
					} else if (does === 'asks') {
						client.asking ??= reads
							.next(client.reader)
							.then(
								piece => {
									client.got.push(Buffer.from(piece.bytes));
									client.held.push({piece, copy: Buffer.from(piece.bytes)});
								},
								() => undefined,
							)
							.finally(() => {
								client.asking = undefined;
							});
					} else if (does === 'releases' || does === 'breaks') {
						letGo(client, does === 'releases');
					} else {
						file.go();
						await client.asking;
						letGo(client, true);
						client.leave();
						clients.splice(clients.indexOf(client), 1);
					}
					for (let turn = 0; turn < 10; turn++) {
						await Promise.resolve();
					}
				}
				file.failures = [];
				file.go();
				for (const client of clients) {
					await client.asking;
				}
				t.true(budget.heldBytes <= budgetPages * 65_536 + clients.length * 120 * 16_384);
				for (const client of clients) {
					letGo(client, true);
					const rest = await readAll(reads, client.reader, client.end - client.reader.position);
					t.true(Buffer.concat([...client.got, rest]).equals(file.bytes.subarray(client.start)));
					client.leave();
				}
				t.is(budget.heldBytes, 0);
				t.is(budget.users, 0);
			},
		),
	);
});
