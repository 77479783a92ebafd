/**
 * What came of something, said for a while at the edge of the page, and to screen readers.
 */
import {Cell, useCell, type ReadonlyCell} from './cell.js';
import {html, type VNode} from './html.js';
import {usePage} from './page.js';

export interface Notice {
	readonly id: number;
	readonly tone: 'plain' | 'good' | 'bad';
	readonly text: string;
}

const most = 4;
const shownMs = 8000;

export class Notices {
	readonly #cell = new Cell<readonly Notice[]>([]);
	#last = 0;

	get all(): ReadonlyCell<readonly Notice[]> {
		return this.#cell;
	}

	say(text: string, tone: Notice['tone'] = 'plain'): void {
		const notice = {id: ++this.#last, tone, text};
		this.#cell.set([...this.#cell.value, notice].slice(-most));
		// What went wrong stays until somebody has read it.
		if (tone !== 'bad') {
			window.setTimeout(() => this.dismiss(notice.id), shownMs);
		}
	}

	dismiss(id: number): void {
		this.#cell.set(this.#cell.value.filter(notice => notice.id !== id));
	}
}

export function NoticeList(): VNode {
	const {notices} = usePage();
	const all = useCell(notices.all);
	return html`<div class="notices" role="log" aria-live="polite" aria-label="Messages">
		${all.map(
			({id, tone, text}) =>
				html`<div key=${id} class=${`notice ${tone}`}>
					<span>${text}</span>
					<button type="button" class="quiet" onClick=${() => notices.dismiss(id)} aria-label="Dismiss">Close</button>
				</div>`,
		)}
	</div>`;
}
