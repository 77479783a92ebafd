/**
 * Our own images and who may make them, put together: access, the publish area, servers that clients name, the drop
 * folder.
 *
 * `assemble.ts` loads it before the catalog starts, configures it anew on SIGHUP, and stops it before the store.
 */
import {Access, type AccessSettings} from './access/access.js';
import type {Layout} from './blobs/layout.js';
import type {DiskStore} from './blobs/store.js';
import type {SourceSet} from './assemble-sources.js';
import type {Config} from './config.js';
import type {Host} from './host.js';
import {Adoption} from './publish/adopt.js';
import {DropFolder} from './publish/drop-folder.js';
import type {PublishSettings, Upstream} from './publish/internal.js';
import {Publisher} from './publish/publisher.js';
import {ClientNamedServers} from './sources/remote-servers.js';

interface PublishingParts {
	readonly host: Host;
	readonly layout: Layout;
	readonly store: DiskStore;
	readonly sources: SourceSet;
	readonly userAgent: string;
	readonly instanceId: string;
	readonly upstream: Upstream;
	readonly changed: () => Promise<void>;
}

export class Publishing {
	readonly publisher: Publisher;
	readonly access: Access;
	readonly #host: Host;
	readonly #layout: Layout;
	readonly #remote: ClientNamedServers;
	readonly #adoption: Adoption;
	#config: Config;
	#dropFolder: DropFolder | undefined;

	constructor(config: Config, parts: PublishingParts) {
		const {host, layout, store, sources, userAgent, instanceId, upstream, changed} = parts;
		this.#host = host;
		this.#layout = layout;
		this.#config = config;
		this.access = new Access({
			host,
			usersFile: layout.users,
			keysFolder: layout.keys,
			settings: accessSettings(config),
		});
		this.#remote = new ClientNamedServers({
			...{host, userAgent, instanceId, environment: config.environment},
			settings: {allow: config.access.fetchFrom},
			configured: () => sources.list(),
		});
		this.publisher = new Publisher({
			...{host, layout, store, upstream, changed},
			remote: this.#remote,
			settings: publishSettings(config),
		});
		this.#adoption = new Adoption({host, store, upstream, writes: this.publisher.writes});
	}

	async load(): Promise<void> {
		await this.access.reload();
		await this.publisher.load();
		this.#openDropFolder();
	}

	async configure(config: Config): Promise<void> {
		const before = this.#config;
		this.#config = config;
		this.access.setSettings(accessSettings(config));
		await this.access.reload();
		this.#remote.setSettings({allow: config.access.fetchFrom});
		await this.publisher.setSettings(publishSettings(config));
		if (before.publish.dropFolder !== config.publish.dropFolder) {
			await this.#dropFolder?.stop();
			this.#openDropFolder();
		}
	}

	async sweep(): Promise<void> {
		await this.publisher.sweep();
	}

	async stop(): Promise<void> {
		await this.#dropFolder?.stop();
		await this.publisher.close();
	}

	#openDropFolder(): void {
		const {dropFolder: folder} = this.#config.publish;
		const parts = {host: this.#host, layout: this.#layout, adoption: this.#adoption};
		this.#dropFolder = folder === undefined ? undefined : new DropFolder({...parts, folder});
		this.#dropFolder?.start();
	}
}

function publishSettings({mode, channels, publish}: Config): PublishSettings {
	const {maxFileBytes, resumableForMs} = publish;
	return {mode, channels, maxFileBytes, resumableForMs};
}

function accessSettings({access, http}: Config): AccessSettings {
	return {...access, sessionMs: http.sessionMs};
}
