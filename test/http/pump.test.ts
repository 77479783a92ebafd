import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {ftruncate, writeFile} from 'node:fs';
import {open, type FileHandle} from 'node:fs/promises';
import {createServer, type ServerResponse} from 'node:http';
import {connect, type AddressInfo, type Socket} from 'node:net';
import path from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {Follower} from '../../src/blobs/follower.js';
import {BlobReader, type Reader} from '../../src/blobs/reader.js';
import {Watermark} from '../../src/blobs/watermark.js';
import {BufferBudget} from '../../src/http/buffers.js';
import {descriptorOf} from '../../src/http/descriptor.js';
import {Turns} from '../../src/http/turns.js';
import {SendFailed, loadNativeSend, type NativeSend} from '../../src/http/native-send.js';
import {Pump} from '../../src/http/pump.js';
import {ClientGone} from '../../src/http/request-body.js';
import {SharedReads} from '../../src/http/shared-reads.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';

const {native: system} = await loadNativeSend();
/** Where the system or the package is not there, nothing is sent like this. */
const nativeTest = system === undefined ? test.skip : test;
const mebibyte = 2 ** 20;

/** What the pump did, by which way. */
interface Counts {
	natively: number;
	calls: number;
	largest: number;
	written: number;
	full: number;
	begun: number;
	sent: number;
}

interface PumpServer {
	readonly port: number;
	readonly counts: Counts;
	/** Settles with what came of the next answer. */
	readonly outcome: () => Promise<unknown>;
}

interface ServerOptions {
	readonly reader: (offset: number) => Promise<Reader>;
	readonly length: number;
	readonly native?: Partial<NativeSend> | undefined;
}

/** Answers every request by a pump: `?from` bytes into the file. */
async function pumpServer(t: ExecutionContext, options: ServerOptions): Promise<PumpServer> {
	const counts: Counts = {natively: 0, calls: 0, largest: 0, written: 0, full: 0, begun: 0, sent: 0};
	const outcomes: unknown[] = [];
	const waiting: ((outcome: unknown) => void)[] = [];
	const native = system === undefined ? undefined : counted(system, options.native ?? {}, counts);
	const reads = new SharedReads(new BufferBudget());
	const turns = new Turns(new ManualClock());
	const answer = async (response: ServerResponse, from: number): Promise<void> => {
		const reader = await options.reader(from);
		const length = options.length - from;
		try {
			await new Pump({
				exchange: {
					get descriptor() {
						return descriptorOf(response);
					},
					passed: () => undefined,
					write: chunk => {
						counts.written += chunk.length;
						return new Promise((resolve, reject) => {
							response.write(chunk, error => {
								if (error) {
									reject(new ClientGone());
								} else {
									resolve();
								}
							});
						});
					},
				},
				...{
					reader,
					length,
					reads,
					turns,
					native: 'native' in options && options.native === undefined ? undefined : native,
				},
				begin: () => {
					counts.begun++;
					response.writeHead(200, {'Content-Length': length});
				},
				sent: bytes => {
					counts.sent += bytes;
				},
			}).run();
			response.end();
		} catch (error) {
			response.destroy();
			throw error;
		} finally {
			reader.close();
		}
	};
	const server = createServer({noDelay: false}, (request, response) => {
		const from = Number(new URL(request.url ?? '', 'http://x').searchParams.get('from') ?? 0);
		answer(response, from).then(
			() => settled('whole'),
			(error: unknown) => settled(error),
		);
	});
	const settled = (outcome: unknown): void => {
		const next = waiting.shift();
		if (next === undefined) {
			outcomes.push(outcome);
		} else {
			next(outcome);
		}
	};
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	return {
		port: (server.address() as AddressInfo).port,
		counts,
		outcome: () =>
			new Promise(resolve => {
				if (outcomes.length > 0) {
					resolve(outcomes.shift());
				} else {
					waiting.push(resolve);
				}
			}),
	};
}

function counted(real: NativeSend, instead: Partial<NativeSend>, counts: Counts): NativeSend {
	return {
		send: (socket, file) => {
			counts.calls++;
			counts.largest = Math.max(counts.largest, file.length);
			const bytes = (instead.send ?? real.send)(socket, file);
			counts.natively += bytes;
			counts.full += bytes === 0 ? 1 : 0;
			return bytes;
		},
		isCached: instead.isCached ?? (() => true),
		write: () => 0,
		writeText: () => 0,
		duplicate: () => undefined,
	};
}

