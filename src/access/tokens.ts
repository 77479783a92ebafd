/**
 * Tokens: long random words that stand in for a user and a password.
 */
import {createHash, randomBytes} from 'node:crypto';

/** So that people and leak scanners know one when they see it. Nothing in it needs escaping in a URL. */
const prefix = 'imt_';

export function makeToken(): string {
	return `${prefix}${randomBytes(24).toString('hex')}`;
}

/** Whether somebody may have meant a token by it: it is no text for a log then. */
export function looksLikeToken(text: string): boolean {
	return text.startsWith(prefix);
}

/** As tokens are kept. They cannot be guessed, so nothing slower is needed. */
export function hashToken(token: string): string {
	return createHash('sha256').update(token).digest('hex');
}
