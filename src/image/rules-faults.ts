/**
 * What is wrong with a manifest as an error, and the rules for images that are here already.
 */
import {ValidationError, type FieldFault} from '../errors.js';
import type {ServerMode} from './image-fields.js';
import type {FieldRules} from './rules-readers.js';

/** More than these, an error's message does not name. All are in its list. */
const mostTold = 5;

/** An error's list has no more than these: a hostile body has room for many. */
export const mostFaults = 1000;

export function asValidationError(faults: readonly FieldFault[]): ValidationError {
	const told = faults.map(({field, message}) => (message === undefined ? field : `${field} ${message}`));
	return new ValidationError(
		faults.length === 0 ? 'nothing to change' : `invalid image: ${summary(told)}`,
		faults.slice(0, mostFaults),
	);
}

/** The first few of these, in a line that is not too long. */
export function summary(parts: readonly string[]): string {
	const told = parts.slice(0, mostTold).map(part => (part.length > 200 ? `${part.slice(0, 200)}…` : part));
	const more = parts.length - told.length;
	return more === 0 ? told.join('; ') : `${told.join('; ')}; and ${more} more`;
}

export function storedRules(mode: ServerMode, channels = false): FieldRules {
	return {mode, mayHaveIcon: true, noImageSize: 'MissingParameter', channels};
}
