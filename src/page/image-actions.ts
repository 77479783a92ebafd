/**
 * What can be done with an image, for those who may: fetch, pin, evict, hold, release.
 *
 * What takes something away asks before; what came of it is said in words.
 */
import type {EvictOutcome, HeldReport, ImageDetails, PinOutcome} from '../mirror-operate-api.js';
import {problemText} from './api-error.js';
import {useCell} from './cell.js';
import {html, useState, type VNode} from './html.js';
import {usePage, type Page} from './page.js';
import {Bar} from './parts.js';
import {bytesOf} from './prefetches.js';
import {bytesText, plural} from './words.js';

type Act = (page: Page, details: ImageDetails) => Promise<string | undefined>;

export function ImageActions({details}: {readonly details: ImageDetails}): VNode | null {
	const page = usePage();
	const {rights} = useCell(page.session.state);
	const running = useCell(page.prefetches.running).get(details.uuid);
	const [isBusy, setBusy] = useState(false);
	if (!rights.has('operate')) {
		return null;
	}
	const run = (act: Act) => () => {
		setBusy(true);
		void act(page, details)
			.then(
				said => said !== undefined && page.notices.say(said, 'good'),
				(error: unknown) => page.notices.say(problemText(error), 'bad'),
			)
			.finally(() => {
				setBusy(false);
				page.catalog.touch([details.uuid, ...details.origins.map(({uuid}) => uuid)]);
			});
	};
	const {here, pinned, held, source, size} = details;
	const isOurs = source === 'local';
	const button = (label: string, act: Act, kind = ''): VNode =>
		html`<button key=${label} type="button" class=${kind} disabled=${isBusy} onClick=${run(act)}>${label}</button>`;
	return html`<div class="actions" role="group" aria-label="What can be done">
			${
				here !== 'here' && size > 0 && running === undefined
					? html`<button type="button" class="primary" onClick=${() => void page.prefetches.start(details)}>
							Prefetch
						</button>`
					: null
			}
			${pinned ? button('Unpin', unpin) : button('Pin', pin)}
			${held === undefined ? !isOurs && button('Hold', hold) : button('Release', release, 'primary')}
			${here === 'here' && !isOurs && button('Evict', evict, 'danger')} ${here === 'here' && button('Verify', verify)}
		</div>
		${
			running !== undefined &&
			html`<div class="fetching">
				<div class="fetching-line">
					<span>${running.name}</span>
					<span>${bytesText(bytesOf(running))}${running.total > 0 ? ` of ${bytesText(running.total)}` : ''}</span>
					<button type="button" class="small" onClick=${() => page.prefetches.stop(details.uuid)}>Stop</button>
				</div>
				<${Bar} value=${bytesOf(running)} max=${running.total} label=${`Fetching ${running.name}`} />
			</div>`
		}`;
}

async function pin({api}: Page, {uuid, name, version}: ImageDetails): Promise<string> {
	const {chain, unchanged} = await api.post<PinOutcome>(`mirror/images/${uuid}?action=pin`);
	const away = chain.filter(({here}) => !here).length;
	const origins = chain.length > 1 ? ` with ${plural(chain.length - 1, 'origin')}` : '';
	const later = away > 0 ? ` ${plural(away, 'file is', 'files are')} not here yet and will stay once fetched.` : '';
	return `${name} ${version}${origins} ${unchanged ? 'was pinned already' : 'is pinned'}.${later}`;
}

async function unpin({api, questions}: Page, {uuid, name, version}: ImageDetails): Promise<string | undefined> {
	const answer = await questions.ask({
		title: `Unpin ${name}?`,
		text: `${name} ${version} and its origins may then go when room is needed.`,
		action: 'Unpin',
	});
	if (answer === undefined) {
		return undefined;
	}
	const {unchanged} = await api.post<PinOutcome>(`mirror/images/${uuid}?action=unpin`);
	return `${name} ${version} ${unchanged ? 'was not pinned' : 'is not pinned any more'}.`;
}

async function evict({api, questions}: Page, details: ImageDetails): Promise<string | undefined> {
	const {uuid, name, version, size, files, dependents} = details;
	const reasons = [...new Set(files.flatMap(({stays}) => stays))];
	const answer = await questions.ask({
		title: `Evict ${name}?`,
		text: html`<p>
				The file of ${name} ${version} (${bytesText(size)}) is deleted from this disk. The image stays in the list and
				is fetched again when somebody asks for it.
			</p>
			${details.vanished && html`<p class="bad">No source lists it any more: it may be gone for good.</p>`}
			${reasons.length > 0 && html`<p>It is kept because: ${reasons.join('; ')}.</p>`}
			${dependents.length > 0 && html`<p>${plural(dependents.length, 'image is', 'images are')} built upon it.</p>`}`,
		action: 'Evict',
		destroys: true,
		...(reasons.length > 0 ? {option: 'Also though a rule wants it or something is built upon it'} : {}),
	});
	if (answer === undefined) {
		return undefined;
	}
	const outcomes = await api.post<readonly EvictOutcome[]>('mirror/evict', {uuids: [uuid], force: answer.option});
	const problem = outcomes.find(outcome => outcome.problem !== undefined)?.problem;
	if (problem !== undefined) {
		throw new Error(`${name} ${version} stays: ${problem}`);
	}
	return `${name} ${version} is evicted, ${bytesText(outcomes.reduce((sum, {bytes}) => sum + bytes, 0))} are free.`;
}

async function hold({api, questions}: Page, {uuid, name, version}: ImageDetails): Promise<string | undefined> {
	const answer = await questions.ask({
		title: `Hold ${name}?`,
		text: `${name} ${version} is offered to no client until somebody releases it. What hosts have of it they keep.`,
		note: 'Why (for whoever looks at it later)',
		action: 'Hold',
		destroys: true,
	});
	if (answer === undefined) {
		return undefined;
	}
	await api.post<HeldReport>(`mirror/images/${uuid}?action=hold`, answer.note === '' ? {} : {note: answer.note});
	return `${name} ${version} is held back.`;
}

async function release({api}: Page, {uuid, name, version}: ImageDetails): Promise<string> {
	const {released} = await api.post<{readonly released: readonly string[]}>(`mirror/images/${uuid}?action=release`);
	const others = released.filter(one => one !== uuid).length;
	return `${name} ${version} is offered now${others > 0 ? `, with ${plural(others, 'origin')}` : ''}.`;
}

async function verify({verifying}: Page, {uuid}: ImageDetails): Promise<undefined> {
	await verifying.start([uuid]);
	return undefined;
}