async function fileOf(t: ExecutionContext, bytes: Buffer): Promise<{file: string; open: () => Promise<FileHandle>}> {
	const file = path.join(await tempDir(t), 'file');
	await promisify(writeFile)(file, bytes);
	return {file, open: () => open(file, 'r')};
}

async function blobServer(
	t: ExecutionContext,
	bytes: Buffer,
	native?: Partial<NativeSend>,
): Promise<PumpServer & {readonly file: string}> {
	const {file, open: openFile} = await fileOf(t, bytes);
	const server = await pumpServer(t, {
		reader: async start => new BlobReader({handle: await openFile(), start, end: bytes.length}),
		length: bytes.length,
		...(native === undefined ? {} : {native}),
	});
	return {...server, file};
}

/** A client that reads only when told to. */
class Client {
	readonly socket: Socket;
	#got: Buffer[] = [];
	readonly ended: Promise<void>;

	constructor(t: ExecutionContext, port: number) {
		this.socket = connect(port, '127.0.0.1');
		this.socket.on('error', () => undefined);
		this.ended = new Promise(resolve => {
			this.socket.once('close', () => resolve());
		});
		t.teardown(() => this.socket.destroy());
	}

	ask(...from: number[]): void {
		this.socket.write(from.map(at => `GET /?from=${at} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
	}

	/** The next `count` bodies. */
	async bodies(count: number): Promise<readonly Buffer[]> {
		const bodies: Buffer[] = [];
		let rest = Buffer.concat(this.#got);
		for (;;) {
			const end = rest.indexOf('\r\n\r\n');
			const length = Number(/content-length: (\d+)/i.exec(rest.subarray(0, Math.max(0, end)).toString())?.[1] ?? NaN);
			if (end >= 0 && rest.length >= end + 4 + length) {
				bodies.push(rest.subarray(end + 4, end + 4 + length));
				rest = rest.subarray(end + 4 + length);
				if (bodies.length === count) {
					this.#got = [rest];
					return bodies;
				}
				continue;
			}
			const missing = end >= 0 ? end + 4 + length - rest.length : 1;
			rest = Buffer.concat([rest, await this.#some(missing)]);
		}
	}

	async #some(least: number): Promise<Buffer> {
		const parts: Buffer[] = [];
		for (let got = 0; got < least;) {
			const part = (this.socket.read() as Buffer | null) ?? undefined;
			if (part === undefined) {
				await Promise.race([once(this.socket, 'readable'), this.ended]);
				if (this.socket.destroyed || this.socket.readableEnded) {
					throw new Error('the connection ended');
				}
				continue;
			}
			parts.push(part);
			got += part.length;
		}
		return Buffer.concat(parts);
	}
}

const random = randomBytes(9 * mebibyte + 12_345);

nativeTest('a file in memory goes past Node, but for its beginning and what tells when there is room', async t => {
	const {port, counts, outcome} = await blobServer(t, random);
	const client = new Client(t, port);
	client.ask(0);
	const [body] = await client.bodies(1);
	t.true(body?.equals(random));
	t.is(await outcome(), 'whole');
	t.is(counts.begun, 1);
	t.is(counts.sent, random.length);
	t.is(counts.natively + counts.written, random.length);
	t.true(counts.written <= (counts.full + 1) * 16_384, 'a small piece whenever the connection was full');
	t.true(counts.largest <= 8 * mebibyte, 'nobody has more than a round');
});

nativeTest('a connection goes on after such an answer, and requests sent ahead are answered in order', async t => {
	const {port, outcome} = await blobServer(t, random);
	const client = new Client(t, port);
	const offsets = [0, random.length - 1, 5 * mebibyte, 1, random.length - 100_000];
	// One after the other: node:http alone answers them all at the same time, the mirror's connection does not.
	for (const offset of offsets) {
		client.ask(offset);
		const [body] = await client.bodies(1);
		t.true(body?.equals(random.subarray(offset)), `from ${offset}`);
		t.is(await outcome(), 'whole');
	}
});

nativeTest('a client that reads late gets every byte, and the server waits for it without asking again', async t => {
	const {port, counts, outcome} = await blobServer(t, random);
	const client = new Client(t, port);
	client.ask(0);
	await once(client.socket, 'readable');
	// Nothing is read: the connection fills up, and then nothing is tried any more.
	let before = -1;
	while (counts.calls !== before || counts.full === 0) {
		before = counts.calls;
		for (let turn = 0; turn < 50; turn++) {
			await new Promise(resolve => setImmediate(resolve));
		}
	}
	t.true(counts.sent < random.length);
	const [body] = await client.bodies(1);
	t.true(body?.equals(random));
	t.is(await outcome(), 'whole');
});

nativeTest('a client that leaves in mid-file ends it, and its descriptor is not used again', async t => {
	const {port, counts, outcome} = await blobServer(t, random);
	const client = new Client(t, port);
	client.ask(0);
	await once(client.socket, 'readable');
	client.socket.resetAndDestroy();
	t.true((await outcome()) instanceof ClientGone);
	const {calls} = counts;
	// Who comes next may well be given the number of the one that left.
	const next = new Client(t, port);
	next.ask(random.length - 10);
	const [body] = await next.bodies(1);
	t.true(body?.equals(random.subarray(-10)));
	t.is(counts.calls, calls, 'ten bytes fit into the first piece');
});

nativeTest('what is not in memory is read and written, and what is goes past Node again', async t => {
	let asked = 0;
	const isCached = (_: number, position: number): boolean => {
		asked++;
		return position >= 8 * mebibyte;
	};
	const {port, counts, outcome} = await blobServer(t, random, {isCached});
	const client = new Client(t, port);
	client.ask(0);
	const [body] = await client.bodies(1);
	t.true(body?.equals(random));
	t.is(await outcome(), 'whole');
	t.true(counts.written >= 8 * mebibyte);
	t.true(counts.natively > 0);
	t.true(asked < 20, 'looked at once for each mebibyte');
});

nativeTest(
	'as long as all is in memory it is looked at less and less often, and closely again where it is not',
	async t => {
		const looks: {readonly at: number; readonly is: boolean}[] = [];
		const isCached = (_: number, position: number): boolean => {
			const is = position >= 8 * mebibyte || position < 5 * mebibyte;
			looks.push({at: position + 1, is});
			return is;
		};
		const {port} = await blobServer(t, random, {isCached});
		const client = new Client(t, port);
		client.ask(0);
		const [body] = await client.bodies(1);
		t.true(body?.equals(random));
		const good = looks.filter(({is}) => is).map(({at}) => at);
		t.deepEqual(good.slice(0, 2), [mebibyte, 3 * mebibyte]);
		const [first] = looks.filter(({is}) => !is);
		t.is(first?.at, 7 * mebibyte, 'four more than the last time');
		const after = looks[looks.findIndex(({is}) => !is) + 1];
		t.true((after?.at ?? 0) <= 5 * mebibyte, 'one, from where it stood');
	},
);

nativeTest('where nobody can tell what is in memory, little is sent in one go', async t => {
	const {port, counts} = await blobServer(t, random, {isCached: () => undefined});
	const client = new Client(t, port);
	client.ask(0);
	const [body] = await client.bodies(1);
	t.true(body?.equals(random));
	t.true(counts.natively > 0);
	t.true(counts.largest <= 256 * 1024);
});

nativeTest('a file that cannot be sent like this is read and written to its end', async t => {
	let calls = 0;
	const {port, counts} = await blobServer(t, random, {
		send: (socket, file) => {
			calls++;
			if (calls > 2) {
				throw new SendFailed('error 22', false);
			}
			return system?.send(socket, file) ?? 0;
		},
	});
	const client = new Client(t, port);
	client.ask(0);
	const [body] = await client.bodies(1);
	t.true(body?.equals(random));
	t.is(calls, 3);
	t.is(counts.sent, random.length);
});

nativeTest('a file that was cut short behind our back cuts the answer short', async t => {
	const {port, file, outcome} = await blobServer(t, random);
	const client = new Client(t, port);
	client.ask(0);
	await once(client.socket, 'readable');
	const handle = await open(file, 'r+');
	await promisify(ftruncate)(handle.fd, mebibyte);
	await handle.close();
	await t.throwsAsync(client.bodies(1));
	t.regex(String(await outcome()), /ends at|ended/);
});

test('without the system’s help everything is read and written', async t => {
	const bytes = random;
	const {open: openFile} = await fileOf(t, bytes);
	const {port, counts, outcome} = await pumpServer(t, {
		reader: async start => new BlobReader({handle: await openFile(), start, end: bytes.length}),
		length: bytes.length,
		native: undefined,
	});
	const client = new Client(t, port);
	client.ask(0, 0);
	await once(client.socket, 'readable');
	const [body] = await client.bodies(1);
	t.true(body?.equals(bytes));
	t.is(await outcome(), 'whole');
	t.is(counts.natively, 0);
});

/** A file that is written while it is followed. */
async function growing(t: ExecutionContext, bytes: Buffer) {
	const file = path.join(await tempDir(t), 'growing');
	const handle = await open(file, 'wx+');
	const watermark = new Watermark(bytes.length);
	let written = 0;
	t.teardown(() => handle.close());
	return {
		watermark,
		handle,
		write: async (upTo: number) => {
			await handle.write(bytes, written, upTo - written, written);
			written = upTo;
			watermark.advance(upTo);
		},
		again: async () => {
			watermark.restart();
			await handle.truncate(0);
			written = 0;
		},
		reader: (start: number): Promise<Reader> =>
			Promise.resolve(
				new Follower({
					...{start, end: bytes.length, watermark},
					read: async (into, length, position) => (await handle.read(into, 0, length, position)).bytesRead,
					fd: () => handle.fd,
					passThrough: () => {
						throw new Error('not here');
					},
					onClose: () => undefined,
					supplier: () => undefined,
					contentMd5: () => undefined,
				}),
			),
	};
}

nativeTest('a follower at the growing edge gets what has come past Node, and the tail when it is right', async t => {
	const {watermark, write, reader} = await growing(t, random);
	const {port, counts, outcome} = await pumpServer(t, {reader, length: random.length});
	const client = new Client(t, port);
	client.ask(0);
	const body = client.bodies(1);
	for (const upTo of [10, 40_000, 3 * mebibyte, 3 * mebibyte + 1, random.length]) {
		await write(upTo);
		const readable = Math.min(upTo, random.length - 65_536);
		while (counts.sent < readable) {
			await new Promise(resolve => setImmediate(resolve));
		}
		t.is(counts.sent, readable, 'as far as may be read, and no further');
	}
	watermark.verified();
	t.true((await body)[0]?.equals(random));
	t.is(await outcome(), 'whole');
	t.true(counts.natively > 8 * mebibyte);
});

nativeTest('a file that begins again cuts off who had bytes of it', async t => {
	const {write, again, reader} = await growing(t, random);
	const {port, counts, outcome} = await pumpServer(t, {reader, length: random.length});
	const client = new Client(t, port);
	client.ask(0);
	const body = client.bodies(1);
	await write(mebibyte);
	while (counts.sent < mebibyte) {
		await new Promise(resolve => setImmediate(resolve));
	}
	await again();
	await write(mebibyte + 1);
	await t.throwsAsync(body);
	t.regex(String(await outcome()), /turned out wrong/);
});

nativeTest('a transfer that fails cuts off its followers', async t => {
	const {watermark, write, reader} = await growing(t, random);
	const {port, outcome} = await pumpServer(t, {reader, length: random.length});
	const client = new Client(t, port);
	client.ask(0);
	const body = client.bodies(1);
	await write(2 * mebibyte);
	watermark.fail(new Error('the source is gone'));
	await t.throwsAsync(body);
	t.regex(String(await outcome()), /the source is gone/);
});

test('clients of one file, wherever they begin and whenever they leave, have every byte without the system’s help', async t => {
	const {open: openFile} = await fileOf(t, random);
	const content = {};
	const {port, counts} = await pumpServer(t, {
		reader: async start => new BlobReader({handle: await openFile(), start, end: random.length, content}),
		length: random.length,
		native: undefined,
	});
	const starts = [0, 0, 0, 1, 16_384, mebibyte, 2 * mebibyte - 1, 8 * mebibyte, random.length - 1, 0, 3, 5 * mebibyte];
	const gone = new Client(t, port);
	gone.ask(0);
	await once(gone.socket, 'readable');
	await Promise.all(
		starts.map(async start => {
			const client = new Client(t, port);
			client.ask(start);
			if (start === mebibyte) {
				gone.socket.resetAndDestroy();
			}
			const [body] = await client.bodies(1);
			t.true(body?.equals(random.subarray(start)), `from ${start}`);
		}),
	);
	t.is(counts.natively, 0);
});

nativeTest('bytes that are sent say what is in memory, and of a closed file nothing is sent', async t => {
	const {open: openFile} = await fileOf(t, random);
	const handle = await openFile();
	const reader = new BlobReader({handle, start: 5, end: 10});
	t.deepEqual(reader.stretch(), {fd: handle.fd, position: 5, length: 5});
	t.not(system?.isCached(handle.fd, 100), false, 'it was just written');
	reader.skip(5);
	t.is(reader.stretch(), undefined);
	const another = new BlobReader({handle: await openFile(), start: 0, end: 10});
	another.close();
	t.is(another.stretch(), undefined);
	reader.close();
});
