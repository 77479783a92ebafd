import test from 'ava';
import {Replays} from '../../src/access/replays.js';
import {readSshKey, readSshKeys} from '../../src/access/ssh-keys.js';
import {UsageError} from '../../src/errors.js';
import {tempDir} from '../helpers/temp-dir.js';
import {basic, implied, request, sorted, startAccess} from './start-access.js';
import {makeKey, opensshKey, signedHeaders, type KeyType} from './signing.js';

const types: readonly KeyType[] = ['rsa', 'dsa', 'ecdsa', 'ed25519'];
const algorithmsOf: Readonly<Record<KeyType, readonly string[]>> = {
	rsa: ['rsa-sha1', 'rsa-sha256', 'RSA-SHA256'],
	dsa: ['dsa-sha1'],
	ecdsa: ['ecdsa-sha256', 'ecdsa-sha384', 'ecdsa-sha512'],
	ed25519: ['ed25519', 'ed25519-sha512', 'Ed25519'],
};

for (const type of types) {
	test(`a key of type ${type} logs in with its algorithms and no others`, async t => {
		const {identify, refusal, setKeys, date, clock} = await startAccess(t);
		const key = makeKey(type);
		setKeys('alice', key.line);
		for (const algorithm of Object.values(algorithmsOf).flat()) {
			await clock.advance(1000);
			const headers = signedHeaders({user: 'alice', key, date: date(), algorithm: algorithm.toLowerCase()});
			headers.authorization = headers.authorization.replace(algorithm.toLowerCase(), algorithm);
			if (algorithmsOf[type].includes(algorithm)) {
				t.like(await identify(headers), {user: 'alice', credential: 'signature', address: '203.0.113.5'}, algorithm);
			} else {
				t.is(await refusal(headers), 'the signature is none of that user', algorithm);
			}
		}
	});

	test(`a key that OpenSSH made logs in: ${type}`, async t => {
		const key = opensshKey(await tempDir(t), type);
		if (key === undefined) {
			t.pass('there is no ssh-keygen, or it makes none of these');
			return;
		}
		const {identify, setKeys, date} = await startAccess(t);
		setKeys('alice', `# a comment\r\n\r\n${key.line}\r\n`);
		const algorithm = algorithmsOf[type][0] ?? '';
		t.like(await identify(signedHeaders({user: 'alice', key, date: date(), algorithm})), {user: 'alice'});
		const parsed = await readSshKey(key.line);
		t.like(parsed, {type, comment: 'me@there', line: key.line});
		t.regex(parsed.fingerprint, /^SHA256:[A-Za-z\d+/]{43}$/);
	});
}

for (const curve of ['P-256', 'P-384', 'P-521']) {
	test(`ECDSA works on ${curve}`, async t => {
		const {identify, setKeys, date} = await startAccess(t);
		const key = makeKey('ecdsa', {curve});
		setKeys('alice', key.line);
		const headers = signedHeaders({user: 'alice', key, date: date(), algorithm: 'ecdsa-sha512'});
		t.is((await identify(headers)).user, 'alice');
	});
}

test('the rights of a user with nothing but keys are as configured', async t => {
	const key = makeKey('ed25519');
	const {identify, date} = await startAccess(t, {authKeys: {alice: [key.line]}, keyUsersMay: ['operate']});
	const found = await identify(signedHeaders({user: 'alice', key, date: date(), algorithm: 'ed25519'}));
	t.deepEqual(sorted(found.rights), implied('operate'));
});

test('every key of a user is tried, wherever it is written', async t => {
	const keys = [makeKey('rsa'), makeKey('rsa'), makeKey('ed25519')] as const;
	const {identify, setKeys, setUsers, date, clock, refusal} = await startAccess(t, {authKeys: {alice: [keys[0].line]}});
	setKeys('alice', keys[1].line);
	await setUsers({alice: {may: ['publish'], keys: [keys[2].line]}, bob: {may: ['operate']}});
	for (const [key, algorithm] of [
		[keys[0], 'rsa-sha256'],
		[keys[1], 'rsa-sha1'],
		[keys[2], 'ed25519'],
	] as const) {
		await clock.advance(1000);
		const signing = {user: 'alice', key, date: date(), algorithm};
		t.is((await identify(signedHeaders(signing))).user, 'alice');
		t.is(await refusal(signedHeaders({...signing, user: 'bob'})), 'the signature is none of that user');
	}
});

test('algorithms that are not taken are refused, whatever the signature is', async t => {
	const {refusal, setKeys, date} = await startAccess(t);
	const key = makeKey('rsa');
	setKeys('alice', key.line);
	for (const algorithm of ['rsa-sha512', 'rsa-md5', 'hmac-sha256', 'hmac-sha1', 'none', 'hs2019', 'constructor', '']) {
		const {authorization} = signedHeaders({user: 'alice', key, date: date(), algorithm: 'rsa-sha256'});
		const headers = {date: date(), authorization: authorization.replace('rsa-sha256', algorithm)};
		t.is(await refusal(headers), 'the algorithm of the signature is none that is taken', algorithm);
	}
});

