/**
 * One save at a time, and never one too few: what changes while it runs is saved after it.
 *
 * Whoever has something to store calls `save` and goes on; `run` takes the state as it is when it begins.
 */
export class Saver {
	readonly #run: (changed: boolean) => Promise<void>;
	#running: Promise<void> | undefined;
	#next: {changed: boolean} | undefined;

	/** `run` is told whether any of the calls that it stands for said `changed`. It must not reject. */
	constructor(run: (changed: boolean) => Promise<void>) {
		this.#run = run;
	}

	save(changed: boolean): void {
		this.#next = {changed: changed || this.#next?.changed === true};
		this.#start();
	}

	/** Resolves when everything is saved, or could not be. */
	async done(): Promise<void> {
		while (this.#running !== undefined) {
			await this.#running;
		}
	}

	#start(): void {
		if (this.#next === undefined || this.#running !== undefined) {
			return;
		}
		const {changed} = this.#next;
		this.#next = undefined;
		this.#running = this.#run(changed).finally(() => {
			this.#running = undefined;
			this.#start();
		});
	}
}
