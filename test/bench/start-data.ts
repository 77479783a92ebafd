/**
 * Data directories for the benchmark of starts: so many manifests remembered, so many files held.
 *
 * The files are written in the store's own layout; the manifests come from an upstream that a mirror has asked, so
 * what it remembers is what it would remember anywhere. The upstream is of both kinds and can be told to list others.
 */
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {mkdirSync, writeFileSync} from 'node:fs';
import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {Layout} from '../../src/blobs/layout.js';
import {isSha1, isUuid} from '../../src/image/manifest.js';
import {datasetOf, makeManifests, type TestManifest} from '../helpers/make-image.js';

/** Lists what it is told to, as IMGAPI and as DSAPI. */
export class ListServer {
	readonly #server: Server;
	#lists = new Map<string, Buffer>();

	private constructor() {
		this.#server = createServer((request, response) => {
			const [pathname = ''] = (request.url ?? '').split('?', 1);
			const list = this.#lists.get(pathname);
			const bytes = list ?? Buffer.from('{"ping":"pong","imgapi":true}');
			response.writeHead(list === undefined && pathname !== '/ping' ? 404 : 200, {
				'content-type': 'application/json',
				'content-length': bytes.length,
			});
			response.end(bytes);
		});
	}

	static async open(images: readonly TestManifest[]): Promise<ListServer> {
		const server = new ListServer();
		server.list(images);
		server.#server.listen(0, '127.0.0.1');
		await once(server.#server, 'listening');
		return server;
	}

	get url(): string {
		const {port} = this.#server.address() as AddressInfo;
		return `http://127.0.0.1:${port}`;
	}

	list(images: readonly TestManifest[]): void {
		const datasets = images.map(image => datasetOf(image, undefined));
		this.#lists = new Map([
			['/images', Buffer.from(`[${images.map(({text}) => text).join(',')}]`)],
			['/datasets', Buffer.from(JSON.stringify(datasets))],
		]);
	}

	close(): void {
		this.#server.close();
		this.#server.closeAllConnections();
	}
}

/** As many manifests; the first `held` of them have files of some bytes, which are written below `data`. */
export function writeHeldFiles(data: string, {images, held}: {images: number; held: number}): readonly TestManifest[] {
	const layout = new Layout(data);
	return makeManifests(images).map((image, number) => {
		if (number >= held) {
			return image;
		}
		const bytes = Buffer.from(`file number ${number}\n`);
		const [sha1, sha256, md5] = ['sha1', 'sha256', 'md5'].map(name => createHash(name).update(bytes).digest('hex'));
		const manifest = {...image.manifest, files: [{sha1, size: bytes.length, compression: 'gzip'}]};
		const {uuid} = image;
		if (!isSha1(sha1) || !isUuid(uuid)) {
			throw new Error('a test image without digest or uuid');
		}
		mkdirSync(layout.blobFolder(sha1), {recursive: true});
		writeFileSync(layout.blob(sha1), bytes);
		const info = {sha1, sha256, md5, size: bytes.length, source: 'images', storedAt: '2026-01-01T00:00:00.000Z'};
		writeFileSync(layout.info(sha1), `${JSON.stringify(info, null, 2)}\n`);
		// As the store writes it: of what a source says, all but channels.
		const kept = {...manifest, channels: undefined};
		writeFileSync(layout.manifest(sha1, uuid, 0), `${JSON.stringify(kept, null, 2)}\n`);
		return {uuid, manifest, text: JSON.stringify(manifest)};
	});
}

export type SourceType = 'imgapi' | 'dsapi';

/** That server under each of these protocols, as a mirror's configuration has it. */
export function sourcesOf(url: string, types: readonly SourceType[]): readonly object[] {
	return types.map(type => ({name: type === 'imgapi' ? 'images' : 'datasets', url, type, listTtl: '1h'}));
}
