/**
 * One image in detail: what it is, where it comes from, why it stays, what it stands on, and what can be done with it.
 */
import type {HoldReason, ImageDetails, ImageRow} from '../mirror-operate-api.js';
import {useCell} from './cell.js';
import {HereMark} from './here-mark.js';
import {html, useEffect, useRef, type ComponentChildren, type VNode} from './html.js';
import {ImageActions} from './image-actions.js';
import {OriginTree} from './origin-tree.js';
import {useLoad} from './load.js';
import {usePage, type Page} from './page.js';
import {Ago, CopyButton, Facts, Problem, Waiting} from './parts.js';
import {bytesText, listText, timeText} from './words.js';

export function ImagePanel({uuid, onClose}: {readonly uuid: string; readonly onClose: () => void}): VNode {
	const page = usePage();
	const {catalog} = page;
	const {isThere, isPublic} = useCell(catalog.state);
	const row = catalog.row(uuid);
	const {value, error, reload} = useLoad(`image ${uuid} ${isPublic}`, signal => detailsOf(page, uuid, signal), {
		// Which of the two can be asked is known with the list.
		unless: !isThere,
	});
	// The row is told of events; with another one the rest may be another, too.
	const known = useRef(row);
	useEffect(() => {
		if (known.current !== row) {
			known.current = row;
			reload();
		}
	}, [row, reload]);
	const panel = useRef<HTMLElement>(null);
	useEffect(() => {
		// On a phone it covers the list: the next key should mean this.
		if (window.matchMedia('(max-width: 1100px)').matches) {
			panel.current?.focus();
		}
	}, []);
	const title = value ?? row;
	return html`<aside class="panel" tabindex="-1" ref=${panel} aria-label="Image">
		<header>
			<h2>${title === undefined ? 'Image' : html`${title.name} <small>${title.version}</small>`}</h2>
			<button type="button" class="quiet" onClick=${onClose} title="Esc">Close</button>
		</header>
		<div class="panel-body" tabindex="0" role="region" aria-label="Details">
			${error !== undefined && html`<${Problem} error=${error} again=${reload} />`}
			${
				value === undefined
					? error === undefined && html`<${Waiting} what="the image" />`
					: html`<${Details} details=${value} isPublic=${isPublic} />`
			}
		</div>
	</aside>`;
}

function Details({details, isPublic}: {readonly details: ImageDetails; readonly isPublic: boolean}): VNode {
	const {uuid, manifest, files, sources} = details;
	const importLine = `imgadm import ${uuid}`;
	const json = JSON.stringify(manifest, null, 2);
	return html`
		${!isPublic && html`<${ImageActions} details=${details} />`}
		<div class="command"><code>${importLine}</code><${CopyButton} text=${importLine} label="the import line" /></div>
		<${Facts} facts=${factsOf(details)} />
		${!isPublic && html`<${Stays} files=${files} wantedBy=${details.wantedBy} />`}
		<h3>Origin and dependents</h3>
		<${OriginTree} details=${details} />
		${
			sources.length > 1
				? html`<h3>Sources</h3>
						<p>Asked in this order for the file: ${listText(sources)}. The manifest is that of ${details.source}.</p>`
				: null
		}
		<details class="manifest">
			<summary>Manifest</summary>
			<div class="manifest-text">
				<${CopyButton} text=${json} label="the manifest" />
				<pre tabindex="0" aria-label="Manifest">${json}</pre>
			</div>
		</details>
	`;
}

function factsOf(details: ImageDetails): readonly (readonly [string, ComponentChildren])[] {
	const {uuid, os, type, owner, state, publishedAt, size, source, here, held, lastUsedAt, vanished} = details;
	const kept = details.files[0];
	return [
		['UUID', html`<code>${uuid}</code> <${CopyButton} text=${uuid} label="the uuid" />`],
		['Kind', `${type}, ${os}`],
		['State', `${state}, ${details.public ? 'public' : 'private'}`],
		['Held', held === undefined ? undefined : holdText(held)],
		[
			'Published',
			publishedAt === undefined ? undefined : html`${timeText(publishedAt)} (<${Ago} at=${publishedAt} />)`,
		],
		['Owner', html`<code>${owner}</code>`],
		['Source', source === '' ? undefined : source === 'local' ? 'published here' : source],
		['Vanished', vanished && 'its source does not list it any more; it is kept all the same'],
		['File', size === 0 ? 'none' : bytesText(size)],
		['Here', source === '' ? undefined : html`<${HereMark} here=${here} />`],
		['Arrived', kept?.storedAt === undefined ? undefined : html`<${Ago} at=${kept.storedAt} />`],
		['Verified', kept?.verifiedAt === undefined ? undefined : html`<${Ago} at=${kept.verifiedAt} />`],
		['Last used', lastUsedAt === undefined ? undefined : html`<${Ago} at=${lastUsedAt} />`],
		['SHA-1', kept?.sha1 === undefined ? undefined : html`<code>${kept.sha1}</code>`],
	];
}

function Stays({
	files,
	wantedBy,
}: {
	readonly files: ImageDetails['files'];
	readonly wantedBy: readonly string[];
}): VNode | null {
	const here = files.filter(file => file.here === 'here');
	const reasons = [...new Set(here.flatMap(({stays}) => stays))];
	if (here.length === 0) {
		return wantedBy.length === 0 ? null : html`<p class="stays">Wanted by ${listText(wantedBy)}.</p>`;
	}
	return html`<h3>Why it stays</h3>
		${
			reasons.length === 0
				? html`<p class="stays">Nothing keeps it: it goes when room is needed and it has not been used for longest.</p>`
				: html`<ul class="stays">
						${reasons.map(reason => html`<li key=${reason}>${reason}</li>`)}
					</ul>`
		}`;
}

export function holdText({why, source, until, by, note}: HoldReason): string {
	const reasons: Readonly<Record<HoldReason['why'], string>> = {
		age: `images of ${source} are offered only when they are older`,
		rule: `images of ${source} are offered only when somebody has released them`,
		operator: `held back${by === undefined ? '' : ` by ${by}`}`,
	};
	const when = until === undefined ? '' : ` (until ${timeText(until)})`;
	return `${reasons[why]}${when}${note === undefined || note === '' ? '' : `: ${note}`}`;
}

async function detailsOf(page: Page, uuid: string, signal: AbortSignal): Promise<ImageDetails> {
	const {api, catalog} = page;
	if (!catalog.state.value.isPublic) {
		return api.get<ImageDetails>(`mirror/images/${uuid}`, {signal});
	}
	const manifest = await api.get<Readonly<Record<string, unknown>>>(`images/${uuid}`, {signal});
	const row = catalog.row(uuid);
	if (row === undefined) {
		throw new Error('This image is not in the list.');
	}
	return {
		...{...row, manifest, files: []},
		origins: originsOf(row, parent => catalog.row(parent)),
		dependents: catalog.state.value.index.rows.filter(({origin}) => origin === row.uuid),
	};
}

function originsOf(row: ImageRow, find: (uuid: string) => ImageRow | undefined): ImageDetails['origins'] {
	const chain: (ImageRow | {readonly uuid: ImageRow['uuid']})[] = [];
	let {origin} = row;
	while (origin !== undefined && chain.every(({uuid}) => uuid !== origin)) {
		const parent = find(origin);
		chain.push(parent ?? {uuid: origin});
		origin = parent?.origin;
	}
	return chain;
}
