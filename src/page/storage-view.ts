/**
 * Storage: what the disk holds, what keeps it, what would go next and why, and whether all of it is still right.
 */
import type {StorageReport, StoredFile} from '../mirror-operate-api.js';
import {html, useMemo, useState, type VNode} from './html.js';
import {useLoad} from './load.js';
import {go} from './navigate.js';
import {usePage} from './page.js';
import {Ago, Empty, Facts, Problem, Waiting} from './parts.js';
import {ScrubPanel} from './scrub-panel.js';
import {StorageBar} from './storage-bar.js';
import {groupsOf, kindOf, type StorageGroup} from './storage-groups.js';
import {TreemapFigure} from './treemap-figure.js';
import {bytesText, countText, durationText, plural, sentence, timeText} from './words.js';

const mostTiles = 60;
const mostRows = 100;

export function StorageView(): VNode {
	const {api} = usePage();
	const {value, error, reload} = useLoad(
		'storage',
		signal => api.get<StorageReport>('mirror/storage?files=all', {signal}),
		{
			on: [
				'image.cached',
				'image.evicted',
				'image.pinned',
				'image.unpinned',
				'image.published',
				'image.deleted',
				'disk',
				'scrub',
			],
			everyMs: 3000,
		},
	);
	return html`<div class="view">
		<h1 class="unseen">Storage</h1>
		${error !== undefined && html`<${Problem} error=${error} again=${reload} />`}
		${value === undefined ? error === undefined && html`<${Waiting} what="the storage" />` : html`<${Storage} report=${value} />`}
	</div>`;
}

