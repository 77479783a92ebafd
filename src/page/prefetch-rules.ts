/**
 * The rules by which images are fetched before anybody asks: what they choose, how much of it is here, when they run.
 */
import type {RuleReport} from '../prefetch/api.js';
import {problemText} from './api-error.js';
import {useCell} from './cell.js';
import {html, type VNode} from './html.js';
import {useLoad} from './load.js';
import {usePage} from './page.js';
import {Ago, Bar, Empty, Problem, Waiting} from './parts.js';
import {bytesText, countText, plural} from './words.js';

export function PrefetchRules(): VNode {
	const {api, session, notices} = usePage();
	const mayOperate = useCell(session.state).rights.has('operate');
	const {value, error, reload} = useLoad(
		'rules',
		signal => api.get<readonly RuleReport[]>('mirror/prefetch', {signal}),
		{
			on: ['prefetch', 'image.cached', 'image.evicted'],
			everyMs: 3000,
		},
	);
	const run = (name: string): void => {
		api.post(`mirror/prefetch/run?rule=${encodeURIComponent(name)}`).then(
			() => {
				notices.say(`Rule ${name} runs.`, 'good');
				reload();
			},
			(problem: unknown) => notices.say(problemText(problem), 'bad'),
		);
	};
	return html`<section aria-labelledby="rules-title">
		<h2 id="rules-title">Prefetch rules</h2>
		${error !== undefined && html`<${Problem} error=${error} again=${reload} />`}
		${
			value === undefined
				? error === undefined && html`<${Waiting} what="rules" />`
				: value.length === 0
					? html`<${Empty}>No rule is configured: files come when somebody asks for them.<//>`
					: html`<div class="cards">
							${value.map(rule => html`<${Rule} key=${rule.name} rule=${rule} mayRun=${mayOperate} onRun=${() => run(rule.name)} />`)}
						</div>`
		}
	</section>`;
}

function Rule({
	rule,
	mayRun,
	onRun,
}: {
	readonly rule: RuleReport;
	readonly mayRun: boolean;
	readonly onRun: () => void;
}): VNode {
	const {name, chooses, images, imagesHere, bytes, bytesHere, running, waiting, lastRunAt, lastProblem, nextRunAt} =
		rule;
	const state = waiting ? 'waits for its hours' : running ? 'running' : imagesHere < images ? 'incomplete' : 'complete';
	return html`<article class="card" aria-label=${`Rule ${name}`}>
		<header>
			<h3>${name}</h3>
			<span class=${`state ${running ? 'up' : 'unknown'}`}>${state}</span>
			${
				mayRun &&
				html`<button
					type="button"
					class="small"
					disabled=${running}
					onClick=${onRun}
					aria-label=${`Run now: rule ${name}`}
				>
					Run now
				</button>`
			}
		</header>
		<p class="words">${chooses}</p>
		<${Bar} value=${bytesHere} max=${bytes} label=${`Rule ${name}: what is here of it`} />
		<p class="muted">
			${countText(imagesHere)} of ${plural(images, 'image')} here, ${bytesText(bytesHere)} of ${bytesText(bytes)}
		</p>
		<p class="muted">
			${lastRunAt === undefined ? 'Never run' : html`Last run <${Ago} at=${lastRunAt} />`}${
				nextRunAt === undefined ? '' : html`, next <${Ago} at=${nextRunAt} />`
			}
		</p>
		${lastProblem !== undefined && html`<p class="bad">${lastProblem}</p>`}
	</article>`;
}
