/**
 * One image on its way into a server: made or described, sent, compared, activated.
 *
 * Every step is tried again while the network or the server is in trouble. What it leaves behind when it fails is the
 * caller's to decide: `resumable` says how to go on, `undo` takes all of it back.
 */
import type {Clock} from '../host.js';
import {MirrorError} from '../errors.js';
import type {JsonObject} from '../image/manifest.js';
import {AnswerError} from './client-errors.js';
import type {SaidOfFile} from './image-flags.js';
import {metadataOf} from './image-metadata.js';
import {Patience} from './patience.js';
import type {Progress} from './progress.js';
import type {Server} from './reach.js';
import {Transfer} from './transfer.js';
import {Tus} from './tus.js';
import type {UploadBytes} from './upload-bytes.js';
import type {UploadState} from './upload-state.js';
import {humanBytes} from './words.js';

export interface PublicationOptions {
	readonly server: Server;
	readonly clock: Clock;
	readonly signal: AbortSignal;
	readonly bytes: UploadBytes;
	readonly progress: Progress;
	readonly manifest: JsonObject;
	readonly commonNetworks: boolean;
	readonly file: SaidOfFile & {readonly compression: string};
	readonly icon: {readonly bytes: Buffer; readonly contentType: string} | undefined;
	readonly channel: string | undefined;
	readonly activate: boolean;
	readonly retryForMs: number;
	/** `undefined`: nobody goes on with it later. */
	readonly state: {readonly state: UploadState; readonly about: Readonly<Record<string, unknown>>} | undefined;
	readonly random?: () => number;
}

export class Publication {
	readonly #options: PublicationOptions;
	readonly #patience: Patience;
	readonly #query: string;
	#transfer: Transfer | undefined;
	#remembered = false;
	/** Made by this command, now or in an earlier run. */
	#image: string | undefined;

	constructor(options: PublicationOptions) {
		this.#options = options;
		const {clock, retryForMs, progress, signal, channel, random = Math.random} = options;
		this.#patience = new Patience({clock, random, forMs: retryForMs, say: text => progress.say(text), signal});
		this.#query = channel === undefined ? '' : `channel=${encodeURIComponent(channel)}`;
	}

	/** Resolves with the manifest of the image as the server has it. */
	async run(): Promise<JsonObject> {
		const {bytes, progress, state, manifest, commonNetworks} = this.#options;
		const before = await this.#recall();
		this.#image = before?.image;
		const described = this.#image === undefined ? metadataOf(manifest, {leaveOutNetworks: commonNetworks}) : undefined;
		if (this.#image === undefined && described === undefined) {
			this.#image = await this.#makeImage();
		}
		progress.start(bytes.size);
		const {server, signal} = this.#options;
		const transfer = new Transfer({
			tus: new Tus({client: server.client, signal}),
			bytes,
			metadata: this.#metadata(described),
			patience: this.#patience,
			begun: before?.upload,
			onBegun: async id => {
				if (state !== undefined) {
					const made = this.#image === undefined ? {} : {image: this.#image};
					this.#remembered = await state.state.remember({upload: id, ...made}, state.about);
				}
			},
			onProgress: done => {
				progress.update(done);
			},
			say: text => {
				progress.say(text);
			},
		});
		this.#transfer = transfer;
		this.#remembered = before !== undefined;
		this.#image = await transfer.run();
		const image = await this.#complete(this.#image);
		await state?.state.forget();
		return image;
	}

	/** How a later run can go on; `undefined`: it cannot. */
	get resumable(): string | undefined {
		const {bytes, server} = this.#options;
		if (!this.#remembered || !bytes.rereadable || this.#transfer?.id === undefined) {
			return undefined;
		}
		const {expires} = this.#transfer;
		const until = expires === undefined ? 'for some days' : `until ${expires}`;
		return `${server.client.target.shown} keeps what it has ${until}: run the same command again to go on`;
	}

	/** Takes back what was made, as far as the server can be had. Resolves with what there is to say of it. */
	async undo(): Promise<string> {
		const {server, state} = this.#options;
		const upload = this.#transfer?.id;
		const left: string[] = [];
		const attempt = async (what: string, run: () => Promise<unknown>): Promise<void> => {
			try {
				await run();
			} catch (error) {
				// What is not there needs no taking back.
				if (!(error instanceof AnswerError) || error.status !== 404) {
					left.push(what);
				}
			}
		};
		if (upload !== undefined) {
			await attempt(`upload ${upload}`, () => new Tus({client: server.client}).remove(upload));
		}
		if (this.#image !== undefined) {
			const path = this.#path(this.#image);
			await attempt(`image ${this.#image}`, () => server.client.call({method: 'DELETE', path}));
		}
		await state?.state.forget();
		return left.length === 0
			? 'nothing was published'
			: `nothing was published, but the server may still have ${left.join(' and ')}`;
	}

