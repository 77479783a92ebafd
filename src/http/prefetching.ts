/**
 * Fetching ahead: the rules and how they fare, and one-offs with their progress.
 */
import {invalid} from '../image/params.js';
import type {PrefetchApi} from '../prefetch/api.js';
import {jsonBody} from './bodies.js';
import type {Exchange} from './exchange.js';
import {fieldsIn, flagField, numberField, refuseOthers, textParam} from './fields.js';
import {answerNow} from './large-json.js';
import {answerLines, type LineContext} from './ndjson.js';
import {RequestError} from './request-error.js';
import {seeing, strict, type Route} from './routes.js';
import {readSelection} from './selections.js';

const usualConcurrent = 2;
const mostConcurrent = 32;

export function prefetchRoutes({
	prefetch,
	lines,
}: {
	readonly prefetch: PrefetchApi;
	readonly lines: LineContext;
}): readonly Route[] {
	async function rules(exchange: Exchange): Promise<void> {
		refuseOthers(exchange.query, []);
		await answerNow(exchange, prefetch.rules());
	}

	async function oneOff(exchange: Exchange): Promise<void> {
		exchange.audit('prefetch');
		refuseOthers(exchange.query, []);
		const fields = fieldsIn(await jsonBody(exchange), ['selection', 'dryRun', 'bytesPerSecond', 'concurrent']);
		if (fields['selection'] === undefined) {
			throw invalid('selection', 'must say which images');
		}
		const selection = readSelection(fields['selection']);
		const bytesPerSecond = numberField(fields, 'bytesPerSecond') ?? 0;
		const concurrent = numberField(fields, 'concurrent', {least: 1, most: mostConcurrent}) ?? usualConcurrent;
		if (flagField(fields, 'dryRun') === true) {
			exchange.audit('plan prefetch');
			await answerNow(exchange, prefetch.plan(selection));
			return;
		}
		const {uuids = []} = selection;
		exchange.audit('prefetch', uuids.length === 1 ? uuids[0] : undefined);
		await answerLines(exchange, signal => prefetch.fetch(selection, {bytesPerSecond, concurrent}, signal), lines);
	}

	function run(exchange: Exchange): void {
		const rule = textParam(exchange.query, 'rule');
		exchange.audit(`run prefetch rule ${rule ?? ''}`.trimEnd());
		refuseOthers(exchange.query, ['rule']);
		if (rule === undefined) {
			throw new RequestError('MISSING_ARGUMENT', 'rule is missing');
		}
		prefetch.run(rule);
		exchange.json(202, {}, {'Cache-Control': 'no-store'});
	}

	return [
		{
			...{speaks: 'plain', path: '/mirror/prefetch'},
			methods: {GET: seeing(rules), POST: strict(oneOff, 'operate')},
		},
		{speaks: 'plain', json: true, path: '/mirror/prefetch/run', methods: {POST: strict(run, 'operate')}},
	];
}
