/**
 * One source: how it is, how it was over a day, what it lists, in numbers and in words.
 */
import type {HistoryReport} from '../history/api.js';
import type {SourceReport} from '../mirror-operate-api.js';
import {stretchesOf, upShare, type Stretch} from './health-strip.js';
import {html, useMemo, type ComponentChildren, type VNode} from './html.js';
import {Ago, Facts} from './parts.js';
import {clockText, countText, durationText, percentText, plural} from './words.js';

const stateWords: Readonly<Record<Stretch['state'], string>> = {
	up: 'up',
	down: 'down',
	unknown: 'not asked yet',
	away: 'the mirror did not run',
};

export function SourceCard({
	source,
	history,
	mayRefresh,
	isBusy,
	onRefresh,
}: {
	readonly source: SourceReport;
	readonly history: HistoryReport | undefined;
	readonly mayRefresh: boolean;
	readonly isBusy: boolean;
	readonly onRefresh: () => void;
}): VNode {
	const {name, kind, urls, health} = source;
	return html`<article class="card" aria-label=${name}>
		<header>
			<h3>${name}</h3>
			<span class=${`state ${health.state}`}><i aria-hidden="true"></i>${stateWords[health.state]}</span>
			${
				mayRefresh &&
				html`<button
					type="button"
					class="small"
					disabled=${isBusy}
					onClick=${onRefresh}
					aria-label=${`Refresh ${name}`}
				>
					${isBusy ? 'Reading …' : 'Refresh'}
				</button>`
			}
		</header>
		${history !== undefined && html`<${Strip} name=${name} history=${history} />`}
		<p class="words">${wordsOf(source)}</p>
		<${Facts} facts=${factsOf(source)} />
		<p class="muted urls">${kind === undefined ? '' : `${kind}: `}${urls.join(', ')}</p>
	</article>`;
}

function Strip({name, history}: {readonly name: string; readonly history: HistoryReport}): VNode {
	const {from, to, stepMs} = history;
	const of = history.sources[name];
	const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
	const stretches = useMemo(
		() => stretchesOf(of ?? {points: [], changes: []}, {fromMs, toMs, stepMs}),
		[of, fromMs, toMs, stepMs],
	);
	const share = upShare(stretches);
	const downs = stretches.filter(({state}) => state === 'down');
	const said =
		share === undefined
			? 'Not known over the last day'
			: `Up ${percentText(share)} of the last day${downs.length === 0 ? '' : `, down ${plural(downs.length, 'time')}`}`;
	return html`<div class="strip-frame">
		<div class="strip" role="img" aria-label=${said}>
			${stretches.map(
				({state, problem, fromMs: begin, toMs: end}) =>
					html`<i
						key=${begin}
						class=${state}
						style=${{width: `${((end - begin) / (toMs - fromMs)) * 100}%`}}
						title=${`${clockText(new Date(begin).toISOString())}, ${durationText(end - begin)}: ${stateWords[state]}${problem === undefined ? '' : `, ${problem}`}`}
					></i>`,
			)}
		</div>
		<span class="muted">${said}</span>
	</div>`;
}

function wordsOf({health, lastError, fresh, fetchedAt, nextTryAt, wrongFiles}: SourceReport): ComponentChildren {
	const wrong =
		wrongFiles === true && html`<span class="bad">It sends wrong files: others are asked before it.</span> `;
	const list =
		fetchedAt === undefined
			? html`${wrong}Its list has never been read.`
			: html`${wrong}Its list was read <${Ago} at=${fetchedAt} />${fresh ? '' : ' and is out of date'}.`;
	if (health.state !== 'down') {
		return html`${list} ${lastError !== undefined && html`<span class="bad">Last time: ${lastError}.</span>`}`;
	}
	const why = health.lastError === undefined ? '' : `: ${health.lastError}`;
	const failures = `, ${plural(health.consecutiveFailures, 'failure')} in a row${why}. `;
	return html`<span class="bad">Went down <${Ago} at=${health.since} />${failures}</span>${list}${
			nextTryAt !== undefined && html`${' It is tried again '}<${Ago} at=${nextTryAt} />.`
		}`;
}

function factsOf({
	images,
	held,
	vanished,
	skipped,
	reasons,
	health,
}: SourceReport): Parameters<typeof Facts>[0]['facts'] {
	const {latencyMs, requests, failures, marks, lastMark} = health;
	return [
		['Images', countText(images)],
		['Held', held > 0 && countText(held)],
		['Vanished', vanished > 0 && countText(vanished)],
		['Skipped', skipped > 0 && `${countText(skipped)}${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`],
		['Latency', latencyMs !== undefined && `${Math.round(latencyMs)} ms`],
		['Requests', `${countText(requests)}, ${plural(failures, 'failure')}`],
		['Wrong files', marks > 0 && `${countText(marks)}${lastMark === undefined ? '' : `: ${lastMark}`}`],
	];
}
