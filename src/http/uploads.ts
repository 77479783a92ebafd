/**
 * Uploads that survive their connection, by the tus protocol: made, gone on with, looked at, given up.
 *
 * What an upload is to become stands in its metadata: the file of an image that is there (`image`), or an image of its
 * own, described by the names that `/publish` has. When the last byte is there it becomes that, and the answer names the
 * image. The bytes, and what becomes of them, are the publish room's.
 */
import type {OutgoingHttpHeaders} from 'node:http';
import {ForbiddenError, InvalidParameterError, NotFoundError} from '../errors.js';
import {isUuid, type Manifest} from '../image/manifest.js';
import type {QueryParams} from '../image/query.js';
import type {MirrorApi} from '../mirror.js';
import type {Change, ResumableUpload, UploadPurpose} from '../publish/api.js';
import type {BaseUrlSettings} from './base-url.js';
import type {Exchange} from './exchange.js';
import {actorOf, type ImageRequests} from './image-requests.js';
import {readDescribed, readOffer, refuseUnknown} from './publish-stream-fields.js';
import {RequestError} from './request-error.js';
import type {GuardedHandler, Handler, Params, Route} from './routes.js';
import {
	announcedLength,
	checkTusVersion,
	discovery,
	fullHeaders,
	isTusType,
	numberHeader,
	parseMetadata,
	stateHeaders,
	tusType,
	tusVersion,
} from './uploads-headers.js';
import {UploadTurns} from './uploads-turns.js';

/** What clients say of any file, wanted or not. */
const ofTheClient: readonly string[] = ['filename', 'filetype', 'relativePath'];
const ofAFile: readonly string[] = ['image', 'compression', 'sha1', 'dataset_guid', 'storage', 'account', 'channel'];

