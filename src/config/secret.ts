/**
 * A secret that stands in a file of its own, or in an environment variable: read while the configuration is.
 */
import {readText} from './files.js';
import {Fault, shown, type Place} from './place.js';

/** The file's one line. `what` it is stands in faults: "the password". */
export function secretIn(file: string, what: string): string {
	const expected = `a readable file with one line, ${what}`;
	// Editors and echo end the line; no secret does.
	const secret = readText(file, expected).replace(/\r?\n$/, '');
	if (secret === '' || /\p{Cc}/u.test(secret)) {
		throw new Fault(expected, shown(file), secret === '' ? 'it is empty' : 'there is more in it');
	}
	return secret;
}

export function secretFrom(variable: string, at: Place): string {
	const secret = at.around.env[variable];
	if (secret === undefined || secret === '') {
		throw new Fault('an environment variable that is set', shown(variable));
	}
	return secret;
}
