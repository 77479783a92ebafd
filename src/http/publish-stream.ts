/**
 * An image in one request: what it is stands in the query, its file is the body.
 *
 * For pipes and for curl (`zfs send … | gzip | curl -T - 'http://mirror/publish?name=N&version=V'`). What the names in
 * the query mean is in `publish-stream-fields.ts`.
 */
import type {MirrorApi} from '../mirror.js';
import type {Exchange} from './exchange.js';
import {actorOf, type ImageRequests} from './image-requests.js';
import {isForm} from './multipart.js';
import {namesJson} from './negotiate.js';
import {readDescribed} from './publish-stream-fields.js';
import {RequestError} from './request-error.js';
import type {GuardedHandler, Route} from './routes.js';

export function publishRoutes({
	mirror,
	images,
}: {
	readonly mirror: MirrorApi;
	readonly images: ImageRequests;
}): readonly Route[] {
	/** All that can be wrong with the description is said before a byte of the file is asked for. */
	async function publish(exchange: Exchange): Promise<void> {
		exchange.audit('publish');
		if (isForm(exchange.headers['content-type'])) {
			throw new RequestError(
				'UNSUPPORTED_MEDIA',
				'the body must be the file itself (curl -T FILE), not a form around it',
			);
		}
		const {image, offer, account, channel} = readDescribed(exchange.query);
		const manifest = await mirror.publish.publishFile(
			image,
			{...offer, size: exchange.bodySize, body: exchange.requestBody()},
			{actor: actorOf(exchange), account, channel, ask: exchange.ask},
		);
		exchange.audit('publish', manifest.uuid);
		exchange.note({image: manifest.uuid});
		const {etag, body} = images.rendered.of(manifest, {channels: images.showsChannels(exchange), admin: false});
		const headers = {ETag: `"${etag}"`, 'X-Image': manifest.uuid};
		if (wantsText(exchange.headers.accept)) {
			exchange.body(200, Buffer.from(`${manifest.uuid}\n`), {...headers, 'Content-Type': 'text/plain; charset=utf-8'});
		} else {
			exchange.json(200, body, headers);
		}
	}

	const publishing: GuardedHandler = {handler: publish, auth: 'strict', right: 'publish'};
	return [{path: '/publish', speaks: 'imgapi', json: true, methods: {POST: publishing, PUT: publishing}}];
}

/** By name: a script that asks for text wants nothing but the uuid. */
function wantsText(accept: string | undefined): boolean {
	return accept !== undefined && /(?:^|,)\s*text\/plain\s*(?:;|,|$)/iu.test(accept) && !namesJson(accept);
}
