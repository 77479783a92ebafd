/**
 * What the disk holds as a treemap: a tile for each name, as large as its files.
 *
 * The tiles are one thing to the Tab key; arrow keys go from one to the next, Enter chooses.
 */
import {classes, html, useLayoutEffect, useRef, useState, type VNode} from './html.js';
import {kindOf, type StorageGroup} from './storage-groups.js';
import {squarify} from './treemap.js';
import {bytesText, plural} from './words.js';

const words = {kept: 'stays', mixed: 'some of it stays', free: 'may go'} as const;

export function TreemapFigure({
	groups,
	chosen,
	onChoose,
}: {
	readonly groups: readonly StorageGroup[];
	readonly chosen: string | undefined;
	readonly onChoose: (name: string | undefined) => void;
}): VNode {
	const frame = useRef<HTMLDivElement>(null);
	const [size, setSize] = useState({width: 0, height: 0});
	const [focused, setFocused] = useState(0);
	useLayoutEffect(() => {
		const {current} = frame;
		if (current === null) {
			return undefined;
		}
		const measure = (): void => setSize({width: current.clientWidth, height: current.clientHeight});
		measure();
		const observer = new ResizeObserver(measure);
		observer.observe(current);
		return () => observer.disconnect();
	}, []);
	const rects = squarify(
		groups.map(({bytes}) => bytes),
		{x: 0, y: 0, ...size},
	);
	const onKey = (event: KeyboardEvent): void => {
		const moves: Readonly<Record<string, number>> = {
			...{ArrowRight: focused + 1, ArrowDown: focused + 1, ArrowLeft: focused - 1, ArrowUp: focused - 1},
			...{Home: 0, End: groups.length - 1},
		};
		const move = moves[event.key];
		if (move === undefined) {
			return;
		}
		event.preventDefault();
		const to = Math.max(0, Math.min(groups.length - 1, move));
		setFocused(to);
		const tile = frame.current?.children[to];
		if (tile instanceof HTMLElement) {
			tile.focus();
		}
	};
	return html`<div
		class="treemap"
		role="group"
		aria-label="Files by name of their images"
		ref=${frame}
		onKeyDown=${onKey}
	>
		${groups.map((group, at) => {
			const {x, y, width, height} = rects[at] ?? {x: 0, y: 0, width: 0, height: 0};
			const kind = kindOf(group);
			const said = `${group.name}: ${bytesText(group.bytes)}, ${plural(group.files.length, 'file')}, ${words[kind]}`;
			const isTiny = width < 54 || height < 22;
			return html`<button
				key=${group.name}
				type="button"
				class=${classes('tile', `tile-${kind}`, group.name === chosen && 'chosen')}
				tabindex=${at === Math.min(focused, groups.length - 1) ? 0 : -1}
				aria-pressed=${group.name === chosen}
				title=${said}
				style=${{left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px`}}
				onFocus=${() => setFocused(at)}
				onClick=${() => onChoose(group.name === chosen ? undefined : group.name)}
			>
				<span class=${isTiny ? 'unseen' : 'tile-name'}>${group.name}</span>
				<span class=${isTiny || height < 40 ? 'unseen' : 'tile-size'}>${bytesText(group.bytes)}</span>
				<span class="unseen">${`${plural(group.files.length, 'file')}, ${words[kind]}`}</span>
			</button>`;
		})}
	</div>`;
}
