/**
 * Who is told what happens: the list `webhooks`.
 */
import type {EventType} from '../host.js';
import {headers} from './headers.js';
import {alwaysMs, duration, list, optional, path, text, type Kind, type Written} from './kinds.js';
import {Fault, shown, type Place} from './place.js';
import {secretFrom, secretIn} from './secret.js';
import {field, isObject, section, type Values} from './section.js';
import {longestTimeoutMs} from './source.js';
import {nearest} from './spelling.js';
import type {WebhookConfig} from './types.js';
import {webhookUrl} from './urls.js';

// An object, so that the compiler finds the type that is missing, or is one no more.
const types: Readonly<Record<EventType, true>> = {
	'image.new': true,
	'image.changed': true,
	'image.vanished': true,
	'image.held': true,
	'image.released': true,
	'image.cached': true,
	'image.evicted': true,
	'image.pinned': true,
	'image.unpinned': true,
	'image.published': true,
	'image.updated': true,
	'image.deleted': true,
	'transfer.begun': true,
	'transfer.progress': true,
	'transfer.ended': true,
	'transfer.failed': true,
	'verification.failed': true,
	'source.down': true,
	'source.up': true,
	'source.refreshed': true,
	'disk.low': true,
	'disk.ok': true,
	'disk.error': true,
	'scrub.begun': true,
	'scrub.progress': true,
	'scrub.ended': true,
	'prefetch.begun': true,
	'prefetch.ended': true,
	'bundle.imported': true,
	'webhook.failed': true,
	'catalog.changed': true,
};
const words: ReadonlySet<string> = new Set(
	Object.keys(types).flatMap(type => [type.slice(0, type.indexOf('.')), type]),
);

const event: Kind<string> = {
	expected: 'a type of event such as "image.cached", or the first word of some, such as "source"',
	read(value) {
		// "image.*" is what others call "image".
		const word = typeof value === 'string' ? value.replace(/\.\*$/, '') : '';
		if (!words.has(word)) {
			const near = nearest(word, words);
			throw new Fault(event.expected, shown(value), near === undefined ? adviceFor(word) : `did you mean "${near}"?`);
		}
		return word;
	},
	write: value => value,
};

/** "image.cache": what there is of images; "cached": where that stands. */
function adviceFor(word: string): string {
	const [first = '', ...rest] = word.split('.');
	const all = Object.keys(types);
	const alike = rest.length > 0 ? all.filter(type => type.startsWith(`${first}.`)) : [];
	const ending = all.filter(type => word !== '' && type.endsWith(`.${word}`));
	const found = alike.length > 0 ? alike : ending;
	return `there ${found.length === 1 ? 'is' : 'are'} ${found.length > 0 ? found.join(', ') : [...words].filter(one => !one.includes('.')).join(', ')}`;
}

const nothing: Written = {};
const none: Written = [];

const secretPrefix = 'whsec_';

/** With that prefix, it is the base64 of a key: one that comes to nothing would sign with what everybody knows. */
function keyed(secret: string): string {
	const base64 = secret.startsWith(secretPrefix) ? secret.slice(secretPrefix.length) : undefined;
	if (base64 !== undefined && !/^(?=.)(?:[\w+/-]{4})*(?:[\w+/-]{2}(?:==)?|[\w+/-]{3}=?)?$/.test(base64)) {
		const got = base64 === '' ? 'nothing' : 'something else';
		throw new Fault(`the base64 of a key after "${secretPrefix}"`, got, 'any other secret is the key itself');
	}
	return secret;
}

const secretText = text('a secret', {pattern: /^\P{Cc}+$/u, secret: true});
const signingSecret: Kind<string> = {...secretText, read: (value, at) => keyed(secretText.read(value, at))};

