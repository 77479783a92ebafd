/**
 * Begins: makes the parts that the page shares, and draws it.
 */
import {Api} from './api.js';
import {App} from './app.js';
import {Catalog} from './catalog.js';
import {Cell} from './cell.js';
import {EventLog} from './event-log.js';
import {html, render} from './html.js';
import {Live} from './live.js';
import {followAddress} from './navigate.js';
import {Notices} from './notices.js';
import {PageContext, type Page} from './page.js';
import {Prefetches} from './prefetches.js';
import {Questions} from './questions.js';
import {firstRoute} from './route.js';
import {Session} from './session.js';
import {applyTheme} from './theme.js';
import {Uploads} from './uploads.js';
import {VerifyRun} from './verify-run.js';

function makePage(): Page {
	const api: Api = new Api({onUnauthorized: () => void session.refresh()});
	const session = new Session(api);
	const ping = (): Promise<boolean> =>
		api.send('session').then(
			() => true,
			() => false,
		);
	const live = new Live({url: api.url('events'), ping});
	const notices = new Notices();
	const catalog = new Catalog({api, session, live});
	// Events are for those who may see private images; whoever logs in or out may be another.
	session.state.listen(() => {
		if (session.may('private')) {
			live.start();
		} else {
			live.stop();
		}
	});
	live.onStale(() => void session.refresh());
	return {
		...{api, session, live, notices, catalog},
		log: new EventLog(live),
		questions: new Questions(),
		prefetches: new Prefetches({api, notices, catalog}),
		uploads: new Uploads(api),
		verifying: new VerifyRun({api, notices}),
		route: new Cell(firstRoute),
	};
}

applyTheme();
const page = makePage();
followAddress(page.route);
const root = document.getElementById('app');
if (root !== null) {
	render(html`<${PageContext.Provider} value=${page}><${App} /><//>`, root);
}
void page.session.refresh();
