/**
 * A whole mirror with one upstream, as the tests of what joins the parts need it: asked over HTTP as an operator.
 */
import {readFile, stat, utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {EventType, MirrorEvent} from '../../src/host.js';
import type {ImageRow, StorageReport, VerifyEvent} from '../../src/mirror-operate-api.js';
import type {TestImage} from '../helpers/make-image.js';
import {startMirror, type TestMirror} from '../helpers/start-mirror.js';
import {startUpstream, type Upstream} from '../helpers/start-upstream.js';
import type {Scope} from '../helpers/temp-dir.js';

export const operator = {networks: [{cidrs: ['127.0.0.1'], may: ['operate']}]};

export interface Site {
	readonly upstream: Upstream;
	readonly mirror: TestMirror;
}

export async function startSite(
	t: Scope,
	images: readonly TestImage[],
	{source = {}, config = {}}: {readonly source?: object; readonly config?: object} = {},
): Promise<Site> {
	const upstream = await startUpstream(t, {images, kind: 'both'});
	const mirror = await startMirror(t, {
		sources: [{name: 'up', url: upstream.url, type: 'imgapi', listTtl: '1s', ...source}],
		config: {access: operator, store: {minFree: '0'}, ...config},
	});
	return {upstream, mirror};
}

/** As a client, and waits until the mirror is done with it, too. */
export async function fetched(mirror: TestMirror, image: TestImage): Promise<string> {
	const answer = await mirror.file(image);
	if (!answer.body.equals(image.bytes)) {
		throw new Error(`${image.uuid}: ${answer.status} ${answer.text.slice(0, 200)}`);
	}
	await mirror.idle();
	return String(answer.headers['x-cache']);
}

export async function post<T>(mirror: TestMirror, at: string, body: object = {}): Promise<T> {
	const answer = await mirror.get(at, {method: 'POST', body: JSON.stringify(body)});
	if (answer.status >= 300) {
		throw new Error(`${at}: ${answer.status} ${answer.text}`);
	}
	return answer.json() as T;
}

export async function rowOf(mirror: TestMirror, image: TestImage): Promise<ImageRow | undefined> {
	const rows = (await mirror.get('/mirror/images')).json() as readonly ImageRow[];
	return rows.find(({uuid}) => uuid === image.uuid);
}

export async function storage(mirror: TestMirror): Promise<StorageReport> {
	return (await mirror.get('/mirror/storage?files=all')).json() as StorageReport;
}

export async function verify(mirror: TestMirror, ...images: readonly TestImage[]): Promise<readonly VerifyEvent[]> {
	const uuids = images.map(({uuid}) => uuid);
	const answer = await mirror.get('/mirror/verify', {method: 'POST', body: JSON.stringify({uuids})});
	return answer.text
		.trim()
		.split('\n')
		.map(line => JSON.parse(line) as VerifyEvent);
}

/** The uuids that clients are shown. */
export async function listed(mirror: TestMirror): Promise<readonly string[]> {
	return ((await mirror.get('/images')).json() as readonly {uuid: string}[]).map(({uuid}) => uuid);
}

/** All that is told from now on. */
export function eventsOf(mirror: TestMirror): (type: EventType) => readonly MirrorEvent[] {
	const events: MirrorEvent[] = [];
	mirror.host.events.listen(event => events.push(event));
	return type => events.filter(event => event.type === type);
}

/** Resolves once it is so. */
export async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
	while (!(await isSo())) {
		await new Promise(resolve => setImmediate(resolve));
	}
}

/** One bit, as a disk forgets it: size and date stay as they were. */
export async function rot(mirror: TestMirror, {sha1}: TestImage): Promise<void> {
	const file = path.join(mirror.data, 'blobs', sha1.slice(0, 2), sha1);
	const bytes = await readFile(file);
	const {atime, mtime} = await stat(file);
	bytes[500] = (bytes[500] ?? 0) ^ 1;
	await writeFile(file, bytes);
	await utimes(file, atime, mtime);
}
