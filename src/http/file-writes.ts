/**
 * What fills images: their files and icons, from a request's body, another server or a URL (contract 6.6 and 6.11).
 *
 * Bodies are handed on as they come, and not before the publish room asks for them: a client that waits for "100
 * Continue" hears of a refusal before it sends anything.
 */
import {InvalidParameterError} from '../errors.js';
import {isObject} from '../image/json-text.js';
import {scalarParam} from '../image/query.js';
import type {MirrorApi} from '../mirror.js';
import type {FileOffer} from '../publish/api.js';
import {typedBody} from './bodies.js';
import type {Exchange} from './exchange.js';
import {uuidOf, type ImageRequests} from './image-requests.js';
import {strict, type Params, type Route} from './routes.js';

export function fileWrites(options: {readonly mirror: MirrorApi; readonly images: ImageRequests}): readonly Route[] {
	const {mirror, images} = options;
	const {publish} = mirror;

	async function addFile(exchange: Exchange, params: Params): Promise<void> {
		const uuid = uuidOf(params);
		note(exchange, 'add-file', params);
		const {shown, ...how} = images.change(exchange);
		const source = scalarParam(exchange.query, 'source') || undefined;
		const manifest =
			source === undefined
				? await publish.addFile(uuid, fileOffer(exchange), how)
				: await publish.addFileFrom(uuid, source, how);
		images.answer(exchange, manifest, shown);
	}

	async function addFileFromUrl(exchange: Exchange, params: Params): Promise<void> {
		note(exchange, 'add-file-from-url', params);
		const {shown, ...how} = images.change(exchange);
		const offer = describedFile(exchange);
		const body = await typedBody(exchange);
		const url = isObject(body) && Object.hasOwn(body, 'file_url') ? body['file_url'] : undefined;
		images.answer(exchange, await publish.addFileFromUrl(uuidOf(params), url, offer, how), shown);
	}

	async function addIcon(exchange: Exchange, params: Params): Promise<void> {
		note(exchange, 'add-icon', params);
		const {shown, ...how} = images.change(exchange);
		if (scalarParam(exchange.query, 'storage') !== undefined && how.account !== undefined) {
			const message = 'is for operators to say';
			throw new InvalidParameterError(`storage ${message}`, [{field: 'storage', code: 'NotAllowed', message}]);
		}
		const icon = {
			contentType: exchange.headers['content-type'],
			sha1: scalarParam(exchange.query, 'sha1') || undefined,
			size: exchange.bodySize,
			body: exchange.requestBody(),
		};
		images.answer(exchange, await publish.addIcon(uuidOf(params), icon, how), shown);
	}

	async function deleteIcon(exchange: Exchange, params: Params): Promise<void> {
		note(exchange, 'delete-icon', params);
		const {shown, ...how} = images.change(exchange);
		images.answer(exchange, await publish.deleteIcon(uuidOf(params), how), shown);
	}

	const imgapi = {speaks: 'imgapi', json: true} as const;
	return [
		{...imgapi, path: '/images/:uuid/file', methods: {PUT: strict(addFile)}},
		{...imgapi, path: '/images/:uuid/file/from-url', methods: {POST: strict(addFileFromUrl)}},
		{
			...imgapi,
			path: '/images/:uuid/icon',
			methods: {PUT: strict(addIcon), POST: strict(addIcon), DELETE: strict(deleteIcon)},
		},
	];
}

/** A body that is a file, and what the query says of it. */
export function fileOffer(exchange: Exchange): FileOffer {
	return {...describedFile(exchange), size: exchange.bodySize, body: exchange.requestBody()};
}

/** Clients that have nothing to say often say it, as `dataset_guid=`. */
export function describedFile({query}: Exchange): Omit<FileOffer, 'body' | 'size'> {
	return {
		compression: scalarParam(query, 'compression') || undefined,
		sha1: scalarParam(query, 'sha1') || undefined,
		datasetGuid: scalarParam(query, 'dataset_guid') || undefined,
		storage: scalarParam(query, 'storage') || undefined,
	};
}

function note(exchange: Exchange, action: string, params: Params): void {
	const uuid = uuidOf(params);
	exchange.note({image: uuid});
	exchange.audit(action, uuid);
}
