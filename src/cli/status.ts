/**
 * `imgmirror status`: how the mirror fares, on one screen; `--check` is the same for cron and monitoring.
 */
import {NotRunningError} from './client-errors.js';
import {systemClock} from '../host.js';
import {eventLines} from './events.js';
import {exitCodes} from './exit-codes.js';
import {list} from './fields.js';
import type {CliIo} from './io.js';
import {withOperator, type OperatorClient} from './operator-client.js';
import {rulesTable} from './prefetch-rules.js';
import type {Whereabouts} from './reach.js';
import {sourcesTable, troubleOf} from './sources.js';
import {transfersTable} from './transfers.js';
import {
	readEvent,
	readReadiness,
	readRule,
	readServer,
	readSource,
	readStorage,
	readTransfer,
	type Source,
	type Storage,
} from './wire.js';
import {counted, grouped, humanBytes, painted, painter, printable, roughTime, when, type Cell} from './words.js';

export interface StatusOptions {
	readonly where: Whereabouts;
	/** Only whether all is well: for programs that look now and then. */
	readonly check: boolean;
	/** With `check`: nothing where all is well. */
	readonly quiet: boolean;
	readonly json: boolean;
}

const shownFailures = 5;

export async function showStatus(options: StatusOptions, io: CliIo): Promise<number> {
	const {where, check, quiet, json} = options;
	let notRunning: string | undefined;
	const answers = await withOperator({...where, about: true, onlyRunning: check}, io, server => {
		notRunning = server.startedFor;
		return askAll(server);
	}).catch((error: unknown) => {
		if (check && !json && error instanceof NotRunningError) {
			io.stdout.write(`${error.message}\n`);
			return undefined;
		}
		throw error;
	});
	if (answers === undefined) {
		return exitCodes.failure;
	}
	const seen = readAll(answers);
	const problems = [
		...(notRunning === undefined ? [] : [`no server runs on ${notRunning}: clients are not served`]),
		...problemsOf(seen),
	];
	const code = check && problems.length > 0 ? exitCodes.failure : exitCodes.ok;
	if (json) {
		io.stdout.write(`${JSON.stringify({...answers, problems}, null, 2)}\n`);
		return code;
	}
	if (!check) {
		io.stdout.write(described(seen, {problems, runs: notRunning === undefined}, io));
		return code;
	}
	if (problems.length > 0) {
		io.stdout.write(problems.map(problem => `${printable(problem)}\n`).join(''));
	} else if (!quiet) {
		const {sources, server, storage} = seen;
		io.stdout.write(
			`ok: ${counted(sources.length, 'source')}, ${counted(server.merged, 'image')}, ` +
				`${counted(storage.files, 'file')} with ${humanBytes(storage.bytes)}\n`,
		);
	}
	return code;
}

/** As the server has said it. */
interface Answers {
	readonly status: unknown;
	readonly ready: unknown;
	readonly sources: unknown;
	readonly storage: unknown;
	readonly transfers: unknown;
	readonly rules: unknown;
	readonly failures: unknown;
}

async function askAll(server: OperatorClient): Promise<Answers> {
	const [status, ready, sources, storage, transfers, rules, failures] = await Promise.all([
		server.get('/status', {right: 'private'}),
		// 503 is an answer, too.
		server.look('/readyz'),
		server.get('/mirror/sources'),
		server.get('/mirror/storage?files=0'),
		server.get('/mirror/transfers'),
		server.get('/mirror/prefetch'),
		server.get('/mirror/failures'),
	]);
	return {status, ready: ready.value, sources, storage, transfers, rules, failures};
}

type Seen = ReturnType<typeof readAll>;

function readAll({status, ready, sources, storage, transfers, rules, failures}: Answers) {
	return {
		server: readServer(status),
		ready: readReadiness(ready),
		sources: list(readSource)(sources),
		storage: readStorage(storage),
		transfers: list(readTransfer)(transfers),
		rules: list(readRule)(rules),
		failures: list(readEvent)(failures),
	};
}

/** What somebody should look at. */
function problemsOf({ready, sources, storage}: Seen): readonly string[] {
	const {freeBytes, limits, scrub} = storage;
	const isFloorBroken = freeBytes !== undefined && freeBytes < limits.minFreeBytes;
	// What is said in more detail below.
	const said = [
		...(sources.some(({health}) => health.state === 'down') ? [/^(?:a source is|\d+ sources are) down: /] : []),
		...(isFloorBroken ? [/^there is no room for more files: the disk has /] : []),
		...(scrub.damaged.length > 0 ? [/^the file of the published image .* is damaged, /] : []),
	];
	return [
		...ready.problems,
		...(ready.status !== 'ready' && ready.problems.length === 0 ? ['the mirror is not ready'] : []),
		...sources.flatMap(downOf),
		...(isFloorBroken
			? [
					`the disk is low: ${humanBytes(freeBytes)} free, ${humanBytes(limits.minFreeBytes)} should be ("imgmirror du" says what stays, and why)`,
				]
			: []),
		...scrub.damaged.map(({name, uuid}) => `${name} (${uuid}) was published here, and its file is damaged`),
		...ready.warnings.filter(warning => !said.some(pattern => pattern.test(warning))),
	];
}

