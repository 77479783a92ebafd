/**
 * The failures we expect and can name.
 *
 * Rooms throw these; `http/respond.ts` turns codes into statuses and IMGAPI's words. Whoever catches one decides by
 * class or `code`, never by the text of `message`.
 */
export class MirrorError extends Error {
	/** For programs. `message` is for whoever reads the log. */
	readonly code: string = 'INTERNAL';

	constructor(message: string, options?: ErrorOptions) {
		super(message, options);
		this.name = new.target.name;
	}
}

/** Everybody who could have it answered that it is not there. */
export class NotFoundError extends MirrorError {
	override readonly code = 'NOT_FOUND';
}

/** A source did not answer usefully; what we asked for may still exist there. */
export class SourceUnavailableError extends MirrorError {
	override readonly code = 'SOURCE_UNAVAILABLE';
	/** The name of the source, as configured. */
	readonly source: string;
	/** What went wrong, without the source's name. */
	readonly problem: string;
	readonly scope: FailureScope;

	constructor(source: string, problem: string, options: ErrorOptions & {readonly scope?: FailureScope} = {}) {
		super(`source ${source}: ${problem}`, options);
		this.source = source;
		this.problem = problem;
		this.scope = options.scope ?? 'source';
	}
}

/**
 * What a failure says something about: all that the source has; only what was asked for, which the source answered
 * otherwise than it should; only a part of a file, the whole of which may be had; nothing of it, as it was not asked.
 */
export type FailureScope = 'source' | 'item' | 'part' | 'none';

/** Bytes are not what their digest or size says, or a manifest is not one. */
export class IntegrityError extends MirrorError {
	override readonly code = 'INTEGRITY';
}

/** A file that was here is gone from the disk or cannot be read there, and nobody else has it. */
export class FileLostError extends MirrorError {
	override readonly code = 'FILE_LOST';
}

/** The disk cannot take what it should. */
export class NoSpaceError extends MirrorError {
	override readonly code = 'NO_SPACE';
}

/** What files may take is taken, whatever the disk has left. */
export class OverLimitError extends NoSpaceError {}

/** One thing wrong with one field of a request or a manifest, as IMGAPI reports it. */
export interface FieldFault {
	readonly field: string;
	readonly code: 'Invalid' | 'Missing' | 'MissingParameter' | 'NotAllowed';
	readonly message?: string;
}

/** A query or body parameter is wrong. */
export class InvalidParameterError extends MirrorError {
	override readonly code = 'INVALID_PARAMETER';
	readonly errors: readonly FieldFault[];

	constructor(message: string, errors: readonly FieldFault[], options?: ErrorOptions) {
		super(message, options);
		this.errors = errors;
	}
}

/** A manifest, or a change to one, breaks the rules: every violation, in the order of the rules. */
export class ValidationError extends MirrorError {
	override readonly code = 'VALIDATION';
	readonly errors: readonly FieldFault[];

	constructor(message: string, errors: readonly FieldFault[], options?: ErrorOptions) {
		super(message, options);
		this.errors = errors;
	}
}

/** Refusals that IMGAPI has a word of its own for. */
export type Refusal =
	| 'ImageFilesImmutable'
	| 'ImageAlreadyActivated'
	| 'NoActivationNoFile'
	| 'OperatorOnly'
	| 'ImageUuidAlreadyExists'
	| 'Upload'
	| 'Download'
	| 'StorageUnsupported'
	| 'NotImageOwner'
	| 'OriginDoesNotExist'
	| 'OriginIsNotActive'
	| 'ImageHasDependentImages'
	| 'BundleNotTrusted'
	| 'BundleSpoiled'
	| 'KeyAlreadyExists'
	| 'KeyIsConfigured'
	| 'NotAvailable'
	| 'NotImplemented';

/** What was asked for cannot be done with the image as it is, or by this caller. */
export class RefusedError extends MirrorError {
	override readonly code = 'REFUSED';
	readonly refusal: Refusal;

	constructor(refusal: Refusal, message: string, options?: ErrorOptions) {
		super(message, options);
		this.refusal = refusal;
	}
}

/** The image is not as the caller thought when it asked for the change. */
export class PreconditionError extends MirrorError {
	override readonly code = 'PRECONDITION_FAILED';
}

/** The caller is known, and may not do this. */
export class ForbiddenError extends MirrorError {
	override readonly code = 'FORBIDDEN';
}

/** Only a caller who has shown who they are may ask for this. */
export class UnauthorizedError extends MirrorError {
	override readonly code = 'UNAUTHORIZED';
}

/** The configuration cannot be used. `faults` holds a line for each thing wrong with it. */
export class ConfigError extends MirrorError {
	override readonly code = 'CONFIG';
	readonly faults: readonly string[];

	constructor(message: string, faults: readonly string[], options?: ErrorOptions) {
		super(message, options);
		this.faults = faults;
	}
}

/** The command line, or the state of this machine, does not allow what was asked for. */
export class UsageError extends MirrorError {
	override readonly code = 'USAGE';
}

/** A source of which nothing is known that would tell what it has, and why. */
export interface SilentSource {
	readonly source: string;
	readonly problem: string;
}

/** It is in no list. Where that of a source is not known, nobody can tell. */
export function absentFromLists(
	message: string,
	silent: SilentSource | undefined,
): NotFoundError | SourceUnavailableError {
	return silent === undefined
		? new NotFoundError(message)
		: new SourceUnavailableError(silent.source, `cannot tell whether it is there (${message}): ${silent.problem}`);
}

/** Another process works on the data directory, at the moment. */
export class DataInUseError extends UsageError {}

/** The mirror is going away: it takes nothing new. */
export class StoppingError extends MirrorError {
	override readonly code = 'STOPPING';
}

/** Any thrown value as an Error. */
export function asError(value: unknown): Error {
	return value instanceof Error ? value : new MirrorError(describe(value));
}

/** Any thrown value as one line of text: an Error's message with its causes, so that no log says just "fetch failed". */
export function describe(error: unknown): string {
	const parts: string[] = [];
	let current: unknown = error;
	while (current !== undefined && current !== null && parts.length < 5) {
		const text = current instanceof Error ? describeOne(current) : JSON.stringify(current);
		if (!parts.some(part => part.includes(text))) {
			parts.push(text);
		}
		current = current instanceof Error ? current.cause : undefined;
	}
	return parts.join(': ');
}

/** The same, and the faults of single fields that the message does not name. */
export function describeFields(error: unknown): string {
	const words = describe(error);
	if (error instanceof ValidationError || error instanceof InvalidParameterError) {
		const missing = error.errors.filter(({field}) => !words.includes(field));
		return [words, ...missing.map(({field, code, message}) => `${field}: ${message ?? code}`)].join('; ');
	}
	return words;
}

function describeOne(error: Error): string {
	if (error instanceof AggregateError && error.errors.length > 0) {
		return (error.errors as unknown[]).map(describe).join('; ');
	}
	return error.message || ('code' in error && typeof error.code === 'string' ? error.code : error.name);
}

/** What Node and the system call it, such as "ENOENT". */
export function codeOf(error: unknown): string | undefined {
	return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** What this process or this machine has no more of: that says nothing about the file that was asked for. */
const exhausted: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

export function isExhausted(error: unknown): boolean {
	return exhausted.has(codeOf(error) ?? '') || (error instanceof MirrorError && isExhausted(error.cause));
}
