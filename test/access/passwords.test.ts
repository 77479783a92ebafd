import bcrypt from 'bcryptjs';
import test from 'ava';
import fc from 'fast-check';
import {PasswordChecks} from '../../src/access/password-checks.js';
import {checkPassword, hashKind, hashPassword, nobodysHash, passwordFits} from '../../src/access/passwords.js';
import {SlowDown} from '../../src/access/slow-down.js';
import {UnauthorizedError, UsageError} from '../../src/errors.js';
import {ManualClock, settle} from '../helpers/manual-clock.js';

/** Moves the clock on until that is done; the checks themselves take real time. */
async function passing<T>(clock: ManualClock, result: Promise<T>): Promise<T> {
	const state = {isDone: false};
	const done = result.finally(() => {
		state.isDone = true;
	});
	while (!state.isDone) {
		await clock.advance(2000);
		await new Promise(resolve => setTimeout(resolve, 5));
	}
	return done;
}

test('a password fits its own hash and no other', async t => {
	const [hash, again] = await Promise.all([hashPassword('süß:1'), hashPassword('süß:1')]);
	t.regex(hash, /^\$scrypt\$ln=15,r=8,p=1\$[A-Za-z\d+/]{22}\$[A-Za-z\d+/]{43}$/);
	t.not(hash, again, 'each has a salt of its own');
	t.is(hashKind(hash), 'scrypt');
	t.true(await passwordFits('süß:1', hash));
	t.false(await passwordFits('süß:2', hash));
	t.false(await passwordFits('', hash));
	t.false(await passwordFits('x'.repeat(2000), hash));
	t.false(await passwordFits('x', nobodysHash()));
});

for (const variant of ['2a', '2b', '2y']) {
	test(`bcrypt of older servers is taken: ${variant}`, async t => {
		const hash = bcrypt.hashSync('geheim', 4).replace(/^\$2\w/, `$${variant}`);
		t.is(hashKind(hash), 'bcrypt');
		t.true(await passwordFits('geheim', hash));
		t.false(await passwordFits('Geheim', hash));
	});
}

test('what is no hash fits nothing', async t => {
	for (const hash of [
		'',
		'geheim',
		'$2a$10$short',
		'$2x$10$abcdefghijklmnopqrstuuOKVJW4TGbVXVo9dbnfDbXqXqXqXqXqX',
		'$2b$31$abcdefghijklmnopqrstuuOKVJW4TGbVXVo9dbnfDbXqXqXqXqXqX',
		'$1$salt$hash',
		nobodysHash().replace('ln=15', 'ln=30'),
		nobodysHash().replace('ln=15', 'ln=1'),
		nobodysHash().replace('r=8', 'r=99'),
		nobodysHash().replace('p=1', 'p=0'),
		`${nobodysHash()}$`,
	]) {
		t.is(hashKind(hash), undefined, hash);
		t.false(await passwordFits('geheim', hash), hash);
	}
	fc.assert(fc.property(fc.string(), text => t.is(hashKind(text), undefined)));
});

test('passwords that no login can have are refused', t => {
	for (const password of ['', 'two\nlines', '\0', 'x'.repeat(1025), 'ü'.repeat(600)]) {
		t.throws(() => checkPassword(password), {instanceOf: UsageError});
	}
	t.notThrows(() => checkPassword(': blanks and ünïcode 🔑'));
});

test('the first failures cost nothing, later ones a pause that grows to two seconds', async t => {
	const clock = new ManualClock();
	const slowDown = new SlowDown({clock});
	const fail = (): Promise<boolean> => slowDown.attempt('10.0.0.1', async () => false);
	for (let count = 0; count < 5; count++) {
		t.false(await fail());
	}
	t.is(clock.pending, 0);
	for (const pauseMs of [125, 250, 500, 1000, 2000, 2000, 2000]) {
		const failing = fail();
		await clock.timers();
		t.is(clock.nextInMs, pauseMs);
		await clock.advance(pauseMs);
		t.false(await failing);
	}
	t.true(await slowDown.attempt('10.0.0.2', async () => true), 'nobody else waits');
	await clock.advance(15 * 60_000 + 1);
	t.false(await fail());
	t.is(clock.pending, 0, 'after a quarter of an hour it is forgotten');
});

test('attempts at once from one address are checked one after another', async t => {
	const clock = new ManualClock();
	const slowDown = new SlowDown({clock});
	let running = 0;
	let most = 0;
	const check = async (): Promise<boolean> => {
		most = Math.max(most, ++running);
		await settle();
		running--;
		return false;
	};
	const all = Array.from({length: 12}, () => slowDown.attempt('2001:db8::1', check));
	all.push(slowDown.attempt('2001:db8::2', check));
	t.deepEqual(
		await passing(clock, Promise.all(all)),
		all.map(() => false),
	);
	t.is(most, 6, 'five at once, and one of those in turn');
});

