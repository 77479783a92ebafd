/**
 * Choosing the image that a new one is built upon: a field that searches the catalog as one types.
 */
import type {ImageRow} from '../mirror-operate-api.js';
import {useCell} from './cell.js';
import {FieldRow} from './field-row.js';
import {html, textIn, useId, useMemo, useState, type VNode} from './html.js';
import {usePage} from './page.js';
import {shortUuid} from './words.js';

const most = 8;

export function OriginPicker({
	value,
	faults,
	onChange,
}: {
	/** A uuid, or nothing. */
	readonly value: string;
	readonly faults: readonly string[];
	readonly onChange: (uuid: string) => void;
}): VNode {
	const {catalog} = usePage();
	const {index} = useCell(catalog.state);
	const list = useId();
	const [typed, setTyped] = useState<string | undefined>(undefined);
	const [at, setAt] = useState(0);
	const found = useMemo(
		() => (typed === undefined || typed.trim() === '' ? [] : index.first(typed, most)),
		[index, typed],
	);
	const chosen = value === '' ? undefined : catalog.row(value);
	const isOpen = found.length > 0;
	const pick = (row: ImageRow): void => {
		onChange(row.uuid);
		setTyped(undefined);
	};
	const onInput = (event: Event): void => {
		const text = textIn(event);
		setTyped(text);
		setAt(0);
		// A whole uuid is one, whether or not it is in the list; anything else is none yet.
		onChange(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text.trim()) ? text.trim() : '');
	};
	const onKey = (event: KeyboardEvent): void => {
		const row = found[at];
		if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
			event.preventDefault();
			setAt(Math.max(0, Math.min(found.length - 1, at + (event.key === 'ArrowDown' ? 1 : -1))));
		} else if (event.key === 'Enter' && isOpen && row !== undefined) {
			event.preventDefault();
			pick(row);
		} else if (event.key === 'Escape' && isOpen) {
			event.stopPropagation();
			setTyped(undefined);
		}
	};
	const shown = typed ?? (chosen === undefined ? value : `${chosen.name} ${chosen.version}`);
	return html`<div class="picker">
		<${FieldRow} label="Origin (the image it is built upon)" faults=${faults}
			>${(props: object) =>
				html`<input
					role="combobox"
					autocomplete="off"
					spellcheck=${false}
					placeholder="None; search by name or uuid"
					aria-expanded=${isOpen}
					aria-controls=${list}
					aria-autocomplete="list"
					aria-activedescendant=${isOpen ? `${list}-${at}` : undefined}
					value=${shown}
					onInput=${onInput}
					onKeyDown=${onKey}
					onBlur=${() => setTyped(undefined)}
					...${props}
				/>`}<//
		>
		<ul id=${list} role="listbox" aria-label="Images" class="picker-list" hidden=${!isOpen}>
			${found.map(
				(row, position) =>
					html`<li
						key=${row.uuid}
						id=${`${list}-${position}`}
						role="option"
						aria-selected=${position === at}
						onMouseDown=${(event: Event) => {
							event.preventDefault();
							pick(row);
						}}
					>
						<b>${row.name}</b> ${row.version} <span class="muted">${row.os}, ${shortUuid(row.uuid)}</span>
					</li>`,
			)}
		</ul>
	</div>`;
}
