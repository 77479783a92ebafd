/**
 * The table of images: as many rows as there are, of which only those that can be seen are drawn.
 *
 * One thing takes the focus, and arrow keys move a mark inside of it; Enter opens what is marked. All rows are of one
 * height, so that no place has to be measured.
 */
import type {ImageRow} from '../mirror-operate-api.js';
import {classes, html, useEffect, useLayoutEffect, useRef, useState, type VNode} from './html.js';
import {HereMark} from './here-mark.js';
import {useMedia} from './parts.js';
import {firstSorting, type Column, type Sorting} from './sort.js';
import {scrollTo, windowOf} from './virtual-window.js';
import {bytesText, dayText} from './words.js';

interface TableColumn {
	readonly column: Column;
	readonly title: string;
}

const columns: readonly TableColumn[] = [
	{column: 'name', title: 'Name'},
	{column: 'version', title: 'Version'},
	{column: 'os', title: 'OS'},
	{column: 'type', title: 'Type'},
	{column: 'published', title: 'Published'},
	{column: 'size', title: 'Size'},
	{column: 'source', title: 'Source'},
	{column: 'here', title: 'Here'},
];

/** Of IMGAPI's list nobody knows the rest. */
const publicColumns = columns.filter(({column}) => column !== 'source' && column !== 'here');

export function ImageTable({
	rows,
	sorting,
	open,
	isPublic,
	onSort,
	onOpen,
}: {
	readonly rows: readonly ImageRow[];
	readonly sorting: Sorting;
	/** The uuid of the one whose details are shown. */
	readonly open: string | undefined;
	readonly isPublic: boolean;
	readonly onSort: (sorting: Sorting) => void;
	readonly onOpen: (uuid: string) => void;
}): VNode {
	const isNarrow = useMedia('(max-width: 760px)');
	const rowHeight = isNarrow ? 54 : 30;
	const headHeight = isNarrow ? 0 : 32;
	const grid = useRef<HTMLDivElement>(null);
	const [view, setView] = useState({scrollTop: 0, viewHeight: 800});
	const [marked, setMarked] = useState<string | undefined>(undefined);
	const shown = isPublic ? publicColumns : columns;

	useLayoutEffect(() => {
		const {current} = grid;
		if (current === null) {
			return undefined;
		}
		const measure = (): void =>
			setView(before => {
				const viewHeight = current.clientHeight - headHeight;
				const {scrollTop} = current;
				const isSame =
					before.viewHeight === viewHeight &&
					windowKey({count: rows.length, rowHeight, ...before}) ===
						windowKey({count: rows.length, rowHeight, scrollTop, viewHeight});
				return isSame ? before : {scrollTop, viewHeight};
			});
		measure();
		const observer = new ResizeObserver(measure);
		observer.observe(current);
		current.addEventListener('scroll', measure, {passive: true});
		return () => {
			observer.disconnect();
			current.removeEventListener('scroll', measure);
		};
	}, [rows.length, rowHeight, headHeight]);

	// Another search begins at its top.
	const isFirst = useRef(true);
	useEffect(() => {
		if (!isFirst.current) {
			grid.current?.scrollTo({top: 0});
		}
		isFirst.current = false;
	}, [sorting.column, sorting.descending]);

	const at = marked === undefined ? -1 : rows.findIndex(({uuid}) => uuid === marked);
	const mark = (next: number): void => {
		const to = Math.max(0, Math.min(rows.length - 1, next));
		const {current} = grid;
		if (current === null || rows.length === 0) {
			return;
		}
		const {scrollTop} = current;
		const top = scrollTo(to, {rowHeight, scrollTop, viewHeight: current.clientHeight - headHeight});
		if (top !== undefined) {
			current.scrollTop = top;
		}
		setMarked(rows[to]?.uuid);
	};
	const onKey = (event: KeyboardEvent): void => {
		// Buttons in the head have keys of their own.
		if (event.target !== grid.current || event.altKey || event.ctrlKey || event.metaKey) {
			return;
		}
		const page = Math.max(1, Math.floor(view.viewHeight / rowHeight) - 1);
		const moves: Readonly<Record<string, number>> = {
			...{ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page},
			...{Home: 0, End: rows.length - 1},
		};
		const move = moves[event.key];
		if (move !== undefined) {
			event.preventDefault();
			mark(move);
		} else if ((event.key === 'Enter' || event.key === ' ') && marked !== undefined) {
			event.preventDefault();
			onOpen(marked);
		}
	};
	const {first, end} = windowOf({count: rows.length, rowHeight, ...view});
	return html`<div
		class="grid"
		id="images-grid"
		role="grid"
		tabindex="0"
		aria-label="Images"
		aria-rowcount=${rows.length + 1}
		aria-colcount=${shown.length}
		aria-activedescendant=${at >= first && at < end ? `row-${marked ?? ''}` : undefined}
		ref=${grid}
		onKeyDown=${onKey}
		onFocus=${(event: FocusEvent) => {
			if (event.target === grid.current && at < 0) {
				mark(Math.floor((grid.current?.scrollTop ?? 0) / rowHeight));
			}
		}}
	>
		<div role="rowgroup" class="grid-head">
			<div role="row" aria-rowindex="1" class="cells">
				${shown.map(
					({column, title}) =>
						html`<${Head} key=${column} column=${column} title=${title} sorting=${sorting} onSort=${onSort} />`,
				)}
			</div>
		</div>
		<div role="rowgroup" class="grid-body" style=${{height: `${rows.length * rowHeight}px`}}>
			${rows.slice(first, end).map((row, index) => {
				const position = first + index;
				return html`<div
					key=${row.uuid}
					id=${`row-${row.uuid}`}
					role="row"
					aria-rowindex=${position + 2}
					aria-selected=${row.uuid === open}
					class=${classes('row cells', row.uuid === marked && 'marked', row.uuid === open && 'open')}
					style=${{transform: `translateY(${position * rowHeight}px)`}}
					onClick=${() => {
						setMarked(row.uuid);
						onOpen(row.uuid);
					}}
				>
					${shown.map(
						({column}) =>
							html`<div key=${column} role="gridcell" class=${`cell ${column}`}>${contentOf(row, column)}</div>`,
					)}
				</div>`;
			})}
		</div>
	</div>`;
}

