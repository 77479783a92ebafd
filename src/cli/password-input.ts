/**
 * A password, from a pipe or from whoever sits at the terminal, where it is not shown.
 */
import {InterruptedError} from './client-errors.js';
import type {Input, Output} from './io.js';

/** A terminal that can be told not to show what is typed. */
interface Terminal extends Input {
	setRawMode(raw: boolean): unknown;
}

const mostCharacters = 10_000;

export function isTerminal(input: Input): input is Terminal {
	return input.isTTY === true && 'setRawMode' in input && typeof input.setRawMode === 'function';
}

/** All that is piped in, without the line's end that echo and editors put there. */
export async function readPiped(input: Input): Promise<string> {
	const decoder = new TextDecoder('utf-8');
	let text = '';
	for await (const chunk of input) {
		text += chunk instanceof Uint8Array ? decoder.decode(chunk, {stream: true}) : String(chunk);
		if (text.length > mostCharacters) {
			break;
		}
	}
	return (text + decoder.decode()).replace(/\r?\n$/, '');
}

/** One line typed after each prompt. Throws InterruptedError on Ctrl-C, and where the terminal goes away. */
export async function askHidden(terminal: Terminal, output: Output, prompts: readonly string[]): Promise<string[]> {
	const answers: string[] = [];
	let line = '';
	output.write(prompts[0] ?? '');
	terminal.setRawMode(true);
	try {
		const decoder = new TextDecoder('utf-8');
		for await (const chunk of terminal) {
			for (const key of chunk instanceof Uint8Array ? decoder.decode(chunk, {stream: true}) : String(chunk)) {
				if (key === '\u0003' || (key === '\u0004' && line === '')) {
					throw new InterruptedError('stopped');
				}
				if (key === '\r' || key === '\n') {
					answers.push(line);
					line = '';
					output.write(`\n${prompts[answers.length] ?? ''}`);
					if (answers.length === prompts.length) {
						return answers;
					}
					continue;
				}
				line = edited(line, key);
			}
		}
		throw new InterruptedError('stopped');
	} finally {
		terminal.setRawMode(false);
	}
}

function edited(line: string, key: string): string {
	switch (key) {
		case '\u007F':
		case '\b':
			return Array.from(line).slice(0, -1).join('');
		case '\u0015':
			return '';
		default:
			return /\p{Cc}/u.test(key) ? line : line + key;
	}
}
