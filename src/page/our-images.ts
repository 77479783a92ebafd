/**
 * What has been published here: its state, its channels, and what its owner can do with it.
 */
import type {ImageDetails, ImageRow} from '../mirror-operate-api.js';
import {problemText} from './api-error.js';
import {useCell} from './cell.js';
import {ChannelList, channelsOf} from './channel-list.js';
import {html, useMemo, useState, type VNode} from './html.js';
import {go} from './navigate.js';
import {usePage, type Page} from './page.js';
import {Ago, Empty, Problem, Waiting} from './parts.js';
import {bytesText, plural} from './words.js';

const firstRows = 50;

type Verb = 'activate' | 'enable' | 'disable';

export function OurImages(): VNode {
	const {catalog, session} = usePage();
	const {index, isThere, error} = useCell(catalog.state);
	const {rights, channels} = useCell(session.state);
	const ours = useMemo(
		() =>
			index.rows
				.filter(({source}) => source === 'local')
				.sort((one, other) => ((one.publishedAt ?? '9') < (other.publishedAt ?? '9') ? 1 : -1)),
		[index],
	);
	const [shown, setShown] = useState(firstRows);
	const mayPublish = rights.has('publish');
	return html`<section aria-labelledby="ours-title">
		<h2 id="ours-title">Published here</h2>
		${error !== undefined && html`<${Problem} error=${error} again=${() => void catalog.load()} />`}
		${
			!isThere
				? error === undefined && html`<${Waiting} what="images" />`
				: ours.length === 0
					? html`<${Empty}>Nothing has been published here yet.<//>`
					: html`<div class="scroll" tabindex="0" role="region" aria-label="Published here">
								<table class="ours">
									<thead>
										<tr>
											<th scope="col">Image</th>
											<th scope="col">State</th>
											<th scope="col">Published</th>
											<th scope="col" class="number">Size</th>
											${channels.length > 0 && html`<th scope="col">Channels</th>`}
											${mayPublish && html`<th scope="col"><span class="unseen">What can be done</span></th>`}
										</tr>
									</thead>
									<tbody>
										${ours
											.slice(0, shown)
											.map(row => html`<${OurRow} key=${row.uuid} row=${row} mayPublish=${mayPublish} />`)}
									</tbody>
								</table>
							</div>
							${
								ours.length > shown &&
								html`<button type="button" onClick=${() => setShown(shown + 200)}>
									${plural(ours.length - shown, 'more image')}
								</button>`
							}`
		}
	</section>`;
}

function OurRow({row, mayPublish}: {readonly row: ImageRow; readonly mayPublish: boolean}): VNode {
	const page = usePage();
	const {route, session, notices, catalog} = page;
	const {channels} = useCell(session.state);
	const [isBusy, setBusy] = useState(false);
	const {uuid, name, version, state, publishedAt, size} = row;
	const run = (work: () => Promise<string | undefined>) => () => {
		setBusy(true);
		void work()
			.then(
				said => said !== undefined && notices.say(said, 'good'),
				(problem: unknown) => notices.say(problemText(problem), 'bad'),
			)
			.finally(() => {
				setBusy(false);
				catalog.touch([uuid]);
			});
	};
	const button = (label: string, work: () => Promise<string | undefined>, kind = 'small'): VNode =>
		html`<button
			key=${label}
			type="button"
			class=${kind}
			disabled=${isBusy}
			onClick=${run(work)}
			aria-label=${`${label} ${name} ${version}`}
		>
			${label}
		</button>`;
	return html`<tr>
		<td>
			<button type="button" class="link" onClick=${() => go(route, {view: 'images', image: uuid}, {step: true})}>
				<b>${name}</b> ${version}
			</button>
		</td>
		<td>${state}${row.public ? '' : ', private'}</td>
		<td>${publishedAt === undefined ? '' : html`<${Ago} at=${publishedAt} />`}</td>
		<td class="number">${size === 0 ? 'no file' : bytesText(size)}</td>
		${channels.length > 0 && html`<td><${ChannelList} row=${row} mayPublish=${mayPublish} /></td>`}
		${
			mayPublish &&
			html`<td class="row-buttons">
				${state === 'unactivated' && size > 0 && button('Activate', () => change(page, row, 'activate'))}
				${state === 'active' && button('Disable', () => disable(page, row))}
				${state === 'disabled' && button('Enable', () => change(page, row, 'enable'))}
				${button('Delete', () => remove(page, row), 'small danger')}
			</td>`
		}
	</tr>`;
}

const done: Readonly<Record<Verb, string>> = {
	activate: 'is active: clients can import it.',
	enable: 'is enabled: it is in lists again.',
	disable: 'is disabled: it is in no usual list. Who knows its uuid can still import it.',
};

async function change(page: Page, {uuid, name, version}: ImageRow, verb: Verb): Promise<string> {
	await page.api.post(`images/${uuid}?action=${verb}${await inItsChannel(page, uuid)}`);
	return `${name} ${version} ${done[verb]}`;
}

/** Where there are channels, a verb works in one that the image is in. */
async function inItsChannel({api, session}: Page, uuid: string): Promise<string> {
	if (session.state.value.channels.length === 0) {
		return '';
	}
	const [first] = await channelsOf(api, uuid);
	return first === undefined ? '' : `&channel=${encodeURIComponent(first)}`;
}

async function disable(page: Page, row: ImageRow): Promise<string | undefined> {
	const answer = await page.questions.ask({
		title: `Disable ${row.name}?`,
		text: `${row.name} ${row.version} leaves the usual lists until somebody enables it again. Nothing is deleted.`,
		action: 'Disable',
		destroys: true,
	});
	return answer === undefined ? undefined : change(page, row, 'disable');
}

async function remove(page: Page, {uuid, name, version, size}: ImageRow): Promise<string | undefined> {
	const {api, questions, session} = page;
	const {dependents} = await api.get<ImageDetails>(`mirror/images/${uuid}`);
	const hasChannels = session.state.value.channels.length > 0;
	const answer = await questions.ask({
		title: `Delete ${name}?`,
		text: html`<p>
				${name} ${version} and its file (${bytesText(size)}) are deleted${hasChannels ? ', in all channels' : ''}. There
				is no other copy here.
			</p>
			${
				dependents.length > 0 &&
				html`<p class="bad">
						${plural(dependents.length, 'image is', 'images are')} built upon it, and the mirror will refuse while they
						are here:
					</p>
					<ul>
						${dependents.slice(0, 10).map(one => html`<li key=${one.uuid}>${one.name} ${one.version}</li>`)}
						${dependents.length > 10 && html`<li>and ${dependents.length - 10} more</li>`}
					</ul>`
			}`,
		action: 'Delete',
		destroys: true,
		typed: name,
	});
	if (answer === undefined) {
		return undefined;
	}
	const everywhere = hasChannels ? `?force_all_channels=true${await inItsChannel(page, uuid)}` : '';
	await api.delete(`images/${uuid}${everywhere}`);
	return `${name} ${version} is deleted.`;
}
