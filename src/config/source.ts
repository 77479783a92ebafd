/**
 * One source of images, as a URL or as an object with everything that can be said about it.
 *
 * Every key but `name` and `url` can stand in `sourceDefaults`, too; a source's own key replaces the one there as a
 * whole.
 */
import {auth} from './auth.js';
import {certificateFile, checkPair, keyFile} from './files.js';
import {imageFilter} from './filter.js';
import {headers} from './headers.js';
import {alwaysMs, choice, count, duration, flag, list, optional, rate, text, type Kind, type Written} from './kinds.js';
import {Fault, shown, type Place} from './place.js';
import {field, isObject, section, type Values} from './section.js';
import {hold} from './hold.js';
import {nameSources} from './source-names.js';
import type {SourceConfig} from './types.js';
import {channelPattern, proxy, readSourceUrl, sourceUrl, type SourceUrl} from './urls.js';

/** setTimeout fires at once for anything over 2^31-1 ms. */
export const longestTimeoutMs = 24 * 24 * 3_600_000;
const timeout = duration({least: 1, most: longestTimeoutMs});

const nothing: Written = {};

export const sharedFields = {
	type: field(
		'type',
		choice(['auto', 'imgapi', 'dsapi']),
		'auto',
		'"auto" asks the server. A URL that ends in /datasets is a dsapi one unless this key is there.',
		['kind', 'protocol', 'api'],
	),
	channel: field(
		'channel',
		optional(text('the name of a channel', {pattern: channelPattern})),
		null,
		'The channel to ask for, as imgadm does for a URL that ends in ?channel=X.',
	),
	include: field('include', imageFilter, nothing, 'Only these images; all if nothing is given.', ['only', 'filter']),
	exclude: field('exclude', imageFilter, nothing, 'Not these, even if included.', ['except', 'ignore']),
	listTtl: field('listTtlMs', duration(), '5m', 'How long a list is fresh.', ['ttl', 'refresh', 'interval']),
	imageTtl: field('imageTtlMs', duration(), '5m', 'How long the manifest of an image that is in no list is fresh.'),
	missingTtl: field('missingTtlMs', duration(), '1m', 'How long it is remembered that an image is not there.', [
		'negativeTtl',
	]),
	keepFor: field(
		'keepForMs',
		duration({words: {always: alwaysMs}}),
		'30d',
		'How long the last answer is served while the source is down. "always" is possible.',
		['staleIfError', 'maxStale'],
	),
	connectTimeout: field('connectTimeoutMs', timeout, '10s', 'Until a connection must stand.', ['timeout']),
	headerTimeout: field('headerTimeoutMs', timeout, '1m', 'Until an answer must begin.', ['headersTimeout']),
	idleTimeout: field('idleTimeoutMs', timeout, '1m', 'How long nothing may arrive in the middle of an answer.', [
		'bodyTimeout',
		'readTimeout',
	]),
	retries: field('retries', count(0, 100), 3, 'Further tries of one thing without progress between them.', ['retry']),
	transfers: field('transfers', count(1, 1000), 4, 'Files at once from this source.', ['concurrent', 'concurrency']),
	bandwidth: field(
		'bandwidth',
		rate({words: {none: 0}}),
		'none',
		'For all files from this source together, such as "10 MB/s"; "none" for no limit.',
		['rate', 'rateLimit', 'limit', 'bandwidthLimit'],
	),
	proxy: field(
		'proxy',
		proxy,
		'env',
		'"env": as http_proxy, https_proxy and no_proxy say; "none"; or the URL of an HTTP proxy.',
		['httpProxy'],
	),
	caFile: field('caFile', optional(certificateFile), null, 'Authorities to trust beside the usual ones (PEM).', [
		'ca',
		'cacert',
	]),
	certFile: field('certFile', optional(certificateFile), null, 'Client certificate (PEM).', ['cert', 'clientCert']),
	keyFile: field('keyFile', optional(keyFile), null, 'Its private key (PEM).', ['key', 'clientKey']),
	insecure: field('insecure', flag, false, "true: do not check the server's certificate.", ['skipVerify', 'verify']),
	auth: field('auth', auth, null, 'null; or user and password; or keyId and keyFile (HTTP Signature).', [
		'authentication',
		'credentials',
	]),
	headers: field('headers', headers, nothing, 'Sent along with every request to the source.', ['extraHeaders']),
	redirects: field(
		'redirects',
		choice(['none', 'safe', 'any']),
		'safe',
		'"none", "safe" (never from https to http, never to a private address on another host) or "any".',
		['followRedirects'],
	),
	vanished: field(
		'vanished',
		choice(['keep', 'hide', 'drop']),
		'keep',
		'An image that is in the list no more: "keep" it, "hide" it from our lists, or "drop" it with its files.',
		['gone', 'deleted', 'missing'],
	),
	hold: field('hold', hold, null, 'When images are offered: null for at once, or an object with these keys.', [
		'minAge',
		'minimumAge',
		'delay',
		'quarantine',
		'age',
	]),
};

const {type, channel, ...settings} = sharedFields;

