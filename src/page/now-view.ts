/**
 * Now: what is on its way, the last hours as charts, what happened and what failed.
 */
import type {MirrorEvent} from '../host-events.js';
import {useCell} from './cell.js';
import {eventText, eventTone} from './event-words.js';
import {HistoryCharts} from './history-charts.js';
import {html, type VNode} from './html.js';
import {useLoad} from './load.js';
import {usePage} from './page.js';
import {Empty, Problem, Waiting} from './parts.js';
import {TransferList} from './transfer-list.js';
import {clockText, timeText} from './words.js';

export function NowView(): VNode {
	const {api, log} = usePage();
	const failures = useLoad('failures', signal => api.get<readonly MirrorEvent[]>('mirror/failures', {signal}), {
		on: ['transfer.failed', 'verification.failed', 'source.down', 'disk', 'webhook.failed', 'prefetch.ended'],
		everyMs: 2000,
	});
	const events = useCell(log.all);
	return html`<div class="view">
		<h1 class="unseen">Now</h1>
		<${TransferList} />
		<${HistoryCharts} />
		<div class="two">
			<section aria-labelledby="failures-title">
				<h2 id="failures-title">Failures</h2>
				${failures.error !== undefined && html`<${Problem} error=${failures.error} again=${failures.reload} />`}
				${
					failures.value === undefined
						? failures.error === undefined && html`<${Waiting} what="failures" />`
						: failures.value.length === 0
							? html`<${Empty}>Nothing has failed lately.<//>`
							: html`<${EventList} events=${failures.value} label="Failures" />`
				}
			</section>
			<section aria-labelledby="events-title">
				<h2 id="events-title">Since this page was opened</h2>
				${
					events.length === 0
						? html`<${Empty}>Nothing yet. What happens appears here.<//>`
						: html`<${EventList} events=${events} label="Events" />`
				}
			</section>
		</div>
	</div>`;
}

function EventList({events, label}: {readonly events: readonly MirrorEvent[]; readonly label: string}): VNode {
	return html`<ol class="log" tabindex="0" role="list" aria-label=${label}>
		${events.map(
			event =>
				html`<li key=${event.id} class=${eventTone(event)}>
					<time datetime=${event.at} title=${timeText(event.at)}>${clockText(event.at)}</time>
					<span>${eventText(event)}</span>
				</li>`,
		)}
	</ol>`;
}
