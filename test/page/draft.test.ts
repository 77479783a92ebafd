/**
 * The publish form without a browser: what is typed as a manifest and as an upload's metadata, and the upload itself.
 */
import test from 'ava';
import {readDescribed} from '../../src/http/publish-stream-fields.js';
import {ApiError, noAnswer} from '../../src/page/api-error.js';
import {
	compressionOf,
	emptyDraft,
	manifestOf,
	metadataOf,
	problemsIn,
	systems,
	types,
	usualType,
	withFileName,
	type Draft,
} from '../../src/page/draft.js';
import {encodeMetadata, TusUpload, type TusAnswer, type TusHooks, type TusRequest} from '../../src/page/tus.js';

const draft: Draft = {
	...emptyDraft,
	...{name: 'web', version: '1.0.0', os: 'linux', type: 'lx-dataset', description: 'Wëb, one', public: true},
	...{homepage: 'https://example.com', minRam: '512', maxRam: '2048', minPlatform: '20240101T000000Z', brand: 'lx'},
	...{sshKey: true, tags: 'role=web\n\n kernel = 6.1 \n', channel: 'dev', activate: false},
	origin: '63d6e664-3f1f-11e8-aef6-a3120cf8dd9d',
};

test('what is sent with an upload is the manifest that was checked', t => {
	const metadata = metadataOf(draft, {name: 'web.zfs.gz', compression: 'gzip'});
	// The mirror's own reader: a name that it does not know it refuses.
	const read = readDescribed(
		new Map([...metadata].filter(([name]) => name !== 'filename').map(([name, value]) => [name, [value]])),
	);
	const {v, ...manifest} = manifestOf(draft);
	t.is(v, 2);
	t.deepEqual(read.image.manifest, manifest);
	t.is(read.image.activate, false);
	t.is(read.channel, 'dev');
	t.is(read.offer.compression, 'gzip');
});

test('a zvol has what only zvols have', t => {
	const zvol = {...emptyDraft, name: 'bsd', version: '14', os: 'bsd', type: usualType('bsd'), imageSize: '10240'};
	t.like(manifestOf(zvol), {nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 10_240});
	t.false('image_size' in manifestOf({...zvol, type: 'zone-dataset'}));
	const metadata = metadataOf(zvol, {name: 'x', compression: 'none'});
	const read = readDescribed(
		new Map([...metadata].filter(([name]) => name !== 'filename').map(([name, value]) => [name, [value]])),
	);
	t.like(read.image.manifest, {image_size: 10_240});
	t.true(systems.every(os => (types as readonly string[]).includes(usualType(os))));
});

test('empty fields are left out, and what cannot be sent is found before it is', t => {
	t.deepEqual(manifestOf(emptyDraft), {v: 2, public: false, type: 'zone-dataset', os: 'smartos'});
	t.deepEqual(problemsIn(draft), []);
	t.deepEqual(
		problemsIn({...draft, minRam: 'much', tags: 'no value\na b=1\nc,d=2\nok=1'}).map(({field}) => field),
		['requirements.min_ram', 'tags', 'tags', 'tags'],
	);
	t.like(manifestOf({...draft, minRam: 'much'}), {requirements: {min_ram: 'much'}});
});

test('names and compressions are seen from the file', t => {
	t.like(withFileName(emptyDraft, 'web-1.2.3.zfs.gz'), {name: 'web', version: '1.2.3'});
	t.like(withFileName(emptyDraft, 'base-64-lts-22.4.0.zfs.xz'), {name: 'base-64-lts', version: '22.4.0'});
	t.like(withFileName(emptyDraft, 'disk.img'), {name: 'disk', version: ''});
	t.like(withFileName({...emptyDraft, name: 'mine', version: '9'}, 'web-1.2.3.gz'), {name: 'mine', version: '9'});
	t.is(compressionOf(Uint8Array.from([0x1f, 0x8b, 8])), 'gzip');
	t.is(compressionOf(Uint8Array.from([0x42, 0x5a, 0x68, 0x39])), 'bzip2');
	t.is(compressionOf(Uint8Array.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])), 'xz');
	t.is(compressionOf(new Uint8Array(0)), 'none');
});

test('metadata is written as the protocol wants it', t => {
	t.is(
		encodeMetadata(
			new Map([
				['name', 'Wëb'],
				['empty', ''],
			]),
		),
		`name ${Buffer.from('Wëb').toString('base64')},empty`,
	);
});

/** A server of uploads that answers as it is told, in memory. */
class Server {
	offset = 0;
	readonly log: string[] = [];
	readonly waits: number[] = [];
	ids = 0;
	known = new Set<string>();
	/** What happens to the next requests, one each; `undefined`: all goes well. */
	readonly faults: (((request: TusRequest) => TusAnswer) | undefined)[] = [];

	constructor(readonly size: number) {}

