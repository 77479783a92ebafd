/**
 * What went wrong between the page and the mirror, in words for whoever looks at it.
 */
import {sentence} from './words.js';

export interface FieldProblem {
	readonly field: string;
	readonly code?: string;
	readonly message?: string;
}

export class ApiError extends Error {
	/** 0: there was no answer. */
	readonly status: number;
	readonly code: string;
	readonly errors: readonly FieldProblem[];

	constructor(
		message: string,
		{status, code = '', errors = []}: {status: number; code?: string; errors?: readonly FieldProblem[]},
	) {
		super(message);
		this.name = 'ApiError';
		this.status = status;
		this.code = code;
		this.errors = errors;
	}

	/** Trying again later may help. */
	get mayPass(): boolean {
		return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
	}
}

/** Of an answer that is no success, by IMGAPI's body if it has one. */
export function errorOf(status: number, body: string): ApiError {
	const {code, message, errors} = bodyOf(body);
	return new ApiError(message ?? usual(status), {
		status,
		...(code === undefined ? {} : {code}),
		...(errors === undefined ? {} : {errors}),
	});
}

export function noAnswer(): ApiError {
	return new ApiError('The mirror does not answer.', {status: 0});
}

/** A sentence about anything that was thrown. */
export function problemText(error: unknown): string {
	if (!(error instanceof ApiError)) {
		return error instanceof Error ? error.message : String(error);
	}
	switch (error.status) {
		case 401:
			return `${sentence(error.message)} Log in with an account that may do this.`;
		case 403:
			return `${sentence(error.message)} Your account has not the right to do this.`;
		default:
			return sentence(error.message);
	}
}

export function wasAborted(error: unknown): boolean {
	return error instanceof Error && error.name === 'AbortError';
}

function usual(status: number): string {
	switch (status) {
		case 401:
			return 'This needs a login.';
		case 403:
			return 'This is not allowed.';
		case 404:
			return 'This is not there (any more).';
		default:
			return `The mirror answered with status ${status}.`;
	}
}

function bodyOf(body: string): {code?: string; message?: string; errors?: readonly FieldProblem[]} {
	try {
		const read: unknown = JSON.parse(body);
		if (typeof read !== 'object' || read === null) {
			return {};
		}
		const fields = new Map<string, unknown>(Object.entries(read));
		const [code, message, errors] = [fields.get('code'), fields.get('message'), fields.get('errors')];
		return {
			...(typeof code === 'string' ? {code} : {}),
			...(typeof message === 'string' ? {message} : {}),
			...(Array.isArray(errors) ? {errors: errors.filter(isFieldProblem)} : {}),
		};
	} catch {
		// A proxy's page, or nothing: the status says enough.
		return {};
	}
}

function isFieldProblem(value: unknown): value is FieldProblem {
	return typeof value === 'object' && value !== null && 'field' in value && typeof value.field === 'string';
}
