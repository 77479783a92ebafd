/**
 * What all parts of the page share: the mirror, who looks, what happens, where one is, what is said.
 *
 * `main.ts` makes one; components find it with `usePage`.
 */
import type {Api} from './api.js';
import type {Cell} from './cell.js';
import type {Catalog} from './catalog.js';
import type {EventLog} from './event-log.js';
import {createContext, useContext} from './html.js';
import type {Live} from './live.js';
import type {Notices} from './notices.js';
import type {Prefetches} from './prefetches.js';
import type {Questions} from './questions.js';
import type {Route} from './route.js';
import type {Session} from './session.js';
import type {Uploads} from './uploads.js';
import type {VerifyRun} from './verify-run.js';

export interface Page {
	readonly api: Api;
	readonly session: Session;
	readonly live: Live;
	readonly catalog: Catalog;
	readonly log: EventLog;
	readonly notices: Notices;
	readonly questions: Questions;
	readonly prefetches: Prefetches;
	readonly uploads: Uploads;
	readonly verifying: VerifyRun;
	readonly route: Cell<Route>;
}

export const PageContext = createContext<Page | undefined>(undefined);

export function usePage(): Page {
	const page = useContext(PageContext);
	if (page === undefined) {
		throw new Error('there is no page around this');
	}
	return page;
}
