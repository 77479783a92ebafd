/**
 * `imgmirror log`: the last lines of the server's log, and those that come.
 *
 * The server sends pino's JSON; here it becomes the text that the server writes where it logs as text.
 */
import {InterruptedError, NotRunningError} from './client-errors.js';
import {exitCodes} from './exit-codes.js';
import {isObject} from './fields.js';
import type {CliIo} from './io.js';
import type {Line} from './json-lines.js';
import {withOperator} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {painter, printable, type Colour, type Paint} from './words.js';

export interface LogOptions {
	readonly where: Whereabouts;
	readonly follow: boolean;
	/** So many of the last; `undefined`: as the server thinks fit. */
	readonly lines: number | undefined;
	readonly level: string | undefined;
	readonly json: boolean;
}

export async function showLog({where, follow, lines, level, json}: LogOptions, io: CliIo): Promise<number> {
	const query = new URLSearchParams({
		...(lines === undefined ? {} : {lines: String(lines)}),
		...(level === undefined ? {} : {level}),
		...(follow ? {follow: 'true'} : {}),
	}).toString();
	const path = `/mirror/log${query === '' ? '' : `?${query}`}`;
	const paint = painter(io.stdout, io);
	// One that was started for this would have nothing to tell.
	await withOperator({...where, onlyRunning: true}, io, async server => {
		try {
			// Nothing may happen for long that is worth a line.
			for await (const line of server.lines({path}, follow ? {answerMs: Infinity} : {})) {
				io.stdout.write(json ? `${JSON.stringify(line)}\n` : logText(line, paint));
			}
		} catch (error) {
			throw server.signal.aborted ? new InterruptedError('') : error;
		}
	}).catch((error: unknown) => {
		throw error instanceof NotRunningError
			? new NotRunningError(
					`${error.message}: what the last one said is where its service manager keeps it ` +
						'("svcs -L imgmirror", "journalctl -u imgmirror")',
				)
			: error;
	});
	return exitCodes.ok;
}

/** pino's numbers. */
const levels: ReadonlyMap<unknown, {readonly label: string; readonly colour: Colour | undefined}> = new Map([
	[10, {label: 'trace', colour: 'dim'}],
	[20, {label: 'debug', colour: 'dim'}],
	[30, {label: 'info', colour: undefined}],
	[40, {label: 'warn', colour: 'yellow'}],
	[50, {label: 'error', colour: 'red'}],
	[60, {label: 'fatal', colour: 'red'}],
]);

/** `2026-01-02T03:04:05.678Z warn  message key=value …`, with a stack below. */
export function logText({level, time, msg, ...rest}: Line, paint: Paint): string {
	const {label, colour} = levels.get(level) ?? {label: 'info', colour: undefined};
	const stacks: string[] = [];
	const fields = Object.entries(rest).flatMap(([key, value]) => {
		if (isObject(value) && typeof value['stack'] === 'string') {
			stacks.push(...value['stack'].split('\n'));
			return [];
		}
		return isObject(value)
			? Object.entries(value).map(([name, member]) => field(`${key}.${name}`, member))
			: [field(key, value)];
	});
	const word = colour === undefined ? label.padEnd(5) : paint(colour, label.padEnd(5));
	const text = [msg, ...fields].filter(part => typeof part === 'string' && part !== '').join(' ');
	const head = `${paint('dim', printable(typeof time === 'string' ? time : '-'))} ${word} ${printable(text)}\n`;
	return head + stacks.map(line => `${printable(line)}\n`).join('');
}

function field(key: string, value: unknown): string {
	const text = typeof value === 'string' ? value : JSON.stringify(value);
	return `${key}=${/^[^\s"]+$/.test(text) ? text : JSON.stringify(text)}`;
}
