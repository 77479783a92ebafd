/**
 * A bundle as it is planned, one image after another: the blobs of each, and the index of all.
 *
 * A blob is told once, with the first image that has it. Where its bytes are is told with it; they are not kept here.
 */
import type {CarryBlob, CarryImage} from '../mirror-carry-api.js';
import type {Icon} from '../sources/source.js';
import type {PlannedBlob} from './api.js';
import {emptyLayer, emptyLayerText, indexText, makeImage, type Digest, type IndexEntry} from './oci.js';

export class PlannedBundle {
	readonly #told = new Set<Digest>();
	readonly #index: IndexEntry[] = [];
	#bytes = 0;

	/** Of all blobs so far. */
	get bytes(): number {
		return this.#bytes;
	}

	/**
	 * Returns what the bundle has of an image that no image before it brought. `files`: those of its manifest, whether they
	 * go along or not. Throws IntegrityError where they are others, and the image is not in the bundle then.
	 */
	add(
		{manifest, text}: CarryImage,
		{
			files,
			filesLeftOut,
			icon,
		}: {readonly files: readonly CarryBlob[]; readonly filesLeftOut: boolean; readonly icon: Icon | undefined},
	): readonly PlannedBlob[] {
		const made = makeImage({manifest, text, files, icon});
		const {uuid, name, version} = manifest;
		this.#index.push({digest: made.digest, size: made.size, uuid, name, version, filesElsewhere: filesLeftOut});
		const blobs: PlannedBlob[] = [
			{digest: made.digest, size: made.size, text: made.manifestText},
			{digest: made.config.digest, size: made.config.size, text},
		];
		if (!filesLeftOut) {
			for (const [index, {sha1, sha256, size}] of files.entries()) {
				blobs.push({digest: `sha256:${sha256}`, size, file: {uuid, index, sha1}});
			}
		}
		if (icon !== undefined && made.icon !== undefined) {
			const {digest, size} = made.icon;
			blobs.push({digest, size, base64: icon.bytes.toString('base64')});
		}
		if (made.layers.includes(emptyLayer)) {
			blobs.push({digest: emptyLayer.digest, size: emptyLayer.size, text: emptyLayerText});
		}
		return blobs.filter(blob => this.#isNew(blob));
	}

	/** index.json of all images so far. */
	indexText(): string {
		return indexText(this.#index);
	}

	#isNew({digest, size}: PlannedBlob): boolean {
		const isNew = !this.#told.has(digest);
		if (isNew) {
			this.#told.add(digest);
			this.#bytes += size;
		}
		return isNew;
	}
}