	readonly transport = async (request: TusRequest): Promise<TusAnswer> => {
		const {method, headers, body, onSent} = request;
		this.log.push(`${method} ${headers['upload-offset'] ?? ''}`.trim());
		const fault = this.faults.shift();
		if (fault !== undefined) {
			return fault(request);
		}
		if (method === 'POST') {
			this.offset = 0;
			this.known.add(`id-${++this.ids}`);
			return reply(201, {location: `/base/uploads/id-${this.ids}`});
		}
		if (!this.known.has(request.path.slice('uploads/'.length))) {
			return reply(404);
		}
		if (method === 'PATCH') {
			onSent?.(body?.size ?? 0);
			this.offset += body?.size ?? 0;
		}
		return reply(method === 'HEAD' ? 200 : 204, {
			'upload-offset': String(this.offset),
			...(this.offset === this.size ? {'x-image': 'the-image'} : {}),
		});
	};

	upload(): TusUpload {
		return new TusUpload({
			transport: this.transport,
			pause: async ms => {
				this.waits.push(ms);
			},
			sliceBytes: 100,
		});
	}
}

function reply(status: number, headers: Readonly<Record<string, string>> = {}): TusAnswer {
	return {status, body: '', header: name => headers[name]};
}

const signal = new AbortController().signal;

interface Told {
	readonly begun: string[];
	readonly progress: number[];
	readonly problems: number[];
}

function hooks(): {readonly told: Told; readonly hooks: TusHooks} {
	const told: Told = {begun: [], progress: [], problems: []};
	return {
		told,
		hooks: {
			begun: id => told.begun.push(id),
			progress: bytes => told.progress.push(bytes),
			waiting: (_, {status}) => told.problems.push(status),
		},
	};
}

const file = new Blob([new Uint8Array(250)]);
const metadata = new Map([['name', 'web']]);

test('a file goes in slices, and the last one tells what it became', async t => {
	const server = new Server(250);
	const {told, hooks: listeners} = hooks();
	t.is(await server.upload().send({file, metadata}, listeners, signal), 'the-image');
	t.deepEqual(server.log, ['POST', 'HEAD', 'PATCH 0', 'PATCH 100', 'PATCH 200']);
	t.deepEqual(told.begun, ['id-1']);
	t.is(told.progress.at(-1), 250);
	t.deepEqual(server.waits, []);
});

test('what breaks is gone on with from where the server is, after longer and longer waits', async t => {
	const server = new Server(250);
	const {told, hooks: listeners} = hooks();
	const cut = (): never => {
		throw noAnswer();
	};
	server.faults.push(
		undefined,
		undefined,
		request => {
			// The half arrived before the line broke.
			server.offset += (request.body?.size ?? 0) / 2;
			return cut();
		},
		cut,
		() => reply(503),
	);
	t.is(await server.upload().send({file, metadata}, listeners, signal), 'the-image');
	t.deepEqual(server.log, ['POST', 'HEAD', 'PATCH 0', 'HEAD', 'HEAD', 'HEAD', 'PATCH 50', 'PATCH 150']);
	t.deepEqual(server.waits, [1000, 2000, 4000]);
	t.deepEqual(told.problems, [0, 0, 503]);
});

test('an upload of an earlier visit is gone on with, and one that is forgotten begins anew', async t => {
	const server = new Server(250);
	server.known.add('before');
	server.offset = 200;
	t.is(await server.upload().send({file, metadata, id: 'before'}, hooks().hooks, signal), 'the-image');
	t.deepEqual(server.log, ['HEAD', 'PATCH 200']);

	const other = new Server(250);
	const {told, hooks: listeners} = hooks();
	t.is(await other.upload().send({file, metadata, id: 'gone'}, listeners, signal), 'the-image');
	t.deepEqual(told.begun, ['id-1']);
	t.is(await other.upload().standing('gone', signal), undefined);
	t.deepEqual(await other.upload().standing('id-1', signal), {offset: 250, image: 'the-image'});
});

test('another byte than thought is asked for again; what cannot be is said at once', async t => {
	const server = new Server(250);
	server.faults.push(undefined, undefined, () => reply(409));
	t.is(await server.upload().send({file, metadata}, hooks().hooks, signal), 'the-image');

	for (const status of [400, 401, 403, 413, 422]) {
		const refusing = new Server(250);
		refusing.faults.push(() => reply(status));
		const error = await t.throwsAsync(refusing.upload().send({file, metadata}, hooks().hooks, signal), {
			instanceOf: ApiError,
		});
		t.is(error.status, status);
	}
	const strange = new Server(250);
	strange.faults.push(() => reply(201, {location: ''}));
	await t.throwsAsync(strange.upload().send({file, metadata}, hooks().hooks, signal), {message: /no resumable/});
});

test('who stops it is not tried again for', async t => {
	const server = new Server(250);
	const stop = new DOMException('stopped', 'AbortError');
	server.faults.push(undefined, undefined, () => {
		throw stop;
	});
	t.is(
		await server
			.upload()
			.send({file, metadata}, hooks().hooks, signal)
			.catch((error: unknown) => error),
		stop,
	);
	t.is(server.waits.length, 0);
});
