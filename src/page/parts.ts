/**
 * Small things that all views are made of: what is loading or wrong, facts in two columns, how far something is,
 * something to copy, ages that grow.
 */
import {problemText} from './api-error.js';
import {classes, html, useEffect, useState, type ComponentChildren, type VNode} from './html.js';
import {usePage} from './page.js';
import {agoText, timeText} from './words.js';

/** What stands where there is nothing else yet. */
export function Waiting({what}: {readonly what: string}): VNode {
	return html`<p class="empty" role="status">Loading ${what} …</p>`;
}

export function Empty({children}: {readonly children?: ComponentChildren}): VNode {
	return html`<p class="empty">${children}</p>`;
}

export function Problem({error, again}: {readonly error: unknown; readonly again?: () => void}): VNode {
	return html`<div class="problem-box" role="alert">
		<span>${problemText(error)}</span>
		${again !== undefined && html`<button type="button" onClick=${again}>Try again</button>`}
	</div>`;
}

/** Names and values; those without a value are left out. */
export function Facts({
	facts,
	isWide = false,
}: {
	readonly facts: readonly (readonly [string, ComponentChildren])[];
	/** Side by side, as many as fit. */
	readonly isWide?: boolean;
}): VNode {
	return html`<dl class=${isWide ? 'facts wide' : 'facts'}>
		${facts
			.filter(([, value]) => value !== undefined && value !== '' && value !== false)
			.map(
				([name, value]) =>
					html`<div key=${name}>
						<dt>${name}</dt>
						<dd>${value}</dd>
					</div>`,
			)}
	</dl>`;
}

export function Bar({
	value,
	max,
	label,
	tone,
}: {
	readonly value: number;
	readonly max: number;
	readonly label: string;
	readonly tone?: string;
}): VNode {
	const share = max > 0 ? Math.min(1, Math.max(0, value / max)) : 0;
	return html`<div
		class=${classes('bar', tone)}
		role="progressbar"
		aria-label=${label}
		aria-valuemin="0"
		aria-valuemax="100"
		aria-valuenow=${Math.floor(share * 100)}
	>
		<div style=${{width: `${share * 100}%`}}></div>
	</div>`;
}

export function CopyButton({text, label}: {readonly text: string; readonly label: string}): VNode {
	const {notices} = usePage();
	const copy = (): void => {
		copyText(text).then(
			() => notices.say(`Copied ${label}.`),
			() => notices.say(`This browser does not let the page copy ${label}: mark it and copy it yourself.`, 'bad'),
		);
	};
	return html`<button type="button" class="small" onClick=${copy} aria-label=${`Copy ${label}`}>Copy</button>`;
}

async function copyText(text: string): Promise<void> {
	// Missing where the page came by plain HTTP from another machine, which is the usual case.
	const clipboard = 'clipboard' in navigator ? navigator.clipboard : undefined;
	if (clipboard !== undefined && window.isSecureContext) {
		await clipboard.writeText(text);
		return;
	}
	const area = document.createElement('textarea');
	const {activeElement} = document;
	area.value = text;
	area.className = 'copy-source';
	// Inside of the window that has the focus: others cannot be marked.
	(activeElement?.closest('dialog') ?? document.body).append(area);
	area.select();
	// Deprecated for good reasons, and the only way here.
	// eslint-disable-next-line @typescript-eslint/no-deprecated
	const isCopied = document.execCommand('copy');
	area.remove();
	if (activeElement instanceof HTMLElement) {
		activeElement.focus();
	}
	if (!isCopied) {
		throw new Error('not copied');
	}
}

/** An age that stays right while one looks at it. */
export function Ago({at}: {readonly at: string | undefined}): VNode | null {
	const now = useNow(10_000);
	return at === undefined ? null : html`<time datetime=${at} title=${timeText(at)}>${agoText(at, now)}</time>`;
}

/** The time, told again so often. */
export function useNow(everyMs: number): number {
	const [now, setNow] = useState(Date.now);
	useEffect(() => {
		const timer = window.setInterval(() => setNow(Date.now()), everyMs);
		return () => window.clearInterval(timer);
	}, [everyMs]);
	return now;
}

export function useMedia(query: string): boolean {
	const [fits, setFits] = useState(() => window.matchMedia(query).matches);
	useEffect(() => {
		const media = window.matchMedia(query);
		const follow = (): void => setFits(media.matches);
		follow();
		media.addEventListener('change', follow);
		return () => media.removeEventListener('change', follow);
	}, [query]);
	return fits;
}

/** What is shown of the mirror's numbers needs a right; who lacks it is told so. */
export function NeedsRight({what, right}: {readonly what: string; readonly right: string}): VNode {
	return html`<div class="empty">
		<p>${what} are shown to those with the right <code>${right}</code>.</p>
		<p>Log in at the top of the page, or come from a network that has it.</p>
	</div>`;
}
