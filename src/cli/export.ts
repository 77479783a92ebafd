/**
 * `imgmirror export`: images written as a bundle, to be carried to where no line goes.
 *
 * The server chooses, fetches what it does not have, and signs; here the bundle is written, as the disk in somebody's
 * hand is rarely the server's. Whatever ends an export, the same command again goes on where it was.
 */
import type {ExportRequest} from '../airgap/api.js';
import {LacksRoomError} from '../airgap/write-options.js';
import {PlanCollector, type BundlePlan} from '../airgap/write-plan.js';
import {MirrorError, describe} from '../errors.js';
import {systemClock, type Clock} from '../host.js';
import {AnswerError, ConnectionError, InterruptedError} from './client-errors.js';
import type {Client} from './client.js';
import {exitCodes} from './exit-codes.js';
import {destinationOf, type Destination, type Written} from './export-destination.js';
import {readPlanEvent} from './export-events.js';
import {fileFetcher} from './export-files.js';
import {haveOf} from './export-have.js';
import {dryTable, hasFailed, jsonReport, planned, summary, troubles, type FetchEstimate} from './export-report.js';
import {interruptible} from './interruption.js';
import type {CliIo} from './io.js';
import {OperatorClient} from './operator-client.js';
import {Patience} from './patience.js';
import type {Selection} from './prefetch.js';
import {showProgress, type Progress} from './progress.js';
import {withServer, type Whereabouts} from './reach.js';
import {commandLineError} from './target.js';
import {chosenImages, plainUuid} from './uuid-prefixes.js';
import {readPlan} from './wire.js';
import {humanBytes, printable, titled} from './words.js';

export interface ExportOptions {
	readonly where: Whereabouts;
	readonly selection: Selection;
	readonly channel: string | undefined;
	/** Everything whose files are here. */
	readonly all: boolean;
	readonly origins: boolean;
	/** A folder, NAME.tar, or `-`. */
	readonly to: string | undefined;
	/** The most that a part may have. */
	readonly split: number | undefined;
	/** Bundles that the far side has taken in. */
	readonly since: readonly string[];
	/** Files that `imgmirror have` wrote there. */
	readonly have: readonly string[];
	readonly replace: boolean;
	readonly dryRun: boolean;
	readonly quiet: boolean;
	readonly json: boolean;
}

/** A source may be slow, and a file stand still for long behind a limit. */
const silenceMs = 6 * 60 * 60_000;
/** How long a server that has gone away is waited for. */
const retryForMs = 2 * 60_000;

export async function exportImages(options: ExportOptions, io: CliIo): Promise<number> {
	const {where, selection, dryRun, replace} = options;
	refuseNothing(options);
	selection.uuids?.forEach(plainUuid);
	const destination = dryRun && options.to === undefined ? undefined : await destinationOf(options, io);
	await (dryRun ? undefined : destination?.check(replace));
	return interruptible(io, async signal => {
		const say = (line: string): void => void io.stderr.write(`imgmirror: ${printable(line)}\n`);
		const have = await haveOf(options, {io, signal, say});
		return withServer(where, io, async ({client, startedHere, name}) => {
			const startedFor = startedHere ? name.replace(/^data:/, '') : undefined;
			if (startedFor !== undefined) {
				say(`no server runs on ${startedFor}: started one for this`);
			}
			const server = new OperatorClient(client, signal, startedFor);
			return new Exporting(options, {io, client, server, have, say}).run(destination);
		});
	});
}

function refuseNothing({selection, channel, all, since, have}: ExportOptions): void {
	const {rule, ...others} = selection;
	const said = (value: unknown): boolean => value !== undefined && !(Array.isArray(value) && value.length === 0);
	if (rule !== undefined && Object.values(others).some(said)) {
		throw commandLineError(['--rule: the rule says which images: leave out the uuids and the other flags']);
	}
	const chooses = Object.entries(selection).some(([name, value]) => name !== 'maxBytes' && said(value));
	if (!all && channel === undefined && !chooses) {
		throw commandLineError([
			'expected uuids, or flags that say which images: --name "base-*", --channel release, --rule NAME …; ' +
				`--all is everything that is here${since.length + have.length > 0 ? ', less what the far side has' : ''}. ` +
				'With --dry-run it says what that comes to.',
		]);
	}
}

