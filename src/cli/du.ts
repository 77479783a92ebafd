/**
 * `imgmirror du`: what the disk holds, what would go next, and why the rest stays.
 */
import {formatDuration} from '../config/units.js';
import {systemClock} from '../host.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {withOperator} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {readStorage, type Storage, type Stored} from './wire.js';
import {clipped, counted, humanBytes, painted, painter, titled, when, type Cell, type Paint} from './words.js';

export interface DuOptions {
	readonly where: Whereabouts;
	/** So many lines of each table. */
	readonly lines: number;
	readonly json: boolean;
}

export async function showStorage({where, lines, json}: DuOptions, io: CliIo): Promise<number> {
	// Of both ends of the list, so all of it is wanted. Of JSON it is as many as were asked for.
	const files = json && Number.isFinite(lines) ? String(lines) : 'all';
	const answer = await withOperator({...where, about: true}, io, server =>
		server.get(`/mirror/storage?files=${files}`),
	);
	if (json) {
		io.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
		return exitCodes.ok;
	}
	const now = (io.clock ?? systemClock).now();
	io.stdout.write(described(readStorage(answer), {paint: painter(io.stdout, io), now, lines}));
	return exitCodes.ok;
}

interface Seen {
	readonly paint: Paint;
	readonly now: number;
	readonly lines: number;
}

function described(storage: Storage, seen: Seen): string {
	const {paint} = seen;
	const going = storage.all.filter(({stays}) => stays.length === 0);
	const staying = storage.all.filter(({stays}) => stays.length > 0);
	const next = new Set(going.slice(0, storage.next.files));
	return [
		painted(totalsOf(storage), {paint, right: ' r'}),
		...section('Limits', painted(limitsOf(storage), {paint, indent: '  '}), paint),
		...filesOf('Would go, in this order', going, next, seen),
		...filesOf('Stays', staying, next, seen),
		...quarantineOf(storage, seen),
		...damagedOf(storage, paint),
	].join('');
}

function section(title: string, text: string, paint: Paint): readonly string[] {
	return [`\n${paint('bold', title)}\n`, text];
}

const reasonWords: ReadonlyMap<string, string> = new Map([
	['published', 'published or imported here: never goes'],
	['pinned', 'pinned by an operator'],
	['wanted', 'wanted by a prefetch rule'],
	['origin', 'origin of an image that stays'],
	['in-use', 'in use just now'],
	['free-to-go', 'may go when room is needed'],
]);

function totalsOf({
	files,
	bytes,
	byReason,
	partials,
	partialBytes,
	reservedBytes,
}: Storage): readonly (readonly Cell[])[] {
	const known = [...reasonWords.keys()];
	const reasons = [...byReason]
		.filter(([, amount]) => amount > 0)
		.sort(([a], [b]) => known.indexOf(a) - known.indexOf(b));
	return [
		[{text: counted(files, 'file'), colour: 'bold'}, humanBytes(bytes)],
		...reasons.map(([reason, amount]): readonly Cell[] => [
			`  ${reasonWords.get(reason) ?? reason}`,
			{text: humanBytes(amount), colour: reason === 'free-to-go' ? 'green' : undefined},
		]),
		...(partials === 0 ? [] : [[`${counted(partials, 'file')} in part`, humanBytes(partialBytes)]]),
		...(reservedBytes === 0 ? [] : [['promised to what is on its way', humanBytes(reservedBytes)]]),
	];
}

