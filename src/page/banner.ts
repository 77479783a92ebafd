/**
 * Says that the mirror is away, or that its events are, and when it is tried again.
 */
import {useCell} from './cell.js';
import {html, type VNode} from './html.js';
import {usePage} from './page.js';
import {useNow} from './parts.js';
import {durationText} from './words.js';

export function Banner(): VNode | null {
	const {live, session} = usePage();
	const state = useCell(live.state);
	const {state: known, problem} = useCell(session.state);
	const now = useNow(1000);
	const again = (): void => {
		live.tryNow();
		void session.refresh();
	};
	const button = html`<button type="button" class="small" onClick=${again}>Try now</button>`;
	if (known === 'failed') {
		return html`<div class="banner" role="alert"><span>${problem}</span>${button}</div>`;
	}
	if (state.is === 'away') {
		const next = state.nextTryMs === undefined ? '' : `, next in ${durationText(Math.max(0, state.nextTryMs - now))}`;
		return html`<div class="banner">
			<span role="alert">The mirror does not answer. What is shown may be out of date.</span>
			<span>Trying again for ${durationText(now - state.sinceMs)}${next}.</span>${button}
		</div>`;
	}
	if (state.is === 'asking') {
		return html`<div class="banner mild">
			<span role="status">Events do not get through: what is shown is up to a quarter of a minute old.</span>${button}
		</div>`;
	}
	return null;
}
