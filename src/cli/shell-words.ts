/**
 * What a shell would make of a line of quoted words, without a shell.
 *
 * sshd hands a forced command what the client typed as one text, SSH_ORIGINAL_COMMAND. It is only taken apart here:
 * nothing is expanded, looked up or run.
 */

/** `undefined`: a quote is not closed, or the line ends in a backslash. */
export function shellWords(line: string): readonly string[] | undefined {
	const words: string[] = [];
	let word: string | undefined;
	for (let at = 0; at < line.length; at++) {
		const char = line.charAt(at);
		if (char === "'") {
			const end = line.indexOf("'", at + 1);
			if (end === -1) {
				return undefined;
			}
			word = (word ?? '') + line.slice(at + 1, end);
			at = end;
		} else if (char === '"') {
			const quoted = doubleQuoted(line, at + 1);
			if (quoted === undefined) {
				return undefined;
			}
			word = (word ?? '') + quoted.text;
			at = quoted.end;
		} else if (char === '\\') {
			at++;
			if (at === line.length) {
				return undefined;
			}
			// A line that is broken is one line.
			word = line.charAt(at) === '\n' ? word : (word ?? '') + line.charAt(at);
		} else if (/[ \t\n]/.test(char)) {
			if (word !== undefined) {
				words.push(word);
			}
			word = undefined;
		} else {
			word = (word ?? '') + char;
		}
	}
	return word === undefined ? words : [...words, word];
}

/** From behind the opening quote; `end` is where the closing one stands. */
function doubleQuoted(line: string, start: number): {readonly text: string; readonly end: number} | undefined {
	let text = '';
	for (let at = start; at < line.length; at++) {
		const char = line.charAt(at);
		if (char === '"') {
			return {text, end: at};
		}
		const next = line.charAt(at + 1);
		if (char === '\\' && /["\\$`\n]/.test(next)) {
			text += next === '\n' ? '' : next;
			at++;
		} else {
			text += char;
		}
	}
	return undefined;
}
