/**
 * The window that asks for a name and a password, and the corner that says who is logged in.
 */
import {ApiError, problemText} from './api-error.js';
import {useCell} from './cell.js';
import {Dialog} from './dialog.js';
import {html, textIn, useState, type VNode} from './html.js';
import {usePage} from './page.js';

export function LoginCorner(): VNode {
	const {session, notices} = usePage();
	const {user, state} = useCell(session.state);
	const [isOpen, setOpen] = useState(false);
	const logout = (): void => {
		session.logout().then(
			() => notices.say('Logged out.'),
			(error: unknown) => notices.say(problemText(error), 'bad'),
		);
	};
	if (user !== undefined) {
		return html`<span class="who"
			><span class="name" title="Logged in">${user}</span>
			<button type="button" class="quiet" onClick=${logout}>Log out</button></span
		>`;
	}
	return html`<span class="who"
		>${
			state === 'known' &&
			html`<button type="button" class="quiet" id="login" onClick=${() => setOpen(true)}>Log in</button>`
		}
		${isOpen && html`<${LoginWindow} onClose=${() => setOpen(false)} />`}</span
	>`;
}

function LoginWindow({onClose}: {readonly onClose: () => void}): VNode {
	const {session, notices} = usePage();
	const {hasUsers} = useCell(session.state);
	const [user, setUser] = useState('');
	const [password, setPassword] = useState('');
	const [problem, setProblem] = useState('');
	const [isBusy, setBusy] = useState(false);
	const submit = (event: Event): void => {
		event.preventDefault();
		setBusy(true);
		setProblem('');
		session.login(user, password).then(
			() => {
				notices.say(`Logged in as ${session.state.value.user ?? user}.`, 'good');
				onClose();
			},
			(error: unknown) => {
				setBusy(false);
				setPassword('');
				const isWrong = error instanceof ApiError && error.status === 401;
				setProblem(isWrong ? 'The name or the password is wrong.' : problemText(error));
			},
		);
	};
	return html`<${Dialog} title="Log in" onClose=${onClose}>
		<form onSubmit=${submit}>
			${
				!hasUsers &&
				html`<p class="hint">
					Nobody can log in yet. On the mirror’s machine, <code>imgmirror user add NAME</code> makes an account.
				</p>`
			}
			<label class="field"
				><span>Name (empty with a token)</span
				><input
					name="user"
					autocomplete="username"
					autocapitalize="none"
					spellcheck=${false}
					value=${user}
					onInput=${(event: Event) => setUser(textIn(event))}
			/></label>
			<label class="field"
				><span>Password, or a token</span
				><input
					name="password"
					type="password"
					autocomplete="current-password"
					required
					value=${password}
					onInput=${(event: Event) => setPassword(textIn(event))}
			/></label>
			<p class="problem" role="alert">${problem}</p>
			<div class="buttons">
				<button type="button" onClick=${onClose}>Cancel</button>
				<button type="submit" class="primary" disabled=${isBusy}>Log in</button>
			</div>
		</form>
	<//>`;
}
