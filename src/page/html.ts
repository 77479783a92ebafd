/**
 * What every file that draws something needs of Preact and htm, under one roof.
 *
 * htm drops blanks at line breaks, also between a word and what stands behind it: sentences with values in them are put
 * together as strings, and put into a template whole.
 */
export {html} from 'htm/preact';
export {createContext, render, type ComponentChildren, type VNode} from 'preact';
export {
	useCallback,
	useContext,
	useEffect,
	useErrorBoundary,
	useId,
	useLayoutEffect,
	useMemo,
	useRef,
	useState,
} from 'preact/hooks';

/** What an input, a text area or a choice has in it. */
export function textIn(event: Event): string {
	const {target} = event;
	return target instanceof HTMLInputElement ||
		target instanceof HTMLTextAreaElement ||
		target instanceof HTMLSelectElement
		? target.value
		: '';
}

export function isChecked(event: Event): boolean {
	return event.target instanceof HTMLInputElement && event.target.checked;
}

/** Class names, those that are said to hold. */
export function classes(...names: readonly (string | false | undefined)[]): string {
	return names.filter(name => typeof name === 'string' && name !== '').join(' ');
}
