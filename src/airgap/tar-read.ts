/**
 * A tar, read: the plain files in it as they come, or where they stand.
 *
 * `readTar` is for streams and holds nothing of them; `scanTar` is for what can be read at any place, and reads
 * headers only. Neither knows what a bundle is, nor believes what it reads: digests are checked by those who ask.
 */
import {IntegrityError, MirrorError} from '../errors.js';
import {shown} from './tar-header.js';
import {PlaceInput, StreamInput} from './tar-input.js';
import {tarMembers, type TarMember, type TarOptions} from './tar-members.js';

export interface TarEntry extends TarMember {
	/** To be read once, before the next entry is asked for; what is left of it is passed over then. */
	readonly body: AsyncIterable<Buffer>;
}

export interface TarPlace extends TarMember {
	/** Of its first byte in the tar. */
	readonly offset: number;
}

export interface TarScan {
	/** Those that are there to the last byte. A path may come more than once. */
	readonly entries: readonly TarPlace[];
	/** More should follow, but cannot be read. */
	readonly truncated: boolean;
	/** Why not. */
	readonly problem: string | undefined;
	/** What was passed over. */
	readonly odd: readonly string[];
}

/** Tools pad their tars to a whole record, and those who send them should not see the line break. */
const mostTrailingBytes = 1024 * 1024;

/**
 * Throws IntegrityError where the tar is cut off or damaged, after all that comes before it; what the source throws
 * comes as it is. Behind the end mark, a megabyte is passed over, so that the source comes to its end; then it is let
 * go of.
 */
export async function* readTar(
	source: AsyncIterable<Buffer>,
	options: TarOptions = {},
): AsyncGenerator<TarEntry, void, undefined> {
	const input = new StreamInput(source);
	try {
		for await (const member of tarMembers(input, options)) {
			const body = new Body(input, member);
			yield {...member, body};
			body.close();
		}
		await passTrailing(input);
	} finally {
		await input.close();
	}
}

/**
 * `read` fills what it is given from a position on, as far as it likes, and resolves with how much; 0 at the end.
 * Throws IntegrityError for what is no tar at all.
 */
export async function scanTar(
	read: (into: Buffer, position: number) => Promise<number>,
	size: number,
): Promise<TarScan> {
	const input = new PlaceInput(read, size);
	const entries: TarPlace[] = [];
	const odd: string[] = [];
	let problem: string | undefined;
	try {
		for await (const member of tarMembers(input, {onOdd: words => odd.push(words)})) {
			if (input.position + member.size <= size) {
				entries.push({...member, offset: input.position});
			}
		}
	} catch (error) {
		if (!(error instanceof IntegrityError) || (entries.length === 0 && odd.length === 0 && input.position <= 512)) {
			throw error;
		}
		problem = error.message;
	}
	return {entries, truncated: problem !== undefined, problem, odd};
}

/** What is wrong with it is nobody's concern any more. */
async function passTrailing(input: StreamInput): Promise<void> {
	try {
		await input.skip(mostTrailingBytes);
	} catch (error) {
		if (!(error instanceof IntegrityError)) {
			throw error;
		}
	}
}

/** The bytes of one entry. */
class Body implements AsyncIterable<Buffer> {
	readonly #input: StreamInput;
	readonly #path: string;
	#left: number;
	#isPassed = false;

	constructor(input: StreamInput, {path, size}: TarMember) {
		this.#input = input;
		this.#path = path;
		this.#left = size;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
		while (this.#left > 0) {
			if (this.#isPassed) {
				throw new MirrorError(`${shown(this.#path)} has been passed already`);
			}
			const piece = await this.#input.some(this.#left);
			if (piece === undefined) {
				throw new IntegrityError(`the tar ends in the middle of ${shown(this.#path)}`);
			}
			this.#left -= piece.length;
			yield piece;
		}
	}

	close(): void {
		this.#isPassed = true;
	}
}
