/**
 * What an import tells while it goes, gathered: progress for whoever waits, a report for whoever comes back.
 *
 * One report for all bundles of a command. Events are read from the wire; what a newer server has more to tell is
 * passed over.
 */
import {isUuid} from '../image/manifest.js';
import {flag, maybe, maybeNumber, maybeText, number, shape, text, type Read} from './fields.js';
import type {Amounts} from './import-tar.js';
import type {CliIo} from './io.js';
import type {Line} from './json-lines.js';
import type {Progress} from './progress.js';
import {counted, grouped, humanBytes, humanTime, painted, painter, titled, type Cell, type Colour} from './words.js';

const readSigned = shape({fingerprint: text, comment: maybeText, trusted: flag});

const readEvent = shape({
	what: text,
	images: number,
	bytes: maybeNumber,
	signedBy: maybe(readSigned),
	message: text,
	uuid: text,
	name: text,
	version: text,
	outcome: text,
	problem: maybeText,
});

const outcomes = ['imported', 'updated', 'there', 'failed'] as const;
type Outcome = (typeof outcomes)[number];

export interface ImportedImage {
	/** What the index calls it, where not even the uuid could be read. */
	readonly uuid: string;
	readonly name: string;
	readonly version: string;
	readonly bytes: number;
	/** `undefined`: it was begun, and did not come to an end. */
	outcome?: Outcome;
	problem?: string;
}

interface Bundle {
	readonly name: string;
	/** `undefined`: nobody knows yet. */
	images: number | undefined;
	signedBy: Read<typeof readSigned> | undefined;
	/** Of files that were new on the far side. */
	bytes: number;
	bytesSent: number;
	ended: boolean;
	readonly reported: Map<string, ImportedImage>;
}

export class ImportReport {
	readonly #progress: Progress;
	readonly #dryRun: boolean;
	readonly #say: (text: string) => void;
	readonly #bundles: Bundle[] = [];
	readonly #warnings: string[] = [];

	constructor({
		progress,
		dryRun,
		say,
	}: {
		readonly progress: Progress;
		readonly dryRun: boolean;
		/** A line that somebody should read whether progress is shown or not. */
		readonly say: (text: string) => void;
	}) {
		this.#progress = progress;
		this.#dryRun = dryRun;
		this.#say = say;
	}

	/** What comes from now on is of this bundle. */
	next(name: string): void {
		const bundle = {images: undefined, signedBy: undefined, bytes: 0, bytesSent: 0, ended: false};
		this.#bundles.push({name, ...bundle, reported: new Map()});
	}

	/** What is known of it before a byte goes. */
	planned({images, bytes, there, changed, bytesToSend}: Amounts, odd: readonly string[]): void {
		const bundle = this.#bundles.at(-1);
		if (bundle === undefined) {
			return;
		}
		bundle.images = images;
		const parts = [
			...(there === 0 ? [] : [`${grouped(there)} here already`]),
			...(changed === 0 ? [] : [`${grouped(changed)} here, but not as it comes`]),
			`${humanBytes(bytesToSend)} to send`,
		];
		this.#progress.say(`${bundle.name}: ${counted(images, 'image')} with ${humanBytes(bytes)}: ${parts.join(', ')}`);
		for (const one of odd) {
			this.warn(`${bundle.name}: ${one}`);
		}
	}

	sent(bytes: number): void {
		const bundle = this.#bundles.at(-1);
		if (bundle !== undefined) {
			bundle.bytesSent += bytes;
			this.#progress.update(bundle.bytesSent);
		}
	}

	warn(message: string): void {
		this.#warnings.push(message);
		this.#say(`warning: ${message}`);
	}

