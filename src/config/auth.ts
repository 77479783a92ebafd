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
	// What is there and wrong is there.
	const isGiven = (key: keyof typeof authFields): boolean => values[key] !== undefined || at.child(key).isFaulty;
	const passwords = (['password', 'passwordFile', 'passwordEnv'] as const).filter(isGiven);
	const basic = isGiven('user') || passwords.length > 0;
	const signature = isGiven('keyId') || isGiven('keyFile');
	if (basic && signature) {
		throw new Fault('a password or a key', 'both');
	}
	if (passwords.length > 1) {
		throw new Fault('one of password, passwordFile and passwordEnv', passwords.join(' and '));
	}
	if (signature) {
		if (!isGiven('keyId') || !isGiven('keyFile')) {
			throw new Fault('keyId and keyFile', `only ${isGiven('keyId') ? 'keyId' : 'keyFile'}`);
		}
		return keyId === undefined || keyFile === undefined ? nobody : {kind: 'signature', keyId, keyFile, algorithm};
	}
	if (!basic) {
		return nobody;
	}
	if (!isGiven('user')) {
		throw new Fault('a user with the password', 'none');
	}
	if (passwords.length === 0) {
		throw new Fault('a password, passwordFile or passwordEnv with the user', 'none of them');
	}
	const named = {kind: 'basic', user: user ?? ''} as const;
	if (passwordFile !== undefined) {
		const found = at.child('passwordFile').attempt(() => secretIn(passwordFile, 'the password'));
		return {...named, password: found?.value ?? '', from: {passwordFile}};
	}
	if (passwordEnv !== undefined) {
		const found = at.child('passwordEnv').attempt(place => secretFrom(passwordEnv, place));
		return {...named, password: found?.value ?? '', from: {passwordEnv}};
	}
	return {...named, password: password ?? ''};
}
