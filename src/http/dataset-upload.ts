/**
 * DSAPI as far as it is written (contract 11.1, 11.3): a manifest and its file in one form, and the end of a dataset.
 *
 * The file goes to disk as it comes, so the manifest must come before it. An image that is there is not replaced: hosts
 * know it by its uuid and would never look again. Reading is in `datasets.ts`.
 */
import {createHash, randomUUID} from 'node:crypto';
import {
	ForbiddenError,
	IntegrityError,
	InvalidParameterError,
	NotFoundError,
	RefusedError,
	ValidationError,
	type FieldFault,
} from '../errors.js';
import {datasetText} from '../image/dataset.js';
import {isObject, prettyJson, readCompact} from '../image/json-text.js';
import {isUuid, type JsonObject, type Manifest, type Uuid} from '../image/manifest.js';
import {scalarParam} from '../image/query.js';
import type {MirrorApi} from '../mirror.js';
import type {Change} from '../publish/api.js';
import {baseUrl} from './base-url.js';
import {maxTextBytes} from './bodies.js';
import type {DatasetSettings} from './datasets.js';
import type {Exchange} from './exchange.js';
import {actorOf} from './image-requests.js';
import {readForm, type Part} from './multipart.js';
import {RequestError} from './request-error.js';
import type {GuardedHandler, Handler, Params, Route} from './routes.js';

type Parts = AsyncGenerator<Part, void, undefined>;

const nobody = '00000000-0000-0000-0000-000000000000';
/** What dsapid writes into its manifests for itself, and what no form can bring. */
const ofOtherServers: ReadonlySet<string> = new Set(['provider', 'builder_info', 'metadata_info', 'sync_info', 'icon']);
const compressions: ReadonlyMap<string, string> = new Map([
	['gz', 'gzip'],
	['bz2', 'bzip2'],
	['xz', 'xz'],
]);

export function datasetUploadRoutes({
	mirror,
	settings,
}: {
	readonly mirror: MirrorApi;
	readonly settings: () => DatasetSettings;
}): readonly Route[] {
	async function put(exchange: Exchange, {id}: Params): Promise<void> {
		if (!isUuid(id)) {
			throw new NotFoundError(`${id ?? ''} is no uuid`);
		}
		await upload(exchange, id);
	}

	/** As dsapid has it: the uuid is in the manifest, or a new one is made. */
	function post(exchange: Exchange): Promise<void> {
		return upload(exchange, undefined);
	}

	async function upload(exchange: Exchange, uuid: Uuid | undefined): Promise<void> {
		exchange.audit('upload dataset', uuid);
		const parts = readForm(exchange.headers['content-type'], exchange.requestBody());
		let manifest: Manifest;
		try {
			manifest = await publish(exchange, uuid, parts);
		} catch (error) {
			throw inDatasetTerms(error);
		} finally {
			await parts.return();
		}
		exchange.audit('upload dataset', manifest.uuid);
		exchange.note({image: manifest.uuid});
		const text = datasetText(manifest, settings().datasetNames)(baseUrl(exchange, settings()));
		exchange.json(200, Buffer.from(prettyJson(text)), {
			ETag: `"${createHash('sha1').update(text).digest('hex')}"`,
			'X-Image': manifest.uuid,
		});
	}

	async function publish(exchange: Exchange, uuid: Uuid | undefined, parts: Parts): Promise<Manifest> {
		const given = await readManifest(parts);
		// Like any image it needs one; who names none has it made here.
		const manifest = forImport(given, uuid ?? (given['uuid'] === undefined ? (randomUUID() as Uuid) : undefined));
		const file = firstFile(manifest);
		const body = fileBody(await filePart(parts, file.path), parts);
		return mirror.publish.publishFile(
			{manifest, adopt: false, activate: true},
			{
				compression: file.compression,
				sha1: file.sha1,
				datasetGuid: file.guid,
				storage: undefined,
				size: file.size,
				body,
			},
			changeOf(exchange),
		);
	}

	async function remove(exchange: Exchange, {id}: Params): Promise<void> {
		if (!isUuid(id)) {
			throw new NotFoundError(`there is no dataset ${id ?? ''}`);
		}
		exchange.audit('delete dataset', id);
		exchange.note({image: id});
		try {
			// A dataset is in no channel: who deletes it means all of it.
			await mirror.publish.delete(id, {forceAllChannels: true}, changeOf(exchange));
		} catch (error) {
			throw inDatasetTerms(error);
		}
		exchange.empty(204);
	}

	const guarded = (handler: Handler): GuardedHandler => ({handler, auth: 'strict', right: 'publish'});
	return [
		{path: '/datasets/:id', speaks: 'dsapi', json: true, methods: {PUT: guarded(put), DELETE: guarded(remove)}},
		{path: '/api/upload', speaks: 'plain', json: true, methods: {POST: guarded(post)}},
	];
}

function changeOf(exchange: Exchange): Change {
	const {query, ask} = exchange;
	const given = (name: string): string | undefined => scalarParam(query, name) || undefined;
	return {actor: actorOf(exchange), account: given('account'), channel: given('channel'), ask};
}

