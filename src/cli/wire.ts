/**
 * What the server answers below `/mirror/`, as commands read it.
 *
 * Shapes are those of the mirror's own side (`mirror-operate-api.ts`, `prefetch/api.ts`), as far as commands show them.
 * They are read from the wire, not taken for granted: the server may be another version.
 */
import {amounts, flag, list, maybe, maybeNumber, maybeText, number, shape, text, word, type Read} from './fields.js';

export const readHold = shape({
	source: text,
	why: word('operator', 'age', 'rule'),
	until: maybeText,
	by: maybeText,
	note: maybeText,
});
export type Hold = Read<typeof readHold>;

const whereabouts = word('away', 'here', 'coming', 'part');
export type Here = Read<typeof whereabouts>;

const rowFields = {
	uuid: text,
	name: text,
	version: text,
	os: text,
	type: text,
	state: text,
	owner: text,
	public: flag,
	publishedAt: maybeText,
	origin: maybeText,
	size: number,
	source: text,
	sources: list(text),
	here: whereabouts,
	pinned: flag,
	wantedBy: list(text),
	lastUsedAt: maybeText,
	held: maybe(readHold),
	vanished: flag,
};

export const readRow = shape(rowFields);
export type Row = Read<typeof readRow>;

const named = shape({uuid: text, name: text, version: text});
export type Named = Read<typeof named>;

export const readDetails = shape({
	...rowFields,
	origins: list(readRow),
	dependents: list(readRow),
	files: list(
		shape({
			sha1: maybeText,
			size: number,
			here: whereabouts,
			storedAt: maybeText,
			verifiedAt: maybeText,
			stays: list(text),
		}),
	),
});
export type Details = Read<typeof readDetails>;

const readStored = shape({
	sha1: text,
	size: number,
	images: list(named),
	storedAt: text,
	lastUsedAt: text,
	verifiedAt: maybeText,
	stays: list(text),
});
export type Stored = Read<typeof readStored>;

const readScrub = shape({
	running: flag,
	files: number,
	filesDone: number,
	bytes: number,
	bytesDone: number,
	wrong: number,
	beganAt: maybeText,
	endedAt: maybeText,
	rightAt: maybeText,
	nextAt: maybeText,
	damaged: list(shape({uuid: text, name: text, sha1: text, since: text})),
});

export const readStorage = shape({
	files: number,
	bytes: number,
	partials: number,
	partialBytes: number,
	reservedBytes: number,
	freeBytes: maybeNumber,
	diskBytes: maybeNumber,
	limits: shape({
		maxBytes: maybeNumber,
		minFreeBytes: number,
		maxUnusedMs: maybeNumber,
		allowedBytes: maybeNumber,
		highBytes: maybeNumber,
		lowBytes: maybeNumber,
	}),
	byReason: amounts,
	all: list(readStored),
	next: shape({files: number, bytes: number, because: text}),
	quarantine: list(
		shape({
			name: text,
			size: number,
			since: text,
			note: maybe(shape({suppliers: list(text)})),
		}),
	),
	scrub: readScrub,
});
export type Storage = Read<typeof readStorage>;

export const readSource = shape({
	name: text,
	kind: maybeText,
	urls: list(text),
	images: number,
	held: number,
	vanished: number,
	skipped: number,
	reasons: list(text),
	fetchedAt: maybeText,
	fresh: flag,
	nextTryAt: maybeText,
	lastError: maybeText,
	wrongFiles: flag,
	health: shape({
		state: word('unknown', 'up', 'down'),
		since: text,
		lastSuccessAt: maybeText,
		lastFailureAt: maybeText,
		lastError: maybeText,
		consecutiveFailures: number,
		latencyMs: maybeNumber,
	}),
});
export type Source = Read<typeof readSource>;

export const readTransfer = shape({
	image: named,
	sha1: maybeText,
	size: number,
	written: number,
	resumedFrom: number,
	followers: number,
	source: maybeText,
	waiting: flag,
	background: flag,
	passing: flag,
	since: text,
	bytesPerSecond: number,
	etaMs: maybeNumber,
});
export type Transfer = Read<typeof readTransfer>;

/** Something that happened. */
export const readEvent = shape({
	id: number,
	type: text,
	at: text,
	image: maybe(named),
	source: maybeText,
	sha1: maybeText,
	problem: maybeText,
	by: maybeText,
});
export type Event = Read<typeof readEvent>;

export const readHeld = shape({
	uuid: text,
	name: text,
	version: text,
	publishedAt: maybeText,
	firstSeenAt: maybeText,
	reasons: list(readHold),
});
export type Held = Read<typeof readHeld>;

export const readPinned = shape({
	uuid: text,
	chain: list(shape({uuid: text, name: maybeText, here: flag})),
	unchanged: flag,
});

export const readEvicted = shape({uuid: text, bytes: number, problem: maybeText});
export type Evicted = Read<typeof readEvicted>;

export const readReleased = shape({released: list(text)});

export const readRefreshed = shape({source: text, problem: maybeText});

export const readRule = shape({
	name: text,
	chooses: text,
	images: number,
	imagesHere: number,
	bytes: number,
	bytesHere: number,
	running: flag,
	waiting: flag,
	lastRunAt: maybeText,
	lastProblem: maybeText,
	nextRunAt: maybeText,
});
export type Rule = Read<typeof readRule>;

export const readPlan = shape({
	images: list(shape({uuid: text, name: text, version: text, size: number, here: flag, originOf: maybeText})),
	bytes: number,
	bytesToFetch: number,
	bytesPerSecond: maybeNumber,
	ms: maybeNumber,
	leftOut: number,
	missing: list(shape({uuid: text, problem: text})),
});
export type Plan = Read<typeof readPlan>;

/** One line of what a one-off prefetch tells; which fields count depends on `what`. */
export const readFetched = shape({
	what: text,
	plan: readPlan,
	uuid: text,
	name: text,
	version: text,
	bytes: number,
	outcome: word('failed', 'fetched', 'there', 'uncached'),
	problem: maybeText,
	fetched: number,
	there: number,
	failed: number,
	ms: number,
});

/** One line of what `verify` tells; which fields count depends on `what`. */
export const readVerified = shape({
	what: text,
	files: number,
	bytes: number,
	bytesDone: number,
	sha1: text,
	images: list(named),
	outcome: word('unreadable', 'right', 'refetching', 'lost', 'gone'),
	problem: maybeText,
	right: number,
	wrong: number,
	unreadable: number,
});
export type Verified = Read<typeof readVerified>;

/** Of `/status`, which every version has. */
export const readServer = shape({
	version: maybeText,
	startedAt: maybeText,
	merged: number,
	conflictCount: number,
	stopping: flag,
});

export const readReadiness = shape({status: text, problems: list(text), warnings: list(text)});
