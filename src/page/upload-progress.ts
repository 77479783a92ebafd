/**
 * The upload that is under way: how far, how fast, why it waits; and what came of it.
 */
import {ApiError} from './api-error.js';
import {html, type VNode} from './html.js';
import {go} from './navigate.js';
import {usePage} from './page.js';
import {Bar, CopyButton, useNow} from './parts.js';
import type {UploadState} from './uploads.js';
import {bytesText, durationText, percentText, rateText, roughly} from './words.js';

export function UploadProgress({upload}: {readonly upload: Exclude<UploadState, {is: 'none'}>}): VNode {
	const {uploads, route, questions} = usePage();
	const now = useNow(1000);
	const {draft} = upload;
	const label = `${draft.name} ${draft.version}`;
	if (upload.is === 'done') {
		const line = `imgadm import ${upload.image}`;
		return html`<div class="done-box" role="status">
			<p><b>${label}</b> is published${draft.activate ? '' : ', and not activated yet'}: ${bytesText(upload.size)}.</p>
			<div class="command"><code>${line}</code><${CopyButton} text=${line} label="the import line" /></div>
			<div class="buttons">
				<button type="button" onClick=${() => go(route, {view: 'images', image: upload.image}, {step: true})}>
					Show it
				</button>
				<button type="button" class="primary" onClick=${() => uploads.clear()}>Another one</button>
			</div>
		</div>`;
	}
	const {is, file, sent, bytesPerSecond, problem} = upload;
	const left = bytesPerSecond > 0 ? `, ${durationText(((file.size - sent) / bytesPerSecond) * 1000)} left` : '';
	const isWhole = sent >= file.size && file.size > 0;
	const giveUp = async (): Promise<void> => {
		const answer = await questions.ask({
			title: `Give up ${draft.name}?`,
			text: `${bytesText(sent)} have arrived and are thrown away.`,
			action: 'Give up',
			destroys: true,
		});
		if (answer !== undefined) {
			await uploads.giveUp();
		}
	};
	const wait =
		upload.nextTryMs === undefined ? '' : ` Trying again in ${roughly(Math.max(0, upload.nextTryMs - now))}.`;
	const state =
		is === 'sending'
			? isWhole
				? 'All sent; the mirror checks it'
				: `${rateText(bytesPerSecond)}${left}`
			: is === 'paused'
				? 'Paused'
				: is === 'waiting'
					? 'Waiting'
					: 'Stopped';
	return html`<div class="upload">
		<p><b>${label}</b> <span class="muted">${file.name}</span></p>
		<${Bar} value=${sent} max=${file.size} label=${`Upload of ${label}`} tone=${is === 'sending' ? '' : 'idle'} />
		<p class="upload-line" role="status">
			${bytesText(sent)} of ${bytesText(file.size)}, ${percentText(file.size > 0 ? sent / file.size : 1)}. ${state}.
		</p>
		${problem !== undefined && html`<p class="bad" role="alert">${problem}${wait}</p>`}
		${
			upload.error instanceof ApiError && upload.error.errors.length > 0
				? html`<ul class="bad">
						${upload.error.errors.map(({field, message, code}) => html`<li key=${field}>${field}: ${message ?? code ?? 'is wrong'}</li>`)}
					</ul>`
				: null
		}
		<div class="buttons">
			${is === 'sending' || is === 'waiting' ? html`<button type="button" onClick=${() => uploads.pause()}>Pause</button>` : null}
			${
				is === 'paused' || is === 'failed'
					? html`<button type="button" class="primary" onClick=${() => void uploads.resume()}>Go on</button>`
					: null
			}
			${is === 'failed' && html`<button type="button" onClick=${() => uploads.clear()}>Back to the form</button>`}
			<button type="button" class="danger" onClick=${() => void giveUp()}>Give up</button>
		</div>
	</div>`;
}
