import test from 'ava';
import fc from 'fast-check';
import {readAuthorization} from '../../src/access/authorization.js';
import {signedDate} from '../../src/access/dates.js';
import {anyCharacter} from '../helpers/any-character.js';
import {basic} from './start-access.js';

test('Basic is split at the first colon', t => {
	t.deepEqual(readAuthorization(basic('alice', 'a:b:').authorization), {
		kind: 'password',
		user: 'alice',
		password: 'a:b:',
	});
});

test('whatever user and password are, they come out as they went in', t => {
	const user = fc.string({unit: anyCharacter}).filter(text => !text.includes(':'));
	fc.assert(
		fc.property(user, fc.string({unit: anyCharacter}), (name, password) => {
			t.deepEqual(readAuthorization(basic(name, password).authorization), {kind: 'password', user: name, password});
		}),
	);
});

test('bytes that are no UTF-8 are Latin-1, as old clients send it', t => {
	const value = Buffer.from('alice:süß', 'latin1').toString('base64');
	t.like(readAuthorization(`Basic ${value}`), {user: 'alice', password: 'süß'});
});

test('without a colon there is a user alone', t => {
	t.like(readAuthorization(`basic ${Buffer.from('imt_1').toString('base64')}`), {user: 'imt_1', password: ''});
});

test('scheme names of Basic and Bearer are in any letter case, the one of Signature is not', t => {
	t.like(readAuthorization('bEARER abc'), {kind: 'token', token: 'abc'});
	t.like(readAuthorization('BASIC YTpi'), {user: 'a', password: 'b'});
	t.is(readAuthorization('signature keyId="a",algorithm="rsa-sha256",signature="AAAA"'), undefined);
});

const signature = 'Signature keyId="alice",algorithm="RSA-SHA256",signature="AAEC"';

test('a signature has its parameters with commas between, in any order', t => {
	const expected = {
		kind: 'signature',
		user: 'alice',
		algorithm: 'rsa-sha256',
		headers: undefined,
		signature: Buffer.from([0, 1, 2]),
	} as const;
	t.deepEqual(readAuthorization(signature), expected);
	t.deepEqual(readAuthorization('Signature signature="AAEC",extra="x",algorithm="rsa-sha256",keyId="alice"'), expected);
	t.deepEqual(readAuthorization(`${signature},headers="Date (request-target)"`), {
		...expected,
		headers: ['date', '(request-target)'],
	});
});

test('the account is taken out of a key name as CloudAPI has it', t => {
	const user = (keyId: string): unknown => readAuthorization(`Signature keyId="${keyId}",algorithm="x",signature="AA"`);
	t.like(user('/alice/keys/b3:f0:a1'), {user: 'alice'});
	for (const keyId of ['', '/', '/alice', '/alice/keys', '/alice/keys/', '/alice/users/bob/keys/x', '//keys/x']) {
		t.is(user(keyId), undefined, keyId);
	}
	t.like(user('constructor'), {user: 'constructor'});
});

for (const header of [
	'',
	'Basic',
	'Basic ',
	'Basic !!!',
	'Basic YTpi YTpi',
	'Basic YTp_',
	'Bearer',
	'Bearer a b',
	'Digest username="x"',
	'Signature',
	'Signature ',
	`${signature},`,
	`${signature} `,
	signature.replaceAll(',', ', '),
	signature.replaceAll(',', ' ,'),
	signature.replaceAll('=', ' = '),
	signature.replaceAll('"', "'"),
	signature.replaceAll(',', ';'),
	`${signature},keyId="bob"`,
	`${signature},headers=""`,
	`${signature},headers="date  host"`,
	signature.replace('AAEC', ''),
	signature.replace('AAEC', '*'),
	signature.replace('keyId="alice",', ''),
	signature.replace('signature=', 'signed='),
]) {
	test(`is nothing that we understand: ${JSON.stringify(header)}`, t => {
		t.is(readAuthorization(header), undefined);
	});
}

test('no header makes the reader throw, or read anything but what it holds', t => {
	const pieces = fc.constantFrom(
		'Signature ',
		'Basic ',
		'Bearer ',
		'keyId="',
		'signature="',
		'"',
		',',
		'=',
		'AAAA',
		' ',
		'/',
	);
	fc.assert(
		fc.property(
			fc.oneof(
				fc.string(),
				fc.array(pieces).map(parts => parts.join('')),
			),
			header => {
				const proof = readAuthorization(header);
				if (proof?.kind === 'signature') {
					t.true(header.includes(proof.user));
				}
				t.true(proof === undefined || ['password', 'token', 'signature'].includes(proof.kind));
			},
		),
	);
});

test('a long header is read in no time', t => {
	const long = 'a'.repeat(500_000);
	for (const header of [`Signature ${'x="",'.repeat(100_000)}`, `Basic ${long}!`, `Signature ${long}`, ` ${long}`]) {
		t.is(readAuthorization(header), undefined);
	}
});

test('a signed date is an HTTP date, or an ISO one with its zone', t => {
	const expected = Date.parse('2026-01-02T03:04:05.000Z');
	for (const text of [
		'Fri, 02 Jan 2026 03:04:05 GMT',
		'Fri, 2 Jan 2026 03:04:05 UTC',
		'Fri, 02 Jan 2026 05:04:05 +0200',
		'Friday, 02-Jan-26 03:04:05 GMT',
		'2026-01-02T03:04:05Z',
		'2026-01-02T03:04:05.000Z',
		'2026-01-02T04:04:05+01:00',
	]) {
		t.is(signedDate(text), expected, text);
	}
	for (const text of [
		'',
		'now',
		'1',
		'2026',
		'2026-01-02',
		'2026-01-02T03:04:05',
		'Jan 2 2026',
		'Fri, 99 Jan 2026 03:04:05 GMT',
		'Fri, 02 Jan 2026 03:04:05',
	]) {
		t.is(signedDate(text), undefined, text);
	}
});