function Storage({report}: {readonly report: StorageReport}): VNode {
	const groups = useMemo(() => groupsOf(report.all, mostTiles), [report.all]);
	const [chosen, setChosen] = useState<string | undefined>(undefined);
	const group = groups.find(({name}) => name === chosen);
	return html`<section aria-labelledby="disk-title">
			<h2 id="disk-title">Disk</h2>
			<${StorageBar} report=${report} />
			<${Facts} facts=${factsOf(report)} isWide />
		</section>
		<section aria-labelledby="names-title">
			<header class="section-head">
				<h2 id="names-title">By name</h2>
				<ul class="keys">
					<li><i class="swatch tile-kept"></i>stays</li>
					<li><i class="swatch tile-mixed"></i>some of it stays</li>
					<li><i class="swatch tile-free"></i>may go</li>
				</ul>
			</header>
			${
				groups.length === 0
					? html`<${Empty}>The disk holds no files of images yet.<//>`
					: html`<${TreemapFigure} groups=${groups} chosen=${chosen} onChoose=${setChosen} />
							${group !== undefined && html`<${FileTable} title=${titleOf(group)} files=${group.files} />`}
							<details>
								<summary>The same as a table</summary>
								<${GroupTable} groups=${groups} onChoose=${setChosen} />
							</details>`
			}
		</section>
		<section aria-labelledby="next-title">
			<h2 id="next-title">What goes next</h2>
			<p>${sentence(report.next.because)}</p>
			${
				report.next.files > 0
					? html`<${FileTable}
							title=${`${plural(report.next.files, 'file')} would go now, ${bytesText(report.next.bytes)}`}
							files=${report.all.slice(0, report.next.files)}
						/>`
					: null
			}
			${
				report.next.files === 0 && report.all.some(({stays}) => stays.length === 0)
					? html`<details>
							<summary>What would be first</summary>
							<${FileTable}
								title="In this order"
								files=${report.all.filter(({stays}) => stays.length === 0).slice(0, 20)}
							/>
						</details>`
					: null
			}
		</section>
		<${ScrubPanel} scrub=${report.scrub} />
		<${Quarantine} report=${report} />`;
}

function factsOf(report: StorageReport): Parameters<typeof Facts>[0]['facts'] {
	const {files, bytes, partials, partialBytes, reservedBytes, freeBytes, diskBytes, limits} = report;
	return [
		['Files', `${countText(files)}, ${bytesText(bytes)}`],
		['In part', partials > 0 && `${plural(partials, 'file')}, ${bytesText(partialBytes)}`],
		['Promised', reservedBytes > 0 && `${bytesText(reservedBytes)} to what is on its way`],
		[
			'Free',
			freeBytes !== undefined &&
				`${bytesText(freeBytes)}${diskBytes === undefined ? '' : ` of ${bytesText(diskBytes)}`}`,
		],
		['Limit', limits.maxBytes === undefined ? 'none' : bytesText(limits.maxBytes)],
		['Left free', limits.minFreeBytes > 0 && `${bytesText(limits.minFreeBytes)} at least`],
		['Unused for', limits.maxUnusedMs !== undefined && `${durationText(limits.maxUnusedMs)} at most`],
	];
}

function titleOf({name, files, bytes}: StorageGroup): string {
	return `${name}: ${plural(files.length, 'file')}, ${bytesText(bytes)}`;
}

function FileTable({title, files}: {readonly title: string; readonly files: readonly StoredFile[]}): VNode {
	const {route} = usePage();
	const shown = files.slice(0, mostRows);
	return html`<div class="scroll" tabindex="0" role="region" aria-label=${title}>
			<table>
				<caption>
					${title}
				</caption>
				<thead>
					<tr>
						<th scope="col">Image</th>
						<th scope="col" class="number">Size</th>
						<th scope="col">Last used</th>
						<th scope="col">Verified</th>
						<th scope="col">Why it stays</th>
					</tr>
				</thead>
				<tbody>
					${shown.map(
						({sha1, size, images, lastUsedAt, verifiedAt, stays}) =>
							html`<tr key=${sha1}>
								<td>
									${images.length === 0 && html`<code>${sha1.slice(0, 12)}</code>`}
									${images.map(
										({uuid, name, version}) =>
											html`<div key=${uuid}>
												<button
													type="button"
													class="link"
													onClick=${() => go(route, {view: 'images', image: uuid}, {step: true})}
												>
													<b>${name}</b> ${version}
												</button>
											</div>`,
									)}
								</td>
								<td class="number">${bytesText(size)}</td>
								<td><${Ago} at=${lastUsedAt} /></td>
								<td>${verifiedAt === undefined ? 'not yet' : html`<${Ago} at=${verifiedAt} />`}</td>
								<td>${stays.length === 0 ? 'may go' : stays.join('; ')}</td>
							</tr>`,
					)}
				</tbody>
			</table>
		</div>
		${files.length > shown.length && html`<p class="hint">The first ${mostRows} of ${plural(files.length, 'file')}.</p>`}`;
}

function GroupTable({
	groups,
	onChoose,
}: {
	readonly groups: readonly StorageGroup[];
	readonly onChoose: (name: string) => void;
}): VNode {
	const words = {kept: 'stays', mixed: 'some of it stays', free: 'may go'} as const;
	return html`<div class="scroll" tabindex="0" role="region" aria-label="By name, as a table">
		<table>
			<thead>
				<tr>
					<th scope="col">Name</th>
					<th scope="col" class="number">Files</th>
					<th scope="col" class="number">Size</th>
					<th scope="col"></th>
				</tr>
			</thead>
			<tbody>
				${groups.map(
					group =>
						html`<tr key=${group.name}>
							<td>
								<button type="button" class="link" onClick=${() => onChoose(group.name)}>${group.name}</button>
								${group.names > 1 && ` (${plural(group.names, 'name')})`}
							</td>
							<td class="number">${countText(group.files.length)}</td>
							<td class="number">${bytesText(group.bytes)}</td>
							<td>${words[kindOf(group)]}</td>
						</tr>`,
				)}
			</tbody>
		</table>
	</div>`;
}

function Quarantine({report: {quarantine}}: {readonly report: StorageReport}): VNode {
	return html`<section aria-labelledby="quarantine-title">
		<h2 id="quarantine-title">Quarantine</h2>
		${
			quarantine.length === 0
				? html`<${Empty}>Empty: nothing has failed verification lately.<//>`
				: html`<div class="scroll" tabindex="0" role="region" aria-label="Quarantine">
						<table>
							<thead>
								<tr>
									<th scope="col">File</th>
									<th scope="col" class="number">Size</th>
									<th scope="col">Since</th>
									<th scope="col">What is known</th>
								</tr>
							</thead>
							<tbody>
								${quarantine.map(
									({name, size, since, note}) =>
										html`<tr key=${name}>
											<td><code>${name}</code></td>
											<td class="number">${bytesText(size)}</td>
											<td>${timeText(since)}</td>
											<td>${note === undefined ? '' : noteText(note)}</td>
										</tr>`,
								)}
							</tbody>
						</table>
					</div>`
		}
	</section>`;
}

function noteText(note: object): string {
	return Object.entries(note)
		.map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
		.join(', ');
}
