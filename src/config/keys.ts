/**
 * Every key at the top of the configuration.
 *
 * The defaults make a mirror of the public image servers that does something useful on loopback with nothing
 * configured.
 */
import {access} from './access.js';
import {listener} from './addresses.js';
import {bundles} from './bundles.js';
import {channels} from './channels.js';
import {alwaysMs, choice, count, duration, flag, list, path, size, text, optional, type Kind} from './kinds.js';
import {scrub, store} from './keeping.js';
import {prefetch} from './prefetch.js';
import {field, section, type Fields} from './section.js';
import {longestTimeoutMs, sharedSection, sourceList, type SourceDefaults} from './source.js';
import {basePath, publicUrl} from './urls.js';
import {webhooks} from './webhooks.js';

const log = section({
	level: field(
		'level',
		choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
		'info',
		'trace, debug, info, warn, error, fatal or silent.',
		['verbosity'],
	),
	format: field('format', choice(['auto', 'text', 'json']), 'auto', '"auto": text on a terminal, JSON elsewhere.'),
});

const transfers = section({
	concurrent: field('concurrent', count(1, 10_000), 8, 'Files at once from all sources together.', [
		'max',
		'concurrency',
	]),
	finishAbandoned: field(
		'finishAbandonedBytes',
		size({words: {always: Infinity, never: 0}}),
		'always',
		'A file that nobody waits for any more is still fetched to its end: "always", "never", or if less than a size is left.',
	),
	patience: field(
		'patienceMs',
		duration({words: {never: 0}}),
		'20s',
		'How long clients wait for a source that is gone in the middle of a file, beyond its retries (before the first byte: 10s).',
		['wait', 'retryFor'],
	),
});

const quarantine = section({
	keepFor: field(
		'keepForMs',
		duration({words: {never: 0, always: alwaysMs}}),
		'7d',
		'How long files that failed verification are kept to be looked at.',
		['ttl'],
	),
	maxSize: field('maxBytes', size(), '5 GB', 'How much of the disk they may take; the oldest go first.', [
		'maxBytes',
		'size',
		'limit',
	]),
});

const timeout = duration({least: 1000, most: longestTimeoutMs});

const http = section({
	headersTimeout: field('headersTimeoutMs', timeout, '30s', 'Until the headers of a request must have arrived.', [
		'headerTimeout',
	]),
	keepAliveTimeout: field('keepAliveTimeoutMs', timeout, '75s', 'How long an idle connection is kept.', ['keepAlive']),
	clientIdleTimeout: field(
		'clientIdleTimeoutMs',
		duration({most: longestTimeoutMs, words: {never: 0}}),
		'10m',
		'How long a client may take nothing of an answer before it is cut off; "never": it may for ever.',
		['idleTimeout', 'sendTimeout'],
	),
	uploadIdleTimeout: field(
		'uploadIdleTimeoutMs',
		duration({most: longestTimeoutMs, words: {never: 0}}),
		'5m',
		'How long a client may send nothing in the middle of an upload before it is cut off; "never": it may for ever.',
		['uploadTimeout', 'bodyTimeout'],
	),
	maxHeaderSize: field(
		'maxHeaderBytes',
		size({least: 4096, most: 1024 * 1024}),
		'16 KiB',
		'How long the headers of a request may be.',
		['maxHeaderBytes'],
	),
	sendfile: field(
		'sendfile',
		choice(['auto', 'off']),
		'auto',
		'"auto": files and answers that come again go out by sendfile(2) and send(2) where they are to be had (Linux, without TLS); "off": through Node.js.',
		['zeroCopy', 'sendFile'],
	),
	sessionFor: field(
		'sessionMs',
		duration({least: 60_000}),
		'12h',
		'How long a login on the page lasts without being used.',
		['session', 'sessionTimeout', 'sessionTtl', 'login', 'loginFor'],
	),
});

const urnPart = text('a word without ":"', {pattern: /^[\w.-]{1,64}$/});

const datasets = section({
	cloudName: field('cloudName', urnPart, 'sdc', 'First part of the URN of an image that has none.', ['cloud']),
	creatorName: field('creatorName', urnPart, 'sdc', 'Second part of it.', ['creator', 'vendor']),
});

const publish = section({
	maxFileSize: field('maxFileBytes', size({least: 1}), '20 GiB', 'How large the file of an image may be.', [
		'maxSize',
		'maxUpload',
		'limit',
	]),
	resumableFor: field(
		'resumableForMs',
		duration({least: 60_000}),
		'7d',
		'How long the part of an upload that has arrived waits for the rest.',
		['keepUploads', 'uploadTtl'],
	),
	dropFolder: field(
		'dropFolder',
		optional(path),
		null,
		'A folder: images that are put there, manifest and file, are published. null for none.',
		['drop', 'inbox', 'watch', 'folder'],
	),
});

