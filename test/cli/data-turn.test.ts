/**
 * Commands that find the data directory in use: by a server that only begins, or by one that is about to end.
 */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import {exitCodes} from '../../src/cli/exit-codes.js';
import {runCli} from '../../src/cli/run.js';
import {DataInUseError} from '../../src/errors.js';
import type {Clock} from '../../src/host.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';
import {startFakeServer, type FakeServer} from './fake-server.js';
import {SkippingClock} from './skipping-clock.js';

const inUse = new DataInUseError('another imgmirror is using the data directory');

interface Rig {
	readonly io: FakeIo;
	readonly data: string;
	/** What answers on the socket of the data directory, whoever it is. */
	readonly server: FakeServer;
	/** A command that needs a server. */
	readonly run: () => Promise<number>;
}

async function rig(
	t: ExecutionContext,
	{clock, isRunning, start}: {clock: Clock; isRunning: () => boolean; start: (io: FakeIo) => Promise<void>},
): Promise<Rig> {
	const [home, data] = [await tempDir(t), await tempDir(t)];
	const [file, socket] = [join(home, 'base.zfs.gz'), join(data, 'control.sock')];
	writeFileSync(file, gzipSync('an image'));
	const io = new FakeIo();
	io.env['HOME'] = home;
	io.clock = clock;
	io.control = {controlSocket: async () => socket, isRunning: async () => isRunning()};
	io.beforeAssembled = () => start(io);
	const server = await startFakeServer(t, {socket});
	const argv = ['publish', file, '--name', 'base', '--version', '1.0.0', '--data', data];
	return {io, data, server, run: () => runCli(argv, io)};
}

const refuse = async (): Promise<void> => {
	throw inUse;
};

test('a server that starts in the same moment is used', async t => {
	let asked = 0;
	const {io, server, run} = await rig(t, {
		clock: new SkippingClock(),
		isRunning: () => asked++ > 0,
		start: async () => {
			throw new Error('taken');
		},
	});
	t.is(await run(), 0, io.err);
	t.is(server.images.size, 1);
});

test('a server that begins is waited for until it answers, and then used', async t => {
	const clock = new ManualClock();
	let isRunning = false;
	const {io, data, server, run} = await rig(t, {clock, isRunning: () => isRunning, start: refuse});
	const code = run();
	await clock.timerDueIn(200, 200);
	await clock.advance(20_000);
	await clock.timerDueIn(1, 200);
	isRunning = true;
	await clock.advance(200);
	t.is(await code, 0, io.err);
	t.is(server.images.size, 1);
	t.is(io.mirror.stops, 0);
	t.is(io.err.split(`imgmirror: another imgmirror is using ${data}: waiting until it answers, or ends\n`).length, 2);
	t.deepEqual(io.process.eventNames(), []);
});

test('a data directory that becomes free meanwhile is worked on', async t => {
	const {io, server, run} = await rig(t, {
		clock: new SkippingClock(),
		isRunning: () => false,
		start: async ({assembled}) => (assembled.length < 5 ? refuse() : undefined),
	});
	t.is(await run(), 0, io.err);
	t.is(server.images.size, 1);
	t.is(io.mirror.stops, 1);
});

test('a data directory that stays in use is given up after half a minute, or by a signal', async t => {
	const clock = new ManualClock();
	const {io, run} = await rig(t, {clock, isRunning: () => false, start: refuse});
	const first = run();
	await clock.timers();
	await clock.advance(29_999);
	t.is(clock.pending, 1);
	await clock.advance(1);
	t.is(await first, 1);
	t.true(io.err.endsWith(`imgmirror: ${inUse.message}\n`));

	const second = run();
	await clock.timers();
	io.process.emit('SIGINT');
	t.is(await second, exitCodes.interrupted);
	t.is(clock.pending, 0);
	t.deepEqual(io.exits, []);
});