function downOf(source: Source): readonly string[] {
	const {name, health} = source;
	const {state, since} = health;
	const last = troubleOf(source);
	return state === 'down' ? [`source ${name} is down since ${since}${last === undefined ? '' : `: ${last}`}`] : [];
}

function described(
	seen: Seen,
	{problems, runs}: {readonly problems: readonly string[]; readonly runs: boolean},
	io: CliIo,
): string {
	const {server, sources, transfers, rules, failures} = seen;
	const paint = painter(io.stdout, io);
	const now = (io.clock ?? systemClock).now();
	const indent = '  ';
	const head = (text: string): string => `\n${paint('bold', text)}\n`;
	const state =
		problems.length === 0 ? paint('green', 'all is well') : paint('red', counted(problems.length, 'problem'));
	const upSince = Date.parse(server.startedAt ?? '');
	const up = !runs ? ', not running' : Number.isNaN(upSince) ? '' : `, up for ${roughTime(now - upSince)}`;
	return [
		`imgmirror ${printable(server.version ?? '')}${up}: ${state}\n`,
		...problems.map(problem => `${indent}${paint('red', printable(problem))}\n`),
		head('Sources'),
		sources.length === 0 ? `${indent}none\n` : sourcesTable(sources, {io, now, indent}),
		head('Images and files'),
		painted(factsOf(seen, now), {paint, indent}),
		head('On its way'),
		transfers.length === 0 ? `${indent}nothing\n` : transfersTable(transfers, {io, indent}),
		...(rules.length === 0 ? [] : [head('Fetched ahead'), rulesTable(rules, {io, now, indent})]),
		...(failures.length === 0
			? []
			: [head('What failed lately'), eventLines(failures.slice(0, shownFailures), {paint, now, indent})]),
	].join('');
}

function factsOf({server, sources, storage}: Seen, now: number): readonly (readonly Cell[])[] {
	const held = sources.reduce((sum, source) => sum + source.held, 0);
	const {conflictCount, merged} = server;
	const {files, bytes, limits, freeBytes, diskBytes, quarantine, partials, partialBytes, scrub} = storage;
	const {allowedBytes} = limits;
	const catalog = [
		counted(merged, 'image'),
		...(held > 0 ? [`${grouped(held)} held back`] : []),
		...(conflictCount > 0 ? [counted(conflictCount, 'conflict')] : []),
	];
	const share = allowedBytes === undefined ? '' : ` of ${humanBytes(allowedBytes)} (${percent(bytes, allowedBytes)})`;
	const isLow = freeBytes !== undefined && freeBytes < limits.minFreeBytes;
	const facts: readonly (readonly [string, Cell | undefined])[] = [
		['catalog', catalog.join(', ')],
		['held here', `${counted(files, 'file')}, ${humanBytes(bytes)}${share}`],
		['in part', partials === 0 ? undefined : `${counted(partials, 'file')}, ${humanBytes(partialBytes)}`],
		[
			'disk',
			freeBytes === undefined
				? undefined
				: {
						text: `${humanBytes(freeBytes)} free${diskBytes === undefined ? '' : ` of ${humanBytes(diskBytes)}`}`,
						colour: isLow ? 'red' : undefined,
					},
		],
		[
			'quarantine',
			quarantine.length === 0
				? undefined
				: {
						text: `${counted(quarantine.length, 'file')}, ${humanBytes(quarantine.reduce((sum, {size}) => sum + size, 0))}`,
						colour: 'yellow',
					},
		],
		['verified', verifiedOf(scrub, now)],
	];
	return facts.flatMap(([name, cell]) => (cell === undefined ? [] : [[{text: name, colour: 'dim'} as const, cell]]));
}

function percent(part: number, whole: number): string {
	return whole === 0 ? '100%' : `${Math.round((part / whole) * 100)}%`;
}

function verifiedOf(scrub: Storage['scrub'], now: number): Cell {
	const {running, filesDone, files, wrong, endedAt, rightAt, nextAt} = scrub;
	const faults = wrong === 0 ? 'none was wrong' : `${counted(wrong, 'file')} wrong`;
	const next = nextAt === undefined ? '' : `; next ${when(nextAt, now)}`;
	const text = running
		? `${grouped(filesDone)} of ${counted(files, 'file')} so far, ${faults}`
		: endedAt === undefined
			? `${rightAt === undefined ? 'not yet' : `last ${when(rightAt, now)}, before this start`}${next}`
			: `${counted(files, 'file')} ${when(endedAt, now)}, ${faults}${next}`;
	return {text, colour: wrong > 0 ? 'red' : undefined};
}
