/**
 * Reading a source's list to its end, and what is different in it.
 *
 * Nothing is touched here that others see: `source-list.ts` takes over the result in one step, or not at all.
 */
import {Slices} from '../host-slices.js';
import {compareImages, type Manifest, type Uuid} from '../image/manifest.js';
import {Packer, type UnpackedTexts} from '../image/packed.js';
import type {ListEnd, Source} from '../sources/source.js';
import {interleave} from './merge.js';
import {untilAborted} from './waiting.js';

/** So many are sorted without the event loop's turn. */
const sortedAtOnce = 1000;

/** A list that was read to its end. */
export interface ReadList {
	readonly listed: Map<Uuid, Manifest>;
	/** In it, but not what the operator wants. */
	readonly unwanted: ReadonlySet<Uuid>;
	readonly end: ListEnd;
}

/** Throws what the source throws, and the signal's reason as soon as it is aborted, whatever the source does. */
export async function readList(options: {
	readonly source: Source;
	readonly matches: (manifest: Manifest) => boolean;
	/** The same manifest as an object that is there already, if there is one. */
	readonly known: (manifest: Manifest) => Manifest;
	/** Of what is kept small. */
	readonly texts: UnpackedTexts;
	/** Counts what has arrived, for whoever wants to know when it has failed. */
	readonly progress: {images: number};
	readonly signal: AbortSignal;
}): Promise<ReadList> {
	const {source, matches, known, texts, progress, signal} = options;
	const packer = new Packer(texts);
	const listed = new Map<Uuid, Manifest>();
	const unwanted = new Set<Uuid>();
	const slices = new Slices();
	const iterator = source.list({signal});
	let ended = false;
	try {
		for (;;) {
			const step = await untilAborted(iterator.next(), signal);
			if (step.done === true) {
				ended = true;
				packer.end();
				return {listed, unwanted, end: step.value};
			}
			progress.images++;
			const manifest = step.value;
			if (!matches(manifest)) {
				unwanted.add(manifest.uuid);
			} else if (!listed.has(manifest.uuid)) {
				listed.set(manifest.uuid, packer.pack(known(manifest)));
			}
			if (slices.over) {
				await slices.next();
			}
		}
	} finally {
		if (!ended) {
			// Not waited for: a source that hangs would hang here, too.
			iterator.return({skipped: 0, reasons: []}).catch(() => undefined);
		}
	}
}

/** What is new, and what is missing. */
export async function compareLists(
	before: ReadonlyMap<Uuid, Manifest>,
	after: ReadonlyMap<Uuid, Manifest>,
): Promise<{added: Manifest[]; changed: Manifest[]; removed: Manifest[]}> {
	const slices = new Slices();
	const added: Manifest[] = [];
	const removed: Manifest[] = [];
	const changed: Manifest[] = [];
	for (const [uuid, manifest] of after) {
		if (slices.over) {
			await slices.next();
		}
		const known = before.get(uuid);
		if (known === undefined) {
			added.push(manifest);
		} else if (known !== manifest) {
			changed.push(manifest);
		}
	}
	for (const [uuid, manifest] of before) {
		if (slices.over) {
			await slices.next();
		}
		if (!after.has(uuid)) {
			removed.push(manifest);
		}
	}
	return {added, changed, removed};
}

/** As lists are sorted, which most are already; whoever sorts that again has little to do. */
export async function sortedImages(listed: ReadonlyMap<Uuid, Manifest>): Promise<readonly Manifest[]> {
	const slices = new Slices();
	const images = [...listed.values()];
	let isSorted = true;
	for (let at = 1; at < images.length && isSorted; at++) {
		const [before, image] = [images[at - 1], images[at]];
		isSorted = before === undefined || image === undefined || compareImages(before, image) <= 0;
		if (slices.over) {
			await slices.next();
		}
	}
	if (isSorted) {
		return images;
	}
	let runs: (readonly Manifest[])[] = [];
	for (let at = 0; at < images.length; at += sortedAtOnce) {
		runs.push(images.slice(at, at + sortedAtOnce).sort(compareImages));
		if (slices.over) {
			await slices.next();
		}
	}
	while (runs.length > 1) {
		const merged: (readonly Manifest[])[] = [];
		for (let at = 0; at < runs.length; at += 2) {
			merged.push(await interleave(runs[at] ?? [], runs[at + 1] ?? [], slices));
		}
		runs = merged;
	}
	return runs[0] ?? [];
}