test('users that there are not are refused, whatever they are called', async t => {
	const {refusal, setKeys, date, clock} = await startAccess(t);
	const key = makeKey('rsa');
	setKeys('alice', key.line);
	for (const user of ['bob', 'constructor', '__proto__', 'toString', 'hasOwnProperty', 'Alice', '..', '../alice']) {
		t.is(await refusal(signedHeaders({user, key, date: date()})), 'the signature is none of that user', user);
		t.is(await refusal(basic(user, 'x')), 'the user or the password is wrong', user);
		// Who fails too often waits.
		await clock.advance(1_000_000);
	}
});

test('a user may be called constructor', async t => {
	const key = makeKey('rsa');
	const {identify, date, setUsers} = await startAccess(t, {authKeys: {['__proto__x']: [key.line]}});
	await setUsers({constructor: {keys: [key.line]}, ['__proto__' as string]: {keys: [key.line]}});
	t.is((await identify(signedHeaders({user: 'constructor', key, date: date()}))).user, 'constructor');
});

test('the signed date may be 300 seconds off, either way', async t => {
	const {refusal, setKeys, clock} = await startAccess(t);
	const key = makeKey('ed25519');
	setKeys('alice', key.line);
	for (const [offMs, isTaken] of [
		[0, true],
		[300_000, true],
		[-300_000, true],
		[301_000, false],
		[-301_000, false],
	] as const) {
		const date = new Date(clock.now() + offMs).toUTCString();
		const said = await refusal(signedHeaders({user: 'alice', key, date, algorithm: 'ed25519'}));
		t.is(said, isTaken ? undefined : 'the signed date is too far from the time here', String(offMs));
	}
});

test('a date that cannot be read, or none, is refused', async t => {
	const {refusal, setKeys, date} = await startAccess(t);
	const key = makeKey('rsa');
	setKeys('alice', key.line);
	const expected = 'the signature needs a Date that can be read, and every header that it covers';
	for (const bad of ['garbage', '', '1', date().replace(' GMT', '')]) {
		t.is(await refusal(signedHeaders({user: 'alice', key, date: bad})), expected, bad);
	}
	t.is(await refusal({authorization: signedHeaders({user: 'alice', key, date: date()}).authorization}), expected);
});

/** Signs `text`, saying that it covers `names`. */
function covering(key: ReturnType<typeof makeKey>, names: string, text: string): string {
	return `Signature keyId="/alice/keys/aa:bb",algorithm="rsa-sha256",headers="${names}",signature="${key.sign(text)}"`;
}

test('more than the date can be signed', async t => {
	const {identify, refusal, setKeys, date} = await startAccess(t);
	const key = makeKey('rsa');
	setKeys('alice', key.line);
	const asked = request();
	const line = `${asked.method} ${asked.target} HTTP/1.1`;
	const headers = {date: date(), host: 'mirror', 'x-date': date()};
	for (const [names, text] of [
		['date', `date: ${date()}`],
		['Date host', `date: ${date()}\nhost: mirror`],
		['request-line date', `${line}\ndate: ${date()}`],
		['(request-target) x-date', `(request-target): post ${asked.target}\nx-date: ${date()}`],
	] as const) {
		t.is((await identify({...headers, authorization: covering(key, names, text)})).user, 'alice', names);
	}
	for (const [names, text] of [
		['host', 'host: mirror'],
		['date missing', `date: ${date()}\nmissing: `],
		['date constructor', `date: ${date()}\nconstructor: `],
		[`date${' date'.repeat(60)}`, `date: ${date()}`],
	] as const) {
		t.regex((await refusal({...headers, authorization: covering(key, names, text)})) ?? '', /needs a Date/, names);
	}
	const other = {...request(), target: '/images/x', method: 'DELETE'};
	const authorization = covering(key, 'request-line date', `${line}\ndate: ${date()}`);
	t.is(await refusal({...headers, authorization}, {target: other.target}), 'the signature is none of that user');
	t.is(await refusal({...headers, authorization}, {method: other.method}), 'the signature is none of that user');
});

test('x-date is signed where it is there, and an x-date that is not signed counts for nothing', async t => {
	const {identify, refusal, setKeys, date, clock} = await startAccess(t);
	const key = makeKey('rsa');
	setKeys('alice', key.line);
	const signature = key.sign(`x-date: ${date()}`);
	const authorization = `Signature keyId="alice",algorithm="rsa-sha256",signature="${signature}"`;
	t.is((await identify({date: 'whatever', 'x-date': date(), authorization})).user, 'alice');
	// An old signature of the date, with a new x-date beside it.
	const old = new Date(clock.now() - 3_600_000).toUTCString();
	const captured = covering(key, 'date', `date: ${old}`);
	t.is(
		await refusal({date: old, 'x-date': date(), authorization: captured}),
		'the signed date is too far from the time here',
	);
});

