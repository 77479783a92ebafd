/**
 * DSAPI as far as it is read (contract 11): the same images as v1 manifests, by uuid or URN, and their files by path.
 * What changes datasets is in `dataset-upload.ts`.
 *
 * URLs in these manifests are absolute. imgadm sends them back to us as they stand, so they are made for each request
 * from where that request came to, unless the configuration says what we are called.
 */
import {createHash} from 'node:crypto';
import {absentFromLists, NotFoundError} from '../errors.js';
import {datasetPath, datasetText, findByUrn, type DatasetNames} from '../image/dataset.js';
import {prettyJson} from '../image/json-text.js';
import {isUuid, type Manifest} from '../image/manifest.js';
import {parseDatasetQuery, parseImageQuery, runDatasetQuery, scalarParam} from '../image/query.js';
import type {FoundImage, ListState, MirrorApi, SearchResult} from '../mirror.js';
import {baseUrl, type BaseUrlSettings} from './base-url.js';
import {unlessSatisfied} from './conditions.js';
import {DatasetLists, type DatasetList, type ListKey} from './dataset-lists.js';
import type {Exchange} from './exchange.js';
import {inChannel, maySee} from './image-requests.js';
import {RequestError} from './request-error.js';
import {open, type Params, type Route} from './routes.js';
import {sendFile, type SendFileContext} from './send-file.js';
import {slices} from './slices.js';

export interface DatasetSettings extends BaseUrlSettings {
	readonly datasetNames: DatasetNames;
}

