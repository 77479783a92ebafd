/**
 * `imgmirror import`: the images of bundles that were carried here become the server's.
 *
 * A bundle that can be read here is sent without the files that the server has; any other goes as it is, and the server
 * takes it apart. It tells what becomes of each image while the bytes are still on their way. What is done stays, so
 * whatever ends an import, the same command again goes on with the rest.
 */
import {parseHave, type Have} from '../airgap/have.js';
import {MirrorError, describe} from '../errors.js';
import {systemClock} from '../host.js';
import {AnswerError, ConnectionError, InterruptedError} from './client-errors.js';
import type {Pieces} from './client.js';
import {exitCodes} from './exit-codes.js';
import {askHave} from './have.js';
import {bundlesNamed, openNamed, type OpenedBundle} from './import-bundles.js';
import {ImportReport} from './import-report.js';
import {BundleTar} from './import-tar.js';
import {interruptible} from './interruption.js';
import type {CliIo} from './io.js';
import {untrusted, withOperatorUntil, type OperatorClient} from './operator-client.js';
import {showProgress, type Progress} from './progress.js';
import {publicKeysOf} from './public-keys.js';
import type {Whereabouts} from './reach.js';
import {commandLineError} from './target.js';
import {printable} from './words.js';

export interface ImportOptions {
	readonly where: Whereabouts;
	/** Paths, or `-`. */
	readonly bundles: readonly string[];
	readonly allowUnsigned: boolean;
	/** Its line, a file, or `-`. */
	readonly key: string | undefined;
	readonly dryRun: boolean;
	readonly quiet: boolean;
	readonly json: boolean;
}

/** The server may be busy with one large file for long; it says so now and then. */
const silenceMs = 10 * 60_000;

export async function importBundles(options: ImportOptions, io: CliIo): Promise<number> {
	const {where, bundles, dryRun, quiet} = options;
	const named = await bundlesNamed(bundles, io.directory);
	if (bundles.includes('-') && io.stdin.isTTY === true) {
		throw commandLineError(['BUNDLE: expected a bundle that is piped in, or the path of one']);
	}
	const key = options.key === undefined ? undefined : await onceTrusted(options.key, options, io);
	const clock = io.clock ?? systemClock;
	const progress = showProgress({io, clock, quiet, label: dryRun ? 'checking' : 'importing'});
	const say = (text: string): void => void io.stderr.write(`imgmirror: ${printable(text)}\n`);
	const report = new ImportReport({progress, dryRun, say: quiet ? say : text => progress.say(text)});
	let began = clock.now();
	return interruptible(io, async signal => {
		const opened: OpenedBundle[] = [];
		let problem: string | undefined;
		try {
			// All of them first: a path that was mistyped is said before hours of sending.
			for (const one of named) {
				opened.push(await openNamed(one, {io, signal}));
			}
			await withOperatorUntil(
				signal,
				{...where, mayCreate: !dryRun, about: true, withoutSources: true},
				io,
				async server => {
					// Not the time that a server takes to start.
					began = clock.now();
					for (const bundle of opened) {
						await importOne(bundle, {server, report, progress, path: pathOf(options, key)});
					}
				},
			);
		} catch (error) {
			const explained = explain(error, report);
			problem = describe(explained);
			throw explained;
		} finally {
			progress.end();
			await Promise.all(opened.map(bundle => bundle.close()));
			show(report, {...options, io, ms: clock.now() - began, problem});
		}
		return report.failed.length > 0 ? exitCodes.failure : exitCodes.ok;
	});
}

interface Import {
	readonly server: OperatorClient;
	readonly report: ImportReport;
	readonly progress: Progress;
	readonly path: string;
}

async function importOne(bundle: OpenedBundle, {server, report, progress, path}: Import): Promise<void> {
	report.next(bundle.name);
	const body = await bodyOf(bundle, {server, report});
	progress.start(body.length);
	for await (const line of server.sending(
		{path, type: 'application/x-tar', body: {...body, onSent: bytes => report.sent(bytes)}},
		{answerMs: silenceMs},
	)) {
		report.take(line);
	}
	progress.end();
	if (!report.ended) {
		throw new ConnectionError('the server has stopped before the end');
	}
}

async function bodyOf(
	bundle: OpenedBundle,
	{server, report}: Pick<Import, 'server' | 'report'>,
): Promise<Omit<Pieces, 'onSent'>> {
	const {signal} = server;
	if (bundle.form === 'raw') {
		return {length: bundle.size, pieces: bundle.pieces()};
	}
	const tar = await BundleTar.plan(bundle.files, await haveOf(server), signal);
	report.planned(tar.amounts, bundle.files.odd);
	return {length: tar.size, pieces: tar.pieces({warn: message => report.warn(message), signal})};
}

async function haveOf(server: OperatorClient): Promise<Have> {
	try {
		return parseHave(await askHave(server));
	} catch (error) {
		throw error instanceof AnswerError && error.status === 404
			? new AnswerError(
					`${server.shown} knows nothing of bundles: it is an older imgmirror, or another image server`,
					error,
				)
			: error;
	}
}

function pathOf({allowUnsigned, dryRun}: ImportOptions, key: string | undefined): string {
	const query = new URLSearchParams({
		...(allowUnsigned ? {allowUnsigned: 'true'} : {}),
		...(dryRun ? {dryRun: 'true'} : {}),
		...(key === undefined ? {} : {key}),
	}).toString();
	return query === '' ? '/import' : `/import?${query}`;
}

async function onceTrusted(key: string, {bundles}: ImportOptions, io: CliIo): Promise<string> {
	if (key === '-' && bundles.includes('-')) {
		throw commandLineError(['--key: what is piped in is the bundle: give the key as a file, or its line']);
	}
	const [line = '', ...more] = await publicKeysOf([key], io);
	if (more.length > 0) {
		throw commandLineError([`--key: expected one key, got ${more.length + 1}`]);
	}
	return line;
}

/** What has ended an import, with what that leaves behind. */
function explain(error: unknown, report: ImportReport): unknown {
	const goesOn = `${report.kept()}; the same command again goes on with the rest`;
	if (error instanceof InterruptedError) {
		return report.begun ? new InterruptedError(`stopped: ${goesOn}`) : error;
	}
	if (error instanceof AnswerError && error.reason === untrusted) {
		return new AnswerError(`${error.message}\n  ${report.begun ? goesOn : 'nothing of it was imported'}`, error);
	}
	if (!report.begun || !(error instanceof MirrorError)) {
		return error;
	}
	const message = `${describe(error)}\n  ${goesOn}`;
	return error instanceof AnswerError
		? new AnswerError(message, error)
		: new ConnectionError(message, {cause: error.cause});
}

function show(
	report: ImportReport,
	{json, io, ms, problem}: ImportOptions & {io: CliIo; ms: number; problem: string | undefined},
): void {
	if (json) {
		io.stdout.write(`${JSON.stringify(report.json(ms, problem), null, 2)}\n`);
	} else if (report.begun || problem === undefined) {
		io.stdout.write(report.table(io) + report.summary(ms));
	}
	io.stderr.write(report.advice().split('\n').map(printable).join('\n'));
}