test('who waits behind too many failures is sent away', async t => {
	const clock = new ManualClock();
	const slowDown = new SlowDown({clock});
	for (let count = 0; count < 5; count++) {
		await slowDown.attempt('a', async () => false);
	}
	const waiting = Array.from({length: 30}, () => slowDown.attempt('a', async () => true));
	await t.throwsAsync(
		slowDown.attempt('a', async () => true),
		{instanceOf: UnauthorizedError, message: /try again/},
	);
	await clock.advance(60_000);
	t.true((await Promise.all(waiting)).every(fits => fits));
});

test('many first logins at once are served, with no failure among them', async t => {
	const slowDown = new SlowDown({clock: new ManualClock()});
	const all = Array.from({length: 200}, () => slowDown.attempt('a', async () => true));
	t.true((await Promise.all(all)).every(fits => fits));
	t.is(slowDown.size, 0);
});

test('a check that breaks is no failure, and holds nobody up', async t => {
	const clock = new ManualClock();
	const slowDown = new SlowDown({clock});
	for (let count = 0; count < 20; count++) {
		await t.throwsAsync(
			slowDown.attempt('a', () => Promise.reject(new Error('broken'))),
			{message: 'broken'},
		);
	}
	const [, fits] = await Promise.allSettled([
		slowDown.attempt('a', () => Promise.reject(new Error('broken'))),
		slowDown.attempt('a', async () => true),
	]);
	t.deepEqual(fits, {status: 'fulfilled', value: true});
	t.is(clock.pending, 0);
});

test('addresses are remembered up to a bound, by networks of IPv6', async t => {
	const slowDown = new SlowDown({clock: new ManualClock(), mostAddresses: 50});
	for (let number = 0; number < 500; number++) {
		await slowDown.attempt(`10.0.${number >> 8}.${number & 255}`, async () => false);
		await slowDown.attempt(`2001:db8::${number.toString(16)}`, async () => false).catch(() => undefined);
		if (number === 3) {
			break;
		}
	}
	t.is(slowDown.size, 5);
	for (let number = 0; number < 500; number++) {
		await slowDown.attempt(`10.1.${number >> 8}.${number & 255}`, async () => false);
	}
	t.is(slowDown.size, 50);
});

test('a password is checked once, however often and from wherever it comes', async t => {
	const checks = new PasswordChecks({clock: new ManualClock()});
	const hash = await hashPassword('right');
	const login = {user: 'fleet', password: 'right', hash};
	const startedAt = process.hrtime.bigint();
	const all = Array.from({length: 2000}, (_, node) =>
		checks.fits({...login, address: `10.0.${node >> 8}.${node & 255}`}),
	);
	t.true((await Promise.all(all)).every(fits => fits));
	// One check is 50 to 500 ms, two thousand would be minutes.
	t.true(process.hrtime.bigint() - startedAt < 10_000_000_000n);
});

test('what was found out holds for that hash only', async t => {
	const checks = new PasswordChecks({clock: new ManualClock()});
	const [hash, other] = await Promise.all([hashPassword('one'), hashPassword('two')]);
	const login = {user: 'a', address: '10.0.0.1'};
	t.true(await checks.fits({...login, password: 'one', hash}));
	t.true(await checks.fits({...login, password: 'one', hash}));
	t.false(await checks.fits({...login, password: 'one', hash: other}), 'the password was changed');
	t.false(await checks.fits({...login, password: 'one', hash: undefined}), 'the user was removed');
	t.true(await checks.fits({...login, password: 'one', hash}));
	t.false(await checks.fits({...login, user: 'b', password: 'one', hash: other}));
});

test('who is known is served at once while somebody behind the same NAT guesses', async t => {
	const clock = new ManualClock();
	const checks = new PasswordChecks({clock});
	const hash = await hashPassword('right');
	const login = {user: 'alice', hash, address: '10.0.0.1'};
	t.true(await checks.fits({...login, password: 'right'}));
	for (let guess = 0; guess < 5; guess++) {
		t.false(await checks.fits({...login, password: `wrong ${guess}`}));
	}
	const guesses = Promise.all([5, 6, 7].map(guess => checks.fits({...login, password: `wrong ${guess}`})));
	await clock.timers();
	t.true(await checks.fits({...login, password: 'right'}));
	t.is(clock.pending, 1);
	const newcomer = checks.fits({...login, user: 'bob', password: 'right'});
	t.true(await passing(clock, newcomer), 'and a newcomer there, after a while');
	t.deepEqual(await guesses, [false, false, false]);
});

test('guessing the same wrong password again costs no second check', async t => {
	const clock = new ManualClock();
	const checks = new PasswordChecks({clock});
	const hash = await hashPassword('right');
	const wrong = {user: 'a', password: 'wrong', hash, address: '10.0.0.1'};
	t.false(await checks.fits(wrong));
	const startedAt = process.hrtime.bigint();
	for (let count = 0; count < 4; count++) {
		t.false(await checks.fits(wrong));
	}
	t.true(process.hrtime.bigint() - startedAt < 40_000_000n);
	t.is(clock.pending, 0);
});
