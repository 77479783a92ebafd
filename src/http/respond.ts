/**
 * Failures in IMGAPI's words: the one table from error codes to statuses, and the bodies that clients read.
 *
 * Everything that answers a client comes through `answerTo`; the rooms below know codes, and nothing of HTTP.
 */
import type {IncomingHttpHeaders} from 'node:http';
import {
	InvalidParameterError,
	isExhausted,
	MirrorError,
	RefusedError,
	ValidationError,
	type FieldFault,
} from '../errors.js';
import {PartlyRefused, RequestError} from './request-error.js';

/** Every code of IMGAPI (contract 3) and its status; below the line, those that HTTP and bundles need besides. */
export const statuses: ReadonlyMap<string, number> = new Map([
	['ValidationFailed', 422],
	['InvalidParameter', 422],
	['ImageFilesImmutable', 422],
	['ImageAlreadyActivated', 422],
	['NoActivationNoFile', 422],
	['OperatorOnly', 403],
	['ImageUuidAlreadyExists', 409],
	['Upload', 400],
	['Download', 400],
	['ImageFileTooBig', 400],
	['StorageIsDown', 503],
	['StorageUnsupported', 503],
	['RemoteSourceError', 503],
	['OwnerDoesNotExist', 422],
	['AccountDoesNotExist', 422],
	['NotImageOwner', 422],
	['ImageNotShared', 422],
	['NotMantaPathOwner', 422],
	['OriginDoesNotExist', 422],
	['OriginIsNotActive', 422],
	['InsufficientServerVersion', 422],
	['ImageHasDependentImages', 422],
	['NotAvailable', 501],
	['NotImplemented', 400],
	['InternalError', 500],
	['ResourceNotFound', 404],
	['InvalidHeader', 400],
	['InvalidContent', 400],
	['InvalidVersion', 400],
	['BadDigest', 400],
	['BadRequestError', 400],
	['PreconditionFailed', 412],
	['MethodNotAllowedError', 405],
	['UnauthorizedError', 401],
	['ServiceUnavailableError', 503],
	['MissingParameter', 409],
	['InvalidArgument', 409],

	['NotAuthorizedError', 403],
	['NotAcceptableError', 406],
	['RequestTimeoutError', 408],
	['RequestEntityTooLargeError', 413],
	['UnsupportedMediaTypeError', 415],
	['RequestedRangeNotSatisfiableError', 416],
	['RequestHeaderFieldsTooLargeError', 431],
	['BundleNotTrusted', 403],
	['BundleSpoiled', 422],
	['KeyAlreadyExists', 409],
	['KeyIsConfigured', 409],
]);

/** What a client is told about our own codes. What is missing here is nobody's business but the log's. */
const words: ReadonlyMap<string, string> = new Map([
	['NOT_FOUND', 'ResourceNotFound'],
	['SOURCE_UNAVAILABLE', 'RemoteSourceError'],
	['INTEGRITY', 'RemoteSourceError'],
	['INVALID_PARAMETER', 'InvalidParameter'],
	['VALIDATION', 'ValidationFailed'],
	['FORBIDDEN', 'NotAuthorizedError'],
	['FILE_LOST', 'StorageIsDown'],
	['NO_SPACE', 'ServiceUnavailableError'],
	['STOPPING', 'ServiceUnavailableError'],
	['UNAUTHORIZED', 'UnauthorizedError'],
	['BAD_REQUEST', 'BadRequestError'],
	['BAD_DIGEST', 'BadDigest'],
	['INVALID_ARGUMENT', 'InvalidArgument'],
	['MISSING_ARGUMENT', 'MissingParameter'],
	['INVALID_CONTENT', 'InvalidContent'],
	['UNSUPPORTED_MEDIA', 'UnsupportedMediaTypeError'],
	['INVALID_VERSION', 'InvalidVersion'],
	['METHOD_NOT_ALLOWED', 'MethodNotAllowedError'],
	['NOT_ACCEPTABLE', 'NotAcceptableError'],
	['PRECONDITION_FAILED', 'PreconditionFailed'],
	['RANGE_NOT_SATISFIABLE', 'RequestedRangeNotSatisfiableError'],
	['REQUEST_TIMEOUT', 'RequestTimeoutError'],
	['TOO_LARGE', 'RequestEntityTooLargeError'],
	['HEADERS_TOO_LARGE', 'RequestHeaderFieldsTooLargeError'],
	['LOOP', 'RemoteSourceError'],
]);

export interface ErrorAnswer {
	readonly status: number;
	/** IMGAPI's. */
	readonly code: string;
	readonly message: string;
	readonly errors: readonly FieldFault[] | undefined;
	readonly headers: Readonly<Record<string, string>>;
	/** Stands beside the code and the message. */
	readonly report?: object;
}

/** `asker`: the headers of the request that it answers. */
export function answerTo(error: unknown, asker: IncomingHttpHeaders = {}): ErrorAnswer {
	const code = error instanceof MirrorError ? wordFor(error) : undefined;
	if (!(error instanceof MirrorError) || code === undefined) {
		if (isExhausted(error)) {
			const busy = answer(
				'ServiceUnavailableError',
				'the mirror has as many files open, or as much memory in use, as it may: try again in a moment',
			);
			return {...busy, headers: {'Retry-After': '1'}};
		}
		return answer('InternalError', 'the mirror failed to answer; its log says why');
	}
	return {
		...answer(code, error.message),
		errors: error instanceof InvalidParameterError || error instanceof ValidationError ? error.errors : undefined,
		headers: {
			...(code === 'UnauthorizedError' ? {'WWW-Authenticate': challengeFor(asker)} : {}),
			...(error instanceof RequestError ? error.headers : {}),
		},
		...(error instanceof PartlyRefused ? {report: error.report} : {}),
	};
}

/**
 * A browser that is asked for a name and a password asks its user, in a window of its own. The page has a form for that,
 * so what a script sends is told of its cookie.
 */
function challengeFor({origin, accept, ...headers}: IncomingHttpHeaders): string {
	const isScript =
		origin !== undefined ||
		headers['x-imgmirror'] === 'page' ||
		headers['sec-fetch-dest'] === 'empty' ||
		accept === 'text/event-stream';
	return isScript ? 'Cookie realm="IMGAPI", cookie-name="imgmirror"' : 'Basic realm="IMGAPI"';
}

function wordFor(error: MirrorError): string | undefined {
	return error instanceof RefusedError ? error.refusal : words.get(error.code);
}

export function answer(code: string, message: string, errors?: readonly FieldFault[]): ErrorAnswer {
	return {status: statuses.get(code) ?? 500, code, message, errors, headers: {}};
}

/** `dsapi`: with DSAPI's shape beside IMGAPI's; imgadm's clients read either. */
export function errorBody({status, code, message, errors, report}: ErrorAnswer, dsapi: boolean): Buffer {
	return json({
		code,
		message,
		...(errors === undefined ? {} : {errors}),
		...(dsapi ? {error: {message, code: status}} : {}),
		...report,
	});
}

/** As contract 2.1 has it: indented by two spaces, no newline at the end. */
export function json(value: object): Buffer {
	return Buffer.from(JSON.stringify(value, null, 2));
}
