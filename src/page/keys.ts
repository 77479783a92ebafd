/**
 * Keys that work anywhere on the page: `/` to search, `g` and a letter to change the view, Esc to close, `?` for help.
 */
import {html, useEffect, useRef, useState, type VNode} from './html.js';
import {Dialog} from './dialog.js';
import {go} from './navigate.js';
import {usePage} from './page.js';
import type {View} from './route.js';

const letters: Readonly<Record<string, View>> = {i: 'images', n: 'now', s: 'sources', t: 'storage', p: 'publish'};

const help: readonly (readonly [string, string])[] = [
	['/', 'search images'],
	['↓ ↑ PgDn PgUp Home End', 'move in the list, in the treemap'],
	['Enter', 'open what is marked'],
	['Esc', 'close the image, leave the search'],
	['g i', 'Images'],
	['g n', 'Now'],
	['g s', 'Sources'],
	['g t', 'Storage'],
	['g p', 'Publish'],
	['?', 'these keys'],
];

const letterWithinMs = 1500;

export function Keys(): VNode | null {
	const {route, questions} = usePage();
	const [isHelp, setHelp] = useState(false);
	const goneMs = useRef(-Infinity);
	useEffect(() => {
		const focusSearch = (): void => {
			go(route, {view: 'images'}, {step: true});
			// The view is drawn first, if it was another.
			window.setTimeout(() => {
				const search = document.getElementById('search');
				if (search instanceof HTMLInputElement) {
					search.focus();
					search.select();
				}
			}, 0);
		};
		const escape = (event: KeyboardEvent): void => {
			if (event.target instanceof HTMLInputElement && event.target.id === 'search') {
				event.preventDefault();
				document.getElementById('images-grid')?.focus();
			} else if (!isTyping(event.target) && route.value.view === 'images' && route.value.image !== undefined) {
				go(route, {image: undefined});
				document.getElementById('images-grid')?.focus();
			}
		};
		const onKey = (event: KeyboardEvent): void => {
			const isElsewhere = questions.asked.value !== undefined || document.querySelector('dialog[open]') !== null;
			if (event.defaultPrevented || isElsewhere || event.ctrlKey || event.metaKey || event.altKey) {
				return;
			}
			if (event.key === 'Escape') {
				escape(event);
				return;
			}
			if (isTyping(event.target)) {
				return;
			}
			const view = letters[event.key];
			const isSecond = performance.now() - goneMs.current < letterWithinMs;
			goneMs.current = event.key === 'g' ? performance.now() : -Infinity;
			if (event.key === '/') {
				event.preventDefault();
				focusSearch();
			} else if (event.key === '?') {
				setHelp(true);
			} else if (isSecond && view !== undefined) {
				event.preventDefault();
				go(route, {view}, {step: true});
			}
		};
		window.addEventListener('keydown', onKey);
		return () => window.removeEventListener('keydown', onKey);
	}, [route, questions]);
	return isHelp
		? html`<${Dialog} title="Keys" onClose=${() => setHelp(false)}>
				<dl class="facts keys-help">
					${help.map(
						([keys, what]) =>
							html`<div key=${keys}>
								<dt><kbd>${keys}</kbd></dt>
								<dd>${what}</dd>
							</div>`,
					)}
				</dl>
				<div class="buttons"><button type="button" class="primary" onClick=${() => setHelp(false)}>Close</button></div>
			<//>`
		: null;
}

function isTyping(target: EventTarget | null): boolean {
	return (
		target instanceof HTMLTextAreaElement ||
		target instanceof HTMLSelectElement ||
		(target instanceof HTMLInputElement && target.type !== 'checkbox')
	);
}
