/**
 * Which versions a rule means: a range as npm has them, or a glob where the text is no range.
 *
 * Versions of images are of every kind: `24.4.1`, `1.0`, `20240612`, `20.1.0-rc1`, `16.04`, `master-20150120T173920Z`.
 * Those that read as numbers are compared as numbers; the others are in no range, but may be what a glob says.
 */
import {Range, SemVer} from 'semver';
import {createGlob} from '../image/glob.js';

/** Up to three numbers, further ones that do not count, and what may follow in a semantic version. */
const numbered = /^[v=]?\s*(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?(?:\.\d+)*([-+].+)?$/u;
/** A time without punctuation (`20231127T002032Z`): its day is the version, its time of day the next smaller thing. */
const timed = /^(\d{8})T(\d{4,6})Z?$/u;
const dated = /^(\d{4})-(\d\d)-(\d\d)$/u;

/**
 * Whether a version is one that `text` means. The text itself is always one. As with npm, a range holds no version that
 * is marked as not quite there yet (`20.1.0-rc1`) unless it names one of the same numbers.
 */
export function versionMatcher(text: string): (version: string) => boolean {
	const trimmed = text.trim();
	const range = rangeOf(trimmed);
	if (range === undefined) {
		const glob = createGlob(trimmed === '' ? '*' : trimmed);
		return version => version === text || glob(version);
	}
	return version => {
		if (version === text) {
			return true;
		}
		const read = semanticVersion(version);
		return read !== undefined && range.test(read);
	};
}

/** `undefined`: the version is not made of numbers. */
export function semanticVersion(version: string): SemVer | undefined {
	const [, day, time] = timed.exec(version) ?? [];
	const [, year, month, date] = dated.exec(version) ?? [];
	if (day !== undefined) {
		return parsed(`${day}.${time ?? 0}.0`);
	}
	if (year !== undefined) {
		return parsed(`${year}.${month ?? 0}.${date ?? 0}`);
	}
	const exact = parsed(version);
	if (exact !== undefined) {
		return exact;
	}
	const [whole, major = '0', minor = '0', patch = '0', rest = ''] = numbered.exec(version) ?? [];
	if (whole === undefined) {
		return undefined;
	}
	// What follows is kept where it can be: 1.0-rc1 is before 1.0.
	return parsed(`${major}.${minor}.${patch}${rest}`) ?? parsed(`${major}.${minor}.${patch}`);
}

/** `undefined`: no range. Of every version, `*` is a glob: a range of all versions still has no `master-2015`. */
function rangeOf(text: string): Range | undefined {
	if (text === '' || text === '*') {
		return undefined;
	}
	try {
		// Loose: `16.04` is a version people write.
		return new Range(text, {loose: true});
	} catch {
		return undefined;
	}
}

function parsed(version: string): SemVer | undefined {
	try {
		return new SemVer(version, {loose: true});
	} catch {
		return undefined;
	}
}
