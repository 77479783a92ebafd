import {rmSync} from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import type {Asked} from '../../src/access/access.js';
import {hashPassword} from '../../src/access/passwords.js';
import {Sessions, sessionWords} from '../../src/access/sessions.js';
import {hashToken, makeToken} from '../../src/access/tokens.js';
import {UnauthorizedError} from '../../src/errors.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {basic, implied, request, sorted, startAccess, type StartedAccess} from './start-access.js';

const hourMs = 3_600_000;

async function logIn({access}: StartedAccess, user: string, password: string): Promise<{cookie: string}> {
	const {word} = await access.logIn(request(), {user, password});
	return {cookie: `theme=dark; imgmirror=${word}`};
}

test('a session stands for its user, with the rights of the network it is used from', async t => {
	const started = await startAccess(t);
	await started.setUsers({alice: {may: ['publish'], password: await hashPassword('a')}});
	const {caller, word} = await started.access.logIn(request(), {user: 'alice', password: 'a'});
	t.like(caller, {user: 'alice', credential: 'session', address: '203.0.113.5'});
	t.regex(word, /^[\w-]{43}$/);
	const found = await started.identify({cookie: `imgmirror=${word}`});
	t.like(found, {user: 'alice', credential: 'session'});
	t.deepEqual(sorted(found.rights), implied('publish'));
	const another = await started.access.logIn(request(), {user: 'alice', password: 'a'});
	t.not(another.word, word);
});

test('a wrong login begins nothing', async t => {
	const started = await startAccess(t);
	await started.setUsers({alice: {password: await hashPassword('a')}});
	for (const [user, password] of [
		['alice', 'wrong'],
		['alice', ''],
		['bob', 'a'],
		['', ''],
	] as const) {
		await t.throwsAsync(started.access.logIn(request(), {user, password}), {instanceOf: UnauthorizedError});
	}
	t.true(started.host.linesLike({msg: 'login refused', user: 'alice'}).length > 0);
});

test('what was wrong too often has to wait here as well', async t => {
	const started = await startAccess(t);
	await started.setUsers({alice: {password: await hashPassword('a')}});
	for (let time = 0; time < 5; time++) {
		await t.throwsAsync(started.access.logIn(request(), {user: 'alice', password: `x${time}`}));
	}
	const right = started.access.logIn(request(), {user: 'alice', password: 'a'});
	await started.clock.timers();
	t.is(started.clock.nextInMs, 125);
	await started.clock.advance(125);
	t.like((await right).caller, {user: 'alice'});
});

test('a token logs in as well, until it is taken away', async t => {
	const started = await startAccess(t);
	const token = makeToken();
	const stored = {label: 't', sha256: hashToken(token), created: '2026-01-01T00:00:00.000Z'};
	await started.setUsers({alice: {may: ['operate'], tokens: [stored]}});
	const headers = await logIn(started, token, '');
	t.like(await started.identify(headers), {user: 'alice', credential: 'session'});
	await started.setUsers({alice: {may: ['operate']}});
	await started.clock.advance(1000);
	t.like(await started.identify(headers), {user: undefined, credential: 'none'});
});

test('what becomes of a user becomes of their sessions', async t => {
	const started = await startAccess(t);
	const password = await hashPassword('a');
	await started.setUsers({alice: {may: ['operate'], password}, bob: {password}});
	const alice = await logIn(started, 'alice', 'a');
	const bob = await logIn(started, 'bob', 'a');
	await started.setUsers({alice: {may: ['publish'], password}, bob: {password: await hashPassword('a')}});
	await started.clock.advance(1000);
	t.deepEqual(sorted((await started.identify(alice)).rights), implied('publish'));
	t.like(await started.identify(bob), {credential: 'none'}, 'the same password, set anew, is another one');
	rmSync(started.usersFile);
	await started.clock.advance(1000);
	t.like(await started.identify(alice), {credential: 'none'});
	// It is not there again with the user.
	await started.setUsers({alice: {may: ['publish'], password}});
	await started.clock.advance(1000);
	t.like(await started.identify(alice), {credential: 'none'});
});

