/**
 * Whether files are still what their digests say: the scheduled reading, one that is asked for here, and what was found.
 */
import type {ScrubReport} from '../mirror-operate-api.js';
import {useCell} from './cell.js';
import {html, type VNode} from './html.js';
import {usePage} from './page.js';
import {Ago, Bar} from './parts.js';
import {bytesText, countText, plural} from './words.js';

export function ScrubPanel({scrub}: {readonly scrub: ScrubReport}): VNode {
	const {session, verifying} = usePage();
	const mayOperate = useCell(session.state).rights.has('operate');
	const run = useCell(verifying.state);
	const {running, files, filesDone, bytes, bytesDone, wrong, endedAt, rightAt, nextAt, damaged} = scrub;
	const share = (done: number, all: number, wrongOnes: number): string =>
		`${bytesText(done)} of ${bytesText(all)}${wrongOnes > 0 ? `, ${wrongOnes} wrong` : ''}`;
	const found = wrong === 0 ? 'none wrong' : `${wrong} wrong`;
	const last =
		endedAt === undefined
			? rightAt === undefined
				? 'Files have not been read again yet.'
				: html`${'Files were last read again '}<${Ago} at=${rightAt} />${', before this start.'}`
			: html`${'The last run ended '}<${Ago}
						at=${endedAt}
					/>${`: ${plural(filesDone, 'file')}, ${bytesText(bytesDone)}, ${found}.`}`;
	return html`<section aria-labelledby="scrub-title">
		<header class="section-head">
			<h2 id="scrub-title">Verification</h2>
			${
				mayOperate &&
				(run === undefined
					? html`<button type="button" onClick=${() => void verifying.start()}>Verify all files</button>`
					: html`<button type="button" onClick=${() => verifying.stop()}>Stop</button>`)
			}
		</header>
		${
			run !== undefined &&
			html`<div>
				<p role="status">
					${`As asked: ${countText(run.filesDone)} of ${plural(run.files, 'file')}, ${share(run.bytesDone, run.bytes, run.wrong.length)}`}
				</p>
				<${Bar} value=${run.bytesDone} max=${run.bytes} label="Verification asked for here" />
			</div>`
		}
		${
			running
				? html`<p>
							${`On schedule: ${countText(filesDone)} of ${plural(files, 'file')}, ${share(bytesDone, bytes, wrong)}`}
						</p>
						<${Bar} value=${bytesDone} max=${bytes} label="Scheduled verification" />`
				: html`<p>${last}${nextAt !== undefined && html`${' The next is due '}<${Ago} at=${nextAt} />.`}</p>`
		}
		${
			damaged.length > 0 &&
			html`<div class="problem-box" role="alert">
				<div>
					<b>Published here, wrong on this disk, and nobody has another:</b>
					<ul>
						${damaged.map(({uuid, name, sha1}) => html`<li key=${sha1}>${name} <code>${uuid}</code></li>`)}
					</ul>
				</div>
			</div>`
		}
	</section>`;
}
