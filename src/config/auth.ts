/**
 * How we show a source who we are: nothing, a user and a password, or an HTTP Signature.
 *
 * A password stands in the configuration, in a file of its own, or in an environment variable.
 */
import {rsaKeyFile} from './files.js';
import {choice, mask, optional, path, text, type Kind} from './kinds.js';
import {Fault, type Place} from './place.js';
import {secretFrom, secretIn} from './secret.js';
import {field, section, type Values} from './section.js';
import type {SourceConfig} from './types.js';

export type Auth = SourceConfig['auth'];

const nobody: Auth = {kind: 'none'};

const authFields = {
	user: field(
		'user',
		optional(text('a user name without ":"', {pattern: /^[^\p{Cc}:]+$/u})),
		null,
		'HTTP Basic: the user.',
		['username', 'login'],
	),
	password: field(
		'password',
		optional(text('a password', {pattern: /^\P{Cc}*$/u, secret: true})),
		null,
		'The password, or one of the next two.',
		['pass', 'pw', 'secret'],
	),
	passwordFile: field('passwordFile', optional(path), null, 'A file with the password.'),
	passwordEnv: field(
		'passwordEnv',
		optional(text('the name of an environment variable', {pattern: /^[A-Za-z_]\w*$/})),
		null,
		'An environment variable with the password.',
	),
	keyId: field(
		'keyId',
		optional(text('a user name without double quotes', {pattern: /^[^\p{Cc}"]+$/u})),
		null,
		'HTTP Signature: the user name at the source.',
		['account', 'key_id'],
	),
	keyFile: field('keyFile', optional(rsaKeyFile), null, 'A private RSA key (PEM).', ['key', 'privateKey', 'identity']),
	algorithm: field(
		'algorithm',
		choice(['rsa-sha256', 'rsa-sha1']),
		'rsa-sha256',
		'rsa-sha1 for servers that know no better.',
	),
};
const authSection = section(authFields, 'null, or an object with user and password, or with keyId and keyFile');

export const auth: Kind<Auth> = {
	expected: authSection.expected,
	fields: authFields,
	read(value, at) {
		if (value === null) {
			return nobody;
		}
		if (typeof value !== 'object') {
			// Not shown: it is likely to be a password.
			throw new Fault(auth.expected, `a ${typeof value}`);
		}
		return toAuth(authSection.read(value, at), at);
	},
	write(value, secrets) {
		switch (value.kind) {
			case 'none':
				return null;
			case 'basic': {
				const password = {password: secrets === 'masked' ? mask : value.password};
				return {user: value.user, ...(value.from ?? password)};
			}
			case 'signature':
				return {keyId: value.keyId, keyFile: value.keyFile, algorithm: value.algorithm};
		}
	},
	example: written => authSection.example(written),
};

function toAuth(values: Values<typeof authFields>, at: Place): Auth {
	const {user, password, passwordFile, passwordEnv, keyId, keyFile, algorithm} = values;
	const passwords = Object.entries({password, passwordFile, passwordEnv}).filter(([, given]) => given !== undefined);
	const basic = user !== undefined || passwords.length > 0;
	const signature = keyId !== undefined || keyFile !== undefined;
	if (basic && signature) {
		throw new Fault('a password or a key', 'both');
	}
	if (passwords.length > 1) {
		throw new Fault('one of password, passwordFile and passwordEnv', passwords.map(([name]) => name).join(' and '));
	}
	if (signature) {
		if (keyId === undefined || keyFile === undefined) {
			throw new Fault('keyId and keyFile', `only ${keyId === undefined ? 'keyFile' : 'keyId'}`);
		}
		return {kind: 'signature', keyId, keyFile, algorithm};
	}
	if (!basic) {
		return nobody;
	}
	if (user === undefined) {
		throw new Fault('a user with the password', 'none');
	}
	if (passwordFile !== undefined) {
		const found = at.child('passwordFile').attempt(() => secretIn(passwordFile, 'the password'));
		return {kind: 'basic', user, password: found?.value ?? '', from: {passwordFile}};
	}
	if (passwordEnv !== undefined) {
		const found = at.child('passwordEnv').attempt(place => secretFrom(passwordEnv, place));
		return {kind: 'basic', user, password: found?.value ?? '', from: {passwordEnv}};
	}
	if (password === undefined) {
		throw new Fault('a password, passwordFile or passwordEnv with the user', 'none of them');
	}
	return {kind: 'basic', user, password};
}
