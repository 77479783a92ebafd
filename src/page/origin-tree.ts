/**
 * What an image is built upon and what is built upon it, as a small tree from the first origin down.
 */
import type {ImageDetails, ImageRow} from '../mirror-operate-api.js';
import {HereMark} from './here-mark.js';
import {html, useState, type VNode} from './html.js';
import {go} from './navigate.js';
import {usePage} from './page.js';
import {bytesText, plural, shortUuid} from './words.js';

type Place = ImageDetails['origins'][number];

const fewDependents = 8;

export function OriginTree({details}: {readonly details: ImageDetails}): VNode {
	const [isWhole, setWhole] = useState(false);
	const {origins, dependents} = details;
	const shown = isWhole ? dependents : dependents.slice(0, fewDependents);
	const children =
		dependents.length === 0
			? null
			: html`<ul>
					${shown.map(row => html`<li key=${row.uuid}><${Node} place=${row} /></li>`)}
					${
						dependents.length > shown.length &&
						html`<li>
							<button type="button" class="quiet" onClick=${() => setWhole(true)}>
								${plural(dependents.length - shown.length, 'more image')}
							</button>
						</li>`
					}
				</ul>`;
	const self = html`<li><${Node} place=${details} isSelf />${children}</li>`;
	// Nearest first, so that each goes around what is there already.
	const tree = origins.reduce<VNode>(
		(inner, place) =>
			html`<li key=${place.uuid}>
				<${Node} place=${place} />
				<ul>
					${inner}
				</ul>
			</li>`,
		self,
	);
	return html`<ul class="tree" aria-label="Origin chain">
			${tree}
		</ul>
		${
			origins.length === 0 && dependents.length === 0
				? html`<p class="hint">It stands alone: it has no origin, and nothing is built upon it.</p>`
				: null
		}`;
}

function Node({place, isSelf = false}: {readonly place: Place; readonly isSelf?: boolean}): VNode {
	const {route} = usePage();
	if (!isRow(place)) {
		return html`<span class="node"><code title=${place.uuid}>${shortUuid(place.uuid)}</code> in no list</span>`;
	}
	const label = html`<b>${place.name}</b> ${place.version}`;
	return html`<span class="node"
		>${
			isSelf
				? html`<span aria-current="true">${label}</span>`
				: html`<button type="button" class="link" onClick=${() => go(route, {image: place.uuid}, {step: true})}>
						${label}
					</button>`
		}
		<span class="node-facts">
			${place.size > 0 && html`<span>${bytesText(place.size)}</span>`}
			${place.source !== '' && html`<${HereMark} here=${place.here} />`}
		</span></span
	>`;
}

function isRow(place: Place): place is ImageRow {
	return 'name' in place;
}
