/**
 * A manifest looked at as publishing would, without publishing it: for forms that say what is wrong as one types.
 */
import type {FieldFault} from '../errors.js';
import type {Clock} from '../host.js';
import {adviceOn} from '../image/advice.js';
import {isObject} from '../image/json-text.js';
import {readFields} from '../image/rules-fields.js';
import type {ServerMode} from '../image/rules.js';
import {jsonBody} from './bodies.js';
import type {Exchange} from './exchange.js';
import {refuseOthers} from './fields.js';
import type {Route} from './routes.js';

/** Somebody types it. */
const maxManifestBytes = 128 * 1024;

export function checkRoutes({mode, clock}: {readonly mode: () => ServerMode; readonly clock: Clock}): readonly Route[] {
	async function check(exchange: Exchange): Promise<void> {
		refuseOthers(exchange.query, []);
		const manifest = await jsonBody(exchange, maxManifestBytes);
		const said = adviceOn(manifest, {mode: mode(), nowMs: clock.now()});
		const codes = codesOf(manifest, mode());
		exchange.json(
			200,
			{
				errors: said
					.filter(({level}) => level === 'error')
					.map(({field, message}): FieldFault => ({field, code: codes.get(field) ?? 'Invalid', message})),
				advice: said.filter(({level}) => level !== 'error').map(({field, message}) => ({field, message})),
			},
			{'Cache-Control': 'no-store'},
		);
	}

	return [
		{
			...{speaks: 'plain', json: true, path: '/mirror/check'},
			methods: {POST: {handler: check, auth: 'passive', right: 'read'}},
		},
	];
}

/** By which of IMGAPI's codes publishing would name what is wrong with a field. */
function codesOf(manifest: unknown, mode: ServerMode): ReadonlyMap<string, FieldFault['code']> {
	const fields = {...(isObject(manifest) ? manifest : {}), activated: false, files: []};
	const {faults} = readFields(fields, {mode, mayHaveIcon: false, noImageSize: 'MissingParameter', channels: false});
	return new Map(faults.map(({field, code}) => [field, code]));
}
