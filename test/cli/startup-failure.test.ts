import {createServer} from 'node:net';
import {mkdirSync, writeFileSync} from 'node:fs';
import {once} from 'node:events';
import {join} from 'node:path';
import test from 'ava';
import {explainStartupFailure} from '../../src/cli/startup-failure.js';
import {MirrorError, UsageError} from '../../src/errors.js';
import {tempDir} from '../helpers/temp-dir.js';

const systemError = (fields: object): Error => Object.assign(new Error('the system said no'), fields);

async function listenError(options: object): Promise<unknown> {
	const server = createServer();
	server.listen(options);
	const [error] = (await once(server, 'error')) as [unknown];
	return error;
}

test('a port that is taken', async t => {
	const server = createServer().listen(0, '127.0.0.1');
	t.teardown(() => void server.close());
	await once(server, 'listening');
	const address = server.address();
	const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
	t.is(
		explainStartupFailure(await listenError({port, host: '127.0.0.1'})),
		`cannot listen on 127.0.0.1:${port}: another process does so already; stop it, or choose another address with --listen`,
	);
});

test('a socket that is taken', async t => {
	const path = join(await tempDir(t), 's');
	const server = createServer().listen(path);
	t.teardown(() => void server.close());
	await once(server, 'listening');
	t.regex(
		explainStartupFailure(await listenError({path}), [path]),
		/^cannot listen on unix:\/.*: another process does so already/,
	);
});

test('a directory that no socket can be made in', async t => {
	const path = join(await tempDir(t), 'none', 's');
	t.regex(explainStartupFailure(await listenError({path}), [path]), /^cannot listen on unix:\/.*\/none\/s: /);
});

test('an address of another machine', async t => {
	t.regex(
		explainStartupFailure(await listenError({port: 0, host: '192.0.2.1'})),
		/^cannot listen on 192\.0\.2\.1.*: this machine has no such address; use one that it has, or 0\.0\.0\.0, in --listen$/,
	);
});

const cases: Readonly<Record<string, readonly [unknown, RegExp]>> = {
	'a low port': [
		systemError({code: 'EACCES', syscall: 'listen', address: '::', port: 80}),
		/^cannot listen on \[::\]:80: ports below 1024 need a privilege \(net_privaddr on SmartOS, CAP_NET_BIND_SERVICE/,
	],
	'a high port that is forbidden': [
		systemError({code: 'EACCES', syscall: 'bind', address: '10.0.0.1', port: 8080}),
		/^cannot listen on 10\.0\.0\.1:8080: no permission; /,
	],
	'a host name that nobody knows': [
		systemError({code: 'ENOTFOUND', syscall: 'getaddrinfo'}),
		/^cannot listen: this machine knows no address for the host name \(the system said no\); use an address/,
	],
	'something else about listening': [
		systemError({code: 'EMFILE', syscall: 'listen', address: '10.0.0.1', port: 80}),
		/^cannot listen on 10\.0\.0\.1:80: the system said no$/,
	],
	'listening, wrapped': [
		new Error('could not start', {
			cause: systemError({code: 'EADDRINUSE', syscall: 'listen', address: '::1', port: 1}),
		}),
		/^cannot listen on \[::1\]:1: another process/,
	],
	'listening, on several addresses': [
		new AggregateError([systemError({code: 'EADDRINUSE', syscall: 'listen'})], 'all of them failed'),
		/^cannot listen on the address: another process/,
	],
	'a directory that cannot be written': [
		new UsageError('the data directory /x cannot be used', {
			cause: systemError({code: 'EACCES', syscall: 'mkdir', path: '/x'}),
		}),
		/^the data directory \/x cannot be used: the system said no; choose another data directory with --data, or give it/,
	],
	'a lock in a directory that cannot be written': [
		new UsageError('the data directory /x cannot be locked', {
			cause: systemError({code: 'EACCES', syscall: 'listen', address: '/x/lock.sock'}),
		}),
		/^the data directory \/x cannot be locked: the system said no; choose another data directory with --data/,
	],
	'a full disk': [
		systemError({code: 'ENOSPC', syscall: 'write'}),
		/^the system said no; choose another data directory/,
	],
	'a directory in the place of a file': [
		new MirrorError('/x/holds.json cannot be read', {cause: systemError({code: 'EISDIR', syscall: 'read'})}),
		/^\/x\/holds\.json cannot be read: the system said no$/,
	],
	'too many open files': [systemError({code: 'EMFILE', syscall: 'open'}), /^the system said no; allow more open files/],
	'another system error': [systemError({code: 'EFAULT', syscall: 'open'}), /^the system said no$/],
	'a lock': [
		new UsageError('the data directory /x is in use by process 7'),
		/^the data directory \/x is in use by process 7$/,
	],
	'a mistake of ours': [new TypeError('x is not a function'), /^TypeError: x is not a function\n {4}at /],
	'an error without a stack': [Object.assign(new Error('bare'), {stack: undefined}), /^bare$/],
	'no error at all': ['a string', /^"a string"$/],
};
for (const [what, [error, line]] of Object.entries(cases)) {
	test(`explained: ${what}`, t => {
		t.regex(explainStartupFailure(error), line);
	});
}

test('a data directory below a file', async t => {
	const directory = await tempDir(t);
	writeFileSync(join(directory, 'file'), '');
	const error: unknown = t.throws(() => mkdirSync(join(directory, 'file', 'data'), {recursive: true}));
	t.regex(explainStartupFailure(error), /^ENOTDIR.*; choose another data directory with --data/);
});
