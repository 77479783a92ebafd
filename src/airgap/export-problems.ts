/**
 * Why images cannot go: in words for each of them, and as one error where a bundle without them is not wanted.
 */
import {
	InvalidParameterError,
	IntegrityError,
	MirrorError,
	NoSpaceError,
	NotFoundError,
	SourceUnavailableError,
	describe,
} from '../errors.js';

/** Of one image. */
export interface Problem {
	readonly text: string;
	/** What is at the bottom of it. */
	readonly error: unknown;
	/** It is another image's, and this one's only because it is built upon that. */
	readonly isInherited?: boolean;
}

export interface Failure extends Problem {
	readonly uuid: string;
	readonly name?: string | undefined;
	readonly version?: string | undefined;
}

/** Error messages name at most so many images. */
const mostNamed = 10;

export function problemOf(error: unknown): Problem {
	return {error, text: error instanceof NotFoundError ? 'nobody has it' : describe(error)};
}

/** An image as people know it. */
export function titleOf({uuid, name, version}: Omit<Failure, keyof Problem>): string {
	return name === undefined ? uuid : `${name} ${version ?? ''} (${uuid})`;
}

/** Of the class that says most about what to do. `failures`: at least one. */
export function failureOf(failures: readonly Failure[]): MirrorError {
	const named = failures.slice(0, mostNamed).map(failure => `${titleOf(failure)}: ${failure.text}`);
	const more = failures.length > mostNamed ? `; and ${failures.length - mostNamed} more` : '';
	const text = `what is asked for cannot go: ${named.join('; ')}${more}`;
	const errors = failures.map(({error}) => error);
	const options = {cause: errors[0]};
	const away = errors.find(error => error instanceof SourceUnavailableError);
	if (errors.some(error => error instanceof NoSpaceError)) {
		return new NoSpaceError(text, options);
	}
	if (away !== undefined) {
		return new SourceUnavailableError(away.source, text, options);
	}
	if (errors.some(error => error instanceof InvalidParameterError)) {
		return new InvalidParameterError(text, [], options);
	}
	if (errors.some(error => error instanceof NotFoundError)) {
		return new NotFoundError(text, options);
	}
	return errors.some(error => error instanceof IntegrityError)
		? new IntegrityError(text, options)
		: new MirrorError(text, options);
}