async function readManifest(parts: Parts): Promise<JsonObject> {
	const part = await next(parts);
	if (part?.name !== 'manifest') {
		const found = part === undefined ? 'there is none' : `it is called ${JSON.stringify(part.name)}`;
		throw new RequestError('BAD_REQUEST', `the first part of the form must be the manifest: ${found}`);
	}
	const pieces: Buffer[] = [];
	let length = 0;
	for await (const piece of part.body) {
		length += piece.length;
		if (length > maxTextBytes) {
			throw new RequestError('TOO_LARGE', `the manifest is larger than ${maxTextBytes} bytes`);
		}
		pieces.push(piece);
	}
	const {value} = readCompact(Buffer.concat(pieces).toString());
	if (!isObject(value)) {
		throw new RequestError('BAD_REQUEST', 'the manifest is no object');
	}
	return value;
}

async function next(parts: Parts): Promise<Part | undefined> {
	const result = await parts.next();
	return result.done === true ? undefined : result.value;
}

/** The manifest as it would come from an IMGAPI client: with what a DSAPI server fills in, without what it drops. */
function forImport(given: JsonObject, uuid: Uuid | undefined): JsonObject {
	if (uuid !== undefined && given['uuid'] !== undefined && given['uuid'] !== uuid) {
		throw new RequestError('BAD_REQUEST', `the manifest's uuid is not ${uuid}, the one in the path`);
	}
	const named = Object.entries(given).filter(([name]) => !ofOtherServers.has(name));
	const manifest: JsonObject = {...Object.fromEntries(named), ...(uuid === undefined ? {} : {uuid})};
	const {v, ...rest} = manifest;
	if (v !== undefined && v !== null && !(Number(v) < 2)) {
		return manifest;
	}
	if (rest['owner'] !== undefined) {
		return {...rest, v: 2};
	}
	const isVolume = rest['type'] === 'zvol';
	return {...(isVolume ? {cpu_type: 'qemu64'} : {}), ...rest, creator_uuid: rest['creator_uuid'] ?? nobody};
}

interface ToldFile {
	readonly path: string | undefined;
	readonly compression: string | undefined;
	readonly sha1: string | undefined;
	readonly guid: string | undefined;
	readonly size: number | undefined;
}

/** Throws RequestError for no file, or several. */
function firstFile(manifest: JsonObject): ToldFile {
	const files: unknown = manifest['files'];
	const [file, ...more] = Array.isArray(files) ? (files as unknown[]) : [];
	if (!isObject(file) || more.length > 0) {
		throw new RequestError('BAD_REQUEST', 'the manifest must name one file, with its sha1 and size');
	}
	const text = (name: string): string | undefined => {
		const value = file[name];
		return typeof value === 'string' && value !== '' ? value : undefined;
	};
	const path = text('path');
	const {size} = file;
	if (size !== undefined && (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)) {
		throw new RequestError('BAD_REQUEST', "the file's size is no number of bytes");
	}
	return {
		path,
		// v1 tells it by the name.
		compression: text('compression') ?? compressions.get(path?.split('.').at(-1) ?? ''),
		sha1: text('sha1'),
		guid: text('dataset_guid'),
		size,
	};
}

/** The part that is the file: called by its path, or `file`. Where the manifest has no path, any name will do. */
async function filePart(parts: Parts, path: string | undefined): Promise<Part> {
	const part = await next(parts);
	if (part === undefined) {
		throw new RequestError('BAD_REQUEST', `the form has no part for the file ${path ?? ''}`.trimEnd());
	}
	if (path !== undefined && part.name !== 'file' && part.name !== path && part.name !== escaped(path)) {
		const [wanted, found] = [JSON.stringify(path), JSON.stringify(part.name)];
		throw new RequestError('BAD_REQUEST', `the part after the manifest must be its file ${wanted}, not ${found}`);
	}
	return part;
}

/** As browsers and curl write it where a name stands between quotes. */
function escaped(path: string): string {
	return path.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** Comes to its end only where the form does: until then, nothing is published. */
async function* fileBody(part: Part, parts: Parts): AsyncGenerator<Buffer, void, undefined> {
	yield* part.body;
	const further = await next(parts);
	if (further !== undefined) {
		throw new RequestError('BAD_REQUEST', `the form has a part too many: ${JSON.stringify(further.name)}`);
	}
}

/** What IMGAPI has statuses of its own for is 400 here, and somebody else's dataset 403. */
function inDatasetTerms(error: unknown): unknown {
	if (error instanceof ValidationError || error instanceof InvalidParameterError) {
		return new RequestError('BAD_REQUEST', [error.message, ...error.errors.map(fault)].join('; '), {}, {cause: error});
	}
	if (error instanceof IntegrityError) {
		return new RequestError('BAD_REQUEST', `the manifest cannot be used: ${error.message}`, {}, {cause: error});
	}
	if (error instanceof RefusedError && error.refusal === 'NotImageOwner') {
		return new ForbiddenError(error.message, {cause: error});
	}
	if (error instanceof RefusedError && error.refusal === 'OriginDoesNotExist') {
		return new RequestError('BAD_REQUEST', error.message, {}, {cause: error});
	}
	return error;
}

function fault({field, code, message}: FieldFault): string {
	return `${field}: ${message ?? code}`;
}