test('malformed signatures are refused, not failed on', async t => {
	const {refusal, setKeys, date} = await startAccess(t);
	for (const type of types) {
		setKeys(type, makeKey(type).line);
	}
	for (const type of types) {
		for (const signature of ['AA', 'A'.repeat(344), '/'.repeat(88), 'MAYCAQECAQE=']) {
			const algorithm = algorithmsOf[type][0] ?? '';
			const authorization = `Signature keyId="${type}",algorithm="${algorithm}",signature="${signature}"`;
			t.is(await refusal({date: date(), authorization}), 'the signature is none of that user');
		}
	}
});

test('a signature may come again for two seconds, from where it came first', async t => {
	const {identify, refusal, setKeys, clock, date} = await startAccess(t);
	const key = makeKey('rsa');
	setKeys('alice', key.line);
	const headers = signedHeaders({user: 'alice', key, date: date()});
	t.is((await identify(headers)).user, 'alice');
	t.is((await identify(headers)).user, 'alice');
	const elsewhere = {peer: {kind: 'tcp', address: '203.0.113.6'}} as const;
	t.is(await refusal(headers, elsewhere), 'the signature has been used already');
	await clock.advance(2000);
	t.is((await identify(headers)).user, 'alice');
	await clock.advance(1);
	t.is(await refusal(headers), 'the signature has been used already');
	t.is((await identify(signedHeaders({user: 'alice', key, date: date()}))).user, 'alice');
});

test('a second signature that is made out of the first is no new one', async t => {
	const {identify, refusal, setKeys, clock, date} = await startAccess(t);
	const key = makeKey('ecdsa');
	setKeys('alice', key.line);
	const signing = {user: 'alice', key, date: date(), algorithm: 'ecdsa-sha256'};
	await identify(signedHeaders(signing));
	await clock.advance(3000);
	// ECDSA signs with a random number: another signature of the same text.
	t.is(await refusal(signedHeaders(signing)), 'the signature has been used already');
});

test('what is remembered of signatures is bounded, by user, and nothing forgotten is good again', t => {
	const replays = new Replays({mostPerUser: 100});
	const use = (user: string, number: number, nowMs = number): boolean =>
		replays.allows({user, signed: String(number), address: 'a', nowMs, untilMs: number + 600_000});
	for (let number = 0; number < 1000; number++) {
		t.true(use('alice', number));
	}
	t.is(replays.size, 100);
	t.false(use('alice', 5, 1000), 'forgotten');
	t.false(use('alice', 950, 5000), 'remembered, and too late');
	t.true(use('alice', 950, 1000), 'remembered, and in time');
	t.true(use('alice', 1001));
	t.true(use('bob', 5, 1000), 'somebody else');
	t.true(use('alice', 2_000_000));
	t.is(replays.size, 2, 'what is over by its date is forgotten');
});

test('keys that cannot be used are reported with their line, and take none away', async t => {
	const [good, small, ed] = [makeKey('rsa', {bits: 1024}), makeKey('rsa', {bits: 768}), makeKey('ed25519')];
	const text = ['# mine', '', good.line, small.line, 'nonsense', `from="x" ${ed.line}`, `  ${ed.line}  `].join('\r\n');
	const {keys, faults} = await readSshKeys(`\uFEFF${text}`);
	t.deepEqual(
		keys.map(({type}) => type),
		['rsa', 'ed25519'],
	);
	t.deepEqual(faults, [
		'line 4: an RSA key of 768 bits is no protection: at least 1024',
		'line 5: that is no SSH public key',
		'line 6: that is no SSH public key: options in front of the key are not understood',
	]);
});

test('a key whose parts do not fit each other is no key', async t => {
	const [, data = ''] = makeKey('ed25519').line.split(' ');
	for (const line of [
		`ssh-rsa ${data}`,
		`ssh-ed25519 ${data.slice(0, -8)}`,
		'ssh-rsa AAAA',
		`ssh-ed25519 ${'A'.repeat(68)}`,
	]) {
		await t.throwsAsync(readSshKey(line), {instanceOf: UsageError}, line);
	}
	await t.throwsAsync(readSshKey('-----BEGIN OPENSSH PRIVATE KEY-----'), {message: /take the file that ends in .pub$/});
	await t.throwsAsync(readSshKey(`sk-ssh-ed25519@openssh.com ${data}`), {message: /hardware tokens/});
});
