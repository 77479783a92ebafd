/**
 * `imgmirror transfers`: the files that are on their way, once or for as long as somebody watches.
 *
 * On a terminal the table is drawn anew in its place every second; elsewhere each transfer has a line when it begins,
 * now and then, and when it ends. A server that goes away is waited for.
 */
import {InterruptedError, mayPass} from './client-errors.js';
import {describe} from '../errors.js';
import {pause, systemClock} from '../host.js';
import {exitCodes} from './exit-codes.js';
import {list} from './fields.js';
import type {CliIo} from './io.js';
import {withOperator, type OperatorClient} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {LiveText} from './live-text.js';
import {readTransfer, type Transfer} from './wire.js';
import {clipped, humanBytes, humanTime, painted, painter, printable, titled, type Cell} from './words.js';

export interface TransfersOptions {
	readonly where: Whereabouts;
	readonly watch: boolean;
	readonly json: boolean;
}

const everyMs = 1000;

export async function showTransfers({where, watch, json}: TransfersOptions, io: CliIo): Promise<number> {
	await withOperator({...where, about: true}, io, async server => {
		if (watch) {
			await watchTransfers(server, io, json);
			return;
		}
		const answer = await server.get('/mirror/transfers');
		const transfers = list(readTransfer)(answer);
		io.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : allOf(transfers, io));
	});
	return exitCodes.ok;
}

/** Ends only by a signal. */
async function watchTransfers(server: OperatorClient, io: CliIo, json: boolean): Promise<never> {
	const {signal} = server;
	const clock = io.clock ?? systemClock;
	const seen = json ? jsonLines(io) : io.stdout.isTTY === true ? redrawn(io) : eachLine(io);
	// The first answer tells whether this can work at all.
	let answer = await server.get('/mirror/transfers');
	try {
		for (;;) {
			seen.show(answer);
			do {
				await pause(clock, everyMs, signal);
				answer = await server.get('/mirror/transfers').catch((error: unknown) => {
					if (!mayPass(error)) {
						throw error;
					}
					seen.lost(`${describe(error)}; still trying`);
					return undefined;
				});
			} while (answer === undefined);
		}
	} catch (error) {
		seen.end();
		throw signal.aborted ? new InterruptedError('') : error;
	}
}

interface Watched {
	show(answer: unknown): void;
	/** The server cannot be asked. */
	lost(problem: string): void;
	end(): void;
}

function redrawn(io: CliIo): Watched {
	const live = new LiveText(io.stdout);
	return {
		show: answer => live.draw(allOf(list(readTransfer)(answer), io)),
		lost: problem => live.draw(`${printable(problem)}\n`),
		end: () => live.leave(),
	};
}

/** For programs: each look on a line of its own. */
function jsonLines(io: CliIo): Watched {
	return {
		show: answer => void io.stdout.write(`${JSON.stringify(answer)}\n`),
		lost: problem => void io.stderr.write(`imgmirror: ${printable(problem)}\n`),
		end: () => undefined,
	};
}

/** How often a log hears of a transfer that goes on. */
const lineMs = 10_000;

function eachLine(io: CliIo): Watched {
	const clock = io.clock ?? systemClock;
	const told = new Map<string, {readonly transfer: Transfer; readonly at: number}>();
	let lost = false;
	const say = (what: string): void => void io.stdout.write(`${new Date(clock.now()).toISOString()} ${what}\n`);
	return {
		show(answer) {
			lost = false;
			const running = new Map(list(readTransfer)(answer).map(transfer => [keyOf(transfer), transfer]));
			for (const [key, {transfer}] of told) {
				if (!running.has(key)) {
					told.delete(key);
					say(`${printable(titled(transfer.image))} is on its way no more`);
				}
			}
			for (const [key, transfer] of running) {
				const last = told.get(key);
				if (last === undefined || clock.now() - last.at >= lineMs) {
					told.set(key, {transfer, at: clock.now()});
					say(inOneLine(transfer));
				}
			}
		},
		lost(problem) {
			if (!lost) {
				lost = true;
				io.stderr.write(`imgmirror: ${printable(problem)}\n`);
			}
		},
		end: () => undefined,
	};
}

function keyOf({image, sha1, passing, since}: Transfer): string {
	return `${image.uuid} ${sha1 ?? ''}${passing ? ` ${since}` : ''}`;
}

function inOneLine(transfer: Transfer): string {
	const {image, size, followers, source, waiting, passing} = transfer;
	return printable(
		[
			titled(image),
			waiting ? 'waits for its turn' : `${shareOf(transfer)} of ${humanBytes(size)}`,
			...(waiting ? [] : [rateOf(transfer), leftOf(transfer)]),
			`${followers} ${followers === 1 ? 'client' : 'clients'}`,
			...(source === undefined ? [] : [`from ${source}`]),
			...(passing ? ['not kept'] : []),
		]
			.filter(part => part !== '')
			.join(', '),
	);
}

function allOf(transfers: readonly Transfer[], io: CliIo): string {
	return transfers.length === 0 ? 'nothing is on its way\n' : transfersTable(transfers, {io});
}

export function transfersTable(
	transfers: readonly Transfer[],
	{io, indent = ''}: {readonly io: CliIo; readonly indent?: string},
): string {
	const heads = ['IMAGE', 'SIZE', 'DONE', 'RATE', 'LEFT', 'CLIENTS', 'FROM'];
	const rows = transfers.map((transfer): readonly Cell[] => {
		const {image, size, followers, waiting, background} = transfer;
		return [
			{text: clipped(titled(image), 28), colour: background ? 'dim' : undefined},
			humanBytes(size),
			waiting ? {text: 'waiting', colour: 'yellow'} : shareOf(transfer),
			waiting ? '' : rateOf(transfer),
			waiting ? '' : leftOf(transfer),
			// Fetched ahead: nobody waits for it.
			background && followers === 0 ? 'ahead' : String(followers),
			fromOf(transfer),
		];
	});
	return painted([heads.map((text): Cell => ({text, colour: 'bold'})), ...rows], {
		...{paint: painter(io.stdout, io), indent},
		right: ' rrrrr ',
	});
}

function shareOf({written, size}: Transfer): string {
	return size === 0 ? '0%' : `${Math.floor(Math.min(1, written / size) * 100)}%`;
}

/** Who has it, and whether it stays. */
function fromOf({source, passing}: Transfer): string {
	return [source ?? '', passing ? 'not kept' : ''].filter(part => part !== '').join(', ');
}

function rateOf({bytesPerSecond}: Transfer): string {
	return `${humanBytes(bytesPerSecond)}/s`;
}

function leftOf({etaMs}: Transfer): string {
	return etaMs === undefined ? '' : humanTime(etaMs);
}
