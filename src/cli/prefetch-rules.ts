/**
 * `imgmirror prefetch rules` and `prefetch run`: what the configuration has fetched ahead, and how far that is.
 */
import {NotRunningError} from './client-errors.js';
import {systemClock} from '../host.js';
import {exitCodes} from './exit-codes.js';
import {list} from './fields.js';
import type {CliIo} from './io.js';
import {withOperator} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {readRule, type Rule} from './wire.js';
import {grouped, humanBytes, painted, painter, printable, when, type Cell} from './words.js';

export async function listRules(
	{where, json}: {readonly where: Whereabouts; readonly json: boolean},
	io: CliIo,
): Promise<number> {
	const answer = await withOperator({...where, about: true}, io, server => server.get('/mirror/prefetch'));
	if (json) {
		io.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
		return exitCodes.ok;
	}
	const rules = list(readRule)(answer);
	const now = (io.clock ?? systemClock).now();
	io.stdout.write(
		rules.length === 0
			? 'no rules: "prefetch.rules" of the configuration has them\n'
			: rulesTable(rules, {io, now, words: true}),
	);
	return exitCodes.ok;
}

export async function runRule(
	{where, rule}: {readonly where: Whereabouts; readonly rule: string},
	io: CliIo,
): Promise<number> {
	// A server that is only there for this command would be gone before anything was fetched.
	await withOperator({...where, onlyRunning: true}, io, server =>
		server.post(`/mirror/prefetch/run?rule=${encodeURIComponent(rule)}`),
	).catch((error: unknown) => {
		throw error instanceof NotRunningError
			? new NotRunningError(`${error.message}: "imgmirror prefetch --rule ${rule}" fetches the same without one`)
			: error;
	});
	io.stdout.write(`${printable(rule)} runs; "imgmirror transfers --watch" shows what it fetches\n`);
	return exitCodes.ok;
}

interface Seen {
	readonly io: CliIo;
	readonly now: number;
	readonly indent?: string;
	/** Also what each rule chooses. */
	readonly words?: boolean;
}

export function rulesTable(rules: readonly Rule[], {io, now, indent = '', words = false}: Seen): string {
	const paint = painter(io.stdout, io);
	const heads = ['RULE', 'IMAGES HERE', 'BYTES HERE', 'LAST RUN', 'NEXT RUN'];
	const rows = rules.map((rule): readonly Cell[] => [
		rule.name,
		{
			text: `${grouped(rule.imagesHere)} of ${grouped(rule.images)}`,
			colour: rule.imagesHere < rule.images ? 'yellow' : 'green',
		},
		`${humanBytes(rule.bytesHere)} of ${humanBytes(rule.bytes)}`,
		when(rule.lastRunAt, now),
		rule.running ? 'runs now' : rule.waiting ? 'in its window' : when(rule.nextRunAt, now),
	]);
	const lines = painted([heads.map((text): Cell => ({text, colour: 'bold'})), ...rows], {paint, indent})
		.trimEnd()
		.split('\n');
	return lines
		.flatMap((line, at) => {
			const rule = rules[at - 1];
			return [
				line,
				...(words && rule !== undefined ? [`${indent}  ${paint('dim', printable(rule.chooses))}`] : []),
				...(rule?.lastProblem === undefined ? [] : [`${indent}  ${paint('red', printable(rule.lastProblem))}`]),
			];
		})
		.map(line => `${line}\n`)
		.join('');
}
