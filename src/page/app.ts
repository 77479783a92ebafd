/**
 * The whole page: its head, the view that one is in, and what may lie over it.
 */
import {Banner} from './banner.js';
import {useCell} from './cell.js';
import {html, useEffect, useErrorBoundary, useRef, type VNode} from './html.js';
import {ImagesView} from './images-view.js';
import {Keys} from './keys.js';
import {LoginCorner} from './login.js';
import {NoticeList} from './notices.js';
import {NowView} from './now-view.js';
import {usePage} from './page.js';
import {NeedsRight, Problem, Waiting} from './parts.js';
import {PublishView} from './publish-view.js';
import {QuestionWindow} from './questions.js';
import {formatRoute, views, type View} from './route.js';
import {SourcesView} from './sources-view.js';
import {StorageView} from './storage-view.js';
import {ThemeSwitch} from './theme.js';

const titles: Readonly<Record<View, string>> = {
	images: 'Images',
	now: 'Now',
	sources: 'Sources',
	storage: 'Storage',
	publish: 'Publish',
};

export function App(): VNode {
	const {route, session, live} = usePage();
	const {view} = useCell(route);
	const {state, rights, version} = useCell(session.state);
	const {is} = useCell(live.state);
	const main = useRef<HTMLElement>(null);
	const before = useRef(view);
	useEffect(() => {
		document.title = `${titles[view]} · imgmirror`;
		if (before.current !== view) {
			before.current = view;
			// A new view is read from its beginning.
			main.current?.focus({preventScroll: true});
			window.scrollTo(0, 0);
		}
	}, [view]);
	const skip = (event: Event): void => {
		event.preventDefault();
		main.current?.focus();
	};
	return html`
		<a class="skip" href="#main" onClick=${skip}>To the content</a>
		<header class="page-head">
			<span class="brand" title=${version === '' ? '' : `version ${version}`}>imgmirror</span>
			<nav aria-label="Views">
				${views.map(
					one =>
						html`<a
							key=${one}
							href=${formatRoute({...route.value, view: one})}
							aria-current=${one === view ? 'page' : undefined}
							>${titles[one]}</a
						>`,
				)}
			</nav>
			<span class="head-end">
				${is === 'live' && html`<span class="live" title="What happens is shown at once">live</span>`}
				<a class="docs" href="../docs/">API</a>
				<${ThemeSwitch} />
				<${LoginCorner} />
			</span>
		</header>
		<${Banner} />
		<main id="main" tabindex="-1" ref=${main} aria-label=${titles[view]}>
			${
				state === 'asking'
					? html`<${Waiting} what="the page" />`
					: html`<${Guarded} key=${view} view=${view} maySee=${rights.has('private')} />`
			}
		</main>
		<${NoticeList} />
		<${QuestionWindow} />
		<${Keys} />
	`;
}

/** A fault of one view is said there, and the others go on. */
function Guarded({view, maySee}: {readonly view: View; readonly maySee: boolean}): VNode {
	const boundary = useErrorBoundary();
	const error: unknown = boundary[0];
	const again = boundary[1];
	if (error !== undefined) {
		return html`<div class="view"><${Problem} error=${error} again=${again} /></div>`;
	}
	switch (view) {
		case 'images':
			return html`<${ImagesView} />`;
		case 'publish':
			return html`<${PublishView} />`;
		case 'now':
			return maySee ? html`<${NowView} />` : html`<${NeedsRight} what="Transfers and charts" right="private" />`;
		case 'sources':
			return maySee ? html`<${SourcesView} />` : html`<${NeedsRight} what="Sources" right="private" />`;
		case 'storage':
			return maySee ? html`<${StorageView} />` : html`<${NeedsRight} what="The disk’s contents" right="private" />`;
	}
}
