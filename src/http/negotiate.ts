/**
 * What a client says that it understands: Accept-Version (contract 2.4), Accept and Accept-Encoding.
 *
 * All that differs between the versions of IMGAPI is that manifests of the second have their channels.
 */
import {satisfies, validRange} from 'semver';
import {RequestError} from './request-error.js';

const versions = ['2.0.0', '1.0.0'];

/** What imgadm and others say, and whether that means the second version: it takes long to read a range. */
const usual: ReadonlyMap<string, boolean> = new Map([
	['~2', true],
	['*', true],
	['~1||~2', true],
	['~1', false],
]);

/** Throws RequestError when the range allows neither version, or is none. */
export function checkVersion(header: string | undefined): void {
	if (header === undefined || usual.has(header) || header.trim() === '') {
		return;
	}
	const range = rangeOf(header);
	if (range === null || !versions.some(version => satisfies(version, range))) {
		throw new RequestError('INVALID_VERSION', `none of the versions ${versions.join(', ')} is in the accepted range`);
	}
}

/** Whether somebody with this Accept-Version has heard of channels. Whoever says nothing means the first version. */
export function knowsChannels(header: string | undefined): boolean {
	const known = usual.get(header ?? '~1');
	if (known !== undefined) {
		return known;
	}
	const range = rangeOf(header ?? '~1');
	return range !== null && satisfies('2.0.0', range);
}

/** A range of a header's full length would be work for nothing: real ones are `~2` and `*`. */
function rangeOf(header: string): string | null {
	return header.trim() === '' ? '~1' : header.length <= 256 ? validRange(header) : null;
}

/** text/plain has always been given JSON, and a binary type is what some curl users ask for. */
const asGoodAsJson = ['*/*', '*', 'application/*', 'text/*', 'text/plain', 'application/octet-stream'];

/** Whether somebody with this Accept header can be given JSON at all. */
export function acceptsJson(header: string | undefined): boolean {
	if (header === undefined || header === '*/*' || header === 'application/json') {
		return true;
	}
	const ranges = mediaRanges(header);
	if (ranges.size === 0) {
		return true;
	}
	const explicit = ranges.get('application/json');
	if (explicit !== undefined) {
		return explicit;
	}
	return asGoodAsJson.some(name => ranges.get(name) === true);
}

/** Whether JSON is asked for by its name, as no browser does. */
export function namesJson(header: string | undefined): boolean {
	return mediaRanges(header).get('application/json') === true;
}

/** Whether that type is asked for by its name. */
export function namesType(header: string | undefined, type: string): boolean {
	return mediaRanges(header).get(type) === true;
}

/** Whether it is somebody who reads pages: browsers name HTML, and programs hardly ever do. */
export function namesHtml(header: string | undefined): boolean {
	return mediaRanges(header).get('text/html') === true;
}

export type Encoding = 'br' | 'gzip';

/** The best of these that an Accept-Encoding header takes; `undefined`: as it is. */
export function encodingFor(
	header: string | string[] | undefined,
	offered: readonly Encoding[] = ['gzip'],
): Encoding | undefined {
	const [best] = encodingsFor(header, offered);
	return best === 'identity' ? undefined : best;
}

/**
 * All of these that an Accept-Encoding header takes, what it likes best first, and of what it likes alike what is
 * offered first. `identity` is among them unless it is refused; where everything is, it is all there is, as RFC 9110
 * (section 12.5.3) allows.
 */
export function encodingsFor(
	header: string | string[] | undefined,
	offered: readonly Encoding[],
): readonly (Encoding | 'identity')[] {
	// Anything will do, which clients that know no encodings do not know.
	if (header === undefined) {
		return ['identity', ...offered];
	}
	const named = new Map(
		header
			.toString()
			.split(',')
			.map(item => item.split(';').map(part => part.trim().toLowerCase()))
			.map(([name = '', ...parameters]) => [name, quality(parameters)] as const),
	);
	const others = named.get('*');
	const liked = new Map<Encoding | 'identity', number>();
	for (const encoding of offered) {
		liked.set(encoding, named.get(encoding) ?? others ?? 0);
	}
	// Taken from everybody who does not refuse it, but nobody who says nothing of it would rather have it.
	liked.set('identity', named.get('identity') ?? others ?? Number.MIN_VALUE);
	const taken = [...liked].filter(([, how]) => how > 0).sort(([, a], [, b]) => b - a);
	return taken.length === 0 ? ['identity'] : taken.map(([encoding]) => encoding);
}

/** Each media range, and whether its quality is above 0. */
function mediaRanges(header: string | undefined): ReadonlyMap<string, boolean> {
	const ranges = new Map<string, boolean>();
	for (const item of (header ?? '').split(',')) {
		const [name = '', ...parameters] = item.split(';').map(part => part.trim().toLowerCase());
		if (name === '*' || /^[^\s/]+\/[^\s/]+$/u.test(name)) {
			ranges.set(name, !parameters.some(isZero));
		}
	}
	return ranges;
}

/** What is no number is as good as nothing said. */
function quality(parameters: readonly string[]): number {
	const [, text = ''] = parameters.map(parameter => /^q\s*=\s*([\d.]+)$/u.exec(parameter)).find(Boolean) ?? [];
	const number = Number.parseFloat(text);
	return Number.isNaN(number) ? 1 : Math.min(1, number);
}

/** A parameter that says: not this one. */
function isZero(parameter: string): boolean {
	return /^q\s*=\s*0(?:\.0*)?$/u.test(parameter);
}