export function datasetRoutes(options: {
	readonly mirror: MirrorApi;
	readonly files: SendFileContext;
	readonly settings: () => DatasetSettings;
}): readonly Route[] {
	const {mirror, files, settings} = options;
	const lists = new DatasetLists();
	const byPath = new WeakMap<readonly Manifest[], Promise<PathIndex>>();

	/** DSAPI has no channels: where we have some, those who do not ask for another see the default one. */
	function channelOf(exchange: Exchange): string | undefined {
		const {channels} = mirror.publish;
		if (channels.length === 0) {
			return undefined;
		}
		const given = scalarParam(exchange.query, 'channel') || undefined;
		const hasDefault = channels.some(channel => channel.default === true);
		return given === undefined && !hasDefault ? undefined : mirror.publish.readChannel(given);
	}

	/** Every active image that the caller may see, oldest first. */
	async function everything(exchange: Exchange, channel = channelOf(exchange)): Promise<SearchResult> {
		const query = parseImageQuery(new Map(), {
			authenticated: false,
			seesPrivate: seesPrivate(exchange),
			channel,
			showChannels: false,
		});
		const found = await mirror.search(query, exchange.ask);
		exchange.note({cache: found.cache});
		return found;
	}

	async function list(exchange: Exchange): Promise<void> {
		const query = parseDatasetQuery(exchange.query, {seesPrivate: seesPrivate(exchange)});
		const {datasetNames: names} = settings();
		const base = JSON.stringify(baseUrl(exchange, settings())).slice(1, -1);
		const channel = channelOf(exchange);
		const text = `${query.key} ${channel ?? ''} ${base}`;
		const state = mirror.listState();
		const kept = state && lists.kept({version: state.version, text}, names);
		if (state !== undefined && kept !== undefined) {
			exchange.note({cache: state.cache});
			await send(exchange, kept, {...state, text});
			return;
		}
		const found = await everything(exchange, channel);
		const datasets = runDatasetQuery(query, found.images);
		const {version, cache} = found;
		await send(exchange, await lists.make({version, text}, {datasets, names, base}), {version, cache, text});
	}

	async function send(
		exchange: Exchange,
		list: DatasetList,
		{version, cache, text}: ListState & ListKey,
	): Promise<void> {
		const {datasetNames: names} = settings();
		if (list.chunks !== undefined && exchange.headers.host) {
			// Other names and channels, and other places to find us at, have all that stands forgotten.
			exchange.holds = () => {
				const now = mirror.listState();
				return now?.version === version && now.cache === cache;
			};
			exchange.partsNow = () => lists.kept({version, text}, names)?.chunks;
		}
		const headers = unlessSatisfied(exchange, list.etag);
		if (headers === undefined) {
			return;
		}
		const all = {'Content-Type': 'application/json', ...headers};
		if (list.chunks === undefined) {
			await exchange.chunks(200, list.parts(), {...all, 'Content-Length': list.length});
		} else {
			await exchange.whole(200, list.chunks, all);
		}
	}

	/** By uuid whatever the mirror can find, since origins may be in no list; by URN what is listed. */
	async function find(exchange: Exchange, {id = ''}: Params): Promise<FoundImage> {
		const uuid = isUuid(id) ? id : await uuidOf(exchange, id);
		exchange.note({image: uuid});
		const channel = exchange.query.has('channel') ? channelOf(exchange) : undefined;
		const found = await mirror.find(uuid, exchange.ask);
		if (!maySee(exchange, found.manifest) || !inChannel(found.manifest, channel)) {
			throw new NotFoundError(`image ${uuid} not found`);
		}
		exchange.note({source: found.source, cache: found.cache});
		if (found.manifest.files.length === 0) {
			throw new NotFoundError(`image ${uuid} has no file, so it is no dataset`);
		}
		return found;
	}

	async function uuidOf(exchange: Exchange, urn: string): Promise<Manifest['uuid']> {
		const found = await everything(exchange);
		const dataset = findByUrn(urn, everyDataset(found.images), settings().datasetNames);
		if (dataset === undefined) {
			throw absentFromLists(`there is no dataset ${urn}`, found.silent);
		}
		return dataset.uuid;
	}

	async function getDataset(exchange: Exchange, params: Params): Promise<void> {
		const {manifest} = await find(exchange, params);
		const text = datasetText(manifest, settings().datasetNames)(baseUrl(exchange, settings()));
		const headers = unlessSatisfied(exchange, createHash('sha1').update(text).digest('hex'));
		if (headers !== undefined) {
			exchange.json(200, Buffer.from(prettyJson(text)), headers);
		}
	}

	async function getFile(exchange: Exchange, params: Params): Promise<void> {
		const found = await find(exchange, params);
		const index = found.manifest.files.findIndex((_, place) => datasetPath(found.manifest, place) === params['path']);
		if (index === -1) {
			throw new NotFoundError(`dataset ${found.manifest.uuid} has no file ${params['path'] ?? ''}`);
		}
		await sendFile(exchange, await mirror.openFile(found, index), files);
	}

	async function getAsset(exchange: Exchange, {path = ''}: Params): Promise<void> {
		const found = await everything(exchange);
		const {images} = found;
		let paths = byPath.get(images);
		if (paths === undefined) {
			paths = indexPaths(images);
			byPath.set(images, paths);
		}
		const owner = (await paths).get(path);
		if (owner === undefined) {
			throw absentFromLists(`there is no file ${path}`, found.silent);
		}
		if (owner === 'several') {
			throw new RequestError('BAD_REQUEST', `several datasets have a file ${path}`);
		}
		await getFile(exchange, {id: owner, path});
	}

	const dsapi = {speaks: 'dsapi'} as const;
	return [
		{...dsapi, path: '/datasets', json: true, often: true, methods: {GET: list}},
		{...dsapi, path: '/datasets/:id', json: true, methods: {GET: getDataset}},
		{...dsapi, path: '/datasets/:id/:path', methods: {GET: open(getFile)}},
		{...dsapi, path: '/assets/:path', methods: {GET: open(getAsset)}},
	];
}

function seesPrivate({caller}: Exchange): boolean {
	return caller.rights.has('private');
}

/** Of images that their caller may see, whether public or not. */
function everyDataset(images: readonly Manifest[]): readonly Manifest[] {
	return runDatasetQuery(parseDatasetQuery(new Map(), {seesPrivate: true}), images);
}

type PathIndex = ReadonlyMap<string, Manifest['uuid'] | 'several'>;

async function indexPaths(images: readonly Manifest[]): Promise<PathIndex> {
	const index = new Map<string, Manifest['uuid'] | 'several'>();
	for await (const slice of slices(everyDataset(images))) {
		for (const manifest of slice) {
			for (const place of manifest.files.keys()) {
				const path = datasetPath(manifest, place);
				index.set(path, index.has(path) ? 'several' : manifest.uuid);
			}
		}
	}
	return index;
}
