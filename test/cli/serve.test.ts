import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {runCli} from '../../src/cli/run.js';
import {ConfigError, DataInUseError, UsageError} from '../../src/errors.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {FakeIo} from './fake-io.js';
import {SkippingClock} from './skipping-clock.js';

interface Served {
	readonly io: FakeIo;
	readonly code: Promise<number>;
	/** Replaces the configuration file. */
	readonly write: (content: unknown) => void;
}

/** A mirror that is not ready yet, unless it is waited for. */
async function start(t: Scope, content: unknown = {}, prepare?: (io: FakeIo) => void): Promise<Served> {
	const file = join(await tempDir(t), 'config.json');
	const write = (next: unknown): void => writeFileSync(file, typeof next === 'string' ? next : JSON.stringify(next));
	write(content);
	const io = new FakeIo();
	prepare?.(io);
	return {io, code: runCli(['serve', '--config', file, '--source', 'lab=http://10.0.0.5'], io), write};
}

async function serve(t: Scope, content?: unknown): Promise<Served> {
	const served = await start(t, content);
	await served.io.until(() => served.io.out !== '');
	return served;
}

const said = (io: FakeIo): readonly string[] => io.logged.map(({msg}) => msg);

test('ready is exactly one line on stdout', async t => {
	const {io, code} = await serve(t);
	t.is(
		io.out,
		'imgmirror 1.2.3 listening on http://127.0.0.1:8080, fronting lab (http://10.0.0.5); on each SmartOS machine: imgadm sources -a http://127.0.0.1:8080\n',
	);
	t.is(io.assembled[0]?.options.version, '1.2.3');
	io.process.emit('SIGTERM');
	t.is(await code, 0);
	t.is(io.out.split('\n').length, 2);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
	test(`${signal} stops in order and ends with 0`, async t => {
		const {io, code} = await serve(t);
		io.process.emit(signal);
		t.is(await code, 0);
		t.is(io.mirror.stops, 1);
		t.deepEqual(io.exits, []);
		t.deepEqual(said(io), ['stopping', 'stopped']);
		t.is(io.logged[0]?.['signal'], signal);
		t.deepEqual(io.process.eventNames(), []);
	});
}

test('a second signal ends it at once, with 1', async t => {
	const {io} = await serve(t);
	io.mirror.onStop = () => new Promise(() => undefined);
	io.process.emit('SIGTERM');
	io.process.emit('SIGINT');
	t.deepEqual(io.exits, [1]);
});

test('a signal during the start stops the mirror once it has started, without a ready line', async t => {
	let started = (): void => undefined;
	const {io, code} = await start(t, {}, fake => {
		fake.beforeAssembled = () => new Promise(resolve => (started = resolve));
	});
	await io.until(() => io.assembled.length > 0);
	io.process.emit('SIGTERM');
	started();
	t.is(await code, 0);
	t.is(io.mirror.stops, 1);
	t.is(io.out, '');
});

const inUse = new DataInUseError('another imgmirror is using the data directory');

test('a data directory that a command has is waited for', async t => {
	const {io, code} = await start(t, {}, fake => {
		fake.clock = new SkippingClock();
		fake.beforeAssembled = async () => {
			if (fake.assembled.length < 5) {
				throw inUse;
			}
		};
	});
	await io.until(() => io.out !== '');
	io.process.emit('SIGTERM');
	t.is(await code, 0);
	t.is(io.assembled.length, 5);
	t.deepEqual(said(io), [
		'another imgmirror is using the data directory: waiting for it to end',
		...['stopping', 'stopped'],
	]);
});

/** On a data directory that stays in use. Resolves once it is waited for. */
async function startInUse(t: ExecutionContext, clock: ManualClock): ReturnType<typeof start> {
	const started = await start(t, {}, fake => {
		fake.clock = clock;
		fake.beforeAssembled = async () => {
			throw inUse;
		};
	});
	await clock.timers();
	return started;
}

test('a data directory that stays in use ends it with 1 after ten seconds', async t => {
	const clock = new ManualClock();
	const {io, code} = await startInUse(t, clock);
	await clock.advance(9999);
	t.is(clock.pending, 1);
	await clock.advance(1);
	t.is(await code, 1);
	t.true(io.err.endsWith(`imgmirror: ${inUse.message}\n`));
});

test('a signal while a data directory is waited for ends it with 0', async t => {
	const clock = new ManualClock();
	const {io, code} = await startInUse(t, clock);
	io.process.emit('SIGTERM');
	await clock.advance(200);
	t.is(await code, 0);
	t.is(io.out, '');
	t.is(io.mirror.stops, 0);
});

test('a stop that fails ends with 1', async t => {
	const {io, code} = await serve(t);
	io.mirror.onStop = async () => {
		throw new Error('the disk is gone');
	};
	io.process.emit('SIGTERM');
	t.is(await code, 1);
	t.deepEqual(said(io), ['stopping', 'could not stop in order']);
});

test('a start that fails is one line on stderr, and 1', async t => {
	const {io, code} = await start(t, {}, fake => {
		fake.beforeAssembled = async () => {
			throw new UsageError('the data directory /x is in use by process 7');
		};
	});
	t.is(await code, 1);
	t.is(io.out, '');
	t.is(io.err, 'imgmirror: the data directory /x is in use by process 7\n');
	t.deepEqual(io.process.eventNames(), []);
});

test('a fault of the configuration that only the start finds is one all the same', async t => {
	const {io, code} = await start(t, {}, fake => {
		fake.beforeAssembled = async () => {
			throw new ConfigError('the configuration: 1 fault', ['sources[0].keyFile: it is gone']);
		};
	});
	t.is(await code, 2);
	t.is(io.err, 'imgmirror: the configuration: 1 fault\n  sources[0].keyFile: it is gone\n');
});

test('SIGHUP takes over the new configuration, and says what changed and what could not', async t => {
	const {io, write} = await serve(t, {log: {format: 'json'}});
	io.mirror.onReload = async () => ['listen: takes effect after a restart'];
	write({listen: 8081, drainTimeout: '1m'});
	io.process.emit('SIGHUP');
	await io.until(() => said(io).includes('listen: takes effect after a restart'));
	t.is(io.mirror.reloads[0]?.drainTimeoutMs, 60_000);
	t.deepEqual(
		io.logged.flatMap(({change}) => change ?? []),
		[
			'listen: ["127.0.0.1:8080"], now ["127.0.0.1:8081"]',
			'log.format: "json", now "auto"',
			'drainTimeout: "30s", now "1m"',
		],
	);
	t.is(io.mirror.reloads[0]?.sources[0]?.name, 'lab');
});

test('SIGHUP with a faulty file changes nothing, says every fault, and the next good one is taken', async t => {
	const {io, write, code} = await serve(t);
	write({lisen: 1, data: 2});
	io.process.emit('SIGHUP');
	await io.until(() => said(io).some(line => line.startsWith('the configuration was not taken over')));
	t.deepEqual(io.mirror.reloads, []);
	const faults = io.logged.filter(({msg}) => msg === 'configuration fault');
	t.is(faults.length, 2);
	t.true(faults.every(({level}) => level === 50));
	t.deepEqual(io.exits, []);

	write({});
	io.process.emit('SIGHUP');
	await io.until(() => said(io).includes('configuration read again: none of its keys has changed'));
	t.is(io.mirror.reloads.length, 1);
	io.process.emit('SIGTERM');
	t.is(await code, 0);
});

test('what a reload says is told to whoever asks for the log', async t => {
	const {io, write, code} = await serve(t, {log: {level: 'warn'}});
	write({lisen: 1});
	io.process.emit('SIGHUP');
	await io.until(() => said(io).some(line => line.startsWith('the configuration was not taken over')));
	const warned = io.mirror.logTail.lines({level: 'warn'});
	t.deepEqual(
		warned.map(({msg}) => msg),
		['configuration fault', 'the configuration was not taken over: everything goes on as before'],
	);
	t.regex(String(warned[0]?.['fault']), /^lisen \(line 1\): /);
	io.mirror.onReload = async () => ['"data" takes effect at the next start'];
	write({log: {level: 'warn'}});
	io.process.emit('SIGHUP');
	await io.until(() => said(io).includes('"data" takes effect at the next start'));
	t.is(io.mirror.logTail.lines({level: 'warn'}).length, 3);
	io.process.emit('SIGTERM');
	t.is(await code, 0);
});

test('the log stays in the form of the start', async t => {
	const {io, write, code} = await serve(t, {log: {format: 'json'}});
	write({log: {format: 'text'}});
	io.process.emit('SIGHUP');
	await io.until(() => said(io).includes('configuration read again') || io.err.includes('info '));
	io.process.emit('SIGTERM');
	t.is(await code, 0);
	t.deepEqual(said(io), ['configuration changed', 'configuration read again', 'stopping', 'stopped']);
	t.is(io.err.trim().split('\n').length, 4);
});

test('a reload that fails is logged, and what was configured before stays', async t => {
	const {io, write} = await serve(t);
	io.mirror.onReload = async () => {
		throw new Error('no more sockets');
	};
	write({drainTimeout: '1m'});
	io.process.emit('SIGHUP');
	await io.until(() => said(io).some(line => line.startsWith('the configuration was not taken over')));
	io.mirror.onReload = async () => [];
	io.process.emit('SIGHUP');
	await io.until(() => said(io).includes('configuration read again'));
	t.is(io.logged.filter(({msg}) => msg === 'configuration changed').length, 1);
});

test('reloads never overlap, and many signals during one make one more', async t => {
	const {io, code} = await serve(t);
	const running: (() => void)[] = [];
	io.mirror.onReload = () => new Promise(resolve => running.push(() => resolve([])));
	io.process.emit('SIGHUP');
	io.process.emit('SIGHUP');
	io.process.emit('SIGHUP');
	t.is(running.length, 1);
	running[0]?.();
	await io.until(() => io.mirror.reloads.length === 2 || said(io).length > 0);
	io.mirror.onReload = async () => [];
	await io.until(() => said(io).length > 0);
	running[1]?.();
	io.process.emit('SIGTERM');
	t.is(await code, 0);
	t.is(io.mirror.reloads.length, 2);
});

test('SIGHUP during the start is remembered, after the stop it is nothing', async t => {
	let started = (): void => undefined;
	const {io, code} = await start(t, {}, fake => {
		fake.beforeAssembled = () => new Promise(resolve => (started = resolve));
	});
	await io.until(() => io.assembled.length > 0);
	io.process.emit('SIGHUP');
	started();
	await io.until(() => said(io).length > 0);
	t.is(io.mirror.reloads.length, 1);
	io.process.emit('SIGTERM');
	io.process.emit('SIGHUP');
	t.is(await code, 0);
	t.is(io.mirror.reloads.length, 1);
});

for (const event of ['uncaughtException', 'unhandledRejection']) {
	test(`${event}: logged with its stack, and the end`, async t => {
		const {io} = await serve(t);
		io.process.emit(event, new TypeError('x is not a function'));
		t.deepEqual(io.exits, [1]);
		const [line] = io.logged;
		t.is(line?.level, 60);
		t.regex((line?.['err'] as {stack: string}).stack, /^TypeError: x is not a function\n {4}at /);
	});
}

test('whatever was thrown can be logged, and a log that fails holds up nothing', async t => {
	const {io} = await serve(t);
	io.process.emit('unhandledRejection', 'just a string');
	t.regex(io.err, /just a string/);
	io.stderr.write = () => {
		throw new Error('EPIPE');
	};
	t.throws(() => io.process.emit('unhandledRejection', new Error('x')));
	t.deepEqual(io.exits, [1, 1]);
});

test('the log is text on a terminal, JSON elsewhere, or as configured', async t => {
	const stopped = async (content: object, isTTY: boolean): Promise<string> => {
		const {io, code} = await start(t, content, fake => {
			fake.stderr.isTTY = isTTY;
		});
		await io.until(() => io.out !== '');
		io.process.emit('SIGTERM');
		await code;
		return io.err;
	};
	t.regex(await stopped({}, true), /^\S+ info {2}stopping signal=SIGTERM\n/);
	t.regex(await stopped({}, false), /^\{/);
	t.regex(await stopped({log: {format: 'json'}}, true), /^\{/);
	t.regex(await stopped({log: {format: 'text'}}, false), /info {2}stopping/);
	t.is(await stopped({log: {level: 'warn'}}, false), '');
});
