/**
 * Everything a fake upstream can be told to do wrong, and who is next to suffer it.
 *
 * A `Misbehaviour` is a handful of keys that combine: `{cutAt: 0.5}`, `{status: 503, retryAfter: '7'}`,
 * `{holdAt: 1000, wrongBytes: 'tail'}`. What it does not name is done right.
 *
 *   upstream.misbehave('file', {cutAt: 0.5}, {times: 1});           the next file request only
 *   upstream.misbehave('list', {status: 500}, {when: r => r.query.has('marker')});   every second page
 *   upstream.misbehave('any', {stallHeaders: true});                for ever, until behave()
 */
import type {Route, SeenRequest} from './upstream-request.js';

/** Bytes from the beginning; between 0 and 1: a share of the whole; negative: bytes before the end. */
export type Amount = number;

export interface Misbehaviour {
	// What is answered instead.

	/** Another status, with a body that says so: IMGAPI's (the default), an HTML page, none, or this text. */
	readonly status?: number;
	readonly body?: 'imgapi' | 'html' | 'empty' | {readonly text: string};
	/** The header Retry-After. */
	readonly retryAfter?: string;
	/** Headers added, or put in place of the right ones; `undefined` leaves one out. */
	readonly headers?: Readonly<Record<string, string | undefined>>;
	/** A redirect to this Location. `status` may say which kind; 302 otherwise. */
	readonly redirect?: string | ((request: SeenRequest) => string);
	/** Other text (with a right Content-Length) instead of the JSON; a function gets the honest text. */
	readonly text?: string | ((honest: string) => string);
	/** The body ends here, and Content-Length says so: truncated JSON that looks whole to HTTP. */
	readonly truncateAt?: Amount;
	/** JSON texts that stand in a list among its entries, before and after the honest ones by turns. */
	readonly insert?: readonly string[];
	/** `ignored`: every page is the whole list. `exclusive`: the marker itself is left out. `endless`: never a last page. */
	readonly paging?: 'ignored' | 'exclusive' | 'endless';
	/** Content-Encoding: gzip, and so it is. */
	readonly gzip?: boolean;

	// Files.

	/** These bytes are the file, headers and all. */
	readonly file?: Buffer;
	/** Right length, wrong bytes: every one, the last (up to 1000, or half of the file), or one at this offset. */
	readonly wrongBytes?: 'all' | 'tail' | {readonly at: Amount};
	/** `changing`: another one each time. `undefined`: none. */
	readonly etag?: string | undefined;
	/**
	 * What becomes of a Range. `ignored`: 200 and all of it. `refused`: 416. `shifted`: 206, honestly from an earlier
	 * offset. `lying`: 206 and the Content-Range asked for, over bytes from the beginning. `mislabelled`: the bytes
	 * asked for under another Content-Range. `unlabelled`: 206 without Content-Range. `other-total`: Content-Range with
	 * another whole size. `short`: half of what was asked for, said honestly.
	 */
	readonly range?:
		'honoured' | 'ignored' | 'refused' | 'shifted' | 'lying' | 'mislabelled' | 'unlabelled' | 'other-total' | 'short';

	// How it is sent.

	/**
	 * `none`: chunked. `both`: chunked and a Content-Length. `close`: HTTP/1.0, the body ends with the connection.
	 * A number is added to the right one; what is then missing ends with the connection.
	 */
	readonly contentLength?: 'none' | 'both' | 'close' | number;
	/** Nothing at all until `release`. */
	readonly stallHeaders?: boolean;
	/** Stops after so much of the body, until `release`. */
	readonly holdAt?: Amount | readonly Amount[];
	/** Bytes per second. */
	readonly trickle?: number;
	/** Ends the connection after so much of the body. */
	readonly cutAt?: Amount;
	/** The cut is a TCP reset: what the client has not read yet may be lost to it. */
	readonly reset?: boolean;
	/** These bytes, whatever they are, instead of an HTTP response; then the connection ends. */
	readonly raw?: string | Buffer;
}

