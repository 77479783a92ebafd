/**
 * What only operators ask for: the server's state, its keys read anew (contract 6.17), and what an older server kept,
 * adopted.
 *
 * Adopting reads any folder that this process can, so it is there for the CLI of the same account alone.
 */
import type {Right} from '../access/caller.js';
import {ForbiddenError, InvalidParameterError} from '../errors.js';
import type {Logger} from '../host.js';
import {isObject} from '../image/json-text.js';
import {scalarParam} from '../image/query.js';
import type {MirrorApi} from '../mirror.js';
import type {AdoptRequest} from '../publish/api.js';
import {jsonBody} from './bodies.js';
import type {Gate} from './callers.js';
import type {Exchange} from './exchange.js';
import type {ImageRequests} from './image-requests.js';
import {RequestError} from './request-error.js';
import {strict, type Route} from './routes.js';

const hows: ReadonlyMap<unknown, AdoptRequest['how']> = new Map(
	(['copy', 'link', 'move'] as const).map(how => [how, how]),
);

export function adminRoutes(options: {
	readonly mirror: MirrorApi;
	readonly images: ImageRequests;
	readonly access: Gate;
	readonly log: Logger;
}): readonly Route[] {
	const {mirror, images, access, log} = options;

	async function getState(exchange: Exchange): Promise<void> {
		const state = {
			cache: {manifests: images.rendered.size},
			log: {level: log.level},
			storageTypes: ['local'],
			db: {type: 'local', images: mirror.publish.list().length},
			mirror: await mirror.status(),
		};
		exchange.json(200, state, {'Cache-Control': 'no-store'});
	}

	function updateState(exchange: Exchange): void {
		const action = scalarParam(exchange.query, 'action') || undefined;
		exchange.audit(`state ${action ?? 'none'}`);
		if (action === undefined) {
			throw new RequestError('MISSING_ARGUMENT', 'action is missing');
		}
		if (action !== 'dropcaches') {
			throw new RequestError('INVALID_ARGUMENT', `there is no action ${action}`);
		}
		images.rendered.clear();
		exchange.empty(202);
	}

	async function reloadKeys(exchange: Exchange): Promise<void> {
		exchange.audit('reload-auth-keys');
		await access.reload();
		exchange.json(200, {});
	}

	/** One line of JSON for each event, as it comes. Whoever leaves stops it after the image that is under way. */
	async function adopt(exchange: Exchange): Promise<void> {
		exchange.audit('adopt');
		if (exchange.peer.kind !== 'control') {
			throw new ForbiddenError('folders of this machine are adopted by its own command line only');
		}
		const events = mirror.publish.adopt(readAdopt(await jsonBody(exchange)), images.change(exchange));
		// What is wrong from the start can still be answered as an error.
		const first = await events.next();
		exchange.begin(200, {'Content-Type': 'application/x-ndjson'});
		if (first.done !== true) {
			await exchange.write(line(first.value));
			for await (const event of events) {
				await exchange.write(line(event));
			}
		}
		exchange.end();
	}

	const operate: Right = 'operate';
	const imgapi = {speaks: 'imgapi', json: true} as const;
	return [
		{...imgapi, path: '/state', methods: {GET: strict(getState, operate), POST: strict(updateState, operate)}},
		{...imgapi, path: '/authkeys/reload', methods: {POST: strict(reloadKeys, operate)}},
		{speaks: 'plain', path: '/adopt', methods: {POST: strict(adopt, operate)}},
	];
}

function readAdopt(body: unknown): AdoptRequest {
	const fields = isObject(body) ? body : {};
	const {directory, dryRun = false} = fields;
	const how = hows.get(fields['how'] ?? 'copy');
	if (typeof directory !== 'string' || !directory.startsWith('/')) {
		throw invalid('directory', 'must be an absolute path');
	}
	if (how === undefined) {
		throw invalid('how', 'must be copy, link or move');
	}
	if (typeof dryRun !== 'boolean') {
		throw invalid('dryRun', 'must be true or false');
	}
	return {directory, how, dryRun};
}

function invalid(field: string, message: string): InvalidParameterError {
	return new InvalidParameterError(`${field} ${message}`, [{field, code: 'Invalid', message}]);
}

function line(event: object): Buffer {
	return Buffer.from(`${JSON.stringify(event)}\n`);
}
