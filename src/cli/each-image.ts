/**
 * One verb for several images: each is tried, whatever became of the one before.
 */
import {AnswerError} from './client-errors.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {withOperator, type OperatorClient} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {chosenImages, plainUuid} from './uuid-prefixes.js';
import {painter, printable} from './words.js';

export interface EachOptions {
	readonly where: Whereabouts;
	/** Or their first digits. */
	readonly uuids: readonly string[];
	readonly json: boolean;
}

/**
 * `ask` gives the answer of the server, `said` what became of it in words. What the server refuses of one image is told
 * and does not stop the others; nothing else can be wrong with one alone.
 */
export async function eachImage(
	{where, uuids, json}: EachOptions,
	io: CliIo,
	verb: {
		ask(server: OperatorClient, uuid: string): Promise<unknown>;
		said(answer: unknown, uuid: string): string;
	},
): Promise<number> {
	uuids.forEach(plainUuid);
	const answers: unknown[] = [];
	let failed = 0;
	const paint = painter(io.stderr, io);
	await withOperator(where, io, async server => {
		for (const {uuid} of await chosenImages(server, uuids)) {
			try {
				const answer = await verb.ask(server, uuid);
				answers.push(answer);
				if (!json) {
					io.stdout.write(`${printable(verb.said(answer, uuid))}\n`);
				}
			} catch (error) {
				if (!(error instanceof AnswerError) || ![404, 409, 422].includes(error.status) || uuids.length === 1) {
					throw error;
				}
				failed++;
				io.stderr.write(`${paint('red', `imgmirror: ${uuid}: ${printable(error.message)}`)}\n`);
			}
		}
	});
	if (json) {
		io.stdout.write(`${JSON.stringify(answers, null, 2)}\n`);
	}
	return failed > 0 ? exitCodes.failure : exitCodes.ok;
}
