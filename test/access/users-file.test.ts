import {execFileSync} from 'node:child_process';
import {
	chmodSync,
	existsSync,
	mkdirSync,
	readFileSync,
	readdirSync,
	rmSync,
	statSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import {hostname} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {Layout} from '../../src/blobs/layout.js';
import {withLock} from '../../src/access/file-lock.js';
import {nobodysHash} from '../../src/access/passwords.js';
import {
	accessPaths,
	editUsersFile,
	readUsersFile,
	type StoredUser,
	type StoredUsers,
} from '../../src/access/users-file.js';
import {UsageError} from '../../src/errors.js';
import type {Clock} from '../../src/host.js';
import {smallDisk} from '../helpers/small-disk.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';

const nobody: StoredUser = {may: [], keys: [], tokens: []};
/** Unlike the machine's, its timers keep the process alive. */
const clock: Clock = {
	now: () => Date.now(),
	after(delayMs, run) {
		const timer = setTimeout(run, delayMs);
		return {
			cancel() {
				clearTimeout(timer);
			},
		};
	},
};

async function usersFile(t: Scope): Promise<string> {
	return join(await tempDir(t), 'users.json');
}

function with_(users: StoredUsers, name: string, user: StoredUser = nobody): StoredUsers {
	return new Map([...users, [name, user]]);
}

/** Every wait is over at once, and has taken its time all the same. */
function leapingClock(): Clock {
	let aheadMs = 0;
	return {
		now: () => Date.now() + aheadMs,
		after(delayMs, run) {
			aheadMs += delayMs;
			return clock.after(0, run);
		},
	};
}

test('it is where the layout of the data directory has it', t => {
	const layout = new Layout('/data');
	t.deepEqual(accessPaths('/data'), {users: layout.users, keys: layout.keys});
});

test('users are read as they were written, for nobody but the owner', async t => {
	const file = await usersFile(t);
	t.is((await readUsersFile(file)).size, 0);
	const users = new Map<string, StoredUser>([
		['zoe', {...nobody, may: ['operate']}],
		['__proto__', {...nobody, password: nobodysHash()}],
		['constructor', {...nobody, tokens: [{label: 'ü', sha256: 'a'.repeat(64), created: '2026-01-01T00:00:00.000Z'}]}],
	]);
	await editUsersFile({file, clock}, async () => users);
	t.deepEqual(new Map([...(await readUsersFile(file))].sort()), new Map([...users].sort()));
	t.is(statSync(file).mode & 0o777, 0o600);
	t.deepEqual(readdirSync(join(file, '..')), ['users.json']);
	t.regex(readFileSync(file, 'utf8'), /\n$/);
});

test('many changes at once are all there in the end', async t => {
	const file = await usersFile(t);
	const names = Array.from({length: 25}, (_, number) => `user-${number}`);
	await Promise.all(names.map(name => editUsersFile({file, clock}, async users => with_(users, name))));
	t.deepEqual([...(await readUsersFile(file)).keys()].sort(), names.sort());
	t.deepEqual(readdirSync(join(file, '..')), ['users.json']);
});

test('a change that throws changes nothing', async t => {
	const file = await usersFile(t);
	await editUsersFile({file, clock}, async users => with_(users, 'alice'));
	const before = readFileSync(file, 'utf8');
	await t.throwsAsync(
		editUsersFile({file, clock}, () => Promise.reject(new Error('no'))),
		{message: 'no'},
	);
	t.is(readFileSync(file, 'utf8'), before);
	t.deepEqual(readdirSync(join(file, '..')), ['users.json']);
});

test('the data directory is made, but not what should be above it', async t => {
	const directory = await tempDir(t);
	await editUsersFile({file: join(directory, 'data', 'users.json'), clock}, async users => users);
	t.true(existsSync(join(directory, 'data', 'users.json')));
	await t.throwsAsync(
		editUsersFile({file: join(directory, 'x', 'y', 'users.json'), clock}, async users => users),
		{
			instanceOf: UsageError,
			message: /cannot be made/,
		},
	);
});

for (const [what, text, said] of [
	['no JSON', '{"version": 1,', /is not JSON/],
	['another thing', '[]', /is no file of users/],
	['no users', '{"version": 1}', /is no file of users/],
	['a newer version', '{"version": 2, "users": {}}', /has version 2, this imgmirror knows 1/],
	[
		'wrong users',
		JSON.stringify({
			version: 1,
			users: {
				'a:b': {may: []},
				carl: 5,
				dora: {may: ['everything']},
				emil: {may: [], password: 'clear'},
				fritz: {may: [], keys: 'x', tokens: [{label: 'a', sha256: 'x'}]},
			},
		}),
		/"a:b" is no user name; carl: expected an object; carl: "may" must be .*; dora: "may" .*; emil: "password" is no hash that we can check; fritz: "keys" must.*; fritz: "tokens" must/,
	],
] as const) {
	test(`a file that is wrong is refused with all that is wrong: ${what}`, async t => {
		const file = await usersFile(t);
		writeFileSync(file, text);
		await t.throwsAsync(readUsersFile(file), {instanceOf: UsageError, message: said});
		await t.throwsAsync(
			editUsersFile({file, clock}, async users => users),
			{instanceOf: UsageError, message: said},
		);
		t.is(readFileSync(file, 'utf8'), text, 'and never written over');
	});
}

function deadPid(): number {
	return Number(execFileSync(process.execPath, ['-p', 'process.pid'], {encoding: 'utf8'}));
}

test('the lock of a process that died is taken over', async t => {
	const file = await usersFile(t);
	writeFileSync(`${file}.lock`, JSON.stringify({pid: deadPid(), host: hostname(), nonce: 'x'}));
	await editUsersFile({file, clock}, async users => with_(users, 'alice'));
	t.deepEqual(readdirSync(join(file, '..')), ['users.json']);
});

test('a lock that was never written whole is taken over once it is old, as is one from elsewhere', async t => {
	for (const text of [
		'',
		'{"pid"',
		JSON.stringify({pid: 1, host: 'elsewhere'}),
		JSON.stringify({pid: process.pid, host: hostname()}),
	]) {
		const file = await usersFile(t);
		writeFileSync(`${file}.lock`, text);
		utimesSync(`${file}.lock`, new Date(Date.now() - 90_000), new Date(Date.now() - 90_000));
		await editUsersFile({file, clock}, async users => with_(users, 'alice'));
		t.true((await readUsersFile(file)).has('alice'));
	}
});

test('the lock of a process that lives is waited for, and then respected', async t => {
	const file = await usersFile(t);
	const lock = `${file}.lock`;
	const held = JSON.stringify({pid: process.pid, host: hostname(), nonce: 'x'});
	writeFileSync(lock, held);
	await t.throwsAsync(
		editUsersFile({file, clock: leapingClock()}, async users => users),
		{instanceOf: UsageError, message: new RegExp(`held by another process \\(${process.pid} on `)},
	);
	t.is(readFileSync(lock, 'utf8'), held);
	t.false(existsSync(file));
});

test('who loses the lock writes nothing and begins anew', async t => {
	const file = await usersFile(t);
	let tries = 0;
	await editUsersFile({file, clock}, async users => {
		if (++tries === 1) {
			// Somebody took us for dead, made a change, and is done.
			writeFileSync(`${file}.lock`, 'theirs');
			writeFileSync(file, JSON.stringify({version: 1, users: {bob: {may: []}}}));
			utimesSync(`${file}.lock`, new Date(0), new Date(0));
		}
		return with_(users, 'alice');
	});
	t.is(tries, 2);
	t.deepEqual([...(await readUsersFile(file)).keys()].sort(), ['alice', 'bob']);
});

test('only one at a time holds the lock', async t => {
	const file = join(await tempDir(t), 'lock');
	let inside = 0;
	let most = 0;
	await Promise.all(
		Array.from({length: 8}, () =>
			withLock({file, clock}, async isOurs => {
				most = Math.max(most, ++inside);
				t.true(await isOurs());
				inside--;
			}),
		),
	);
	t.is(most, 1);
	t.false(existsSync(file));
});

test('a full disk changes nothing, and keeps nobody out afterwards', async t => {
	const disk = await smallDisk(t, 1);
	if (disk === undefined) {
		t.pass();
		return;
	}
	const file = join(disk, 'users.json');
	await editUsersFile({file, clock}, async users => with_(users, 'ann'));
	t.throws(() => writeFileSync(join(disk, 'ballast'), Buffer.alloc(2_000_000)), {code: 'ENOSPC'});
	await t.throwsAsync(
		editUsersFile({file, clock}, async users => with_(users, 'bob')),
		{instanceOf: UsageError, message: /ENOSPC/},
	);
	t.deepEqual(readdirSync(disk).sort(), ['ballast', 'users.json']);
	rmSync(join(disk, 'ballast'));
	await editUsersFile({file, clock}, async users => with_(users, 'bob'));
	t.deepEqual([...(await readUsersFile(file)).keys()], ['ann', 'bob']);
});

test('a folder that cannot be written to is said, in words', async t => {
	if (process.getuid?.() === 0) {
		t.pass('root may write anywhere');
		return;
	}
	const directory = join(await tempDir(t), 'd');
	mkdirSync(directory);
	chmodSync(directory, 0o500);
	await t.throwsAsync(
		editUsersFile({file: join(directory, 'users.json'), clock}, async users => users),
		{
			instanceOf: UsageError,
			message: /cannot be made: EACCES/,
		},
	);
	chmodSync(directory, 0o700);
});
