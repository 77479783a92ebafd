/**
 * A window over the page. The browser keeps the focus inside and gives it back afterwards.
 */
import {html, useId, useLayoutEffect, useRef, type ComponentChildren, type VNode} from './html.js';

export function Dialog({
	title,
	onClose,
	children,
}: {
	readonly title: string;
	readonly onClose: () => void;
	readonly children?: ComponentChildren;
}): VNode {
	const dialog = useRef<HTMLDialogElement>(null);
	const id = useId();
	useLayoutEffect(() => {
		const {current} = dialog;
		current?.showModal();
		return () => current?.close();
	}, []);
	const cancel = (event: Event): void => {
		event.preventDefault();
		onClose();
	};
	return html`<dialog ref=${dialog} aria-labelledby=${id} onCancel=${cancel}>
		<h2 id=${id}>${title}</h2>
		${children}
	</dialog>`;
}
