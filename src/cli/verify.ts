/**
 * `imgmirror verify`: files are read again and compared with what they should be.
 */
import {ConnectionError, InterruptedError} from './client-errors.js';
import {systemClock} from '../host.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {withOperator} from './operator-client.js';
import {showProgress, type Progress} from './progress.js';
import type {Whereabouts} from './reach.js';
import {chosenImages, plainUuid} from './uuid-prefixes.js';
import {readVerified, type Verified} from './wire.js';
import {counted, humanBytes, painter, printable, titled} from './words.js';

export interface VerifyOptions {
	readonly where: Whereabouts;
	/** Or their first digits; empty: all files. */
	readonly uuids: readonly string[];
	/** 0 or `undefined`: as fast as it goes. */
	readonly bytesPerSecond: number | undefined;
	readonly quiet: boolean;
	readonly json: boolean;
}

/** A large file, read slowly. */
const silenceMs = 6 * 60 * 60_000;

export async function verify(options: VerifyOptions, io: CliIo): Promise<number> {
	const {where, quiet, json, bytesPerSecond} = options;
	options.uuids.forEach(plainUuid);
	const progress = showProgress({io, clock: io.clock ?? systemClock, quiet: quiet || json, label: 'verifying'});
	const report = new Report(progress);
	try {
		await withOperator(where, io, async server => {
			const images = await chosenImages(server, options.uuids);
			const body = {bytesPerSecond, ...(images.length === 0 ? {} : {uuids: images.map(({uuid}) => uuid)})};
			try {
				for await (const line of server.lines({path: '/mirror/verify', body}, {answerMs: silenceMs})) {
					report.take(line);
				}
			} catch (error) {
				throw server.signal.aborted ? new InterruptedError(`stopped: ${report.done()} so far`) : error;
			}
		});
		if (!report.ended) {
			throw new ConnectionError(`the server has stopped before the end: ${report.done()} so far`);
		}
	} finally {
		progress.end();
		if (json) {
			io.stdout.write(`${JSON.stringify({files: report.files, end: report.end}, null, 2)}\n`);
		}
	}
	if (!json) {
		io.stdout.write(report.described(io));
	}
	return report.failed ? exitCodes.failure : exitCodes.ok;
}

const outcomeWords: Readonly<Record<Verified['outcome'], string>> = {
	right: 'right',
	refetching: 'was wrong: it is in quarantine, and fetched again',
	lost: 'was wrong: it is in quarantine, and nobody has another',
	unreadable: 'cannot be read',
	gone: 'has gone meanwhile',
};

class Report {
	readonly #progress: Progress;
	/** As the server has said it. */
	readonly files: unknown[] = [];
	readonly #faults: Verified[] = [];
	#right = 0;
	#bytes = 0;
	#end: Verified | undefined;
	end: unknown;

	constructor(progress: Progress) {
		this.#progress = progress;
	}

	get ended(): boolean {
		return this.#end !== undefined;
	}

	get failed(): boolean {
		const {wrong = 0, unreadable = 0} = this.#end ?? {};
		return wrong + unreadable > 0 || this.#faults.some(({outcome}) => outcome !== 'gone');
	}

	take(line: Readonly<Record<string, unknown>>): void {
		const event = readVerified(line);
		switch (event.what) {
			case 'begin':
				this.#bytes = event.bytes;
				this.#progress.say(`${counted(event.files, 'file')} with ${humanBytes(event.bytes)}`);
				this.#progress.start(event.bytes);
				break;
			case 'progress':
				this.#progress.update(event.bytesDone);
				break;
			case 'file':
				this.files.push(line);
				if (event.outcome === 'right') {
					this.#right++;
				} else {
					this.#faults.push(event);
					this.#progress.say(faultLine(event));
				}
				break;
			case 'end':
				this.#end = event;
				this.end = line;
				break;
			default:
			// A newer server may have more to tell.
		}
	}

	done(): string {
		const wrong = this.#faults.length;
		return `${counted(this.#right, 'file')} right, ${wrong} not`;
	}

	described(io: CliIo): string {
		const {right = 0, wrong = 0, unreadable = 0} = this.#end ?? {};
		const paint = painter(io.stdout, io);
		const lines = this.#faults.map(
			fault => `${paint(fault.outcome === 'gone' ? 'dim' : 'red', printable(faultLine(fault)))}\n`,
		);
		const sum = [
			`${counted(right, 'file')} right`,
			`${wrong} wrong`,
			...(unreadable > 0 ? [`${unreadable} cannot be read`] : []),
		].join(', ');
		return `${lines.join('')}${paint(wrong + unreadable > 0 ? 'red' : 'green', sum)} (${humanBytes(this.#bytes)})\n`;
	}
}

function faultLine({images, sha1, outcome, problem}: Verified): string {
	const name = images.map(titled).join(', ') || sha1;
	return `${name} ${outcomeWords[outcome]}${problem === undefined ? '' : ` (${problem})`}`;
}
