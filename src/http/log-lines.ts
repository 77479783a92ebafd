/**
 * The last lines of the log, and those that come, as they would stand in it.
 */
import type {Host, LogLevel} from '../host.js';
import {booleanParam} from '../image/query.js';
import {mayStill, type Gate} from './callers.js';
import type {Exchange} from './exchange.js';
import {numberParam, oneOfParam, refuseOthers} from './fields.js';
import {line, lineType} from './ndjson.js';
import {Outlet, endUnlessAllowed, untilOver} from './outlet.js';
import {strict, type Route} from './routes.js';

/** What is kept of the log. */
export interface LogLines {
	/** Of that level and above, oldest first; the last so many of them. */
	lines(options: {readonly level: LogLevel; readonly last: number}): readonly object[];
	/** Calls `listener` with every line from now on. Returns how to end that. */
	listen(listener: (line: {readonly level: number}) => void): () => void;
}

const usualLines = 100;
const mostLines = 10_000;
/** All that is kept of the log has to fit in. */
const mostWaitingBytes = 8 * 1024 * 1024;

/** pino's numbers. */
const levels = {trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60} as const;
const names = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

export function logRoutes({
	logTail,
	host,
	access,
	stopping,
}: {
	readonly logTail: LogLines;
	readonly host: Pick<Host, 'clock'>;
	readonly access: Gate;
	readonly stopping: AbortSignal;
}): readonly Route[] {
	async function read(exchange: Exchange): Promise<void> {
		const {query} = exchange;
		refuseOthers(query, ['lines', 'level', 'follow']);
		const last = numberParam(query, 'lines', {most: mostLines}) ?? usualLines;
		const level = oneOfParam(query, 'level', names) ?? 'trace';
		const follow = booleanParam(query, 'follow') === true;
		exchange.stream({'Content-Type': lineType, 'X-Content-Type-Options': 'nosniff'});
		if (exchange.head) {
			exchange.end();
			return;
		}
		// In one tick: no line is missed between those that are there and those that come.
		const before = Buffer.concat((last === 0 ? [] : logTail.lines({level, last})).map(line));
		if (!follow) {
			if (before.length > 0) {
				await exchange.write(before);
			}
			exchange.end();
			return;
		}
		const outlet = new Outlet(exchange, {mostBytes: mostWaitingBytes});
		outlet.push(before);
		endUnlessAllowed(outlet, {clock: host.clock, isAllowed: () => mayStill(exchange, access, 'operate')});
		const unlisten = logTail.listen(entry => {
			if (entry.level >= levels[level]) {
				outlet.push(line(entry));
			}
		});
		await untilOver(outlet, {left: exchange.signal, stopping}).finally(unlisten);
	}

	return [{speaks: 'plain', path: '/mirror/log', methods: {GET: strict(read, 'operate')}}];
}
