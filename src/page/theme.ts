/**
 * Light or dark: as the system says, until somebody here says otherwise. Kept in this browser.
 */
import {html, useEffect, useState, type VNode} from './html.js';
import {recall, remember} from './memory.js';

type Theme = 'light' | 'dark';

const key = 'imgmirror.theme';

export function ThemeSwitch(): VNode {
	const [theme, setTheme] = useState<Theme>(currentTheme);
	useEffect(() => {
		const system = window.matchMedia('(prefers-color-scheme: dark)');
		const follow = (): void => setTheme(currentTheme());
		system.addEventListener('change', follow);
		return () => system.removeEventListener('change', follow);
	}, []);
	const other = theme === 'dark' ? 'light' : 'dark';
	const change = (): void => {
		remember(key, other);
		applyTheme();
		setTheme(other);
	};
	return html`<button type="button" class="quiet" title=${`Change to ${other} colours`} onClick=${change}>
		${other === 'dark' ? 'Dark' : 'Light'}
	</button>`;
}

/** What is drawn into a canvas has to be drawn again: it is told by an event of the window. */
export const themeChanged = 'imgmirror-theme';

export function applyTheme(): void {
	const chosen = recall(key);
	if (chosen === 'light' || chosen === 'dark') {
		document.documentElement.dataset['theme'] = chosen;
	} else {
		delete document.documentElement.dataset['theme'];
	}
	window.dispatchEvent(new Event(themeChanged));
}

function currentTheme(): Theme {
	const chosen = recall(key);
	if (chosen === 'light' || chosen === 'dark') {
		return chosen;
	}
	return window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}
