/**
 * How it goes: sources, transfers, what failed, what is held back, and the last hours in numbers.
 */
import type {HistoryApi} from '../history/api.js';
import type {OperateApi} from '../mirror-operate-api.js';
import type {Exchange} from './exchange.js';
import {numberParam, refuseOthers, textParam} from './fields.js';
import {answerNow} from './large-json.js';
import {seeing, strict, type GuardedHandler, type Route} from './routes.js';

const mostHours = 7 * 24;

export function operateSourceRoutes({
	operate,
	history,
}: {
	readonly operate: OperateApi;
	readonly history: HistoryApi;
}): readonly Route[] {
	/** What takes no parameters. */
	function plainly(report: () => object): GuardedHandler {
		return seeing(exchange => {
			refuseOthers(exchange.query, []);
			return answerNow(exchange, report());
		});
	}

	async function hours(exchange: Exchange): Promise<void> {
		refuseOthers(exchange.query, ['hours']);
		await answerNow(exchange, history.report(numberParam(exchange.query, 'hours', {least: 1, most: mostHours}) ?? 24));
	}

	/** Waits for the lists: whoever asks wants to know whether they came. */
	async function refresh(exchange: Exchange): Promise<void> {
		const source = textParam(exchange.query, 'source');
		exchange.audit(source === undefined ? 'refresh' : `refresh ${source}`);
		refuseOthers(exchange.query, ['source']);
		await answerNow(exchange, await operate.refresh(source));
	}

	const plain = {speaks: 'plain', json: true} as const;
	return [
		{...plain, path: '/mirror/sources', methods: {GET: plainly(() => operate.sources())}},
		{...plain, path: '/mirror/conflicts', methods: {GET: plainly(() => operate.conflicts())}},
		{...plain, path: '/mirror/transfers', methods: {GET: plainly(() => operate.transfers())}},
		{...plain, path: '/mirror/failures', methods: {GET: plainly(() => operate.failures())}},
		{...plain, path: '/mirror/held', methods: {GET: plainly(() => operate.held())}},
		{...plain, path: '/mirror/history', methods: {GET: seeing(hours)}},
		{...plain, path: '/mirror/refresh', methods: {POST: strict(refresh, 'operate')}},
	];
}
