/**
 * Images as people name them on a command line: by the first digits of the uuid, as long as only one has them.
 *
 * A whole uuid is taken as it is, also that of an image nobody knows: what it means is the server's to say.
 */
import {NotFoundError, UsageError} from '../errors.js';
import {isUuid} from '../image/manifest.js';
import {AnswerError} from './client-errors.js';
import {list} from './fields.js';
import type {OperatorClient} from './operator-client.js';
import {commandLineError} from './target.js';
import {readRow, type Row} from './wire.js';
import {printable, titled} from './words.js';

export interface Chosen {
	readonly uuid: string;
	/** What is known of it without asking for it. */
	readonly row: Row | undefined;
}

const leastDigits = 4;
const shownCandidates = 10;
/** For the names of more than these the whole list is quicker. */
const askedOneByOne = 20;

/** Each once, in the order given. Throws ConfigError for what is no uuid, and for digits that none or several have. */
export async function chosenImages(server: OperatorClient, given: readonly string[]): Promise<readonly Chosen[]> {
	const wanted = given.map(plainUuid);
	const short = wanted.filter(digits => !isUuid(digits));
	const rows = short.length === 0 ? [] : list(readRow)(await server.get('/mirror/images'));
	const chosen = wanted.map(digits => (isUuid(digits) ? {uuid: digits, row: undefined} : only(digits, rows)));
	return [...new Map(chosen.map(image => [image.uuid, image])).values()];
}

/** The same with what each is called, as far as the server knows it. */
export async function namedImages(server: OperatorClient, given: readonly string[]): Promise<readonly Chosen[]> {
	const chosen = await chosenImages(server, given);
	if (chosen.filter(({row}) => row === undefined).length > askedOneByOne) {
		const rows = new Map(list(readRow)(await server.get('/mirror/images')).map(row => [row.uuid, row]));
		return chosen.map(({uuid, row}) => ({uuid, row: row ?? rows.get(uuid)}));
	}
	const named: Chosen[] = [];
	for (const {uuid, row} of chosen) {
		named.push({uuid, row: row ?? (await rowOf(server, uuid))});
	}
	return named;
}

/** A name is for people only: what is wrong with the image is said where something is done with it. */
async function rowOf(server: OperatorClient, uuid: string): Promise<Row | undefined> {
	try {
		return readRow(await server.get(`/mirror/images/${uuid}`));
	} catch (error) {
		if (error instanceof AnswerError) {
			return undefined;
		}
		throw error;
	}
}

/** Lower case. Throws ConfigError: before anything is asked of a server. */
export function plainUuid(given: string): string {
	const digits = given.trim().toLowerCase();
	if (isUuid(digits)) {
		return digits;
	}
	const count = digits.replaceAll('-', '').length;
	if (!/^[0-9a-f-]*$/.test(digits) || count < leastDigits || count > 32) {
		throw commandLineError([
			`${JSON.stringify(given)}: expected a uuid, or the first digits of one, ${leastDigits} of them or more`,
		]);
	}
	return digits;
}

function only(digits: string, rows: readonly Row[]): Chosen {
	const bare = digits.replaceAll('-', '');
	const found = rows.filter(({uuid}) => uuid.replaceAll('-', '').startsWith(bare));
	const [row] = found;
	if (row === undefined) {
		throw new NotFoundError(`no image has a uuid that begins with ${digits}`);
	}
	if (found.length > 1) {
		const shown = found
			.slice(0, shownCandidates)
			.map(candidate => `\n  ${candidate.uuid}  ${printable(titled(candidate))}`);
		const more = found.length > shownCandidates ? [`\n  and ${found.length - shownCandidates} more`] : [];
		throw new UsageError(`the uuids of ${found.length} images begin with ${digits}:${[...shown, ...more].join('')}`);
	}
	return {uuid: row.uuid, row};
}
