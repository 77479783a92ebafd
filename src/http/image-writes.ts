/**
 * IMGAPI's verbs on images (contract 6.5 and 6.7 to 6.19): what a request asks for becomes one call of the publish room.
 *
 * Files and icons are in `file-writes.ts`. The rules of manifests, states, owners and channels are the publish room's;
 * here is which endpoint wants which parameters, and what a server like ours does not do at all.
 */
import {InvalidParameterError, RefusedError, ValidationError, type FieldFault} from '../errors.js';
import {servedText, type Manifest, type Uuid} from '../image/manifest.js';
import {prettyJson} from '../image/json-text.js';
import {booleanParam, scalarParam} from '../image/query.js';
import type {MirrorApi} from '../mirror.js';
import type {Change} from '../publish/api.js';
import {baseUrl, type BaseUrlSettings} from './base-url.js';
import {typedBody} from './bodies.js';
import type {Exchange} from './exchange.js';
import {uuidOf, type ImageRequests} from './image-requests.js';
import {strict, type Params, type Route} from './routes.js';

type Action = (exchange: Exchange, uuid: Uuid) => Promise<void>;

export interface ImageWriteOptions {
	readonly mirror: MirrorApi;
	readonly images: ImageRequests;
	readonly settings: () => BaseUrlSettings;
}

