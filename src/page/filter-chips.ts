/**
 * The chips above the table, drawn: what `filters.ts` counts.
 */
import {toggled, type Choices, type Filtered, type Group} from './filters.js';
import {classes, html, type VNode} from './html.js';
import {countText} from './words.js';

const titles: Readonly<Record<Group, string>> = {is: 'Status', os: 'OS', type: 'Type', source: 'Source'};

export function FilterChips({
	filtered,
	chosen,
	onChoose,
}: {
	readonly filtered: Filtered;
	readonly chosen: Choices;
	readonly onChoose: (choices: Choices) => void;
}): VNode {
	const shown = (['is', 'os', 'type', 'source'] as const).filter(group => filtered.choices[group].length > 0);
	return html`<div class="chip-groups">
		${shown.map(
			group =>
				html`<div key=${group} class="chips" role="group" aria-label=${titles[group]}>
					<span class="chips-title" aria-hidden="true">${titles[group]}</span>
					${filtered.choices[group].map(
						({value, count, chosen: isChosen, title}) =>
							html`<button
								key=${value}
								type="button"
								class=${classes('chip', count === 0 && 'none')}
								aria-pressed=${isChosen}
								title=${title}
								onClick=${() => onChoose(toggled(chosen, group, value))}
							>
								${value === '' ? 'none' : value} <b>${countText(count)}</b>
							</button>`,
					)}
				</div>`,
		)}
	</div>`;
}
