/**
 * `imgmirror have`: what is here, as a text that is carried to the near side, whose next bundle brings only the rest.
 */
import {resolve} from 'node:path';
import {parseHave} from '../airgap/have.js';
import {MirrorError, describe} from '../errors.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {withOperator, type OperatorClient} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {writeWhole} from './whole-file.js';
import {counted} from './words.js';

export interface HaveOptions {
	readonly where: Whereabouts;
	/** `undefined`, `-`: to standard output. */
	readonly to: string | undefined;
}

/** A large mirror looks at each of its images. */
const silenceMs = 5 * 60_000;

export async function have({where, to}: HaveOptions, io: CliIo): Promise<number> {
	const text = await withOperator({...where, about: true, withoutSources: true}, io, askHave);
	if (to === undefined || to === '-') {
		io.stdout.write(text);
		return exitCodes.ok;
	}
	const path = resolve(io.directory, to);
	await writeWhole(path, text);
	io.stderr.write(
		`imgmirror: ${path} says what is here, ${counted(parseHave(text).size, 'image')}; on the near side, ` +
			`"imgmirror export --have FILE" leaves them out\n`,
	);
	return exitCodes.ok;
}

/** Throws for what is no such text: it would be carried far before anybody found out. */
export async function askHave(server: OperatorClient): Promise<string> {
	const text = await server.text('/mirror/have', {answerMs: silenceMs});
	try {
		parseHave(text);
	} catch (error) {
		throw new MirrorError(`what ${server.shown} answers does not say what it has: ${describe(error)}`, {cause: error});
	}
	return text;
}
