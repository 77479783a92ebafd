/**
 * Files on their way from sources, each with how far it is, how fast, and who waits for it.
 */
import type {TransferReport} from '../mirror-operate-api.js';
import {html, type VNode} from './html.js';
import {useLoad} from './load.js';
import {go} from './navigate.js';
import {usePage} from './page.js';
import {Bar, Empty, Problem, Waiting} from './parts.js';
import {bytesText, durationText, percentText, plural, rateText} from './words.js';

export function TransferList(): VNode {
	const {api} = usePage();
	const {value, error, reload} = useLoad(
		'transfers',
		signal => api.get<readonly TransferReport[]>('mirror/transfers', {signal}),
		{on: ['transfer'], everyMs: 1000},
	);
	const speed = value?.reduce((sum, {bytesPerSecond}) => sum + bytesPerSecond, 0) ?? 0;
	const waiting = value?.filter(transfer => transfer.waiting).length ?? 0;
	return html`<section aria-labelledby="transfers-title">
		<header class="section-head">
			<h2 id="transfers-title">Transfers</h2>
			${
				value !== undefined && value.length > 0
					? html`<p role="status">
							${[
								`${plural(value.length - waiting, 'file')} on the way`,
								rateText(speed),
								...(waiting > 0 ? [`${waiting} waiting`] : []),
							].join(', ')}
						</p>`
					: null
			}
		</header>
		${error !== undefined && html`<${Problem} error=${error} again=${reload} />`}
		${
			value === undefined
				? error === undefined && html`<${Waiting} what="transfers" />`
				: value.length === 0
					? html`<${Empty}>No file is on its way.<//>`
					: html`<ul class="transfers">
							${value.map(transfer => html`<${Transfer} key=${keyOf(transfer)} transfer=${transfer} />`)}
						</ul>`
		}
	</section>`;
}

function Transfer({transfer}: {readonly transfer: TransferReport}): VNode {
	const {route} = usePage();
	const {image, size, written, resumedFrom, followers, source, waiting, background, bytesPerSecond, etaMs} = transfer;
	const isPassing = transfer.passing === true;
	const label = `${image.name} ${image.version}`;
	const share = size > 0 ? written / size : 0;
	const facts = [
		waiting ? 'waiting for its turn' : source === undefined ? 'asking sources' : `from ${source}`,
		background ? 'fetched ahead' : plural(followers, 'client'),
		resumedFrom > 0 && !isPassing ? `resumed at ${bytesText(resumedFrom)}` : '',
		isPassing ? 'not kept: there is no room for it' : '',
	].filter(fact => fact !== '');
	const amounts = [
		`${bytesText(written)} of ${bytesText(size)}`,
		percentText(Math.min(0.999, share)),
		...(waiting ? [] : [rateText(bytesPerSecond)]),
		...(etaMs === undefined ? [] : [`${durationText(etaMs)} left`]),
	];
	return html`<li class="transfer">
		<div class="transfer-line">
			<button type="button" class="link" onClick=${() => go(route, {view: 'images', image: image.uuid}, {step: true})}>
				<b>${image.name}</b> ${image.version}
			</button>
			<span class="muted">${facts.join(', ')}</span>
			<span class="amount">${amounts.join(', ')}</span>
		</div>
		<${Bar}
			value=${written}
			max=${size}
			label=${`${label}: ${bytesText(written)} of ${bytesText(size)}`}
			tone=${waiting ? 'idle' : ''}
		/>
	</li>`;
}

function keyOf({image, sha1, passing, since}: TransferReport): string {
	return `${image.uuid} ${sha1 ?? ''}${passing === true ? ` ${since}` : ''}`;
}
