/**
 * The keys of bundles: the one that ours are signed with, and those whose bundles are taken.
 */
import {hostname} from 'node:os';
import type {KeysApi, PublicKey} from '../airgap/api.js';
import {MirrorError, describe} from '../errors.js';
import {invalid} from '../image/params.js';
import {jsonBody} from './bodies.js';
import type {Exchange} from './exchange.js';
import {fieldsIn, flagField, refuseOthers, textField, textParam} from './fields.js';
import {answerNow} from './large-json.js';
import {RequestError} from './request-error.js';
import {strict, type Route} from './routes.js';

const mostComment = 200;

export function bundleKeyRoutes(keys: KeysApi): readonly Route[] {
	async function list(exchange: Exchange): Promise<void> {
		refuseOthers(exchange.query, []);
		const [own, trusted] = await Promise.all([ownOrProblem(keys), keys.trusted()]);
		await answerNow(exchange, {...own, trusted});
	}

	async function create(exchange: Exchange): Promise<void> {
		exchange.audit('make bundle key');
		refuseOthers(exchange.query, []);
		const fields = fieldsIn(await jsonBody(exchange), ['comment', 'replace']);
		const comment = textField(fields, 'comment', mostComment) ?? `imgmirror@${hostname()}`;
		// The key is a line of text, and the comment its end.
		if (/\p{Cc}/u.test(comment) || comment.trim() !== comment) {
			throw invalid('comment', 'must be text in one line');
		}
		const replace = flagField(fields, 'replace') ?? false;
		const key = await keys.create({comment, replace});
		exchange.audit(`make bundle key ${key.fingerprint}`);
		await answerNow(exchange, key);
	}

	async function trust(exchange: Exchange): Promise<void> {
		exchange.audit('trust bundle key');
		refuseOthers(exchange.query, []);
		const line = textField(fieldsIn(await jsonBody(exchange), ['key']), 'key');
		if (line === undefined) {
			throw invalid('key', 'must be a public key, as `imgmirror key show` prints it');
		}
		const trusted = await keys.trust(line);
		exchange.audit(`trust bundle key ${trusted.key.fingerprint}`);
		await answerNow(exchange, trusted);
	}

	async function untrust(exchange: Exchange): Promise<void> {
		exchange.audit('trust bundle key no more');
		refuseOthers(exchange.query, ['key']);
		const which = textParam(exchange.query, 'key');
		if (which === undefined) {
			throw new RequestError('MISSING_ARGUMENT', 'key is missing: a fingerprint, or a comment');
		}
		const {fingerprint} = await keys.untrust(asFingerprint(which));
		exchange.audit(`trust bundle key ${fingerprint} no more`);
		exchange.empty(204);
	}

	const plain = {speaks: 'plain', json: true} as const;
	return [
		{...plain, path: '/mirror/keys', methods: {GET: strict(list, 'operate'), POST: strict(create, 'operate')}},
		{
			...{...plain, path: '/mirror/keys/trusted'},
			methods: {POST: strict(trust, 'operate'), DELETE: strict(untrust, 'operate')},
		},
	];
}

/** Whose bundles are taken is to be seen all the same where our own key is damaged. */
async function ownOrProblem(keys: KeysApi): Promise<{readonly own?: PublicKey; readonly ownProblem?: string}> {
	try {
		const own = await keys.own();
		return own === undefined ? {} : {own};
	} catch (error) {
		if (error instanceof MirrorError) {
			return {ownProblem: describe(error)};
		}
		throw error;
	}
}

/** A plus sign in a query is a space, unless whoever wrote it has thought of that. */
function asFingerprint(which: string): string {
	return /^SHA256:[\w+/ ]{43}$/u.test(which) ? which.replaceAll(' ', '+') : which;
}
