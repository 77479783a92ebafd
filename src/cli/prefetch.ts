/**
 * `imgmirror prefetch`: images are fetched before anybody asks for them, once and now.
 *
 * The server fetches, and stops when the command does; what it has of a file by then it keeps.
 */
import {ConnectionError, InterruptedError} from './client-errors.js';
import {systemClock} from '../host.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {withOperator, type OperatorClient} from './operator-client.js';
import {showFiles, type FilesProgress} from './progress-files.js';
import type {Whereabouts} from './reach.js';
import {commandLineError} from './target.js';
import {chosenImages, plainUuid} from './uuid-prefixes.js';
import {readFetched, readPlan, type Plan} from './wire.js';
import {counted, grouped, humanBytes, humanTime, painted, painter, printable, titled, type Cell} from './words.js';

/** As the server takes it. What is empty or left out says nothing. */
export interface Selection {
	readonly uuids?: readonly string[] | undefined;
	readonly sources?: readonly string[] | undefined;
	readonly name?: readonly string[] | undefined;
	readonly os?: readonly string[] | undefined;
	readonly type?: readonly string[] | undefined;
	readonly owner?: readonly string[] | undefined;
	readonly version?: string | undefined;
	readonly newest?: number | undefined;
	readonly publishedSince?: string | undefined;
	readonly maxBytes?: number | undefined;
	readonly rule?: string | undefined;
}

export interface PrefetchOptions {
	readonly where: Whereabouts;
	readonly selection: Selection;
	readonly dryRun: boolean;
	readonly bytesPerSecond: number | undefined;
	readonly concurrent: number | undefined;
	readonly quiet: boolean;
	readonly json: boolean;
}

/** A file may stand still for long, behind a limit or a window. */
const silenceMs = 6 * 60 * 60_000;

export async function prefetch(options: PrefetchOptions, io: CliIo): Promise<number> {
	const {where, selection, dryRun, bytesPerSecond, concurrent} = options;
	refuseEverything(selection);
	const {uuids = []} = selection;
	uuids.forEach(plainUuid);
	return withOperator({...where, about: true}, io, async server => {
		const images = await chosenImages(server, uuids);
		const chosen = {...selection, uuids: images.length === 0 ? undefined : images.map(({uuid}) => uuid)};
		if (dryRun) {
			return showPlan(await server.post('/mirror/prefetch', {selection: chosen, dryRun}), options, io);
		}
		return fetchAll(server, {selection: chosen, bytesPerSecond, concurrent}, options, io);
	});
}

function refuseEverything({maxBytes, ...selection}: Selection): void {
	const {rule, ...others} = selection;
	const said = (value: unknown): boolean => value !== undefined && !(Array.isArray(value) && value.length === 0);
	if (rule !== undefined && (Object.values(others).some(said) || maxBytes !== undefined)) {
		throw commandLineError(['--rule: the rule says which images: leave out the uuids and the other flags']);
	}
	if (!Object.values(selection).some(said)) {
		throw commandLineError([
			'expected uuids, or flags that say which images: --name "base-*", --newest 1, --since 30d, --rule NAME …; ' +
				'--name "*" is all of them. With --dry-run it says what that comes to.',
		]);
	}
}

function showPlan(answer: unknown, {json}: PrefetchOptions, io: CliIo): number {
	const plan = readPlan(answer);
	if (json) {
		io.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
	} else {
		const paint = painter(io.stdout, io);
		const heads = ['UUID', 'NAME', 'VERSION', 'SIZE', 'HERE'];
		const rows = plan.images.map(({uuid, name, version, size, here, originOf}): readonly Cell[] => [
			uuid,
			name,
			version,
			humanBytes(size),
			here ? {text: 'here', colour: 'green'} : originOf === undefined ? 'to fetch' : 'to fetch, as an origin',
		]);
		const table = painted([heads.map((text): Cell => ({text, colour: 'bold'})), ...rows], {paint, right: '   r'});
		io.stdout.write((rows.length === 0 ? '' : table) + sumOf(plan));
		io.stdout.write(plan.missing.map(one => `${printable(missingOf(one))}\n`).join(''));
	}
	return plan.missing.length > 0 ? exitCodes.failure : exitCodes.ok;
}

function sumOf({images, bytes, bytesToFetch, bytesPerSecond, ms, leftOut}: Plan): string {
	if (images.length === 0 && leftOut === 0) {
		return 'no image is like that: nothing to fetch ("imgmirror images" lists what there is)\n';
	}
	const here = images.filter(image => image.here).length;
	const rate = bytesPerSecond === undefined ? '' : ` at ${humanBytes(bytesPerSecond)}/s`;
	const time = ms === undefined || bytesToFetch === 0 ? '' : `, about ${humanTime(ms)}${rate}`;
	const left = leftOut === 0 ? '' : `; ${grouped(leftOut)} left out, as the size allows no more`;
	return `${counted(images.length, 'image')} with ${humanBytes(bytes)}: ${grouped(here)} here already, ${humanBytes(bytesToFetch)} to fetch${time}${left}\n`;
}

function missingOf({uuid, problem}: {readonly uuid: string; readonly problem: string}): string {
	return `${uuid} cannot be had: ${problem}`;
}

interface Request {
	readonly selection: Selection;
	readonly bytesPerSecond: number | undefined;
	readonly concurrent: number | undefined;
}

