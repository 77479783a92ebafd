/**
 * Where the paths lead that were asked for lately, so that the router need not be asked again.
 *
 * A path leads to the same place for ever: nothing but its text and the method decide. GET and HEAD are remembered, which
 * is nearly all that there is.
 */
import type {Exchange} from './exchange.js';

/** Answers a request, come what may. */
export type Answerer = (exchange: Exchange) => void;

type Asked = Pick<Exchange, 'method' | 'target'>;

interface Known {
	readonly answer: Answerer;
	readonly often: boolean;
}

/** Of each. */
const most = 2000;
const longest = 200;

export class KnownPaths {
	readonly #byMethod: ReadonlyMap<string, Map<string, Known>> = new Map([
		['GET', new Map()],
		['HEAD', new Map()],
	]);

	get size(): number {
		return [...this.#byMethod.values()].reduce((sum, {size}) => sum + size, 0);
	}

	get({method, target: {path = ''}}: Asked): Answerer | undefined {
		return this.#byMethod.get(method)?.get(path)?.answer;
	}

	/** The same, if it is one of those that clients ask for again and again. */
	often({method, target: {path = ''}}: Asked): Answerer | undefined {
		const known = this.#byMethod.get(method)?.get(path);
		return known?.often === true ? known.answer : undefined;
	}

	remember({method, target: {path = ''}}: Asked, answer: Answerer, often = false): void {
		const paths = this.#byMethod.get(method);
		if (paths === undefined || path === '' || path.length > longest) {
			return;
		}
		if (paths.size >= most) {
			paths.clear();
		}
		paths.set(path, {answer, often});
	}
}
