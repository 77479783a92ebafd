/**
 * Which files may go, in which order, and which of them do where room is needed: nothing but the choice.
 *
 * `Keeper` asks and acts on it. What keeps a file comes from images (`KeepFacts`), from reasons to keep the file itself,
 * and from who reads it; whatever stays keeps the files that it is built upon. What reads or writes is not here.
 */
import {isUuid, type Sha1, type Uuid} from '../image/manifest.js';
import {KeptFile, groupFiles, stepsAtOnce, type FileGroup, type KeepBlob} from './built-upon.js';
import type {KeepFacts, KeptImage, Protection, Verdict} from './keep-facts.js';

export interface Evidence {
	readonly blobs: Iterable<KeepBlob>;
	readonly facts: KeepFacts;
	/** As they were told to `DiskStore.pin`. */
	readonly pinReasons: (sha1: Sha1) => Iterable<string>;
	/** Somebody has it open, or had it a moment ago. */
	readonly isInUse: (sha1: Sha1) => boolean;
	/** Images whose files are on their way here: what they are built upon will be needed with them. */
	readonly arriving: Iterable<Uuid>;
}

/** What has been made of the evidence. Good for the moment in which it was given. */
export interface Judgement {
	/** In the order of going. Files of a group go together. */
	readonly groups: readonly FileGroup[];
	/** So many of the first groups may go, the others stay. */
	readonly free: number;
	readonly files: ReadonlyMap<Sha1, KeptFile>;
	readonly images: ReadonlyMap<Uuid, KeptImage>;
}

const inUse: Protection = {kind: 'in-use'};

export function judge(evidence: Evidence): Judgement {
	const judging = judgeInSteps(evidence);
	for (;;) {
		const step = judging.next();
		if (step.done === true) {
			return step.value;
		}
	}
}

/** Pauses now and then: a hundred thousand files take longer than anybody should wait for an answer. */
export function* judgeInSteps(evidence: Evidence): Generator<void, Judgement, undefined> {
	let steps = 0;
	const files = new Map<Sha1, KeptFile>();
	for (const blob of evidence.blobs) {
		files.set(blob.sha1, new KeptFile(blob));
		if (++steps % stepsAtOnce === 0) {
			yield;
		}
	}
	const images = new Map<Uuid, KeptImage>();
	for (const image of evidence.facts.images) {
		images.set(image.uuid, image);
		for (const sha1 of image.files) {
			files.get(sha1)?.addImage(image);
		}
		if (++steps % stepsAtOnce === 0) {
			yield;
		}
	}
	yield* protect(files, images, evidence);
	const groups = yield* groupFiles(files, images);
	yield;
	keepWhatIsNeeded(groups);
	const [free, stay]: [FileGroup[], FileGroup[]] = [[], []];
	for (const group of groups) {
		(isFree(group) ? free : stay).push(group);
	}
	yield;
	free.sort(byOrderOfGoing);
	yield;
	stay.sort(byOrderOfGoing);
	return {groups: [...free, ...stay], free: free.length, files, images};
}

/** Files in the order in which they would go; those that stay behind. */
export function verdictsOf({groups}: Judgement): readonly Verdict[] {
	return inGroups(groups);
}

/**
 * The files to delete so that `bytes` become free, in the order of going: the least recently used, without those that
 * can be spared. All that may go, where that is not enough. What goes never leaves behind what is built upon it.
 */
export function chooseVictims({groups, free}: Judgement, bytes: number): readonly Verdict[] {
	const victims = new Set<FileGroup>();
	let freed = 0;
	for (const group of groups) {
		if (freed >= bytes || victims.size === free) {
			break;
		}
		victims.add(group);
		freed += group.size;
	}
	// Origins come behind what is built upon them, so their fate is known when that is looked at.
	for (const group of [...victims].reverse()) {
		const isNeeded = freed - group.size < bytes || group.files.some(file => needsOneOf(file, group, victims));
		if (!isNeeded) {
			victims.delete(group);
			freed -= group.size;
		}
	}
	return inGroups(victims);
}