const hookFields = {
	name: field(
		'name',
		optional(text('a name of letters, digits, ".", "_" and "-"', {pattern: /^[A-Za-z0-9][\w.-]{0,63}$/})),
		null,
		'In logs and events. null: the host name of the URL.',
		['id', 'label', 'title'],
	),
	url: field('url', webhookUrl, 'https://hooks.example.com/imgmirror', 'Where events are posted to, as JSON.', [
		'uri',
		'href',
		'address',
		'endpoint',
		'target',
	]),
	events: field(
		'events',
		list(event),
		none,
		'Types of events such as "image.cached", or first words of some such as "source". [] for those worth waking somebody.',
		['event', 'types', 'type', 'on', 'for'],
	),
	secret: field(
		'secret',
		optional(signingSecret),
		null,
		'Signs what is posted (HMAC-SHA256); or one of the next two. null: nothing is signed.',
		['key', 'token', 'hmac', 'password'],
	),
	secretFile: field('secretFile', optional(path), null, 'A file with the secret.', ['keyFile', 'tokenFile']),
	secretEnv: field(
		'secretEnv',
		optional(text('the name of an environment variable', {pattern: /^[A-Za-z_]\w*$/})),
		null,
		'An environment variable with the secret.',
	),
	headers: field('headers', headers, nothing, 'Sent along with every event.', ['extraHeaders']),
	retryFor: field(
		'retryForMs',
		duration({words: {never: 0, always: alwaysMs}}),
		'1d',
		'How long to go on trying to tell it; "never": once.',
		['retry', 'retries', 'keepFor'],
	),
	timeout: field('timeoutMs', duration({least: 100, most: longestTimeoutMs}), '10s', 'Until it must have answered.', [
		'timeoutMs',
		'headerTimeout',
	]),
};
const hookSection = section(hookFields, 'a URL or an object with a url');

const hook: Kind<WebhookConfig> = {
	expected: hookSection.expected,
	fields: hookFields,
	read(value, at) {
		const written = typeof value === 'string' ? {url: value} : value;
		if (isObject(written) && !Object.hasOwn(written, 'url')) {
			at.child('url').report(new Fault(hookFields.url.kind.expected, 'nothing'));
		}
		const {secret, secretFile, secretEnv, ...rest} = hookSection.read(written, at);
		return {...rest, name: rest.name ?? '', ...secretOf({secret, secretFile, secretEnv}, at)};
	},
	write: ({secret, secretFrom: from, ...rest}, secrets) =>
		hookSection.write(
			{
				...rest,
				secret: from === undefined ? secret : undefined,
				secretFile: from !== undefined && 'secretFile' in from ? from.secretFile : undefined,
				secretEnv: from !== undefined && 'secretEnv' in from ? from.secretEnv : undefined,
			},
			secrets,
		),
	example: written => hookSection.example(isObject(written) ? written : {url: written}),
};

type SecretKeys = Pick<Values<typeof hookFields>, 'secret' | 'secretFile' | 'secretEnv'>;

function secretOf(keys: SecretKeys, at: Place): Pick<WebhookConfig, 'secret' | 'secretFrom'> {
	const {secret, secretFile, secretEnv} = keys;
	const given = Object.entries(keys).filter(([, value]) => value !== undefined);
	if (given.length > 1) {
		throw new Fault('one of secret, secretFile and secretEnv', given.map(([name]) => name).join(' and '));
	}
	if (secretFile !== undefined) {
		const found = at.child('secretFile').attempt(() => keyed(secretIn(secretFile, 'the secret')));
		return {secret: found?.value, secretFrom: {secretFile}};
	}
	if (secretEnv !== undefined) {
		const found = at.child('secretEnv').attempt(place => keyed(secretFrom(secretEnv, place)));
		return {secret: found?.value, secretFrom: {secretEnv}};
	}
	return {secret};
}

const sample: Written = {
	name: 'ops',
	url: 'https://hooks.example.com/imgmirror',
	events: ['source', 'disk', 'verification.failed'],
};

const all = list(hook, {sample});

export const webhooks: Kind<readonly WebhookConfig[]> = {...all, read: (value, at) => named(all.read(value, at), at)};

/** A name given by hand goes before one that is made up. */
function named(hooks: readonly WebhookConfig[], at: Place): readonly WebhookConfig[] {
	const taken = new Set<string>();
	for (const [index, {name}] of hooks.entries()) {
		if (taken.has(name)) {
			at.child(index)
				.child('name')
				.report(new Fault('a name of its own for each webhook', `${shown(name)} again`));
		}
		if (name !== '') {
			taken.add(name);
		}
	}
	return hooks.map(one => {
		if (one.name !== '') {
			return one;
		}
		const host = new URL(one.url).hostname.replaceAll(/[^\w.]+/g, '-').replaceAll(/^-|-$/g, '');
		let name = host;
		for (let number = 2; taken.has(name); number++) {
			name = `${host}-${number}`;
		}
		taken.add(name);
		return {...one, name};
	});
}