interface Parts {
	readonly io: CliIo;
	readonly client: Client;
	readonly server: OperatorClient;
	readonly have: string | undefined;
	/** On stderr, whatever was to be quiet. */
	readonly say: (line: string) => void;
}

class Exporting {
	readonly #options: ExportOptions;
	readonly #parts: Parts;
	readonly #clock: Clock;
	/** Once there is something to be gone on with. */
	#isWriting = false;

	constructor(options: ExportOptions, parts: Parts) {
		this.#options = options;
		this.#parts = parts;
		this.#clock = parts.io.clock ?? systemClock;
	}

	/** Resolves with the exit code. */
	async run(destination: Destination | undefined): Promise<number> {
		const {json, dryRun, quiet} = this.#options;
		const {io, say} = this.#parts;
		const began = this.#clock.now();
		const request = await this.#request();
		const plan = await this.#plan(request);
		const code = plan.leftOut.some(hasFailed) ? exitCodes.failure : exitCodes.ok;
		if (!json) {
			troubles(plan).forEach(say);
		}
		if (dryRun || destination === undefined) {
			const estimate = await this.#estimate(request, plan);
			const {bytes = 0} = plan.end ?? {};
			const {bytesToFetch = 0} = plan.begin ?? {};
			io.stdout.write(
				json ? jsonReport(plan, {dryRun: true, bytes, bytesToFetch, ...estimate}) : dryTable(plan, estimate, io),
			);
			return code;
		}
		const bundle = plan.plan();
		if (bundle === undefined || (plan.images.length === 0 && plan.leftOut.every(hasFailed))) {
			say('no image goes: nothing is written');
			return exitCodes.failure;
		}
		const written = await this.#write(bundle, destination);
		const ms = this.#clock.now() - began;
		const {signedBy, files} = bundle;
		const {shown, isResumable} = destination;
		const output = isResumable ? io.stdout : io.stderr;
		if (json) {
			output.write(jsonReport(plan, {to: shown, ...written, files, ms, ...(signedBy === undefined ? {} : {signedBy})}));
		} else if (!quiet) {
			output.write(printableLines(summary(plan, written, {ms, shown, signedBy})));
		}
		return code;
	}

	async #request(): Promise<ExportRequest> {
		const {selection, channel, all, origins, dryRun} = this.#options;
		const {server, have} = this.#parts;
		const images = await chosenImages(server, selection.uuids ?? []);
		const uuids = images.length === 0 ? undefined : images.map(({uuid}) => uuid);
		// What says nothing is left out of what is sent.
		const entries = Object.entries({...selection, uuids}).filter(
			([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
		);
		return {
			...(entries.length === 0 ? {} : {selection: Object.fromEntries(entries)}),
			...(channel === undefined ? {} : {channel}),
			...(all ? {all} : {}),
			origins,
			...(have === undefined ? {} : {have}),
			...(dryRun ? {dryRun} : {}),
		};
	}

	/** What has been fetched for one that broke is there for the next. */
	async #plan(request: ExportRequest): Promise<PlanCollector> {
		const progress = this.#progress('fetching');
		const advance = new PlanAdvance(this.#patience(progress));
		try {
			for (;;) {
				const plan = new PlanCollector();
				try {
					await this.#collect(plan, request, {progress, advance});
					return plan;
				} catch (error) {
					// What the server says it says again, and one that was never there is none to wait for.
					if (!advance.hasBegun || !(error instanceof ConnectionError)) {
						throw error;
					}
					await advance.after(error);
				}
			}
		} catch (error) {
			const kept = 'nothing has been written; what was fetched is kept by the server';
			if (error instanceof InterruptedError) {
				throw new InterruptedError(`stopped: ${kept}`);
			}
			throw advance.hasBegun && error instanceof ConnectionError
				? new ConnectionError(`${error.message}\n  ${kept}, and the same command again goes on`, {cause: error.cause})
				: error;
		} finally {
			progress.end();
		}
	}

	async #collect(
		plan: PlanCollector,
		request: ExportRequest,
		{progress, advance}: {readonly progress: Progress; readonly advance: PlanAdvance},
	): Promise<void> {
		const {server} = this.#parts;
		for await (const line of server.lines({path: '/mirror/export', body: request}, {answerMs: silenceMs})) {
			const event = readPlanEvent(line);
			if (event === undefined) {
				continue;
			}
			plan.take(event);
			advance.look(plan);
			if (event.what === 'begin' && !this.#options.dryRun) {
				progress.say(planned(plan));
				if (event.bytesToFetch > 0) {
					progress.start(event.bytesToFetch);
				}
			} else if (event.what === 'fetching') {
				progress.say(`fetching ${titled(event)}, ${humanBytes(event.bytes)}`);
			} else if (event.what === 'progress') {
				progress.update(event.bytesDone);
			}
		}
		if (plan.end === undefined) {
			throw new ConnectionError(`${server.shown} has stopped before the end of the plan`);
		}
	}

