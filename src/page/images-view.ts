/**
 * Images: the merged catalog, searched as one types, chosen by chips, and one of them in detail.
 */
import {useCell} from './cell.js';
import {FilterChips} from './filter-chips.js';
import {isAnyChosen, noChoices} from './filters.js';
import {html, textIn, useEffect, useMemo, type VNode} from './html.js';
import {ImagePanel} from './image-panel.js';
import {ImageTable} from './image-table.js';
import {go} from './navigate.js';
import {usePage} from './page.js';
import {Empty, Problem, useMedia, Waiting} from './parts.js';
import {countText, plural} from './words.js';

export function ImagesView(): VNode {
	const {catalog, route} = usePage();
	const {query, choices, sorting, image} = useCell(route);
	const {index, orders, facets, isThere, isLoading, error, isPublic} = useCell(catalog.state);
	useEffect(() => catalog.need(), [catalog]);
	const found = useMemo(() => index.match(query), [index, query]);
	const filtered = useMemo(() => facets.filter(found, choices), [facets, found, choices]);
	const rows = useMemo(() => orders.pick(sorting, filtered.fits), [orders, sorting, filtered]);
	const isNarrow = useMedia('(max-width: 760px)');
	const all = index.rows.length;
	const isAll = query.trim() === '' && !isAnyChosen(choices);
	const clear = (): void => go(route, {query: '', choices: noChoices});
	const close = (): void => {
		go(route, {image: undefined});
		document.getElementById('images-grid')?.focus();
	};
	const chips =
		isThere && all > 0
			? html`<${FilterChips}
					filtered=${filtered}
					chosen=${choices}
					onChoose=${(chosen: typeof choices) => go(route, {choices: chosen})}
				/>`
			: null;
	return html`<div class=${image === undefined ? 'images' : 'images with-panel'}>
		<section class="images-list" aria-label="Catalog">
			<h1 class="unseen">Images</h1>
			<div class="search-line">
				<input
					id="search"
					type="search"
					placeholder="Search: name, version, uuid, os, type"
					aria-label="Search images"
					aria-keyshortcuts="/"
					autocomplete="off"
					spellcheck=${false}
					value=${query}
					onInput=${(event: Event) => go(route, {query: textIn(event)})}
					onKeyDown=${(event: KeyboardEvent) => {
						if (event.key === 'ArrowDown') {
							event.preventDefault();
							document.getElementById('images-grid')?.focus();
						}
					}}
				/>
				<span class="count" role="status"
					>${isThere ? (isAll ? plural(all, 'image') : `${countText(filtered.count)} of ${countText(all)}`) : ''}</span
				>
				${!isAll && html`<button type="button" class="quiet" onClick=${clear}>Clear</button>`}
			</div>
			${
				isNarrow && chips !== null
					? html`<details class="chips-folded" open=${isAnyChosen(choices)}>
							<summary>Filters</summary>
							${chips}
						</details>`
					: chips
			}
			${isPublic && isThere && html`<p class="hint">Log in to see what is here, where it is from and what is kept.</p>`}
			${error !== undefined && html`<${Problem} error=${error} again=${() => void catalog.load()} />`}
			${!isThere && error === undefined && html`<${Waiting} what="images" />`}
			${
				isThere && all === 0
					? html`<${Empty}
							>${isLoading ? 'Loading images …' : 'There are no images yet. They appear when a source has been read or something is published.'}<//
						>`
					: null
			}
			${
				isThere && all > 0 && rows.length === 0
					? html`<div class="empty">
							<p>No image fits.</p>
							<button type="button" onClick=${clear}>Show all</button>
						</div>`
					: null
			}
			${
				rows.length > 0 &&
				html`<${ImageTable}
					rows=${rows}
					sorting=${sorting}
					open=${image}
					isPublic=${isPublic}
					onSort=${(next: typeof sorting) => go(route, {sorting: next})}
					onOpen=${(uuid: string) => go(route, {image: uuid}, {step: image === undefined})}
				/>`
			}
		</section>
		${image !== undefined && html`<${ImagePanel} key=${image} uuid=${image} onClose=${close} />`}
	</div>`;
}
