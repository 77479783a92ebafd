/**
 * Whether the file of an image is on the mirror's disk: a word, and a mark that does without colours.
 */
import type {ImageRow} from '../mirror-operate-api.js';
import {html, type VNode} from './html.js';

const words: Readonly<Record<ImageRow['here'], readonly [word: string, title: string]>> = {
	here: ['here', 'The file is whole and verified on this disk'],
	coming: ['coming', 'The file is on its way'],
	part: ['in part', 'The beginning of the file is on this disk'],
	away: ['away', 'Nothing of it is on this disk; it is fetched when somebody asks'],
};

export function HereMark({here}: {readonly here: ImageRow['here']}): VNode {
	const [word, title] = words[here];
	return html`<span class=${`presence ${here}`} title=${title}><i aria-hidden="true"></i>${word}</span>`;
}
