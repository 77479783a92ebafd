/**
 * Manifests as they go out, with their ETags: those asked for lately, ready made.
 *
 * A fleet asks for the same few images over and over; laying out and hashing them each time costs more than all the
 * rest of the answer. What of an image's fields is shown makes another answer with another ETag.
 */
import {prettyJson} from '../image/json-text.js';
import {manifestEtag, servedText, type Manifest, type Shown} from '../image/manifest.js';

export interface RenderedManifest {
	readonly etag: string;
	readonly body: Buffer;
}

const kept = 2000;

export class RenderedManifests {
	// By what is shown; each in the order of their last use.
	readonly #recent = new Map<string, Map<Manifest, RenderedManifest>>();

	get size(): number {
		return [...this.#recent.values()].reduce((sum, {size}) => sum + size, 0);
	}

	/** A manifest that changes is another object, so what is kept is never old. */
	of(manifest: Manifest, shown: Shown): RenderedManifest {
		// Images of sources look the same to everybody.
		const form =
			manifest.local === undefined ? '' : `${shown.channels ? 'channels' : ''} ${shown.admin ? 'admin' : ''}`;
		const recent = this.#recent.get(form) ?? new Map<Manifest, RenderedManifest>();
		this.#recent.set(form, recent);
		const rendered = recent.get(manifest) ?? {
			etag: manifestEtag(manifest, shown),
			body: Buffer.from(prettyJson(servedText(manifest, shown))),
		};
		recent.delete(manifest);
		recent.set(manifest, rendered);
		if (recent.size > kept) {
			const [oldest] = recent.keys();
			recent.delete(oldest ?? manifest);
		}
		return rendered;
	}

	clear(): void {
		this.#recent.clear();
	}
}
