/**
 * Sources for tests, with settings that no test has to repeat.
 *
 * `openTestSource` puts one together as the mirror does; `makeAddress` makes a single unwatched one, for what the
 * wrappers would hide. Both are closed when the test ends.
 */
import type {Host} from '../../src/host.js';
import type {Manifest, Uuid} from '../../src/image/manifest.js';
import {parseManifest} from '../../src/image/manifest.js';
import {parseAddress} from '../../src/sources/address.js';
import {AutoSource} from '../../src/sources/auto.js';
import {DsapiSource} from '../../src/sources/dsapi.js';
import {ImgapiSource} from '../../src/sources/imgapi.js';
import {openSource, type SourceDeps, type SourceSettings} from '../../src/sources/open-source.js';
import {Remote} from '../../src/sources/remote.js';
import {Retry} from '../../src/sources/retry.js';
import type {Ask, FileBody, ListEnd, Source} from '../../src/sources/source.js';
import {Transport, type TransportSettings} from '../../src/sources/transport.js';
import type {WatchedSource} from '../../src/sources/watched.js';
import {hurriedClock} from '../helpers/hurried-clock.js';
import type {TestManifest} from '../helpers/make-image.js';
import type {Scope} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';

export const noProxies = {httpProxy: undefined, httpsProxy: undefined, noProxy: undefined};

const transportSettings: TransportSettings = {
	connectTimeoutMs: 10_000,
	headerTimeoutMs: 20_000,
	idleTimeoutMs: 20_000,
	connections: 12,
	proxy: undefined,
	environment: noProxies,
	ca: undefined,
	cert: undefined,
	key: undefined,
	insecure: false,
	headers: {},
	authorize: undefined,
	redirects: 'safe',
	userAgent: 'imgmirror/0.0.0-test',
	instanceId: 'mirror-under-test',
};

export const sourceSettings: Omit<SourceSettings, 'urls'> = {
	name: 'upstream',
	type: 'imgapi',
	channel: undefined,
	connectTimeoutMs: 10_000,
	headerTimeoutMs: 20_000,
	idleTimeoutMs: 20_000,
	retries: 0,
	transfers: 4,
	bandwidth: 0,
	proxy: undefined,
	caFile: undefined,
	certFile: undefined,
	keyFile: undefined,
	insecure: false,
	auth: {kind: 'none'},
	headers: {},
	redirects: 'safe',
};

export function openTestSource(
	t: Scope,
	urls: string | readonly string[],
	options: Partial<SourceSettings> & {readonly host?: Host; readonly deps?: Partial<SourceDeps>} = {},
): WatchedSource {
	const {host = testHost({clock: hurriedClock}), deps, ...settings} = options;
	const source = openSource(
		{...sourceSettings, urls: typeof urls === 'string' ? [urls] : urls, ...settings},
		{host, userAgent: 'imgmirror/0.0.0-test', instanceId: 'mirror-under-test', environment: noProxies, ...deps},
	);
	t.teardown(() => void source.close());
	return source;
}

export function makeRemote(
	t: Scope,
	urls: string | readonly string[],
	settings: Partial<TransportSettings> = {},
	host: Host = testHost({clock: hurriedClock}),
): Remote {
	const addresses = (typeof urls === 'string' ? [urls] : urls).map(parseAddress);
	const transport = new Transport({
		source: 'upstream',
		clock: host.clock,
		addresses,
		settings: {...transportSettings, ...settings},
	});
	t.teardown(() => void transport.close());
	return new Remote(transport);
}

export function makeAddress(
	t: Scope,
	type: 'imgapi' | 'dsapi' | 'auto',
	url: string,
	options: {
		readonly settings?: Partial<TransportSettings>;
		readonly host?: Host;
		readonly retries?: number;
		readonly maxListBytes?: number;
	} = {},
): Source {
	const {host = testHost({clock: hurriedClock}), retries = 0, settings, maxListBytes} = options;
	const {base, channel} = parseAddress(url);
	const common = {
		name: 'upstream',
		base,
		remote: makeRemote(t, url, settings, host),
		retry: new Retry({host, retries}),
	};
	switch (type) {
		case 'imgapi':
			return new ImgapiSource({...common, channel, ...(maxListBytes === undefined ? {} : {maxListBytes})});
		case 'dsapi':
			return new DsapiSource(common);
		case 'auto':
			return new AutoSource({...common, channel});
	}
}

export function ask(signal: AbortSignal = new AbortController().signal): Ask {
	return {signal};
}

/** Reads a list to its end. */
export async function readList(
	source: Source,
	from: Ask = ask(),
): Promise<{readonly images: readonly Manifest[]; readonly end: ListEnd}> {
	const images: Manifest[] = [];
	const entries = source.list(from);
	for (;;) {
		const next = await entries.next();
		if (next.done) {
			return {images, end: next.value};
		}
		images.push(next.value);
	}
}

export async function readBody(body: FileBody): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of body.stream as AsyncIterable<Buffer>) {
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

export function manifestOf(image: TestManifest): Manifest {
	return parseManifest(image.text);
}

export function uuidOf(image: {readonly uuid: string}): Uuid {
	return image.uuid as Uuid;
}
