import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:http';
import {connect, type AddressInfo} from 'node:net';
import {setImmediate as nextRound} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import test, {type ExecutionContext} from 'ava';
import {Doors} from '../../src/http/doors.js';
import {loadNativeSend, type NativeSend} from '../../src/http/native-send.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {ask} from './front.js';

const {native: system} = await loadNativeSend();
/** Where the system or the package is not there, clients come in one after the other. */
const nativeTest = system === undefined ? test.skip : test;
const backlog = 700;
const options = {taking: {noDelay: false}, backlog};

interface House {
	readonly server: Server;
	readonly port: number;
	readonly doors: Doors;
	readonly clock: ManualClock;
	readonly close: () => Promise<void>;
}

async function house(t: ExecutionContext, native: NativeSend): Promise<House> {
	const server = createServer((_request, response) => response.end('come in'));
	server.listen({port: 0, host: '127.0.0.1', backlog});
	await once(server, 'listening');
	const clock = new ManualClock();
	const doors = new Doors(server, {...options, native, clock});
	let closed: Promise<void> | undefined;
	const close = (): Promise<void> => {
		closed ??= Promise.all([new Promise<void>(resolve => void server.close(() => resolve())), doors.close()]).then(
			() => undefined,
		);
		return closed;
	};
	t.teardown(close);
	return {server, doors, clock, close, port: (server.address() as AddressInfo).port};
}

/** Knocks from another thread while this one stands still, so that all of them wait when it goes on. */
async function crowd(t: ExecutionContext, port: number, clients: number): Promise<void> {
	const here = new Int32Array(new SharedArrayBuffer(4));
	const worker = new Worker(
		`const {connect} = require('node:net');
		const {workerData: {port, clients, here}} = require('node:worker_threads');
		for (let number = 0; number < clients; number++) {
			connect(port, '127.0.0.1', () => {
				Atomics.add(here, 0, 1);
				Atomics.notify(here, 0);
			});
		}`,
		{eval: true, workerData: {port, clients, here}},
	);
	t.teardown(() => worker.terminate());
	await once(worker, 'online');
	for (let seen = 0; seen < clients; seen = Atomics.load(here, 0)) {
		Atomics.wait(here, 0, seen);
	}
}

nativeTest('a crowd is taken in several in each round of the event loop, and the doors close after it', async t => {
	if (system === undefined) {
		return;
	}
	const {server, port, doors, clock} = await house(t, system);
	t.is(doors.count, 1);
	const rounds = [0, 0, 0, 0, 0, 0];
	let round = 0;
	server.on('connection', () => rounds.splice(round, 1, (rounds[round] ?? 0) + 1));
	await crowd(t, port, 18);
	for (round = 1; round < rounds.length; round++) {
		await nextRound();
	}
	// It may have taken up in the middle of a round.
	const came = rounds.filter(clients => clients > 0);
	t.deepEqual(came, [2, 8, 8]);
	t.is(doors.count, 7);
	t.is((await ask(`http://127.0.0.1:${port}`, '/')).text, 'come in');

	await clock.advance(600);
	await crowd(t, port, 4);
	await nextRound();
	await nextRound();
	await clock.advance(600);
	t.is(doors.count, 7, 'there was one more crowd since');
	await clock.advance(1100);
	t.is(doors.count, 1);
	t.is((await ask(`http://127.0.0.1:${port}`, '/')).text, 'come in');
	t.is(doors.count, 1, 'one client is no crowd');
});

nativeTest('as many may knock at once as at the listener itself', async t => {
	const most = Number(await readFile('/proc/sys/net/core/somaxconn', 'latin1'));
	if (system === undefined || most < backlog) {
		t.log(`this machine lets no more than ${most} wait`);
		t.pass();
		return;
	}
	const {server, port} = await house(t, system);
	let came = 0;
	server.on('connection', () => came++);
	// Who finds no place would try again a second later, and again: this thread stands still until all have one.
	await crowd(t, port, 600);
	while (came < 600) {
		await nextRound();
	}
	t.is(came, 600);
});

nativeTest('a client that has said all it will may still be answered', async t => {
	if (system === undefined) {
		return;
	}
	const {port} = await house(t, system);
	// By each of the ways in, and more.
	const answers = Array.from({length: 20}, async () => {
		const client = connect({port, host: '127.0.0.1', allowHalfOpen: true});
		client.end('GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n');
		let got = '';
		client.on('data', (chunk: Buffer) => (got += chunk.toString()));
		await once(client, 'close');
		return got.split('\r\n\r\n')[1];
	});
	t.deepEqual(new Set(await Promise.all(answers)), new Set(['come in']));
});

nativeTest('once all are closed nobody comes in any more, and who is in is answered', async t => {
	if (system === undefined) {
		return;
	}
	const {port, server, close} = await house(t, system);
	const client = connect(port, '127.0.0.1');
	await once(server, 'connection');
	const closing = close();
	const refused = connect(port, '127.0.0.1');
	const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
	t.is(error.code, 'ECONNREFUSED');
	let got = '';
	client.on('data', (chunk: Buffer) => (got += chunk.toString()));
	client.end('GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n');
	await once(client, 'close');
	t.regex(got, /^HTTP\/1\.1 200 OK\r\n[^]*come in/);
	await closing;
});

nativeTest('as many as there are descriptors for', async t => {
	if (system === undefined) {
		return;
	}
	let left = 2;
	const few = {...system, duplicate: (fd: number) => (left-- > 0 ? system.duplicate(fd) : undefined)};
	const {port, doors} = await house(t, few);
	await crowd(t, port, 12);
	await nextRound();
	await nextRound();
	t.is(doors.count, 2);
	const texts = await Promise.all(Array.from({length: 5}, () => ask(`http://127.0.0.1:${port}`, '/')));
	t.deepEqual([...new Set(texts.map(({text}) => text))], ['come in']);
});

nativeTest('what is not open has no doors', async t => {
	if (system === undefined) {
		return;
	}
	const doors = new Doors(createServer(), {...options, native: system, clock: new ManualClock()});
	t.is(doors.count, 0);
	t.is(system.duplicate(-1), undefined);
	await doors.close();
});