export interface MisbehaviourLimits {
	/** For so many requests; for ever unless given. */
	readonly times?: number;
	/** Only for this image. */
	readonly uuid?: string;
	readonly when?: (request: SeenRequest) => boolean;
}

interface Rule {
	readonly route: Route | 'any';
	readonly how: Misbehaviour;
	readonly limits: MisbehaviourLimits;
	timesLeft: number;
	holds: boolean;
}

/** Rules for a number of requests go first, in the order in which they came; then the latest of those for ever. */
export class RuleBook {
	#rules: Rule[] = [];

	add(route: Route | 'any', how: Misbehaviour, limits: MisbehaviourLimits): void {
		const rule: Rule = {route, how, limits, timesLeft: limits.times ?? Infinity, holds: true};
		if (rule.timesLeft === Infinity) {
			this.#rules.push(rule);
			return;
		}
		const firstForEver = this.#rules.findIndex(({timesLeft}) => timesLeft === Infinity);
		this.#rules.splice(firstForEver < 0 ? this.#rules.length : firstForEver, 0, rule);
	}

	clear(route: Route | 'any'): void {
		this.#rules = route === 'any' ? [] : this.#rules.filter(rule => rule.route !== route);
	}

	/** The rules there are hold nothing any more. */
	stopHolding(): void {
		for (const rule of this.#rules) {
			rule.holds = false;
		}
	}

	/** What this request is in for. Counts as one of the rule's times. */
	take(request: SeenRequest): Misbehaviour {
		const fitting = this.#rules.filter(
			({route, limits, timesLeft}) =>
				timesLeft > 0 &&
				(route === 'any' || route === request.route) &&
				(limits.uuid === undefined || limits.uuid === request.uuid) &&
				(limits.when === undefined || limits.when(request)),
		);
		const rule = fitting.find(({timesLeft}) => timesLeft < Infinity) ?? fitting.at(-1);
		if (rule === undefined) {
			return {};
		}
		rule.timesLeft--;
		return rule.holds ? rule.how : {...rule.how, holdAt: [], stallHeaders: false};
	}
}

/** An `Amount` as a number of bytes, from 0 to `length`. */
export function bytesOf(amount: Amount, length: number): number {
	const bytes = amount < 0 ? length + amount : amount > 0 && amount < 1 ? amount * length : amount;
	return Math.max(0, Math.min(length, Math.floor(bytes)));
}

/** Entries, as JSON texts, that no list should hold and every client must survive. */
export function hostileEntries(uuid = 'ffffffff-aaaa-4bbb-8ccc-dddddddddddd'): readonly string[] {
	const like = (changes: object): string =>
		JSON.stringify({v: 2, uuid, name: 'x', version: '1', type: 'other', os: 'other', state: 'active', ...changes});
	const file = {sha1: '0123456789abcdef0123456789abcdef01234567', size: 1, compression: 'none'};
	return [
		'null',
		'42',
		'-1e999',
		'"a string"',
		'[]',
		'[[[]]]',
		'{}',
		'true',
		like({uuid: undefined, files: [file]}),
		like({uuid: uuid.toUpperCase(), files: [file]}),
		like({uuid: '../../../etc/passwd', files: [file]}),
		like({uuid: 7, files: [file]}),
		like({files: 'none'}),
		like({files: [null]}),
		like({files: [{...file, size: -1}]}),
		like({files: [{...file, size: 'huge'}]}),
		like({files: [{...file, size: 1e300}]}),
		like({files: [{...file, sha1: '../../x'}]}),
		like({files: [file], description: 'x'.repeat(2 * 1024 * 1024)}),
		like({files: [file]}).replace(/}$/, `,"deep":${'['.repeat(20_000)}${']'.repeat(20_000)}}`),
		like({uuid: undefined, files: [file]}).replace(/^{/, `{"__proto__":{"uuid":"${uuid}","polluted":true},`),
	];
}
