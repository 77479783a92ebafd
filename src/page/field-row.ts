/**
 * One field of a form with its label, and what is wrong with it right below, told to screen readers as well.
 */
import {classes, html, isChecked, useId, type VNode} from './html.js';

export function FieldRow({
	label,
	faults,
	advice = [],
	wide = false,
	children,
}: {
	readonly label: string;
	readonly faults: readonly string[];
	readonly advice?: readonly {readonly message: string}[];
	readonly wide?: boolean;
	/** Draws the field itself, with these properties. */
	readonly children: (props: object) => VNode;
}): VNode {
	const id = useId();
	const said = faults.length > 0 ? faults : advice.map(({message}) => message);
	return html`<div class=${classes('field', wide && 'wide')}>
		<label for=${id}>${label}</label>
		${children({
			id,
			'aria-invalid': faults.length > 0 ? 'true' : undefined,
			'aria-describedby': said.length > 0 ? `${id}-said` : undefined,
		})}
		${
			said.length > 0 && html`<p id=${`${id}-said`} class=${faults.length > 0 ? 'bad' : 'muted'}>${said.join('; ')}</p>`
		}
	</div>`;
}

export function Check({
	label,
	checked,
	onChange,
}: {
	readonly label: string;
	readonly checked: boolean;
	readonly onChange: (checked: boolean) => void;
}): VNode {
	return html`<label class="check"
		><input type="checkbox" checked=${checked} onChange=${(event: Event) => onChange(isChecked(event))} />
		${label}</label
	>`;
}
