/**
 * Publish: a file and a form become an image of this mirror; and what has been published here before.
 */
import {useCell} from './cell.js';
import {html, useEffect, type VNode} from './html.js';
import {OurImages} from './our-images.js';
import {usePage} from './page.js';
import {NeedsRight} from './parts.js';
import {PublishForm} from './publish-form.js';
import {UploadProgress} from './upload-progress.js';

export function PublishView(): VNode {
	const {session, catalog, uploads} = usePage();
	const {rights} = useCell(session.state);
	const upload = useCell(uploads.state);
	useEffect(() => catalog.need(), [catalog]);
	const mayPublish = rights.has('publish');
	return html`<div class="view">
		<h1 class="unseen">Publish</h1>
		<section aria-labelledby="publish-title">
			<h2 id="publish-title">A new image</h2>
			${
				!mayPublish && upload.is === 'none'
					? html`<${NeedsRight} what="New images" right="publish" />`
					: upload.is === 'none'
						? html`<${PublishForm} />`
						: html`<${UploadProgress} upload=${upload} />`
			}
		</section>
		${rights.has('private') && html`<${OurImages} />`}
	</div>`;
}
