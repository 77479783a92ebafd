/**
 * Going somewhere on the page, and the address that says where one is.
 */
import type {Cell} from './cell.js';
import {formatRoute, parseRoute, type Route} from './route.js';

/** Keeps the route as the address says: by links, by hand, by going back. */
export function followAddress(route: Cell<Route>): void {
	const follow = (): void => {
		const asked = parseRoute(location.hash);
		// What was searched for is still there when one comes back to it.
		route.set(asked.view === 'images' ? asked : {...route.value, view: asked.view});
	};
	follow();
	window.addEventListener('popstate', follow);
	window.addEventListener('hashchange', follow);
}

/** `step`: going back leads to where one is now. */
export function go(route: Cell<Route>, change: Partial<Route>, {step = false}: {step?: boolean} = {}): void {
	const next = {...route.value, ...change};
	route.set(next);
	const address = formatRoute(next);
	if (address !== location.hash) {
		history[step ? 'pushState' : 'replaceState'](null, '', address);
	}
}