export function imageWrites({mirror, images, settings}: ImageWriteOptions): readonly Route[] {
	const {publish} = mirror;

	/** A verb that answers with the image as it is then. */
	function verb(change: (uuid: Uuid, how: Change, exchange: Exchange) => Promise<Manifest>): Action {
		return async (exchange, uuid) => {
			const {shown, ...how} = images.change(exchange);
			images.answer(exchange, await change(uuid, how, exchange), shown);
		};
	}

	async function create(exchange: Exchange): Promise<void> {
		const action = scalarParam(exchange.query, 'action') || undefined;
		if (action !== undefined) {
			exchange.audit(action);
			throw notMadeHere.has(action)
				? new RefusedError('NotAvailable', `this server has no machines or registries at hand for ${action}`)
				: wrongAction(action);
		}
		exchange.audit('create');
		const {shown, ...how} = images.change(exchange);
		// Of a wrong channel a client hears before anybody has looked at its manifest.
		images.checkWriteChannel(exchange);
		const manifest = await publish.create(await typedBody(exchange), how);
		noteImage(exchange, 'create', manifest.uuid);
		images.answer(exchange, manifest, shown);
	}

	const actions = new Map<string, Action>([
		['activate', verb((uuid, how) => publish.activate(uuid, how))],
		['enable', verb((uuid, how) => publish.enable(uuid, how))],
		['disable', verb((uuid, how) => publish.disable(uuid, how))],
		['update', verb(async (uuid, how, exchange) => publish.update(uuid, await typedBody(exchange), how))],
		['import', verb(importImage)],
		['import-remote', importRemote],
		['import-from-datacenter', importFromDatacenter],
		['change-stor', changeStor],
		['export', exportImage],
	]);

	async function importImage(uuid: Uuid, how: Change, exchange: Exchange): Promise<Manifest> {
		booleanParam(exchange.query, 'skip_owner_check');
		const source = scalarParam(exchange.query, 'source') || undefined;
		if (source !== undefined) {
			return publish.importFrom(uuid, source, how);
		}
		const userAgent = exchange.headers['user-agent'];
		const fields = await typedBody(exchange);
		return publish.importImage(uuid, fields, {...how, ...(userAgent === undefined ? {} : {userAgent})});
	}

	/** The job goes on when its client has left; `workflow-api` is where it asks how far it is. */
	async function importRemote(exchange: Exchange, uuid: Uuid): Promise<void> {
		booleanParam(exchange.query, 'skip_owner_check');
		const source = scalarParam(exchange.query, 'source') || undefined;
		const job = await publish.importRemote(uuid, source, images.change(exchange));
		exchange.json(
			200,
			{image_uuid: job.image_uuid, job_uuid: job.uuid},
			{'workflow-api': baseUrl(exchange, settings())},
		);
	}

	/** Operators' fields are what it is about, so it shows them; and no ETag, as that would be another's. */
	async function changeStor(exchange: Exchange, uuid: Uuid): Promise<void> {
		const {shown, ...how} = images.change(exchange);
		const manifest = await publish.changeStor(uuid, scalarParam(exchange.query, 'stor') || undefined, how);
		exchange.json(200, Buffer.from(prettyJson(servedText(manifest, {...shown, admin: true}))));
	}

	/** Into an object store that we do not have. */
	async function exportImage(exchange: Exchange, uuid: Uuid): Promise<void> {
		const path = scalarParam(exchange.query, 'manta_path') || undefined;
		await images.findOwn(exchange, {uuid});
		if (path === undefined) {
			throw invalidInput('manta_path', 'MissingParameter', 'is missing');
		}
		if (!/^\/[^/]+\/(?:stor|public)(?:\/|$)/u.test(path)) {
			const message = 'must be a path like /account/stor/…';
			throw new InvalidParameterError(`manta_path ${message}`, [{field: 'manta_path', code: 'Invalid', message}]);
		}
		throw new RefusedError('StorageUnsupported', 'there is no Manta here to export to');
	}

	function importFromDatacenter(exchange: Exchange): Promise<void> {
		const account = scalarParam(exchange.query, 'account') || undefined;
		const datacenter = scalarParam(exchange.query, 'datacenter') || undefined;
		if (account === undefined) {
			throw invalidInput('account', 'MissingParameter', 'is missing');
		}
		throw datacenter === undefined
			? invalidInput('datacenter', 'MissingParameter', 'is missing')
			: invalidInput('datacenter', 'Invalid', 'is none that this server knows');
	}

	const channelAdd = verb(async (uuid, how, exchange) => publish.channelAdd(uuid, await typedBody(exchange), how));

	async function act(exchange: Exchange, params: Params): Promise<void> {
		const uuid = uuidOf(params);
		const name = scalarParam(exchange.query, 'action') || undefined;
		noteImage(exchange, name ?? 'none', uuid);
		// Who is told of no channels is told of no verb about them.
		const action = name === 'channel-add' && publish.channels.length > 0 ? channelAdd : actions.get(name ?? '');
		if (action === undefined) {
			// That there is no such image matters more.
			await images.findForWrite(exchange, params);
			throw wrongAction(name);
		}
		await action(exchange, uuid);
	}

	async function remove(exchange: Exchange, params: Params): Promise<void> {
		const uuid = uuidOf(params);
		noteImage(exchange, 'delete', uuid);
		const forceAllChannels = booleanParam(exchange.query, 'force_all_channels') === true;
		await publish.delete(uuid, {forceAllChannels}, images.change(exchange));
		exchange.empty(204);
	}

	async function changeAcl(exchange: Exchange, params: Params): Promise<void> {
		const uuid = uuidOf(params);
		const action = scalarParam(exchange.query, 'action') || 'add';
		noteImage(exchange, `acl ${action}`, uuid);
		if (action !== 'add' && action !== 'remove') {
			throw wrongAction(action);
		}
		const change = verb(async (image, how) => {
			const acl = await typedBody(exchange);
			return action === 'add' ? publish.addAcl(image, acl, how) : publish.removeAcl(image, acl, how);
		});
		await change(exchange, uuid);
	}

	async function push(exchange: Exchange, params: Params): Promise<void> {
		const uuid = uuidOf(params);
		noteImage(exchange, 'push', uuid);
		const {manifest} = await images.findOwn(exchange, params);
		throw manifest.type === 'docker'
			? new RefusedError('NotAvailable', 'this server pushes to no registry')
			: invalidInput('type', 'Invalid', 'is not docker');
	}

	function clone(exchange: Exchange, params: Params): never {
		noteImage(exchange, 'clone', uuidOf(params));
		throw new RefusedError('NotAvailable', 'this server knows no accounts to clone images for');
	}

	const imgapi = {speaks: 'imgapi', json: true} as const;
	return [
		{...imgapi, path: '/images', methods: {POST: strict(create)}},
		{...imgapi, path: '/images/:uuid', methods: {POST: strict(act), DELETE: strict(remove)}},
		{...imgapi, path: '/images/:uuid/acl', methods: {POST: strict(changeAcl)}},
		{...imgapi, path: '/images/:uuid/clone', methods: {POST: strict(clone)}},
		{...imgapi, path: '/images/:uuid/push', methods: {POST: strict(push)}},
	];
}

/** Known to IMGAPI, and beyond a server without compute nodes. */
const notMadeHere: ReadonlySet<string> = new Set(['create-from-vm', 'import-docker-image', 'import-lxd-image']);

function noteImage(exchange: Exchange, action: string, uuid: Uuid): void {
	exchange.note({image: uuid});
	exchange.audit(action, uuid);
}

function wrongAction(action: string | undefined): InvalidParameterError {
	const message = action === undefined ? 'is missing' : `is none that there is: ${action}`;
	return new InvalidParameterError(`action ${message}`, [
		{field: 'action', code: action === undefined ? 'MissingParameter' : 'Invalid', message},
	]);
}

function invalidInput(field: string, code: FieldFault['code'], message: string): ValidationError {
	return new ValidationError(`${field} ${message}`, [{field, code, message}]);
}
