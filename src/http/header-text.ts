/**
 * Text that goes from headers into headers and logs, made harmless on the way.
 */
import {randomUUID} from 'node:crypto';
import type {IncomingHttpHeaders} from 'node:http';

/** A line of printable text, with blanks inside it at most. */
const saneId = /^[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?$/u;

/** Echoed if it is sane: a header or a log line is no place for anything else. */
export function requestId(headers: IncomingHttpHeaders): string {
	const given = headers['x-request-id'] ?? headers['request-id'];
	return typeof given === 'string' && saneId.test(given) ? given : randomUUID();
}

/** Text that may stand in a header, whatever it came from. */
export function headerText(text: string): string {
	return text.replaceAll(/[^\x20-\x7e]/gu, '?');
}

/** Content-Disposition for a file to be saved under that name, whatever is in it. https://www.rfc-editor.org/rfc/rfc6266 */
export function attachment(fileName: string): string {
	// Half of a character cannot be encoded.
	const name = Buffer.from(fileName)
		.toString()
		.replaceAll(/[/\\\p{Cc}]/gu, '_');
	const plain = headerText(name).replaceAll('"', "'");
	const encoded = encodeURIComponent(name).replaceAll(/['()*]/gu, each => `%${each.charCodeAt(0).toString(16)}`);
	return `attachment; filename="${plain}"${plain === name ? '' : `; filename*=UTF-8''${encoded}`}`;
}
