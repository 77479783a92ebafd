/**
 * A bundle that comes in as the body of a request, and what is told of it: line by line while it comes, or all at its end.
 *
 * The bytes go to the air gap's room as they come, and nothing waits for the last of them: what is wrong with the bundle
 * as a whole is said as soon as it is found.
 */
import type {AirgapApi, ImportEvent, ImportOptions} from '../airgap/api.js';
import {asError, IntegrityError, MirrorError, RefusedError} from '../errors.js';
import {ahead} from './ahead.js';
import {importIn} from './bundle-query.js';
import type {Exchange} from './exchange.js';
import {actorOf} from './image-requests.js';
import {isForm} from './multipart.js';
import {answerLines, lineType, whileWanted, type LineContext} from './ndjson.js';
import {namesType} from './negotiate.js';
import {named} from './operate-images.js';
import {PartlyRefused, RequestError} from './request-error.js';
import type {Handler} from './routes.js';

type Steps = AsyncGenerator<ImportEvent, void, undefined>;
type Done = Extract<ImportEvent, {readonly what: 'done'}>;
type End = Extract<ImportEvent, {readonly what: 'end'}>;

/** Lines that are kept for a client that sends and does not listen yet: those of a large bundle. */
const kept = {most: 50_000, outdates: isOutdated};

export function importing({airgap, lines}: {readonly airgap: AirgapApi; readonly lines: LineContext}): Handler {
	return async exchange => {
		exchange.audit('import');
		const options = importIn(exchange.query);
		refuseUnfit(exchange);
		const begin = (signal: AbortSignal): Steps => steps(exchange, {airgap, options, signal});
		if (namesType(exchange.headers.accept, lineType)) {
			// A client hears that it has begun by how its body is taken. Until the signature has been looked at, a status
			// can still say that it will not be.
			await answerLines(exchange, signal => ahead(begin(signal), kept), lines, {headAfterMs: Infinity});
		} else {
			const report = await whileWanted(exchange, lines, signal => reportOf(begin(signal)));
			exchange.json(200, report, {'Cache-Control': 'no-store'});
		}
	};
}

/** What would be taken for a bundle that is broken. */
function refuseUnfit({headers, bodySize}: Exchange): void {
	if (isForm(headers['content-type'])) {
		throw new RequestError(
			'UNSUPPORTED_MEDIA',
			'the body must be the bundle itself (curl -T BUNDLE.tar), not a form around it',
		);
	}
	// https://www.rfc-editor.org/rfc/rfc9110#section-14.5
	if (headers['content-range'] !== undefined) {
		throw new RequestError(
			'BAD_REQUEST',
			'a bundle is sent from its beginning each time; what of it is here already is passed over',
		);
	}
	if (bodySize === 0) {
		throw new RequestError('BAD_REQUEST', 'the body must be a bundle: a tar, as it is or compressed by gzip or zstd');
	}
}

async function* steps(
	exchange: Exchange,
	{
		airgap,
		options,
		signal,
	}: {readonly airgap: AirgapApi; readonly options: ImportOptions; readonly signal: AbortSignal},
): Steps {
	const action = options.dryRun ? 'try import' : options.allowUnsigned ? 'import, signed or not' : 'import';
	exchange.audit(action);
	const body = exchange.requestBody();
	// Whoever waits for bytes hears of nothing else.
	const breakOff = (): void => body.breakOff(asError(signal.reason));
	signal.addEventListener('abort', breakOff, {once: true});
	const changed: string[] = [];
	try {
		for await (const step of airgap.import(body, options, actorOf(exchange), {...exchange.ask, signal})) {
			if (step.what === 'done' && (step.outcome === 'imported' || step.outcome === 'updated')) {
				changed.push(step.uuid);
			}
			yield step;
		}
	} catch (error) {
		throw error instanceof IntegrityError ? new RefusedError('BundleSpoiled', error.message, {cause: error}) : error;
	} finally {
		signal.removeEventListener('abort', breakOff);
		if (changed.length > 0) {
			exchange.audit(action, named(changed));
		}
	}
}

function isOutdated(last: ImportEvent, next: ImportEvent): boolean {
	return last.what === 'progress' && next.what === 'progress';
}

/** Throws PartlyRefused, with the report, where an image could not come in. */
async function reportOf(all: Steps): Promise<object> {
	const images: Done[] = [];
	const warnings: string[] = [];
	let end: End | undefined;
	for await (const step of all) {
		if (step.what === 'done') {
			images.push(step);
		} else if (step.what === 'warning') {
			warnings.push(step.message);
		} else if (step.what === 'end') {
			end = step;
		}
	}
	if (end === undefined) {
		throw new MirrorError('an import has not come to its end');
	}
	const {imported, updated, there, failed, bytes, ms} = end;
	const report = {imported, updated, there, failed, bytes, ms, images: images.map(withoutWhat), warnings};
	if (failed > 0) {
		throw new PartlyRefused('BundleSpoiled', problemsOf(images, failed), report);
	}
	return report;
}

function withoutWhat({uuid, name, version, outcome, bytes, problem}: Done): object {
	return {uuid, name, version, outcome, bytes, ...(problem === undefined ? {} : {problem})};
}

function problemsOf(images: readonly Done[], failed: number): string {
	const few = images.filter(({outcome}) => outcome === 'failed').slice(0, 3);
	const told = few.map(({uuid, name, version, problem = 'it failed'}) => {
		// Of what cannot be read, only what the index calls it is known.
		return `${name === '' ? uuid : `${name} ${version} (${uuid})`}: ${problem}`;
	});
	const more = failed > few.length ? [`and ${failed - few.length} more`] : [];
	return `${failed} of ${images.length} images could not be imported: ${[...told, ...more].join('; ')}`;
}
