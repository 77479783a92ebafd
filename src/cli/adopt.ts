/**
 * `imgmirror adopt`: the server of this machine takes over what an older one kept.
 *
 * The server does it, and tells how far it is, a line of JSON at a time; here that becomes progress and a report.
 */
import {resolve} from 'node:path';
import {ConnectionError} from './client-errors.js';
import {systemClock} from '../host.js';
import {exitCodes} from './exit-codes.js';
import {interruptible} from './interruption.js';
import type {CliIo} from './io.js';
import {jsonLines, type Line} from './json-lines.js';
import {showProgress, type Progress} from './progress.js';
import {withServer, type Whereabouts} from './reach.js';
import {commandLineError} from './target.js';
import {humanBytes, painter, table} from './words.js';

export interface AdoptOptions {
	readonly where: Whereabouts;
	readonly directory: string;
	readonly how: 'copy' | 'link' | 'move';
	readonly dryRun: boolean;
	readonly quiet: boolean;
	readonly json: boolean;
}

type Outcome = 'adopted' | 'there' | 'failed';

interface Adopted {
	readonly uuid: string;
	name: string;
	version: string;
	bytes: number;
	outcome: Outcome | undefined;
	problem: string | undefined;
}

/** The server may be busy with one large file for long; it says so now and then. */
const silenceMs = 10 * 60_000;

export async function adopt(options: AdoptOptions, io: CliIo): Promise<number> {
	const {where, how, dryRun, quiet, json} = options;
	if (where.url !== undefined) {
		throw commandLineError([
			'--url: adopt reads directories of the machine that the server runs on: run it there, with --data or --config',
		]);
	}
	const directory = resolve(io.directory, options.directory);
	const progress = showProgress({io, clock: io.clock ?? systemClock, quiet, label: dryRun ? 'reading' : 'adopting'});
	const report = new Report(progress);
	try {
		await interruptible(io, signal =>
			withServer({...where, onlyHere: true}, io, async ({client}) => {
				for await (const event of jsonLines(client, {
					method: 'POST',
					path: '/adopt',
					headers: {'content-type': 'application/json'},
					body: Buffer.from(JSON.stringify({directory, how, dryRun})),
					answerMs: silenceMs,
					signal,
				})) {
					report.take(event);
				}
			}),
		);
	} finally {
		progress.end();
		// Also of what was done before it broke.
		if (json) {
			io.stdout.write(`${JSON.stringify(report.images, null, 2)}\n`);
		} else if (report.begun) {
			show(report.images, {dryRun, io});
		}
	}
	if (!report.ended) {
		throw new ConnectionError(
			'the server has stopped before the end: what is adopted stays, run it again for the rest',
		);
	}
	return report.images.some(({outcome}) => outcome === 'failed') ? exitCodes.failure : exitCodes.ok;
}

class Report {
	readonly #progress: Progress;
	readonly #images = new Map<string, Adopted>();
	/** Of images that are done. */
	#bytes = 0;
	begun = false;
	ended = false;

	constructor(progress: Progress) {
		this.#progress = progress;
	}

	get images(): readonly Adopted[] {
		return [...this.#images.values()];
	}

	take(event: Line): void {
		const uuid = text(event['uuid']);
		const bytes = typeof event['bytes'] === 'number' ? event['bytes'] : 0;
		switch (event['what']) {
			case 'found':
				this.begun = true;
				this.#progress.say(`${count(event['images'])} with ${humanBytes(bytes)} found`);
				this.#progress.start(bytes);
				break;
			case 'image': {
				const image = this.#of(uuid);
				image.name = text(event['name']);
				image.version = text(event['version']);
				image.bytes = bytes;
				break;
			}
			case 'progress':
				this.#progress.update(this.#bytes + bytes);
				break;
			case 'done': {
				const image = this.#of(uuid);
				const {outcome} = event;
				image.outcome = outcome === 'adopted' || outcome === 'there' ? outcome : 'failed';
				image.problem = typeof event['problem'] === 'string' ? event['problem'] : undefined;
				this.#bytes += image.bytes;
				this.#progress.update(this.#bytes);
				break;
			}
			case 'end':
				this.ended = true;
				break;
			default:
			// A newer server may have more to tell.
		}
	}

	#of(uuid: string): Adopted {
		const known = this.#images.get(uuid);
		const image = known ?? {uuid, name: '', version: '', bytes: 0, outcome: undefined, problem: undefined};
		this.#images.set(uuid, image);
		return image;
	}
}

function text(value: unknown): string {
	return typeof value === 'string' ? value : '';
}

function count(images: unknown): string {
	return images === 1 ? '1 image' : `${typeof images === 'number' ? images : 0} images`;
}

function show(images: readonly Adopted[], {dryRun, io}: {readonly dryRun: boolean; readonly io: CliIo}): void {
	const paint = painter(io.stdout, io);
	const words: Readonly<Record<Outcome, string>> = {
		adopted: dryRun ? 'to adopt' : 'adopted',
		there: 'there already',
		failed: 'failed',
	};
	const rows = images.map(({uuid, name, version, bytes, outcome, problem}) => [
		uuid,
		name || '-',
		version || '-',
		humanBytes(bytes),
		outcome === undefined ? 'not done' : `${words[outcome]}${problem === undefined ? '' : `: ${problem}`}`,
	]);
	const lines = table([['UUID', 'NAME', 'VERSION', 'SIZE', 'OUTCOME'], ...rows]).split('\n');
	for (const [index, line] of lines.slice(0, -1).entries()) {
		const outcome = images[index - 1]?.outcome;
		io.stdout.write(`${outcome === 'failed' ? paint('red', line) : line}\n`);
	}
	const number = (wanted: Outcome): number => images.filter(({outcome}) => outcome === wanted).length;
	const parts = (['adopted', 'there', 'failed'] as const).map(outcome => `${number(outcome)} ${words[outcome]}`);
	io.stdout.write(`${parts.join(', ')}\n`);
}
