/**
 * IMGAPI as far as it is read: ping, lists, images, their files, icons and jobs (contract 6.1 to 6.4, 7 and 8).
 *
 * What changes anything is in `image-writes.ts` and `file-writes.ts`.
 */
import {createHash} from 'node:crypto';
import {isAuthenticated} from '../access/caller.js';
import {InvalidParameterError, NotFoundError} from '../errors.js';
import {parseImageQuery, scalarParam, type ImageQuery} from '../image/query.js';
import type {Listing, MirrorApi} from '../mirror.js';
import {formFor, unlessSatisfied} from './conditions.js';
import type {Exchange} from './exchange.js';
import {uuidOf, type ImageRequests} from './image-requests.js';
import {encodingsFor} from './negotiate.js';
import {Remembered} from './remembered.js';
import {answer, errorBody, statuses} from './respond.js';
import {open, type Params, type Route} from './routes.js';
import {sendFile, type SendFileContext} from './send-file.js';

/** The types that IMGAPI takes icons in. Anything else from upstream is just bytes: it could be a page. */
const iconTypes: ReadonlySet<string> = new Set(['image/jpeg', 'image/png', 'image/gif']);

const byEncoding = {Vary: 'Accept-Encoding'};

export function imageRoutes(options: {
	readonly mirror: MirrorApi;
	readonly images: ImageRequests;
	readonly version: string;
	readonly files: SendFileContext;
}): readonly Route[] {
	const {mirror, images, version, files} = options;
	const {publish} = mirror;
	const queries = new Remembered<ImageQuery>();
	const formsTaken = new Remembered<ReturnType<typeof encodingsFor>>();

	/** Whoever tests a credential here learns whether it is right; for nothing else is one needed. */
	function ping(exchange: Exchange): void {
		const {query, caller} = exchange;
		const simulated = scalarParam(query, 'error');
		if (simulated !== undefined) {
			simulate(exchange, simulated);
			return;
		}
		exchange.holds = () => true;
		exchange.json(200, {
			ping: 'pong',
			version,
			imgapi: true,
			...(isAuthenticated(caller) ? {pid: process.pid} : {}),
			...(caller.user === undefined ? {} : {user: caller.user}),
		});
	}

	function queryOf(exchange: Exchange): ImageQuery {
		const {query, caller} = exchange;
		const asking = {
			authenticated: isAuthenticated(caller),
			seesPrivate: caller.rights.has('private'),
			channel: images.readChannel(exchange),
			showChannels: images.showsChannels(exchange),
		};
		const {authenticated, seesPrivate, channel, showChannels} = asking;
		const key = `${exchange.target.query} ${authenticated} ${seesPrivate} ${showChannels} ${channel ?? ''}`;
		return queries.of(key, () => parseImageQuery(query, asking));
	}

	function formsOf(accepted: string | undefined, offered: Listing['encodings']): ReturnType<typeof encodingsFor> {
		return accepted === undefined
			? encodingsFor(accepted, offered)
			: formsTaken.of(`${offered.join(',')} ${accepted}`, () => encodingsFor(accepted, offered));
	}

	async function list(exchange: Exchange): Promise<void> {
		const query = queryOf(exchange);
		const listing = await mirror.list(query, exchange.ask);
		exchange.note({cache: listing.cache});
		exchange.holds = sameList(mirror, query, listing);
		exchange.alsoSend = byEncoding;
		const forms = formsOf(exchange.headers['accept-encoding']?.toString(), listing.encodings);
		const etags = forms.map(form => (form === 'identity' ? listing.etag : `${listing.etag}-${form}`));
		const choice = formFor(exchange.headers, etags);
		const headers = unlessSatisfied(exchange, etags[choice] ?? listing.etag);
		if (headers === undefined) {
			return;
		}
		const form = forms[choice] ?? 'identity';
		const all = {
			'Content-Type': 'application/json',
			...(form === 'identity' ? {} : {'Content-Encoding': form}),
			...headers,
		};
		// Who asks first waits: a list is compressed in less time than it saves on a slow line, and once for all.
		const chunks = form === 'identity' ? listing.chunks() : (await listing.encoded(form)).chunks;
		if (chunks === undefined) {
			await exchange.chunks(200, listing.parts(), {...all, 'Content-Length': listing.length});
		} else {
			exchange.partsNow = form === 'identity' ? partsOf(mirror, query) : undefined;
			await exchange.whole(200, chunks, all);
		}
	}

	async function getImage(exchange: Exchange, params: Params): Promise<void> {
		const {manifest, source, cache} = await images.find(exchange, params);
		exchange.holds = () => {
			const now = mirror.findNow(manifest.uuid);
			return now?.manifest === manifest && now.source === source && now.cache === cache;
		};
		const {etag, body} = images.rendered.of(manifest, images.shown(exchange));
		const headers = unlessSatisfied(exchange, etag);
		if (headers !== undefined) {
			exchange.json(200, body, headers);
		}
	}

	async function getFile(exchange: Exchange, params: Params): Promise<void> {
		const found = await images.find(exchange, params);
		const index = Number.parseInt(scalarParam(exchange.query, 'index') ?? '', 10) || 0;
		await sendFile(exchange, await mirror.openFile(found, index), files);
	}

	async function getIcon(exchange: Exchange, params: Params): Promise<void> {
		const found = await images.find(exchange, params);
		if (found.cache !== 'local') {
			exchange.refuseCircle();
		}
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

	/** A job may be about an image that is on its way and not here yet. */
	async function listJobs(exchange: Exchange, params: Params): Promise<void> {
		// They name servers of ours, and images that strangers do not see.
		const jobs = exchange.caller.rights.has('private') ? publish.jobsOf(uuidOf(params)) : [];
		if (jobs.length === 0) {
			await images.find(exchange, params);
		}
		const task = scalarParam(exchange.query, 'task') || undefined;
		const execution = scalarParam(exchange.query, 'execution') || undefined;
		exchange.json(
			200,
			jobs.filter(
				job =>
					(task === undefined || task === job.name || task === job['task']) &&
					(execution === undefined || execution === job.execution),
			),
		);
	}

	function getJob(exchange: Exchange, params: Params): void {
		const uuid = uuidOf(params);
		const job = publish.job(uuid);
		if (job === undefined) {
			throw new NotFoundError(`there is no job ${uuid}`);
		}
		exchange.json(200, job, {'Cache-Control': 'no-store'});
	}

	function listChannels(exchange: Exchange): void {
		if (publish.channels.length === 0) {
			throw new NotFoundError('this server has no channels');
		}
		exchange.json(200, publish.channels);
	}

	const imgapi = {speaks: 'imgapi', json: true} as const;
	return [
		{...imgapi, path: '/ping', often: true, methods: {GET: {handler: ping, auth: 'passive'}}},
		{...imgapi, path: '/images', often: true, methods: {GET: list}},
		{...imgapi, path: '/images/:uuid', often: true, methods: {GET: getImage}},
		{speaks: 'imgapi', path: '/images/:uuid/file', methods: {GET: open(getFile)}},
		{speaks: 'imgapi', path: '/images/:uuid/icon', methods: {GET: open(getIcon)}},
		{...imgapi, path: '/images/:uuid/jobs', methods: {GET: open(listJobs)}},
		{...imgapi, path: '/jobs/:uuid', methods: {GET: open(getJob)}},
		{...imgapi, path: '/channels', methods: {GET: listChannels}},
	];
}

/** Keeps no list alive that the catalog has let go of: whatever is the same has the same ETag. */
function sameList(mirror: MirrorApi, query: ImageQuery, {etag, cache}: Listing): () => boolean {
	return () => {
		const now = mirror.listNow(query);
		return now?.etag === etag && now.cache === cache;
	};
}

/** Keeps no list alive either: a function made beside one that has the list would. */
function partsOf(mirror: MirrorApi, query: ImageQuery): () => readonly Buffer[] | undefined {
	return () => mirror.listNow(query)?.chunks();
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
