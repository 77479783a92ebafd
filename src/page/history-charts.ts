/**
 * The last hours as charts: bytes out and in, how much was at hand, requests.
 */
import type {HistoryReport} from '../history/api.js';
import {Chart} from './chart.js';
import {bytesInLines, bytesOutLines, hitRatioLines, overallRatio, requestLines, type Lines} from './history-series.js';
import {html, useMemo, useState, type VNode} from './html.js';
import {useLoad} from './load.js';
import {usePage} from './page.js';
import {Problem, useNow, Waiting} from './parts.js';
import {bytesText, countText, percentText, plural, rateText} from './words.js';

const ranges = [1, 6, 24] as const;

export function HistoryCharts(): VNode {
	const {api} = usePage();
	const [hours, setHours] = useState<number>(1);
	// A step is a minute: nothing new before.
	const minute = Math.floor(useNow(5000) / 60_000);
	const {value, error, reload} = useLoad(`history ${hours} ${minute}`, signal =>
		api.get<HistoryReport>(`mirror/history?hours=${hours}`, {signal}),
	);
	return html`<section aria-labelledby="history-title">
		<header class="section-head">
			<h2 id="history-title">The last hours</h2>
			<div class="choice" role="group" aria-label="How many hours">
				${ranges.map(
					range =>
						html`<button key=${range} type="button" aria-pressed=${range === hours} onClick=${() => setHours(range)}>
							${range} h
						</button>`,
				)}
			</div>
		</header>
		${error !== undefined && html`<${Problem} error=${error} again=${reload} />`}
		${value === undefined ? error === undefined && html`<${Waiting} what="the history" />` : html`<${Charts} report=${value} />`}
	</section>`;
}

function Charts({report}: {readonly report: HistoryReport}): VNode {
	const [out, into, ratio, requests] = useMemo(
		() => [bytesOutLines(report), bytesInLines(report), hitRatioLines(report), requestLines(report)] as const,
		[report],
	);
	const range = [Date.parse(report.from) / 1000, Date.parse(report.to) / 1000] as const;
	const share = overallRatio(report);
	const count = (name: string): number => requests.lines.find(line => line.name === name)?.total ?? 0;
	return html`<div class="charts">
		<${Chart}
			title="To clients"
			summary=${`${bytesText(totalOf(out))} of files`}
			lines=${out}
			isStacked
			format=${rateText}
			colour=${(name: string) => `c-${name}`}
			legend=${legendOf(out)}
			range=${range}
		/>
		<${Chart}
			title="From sources"
			summary=${`${bytesText(totalOf(into))} of files`}
			lines=${into}
			isStacked
			format=${rateText}
			colour=${(_: string, at: number) => `c-${at % 8}`}
			legend=${legendOf(into)}
			range=${range}
		/>
		<${Chart}
			title="At hand"
			summary=${share === undefined ? 'Nobody asked for a file' : `${percentText(share)} of requests for files cost no transfer of their own`}
			lines=${ratio}
			format=${percentText}
			colour=${() => 'c-hit'}
			top=${1}
			range=${range}
		/>
		<${Chart}
			title="Requests"
			summary=${`${countText(count('requests'))}, ${plural(count('errors'), 'error')}`}
			lines=${requests}
			format=${(value: number) => `${countText(value)}/min`}
			colour=${(name: string) => (name === 'errors' ? 'c-bad' : 'c-0')}
			range=${range}
		/>
	</div>`;
}

function totalOf({lines}: Lines): number {
	return lines.reduce((sum, {total}) => sum + total, 0);
}

function legendOf({lines}: Lines): readonly (readonly [string, string])[] {
	return lines.map(({name, total}) => [name, bytesText(total)]);
}
