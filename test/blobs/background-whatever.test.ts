import {readFile} from 'node:fs/promises';
import {Readable} from 'node:stream';
import fc from 'fast-check';
import test from 'ava';
import {Flights} from '../../src/blobs/flights.js';
import type {Supplier, SupplierBody, SupplyAt} from '../../src/blobs/supply.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {settle} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {readAll, sha1Of, startStore, wantedOf} from './start-store.js';

const nothing = async (): Promise<void> => undefined;

/** Gives clients what they ask for, and stands still for everybody else until it is told not to. */
class ClientsOnly implements Supplier {
	readonly name = 'source';
	readonly doubtful = false;
	/** Where in the file each stream began. */
	readonly opened: number[] = [];
	forAll = false;
	readonly #image: TestImage;

	constructor(image: TestImage) {
		this.#image = image;
	}

	async open(at: SupplyAt): Promise<SupplierBody> {
		this.opened.push(at.offset);
		return {
			stream: Readable.from(this.#chunks(at), {objectMode: false}),
			...{offset: at.offset, size: this.#image.size, etag: undefined, contentMd5: undefined},
		};
	}

	mark(): void {
		throw new Error('nothing here is wrong');
	}

	async *#chunks({offset, yielding}: SupplyAt): AsyncGenerator<Buffer> {
		for (let at = offset; at < this.#image.size; at += 10_000) {
			// A third of it comes all the same.
			while (at > this.#image.size / 3 && yielding?.background === true && !this.forAll) {
				await new Promise(resolve => setImmediate(resolve));
			}
			yield this.#image.bytes.subarray(at, at + 10_000);
		}
	}
}

const step = fc.record({
	what: fc.constantFrom('fetch', 'paced', 'join', 'leave', 'abort', 'wait', 'settle'),
	file: fc.nat(3),
});

test('clients never wait for what is fetched ahead; whatever comes and goes, every byte is had once and all is right', async t => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(step, {minLength: 1, maxLength: 25}),
			fc.integer({min: 1, max: 3}),
			fc.integer({min: 1, max: 2}),
			fc.constantFrom(0, Infinity),
			async (steps, concurrent, background, finishAbandonedBytes) => {
				const rig = await startStore({teardown: () => undefined}, {root: await tempDir(t)});
				const host = testHost();
				const limits = {concurrent, background, finishAbandonedBytes, retries: 0};
				const flights = new Flights({store: rig.store, host, limits});
				const files = [0, 1, 2, 3].map(() => {
					const image = makeImage({size: 90_000});
					return {image, supplier: new ClientsOnly(image)};
				});
				const aborts: {readonly file: number; readonly controller: AbortController; readonly end: Promise<string>}[] =
					[];
				const clients: Promise<void>[] = [];
				let left = new Set<number>();
				try {
					for (const {what, file} of steps) {
						const chosen = files[file];
						if (chosen === undefined) {
							throw new Error('no such file');
						}
						const {image, supplier} = chosen;
						const options = {
							...{wanted: wantedOf(image), suppliers: () => [supplier]},
							onStored: nothing,
						};
						if (what === 'fetch' || what === 'paced') {
							const controller = new AbortController();
							const pace = what === 'paced' ? settle : undefined;
							const end = flights.fetch({...options, pace, signal: controller.signal});
							aborts.push({file, controller, end: end.catch((error: unknown) => String(error))});
						} else if (what === 'join' || what === 'leave') {
							const {follower} = flights.join({...options, start: 0, end: image.size});
							if (what === 'leave') {
								left = left.add(file);
								follower.close();
								continue;
							}
							clients.push(
								readAll(follower).then(bytes => {
									follower.close();
									if (!bytes.equals(image.bytes)) {
										throw new Error('a client has another file');
									}
								}),
							);
						} else if (what === 'abort') {
							aborts.find(one => one.file === file && !one.controller.signal.aborted)?.controller.abort('left');
							left = left.add(file);
						} else if (what === 'wait') {
							await host.clock.advance(31_000);
							left = new Set([0, 1, 2, 3]);
						} else {
							await settle();
						}
					}
					// Nothing has moved on for those whom nobody waits for.
					await Promise.all(clients);
					for (const {supplier} of files) {
						supplier.forAll = true;
					}
					for (const {end, controller} of aborts) {
						const came = await end;
						if (!controller.signal.aborted && came !== 'fetched' && came !== 'there') {
							throw new Error(`what was to be fetched ahead came to ${came}`);
						}
					}
					await flights.suspend();
					for (const [number, {image, supplier}] of files.entries()) {
						const {opened} = supplier;
						if (!left.has(number) && opened.length > 1) {
							throw new Error(`a source was asked ${opened.length} times for one file`);
						}
						// Gone on with, never begun again.
						t.deepEqual(
							opened,
							[...opened].sort((a, b) => a - b),
						);
						t.is(opened.indexOf(0), opened.lastIndexOf(0) === -1 ? -1 : 0);
						const held = rig.store.stat(sha1Of(image));
						t.true(held === undefined || (await readFile(rig.layout.blob(sha1Of(image)))).equals(image.bytes));
					}
					t.is(host.clock.pending, 0);
					t.is(await host.metric('imgmirror_transfers_running'), 0);
					t.is(await host.metric('imgmirror_transfers_waiting'), 0);
				} finally {
					await flights.suspend();
					await rig.close();
				}
			},
		),
		{numRuns: 80, endOnFailure: true, includeErrorInReport: true},
	);
	t.pass();
});