async function fetchAll(
	server: OperatorClient,
	request: Request,
	{quiet, json}: PrefetchOptions,
	io: CliIo,
): Promise<number> {
	const progress = showFiles({io, clock: io.clock ?? systemClock, quiet: quiet || json, label: 'all'});
	const report = new Report(progress);
	try {
		// What is not said is left out of what is sent.
		for await (const line of server.lines({path: '/mirror/prefetch', body: request}, {answerMs: silenceMs})) {
			report.take(line);
		}
		report.ended();
	} catch (error) {
		throw server.signal.aborted ? new InterruptedError(report.kept()) : error;
	} finally {
		progress.end();
		// Also of what was done before it broke.
		if (json) {
			io.stdout.write(`${JSON.stringify(report.json, null, 2)}\n`);
		}
	}
	if (!json && !quiet) {
		io.stdout.write(report.summary());
	}
	return report.failed ? exitCodes.failure : exitCodes.ok;
}

class Report {
	readonly #progress: FilesProgress;
	readonly #images = new Map<string, Record<string, unknown>>();
	#plan: Plan | undefined;
	#planOf: ReadonlyMap<string, Plan['images'][number]> = new Map();
	/** As the server has said it. */
	#said: {plan?: unknown; end?: unknown} = {};
	#end: ReturnType<typeof readFetched> | undefined;
	#missing = 0;

	constructor(progress: FilesProgress) {
		this.#progress = progress;
	}

	get json(): unknown {
		return {plan: this.#said.plan, images: [...this.#images.values()], end: this.#said.end};
	}

	get failed(): boolean {
		return this.#missing > 0 || this.#outcomes('failed') > 0 || (this.#end?.failed ?? 0) > 0;
	}

	take(line: Readonly<Record<string, unknown>>): void {
		const event = readFetched(line);
		const {uuid, bytes, outcome, problem} = event;
		switch (event.what) {
			case 'plan':
				this.#begin(event.plan, line['plan']);
				break;
			case 'image':
				this.#images.set(uuid, {uuid, name: event.name, version: event.version, bytes});
				this.#progress.begin(uuid, titled(event), bytes);
				break;
			case 'progress':
				this.#progress.update(uuid, bytes);
				break;
			case 'done': {
				const image = {...this.#planned(uuid), ...this.#images.get(uuid), outcome, problem};
				this.#images.set(uuid, image);
				if (outcome === 'fetched') {
					this.#progress.update(uuid, image.bytes);
				}
				this.#progress.finish(uuid);
				if (outcome !== 'there') {
					this.#progress.say(
						`${titled(image)}: ${outcomeWords[outcome]}${problem === undefined ? '' : `: ${problem}`}`,
					);
				}
				break;
			}
			case 'end':
				this.#said.end = line;
				this.#end = event;
				break;
			default:
			// A newer server may have more to tell.
		}
	}

	ended(): void {
		if (this.#end === undefined) {
			throw new ConnectionError(`the server has stopped before the end: ${this.#keptWords()}`);
		}
	}

	/** What a signal leaves behind. */
	kept(): string {
		return `stopped: ${this.#keptWords()}`;
	}

	summary(): string {
		const {fetched = 0, there = 0, bytes = 0, ms = 0} = this.#end ?? {};
		const [uncached, failed] = [this.#outcomes('uncached'), this.#outcomes('failed')];
		const parts = [
			`${counted(fetched, 'image')} fetched`,
			...(there > 0 ? [`${grouped(there)} here already`] : []),
			...(uncached > 0 ? [`${grouped(uncached)} not kept for want of room`] : []),
			...(failed > 0 ? [`${grouped(failed)} failed`] : []),
			...(this.#missing > 0 ? [`${grouped(this.#missing)} cannot be had`] : []),
		];
		const rate = ms > 0 && bytes > 0 ? ` (${humanBytes((bytes * 1000) / ms)}/s)` : '';
		return `${parts.join(', ')}: ${humanBytes(bytes)} in ${humanTime(ms)}${rate}\n`;
	}

	#begin(plan: Plan, said: unknown): void {
		this.#plan = plan;
		this.#planOf = new Map(plan.images.map(image => [image.uuid, image]));
		this.#said.plan = said;
		this.#missing = plan.missing.length;
		this.#progress.say(sumOf(plan).trimEnd());
		for (const one of plan.missing) {
			this.#progress.say(missingOf(one));
		}
		this.#progress.start(plan.bytesToFetch);
	}

	#planned(uuid: string): {uuid: string; name: string; version: string; bytes: number} {
		const image = this.#planOf.get(uuid);
		return {uuid, name: image?.name ?? '', version: image?.version ?? '', bytes: image?.size ?? 0};
	}

	#outcomes(wanted: string): number {
		return [...this.#images.values()].filter(({outcome}) => outcome === wanted).length;
	}

	#keptWords(): string {
		const here = this.#outcomes('fetched') + this.#outcomes('there');
		const all = this.#plan?.images.length ?? 0;
		return (
			`${grouped(here)} of ${counted(all, 'image')} done; what came of the others is kept, ` +
			'and the same command again goes on there'
		);
	}
}

const outcomeWords = {
	fetched: 'fetched',
	there: 'here already',
	uncached: 'came, but the disk has no room to keep it',
	failed: 'failed',
} as const;
