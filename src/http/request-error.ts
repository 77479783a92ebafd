/**
 * What can be wrong with a request as HTTP: nothing that the rooms below would ever hear of.
 *
 * Whoever reads a request throws these; `respond.ts` has their statuses. `headers` go out with the answer.
 */
import {MirrorError, RefusedError, type Refusal} from '../errors.js';

export type RequestErrorCode =
	| 'BAD_REQUEST'
	| 'BAD_DIGEST'
	| 'INVALID_ARGUMENT'
	| 'INVALID_CONTENT'
	| 'INVALID_VERSION'
	| 'MISSING_ARGUMENT'
	| 'METHOD_NOT_ALLOWED'
	| 'NOT_ACCEPTABLE'
	| 'PRECONDITION_FAILED'
	| 'RANGE_NOT_SATISFIABLE'
	| 'REQUEST_TIMEOUT'
	| 'TOO_LARGE'
	| 'UNSUPPORTED_MEDIA'
	| 'HEADERS_TOO_LARGE'
	| 'LOOP';

export class RequestError extends MirrorError {
	override readonly code: RequestErrorCode;
	readonly headers: Readonly<Record<string, string>>;

	constructor(
		code: RequestErrorCode,
		message: string,
		headers: Readonly<Record<string, string>> = {},
		options?: ErrorOptions,
	) {
		super(message, options);
		this.code = code;
		this.headers = headers;
	}
}

/** Some of what was asked for has been done all the same: `report` tells what. */
export class PartlyRefused extends RefusedError {
	readonly report: object;

	constructor(refusal: Refusal, message: string, report: object) {
		super(refusal, message);
		this.report = report;
	}
}
