/**
 * Any source, its file streams held to a bandwidth limit.
 *
 * Only where a limit is configured: without one there is nothing in the bytes' way.
 */
import type {Manifest, Uuid} from '../image/manifest.js';
import type {Ask, FileAt, FileBody, Icon, ListEnd, Source} from './source.js';
import type {Throttle} from './throttle.js';

export class ThrottledSource implements Source {
	readonly #source: Source & {distrust?(uuid: Uuid): void};
	readonly #throttle: Throttle;

	constructor(source: Source & {distrust?(uuid: Uuid): void}, throttle: Throttle) {
		this.#source = source;
		this.#throttle = throttle;
	}

	get name(): string {
		return this.#source.name;
	}

	get kind(): Source['kind'] {
		return this.#source.kind;
	}

	list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		return this.#source.list(ask);
	}

	find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		return this.#source.find(uuid, ask);
	}

	async openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody> {
		const body = await this.#source.openFile(image, index, at, ask);
		return {...body, stream: this.#throttle.limit(body.stream)};
	}

	readIcon(image: Manifest, ask: Ask): Promise<Icon | undefined> {
		return this.#source.readIcon(image, ask);
	}

	distrust(uuid: Uuid): void {
		this.#source.distrust?.(uuid);
	}

	close(): Promise<void> {
		return this.#source.close();
	}
}
