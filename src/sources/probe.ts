/**
 * What kind of image server is at an address, by asking it (contract 13.1).
 *
 * `auto.ts` finds out the type of a source with it; the protocols use it to tell a server's "I have no such image"
 * from the "no such page" of something that is no image server. Doubt throws.
 */
import {SourceFailure} from './failure.js';
import type {Remote} from './remote.js';
import type {Ask} from './source.js';

const maxPingBytes = 64 * 1024;

/** What `/ping` tells: `undefined` where it does not tell (missing, refused, or no JSON object). */
export async function askPing(remote: Remote, base: string, ask: Ask): Promise<'imgapi' | 'dsapi' | undefined> {
	let text: string | undefined;
	try {
		text = await remote.readJson(`${base}/ping`, maxPingBytes, ask);
	} catch (error) {
		if (isAnswer(error)) {
			return undefined;
		}
		throw error;
	}
	const pong = parse(text ?? '');
	if (typeof pong !== 'object' || pong === null || Array.isArray(pong)) {
		return undefined;
	}
	return 'imgapi' in pong && Boolean(pong.imgapi) ? 'imgapi' : 'dsapi';
}

/** Whether there is a JSON array at that URL. Looks at its first bytes only: a list may be long. */
export async function isArray(remote: Remote, url: string, ask: Ask): Promise<boolean> {
	try {
		let begin = '';
		for await (const chunk of remote.readChunks(url, ask)) {
			begin += Buffer.from(chunk.subarray(0, 64))
				.toString('utf8')
				.replace(/^[\s\uFEFF]+/, '');
			if (begin !== '') {
				return begin.startsWith('[');
			}
		}
		return false;
	} catch (error) {
		if (isAnswer(error)) {
			return false;
		}
		throw error;
	}
}

/** A failure that is an answer, if not the one hoped for: asking again would bring the same. */
function isAnswer(error: unknown): boolean {
	if (!(error instanceof SourceFailure) || error.transient) {
		return false;
	}
	const {status, unexpected} = error;
	return unexpected || (status !== undefined && status < 500 && status !== 401 && status !== 403 && status !== 429);
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