export const sourceFields = {
	name: field(
		'name',
		optional(text('a name of letters, digits, ".", "_" and "-"', {pattern: /^[A-Za-z0-9][\w.-]{0,63}$/})),
		null,
		'In logs, metrics and x-source. null: the host name of the URL.',
		['id', 'label', 'title'],
	),
	type,
	url: field(
		'urls',
		list(sourceUrl, {least: 1}),
		'https://images.smartos.org',
		'Where it is: one URL, or several of the same thing, tried in order.',
		['uri', 'urls', 'href', 'address', 'addresses', 'endpoint', 'endpoints', 'host', 'server', 'mirror', 'mirrors'],
	),
	channel,
	...settings,
};

export type SharedValues = Values<typeof sharedFields>;
type SourceValues = Values<typeof sourceFields>;

const sourceSection = section(sourceFields, 'a URL or an object with a url');

/** `sourceDefaults`. In the example it is empty: each source shows the keys. */
export const sharedSection = section(sharedFields, 'an object with keys of a source');

/** What the sources have in common, and whether their type is among it. */
export interface SourceDefaults {
	readonly values: Partial<SharedValues>;
	readonly typeGiven: boolean;
	/** Where they stand. */
	readonly place?: Place;
}

export function sourceList(defaults: SourceDefaults): Kind<readonly SourceConfig[]> {
	const sources = list<SourceConfig>({
		expected: sourceSection.expected,
		fields: sourceFields,
		read: (value, at) => readSource(value, at, defaults),
		write: (value, secrets) => ({
			...sourceSection.write(value, secrets),
			url: value.urls.length === 1 ? (value.urls[0] ?? null) : value.urls,
		}),
		example: written => sourceSection.example(isObject(written) ? written : {url: written}),
	});
	return {...sources, read: (value, at) => nameSources(sources.read(value, at), value, at)};
}

/** The name may still be empty: `nameSources` looks at all of them together. */
function readSource(value: unknown, at: Place, defaults: SourceDefaults): SourceConfig {
	const written = typeof value === 'string' ? {url: value} : value;
	if (isObject(written) && !Object.hasOwn(written, 'url')) {
		at.child('url').report(new Fault(sourceFields.url.kind.expected, 'nothing'));
	}
	const values = sourceSection.readWith(written, at, defaults.values);
	const own = isObject(written) ? written : {};
	const urls = readUrls(own['url']);
	const place = at.child('url');
	checkPair(values.certFile, values.keyFile, at, key =>
		Object.hasOwn(own, key) ? at.child(key).isFaulty : defaults.place?.child(key).isFaulty === true,
	);

	const finalType = defaults.typeGiven || Object.hasOwn(own, 'type') ? values.type : typeOf(urls, place);
	const auth = authOf(urls, values, own, place);
	if (auth.kind !== 'none' && Object.keys(values.headers).some(name => name.toLowerCase() === 'authorization')) {
		at.child('headers').report(new Fault('no Authorization header, as there are credentials', 'one'));
	}
	return {
		...values,
		name: values.name ?? '',
		type: finalType,
		// The address of a DSAPI server is what stands before its /datasets, as imgadm sees it, too.
		urls: finalType === 'imgapi' ? values.urls : values.urls.map(url => url.replace(/\/datasets$/, '')),
		channel: channelOf(urls, values, own, place),
		auth,
	};
}

/** Those that can be read: faults are reported where the key itself is read. */
function readUrls(value: unknown): readonly SourceUrl[] {
	return (Array.isArray(value) ? (value as unknown[]) : [value]).flatMap(url => {
		try {
			return [readSourceUrl(url)];
		} catch {
			return [];
		}
	});
}

function typeOf(urls: readonly SourceUrl[], at: Place): SourceConfig['type'] {
	const datasets = urls.filter(url => url.datasets).length;
	if (datasets > 0 && datasets < urls.length) {
		at.report(new Fault('URLs of one kind, or a type', 'some that end in /datasets and some that do not'));
	}
	return datasets > 0 ? 'dsapi' : 'auto';
}

function channelOf(
	urls: readonly SourceUrl[],
	values: SourceValues,
	own: Readonly<Record<string, unknown>>,
	at: Place,
): string | undefined {
	const channels = new Set(urls.map(url => url.channel));
	if (typeof own['channel'] === 'string') {
		channels.add(own['channel']);
	}
	channels.delete(undefined);
	if (channels.size > 1) {
		at.report(new Fault('one channel for all of a source', [...channels].map(shown).join(' and ')));
	}
	const [fromUrl] = urls.flatMap(url => url.channel ?? []);
	return fromUrl ?? values.channel;
}

function authOf(
	urls: readonly SourceUrl[],
	values: SourceValues,
	own: Readonly<Record<string, unknown>>,
	at: Place,
): SourceConfig['auth'] {
	const given = urls.flatMap(url => url.credentials ?? []);
	const [first] = given;
	if (first === undefined) {
		return values.auth;
	}
	if (isObject(own['auth'])) {
		at.report(new Fault('credentials in the URL or in auth', 'both'));
	}
	if (given.some(({user, password}) => user !== first.user || password !== first.password)) {
		at.report(new Fault('the same user and password in all URLs of a source', 'different ones'));
	}
	return {kind: 'basic', ...first};
}
