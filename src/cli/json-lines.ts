/**
 * Answers that are told line by line while they happen: a line of JSON each.
 *
 * `adopt`, `verify`, `prefetch`, `import` and `log` read such. What a line means is theirs; here a line is taken apart from the
 * next, wherever the network has cut it, and a failure in the middle becomes the error that it would have been at first.
 */
import type {IncomingMessage} from 'node:http';
import {ConnectionError} from './client-errors.js';
import type {Call, Client} from './client.js';
import {isObject} from './fields.js';

export type Line = Readonly<Record<string, unknown>>;

/** Objects only. Throws AnswerError for an answer, or a line of it, that says what went wrong. */
export async function* jsonLines(client: Client, call: Call): AsyncGenerator<Line, void, undefined> {
	const {answerMs, signal} = call;
	const response: IncomingMessage = await client.open({
		...call,
		headers: {accept: 'application/x-ndjson, application/json', ...call.headers},
	});
	const status = response.statusCode ?? 0;
	let rest = '';
	const decoder = new TextDecoder();
	for await (const chunk of client.read(response, {...(answerMs === undefined ? {} : {answerMs}), signal})) {
		rest += decoder.decode(chunk, {stream: true});
		if (status === 200) {
			const lines = rest.split('\n');
			rest = lines.pop() ?? '';
			for (const line of lines) {
				if (line.trim() !== '') {
					yield parsed(line, client);
				}
			}
		}
	}
	client.expectSuccess(status, rest, response.headers);
	if (rest.trim() !== '') {
		yield parsed(rest, client);
	}
}

function parsed(line: string, client: Client): Line {
	try {
		const event = JSON.parse(line) as unknown;
		if (isObject(event)) {
			if (isFailure(event)) {
				client.expectSuccess(500, line, {});
			}
			return event;
		}
	} catch (error) {
		if (!(error instanceof SyntaxError)) {
			throw error;
		}
	}
	throw new ConnectionError(`what ${client.target.shown} answers is not what this command asked for`, {final: true});
}

/** It failed when the answer had begun. Lines of a log may have codes and messages as well. */
function isFailure(event: Line): boolean {
	const {what = 'error'} = event;
	return what === 'error' && 'code' in event && 'message' in event && !('level' in event);
}
