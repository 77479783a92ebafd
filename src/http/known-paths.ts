/**
 * Where the paths lead that were asked for lately, so that the router need not be asked again.
 *
 * A path leads to the same place for ever: nothing but its text and the method decide. GET and HEAD are remembered, which
 * is nearly all that there is.
 */
import type {Exchange} from './exchange.js';

/** Answers a request, come what may. */
export type Answerer = (exchange: Exchange) => void;

/** Of each. */
const most = 2000;
const longest = 200;

export class KnownPaths {
	readonly #byMethod: ReadonlyMap<string, Map<string, Answerer>> = new Map([
		['GET', new Map<string, Answerer>()],
		['HEAD', new Map<string, Answerer>()],
	]);

	get size(): number {
		return [...this.#byMethod.values()].reduce((sum, {size}) => sum + size, 0);
	}

	get({method, target: {path = ''}}: Exchange): Answerer | undefined {
		return this.#byMethod.get(method)?.get(path);
	}

	remember({method, target: {path = ''}}: Exchange, answer: Answerer): void {
		const paths = this.#byMethod.get(method);
		if (paths === undefined || path === '' || path.length > longest) {
			return;
		}
		if (paths.size >= most) {
			paths.clear();
		}
		paths.set(path, answer);
	}
}