/** What may go and has not been used since then, nor what is built upon it. */
export function unusedSince({groups, free}: Judgement, beforeMs: number): readonly Verdict[] {
	return inGroups(groups.slice(0, free).filter(({lastUsedMs}) => lastUsedMs < beforeMs));
}

/**
 * What of these files an operator may delete, in the order of going, and why not the others. `force` overrides what a
 * rule wants, and that another image is built upon it.
 */
export function mayGo(
	judgement: Judgement,
	sha1s: readonly Sha1[],
	force: boolean,
): {readonly going: readonly Verdict[]; readonly problems: ReadonlyMap<Sha1, string>} {
	const problems = new Map<Sha1, string>();
	const asked = new Set(sha1s);
	const candidates: KeptFile[] = [];
	for (const sha1 of asked) {
		const file = judgement.files.get(sha1);
		const problem = file === undefined ? 'it is not here' : refusal(file, judgement.images, force);
		if (file === undefined || problem !== undefined) {
			problems.set(sha1, problem ?? '');
		} else {
			candidates.push(file);
		}
	}
	const going = new Set(candidates);
	if (!force) {
		leaveWhatIsNeeded(judgement.files.values(), going, problems);
	}
	// What is built upon others has the greater number.
	const inOrder = [...going].sort((a, b) => (b.group?.number ?? 0) - (a.group?.number ?? 0));
	return {going: inOrder.map(verdictOf), problems};
}

/** Only an unpinned file of nobody's making goes by force. */
function refusal({protections}: KeptFile, images: ReadonlyMap<Uuid, KeptImage>, force: boolean): string | undefined {
	for (const protection of protections) {
		switch (protection.kind) {
			case 'published':
				return 'it was published here: delete the image instead';
			case 'pinned':
				return `it is pinned${named(images.get(protection.image), ' as ')}: unpin it first`;
			case 'in-use':
				return 'it is in use just now';
			case 'origin': {
				const above = images.get(protection.of);
				if (above?.published === true || above?.pinned === true) {
					const why = above.published ? 'was published here' : 'is pinned';
					return `${named(above, '') || protection.of} is built upon it, and ${why}`;
				}
				if (!force) {
					return `${named(above, '') || protection.of} is built upon it, and stays`;
				}
				break;
			}
			case 'wanted':
				if (!force) {
					return `the prefetch rule ${protection.rule} wants it`;
				}
		}
	}
	return undefined;
}

/** Takes out of `going` what something that stays is built upon, until there is no such file. */
function leaveWhatIsNeeded(all: Iterable<KeptFile>, going: Set<KeptFile>, problems: Map<Sha1, string>): void {
	const staying = [...all].filter(file => !going.has(file) && file.needs.length > 0);
	for (let file = staying.pop(); file !== undefined; file = staying.pop()) {
		for (const need of file.needs) {
			if (going.delete(need.file)) {
				const {sha1} = need.file.blob;
				problems.set(sha1, `${named(need.of, '')} is here and built upon it`);
				staying.push(need.file);
			}
		}
	}
}

function named(image: KeptImage | undefined, before: string): string {
	return image === undefined ? '' : `${before}${image.name} ${image.version} (${image.uuid})`;
}

function needsOneOf(file: KeptFile, group: FileGroup, victims: ReadonlySet<FileGroup>): boolean {
	return file.needs.some(({file: {group: other}}) => other !== undefined && other !== group && victims.has(other));
}