export function uploadRoutes({
	mirror,
	images,
	settings,
}: {
	readonly mirror: MirrorApi;
	readonly images: ImageRequests;
	readonly settings: () => BaseUrlSettings;
}): readonly Route[] {
	const turns = new UploadTurns();
	const uploads = (): MirrorApi['publish']['uploads'] => mirror.publish.uploads;

	async function create(exchange: Exchange): Promise<void> {
		const {headers} = exchange;
		exchange.audit('begin upload');
		if (headers['upload-concat'] !== undefined) {
			throw new RequestError('BAD_REQUEST', 'uploads in parallel pieces are not taken');
		}
		const size = announcedLength(headers);
		const metadata = parseMetadata(headers['upload-metadata']?.toString());
		const {purpose, offer, account, channel} = readPurpose(metadata);
		if (purpose.kind === 'file') {
			exchange.audit('begin upload', purpose.image);
		}
		const upload = await uploads().create({
			size,
			purpose,
			offer,
			metadata: Object.fromEntries(metadata),
			change: {actor: actorOf(exchange), account, channel, ask: exchange.ask},
		});
		const {publicUrl, basePath} = settings();
		// Without a host, it is right behind any proxy.
		const Location = `${publicUrl ?? (exchange.target.belowBase ? basePath : '')}/uploads/${upload.id}`;
		await inTurn(exchange, upload.id, async () => {
			const begun = isTusType(headers) ? await receive(exchange, upload) : upload;
			await answer(exchange, 201, begun, {Location});
		});
	}

	async function append(exchange: Exchange, params: Params): Promise<void> {
		exchange.audit('upload');
		if (!isTusType(exchange.headers)) {
			throw new RequestError('UNSUPPORTED_MEDIA', `the bytes of an upload need the Content-Type ${tusType}`);
		}
		const offset = numberHeader(exchange.headers, 'upload-offset');
		if (offset === undefined) {
			throw new RequestError('BAD_REQUEST', 'Upload-Offset is missing');
		}
		const {id} = await find(exchange, params);
		await inTurn(exchange, id, async () => {
			// The one before may have gone on with it, or finished it.
			const upload = await sized(exchange, await find(exchange, params));
			if (upload.offset !== offset) {
				throw new RequestError('INVALID_ARGUMENT', `the upload goes on at byte ${upload.offset}, not at ${offset}`, {
					'Upload-Offset': String(upload.offset),
				});
			}
			await answer(exchange, 204, await receive(exchange, upload));
		});
	}

	/** Whoever asks by HEAD is about to go on: whatever still holds the upload is of the past. */
	async function look(exchange: Exchange, params: Params): Promise<void> {
		const found = await find(exchange, params);
		if (!exchange.head) {
			const {id, offset, size, image, metadata, expiresAtMs} = found;
			const expires = new Date(expiresAtMs).toISOString();
			exchange.json(
				200,
				{id, offset, size, metadata, ...(image === undefined ? {expires} : {image})},
				fullHeaders(found),
			);
			return;
		}
		await inTurn(exchange, found.id, async () => {
			const upload = await find(exchange, params);
			await answer(exchange, 200, upload, fullHeaders(upload));
		});
	}

	async function giveUp(exchange: Exchange, params: Params): Promise<void> {
		exchange.audit('give up upload');
		const {id} = await find(exchange, params);
		await inTurn(exchange, id, async () => {
			if (!(await uploads().remove(id))) {
				throw new NotFoundError(`there is no upload ${id}`);
			}
			exchange.empty(204);
		});
	}

	/** For clients that can send nothing but POST. */
	function overridden(exchange: Exchange, params: Params): Promise<void> {
		const method = exchange.headers['x-http-method-override']?.toString().toUpperCase();
		if (method === 'PATCH') {
			return append(exchange, params);
		}
		if (method === 'DELETE') {
			return giveUp(exchange, params);
		}
		throw new RequestError('METHOD_NOT_ALLOWED', 'POST needs X-HTTP-Method-Override here', {
			Allow: 'DELETE, GET, HEAD, OPTIONS, PATCH, POST',
		});
	}

	/** Throws NotFoundError where it is not, or no longer, and ForbiddenError for one that somebody else has begun. */
	async function find(exchange: Exchange, {upload: id = ''}: Params): Promise<ResumableUpload> {
		const upload = await uploads().get(id);
		if (upload === undefined) {
			throw new NotFoundError(`there is no upload ${id}`);
		}
		const {name, operator} = actorOf(exchange);
		if (upload.owner !== undefined && upload.owner !== name && !operator) {
			throw new ForbiddenError(`upload ${id} is somebody else's`);
		}
		return upload;
	}

	async function inTurn(exchange: Exchange, id: string, work: () => Promise<void>): Promise<void> {
		const end = await turns.take(id, () => exchange.cut('another request goes on with the upload'));
		try {
			await work();
		} finally {
			end();
		}
	}

	/** A size that was not known at first may come with any piece. */
	async function sized(exchange: Exchange, upload: ResumableUpload): Promise<ResumableUpload> {
		const size = numberHeader(exchange.headers, 'upload-length');
		if (size === undefined || size === upload.size) {
			return upload;
		}
		if (upload.size !== undefined || size < upload.offset) {
			throw new RequestError(
				'BAD_REQUEST',
				`the upload cannot have ${size} bytes: ${upload.size ?? upload.offset} are known`,
			);
		}
		return uploads().setSize(upload.id, size);
	}

	async function receive(exchange: Exchange, upload: ResumableUpload): Promise<ResumableUpload> {
		const left = upload.size === undefined ? Infinity : upload.size - upload.offset;
		if ((exchange.bodySize ?? 0) > left) {
			throw tooMuch(left);
		}
		if (left === 0 || exchange.bodySize === 0) {
			return upload;
		}
		return uploads().append(upload.id, upload.offset, atMost(left, exchange.requestBody()));
	}

	/** Of a whole upload, it is what became of it. One that was whole when the server went down becomes it now. */
	async function answer(
		exchange: Exchange,
		status: number,
		upload: ResumableUpload,
		headers: OutgoingHttpHeaders = {},
	): Promise<void> {
		if (upload.size === undefined || upload.offset < upload.size) {
			exchange.empty(status, {...headers, ...stateHeaders(upload)});
			return;
		}
		const image = upload.image ?? (await finish(exchange, upload)).uuid;
		exchange.note({image});
		const manifest = mirror.publish.get(image);
		const shown = {channels: images.showsChannels(exchange), admin: false};
		exchange.empty(status, {
			...headers,
			...stateHeaders({...upload, image}),
			...(manifest === undefined ? {} : {ETag: `"${images.rendered.of(manifest, shown).etag}"`}),
		});
	}

	async function finish(exchange: Exchange, {id, metadata}: ResumableUpload): Promise<Manifest> {
		const {account, channel} = readOffer(paramsOf(new Map(Object.entries(metadata))));
		// Whoever has sent all of it need not wait for what becomes of it.
		const ask: Change['ask'] = {signal: new AbortController().signal, requestId: exchange.id};
		exchange.audit('finish upload');
		const manifest = await uploads().finish(id, {actor: actorOf(exchange), account, channel, ask});
		exchange.audit('finish upload', manifest.uuid);
		return manifest;
	}

	const guarded = (handler: Handler): GuardedHandler => ({
		handler: (exchange, params) => {
			exchange.alsoSend = {'Tus-Resumable': tusVersion};
			checkTusVersion(exchange.headers);
			return handler(exchange, params);
		},
		auth: 'strict',
		right: 'publish',
	});
	// For people, who have no such header.
	const get: GuardedHandler = {handler: look, auth: 'strict', right: 'publish'};
	const OPTIONS: GuardedHandler = {handler: exchange => exchange.empty(204, discovery), auth: 'open'};
	return [
		{path: '/uploads', speaks: 'plain', methods: {OPTIONS, POST: guarded(create)}},
		{
			path: '/uploads/:upload',
			speaks: 'plain',
			methods: {
				OPTIONS,
				GET: get,
				HEAD: guarded(look),
				PATCH: guarded(append),
				DELETE: guarded(giveUp),
				POST: guarded(overridden),
			},
		},
	];
}

/** Throws InvalidParameterError or ValidationError for what cannot become an image. */
function readPurpose(
	metadata: ReadonlyMap<string, string>,
): {readonly purpose: UploadPurpose} & Omit<ReturnType<typeof readDescribed>, 'image'> {
	const params = paramsOf(metadata);
	const image = metadata.get('image');
	if (image === undefined) {
		const {image: whole, ...rest} = readDescribed(params);
		return {purpose: {kind: 'image', image: whole}, ...rest};
	}
	refuseUnknown(params, ofAFile);
	if (!isUuid(image)) {
		throw new InvalidParameterError('image is no uuid', [{field: 'image', code: 'Invalid'}]);
	}
	return {purpose: {kind: 'file', image}, ...readOffer(params)};
}

function paramsOf(metadata: ReadonlyMap<string, string>): QueryParams {
	const ours = [...metadata].filter(([name]) => !ofTheClient.includes(name));
	return new Map(ours.map(([name, value]) => [name, [value]]));
}

async function* atMost(left: number, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
	let bytes = 0;
	for await (const piece of body) {
		bytes += piece.length;
		if (bytes > left) {
			throw tooMuch(left);
		}
		yield piece;
	}
}

function tooMuch(left: number): RequestError {
	return new RequestError('TOO_LARGE', `the upload takes ${left} bytes more at most, as it was announced`);
}