const defaultsKind: Kind<unknown> = {
	expected: sharedSection.expected,
	fields: sharedSection.fields,
	read: (value, at) => sharedSection.read(value, at),
	write: () => ({}),
};

/** What a configuration comes to. `sourceDefaults` is not among it: it is spelled out at each source. */
export const configFields = {
	data: field(
		'data',
		path,
		'./data',
		'Where everything is kept: images, what sources said, quarantine. Made where it is missing (0750).',
		['dataDir', 'directory', 'dir', 'storage', 'path'],
	),
	listen: field(
		'listen',
		list(listener, {least: 1}),
		['127.0.0.1:8080'],
		'Where to listen: strings, or objects with these keys.',
		['port', 'host', 'bind', 'listeners', 'server', 'socket'],
	),
	basePath: field('basePath', basePath, '', 'What all our paths begin with, such as "/images-mirror".', [
		'prefix',
		'base',
	]),
	publicUrl: field(
		'publicUrl',
		optional(publicUrl),
		null,
		'The whole URL that clients use, basePath included, for links that must be absolute. null: as each request says.',
		['baseUrl', 'externalUrl', 'url'],
	),
	log: field('log', log, {}, 'What is logged, and how.', ['logging', 'logger']),
	sources: field(
		'sources',
		sourceList({values: {}, typeGiven: false}),
		[{name: 'smartos', type: 'imgapi', url: ['https://images.smartos.org', 'https://images.joyent.com']}],
		'Where images come from: URLs, or objects with these keys. Of an image in several, the first wins. [] for none.',
		['source', 'upstream', 'upstreams', 'mirrors', 'remotes', 'servers'],
	),
	transfers: field('transfers', transfers, {}, 'Files on their way in.', ['downloads', 'transfer']),
	store: field('store', store, {}, 'What files may take of the disk; what is pinned or published never goes.', [
		'cache',
		'storage',
		'eviction',
		'disk',
	]),
	scrub: field('scrub', scrub, {}, 'Files are read again to see whether they are still right.', [
		'verify',
		'scrubbing',
		'check',
	]),
	prefetch: field('prefetch', prefetch, {}, 'What is fetched before anybody asks.', ['ahead', 'preload', 'fetchAhead']),
	quarantine: field('quarantine', quarantine, {}, 'Files that were not what they should be.'),
	webhooks: field(
		'webhooks',
		webhooks,
		[],
		'Who is told what happens: URLs, or objects with these keys. [] for nobody.',
		['webhook', 'hooks', 'hook', 'notify', 'notifications', 'alerts'],
	),
	page: field('page', flag, true, 'Whether the web page is served, at /ui/.', ['ui', 'webUi', 'gui', 'web', 'html']),
	http: field('http', http, {}, 'Limits for clients.', ['limits']),
	drainTimeout: field(
		'drainTimeoutMs',
		duration({most: longestTimeoutMs}),
		'30s',
		'How long SIGTERM lets answers finish.',
		['shutdownTimeout', 'gracePeriod'],
	),
	datasets: field('datasets', datasets, {}, 'The DSAPI side.', ['dsapi']),
	access: field('access', access, {}, 'Who may do what, besides those that "imgmirror user" lets in.', [
		'auth',
		'authentication',
		'authorization',
		'security',
	]),
	mode: field(
		'mode',
		choice(['any', 'public', 'private']),
		'any',
		'Which images are published here: "any", or only those with "public" true ("public") or false ("private").',
	),
	channels: field(
		'channels',
		channels,
		[],
		'Channels of our own images: objects with name, description and, at one of them, "default": true. [] for none.',
		['channel'],
	),
	publish: field('publish', publish, {}, 'Our own images.', ['publishing', 'upload', 'uploads']),
	bundles: field('bundles', bundles, {}, 'Images that are carried by hand.', ['bundle', 'airgap', 'airGap']),
} as const satisfies Fields;

const {
	data,
	listen,
	basePath: basePathField,
	publicUrl: publicUrlField,
	log: logField,
	sources,
	...rest
} = configFields;

/** What may stand in a file. */
export const fileFields = {
	data,
	listen,
	basePath: basePathField,
	publicUrl: publicUrlField,
	log: logField,
	sources,
	sourceDefaults: field(
		'sourceDefaults',
		defaultsKind,
		{},
		'Any key of a source but name and url: for all sources that do not have it themselves.',
		['sourceDefault', 'defaults'],
	),
	...rest,
} as const satisfies Fields;

/** The same with sources that lack a key having it from `defaults`. */
export function fileFieldsWith(defaults: SourceDefaults): typeof fileFields {
	return {...fileFields, sources: {...fileFields.sources, kind: sourceList(defaults)}};
}
