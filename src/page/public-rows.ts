/**
 * Rows for those who may not see the operator's list: what IMGAPI says of an image to everybody.
 */
import type {ImageRow} from '../mirror-operate-api.js';

export interface PublicManifest {
	readonly uuid: ImageRow['uuid'];
	readonly name?: string;
	readonly version?: string;
	readonly os?: string;
	readonly type?: string;
	readonly state?: string;
	readonly owner?: string;
	readonly public?: boolean;
	readonly published_at?: string;
	readonly origin?: ImageRow['uuid'];
	readonly files?: readonly {readonly size?: number}[];
}

export function rowsOfManifests(manifests: readonly PublicManifest[]): readonly ImageRow[] {
	return manifests.map(manifest => ({
		uuid: manifest.uuid,
		name: manifest.name ?? '',
		version: manifest.version ?? '',
		os: manifest.os ?? '',
		type: manifest.type ?? '',
		state: manifest.state ?? 'active',
		owner: manifest.owner ?? '',
		public: manifest.public ?? true,
		...(manifest.published_at === undefined ? {} : {publishedAt: manifest.published_at}),
		...(manifest.origin === undefined ? {} : {origin: manifest.origin}),
		size: manifest.files?.[0]?.size ?? 0,
		source: '',
		sources: [],
		here: 'away',
		pinned: false,
		wantedBy: [],
		vanished: false,
	}));
}
