/**
 * The older server's tar of one image: its manifest as DSAPI and as IMGAPI have it, and its files (contract 11.3).
 *
 * It is for whoever may have the file: the same images are found by the same rules.
 */
import type {AirgapApi} from '../airgap/api.js';
import {NotFoundError} from '../errors.js';
import type {Metrics} from '../host.js';
import type {Exchange} from './exchange.js';
import type {ImageRequests} from './image-requests.js';
import {open, type Params, type Route} from './routes.js';
import {sendTar} from './send-tar.js';

export function dsapidExportRoutes({
	airgap,
	images,
	metrics,
}: {
	readonly airgap: AirgapApi;
	readonly images: ImageRequests;
	readonly metrics: Metrics;
}): readonly Route[] {
	async function get(exchange: Exchange, params: Params): Promise<void> {
		const {
			manifest: {uuid, files},
		} = await images.find(exchange, params);
		if (files.length === 0) {
			throw new NotFoundError(`image ${uuid} has no file, so it is no dataset`);
		}
		await sendTar(exchange, await airgap.exportForDsapid(uuid, exchange.ask), metrics);
	}

	return [{speaks: 'dsapi', path: '/api/export/:uuid', methods: {GET: open(get)}}];
}
