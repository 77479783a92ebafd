/**
 * How a request of a command can fail, in words for whoever typed it.
 *
 * `client.ts` throws these. Whoever tries again decides by class and `status`: what the network did may be over in a
 * moment, what a server refuses it refuses again.
 */
import {MirrorError, describe, type FieldFault} from '../errors.js';
import type {Target} from './target.js';

/** No answer came, or none to its end. */
export class ConnectionError extends MirrorError {
	override readonly code = 'CONNECTION';
	/** Trying again cannot help: a name or a certificate is wrong. */
	readonly final: boolean;

	constructor(message: string, options: ErrorOptions & {readonly final?: boolean} = {}) {
		super(message, options);
		this.final = options.final ?? false;
	}
}

/** The server answered, and not what was wanted. `message` has a line for each fault that it names. */
export class AnswerError extends MirrorError {
	override readonly code = 'ANSWER';
	readonly status: number;
	/** IMGAPI's word; `''`: the answer was not IMGAPI's. */
	readonly reason: string;
	readonly retryAfterMs: number | undefined;

	constructor(message: string, answer: {status: number; reason: string; retryAfterMs: number | undefined}) {
		super(message);
		this.status = answer.status;
		this.reason = answer.reason;
		this.retryAfterMs = answer.retryAfterMs;
	}
}

/** The server that was to be looked at is not there. */
export class NotRunningError extends MirrorError {
	override readonly code = 'NOT_RUNNING';
}

/** The user, or a service manager, has told the command to stop. */
export class InterruptedError extends MirrorError {
	override readonly code = 'INTERRUPTED';
}

/** Whether the same request may go well later. */
export function mayPass(error: unknown): boolean {
	if (error instanceof ConnectionError) {
		return !error.final;
	}
	return error instanceof AnswerError && ([408, 423, 425, 429].includes(error.status) || isServerTrouble(error.status));
}

/** 501 is an answer for ever. */
function isServerTrouble(status: number): boolean {
	return status >= 500 && status !== 501;
}

/** What the system said of a connection, with what can be done about it. */
export function connectionError(error: unknown, target: Target): ConnectionError {
	if (error instanceof ConnectionError) {
		return error;
	}
	const code = error instanceof Error && 'code' in error ? String(error.code) : '';
	// What the system calls it adds nothing where we have words for it: it is left out then.
	const make = (message: string, final = false): ConnectionError => new ConnectionError(message, {final});
	const where = target.shown;
	switch (code) {
		case 'ECONNREFUSED':
			return make(`cannot connect to ${where}: connection refused (does imgmirror run there, on that port?)`);
		case 'ENOENT':
			return make(`cannot connect to ${where}: there is no such socket (does imgmirror run?)`);
		case 'EACCES':
		case 'EPERM':
			return make(`cannot connect to ${where}: only the account that imgmirror runs as may do so`, true);
		case 'ENOTFOUND':
			return make(`cannot connect to ${where}: this machine knows no address for ${target.host}`);
		case 'ECONNRESET':
		case 'EPIPE':
			return make(`the connection to ${where} broke`);
		case 'HPE_INVALID_CONSTANT':
			return make(`what ${where} answers is no HTTP`, true);
		default:
	}
	if (/^(?:CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code)) {
		return make(
			`the certificate of ${where} is not one that this machine trusts: ${describe(error)} ` +
				'(NODE_EXTRA_CA_CERTS may name a file with the certificate of its authority)',
			true,
		);
	}
	if (code === 'EPROTO' || code.startsWith('ERR_SSL')) {
		return make(`${where} does not speak TLS: should the URL begin with http://?`, true);
	}
	return make(`cannot talk to ${where}: ${describe(error)}`);
}

/** What an answer of 400 or above means. `body` is what came with it. */
export function answerError(
	{status, body, retryAfter}: {status: number; body: string; retryAfter: string | undefined},
	target: Target,
): AnswerError {
	const {code, message, errors} = readBody(body);
	const seconds = /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) : undefined;
	const details = {
		status,
		reason: code,
		retryAfterMs: seconds === undefined ? undefined : seconds * 1000,
	};
	if (status === 401) {
		const advice =
			target.authorization === undefined
				? 'put user and password into the URL: --url http://USER:PASSWORD@HOST'
				: 'the user or the password in the URL is wrong';
		return new AnswerError(`${target.shown} wants a login: ${advice}`, details);
	}
	const said = message || `status ${status}`;
	const named = code === '' ? '' : ` (${code})`;
	// What has been said need not be said of a field once more.
	const others = errors.filter(fault => fault.message !== said);
	const lines = [...others.map(faultLine), ...adviceOn(status, code, target)].map(line => `\n  ${line}`);
	return new AnswerError(`${target.shown} says: ${said}${named}${lines.join('')}`, details);
}

/** What whoever set it up could not know. */
function adviceOn(status: number, code: string, target: Target): readonly string[] {
	if (status === 413 && code === '') {
		return ['a proxy in front of it lets no more through: nginx needs "client_max_body_size 0;"'];
	}
	const advice = pathAdvice(target);
	return [404, 405].includes(status) && advice !== undefined ? [advice] : [];
}

/** Where a URL was copied from a browser, or from a request. */
export function pathAdvice({basePath}: Target): string | undefined {
	const end = /\/(?:images|datasets|publish|uploads|ping|ui|docs|status|metrics|mirror|events|healthz|readyz)$/.exec(
		basePath,
	);
	return end === null ? undefined : `the URL should end before ${end[0]}, it seems`;
}

function faultLine({field, code, message}: FieldFault): string {
	const what =
		message ?? (code === 'MissingParameter' || code === 'Missing' ? 'is missing' : 'is not allowed as it is');
	return `${field}: ${what} (${code})`;
}

interface ErrorBody {
	readonly code: string;
	readonly message: string;
	readonly errors: readonly FieldFault[];
}

/** Of IMGAPI, or of any server in between: never more than a few lines. */
function readBody(text: string): ErrorBody {
	const plain: ErrorBody = {code: '', message: isPlain(text) ? text.trim().slice(0, 200) : '', errors: []};
	const value = parsed(text);
	if (typeof value !== 'object' || value === null || !('message' in value || 'code' in value)) {
		return plain;
	}
	const code = 'code' in value ? value.code : undefined;
	const message = 'message' in value ? value.message : undefined;
	const errors = 'errors' in value && Array.isArray(value.errors) ? (value.errors as unknown[]) : [];
	return {
		code: typeof code === 'string' ? code : '',
		message: typeof message === 'string' ? message : '',
		errors: errors.filter(isFault),
	};
}

function isPlain(text: string): boolean {
	return !/^\s*[<{[]/.test(text) && !/[^\P{Cc}\n\r\t]/u.test(text);
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text) as unknown;
	} catch {
		return undefined;
	}
}

function isFault(value: unknown): value is FieldFault {
	return (
		typeof value === 'object' &&
		value !== null &&
		'field' in value &&
		typeof value.field === 'string' &&
		'code' in value &&
		typeof value.code === 'string' &&
		(!('message' in value) || value.message === undefined || typeof value.message === 'string')
	);
}
