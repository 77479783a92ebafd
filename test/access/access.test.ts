import {chmodSync, rmSync, utimesSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import bcrypt from 'bcryptjs';
import test from 'ava';
import {Access} from '../../src/access/access.js';
import {describeCaller, isAuthenticated, requireRight, withImplied} from '../../src/access/caller.js';
import {hashPassword} from '../../src/access/passwords.js';
import {hashToken, makeToken} from '../../src/access/tokens.js';
import {ForbiddenError, UnauthorizedError} from '../../src/errors.js';
import {basic, implied, noSettings, request, sorted, startAccess} from './start-access.js';
import {makeKey, signedHeaders} from './signing.js';

const lan = {peer: {kind: 'tcp', address: '10.0.0.7'}} as const;

test('without a login, the network decides', async t => {
	const {identify} = await startAccess(t);
	const outside = await identify();
	t.like(outside, {user: undefined, credential: 'none', address: '203.0.113.5'});
	t.deepEqual(sorted(outside.rights), implied('read'));
	t.deepEqual(sorted((await identify({}, lan)).rights), implied('private'));
	t.false(isAuthenticated(outside));
	t.throws(() => requireRight(outside, 'publish'), {instanceOf: UnauthorizedError});
});

test('reading can be taken away', async t => {
	const {identify} = await startAccess(t, {anonymous: [], networks: []});
	t.deepEqual(sorted((await identify({}, lan)).rights), []);
});

test('a network may be allowed to publish', async t => {
	const {identify} = await startAccess(t, {networks: [{cidrs: ['10.0.0.0/8'], may: ['publish']}]});
	const caller = await identify({}, lan);
	t.deepEqual(sorted(caller.rights), implied('publish'));
	t.true(isAuthenticated(caller));
	t.notThrows(() => requireRight(caller, 'publish'));
	t.deepEqual(sorted((await identify({'x-forwarded-for': '10.0.0.7'}, lan)).rights), implied('read'));
});

test('whoever comes through the control socket may do everything', async t => {
	const {identify} = await startAccess(t, {anonymous: []});
	const caller = await identify(basic('x', 'y'), {peer: {kind: 'control', address: undefined}});
	t.like(caller, {user: undefined, credential: 'control', address: 'control'});
	t.deepEqual(sorted(caller.rights), implied('operate'));
});

test('a password logs in with the rights of its user, and those of the network', async t => {
	const {identify, setUsers} = await startAccess(t);
	await setUsers({
		alice: {may: ['publish'], password: await hashPassword('a:b')},
		bob: {may: [], password: await hashPassword('x')},
	});
	const caller = await identify(basic('alice', 'a:b'));
	t.deepEqual(describeCaller(caller), {user: 'alice', credential: 'password', address: '203.0.113.5'});
	t.deepEqual(sorted(caller.rights), implied('publish'));
	t.notThrows(() => requireRight(caller, 'publish'));
	t.throws(() => requireRight(caller, 'operate'), {instanceOf: ForbiddenError});
	const bob = await identify(basic('bob', 'x'), lan);
	t.deepEqual(sorted(bob.rights), implied('private'));
	t.throws(() => requireRight(bob, 'publish'), {instanceOf: ForbiddenError});
});

test('a login that is not right is refused, and says nothing of who there is', async t => {
	const {refusal, setUsers, host, setKeys} = await startAccess(t);
	await setUsers({alice: {password: await hashPassword('a')}, carl: {}});
	setKeys('dora', makeKey('ed25519').line);
	for (const user of ['alice', 'bob', 'carl', 'dora', '']) {
		t.is(await refusal(basic(user, 'wrong'), lan), 'the user or the password is wrong', user);
		t.is(await refusal(basic(user, ''), lan), 'the user or the password is wrong', user);
		await host.clock.advance(1_000_000);
	}
	t.true(host.linesLike({msg: 'login refused', user: 'alice', address: '10.0.0.7'}).length > 0);
	t.false(JSON.stringify(host.lines).includes('"wrong"'));
});

test('an Authorization header that nobody understands is refused, also where reading is open', async t => {
	const {refusal} = await startAccess(t);
	for (const authorization of ['', 'Negotiate x', 'Basic %%%', 'Signature keyId="x"']) {
		t.is(await refusal({authorization}), 'the Authorization header cannot be understood');
	}
});

test('credentials can be passed over', async t => {
	const {access, host} = await startAccess(t);
	const caller = await access.identify({...request(basic('nobody', 'x')), ...lan}, {ignoreCredentials: true});
	t.like(caller, {user: undefined, credential: 'none'});
	t.deepEqual(sorted(caller.rights), implied('private'));
	t.is(host.lines.length, 0);
});

test('a token logs in as Bearer, as the user and as the password', async t => {
	const {identify, refusal, setUsers, host} = await startAccess(t);
	const token = makeToken();
	await setUsers({
		ci: {may: ['publish'], tokens: [{label: 'x', sha256: hashToken(token), created: ''}]},
		eve: {may: ['operate'], password: await hashPassword('e')},
	});
	for (const headers of [
		{authorization: `Bearer ${token}`},
		{authorization: `bearer ${token}`},
		basic(token, ''),
		{authorization: `Basic ${Buffer.from(token).toString('base64')}`},
		basic('ci', token),
	]) {
		t.like(await identify(headers), {user: 'ci', credential: 'token'});
	}
	t.is(await refusal({authorization: `Bearer ${makeToken()}`}), 'the token is unknown');
	t.is(await refusal({authorization: `Bearer ${hashToken(token)}`}), 'the token is unknown');
	t.is(await refusal(basic('eve', token)), 'the user or the password is wrong');
	t.is(await refusal(basic(makeToken(), '')), 'the user or the password is wrong');
	t.is(await refusal(basic(token, 'x-oauth-basic')), 'the user or the password is wrong');
	t.deepEqual(
		host.linesLike({msg: 'login refused'}).filter(line => JSON.stringify(line).includes(token)),
		[],
	);
	await setUsers({ci: {may: ['publish']}});
});

test('hashes of older servers in the configuration are good, until users.json knows the user', async t => {
	const hash = bcrypt.hashSync('old', 4).replace('$2b$', '$2y$');
	const {identify, refusal, setUsers, clock} = await startAccess(t, {
		users: {anna: {password: hash, may: ['operate']}},
	});
	t.deepEqual(sorted((await identify(basic('anna', 'old'))).rights), implied('operate'));
	await setUsers({anna: {may: ['publish'], password: await hashPassword('new')}});
	await clock.advance(1000);
	t.is(await refusal(basic('anna', 'old')), 'the user or the password is wrong');
	t.deepEqual(sorted((await identify(basic('anna', 'new'))).rights), implied('publish'));
});

test('a server that runs takes over what changes in the files, within a second', async t => {
	const {identify, refusal, setUsers, setKeys, clock, date} = await startAccess(t);
	const hash = await hashPassword('a');
	t.is(await refusal(basic('alice', 'a')), 'the user or the password is wrong');
	await setUsers({alice: {may: ['publish'], password: hash}});
	t.is((await identify(basic('alice', 'a'))).user, 'alice', 'who is new need not wait');

	await setUsers({alice: {may: ['operate'], password: await hashPassword('b')}});
	await clock.advance(999);
	t.is((await identify(basic('alice', 'a'))).user, 'alice');
	await clock.advance(1);
	t.not(await refusal(basic('alice', 'a')), undefined, 'what was remembered is forgotten');
	t.deepEqual(sorted((await identify(basic('alice', 'b'))).rights), implied('operate'));

	await setUsers({});
	await clock.advance(1000);
	t.not(await refusal(basic('alice', 'b')), undefined);

	const [first, second] = [makeKey('ed25519'), makeKey('ed25519')];
	setKeys('bob', first.line);
	await clock.advance(1000);
	const signed = (key: typeof first): {date: string; authorization: string} =>
		signedHeaders({user: 'bob', key, date: date(), algorithm: 'ed25519'});
	t.is((await identify(signed(first))).user, 'bob');
	// Written to in place, not renamed.
	setKeys('bob', second.line);
	await clock.advance(1000);
	t.not(await refusal(signed(first)), undefined);
	t.is((await identify(signed(second))).user, 'bob');
});

test('reload takes over at once', async t => {
	const {access, identify, refusal, setUsers, setKeys} = await startAccess(t);
	await access.reload();
	await setUsers({alice: {password: await hashPassword('a')}});
	t.is((await identify(basic('alice', 'a'))).user, 'alice');
	await setUsers({alice: {password: await hashPassword('b')}});
	t.not(await refusal(basic('alice', 'b')), undefined);
	await access.reload();
	t.is((await identify(basic('alice', 'b'))).user, 'alice');
	setKeys('alice', 'nonsense');
	await Promise.all([access.reload(), access.reload()]);
	t.is((await identify(basic('alice', 'b'))).user, 'alice');
});

test('a broken file of users changes nothing but the log', async t => {
	const {identify, setUsers, usersFile, clock, host, refusal} = await startAccess(t);
	await setUsers({alice: {may: ['publish'], password: await hashPassword('a')}});
	t.is((await identify(basic('alice', 'a'))).user, 'alice');
	writeFileSync(usersFile, '{"version": 1, "users": {"alice"');
	for (let count = 0; count < 3; count++) {
		await clock.advance(1000);
		t.is((await identify(basic('alice', 'a'))).user, 'alice');
	}
	t.is(host.linesLike({msg: 'the file of users cannot be used: users stay as they were'}).length, 1, 'said once');
	t.regex(host.troubles.list().join(), /^the file of users cannot be used: /);
	await setUsersAfterRemoving();
	await clock.advance(1000);
	t.is((await identify(basic('bob', 'b'))).user, 'bob');
	t.deepEqual(host.troubles.list(), []);
	t.not(await refusal(basic('alice', 'a')), undefined);

	// Nothing is written over a file that is broken.
	async function setUsersAfterRemoving(): Promise<void> {
		rmSync(usersFile);
		await setUsers({bob: {password: await hashPassword('b')}});
	}
});

test('keys that cannot be used are logged, with their file and line', async t => {
	const {access, host, setKeys, keysFolder} = await startAccess(t, {authKeys: {carl: ['nonsense']}});
	setKeys('alice', `${makeKey('ed25519').line}\nnonsense\n`);
	setKeys('not a user', makeKey('ed25519').line);
	await access.reload();
	const problems = host.linesLike({msg: 'a key cannot be used'}).map(({problem}) => problem);
	t.deepEqual(problems, [
		`${join(keysFolder, 'alice.keys')}, line 2: that is no SSH public key`,
		`${join(keysFolder, 'not a user.keys')}: "not a user" is no user name`,
		'access.authKeys, carl, line 1: that is no SSH public key',
	]);
});

test('files that are not there are no fault', async t => {
	const {host} = await startAccess(t);
	const access = new Access({
		host,
		usersFile: '/nonexistent/users.json',
		keysFolder: '/nonexistent/keys',
		settings: noSettings,
	});
	await access.reload();
	t.is(host.lines.length, 0);
	await t.throwsAsync(access.identify(request(basic('a', 'b'))), {instanceOf: UnauthorizedError});
});

test('a folder of keys that cannot be read takes no key away', async t => {
	if (process.getuid?.() === 0) {
		t.pass('root may read anything');
		return;
	}
	const {identify, setKeys, keysFolder, clock, date, host} = await startAccess(t);
	const key = makeKey('ed25519');
	setKeys('alice', key.line);
	const signed = (): {date: string; authorization: string} =>
		signedHeaders({user: 'alice', key, date: date(), algorithm: 'ed25519'});
	t.is((await identify(signed())).user, 'alice');
	chmodSync(keysFolder, 0);
	for (let count = 0; count < 3; count++) {
		await clock.advance(1000);
		t.is((await identify(signed())).user, 'alice');
	}
	t.is(host.linesLike({level: 50}).length, 1);
	chmodSync(keysFolder, 0o700);
});

test('settings take effect at once', async t => {
	const {access, identify, refusal, date} = await startAccess(t);
	const key = makeKey('ed25519');
	const signed = (): {date: string; authorization: string} =>
		signedHeaders({user: 'alice', key, date: date(), algorithm: 'ed25519'});
	t.not(await refusal(signed()), undefined);
	access.setSettings({...noSettings, anonymous: ['publish'], authKeys: {alice: [key.line]}});
	t.is((await identify(signed())).user, 'alice');
	t.deepEqual(sorted((await identify()).rights), implied('publish'));
	access.setSettings(noSettings);
	t.not(await refusal(signed()), undefined);
	t.deepEqual(sorted((await identify()).rights), implied('read'));
});

test('files are not looked at for those who do not log in, nor more than once a second for those who are known', async t => {
	const {identify, refusal, usersFile, setUsers, clock, host} = await startAccess(t);
	const broken = (): number => host.linesLike({level: 50}).length;
	await setUsers({ann: {password: await hashPassword('a')}});
	await identify(basic('ann', 'a'));
	writeFileSync(usersFile, 'broken');
	await identify();
	await clock.advance(999);
	await Promise.all([identify(basic('ann', 'a')), refusal(basic('ann', 'b'))]);
	t.is(broken(), 0);
	await clock.advance(1);
	await Promise.all([identify(basic('ann', 'a')), refusal(basic('ann', 'b'))]);
	t.is(broken(), 1);
	utimesSync(usersFile, new Date(1), new Date(1));
	await refusal({authorization: 'Bearer x'});
	t.is(broken(), 2, 'somebody who is not known may have been added just now');
});

test('each right brings those before it', t => {
	t.deepEqual(sorted(withImplied(['operate'])), ['operate', 'private', 'publish', 'read']);
	t.deepEqual(sorted(withImplied(['publish'])), ['private', 'publish', 'read']);
	t.deepEqual(sorted(withImplied(['private'])), ['private', 'read']);
	t.deepEqual(sorted(withImplied([])), []);
});
