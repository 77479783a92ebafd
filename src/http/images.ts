/**
 * IMGAPI as far as it is read: ping, lists, images, their files and icons (contract 6.1 to 6.4, 7 and 8).
 *
 * What writes is routed, too, and refused: a 404 would tell `imgadm publish` that the server knows no such thing.
 */
import {createHash} from 'node:crypto';
import {InvalidParameterError, NotFoundError, UnauthorizedError} from '../errors.js';
import {isUuid, type Manifest} from '../image/manifest.js';
import {booleanParam, parseImageQuery, scalarParam} from '../image/query.js';
import type {FoundImage, MirrorApi} from '../mirror.js';
import {unlessSatisfied} from './conditions.js';
import type {Exchange} from './exchange.js';
import {RenderedManifests} from './rendered.js';
import {answer, errorBody, statuses} from './respond.js';
import {refuse, refuseCredentials, type Params, type Route} from './routes.js';
import {sendFile, type SendFileContext} from './send-file.js';

/** The types that IMGAPI takes icons in. Anything else from upstream is just bytes: it could be a page. */
const iconTypes: ReadonlySet<string> = new Set(['image/jpeg', 'image/png', 'image/gif']);

export function imageRoutes(options: {
	readonly mirror: MirrorApi;
	readonly version: string;
	readonly files: SendFileContext;
}): readonly Route[] {
	const {mirror, version, files} = options;
	const rendered = new RenderedManifests();

	function ping(exchange: Exchange): void {
		refuseCredentials(exchange);
		const simulated = scalarParam(exchange.query, 'error');
		if (simulated !== undefined) {
			simulate(exchange, simulated);
			return;
		}
		exchange.json(200, {ping: 'pong', version, imgapi: true});
	}

	async function list(exchange: Exchange): Promise<void> {
		refuseCredentials(exchange);
		const query = parseImageQuery(exchange.query, {authenticated: false});
		const listing = await mirror.list(query, exchange.ask);
		exchange.note({cache: listing.cache});
		const headers = unlessSatisfied(exchange, listing.etag);
		if (headers !== undefined) {
			await exchange.chunks(200, listing.chunks, {
				'Content-Type': 'application/json',
				'Content-Length': listing.length,
				...headers,
			});
		}
	}

	/** In the order of contract 6.3; `passive`: a wrong credential is refused before anything is looked up. */
	async function find(exchange: Exchange, {uuid}: Params, passive = false): Promise<FoundImage> {
		if (!isUuid(uuid)) {
			throw new NotFoundError(`${uuid ?? ''} is no image's uuid`);
		}
		exchange.note({image: uuid});
		if (passive) {
			refuseCredentials(exchange);
		}
		const account = scalarParam(exchange.query, 'account') || undefined;
		if (account !== undefined && !isUuid(account)) {
			throw new InvalidParameterError('account is no uuid', [{field: 'account', code: 'Invalid'}]);
		}
		const found = await mirror.find(uuid, exchange.ask);
		exchange.note({source: found.source, cache: found.cache});
		if (account !== undefined && !isVisible(found.manifest, account)) {
			throw new NotFoundError(`image ${uuid} not found`);
		}
		return found;
	}

	async function getImage(exchange: Exchange, params: Params): Promise<void> {
		const {manifest} = await find(exchange, params, true);
		if (booleanParam(exchange.query, 'inclAdminFields') === true) {
			throw new UnauthorizedError('inclAdminFields needs a login');
		}
		const {etag, body} = rendered.of(manifest);
		const headers = unlessSatisfied(exchange, etag);
		if (headers !== undefined) {
			exchange.json(200, body, headers);
		}
	}

	async function getFile(exchange: Exchange, params: Params): Promise<void> {
		const found = await find(exchange, params);
		const index = Number.parseInt(scalarParam(exchange.query, 'index') ?? '', 10) || 0;
		await sendFile(exchange, await mirror.openFile(found, index), files);
	}

	async function getIcon(exchange: Exchange, params: Params): Promise<void> {
		const found = await find(exchange, params);
		exchange.refuseCircle();
		const icon = await mirror.readIcon(found, exchange.ask);
		exchange.note({source: icon.source, cache: icon.cache});
		const headers = unlessSatisfied(exchange, createHash('sha1').update(icon.bytes).digest('hex'), icon.storedAtMs);
		if (headers !== undefined) {
			exchange.body(200, icon.bytes, {
				'Content-Type': iconTypes.has(icon.contentType) ? icon.contentType : 'application/octet-stream',
				'Content-MD5': createHash('md5').update(icon.bytes).digest('base64'),
				'X-Content-Type-Options': 'nosniff',
				...headers,
			});
		}
	}

	/** Those who publish have jobs; we fetch. */
	async function listJobs(exchange: Exchange, params: Params): Promise<void> {
		await find(exchange, params);
		exchange.json(200, []);
	}

	function listChannels(exchange: Exchange): void {
		refuseCredentials(exchange);
		throw new NotFoundError('this server has no channels');
	}

	const imgapi = {speaks: 'imgapi', json: true} as const;
	return [
		{...imgapi, path: '/ping', methods: {GET: ping}},
		{...imgapi, path: '/images', methods: {GET: list, POST: refuse}},
		{...imgapi, path: '/images/:uuid', methods: {GET: getImage, POST: refuse, DELETE: refuse}},
		{speaks: 'imgapi', path: '/images/:uuid/file', methods: {GET: getFile, PUT: refuse}},
		{...imgapi, path: '/images/:uuid/file/from-url', methods: {POST: refuse}},
		{
			speaks: 'imgapi',
			path: '/images/:uuid/icon',
			methods: {GET: getIcon, PUT: refuse, POST: refuse, DELETE: refuse},
		},
		{...imgapi, path: '/images/:uuid/acl', methods: {POST: refuse}},
		{...imgapi, path: '/images/:uuid/jobs', methods: {GET: listJobs}},
		{...imgapi, path: '/images/:uuid/clone', methods: {POST: refuse}},
		{...imgapi, path: '/images/:uuid/push', methods: {POST: refuse}},
		{...imgapi, path: '/channels', methods: {GET: listChannels}},
		{...imgapi, path: '/state', methods: {GET: refuse, POST: refuse}},
		{...imgapi, path: '/authkeys/reload', methods: {POST: refuse}},
	];
}

/** Contract 8. */
function isVisible(manifest: Manifest, account: string): boolean {
	const activated = manifest.state === 'active' || manifest.state === 'disabled';
	return manifest.owner === account || (activated && (manifest.public || manifest.acl.includes(account)));
}

/** `GET /ping?error=NAME` (contract 6.1): the name with or without "Error" at its end. */
function simulate(exchange: Exchange, name: string): void {
	const wanted = name === '' ? 'InternalError' : withError(name);
	const code = [...statuses.keys()].find(known => withError(known) === wanted);
	if (code === undefined) {
		throw new InvalidParameterError(`there is no error ${name}`, [{field: 'error', code: 'Missing'}]);
	}
	const hasErrors = code === 'ValidationFailed' || code === 'InvalidParameter';
	const simulated = answer(code, 'a simulated error', hasErrors ? [] : undefined);
	exchange.json(simulated.status, errorBody(simulated, false));
}

function withError(name: string): string {
	return name.endsWith('Error') ? name : `${name}Error`;
}
