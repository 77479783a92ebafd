/**
 * Images as whoever runs the mirror sees them: what is here, what stays, what is offered; and the verbs that change it.
 *
 * Which of them may go and which stay is the mirror's to decide. What clients see of images is in `images.ts`.
 */
import {InvalidParameterError} from '../errors.js';
import {invalid} from '../image/params.js';
import type {Uuid} from '../image/manifest.js';
import type {OperateApi, Operator} from '../mirror-operate-api.js';
import {jsonBody} from './bodies.js';
import type {Exchange} from './exchange.js';
import {fieldsIn, flagField, refuseOthers, textField, textParam, uuidsField} from './fields.js';
import {ImageRows, parseRowQuery} from './image-rows.js';
import {uuidOf} from './image-requests.js';
import {answerNow, answerStored} from './large-json.js';
import {seeing, strict, type Params, type Route} from './routes.js';

type Action = (uuid: Uuid, exchange: Exchange) => Promise<object>;

export function operateImageRoutes({operate}: {readonly operate: OperateApi}): readonly Route[] {
	const rows = new ImageRows({rows: () => operate.rows()});

	async function list(exchange: Exchange): Promise<void> {
		const {json, total} = await rows.find(parseRowQuery(exchange.query));
		await answerStored(exchange, json, {'X-Total-Count': total});
	}

	async function show(exchange: Exchange, params: Params): Promise<void> {
		const uuid = uuidOf(params);
		refuseOthers(exchange.query, []);
		exchange.note({image: uuid});
		await answerNow(exchange, await operate.details(uuid));
	}

	const actions = new Map<string, Action>([
		['pin', (uuid, exchange) => operate.pin(uuid, operatorOf(exchange), exchange.ask)],
		['unpin', (uuid, exchange) => operate.unpin(uuid, operatorOf(exchange))],
		[
			'hold',
			async (uuid, exchange) => {
				const note = textField(fieldsIn(await jsonBody(exchange), ['note']), 'note');
				return operate.hold(uuid, note, operatorOf(exchange), exchange.ask);
			},
		],
		[
			'release',
			async (uuid, exchange) => ({released: await operate.release(uuid, operatorOf(exchange), exchange.ask)}),
		],
	]);

	async function act(exchange: Exchange, params: Params): Promise<void> {
		const uuid = uuidOf(params);
		exchange.note({image: uuid});
		refuseOthers(exchange.query, ['action']);
		const name = textParam(exchange.query, 'action');
		exchange.audit(name ?? 'none', uuid);
		const action = actions.get(name ?? '');
		if (action === undefined) {
			throw wrongAction(name, [...actions.keys()]);
		}
		await answerNow(exchange, await action(uuid, exchange));
	}

	async function evict(exchange: Exchange): Promise<void> {
		exchange.audit('evict');
		refuseOthers(exchange.query, []);
		const fields = fieldsIn(await jsonBody(exchange), ['uuids', 'force']);
		const uuids = uuidsField(fields, 'uuids');
		const force = flagField(fields, 'force') ?? false;
		if (uuids === undefined) {
			throw invalid('uuids', 'must be a list of uuids');
		}
		exchange.audit(force ? 'evict by force' : 'evict', named(uuids));
		await answerNow(exchange, await operate.evict(uuids, {force}, operatorOf(exchange)));
	}

	return [
		{speaks: 'plain', json: true, path: '/mirror/images', methods: {GET: seeing(list)}},
		{
			...{speaks: 'plain', json: true, path: '/mirror/images/:uuid'},
			methods: {GET: seeing(show), POST: strict(act, 'operate')},
		},
		{speaks: 'plain', json: true, path: '/mirror/evict', methods: {POST: strict(evict, 'operate')}},
	];
}

export function operatorOf({caller}: Exchange): Operator {
	return {name: caller.user};
}

function wrongAction(name: string | undefined, known: readonly string[]): InvalidParameterError {
	const message = name === undefined ? 'is missing' : `is none of ${known.join(', ')}`;
	return new InvalidParameterError(`action ${message}`, [
		{field: 'action', code: name === undefined ? 'MissingParameter' : 'Invalid', message},
	]);
}

/** For the audit line, where there is room for a few. */
export function named(uuids: readonly string[]): string {
	const few = uuids.slice(0, 10);
	return few.length < uuids.length ? `${few.join(' ')} and ${uuids.length - few.length} more` : few.join(' ');
}