/** By what images say, by who reads, and by what was said of the file itself: the strongest reason first. */
function* protect(
	files: ReadonlyMap<Sha1, KeptFile>,
	images: ReadonlyMap<Uuid, KeptImage>,
	evidence: Evidence,
): Generator<void, void, undefined> {
	const originOf = originsOfKept(images);
	const needed = withOrigins(evidence.arriving, images);
	let steps = 0;
	for (const file of files.values()) {
		const {sha1} = file.blob;
		let isUsed = evidence.isInUse(sha1);
		for (const reason of evidence.pinReasons(sha1)) {
			const image = publishedBy(reason);
			if (image === undefined) {
				isUsed = true;
			} else {
				file.protect({kind: 'published', image});
			}
		}
		for (const {uuid, published} of file.images) {
			const isKnown = (one: Protection): boolean => one.kind === 'published' && one.image === uuid;
			if (published && !file.protections.some(isKnown)) {
				file.protect({kind: 'published', image: uuid});
			}
		}
		for (const {uuid, pinned} of file.images) {
			if (pinned) {
				file.protect({kind: 'pinned', image: uuid});
			}
		}
		const rules = new Set<string>();
		for (const {uuid, wantedBy} of file.images) {
			const of = originOf.get(uuid);
			if (of !== undefined) {
				file.protect({kind: 'origin', of});
			}
			for (const rule of wantedBy) {
				rules.add(rule);
			}
			isUsed ||= needed.has(uuid);
		}
		for (const rule of rules) {
			file.protect({kind: 'wanted', rule});
		}
		if (isUsed) {
			file.protect(inUse);
		}
		if (++steps % stepsAtOnce === 0) {
			yield;
		}
	}
}

/** The uuid, if this is how the publish area says that an image of ours has the file. */
function publishedBy(reason: string): Uuid | undefined {
	const [what, uuid, ...more] = reason.split(/[ :]/);
	return (what === 'image' || what === 'published') && isUuid(uuid) && more.length === 0 ? uuid : undefined;
}

/** The origins, however far up, of all that stays for its own sake, each with one of those images: the one most sure to stay. */
function originsOfKept(images: ReadonlyMap<Uuid, KeptImage>): ReadonlyMap<Uuid, Uuid> {
	const originOf = new Map<Uuid, Uuid>();
	const stays: ((image: KeptImage) => boolean)[] = [
		({published}) => published,
		({pinned}) => pinned,
		({wantedBy}) => wantedBy.length > 0,
	];
	for (const does of stays) {
		for (const image of images.values()) {
			if (!does(image)) {
				continue;
			}
			// Above one that was met before, all have been met.
			for (let next = image.origin; next !== undefined && !originOf.has(next); next = images.get(next)?.origin) {
				originOf.set(next, image.uuid);
			}
		}
	}
	return originOf;
}

function withOrigins(uuids: Iterable<Uuid>, images: ReadonlyMap<Uuid, KeptImage>): ReadonlySet<Uuid> {
	const found = new Set<Uuid>();
	for (const uuid of uuids) {
		for (let next: Uuid | undefined = uuid; next !== undefined && !found.has(next); next = images.get(next)?.origin) {
			found.add(next);
		}
	}
	return found;
}

/** What stays keeps what it is built upon. Groups come with those that need others first. */
function keepWhatIsNeeded(groups: readonly FileGroup[]): void {
	for (const {files} of groups) {
		// Within a group each is built upon the others: once around is not enough.
		for (let isNew = true; isNew;) {
			isNew = false;
			for (const {protections, needs} of files) {
				const isUsed = protections.includes(inUse);
				for (const {file, of} of protections.length > 0 ? needs : []) {
					if (isUsed && !file.protections.includes(inUse)) {
						file.protect(inUse);
						isNew = true;
					}
					if (file.protections.length === 0) {
						file.protect({kind: 'origin', of: of.uuid});
						isNew = true;
					}
				}
			}
			isNew &&= files.length > 1;
		}
	}
}

function isFree({files}: FileGroup): boolean {
	return files[0]?.protections.length === 0;
}

function byOrderOfGoing(a: FileGroup, b: FileGroup): number {
	return a.rank - b.rank || a.lastUsedMs - b.lastUsedMs || b.number - a.number;
}

function inGroups(groups: Iterable<FileGroup>): readonly Verdict[] {
	const verdicts: Verdict[] = [];
	for (const {files} of groups) {
		for (const file of files) {
			verdicts.push(verdictOf(file));
		}
	}
	return verdicts;
}

function verdictOf({blob, images, protections, group}: KeptFile): Verdict {
	return {
		sha1: blob.sha1,
		size: blob.size,
		lastUsedMs: group?.lastUsedMs ?? blob.lastUsedMs,
		storedAtMs: blob.storedAtMs,
		images,
		protections,
	};
}
