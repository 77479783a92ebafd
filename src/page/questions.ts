/**
 * Asking before something is done that cannot be undone, and the window that asks.
 */
import {Cell, useCell, type ReadonlyCell} from './cell.js';
import {Dialog} from './dialog.js';
import {html, textIn, useId, useState, type ComponentChildren, type VNode} from './html.js';
import {usePage} from './page.js';

export interface Question {
	readonly title: string;
	readonly text: ComponentChildren;
	/** What the button says. */
	readonly action: string;
	readonly destroys?: boolean;
	/** Has to be typed first. */
	readonly typed?: string;
	/** A switch beside it, off at first. */
	readonly option?: string;
	/** A line of text to go with it. */
	readonly note?: string;
}

export interface Answer {
	readonly option: boolean;
	readonly note: string;
}

interface Asked {
	readonly question: Question;
	readonly answer: (answer: Answer | undefined) => void;
}

export class Questions {
	readonly #cell = new Cell<Asked | undefined>(undefined);

	get asked(): ReadonlyCell<Asked | undefined> {
		return this.#cell;
	}

	/** `undefined`: no. */
	ask(question: Question): Promise<Answer | undefined> {
		this.#cell.value?.answer(undefined);
		return new Promise(resolve => {
			this.#cell.set({
				question,
				answer: answer => {
					this.#cell.set(undefined);
					resolve(answer);
				},
			});
		});
	}
}

export function QuestionWindow(): VNode | null {
	const {questions} = usePage();
	const asked = useCell(questions.asked);
	return asked === undefined ? null : html`<${QuestionForm} key=${asked.question.title} ...${asked} />`;
}

function QuestionForm({question, answer}: Asked): VNode {
	const {title, text, action, destroys, typed, option, note} = question;
	const id = useId();
	const [written, setWritten] = useState('');
	const [chosen, setChosen] = useState(false);
	const [said, setSaid] = useState('');
	const submit = (event: Event): void => {
		event.preventDefault();
		if (typed === undefined || written.trim() === typed) {
			answer({option: chosen, note: said.trim()});
		}
	};
	return html`<${Dialog} title=${title} onClose=${() => answer(undefined)}>
		<form onSubmit=${submit}>
			<div class="text">${text}</div>
			${
				note !== undefined &&
				html`<label class="field"
					><span>${note}</span><input value=${said} onInput=${(event: Event) => setSaid(textIn(event))}
				/></label>`
			}
			${
				option !== undefined &&
				html`<label class="check"
					><input type="checkbox" checked=${chosen} onChange=${() => setChosen(!chosen)} /> ${option}</label
				>`
			}
			${
				typed !== undefined &&
				html`<label class="field" for=${id}
						><span>Type <code>${typed}</code> to go on</span></label
					>
					<input id=${id} autocomplete="off" value=${written} onInput=${(event: Event) => setWritten(textIn(event))} />`
			}
			<div class="buttons">
				<button type="button" onClick=${() => answer(undefined)}>Cancel</button>
				<button
					type="submit"
					class=${destroys ? 'danger' : 'primary'}
					disabled=${typed !== undefined && written.trim() !== typed}
				>
					${action}
				</button>
			</div>
		</form>
	<//>`;
}
