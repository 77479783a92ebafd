/**
 * What the disk holds and what goes next, and reading it all again on demand.
 */
import type {OperateApi} from '../mirror-operate-api.js';
import {jsonBody} from './bodies.js';
import type {Exchange} from './exchange.js';
import {fieldsIn, numberField, numberParam, refuseOthers, textParam, uuidsField} from './fields.js';
import {answerPieces, arrayText} from './large-json.js';
import {answerLines, type LineContext} from './ndjson.js';
import {seeing, strict, type Route} from './routes.js';

const usualFiles = 1000;

export function operateStorageRoutes({
	operate,
	lines,
}: {
	readonly operate: OperateApi;
	readonly lines: LineContext;
}): readonly Route[] {
	async function storage(exchange: Exchange): Promise<void> {
		refuseOthers(exchange.query, ['files']);
		const most =
			textParam(exchange.query, 'files') === 'all' ? Infinity : (numberParam(exchange.query, 'files') ?? usualFiles);
		const {all, ...report} = await operate.storage();
		const head = `${JSON.stringify(report, null, 2).slice(0, -2)},\n  "all": `;
		await answerPieces(exchange, arrayText(most < all.length ? all.slice(0, most) : all, {head, tail: '\n}'}));
	}

	async function verify(exchange: Exchange): Promise<void> {
		exchange.audit('verify');
		refuseOthers(exchange.query, []);
		const fields = fieldsIn(await jsonBody(exchange), ['uuids', 'bytesPerSecond']);
		const uuids = uuidsField(fields, 'uuids') ?? [];
		const bytesPerSecond = numberField(fields, 'bytesPerSecond') ?? 0;
		const [only] = uuids;
		exchange.audit('verify', uuids.length === 1 ? only : undefined);
		await answerLines(exchange, signal => operate.verify({uuids, bytesPerSecond}, signal), lines);
	}

	return [
		{speaks: 'plain', json: true, path: '/mirror/storage', methods: {GET: seeing(storage)}},
		{speaks: 'plain', path: '/mirror/verify', methods: {POST: strict(verify, 'operate')}},
	];
}
