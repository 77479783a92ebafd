/**
 * `imgmirror sources` and `refresh`: where images come from, how each of them fares, and their lists asked for anew.
 */
import {systemClock} from '../host.js';
import {exitCodes} from './exit-codes.js';
import {list} from './fields.js';
import type {CliIo} from './io.js';
import {withOperator} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {readRefreshed, readSource, type Source} from './wire.js';
import {grouped, painted, painter, printable, roughTime, when, type Cell} from './words.js';

export interface SourcesOptions {
	readonly where: Whereabouts;
	readonly json: boolean;
}

export async function listSources({where, json}: SourcesOptions, io: CliIo): Promise<number> {
	const answer = await withOperator({...where, about: true}, io, server => server.get('/mirror/sources'));
	if (json) {
		io.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
		return exitCodes.ok;
	}
	const sources = list(readSource)(answer);
	const now = (io.clock ?? systemClock).now();
	io.stdout.write(sources.length === 0 ? 'no sources\n' : sourcesTable(sources, {io, now, urls: true}));
	return exitCodes.ok;
}

interface Seen {
	readonly io: CliIo;
	readonly now: number;
	readonly indent?: string;
	/** Also where each is, and what is wrong with its list. */
	readonly urls?: boolean;
}

export function sourcesTable(sources: readonly Source[], {io, now, indent = '', urls = false}: Seen): string {
	const paint = painter(io.stdout, io);
	const heads = ['NAME', 'STATE', 'FOR', 'LAST SUCCESS', 'NEXT TRY', 'IMAGES', 'HELD'];
	const rows = sources.map((source): readonly Cell[] => {
		const {name, health, fetchedAt, nextTryAt, images, held} = source;
		return [
			name,
			{text: health.state, colour: health.state === 'down' ? 'red' : health.state === 'up' ? 'green' : 'dim'},
			sinceOf(health.since, now),
			when(health.lastSuccessAt ?? fetchedAt, now),
			when(nextTryAt, now),
			grouped(images),
			grouped(held),
		];
	});
	const lines = painted([heads.map((text): Cell => ({text, colour: 'bold'})), ...rows], {
		...{paint, indent},
		right: '     rr',
	})
		.trimEnd()
		.split('\n');
	const notes = sources.map(source => notesOf(source, urls));
	return lines
		.flatMap((line, at) => [
			line,
			...(notes[at - 1] ?? []).map(({text, colour}) => `${indent}  ${paint(colour, printable(text))}`),
		])
		.map(line => `${line}\n`)
		.join('');
}

function sinceOf(since: string, now: number): string {
	const at = Date.parse(since);
	return Number.isNaN(at) ? '-' : roughTime(now - at);
}

/** What is wrong with it, without its name: that stands beside. */
export function troubleOf({name, health, lastError}: Source): string | undefined {
	const problem = health.state === 'down' ? (health.lastError ?? lastError) : lastError;
	const prefix = `source ${name}: `;
	return problem?.startsWith(prefix) === true ? problem.slice(prefix.length) : problem;
}

function notesOf(
	source: Source,
	full: boolean,
): readonly {readonly text: string; readonly colour: 'red' | 'yellow' | 'dim'}[] {
	const {health, fresh, kind, urls, vanished, skipped, reasons, images, wrongFiles} = source;
	const problem = troubleOf(source);
	return [
		...(full ? [{text: [kind, ...urls].filter(part => part !== undefined).join(' '), colour: 'dim' as const}] : []),
		...(problem === undefined ? [] : [{text: problem, colour: health.state === 'down' ? 'red' : 'yellow'} as const]),
		...(wrongFiles
			? [
					{
						text: 'it sends wrong files, and no right one between them: others are asked before it',
						colour: 'red',
					} as const,
				]
			: []),
		...(!fresh && problem === undefined && images > 0 ? [{text: 'its list is not fresh', colour: 'dim'} as const] : []),
		...(full && vanished > 0
			? [{text: `${grouped(vanished)} images are in its list no more`, colour: 'dim'} as const]
			: []),
		...(full && skipped > 0
			? [{text: `${grouped(skipped)} entries could not be used: ${reasons.join('; ')}`, colour: 'yellow'} as const]
			: []),
	].filter(({text}) => text !== '');
}

export interface RefreshOptions {
	readonly where: Whereabouts;
	/** Empty: all. */
	readonly sources: readonly string[];
	readonly json: boolean;
}

/** A long list from a slow server. */
const refreshMs = 15 * 60_000;

export async function refresh({where, sources, json}: RefreshOptions, io: CliIo): Promise<number> {
	const answers = await withOperator(where, io, async server => {
		const asked = sources.length === 0 ? [''] : sources.map(name => `?source=${encodeURIComponent(name)}`);
		const each = asked.map(query =>
			server.post(`/mirror/refresh${query}`, undefined, {answerMs: refreshMs}).then(list(value => value)),
		);
		return (await Promise.all(each)).flat();
	});
	const outcomes = answers.map(readRefreshed);
	if (json) {
		io.stdout.write(`${JSON.stringify(answers, null, 2)}\n`);
	} else {
		const paint = painter(io.stdout, io);
		for (const {source, problem} of outcomes) {
			const outcome = problem === undefined ? 'refreshed' : paint('red', printable(problem));
			io.stdout.write(`${printable(source)}: ${outcome}\n`);
		}
	}
	return outcomes.some(({problem}) => problem !== undefined) ? exitCodes.failure : exitCodes.ok;
}