	/** Only where fetching takes time, and the server knows. */
	async #estimate({selection}: ExportRequest, {begin}: PlanCollector): Promise<FetchEstimate | undefined> {
		if (selection === undefined || begin === undefined || begin.bytesToFetch === 0) {
			return undefined;
		}
		try {
			const answer = await this.#parts.server.post('/mirror/prefetch', {selection, dryRun: true});
			const {bytesPerSecond} = readPlan(answer);
			return bytesPerSecond === undefined ? undefined : {bytesPerSecond};
		} catch (error) {
			if (error instanceof AnswerError) {
				return undefined;
			}
			throw error;
		}
	}

	async #write(plan: BundlePlan, destination: Destination): Promise<Written> {
		const {client, server} = this.#parts;
		const {replace} = this.#options;
		const {signal} = server;
		const progress = this.#progress('exporting');
		const patience = this.#patience(progress);
		try {
			return await destination.write({
				plan,
				replace,
				fetch: fileFetcher(client, patience),
				progress: {
					start: total => {
						this.#isWriting = true;
						progress.start(total);
					},
					update: done => progress.update(done),
					say: line => progress.say(line),
				},
				signal,
			});
		} catch (error) {
			throw this.#explained(error, destination);
		} finally {
			progress.end();
		}
	}

	/** What ended it, with what that leaves behind. */
	#explained(error: unknown, {isResumable, shown}: Destination): unknown {
		if (error instanceof LacksRoomError) {
			const {folder, neededBytes, freeBytes} = error;
			return new MirrorError(
				`there is not enough room: ${humanBytes(neededBytes)} are to be written, ${folder} has ${humanBytes(freeBytes)} free`,
				{cause: error.cause},
			);
		}
		const goesOn = !this.#isWriting
			? 'nothing has been written'
			: isResumable
				? `what has been written to ${shown} is kept; the same command again goes on there`
				: 'the tar is cut in the middle, and the same command again begins anew';
		if (error instanceof InterruptedError) {
			return new InterruptedError(`stopped: ${goesOn}`);
		}
		return error instanceof MirrorError && this.#isWriting
			? new MirrorError(`${describe(error)}\n  ${goesOn}`, {cause: error})
			: error;
	}

	#progress(label: string): Progress {
		const {io} = this.#parts;
		const {quiet, json} = this.#options;
		return showProgress({io, clock: this.#clock, quiet: quiet || json, label});
	}

	#patience(progress: Progress): Patience {
		const {signal} = this.#parts.server;
		return new Patience({
			...{clock: this.#clock, random: Math.random, forMs: retryForMs, signal},
			say: line => progress.say(line),
		});
	}
}

/**
 * Whether one plan after another gets any further: less has to be fetched than before, or more images are told. A server
 * that always breaks at the same place is not asked for ever.
 */
class PlanAdvance {
	readonly #patience: Patience;
	#bytesToFetch = Infinity;
	#told = 0;

	constructor(patience: Patience) {
		this.#patience = patience;
	}

	get hasBegun(): boolean {
		return this.#bytesToFetch < Infinity;
	}

	look({begin, images, leftOut}: PlanCollector): void {
		const {bytesToFetch = Infinity} = begin ?? {};
		const told = images.length + leftOut.length;
		if (bytesToFetch < this.#bytesToFetch || told > this.#told) {
			this.#bytesToFetch = Math.min(bytesToFetch, this.#bytesToFetch);
			this.#told = Math.max(told, this.#told);
			this.#patience.progress();
		}
	}

	after(error: unknown): Promise<void> {
		return this.#patience.after(error);
	}
}

/** Lines that we made stay lines; nothing else gets to the terminal. */
function printableLines(text: string): string {
	return text.split('\n').map(printable).join('\n');
}
