/**
 * Images carried by hand, over HTTP: bundles that go out and come in, what is here, and the keys that bundles are signed
 * with.
 *
 * What a bundle is the air gap's room knows. The older server's tar of one image is in `dsapid-export.ts`.
 */
import type {AirgapApi, ExportRequest} from '../airgap/api.js';
import type {Metrics} from '../host.js';
import {bytesBody, jsonBody} from './bodies.js';
import {importing} from './bundle-import.js';
import {bundleKeyRoutes} from './bundle-keys.js';
import {exportIn, maxHaveBytes, readExport, readHave} from './bundle-query.js';
import type {Exchange} from './exchange.js';
import {refuseOthers} from './fields.js';
import {isForm} from './multipart.js';
import {answerLines, whileWanted, type LineContext} from './ndjson.js';
import {RequestError} from './request-error.js';
import {seeing, strict, type Route} from './routes.js';
import {sendTar} from './send-tar.js';

export function bundleRoutes({
	airgap,
	metrics,
	lines,
}: {
	readonly airgap: AirgapApi;
	readonly metrics: Metrics;
	readonly lines: LineContext;
}): readonly Route[] {
	/** Images that not everybody may see leave by it, so it is noted like a write. */
	async function get(exchange: Exchange): Promise<void> {
		if (!exchange.head) {
			exchange.audit('export');
		}
		await answer(exchange, exportIn(exchange.query));
	}

	/** The same without what the far side has, which the body tells. */
	async function getLacking(exchange: Exchange): Promise<void> {
		exchange.audit('export');
		const request = exportIn(exchange.query);
		if (isForm(exchange.headers['content-type'])) {
			throw new RequestError('UNSUPPORTED_MEDIA', 'the body must be the text itself (curl --data-binary @FILE)');
		}
		const have = readHave(await bytesBody(exchange, maxHaveBytes));
		await answer(exchange, {...request, have});
	}

	async function answer(exchange: Exchange, request: ExportRequest): Promise<void> {
		const tar = await whileWanted(exchange, lines, signal => airgap.export(request, {...exchange.ask, signal}));
		await sendTar(exchange, tar, metrics);
	}

	async function plan(exchange: Exchange): Promise<void> {
		exchange.audit('export');
		refuseOthers(exchange.query, []);
		const request = readExport(await jsonBody(exchange, maxHaveBytes));
		if (request.dryRun === true) {
			exchange.audit('plan export');
		}
		await answerLines(exchange, signal => airgap.plan(request, {...exchange.ask, signal}), lines);
	}

	async function have(exchange: Exchange): Promise<void> {
		refuseOthers(exchange.query, []);
		exchange.body(200, Buffer.from(await airgap.have()), {
			'Content-Type': 'text/plain; charset=utf-8',
			'Cache-Control': 'no-store',
			'X-Content-Type-Options': 'nosniff',
		});
	}

	return [
		{speaks: 'plain', path: '/export', methods: {GET: strict(get, 'operate'), POST: strict(getLacking, 'operate')}},
		{speaks: 'plain', path: '/import', methods: {PUT: strict(importing({airgap, lines}), 'operate')}},
		{speaks: 'plain', path: '/mirror/export', methods: {POST: strict(plan, 'operate')}},
		{speaks: 'plain', path: '/mirror/have', methods: {GET: seeing(have)}},
		...bundleKeyRoutes(airgap.keys),
	];
}
