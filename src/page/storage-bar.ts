/**
 * The disk as a bar: what keeps its files, what may go, what is promised, and where the marks are.
 */
import type {StorageReport} from '../mirror-operate-api.js';
import {html, type VNode} from './html.js';
import {bytesText, listText, percentText} from './words.js';

/** In the order of what goes last. */
const reasons: readonly (readonly [reason: string, word: string])[] = [
	['published', 'published here'],
	['pinned', 'pinned'],
	['wanted', 'wanted by rules'],
	['origin', 'origins of what stays'],
	['in-use', 'in use'],
	['free-to-go', 'may go'],
];

interface Part {
	readonly kind: string;
	readonly word: string;
	readonly bytes: number;
}

export function StorageBar({report}: {readonly report: StorageReport}): VNode {
	const {byReason, partialBytes, reservedBytes, limits, bytes, freeBytes = 0} = report;
	const known = new Map(reasons);
	const parts: readonly Part[] = [
		...reasons.map(([kind, word]) => ({kind, word, bytes: byReason[kind] ?? 0})),
		...Object.entries(byReason)
			.filter(([kind]) => !known.has(kind))
			.map(([kind, amount]) => ({kind: 'other', word: kind, bytes: amount})),
		{kind: 'partial', word: 'in part', bytes: partialBytes},
		{kind: 'reserved', word: 'promised', bytes: reservedBytes},
	].filter(part => part.bytes > 0);
	const used = parts.reduce((sum, part) => sum + part.bytes, 0);
	const whole = Math.max(limits.allowedBytes ?? used + freeBytes, used, 1);
	const marks: readonly (readonly [string, number | undefined])[] = [
		['low mark', limits.lowBytes],
		['high mark', limits.highBytes],
		['limit', limits.allowedBytes],
	];
	const shown = marks.flatMap(([word, at]) => (at === undefined || at > whole ? [] : [{word, at}]));
	const said = [
		`${bytesText(bytes)} of files`,
		...(limits.allowedBytes === undefined ? [] : [`${percentText(used / limits.allowedBytes)} of what they may take`]),
		...shown.map(({word, at}) => `${word} at ${bytesText(at)}`),
	];
	return html`<div class="storage">
		<div class="storage-bar" role="img" aria-label=${listText(said)}>
			${parts.map(
				({kind, word, bytes: amount}) =>
					html`<i
						key=${word}
						class=${`keeps-${kind}`}
						style=${{width: `${(amount / whole) * 100}%`}}
						title=${`${word}: ${bytesText(amount)}`}
					></i>`,
			)}
			${shown
				.filter(({word}) => word !== 'limit')
				.map(
					({word, at}) =>
						html`<span
							key=${word}
							class="mark"
							style=${{left: `${(at / whole) * 100}%`}}
							title=${`${word}: ${bytesText(at)}`}
						></span>`,
				)}
		</div>
		<ul class="legend">
			${parts.map(
				({kind, word, bytes: amount}) =>
					html`<li key=${word}><i class=${`swatch keeps-${kind}`}></i>${word} <b>${bytesText(amount)}</b></li>`,
			)}
			${shown.map(({word, at}) => html`<li key=${word}><i class="swatch-mark"></i>${word} <b>${bytesText(at)}</b></li>`)}
		</ul>
	</div>`;
}