	take(line: Line): void {
		const event = readEvent(line);
		const bundle = this.#bundles.at(-1);
		if (bundle === undefined) {
			return;
		}
		switch (event.what) {
			case 'begin':
				bundle.signedBy = event.signedBy;
				this.#progress.say(
					`${bundle.name}: ${bundle.images === undefined ? `${counted(event.images, 'image')}, ` : ''}${signedWords(event.signedBy)}`,
				);
				bundle.images = event.images;
				break;
			case 'image':
				bundle.reported.set(event.uuid, imageOf(event));
				break;
			case 'done':
				this.#done(bundle, event);
				break;
			case 'warning':
				this.warn(event.message);
				break;
			case 'end':
				bundle.ended = true;
				bundle.bytes = event.bytes ?? bundle.bytes;
				break;
			default:
			// Progress is what we have sent; a newer server may have more to tell.
		}
	}

	/** Whether the server has told all there was to tell of the last bundle. */
	get ended(): boolean {
		return this.#bundles.at(-1)?.ended ?? false;
	}

	/** Whether any image has been spoken of. */
	get begun(): boolean {
		return this.#bundles.some(({reported}) => reported.size > 0);
	}

	get failed(): readonly ImportedImage[] {
		return this.#with('failed');
	}

	/** What became of images, when it has ended too early: `3 of 12 images are imported and stay`. */
	kept(): string {
		const done = this.#images().filter(({outcome}) => outcome !== undefined && outcome !== 'failed').length;
		const all = this.#bundles.reduce((sum, {images}) => sum + (images ?? 0), 0);
		const stay = done === 1 ? 'is there and stays' : 'are there and stay';
		return this.#dryRun
			? `${grouped(done)} of ${counted(all, 'image')} ${done === 1 ? 'was' : 'were'} right`
			: `${grouped(done)} of ${counted(all, 'image')} ${stay}`;
	}

	json(ms: number, problem: string | undefined): object {
		return {
			...Object.fromEntries(outcomes.map(outcome => [outcome, this.#with(outcome).length])),
			...{bytes: this.#bytes(), ms},
			...(this.#dryRun ? {dryRun: true} : {}),
			...(problem === undefined ? {} : {problem}),
			bundles: this.#bundles.map(({name, images, signedBy, bytes, bytesSent}) => ({
				...{name, images, signedBy, bytes, bytesSent},
			})),
			images: this.#images(),
			warnings: this.#warnings,
		};
	}

	/** For people. */
	table(io: CliIo): string {
		const paint = painter(io.stdout, io);
		const images = this.#images();
		// What went wrong stands where it is read: last.
		const sorted = [...images.filter(({outcome}) => outcome !== 'failed'), ...this.failed];
		const heads = ['UUID', 'NAME', 'VERSION', 'SIZE', 'OUTCOME'].map((head): Cell => ({text: head, colour: 'bold'}));
		const rows = sorted.map(({uuid, name, version, bytes, outcome, problem}): readonly Cell[] => [
			...[uuid, name || '-', version || '-', humanBytes(bytes)],
			{
				text: `${this.#words(outcome)}${problem === undefined ? '' : `: ${problem}`}`,
				colour: outcome === undefined ? 'yellow' : colours[outcome],
			},
		]);
		return rows.length === 0 ? '' : painted([heads, ...rows], {paint, right: '   r'});
	}

	summary(ms: number): string {
		const [imported, updated, there, failed] = outcomes.map(outcome => this.#with(outcome).length);
		const all = this.#images().length;
		if (all === 0) {
			return 'there are no images in it: nothing to import\n';
		}
		if (there === all) {
			return `nothing new: ${all === 1 ? 'the image is' : `all ${grouped(all)} images are`} here already\n`;
		}
		const parts = [
			`${counted(imported ?? 0, 'image')} ${this.#words('imported')}`,
			...(updated === 0 ? [] : [`${grouped(updated ?? 0)} ${this.#words('updated')}`]),
			...(there === 0 ? [] : [`${grouped(there ?? 0)} ${this.#words('there')}`]),
			...(failed === 0 ? [] : [`${grouped(failed ?? 0)} failed`]),
		];
		const bytes = this.#bytes();
		const rate = ms >= 1000 && bytes > 0 ? ` (${humanBytes((bytes * 1000) / ms)}/s)` : '';
		return `${parts.join(', ')}: ${humanBytes(bytes)} in ${humanTime(ms)}${rate}\n`;
	}

	/** What can be done about images that did not come through; `''`: nothing has to be done. */
	advice(): string {
		const uuids = this.failed.map(({uuid}) => uuid);
		if (uuids.length === 0) {
			return '';
		}
		const named = uuids.length <= mostNamed && uuids.every(isUuid) ? uuids.join(' ') : 'UUID…';
		const others = this.#images().length - uuids.length;
		const rest = others === 0 ? '' : others === 1 ? ', the other one did' : ', the others did';
		return [
			`${counted(uuids.length, 'image')} did not come through${rest}. What is broken or missing has to be carried again:`,
			'  imgmirror bundle verify BUNDLE    tells, on either side, what of the bundle is broken',
			`  imgmirror export ${named} --to FILE.tar    makes, on the near side, a bundle of these`,
			'',
		].join('\n');
	}

	#done(bundle: Bundle, event: Read<typeof readEvent>): void {
		const outcome = outcomes.find(known => known === event.outcome) ?? 'failed';
		const image: ImportedImage = {
			...imageOf(event),
			outcome,
			...(event.problem === undefined ? {} : {problem: event.problem}),
		};
		bundle.reported.set(event.uuid, image);
		// As good as can be told, until its end says it.
		bundle.bytes += outcome === 'imported' ? image.bytes : 0;
		if (outcome === 'failed') {
			this.#progress.say(`${titled(image)}: failed${image.problem === undefined ? '' : `: ${image.problem}`}`);
		}
	}

	#words(outcome: Outcome | undefined): string {
		switch (outcome) {
			case undefined:
				return 'not done';
			case 'imported':
				return this.#dryRun ? 'to import' : 'imported';
			case 'updated':
				return this.#dryRun ? 'to update' : 'updated';
			case 'there':
				return 'here already';
			case 'failed':
				return 'failed';
		}
	}

	#images(): readonly ImportedImage[] {
		return this.#bundles.flatMap(({reported}) => [...reported.values()]);
	}

	#with(wanted: Outcome): readonly ImportedImage[] {
		return this.#images().filter(({outcome}) => outcome === wanted);
	}

	#bytes(): number {
		return this.#bundles.reduce((sum, {bytes}) => sum + bytes, 0);
	}
}

const mostNamed = 8;

const colours: Readonly<Record<Outcome, Colour | undefined>> = {
	imported: 'green',
	updated: 'green',
	there: undefined,
	failed: 'red',
};

function imageOf({uuid, name, version, bytes}: Read<typeof readEvent>): ImportedImage {
	return {uuid, name, version, bytes: bytes ?? 0};
}

function signedWords(signedBy: Read<typeof readSigned> | undefined): string {
	if (signedBy === undefined) {
		return 'signed by nobody';
	}
	const {fingerprint, comment, trusted} = signedBy;
	const who = comment === undefined || comment === '' ? fingerprint : `${comment} (${fingerprint})`;
	return `signed by ${who}${trusted ? '' : ', whose key is not trusted'}`;
}
