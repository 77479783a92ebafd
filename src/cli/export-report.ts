/**
 * What an export has to say: before anything is written, of what it came to, and what should be done about it.
 *
 * Everything is taken from the plan; what was written where is told by whoever wrote it.
 */
import type {GoingImage, LeftOutImage, PlanCollector} from '../airgap/write-plan.js';
import type {Written} from './export-destination.js';
import type {CliIo} from './io.js';
import {counted, grouped, humanBytes, humanTime, painted, painter, titled, type Cell} from './words.js';

/** How fast sources were lately, if anybody knows. */
export interface FetchEstimate {
	readonly bytesPerSecond: number;
}

/** Lines that somebody should read, whatever was to be quiet. */
export function troubles({warnings, leftOut}: PlanCollector): readonly string[] {
	return [
		...warnings.map(warning => `warning: ${warning}`),
		...leftOut.filter(hasFailed).map(image => `${titled(image)} does not go${because(image)}`),
	];
}

/** `12 images with 3.20 GB go, 1.10 GB of it to be fetched first; the far side has 3`. */
export function planned(plan: PlanCollector): string {
	const {images = 0, bytes = 0, bytesToFetch = 0} = plan.begin ?? {};
	const fetching = bytesToFetch === 0 ? '' : `, ${humanBytes(bytesToFetch)} of it to be fetched first`;
	return `${counted(images, 'image')} with ${humanBytes(bytes)}${fetching}`;
}

export function dryTable(plan: PlanCollector, estimate: FetchEstimate | undefined, io: CliIo): string {
	const paint = painter(io.stdout, io);
	const heads = ['UUID', 'NAME', 'VERSION', 'SIZE', 'WHAT'].map((text): Cell => ({text, colour: 'bold'}));
	const going = plan.images.map((image): readonly Cell[] => [
		...[image.uuid, image.name, image.version, humanBytes(image.filesLeftOut ? 0 : image.bytes)],
		goingWords(image),
	]);
	const rest = plan.leftOut.map((image): readonly Cell[] => [
		...[image.uuid, image.name ?? '-', image.version ?? '-', '-'],
		hasFailed(image) ? {text: `cannot go${because(image)}`, colour: 'red'} : 'left out: the far side has it',
	]);
	const rows = [...going, ...rest];
	return (rows.length === 0 ? '' : painted([heads, ...rows], {paint, right: '   r'})) + drySum(plan, estimate);
}

function drySum(plan: PlanCollector, estimate: FetchEstimate | undefined): string {
	const {images, leftOut, end, begin} = plan;
	if (images.length === 0 && leftOut.length === 0) {
		return 'no image is like that: nothing to export ("imgmirror images" lists what there is)\n';
	}
	const {bytesToFetch = 0} = begin ?? {};
	const rate = estimate?.bytesPerSecond ?? 0;
	const time = rate > 0 ? `, about ${humanTime((bytesToFetch * 1000) / rate)} at ${humanBytes(rate)}/s` : '';
	return [
		`${counted(images.length, 'image')} with ${humanBytes(end?.bytes ?? 0)} would go`,
		bytesToFetch === 0 ? 'nothing has to be fetched' : `${humanBytes(bytesToFetch)} have to be fetched first${time}`,
		...leftOutWords(plan),
	]
		.join('; ')
		.concat('\n');
}

export function summary(
	plan: PlanCollector,
	{paths, bytes, keptBytes}: Written,
	{ms, shown, signedBy}: {readonly ms: number; readonly shown: string; readonly signedBy: string | undefined},
): string {
	const {images} = plan;
	const rate = ms >= 1000 && bytes > keptBytes ? ` (${humanBytes(((bytes - keptBytes) * 1000) / ms)}/s)` : '';
	const parts = paths.length > 1 ? ` in ${paths.length} parts` : '';
	const kept = keptBytes === 0 ? '' : `, ${humanBytes(keptBytes)} of it were there already`;
	const left = leftOutWords(plan).map(words => `; ${words}`);
	const nothing = images.length === 0 && plan.end?.there !== 0 ? 'nothing is new for the far side: ' : '';
	return [
		`${nothing}${counted(images.length, 'image')} with ${humanBytes(bytes)} exported to ${shown}${parts} ` +
			`in ${humanTime(ms)}${rate}${kept}${left.join('')}`,
		signedBy === undefined
			? 'signed by nobody: "imgmirror key new" makes a key; without, it takes "imgmirror import --allow-unsigned"'
			: `signed with ${signedBy}`,
		'',
	].join('\n');
}

export function jsonReport(plan: PlanCollector, more: Readonly<Record<string, unknown>>): string {
	const report = {
		...more,
		images: plan.images.map(image => ({...image, outcome: image.filesLeftOut ? 'without-files' : 'exported'})),
		leftOut: plan.leftOut,
		warnings: plan.warnings,
	};
	return `${JSON.stringify(report, null, 2)}\n`;
}

export function hasFailed({why}: LeftOutImage): boolean {
	return why === 'failed';
}

function leftOutWords({images, leftOut}: PlanCollector): readonly string[] {
	const there = leftOut.filter(image => !hasFailed(image)).length;
	const failed = leftOut.length - there;
	const bare = images.filter(({filesLeftOut}) => filesLeftOut).length;
	return [
		...(bare === 0 ? [] : [`${grouped(bare)} of them without files that the far side has`]),
		...(there === 0 ? [] : [`${grouped(there)} left out, as the far side has them`]),
		...(failed === 0 ? [] : [`${grouped(failed)} could not go`]),
	];
}

function goingWords({originOf, filesLeftOut}: GoingImage): string {
	const origin = originOf === undefined ? '' : ', as an origin';
	return `${filesLeftOut ? 'goes without its files, which are there' : 'goes'}${origin}`;
}

function because({problem}: LeftOutImage): string {
	return problem === undefined ? '' : `: ${problem}`;
}
