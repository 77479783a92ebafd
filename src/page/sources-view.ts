/**
 * Sources: how each of them is and was, what it lists, where two disagree; and what is fetched ahead of them.
 */
import type {HistoryReport} from '../history/api.js';
import type {HeldReport, SourceReport} from '../mirror-operate-api.js';
import {problemText} from './api-error.js';
import {useCell} from './cell.js';
import {ConflictList} from './conflict-list.js';
import {html, useState, type VNode} from './html.js';
import {holdText} from './image-panel.js';
import {useLoad} from './load.js';
import {go} from './navigate.js';
import {usePage} from './page.js';
import {Ago, Empty, Problem, Waiting} from './parts.js';
import {PrefetchRules} from './prefetch-rules.js';
import {SourceCard} from './source-card.js';
import {dayText, plural} from './words.js';

interface Refreshed {
	readonly source: string;
	readonly problem?: string;
}

export function SourcesView(): VNode {
	const {api, session, notices} = usePage();
	const mayOperate = useCell(session.state).rights.has('operate');
	const [busy, setBusy] = useState<string | undefined>(undefined);
	const sources = useLoad('sources', signal => api.get<readonly SourceReport[]>('mirror/sources', {signal}), {
		on: ['source', 'catalog.changed'],
		everyMs: 2000,
	});
	const history = useLoad('source history', signal => api.get<HistoryReport>('mirror/history?hours=24', {signal}), {
		on: ['source.up', 'source.down'],
		everyMs: 5000,
	});
	const refresh = (source: string | undefined): void => {
		setBusy(source ?? '');
		const query = source === undefined ? '' : `?source=${encodeURIComponent(source)}`;
		void api
			.post<readonly Refreshed[]>(`mirror/refresh${query}`)
			.then(
				answers => {
					const failed = answers.filter(({problem}) => problem !== undefined);
					notices.say(
						failed.length === 0
							? `${plural(answers.length, 'source was', 'sources were')} read again.`
							: failed.map(one => `${one.source}: ${one.problem ?? ''}`).join('; '),
						failed.length === 0 ? 'good' : 'bad',
					);
				},
				(error: unknown) => notices.say(problemText(error), 'bad'),
			)
			.finally(() => {
				setBusy(undefined);
				sources.reload();
			});
	};
	const {value, error, reload} = sources;
	return html`<div class="view">
		<h1 class="unseen">Sources</h1>
		<section aria-labelledby="sources-title">
			<header class="section-head">
				<h2 id="sources-title">Sources</h2>
				${
					mayOperate && value !== undefined && value.length > 1
						? html`<button type="button" disabled=${busy !== undefined} onClick=${() => refresh(undefined)}>
								Refresh all
							</button>`
						: null
				}
			</header>
			${error !== undefined && html`<${Problem} error=${error} again=${reload} />`}
			${
				value === undefined
					? error === undefined && html`<${Waiting} what="sources" />`
					: value.length === 0
						? html`<${Empty}>No source is configured: only what is published here is offered.<//>`
						: html`<div class="cards">
								${value.map(
									source =>
										html`<${SourceCard}
											key=${source.name}
											source=${source}
											history=${history.value}
											mayRefresh=${mayOperate}
											isBusy=${busy === source.name || busy === ''}
											onRefresh=${() => refresh(source.name)}
										/>`,
								)}
							</div>`
			}
		</section>
		<${PrefetchRules} />
		<${HeldImages} />
		<${ConflictList} />
	</div>`;
}

function HeldImages(): VNode | null {
	const {api, route} = usePage();
	const {value, error, reload} = useLoad('held', signal => api.get<readonly HeldReport[]>('mirror/held', {signal}), {
		on: ['image.held', 'image.released', 'catalog.changed'],
		everyMs: 3000,
	});
	if (error === undefined && (value === undefined || value.length === 0)) {
		return null;
	}
	return html`<section aria-labelledby="held-title">
		<h2 id="held-title">Held back</h2>
		${error !== undefined && html`<${Problem} error=${error} again=${reload} />`}
		<div class="scroll" tabindex="0" role="region" aria-label="Held back">
			<table>
				<thead>
					<tr>
						<th scope="col">Image</th>
						<th scope="col">Published</th>
						<th scope="col">First seen</th>
						<th scope="col">Why</th>
					</tr>
				</thead>
				<tbody>
					${(value ?? []).slice(0, 200).map(
						({uuid, name, version, publishedAt, firstSeenAt, reasons}) =>
							html`<tr key=${uuid}>
								<td>
									<button
										type="button"
										class="link"
										onClick=${() => go(route, {view: 'images', image: uuid}, {step: true})}
									>
										<b>${name}</b> ${version}
									</button>
								</td>
								<td>${dayText(publishedAt)}</td>
								<td><${Ago} at=${firstSeenAt} /></td>
								<td>${reasons.map(holdText).join('; ')}</td>
							</tr>`,
					)}
				</tbody>
			</table>
		</div>
		${(value ?? []).length > 200 && html`<p class="hint">The first 200 of ${plural((value ?? []).length, 'image')}. The list of images has all of them.</p>`}
	</section>`;
}