function limitsOf({bytes, freeBytes, diskBytes, limits, next}: Storage): readonly (readonly Cell[])[] {
	const {maxBytes, minFreeBytes, maxUnusedMs} = limits;
	const isLow = freeBytes !== undefined && freeBytes < minFreeBytes;
	const of = diskBytes === undefined ? '' : ` of ${humanBytes(diskBytes)}`;
	const sentences: readonly (Cell | undefined)[] = [
		maxBytes === undefined
			? 'No size is set for all files together (store.maxSize).'
			: `Files may take ${humanBytes(maxBytes)} altogether (store.maxSize).`,
		{
			text:
				`The disk is to have ${humanBytes(minFreeBytes)} left (store.minFree)` +
				`${freeBytes === undefined ? '' : `, and has ${humanBytes(freeBytes)}${of}`}.`,
			colour: isLow ? 'red' : undefined,
		},
		maxUnusedMs === undefined ? undefined : `What nobody has used for ${formatDuration(maxUnusedMs)} goes by itself.`,
		...roomOf(bytes, limits, next),
	];
	return sentences.flatMap(sentence => (sentence === undefined ? [] : [[sentence]]));
}

/** What the limits come to. The server says it best; an older one leaves it to us. */
function roomOf(
	bytes: number,
	{allowedBytes, highBytes, lowBytes}: Storage['limits'],
	next: Storage['next'],
): readonly string[] {
	const because = next.because === '' ? '' : next.because.charAt(0).toUpperCase() + next.because.slice(1);
	const goes = next.files === 0 ? '' : `Next: ${counted(next.files, 'file')} with ${humanBytes(next.bytes)}.`;
	const own = [
		allowedBytes === undefined
			? ''
			: `So there is room for ${humanBytes(allowedBytes)}, of which ${share(bytes, allowedBytes)} is taken.`,
		highBytes === undefined || lowBytes === undefined
			? ''
			: `Above ${humanBytes(highBytes)} the least recently used go, until ${humanBytes(lowBytes)} are left.`,
	];
	return [...(because === '' ? own : [because.replace(/(?<![.!?])$/, '.')]), goes].filter(line => line !== '');
}

function share(part: number, whole: number): string {
	return whole <= 0 ? 'all' : `${Math.round((part / whole) * 100)}%`;
}

function filesOf(
	title: string,
	files: readonly Stored[],
	next: ReadonlySet<Stored>,
	{paint, now, lines}: Seen,
): readonly string[] {
	if (files.length === 0) {
		return [];
	}
	const stays = files.some(file => file.stays.length > 0);
	const heads = ['SIZE', 'LAST USED', 'IMAGE', stays ? 'WHY' : 'SHA1'];
	const rows = files
		.slice(0, lines)
		.map((file): readonly Cell[] => [
			{text: humanBytes(file.size), colour: next.has(file) ? 'yellow' : undefined},
			when(file.lastUsedAt, now),
			clipped(file.images.map(titled).join(', ') || 'of no image that is known', 36),
			stays ? file.stays.join('; ') : file.sha1.slice(0, 12),
		]);
	const more = files.length - rows.length;
	const rest = files.slice(rows.length).reduce((sum, {size}) => sum + size, 0);
	return section(
		title,
		painted([heads.map((text): Cell => ({text, colour: 'dim'})), ...rows], {paint, indent: '  ', right: 'r   '}) +
			(more === 0 ? '' : `  and ${counted(more, 'file')} more with ${humanBytes(rest)}: -a shows all\n`),
		paint,
	);
}

function quarantineOf({quarantine}: Storage, {paint, now}: Seen): readonly string[] {
	if (quarantine.length === 0) {
		return [];
	}
	const rows = quarantine.map(({name, size, since, note}): readonly Cell[] => [
		humanBytes(size),
		when(since, now),
		name,
		note === undefined || note.suppliers.length === 0 ? '' : `from ${note.suppliers.join(', ')}`,
	]);
	return section('Quarantine: were not what they should be', painted(rows, {paint, indent: '  ', right: 'r'}), paint);
}

function damagedOf({scrub}: Storage, paint: Paint): readonly string[] {
	const rows = scrub.damaged.map(({uuid, name, sha1}): readonly Cell[] => [
		{text: name, colour: 'red'},
		uuid,
		sha1.slice(0, 12),
	]);
	return rows.length === 0
		? []
		: section('Damaged: published here, and there is no other', painted(rows, {paint, indent: '  '}), paint);
}
