/**
 * The channels that one of our images is in: what clients of a channel see of us. Added and taken away here.
 */
import type {ImageRow} from '../mirror-operate-api.js';
import type {Api} from './api.js';
import {problemText} from './api-error.js';
import {useCell} from './cell.js';
import {html, textIn, useState, type VNode} from './html.js';
import {useLoad} from './load.js';
import {usePage} from './page.js';

export async function channelsOf(api: Api, uuid: string, signal?: AbortSignal): Promise<readonly string[]> {
	// Manifests tell them only to clients of the second version.
	const headers = {'accept-version': '~2'};
	const manifest = await api.get<{readonly channels?: readonly string[]}>(`images/${uuid}?channel=*`, {
		headers,
		signal,
	});
	return manifest.channels ?? [];
}

export function ChannelList({row, mayPublish}: {readonly row: ImageRow; readonly mayPublish: boolean}): VNode {
	const {api, session, notices, questions} = usePage();
	const {channels} = useCell(session.state);
	const [isBusy, setBusy] = useState(false);
	const {uuid, name, version} = row;
	const {value, error, reload} = useLoad(`channels ${uuid}`, signal => channelsOf(api, uuid, signal));
	const run = (work: Promise<unknown>, said: string): void => {
		setBusy(true);
		void work
			.then(
				() => notices.say(said, 'good'),
				(problem: unknown) => notices.say(problemText(problem), 'bad'),
			)
			.finally(() => {
				setBusy(false);
				reload();
			});
	};
	const add = (channel: string): void => {
		// The verb works in a channel that the image is in.
		const from = encodeURIComponent(value?.[0] ?? '');
		run(
			api.post(`images/${uuid}?action=channel-add&channel=${from}`, {channel}),
			`${name} ${version} is in channel ${channel} now.`,
		);
	};
	const remove = async (channel: string): Promise<void> => {
		const isLast = value?.length === 1;
		const answer = await questions.ask({
			title: `Take ${name} out of ${channel}?`,
			text: isLast
				? `It is in no other channel: ${name} ${version} is deleted, with its file.`
				: `Clients of ${channel} do not see ${name} ${version} any more.`,
			action: isLast ? 'Delete' : 'Take out',
			destroys: true,
			...(isLast ? {typed: name} : {}),
		});
		if (answer !== undefined) {
			run(
				api.delete(`images/${uuid}?channel=${encodeURIComponent(channel)}`),
				`${name} ${version} is not in channel ${channel} any more.`,
			);
		}
	};
	if (error !== undefined) {
		return html`<span class="bad">${problemText(error)}</span>`;
	}
	const others = channels.filter(channel => value?.includes(channel.name) === false);
	return html`<span class="channel-list">
		${(value ?? []).map(
			channel =>
				html`<span key=${channel} class="tag"
					>${channel}${
						mayPublish &&
						html`<button
							type="button"
							class="quiet"
							disabled=${isBusy}
							onClick=${() => void remove(channel)}
							aria-label=${`Take ${name} ${version} out of ${channel}`}
						>
							×
						</button>`
					}</span
				>`,
		)}
		${
			mayPublish &&
			others.length > 0 &&
			html`<select
				disabled=${isBusy}
				aria-label=${`Add ${name} ${version} to a channel`}
				value=""
				onChange=${(event: Event) => {
					const channel = textIn(event);
					if (channel !== '') {
						add(channel);
					}
				}}
			>
				<option value="">Add …</option>
				${others.map(channel => html`<option key=${channel.name} value=${channel.name}>${channel.name}</option>`)}
			</select>`
		}
	</span>`;
}
