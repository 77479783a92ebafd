/**
 * Flags that several commands have, and what may stand behind them.
 *
 * Readers throw InvalidArgumentError, which commander says with the flag's name.
 */
import {InvalidArgumentError, Option, type Command} from 'commander';
import {systemClock} from '../host.js';
import {UnitError, parseDuration, parseRate, parseSize} from '../config/units.js';
import type {CliIo} from './io.js';
import type {Whereabouts} from './reach.js';

/** Which server. */
export interface Place {
	readonly url?: string;
	readonly config?: string;
	readonly data?: string;
}

export function withServer(command: Command): Command {
	return command
		.option('-u, --url <url>', 'the server, http://USER:PASSWORD@HOST or unix:PATH (IMGMIRROR_URL)')
		.option('-c, --config <file>', 'the configuration of the server of this machine (IMGMIRROR_CONFIG)')
		.option('-d, --data <directory>', 'the data directory of the server of this machine (IMGMIRROR_DATA)');
}

export function placeOf({url, config, data}: Place, io: CliIo): Whereabouts {
	return {
		url,
		config: {file: config, env: io.env, flags: data === undefined ? {} : {data}, directory: io.directory},
	};
}

/** For a flag that may be repeated. */
export function several(value: string, before: readonly string[] = []): readonly string[] {
	return [...before, value];
}

export function readDuration(text: string): number {
	return quantity(text, parseDuration);
}

/** In bytes. */
export function readSize(text: string): number {
	return quantity(text, parseSize);
}

/** In bytes per second; 0 for none. */
export function readRate(text: string): number {
	return /^(?:none|0)$/i.test(text.trim()) ? 0 : quantity(text, parseRate);
}

/** 1 or more. */
export function readCount(text: string): number {
	const count = Number(text);
	if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count < 1) {
		throw new InvalidArgumentError('expected a whole number from 1.');
	}
	return count;
}

/** A date, or how long ago: as a date. */
export function readSince(text: string, now: number): string {
	if (/^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?$/.test(text.trim())) {
		const at = Date.parse(text.trim());
		if (Number.isNaN(at)) {
			throw new InvalidArgumentError(`${JSON.stringify(text)} is no date of the calendar.`);
		}
		return new Date(at).toISOString();
	}
	try {
		return new Date(now - parseDuration(text)).toISOString();
	} catch {
		throw new InvalidArgumentError('expected a date such as 2026-01-31, or how long ago, such as 30d.');
	}
}

function quantity(text: string, parse: (text: string) => number): number {
	try {
		return parse(text);
	} catch (error) {
		throw error instanceof UnitError ? new InvalidArgumentError(`${error.message}.`) : error;
	}
}

/** What images are chosen by, in the language of prefetch rules. `sinceFlag`: what the one about dates is called. */
export function withChoosing(command: Command, io: Pick<CliIo, 'clock'>, sinceFlag: string): Command {
	return command
		.option('--name <glob>', 'of that name, such as "base-*"; may be repeated', several)
		.option('--version <range>', 'of such a version: a range as npm has them, or a glob')
		.option('--os <os>', 'smartos, linux and their like; may be repeated', several)
		.option('--type <type>', 'zone-dataset, zvol and their like; may be repeated', several)
		.option('--owner <uuid>', 'whose they are; may be repeated', several)
		.option('--source <name>', 'from that source; may be repeated', several)
		.addOption(new Option('--newest <number>', 'so many of each name, the last published').argParser(readCount))
		.addOption(
			new Option(`${sinceFlag} <time>`, 'published since a date, or within a duration such as 30d').argParser(
				(text: string) => readSince(text, (io.clock ?? systemClock).now()),
			),
		)
		.addOption(new Option('--max-size <size>', 'no more than that altogether, the newest first').argParser(readSize))
		.option('--rule <name>', 'what that rule of the configuration wants');
}