test('of those who ask at once, nobody is judged by what was so before', async t => {
	const started = await startAccess(t);
	const password = await hashPassword('a');
	await started.setUsers({alice: {may: ['operate'], password}});
	const alice = await logIn(started, 'alice', 'a');
	await started.setUsers({});
	await started.clock.advance(1000);
	const asking = await Promise.all(Array.from({length: 5}, () => started.identify(alice)));
	t.deepEqual(
		asking.map(({user}) => user),
		Array.from({length: 5}, () => undefined),
	);
});

test('a session lasts as long as it is used', async t => {
	const started = await startAccess(t, {sessionMs: hourMs});
	await started.setUsers({alice: {password: await hashPassword('a')}});
	const headers = await logIn(started, 'alice', 'a');
	for (let use = 0; use < 5; use++) {
		await started.clock.advance(hourMs);
		t.like(await started.identify(headers), {credential: 'session'});
	}
	await started.clock.advance(hourMs + 1);
	t.like(await started.identify(headers), {credential: 'none'});
});

test('it ends when it is ended, and counts for nobody else', async t => {
	const started = await startAccess(t);
	await started.setUsers({alice: {password: await hashPassword('a')}});
	const first = await logIn(started, 'alice', 'a');
	const second = await logIn(started, 'alice', 'a');
	started.access.logOut({...request(), headers: first});
	t.like(await started.identify(first), {credential: 'none'});
	t.like(await started.identify(second), {credential: 'session'});
	const asked: Asked = {...request(), headers: second};
	t.like(await started.access.identify(asked, {asStranger: true}), {credential: 'none'});
	t.like(await started.access.identify(asked, {ignoreCredentials: true}), {credential: 'none'});
	t.like(await started.identify({...second, ...basic('alice', 'a')}), {credential: 'password'});
	t.is(await started.refusal({...second, ...basic('alice', 'b')}), 'the user or the password is wrong');
});

test('who could log in on the page is known', async t => {
	const started = await startAccess(t);
	t.false(await started.access.hasUsers());
	started.setKeys('carl', 'ssh-ed25519 AAAA');
	await started.clock.advance(1000);
	t.false(await started.access.hasUsers());
	await started.setUsers({alice: {password: await hashPassword('a')}});
	await started.clock.advance(1000);
	t.true(await started.access.hasUsers());
});

test('of too many sessions, the one unused for longest ends', t => {
	const clock = new ManualClock();
	const sessions = new Sessions({clock, idleMs: hourMs, most: 3});
	const begin = (user: string): string => sessions.begin({user, proof: {kind: 'password', hash: 'h'}});
	const [a = '', b = '', c = ''] = ['a', 'b', 'c'].map(begin);
	t.is(sessions.find(a)?.user, 'a');
	const d = begin('d');
	t.is(sessions.size, 3);
	t.is(sessions.find(b), undefined);
	t.deepEqual(
		[a, c, d].map(word => sessions.find(word)?.user),
		['a', 'c', 'd'],
	);
	t.is(sessions.find('x'), undefined);
});

test('sessions that are over make room first', async t => {
	const clock = new ManualClock();
	const sessions = new Sessions({clock, idleMs: hourMs, most: 100});
	for (let number = 0; number < 50; number++) {
		sessions.begin({user: 'a', proof: {kind: 'token', hash: 'h'}});
	}
	await clock.advance(hourMs + 1);
	sessions.begin({user: 'b', proof: {kind: 'token', hash: 'h'}});
	t.is(sessions.size, 1);
});

test('only what could be a word of ours is looked up', t => {
	const word = 'a'.repeat(43);
	t.deepEqual(sessionWords(undefined), []);
	t.deepEqual(sessionWords('other=1'), []);
	t.deepEqual(sessionWords(`x=1;imgmirror=${word};  imgmirror=${word}b; notimgmirror=${word}`), [word]);
	t.deepEqual(sessionWords(`imgmirror="${word}"`), []);
	t.is(sessionWords(Array.from({length: 100}, () => `imgmirror=${word}`).join('; ')).length, 4);
});

test('whatever a Cookie header says, only what has our name and form comes out of it', t => {
	const word = fc.stringMatching(/^[A-Za-z0-9_-]{43}$/);
	fc.assert(
		fc.property(fc.string(), word, (junk, ours) => {
			const clean = junk.replaceAll('imgmirror', '');
			const words = sessionWords(`${clean};imgmirror=${ours};${clean}`);
			return words.length === 1 && words[0] === ours && sessionWords(clean).length === 0;
		}),
	);
	t.pass();
});