	async #recall(): Promise<{upload: string; image?: string} | undefined> {
		const {state, server, progress} = this.#options;
		const before = await state?.state.recall();
		if (before?.image !== undefined) {
			const path = this.#path(before.image);
			try {
				await this.#patience.until(() => server.client.json({path, signal: this.#options.signal}));
			} catch (error) {
				if (error instanceof AnswerError && error.status === 404) {
					return undefined;
				}
				throw error;
			}
		}
		if (before !== undefined) {
			progress.say('going on with what an earlier run has begun');
		}
		return before;
	}

	/** For manifests that say more than an upload's metadata can. */
	async #makeImage(): Promise<string> {
		const {manifest, server, signal} = this.#options;
		const {uuid} = manifest;
		const path =
			typeof uuid === 'string' ? this.#path(uuid, 'action=import') : `/images${this.#query && `?${this.#query}`}`;
		// Whether it was made is not known where the answer is lost, so it is not asked for twice.
		const made = await server.client.json({method: 'POST', path, body: manifest, signal});
		return String(made['uuid']);
	}

	#metadata(described: ReadonlyMap<string, string> | undefined): ReadonlyMap<string, string> {
		const {file, channel} = this.#options;
		const image = this.#image;
		return new Map([
			// Activated when it has been compared.
			...(image === undefined ? [...(described ?? []), ['activate', 'false'] as const] : [['image', image] as const]),
			['compression', file.compression] as const,
			...(file.sha1 === undefined ? [] : [['sha1', file.sha1] as const]),
			...(channel === undefined ? [] : [['channel', channel] as const]),
		]);
	}

	/** All that is left when the server has the bytes. */
	async #complete(uuid: string): Promise<JsonObject> {
		const {server, signal, bytes, icon, activate, progress} = this.#options;
		const {client} = server;
		const sha1 = await bytes.sha1();
		let image = await this.#patience.until(() => client.json({path: this.#path(uuid), signal}));
		const stored = storedFile(image);
		if (stored.sha1 !== sha1 || stored.size !== bytes.size) {
			throw new MirrorError(
				`the server holds other bytes than were sent: ${humanBytes(stored.size)} with SHA-1 ${stored.sha1}, ` +
					`not ${humanBytes(bytes.size ?? 0)} with ${sha1}`,
			);
		}
		progress.update(stored.size);
		if (icon !== undefined) {
			const headers = {'content-type': icon.contentType};
			const path = this.#path(uuid, '', '/icon');
			await this.#patience.until(() => client.call({method: 'PUT', path, headers, body: icon.bytes, signal}));
			image = await this.#patience.until(() => client.json({path: this.#path(uuid), signal}));
		}
		if (activate && image['state'] === 'unactivated') {
			image = await this.#patience.until(() => this.#activate(uuid));
		}
		return image;
	}

	async #activate(uuid: string): Promise<JsonObject> {
		const {server, signal} = this.#options;
		try {
			return await server.client.json({method: 'POST', path: this.#path(uuid, 'action=activate'), body: {}, signal});
		} catch (error) {
			// By the try before, whose answer was lost.
			if (error instanceof AnswerError && error.reason === 'ImageAlreadyActivated') {
				return server.client.json({path: this.#path(uuid), signal});
			}
			throw error;
		}
	}

	#path(uuid: string, query = '', below = ''): string {
		const all = [query, this.#query].filter(part => part !== '').join('&');
		return `/images/${uuid}${below}${all === '' ? '' : `?${all}`}`;
	}
}

function storedFile(image: JsonObject): {readonly sha1: string; readonly size: number} {
	const files = image['files'];
	const file: unknown = Array.isArray(files) ? files[0] : undefined;
	const {sha1, size} = (typeof file === 'object' && file !== null ? file : {}) as JsonObject;
	return {sha1: typeof sha1 === 'string' ? sha1 : 'none', size: typeof size === 'number' ? size : 0};
}
