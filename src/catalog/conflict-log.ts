/**
 * Says once of each conflict between sources what it is, and not everything when there are many.
 */
import type {Host} from '../host.js';
import type {Conflict} from './merge.js';

/** Lines at a time; the rest is in the status. */
const mostLines = 20;
const mostRemembered = 10_000;

export class ConflictLog {
	readonly #host: Host;
	readonly #said = new Set<string>();

	constructor(host: Host) {
		this.#host = host;
	}

	write(conflicts: readonly Conflict[]): void {
		const {log} = this.#host;
		let lines = 0;
		for (const {uuid, name, version, sources} of conflicts) {
			const opinions = sources.map(source => `${source.name} says ${source.sha1}`).join(', ');
			const key = `${uuid} ${opinions}`;
			if (this.#said.has(key)) {
				continue;
			}
			if (lines === mostLines) {
				log.warn(`${conflicts.length} images in all have different files in different sources: see the status`);
				return;
			}
			lines++;
			if (this.#said.size === mostRemembered) {
				this.#said.clear();
			}
			this.#said.add(key);
			log.warn(
				{image: uuid},
				`image ${uuid} (${name} ${version}) has different files in different sources: ${opinions}`,
			);
		}
	}
}
