/**
 * What the far side has, as a text that fits on any stick: `imgmirror have` writes it, an export reads it and leaves out
 * what is there already.
 *
 * A first line that says what it is, then a line for each image, sorted: its uuid, the sha256 of the manifest that
 * travels, and the sha1 of each of its files. Several of them may be put one after the other by any tool.
 */
import {InvalidParameterError} from '../errors.js';
import {isSha1, isUuid} from '../image/manifest.js';

export interface HaveImage {
	readonly uuid: string;
	/** Of the config blob, hexadecimal. */
	readonly configSha256: string;
	/** In the order of the manifest. */
	readonly sha1s: readonly string[];
}

export interface Have {
	/** How many images. */
	readonly size: number;
	/** `changed`: the image is there, and something else is said of it. */
	has(uuid: string, configSha256: string): 'same' | 'changed' | 'absent';
	hasFile(sha1: string): boolean;
}

const firstLine = '# imgmirror have 1';
const anyFirstLine = /^# imgmirror have (\S+)$/u;
const sha256Form = /^[0-9a-f]{64}$/u;
const maxCharacters = 67_108_864;
const maxLines = 1_000_000;
/** As many files as an image can have in a bundle, and more. */
const maxLineLength = 4096;

/** The same images make the same text, in whatever order they come. */
export function haveText(images: Iterable<HaveImage>): string {
	const lines = new Set<string>();
	for (const {uuid, configSha256, sha1s} of images) {
		lines.add(`${uuid} ${configSha256} ${sha1s.length === 0 ? '-' : sha1s.join(',')}\n`);
	}
	return [`${firstLine}\n`, ...[...lines].sort()].join('');
}

/** Throws InvalidParameterError that names the line. */
export function parseHave(text: string): Have {
	const configs = new Map<string, string | undefined>();
	const files = new Set<string>();
	for (const {uuid, configSha256, sha1s} of imagesOf(text)) {
		// Two that differ do not tell which one came last. To send what is said of an image once more costs little.
		const isNew = !configs.has(uuid) || configs.get(uuid) === configSha256;
		configs.set(uuid, isNew ? configSha256 : undefined);
		for (const sha1 of sha1s) {
			files.add(sha1);
		}
	}
	return {
		size: configs.size,
		has(uuid, configSha256) {
			if (!configs.has(uuid)) {
				return 'absent';
			}
			return configs.get(uuid) === configSha256 ? 'same' : 'changed';
		},
		hasFile: sha1 => files.has(sha1),
	};
}

/** One text that says what all of them say. Throws InvalidParameterError for the first that cannot be read. */
export function mergeHaves(texts: readonly string[]): string {
	return haveText(texts.flatMap(text => [...imagesOf(text)]));
}

function* imagesOf(text: string): Generator<HaveImage, undefined, undefined> {
	if (text.length > maxCharacters) {
		throw refused(`it has more than ${maxCharacters} characters`);
	}
	let number = 0;
	for (const line of linesOf(text)) {
		number++;
		if (number === 1) {
			checkFirst(line);
		}
		if (number > maxLines) {
			throw refused(`it has more than ${maxLines} lines`);
		}
		if (line !== '' && !line.startsWith('#')) {
			yield imageOf(line, number);
		}
	}
	return undefined;
}

/** One after the other: a text of millions of lines is not held twice. */
function* linesOf(text: string): Generator<string, undefined, undefined> {
	// What an editor on another system puts in front.
	let start = text.startsWith('\uFEFF') ? 1 : 0;
	while (start <= text.length) {
		const end = text.indexOf('\n', start);
		const stop = end === -1 ? text.length : end;
		yield text.slice(start, Math.min(stop, start + maxLineLength + 1)).trim();
		start = stop + 1;
	}
	return undefined;
}

function checkFirst(line: string): void {
	if (line === firstLine) {
		return;
	}
	const version = anyFirstLine.exec(line)?.[1];
	throw version === undefined
		? refused(`line 1 is not "${firstLine}", which \`imgmirror have\` begins with`)
		: refused(`line 1 says version ${version.slice(0, 20)}, and this mirror knows 1`);
}

function imageOf(line: string, number: number): HaveImage {
	if (line.length > maxLineLength) {
		throw refused(`line ${number} is too long`);
	}
	const [uuid = '', configSha256 = '', files = '', ...more] = line.split(/[ \t]+/u);
	if (!isUuid(uuid)) {
		throw refused(`line ${number} does not begin with the uuid of an image`);
	}
	if (!sha256Form.test(configSha256)) {
		throw refused(`line ${number}: the second word is no sha256`);
	}
	const sha1s = files === '-' ? [] : files.split(',');
	if (!sha1s.every(isSha1)) {
		throw refused(`line ${number}: the third word is neither "-" nor the sha1s of files with commas between`);
	}
	if (more.length > 0) {
		throw refused(`line ${number} goes on after the files`);
	}
	return {uuid, configSha256, sha1s};
}

function refused(problem: string): InvalidParameterError {
	const message = `what the far side has cannot be read: ${problem}`;
	return new InvalidParameterError(message, [{field: 'have', code: 'Invalid', message: problem}]);
}