function Head({
	column,
	title,
	sorting,
	onSort,
}: TableColumn & {readonly sorting: Sorting; readonly onSort: (sorting: Sorting) => void}): VNode {
	const isSorted = sorting.column === column;
	const order = sorting.descending ? 'descending' : 'ascending';
	const sort = (): void => onSort(isSorted ? {column, descending: !sorting.descending} : firstSorting(column));
	return html`<div role="columnheader" class=${`cell ${column}`} aria-sort=${isSorted ? order : 'none'}>
		<button type="button" onClick=${sort}>
			${title}<span class="order" aria-hidden="true">${isSorted ? (sorting.descending ? '▾' : '▴') : ''}</span>
		</button>
	</div>`;
}

function contentOf(row: ImageRow, column: Column): VNode | string {
	switch (column) {
		case 'name':
			return html`<span class="main">${row.name}</span>${marksOf(row)}`;
		case 'published':
			return dayText(row.publishedAt);
		case 'size':
			return row.size === 0 ? '' : bytesText(row.size);
		case 'source':
			return row.sources.length > 1 ? `${row.source} +${row.sources.length - 1}` : row.source;
		case 'here':
			return html`<${HereMark} here=${row.here} />`;
		case 'used':
			return dayText(row.lastUsedAt);
		case 'version':
		case 'os':
		case 'type':
			return row[column];
	}
}

function marksOf(row: ImageRow): readonly VNode[] {
	const marks: readonly (readonly [boolean, string])[] = [
		[row.pinned, 'pinned'],
		[row.held !== undefined, 'held'],
		[row.vanished, 'vanished'],
		[row.state !== 'active', row.state],
		[!row.public, 'private'],
	];
	return marks.filter(([is]) => is).map(([, text]) => html`<span key=${text} class=${`tag ${text}`}>${text}</span>`);
}

function windowKey(view: Parameters<typeof windowOf>[0]): string {
	const {first, end} = windowOf(view);
	return `${first}-${end}`;
}
