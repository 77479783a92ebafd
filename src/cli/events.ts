/**
 * Events of the mirror in a line each: what happened, to what, and what was wrong.
 */
import type {Event} from './wire.js';
import {painted, titled, when, type Cell, type Paint} from './words.js';

/** Newest first, as they come. */
export function eventLines(
	events: readonly Event[],
	{paint, now, indent}: {readonly paint: Paint; readonly now: number; readonly indent: string},
): string {
	const rows = events.map((event): readonly Cell[] => [
		{text: when(event.at, now), colour: 'dim'},
		inWords(event),
		aboutOf(event),
	]);
	return painted(rows, {paint, indent});
}

const words: ReadonlyMap<string, string> = new Map([
	['transfer.failed', 'transfer failed'],
	['verification.failed', 'wrong file'],
	['source.down', 'source down'],
	['disk.low', 'disk low'],
	['disk.error', 'disk error'],
	['webhook.failed', 'webhook failed'],
	['image.vanished', 'image vanished'],
	['prefetch.ended', 'prefetch failed'],
	['bundle.imported', 'import incomplete'],
]);

function inWords({type}: Event): string {
	return words.get(type) ?? type.replaceAll('.', ' ');
}

function aboutOf({image, source, sha1, problem, by}: Event): string {
	const what = image === undefined ? (source ?? sha1 ?? by) : titled(image);
	return [what, problem].filter(part => part !== undefined && part !== '').join(': ');
}
