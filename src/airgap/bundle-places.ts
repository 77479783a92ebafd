/**
 * Which of a bundle's files a path in a tar names.
 *
 * Tars of folders often have everything below one folder. The first file of a bundle says which one it is, so that
 * what lies beside it, or another bundle, is not taken for a part of this one.
 */

export type Place =
	| {readonly what: 'layout' | 'index' | 'signature'}
	/** `sha256:…`. */
	| {readonly what: 'blob'; readonly digest: string};

const form = /^(?:([^/]+)\/)?(?:(oci-layout)|(index\.json)|(index\.json\.sig)|blobs\/sha256\/([0-9a-f]{64}))$/u;

export class BundlePlaces {
	/** The folder, or `''`. */
	#root: string | undefined;

	/** `undefined`: it is no part of this bundle. */
	of(path: string): Place | undefined {
		const match = form.exec(path);
		if (match === null) {
			return undefined;
		}
		const [, root = '', layout, index, , hex] = match;
		this.#root ??= root;
		if (root !== this.#root) {
			return undefined;
		}
		if (hex !== undefined) {
			return {what: 'blob', digest: `sha256:${hex}`};
		}
		return {what: layout !== undefined ? 'layout' : index !== undefined ? 'index' : 'signature'};
	}
}
