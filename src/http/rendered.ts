/**
 * Manifests as they go out, with their ETags: those asked for lately, ready made.
 *
 * A fleet asks for the same few images over and over; laying out and hashing them each time costs more than all the
 * rest of the answer.
 */
import {prettyJson} from '../image/json-text.js';
import {manifestEtag, type Manifest} from '../image/manifest.js';

export interface RenderedManifest {
	readonly etag: string;
	readonly body: Buffer;
}

const kept = 2000;

export class RenderedManifests {
	// In the order of their last use.
	readonly #recent = new Map<Manifest, RenderedManifest>();

	/** A manifest that changes is another object, so what is kept is never old. */
	of(manifest: Manifest): RenderedManifest {
		const rendered = this.#recent.get(manifest) ?? {
			etag: manifestEtag(manifest),
			body: Buffer.from(prettyJson(manifest.text)),
		};
		this.#recent.delete(manifest);
		this.#recent.set(manifest, rendered);
		if (this.#recent.size > kept) {
			const [oldest] = this.#recent.keys();
			this.#recent.delete(oldest ?? manifest);
		}
		return rendered;
	}
}
