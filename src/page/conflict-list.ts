/**
 * Images that two sources list with different files: the first source wins, and somebody should know.
 */
import {html, type ComponentChildren, type VNode} from './html.js';
import {useLoad} from './load.js';
import {usePage} from './page.js';
import {Empty, Problem, Waiting} from './parts.js';
import {listText, plural} from './words.js';

const most = 100;

export function ConflictList(): VNode {
	const {api} = usePage();
	const {value, error, reload} = useLoad(
		'conflicts',
		signal => api.get<readonly object[]>('mirror/conflicts', {signal}),
		{
			on: ['catalog.changed'],
			everyMs: 5000,
		},
	);
	return html`<section aria-labelledby="conflicts-title">
		<h2 id="conflicts-title">Conflicts</h2>
		${error !== undefined && html`<${Problem} error=${error} again=${reload} />`}
		${
			value === undefined
				? error === undefined && html`<${Waiting} what="conflicts" />`
				: value.length === 0
					? html`<${Empty}>All sources agree about what they have in common.<//>`
					: html`<p class="hint">
								${plural(value.length, 'image is', 'images are')} listed with different files. The file of the first
								source is served.
							</p>
							<ul class="conflicts">
								${value.slice(0, most).map((conflict, at) => html`<li key=${at}>${conflictText(conflict)}</li>`)}
							</ul>`
		}
	</section>`;
}

interface Conflict {
	readonly name: string;
	readonly version: string;
	readonly sources: readonly {readonly name: string; readonly sha1: string}[];
}

function conflictText(conflict: object): ComponentChildren {
	if (!isConflict(conflict)) {
		return JSON.stringify(conflict);
	}
	const {name, version, sources} = conflict;
	const files = listText(sources.map(source => `${source.name} has ${source.sha1.slice(0, 12)}…`));
	return html`<b>${name}</b> ${`${version}: ${files}`}`;
}

function isConflict(conflict: object): conflict is Conflict {
	return 'name' in conflict && 'version' in conflict && 'sources' in conflict && Array.isArray(conflict.sources);
}
