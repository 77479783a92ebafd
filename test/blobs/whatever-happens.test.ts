import {readFile} from 'node:fs/promises';
import fc from 'fast-check';
import test from 'ava';
import {NoSpaceError, SourceUnavailableError} from '../../src/errors.js';
import type {DiskStore} from '../../src/blobs/store.js';
import {FakeSupplier, absent, type Step} from '../helpers/fake-supplier.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {settle} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';
import {startStore, wantedOf, type StoreRig} from './start-store.js';

const share = fc.nat(1000).map(thousandths => thousandths / 1000);
const sizes = fc.constantFrom(0, 1, 4097, 65_535, 65_536, 65_537, 131_073, 262_144, 1_048_575, 1_048_576, 1_048_577);

const mishap = fc.record({
	kind: fc.constantFrom('none', 'cut', 'end', 'wrong', 'size', 'refuse', 'leap', 'unsaid', 'absent'),
	at: share,
	ignoreRange: fc.boolean(),
	etag: fc.constantFrom(undefined, '"a"', '"b"'),
});

const client = fc.record({
	start: fc.oneof(fc.constant(0), share),
	length: fc.oneof(fc.constant(1), share),
	/** Hangs up after this much of what it asked for. */
	leaves: fc.option(share, {freq: 4}),
	comesAfter: fc.nat(10),
});

interface Client {
	readonly start: number;
	readonly length: number;
	readonly leaves: number | null;
	readonly comesAfter: number;
}

interface Mishap {
	readonly kind: string;
	readonly at: number;
	readonly ignoreRange: boolean;
	readonly etag: string | undefined;
}

function stepOf(image: TestImage, {kind, at, ignoreRange, etag}: Mishap): Step {
	const where = Math.floor(at * Math.max(0, image.size - 1));
	const base: Step = {ignoreRange, ...(etag === undefined ? {} : {etag})};
	const wrong = Buffer.from(image.bytes);
	wrong.fill(~(wrong[where] ?? 0), where, Math.min(where + 1, wrong.length));
	const others: Readonly<Record<string, Step>> = {
		cut: {...base, cutAt: where},
		end: {...base, endAt: where},
		wrong: {...base, bytes: wrong},
		size: {...base, size: image.size + 1},
		refuse: {refuse: new SourceUnavailableError('it', 'refused')},
		leap: {...base, leap: 1},
		unsaid: {...base, size: undefined, bytes: Buffer.concat([image.bytes, Buffer.alloc(where)])},
		absent,
	};
	return others[kind] ?? base;
}

/** As on a disk that is full once so many bytes of a file are on it. */
function fillUp(store: DiskStore, bytes: number): void {
	const open = store.partial.bind(store);
	store.partial = async wanted => {
		const partial = await open(wanted);
		const write = partial.write.bind(partial);
		partial.write = async chunks => {
			if (partial.written + chunks.reduce((sum, chunk) => sum + chunk.length, 0) > bytes) {
				throw new NoSpaceError('full');
			}
			return write(chunks);
		};
		return partial;
	};
}

/** Throws if a client is handed a range to its end that is wrong, and could be the end of a whole file. */
async function visit(rig: StoreRig, image: TestImage, suppliers: readonly FakeSupplier[], how: Client): Promise<void> {
	for (let turns = 0; turns < how.comesAfter; turns++) {
		await settle();
	}
	const start = Math.floor(how.start * image.size);
	const end = start + Math.floor(how.length * (image.size - start));
	const {follower} = rig.flights.join({
		wanted: wantedOf(image),
		suppliers: () => suppliers,
		start,
		end,
		onStored: async () => undefined,
	});
	const into = Buffer.alloc(40_000);
	const parts: Buffer[] = [];
	let got = 0;
	try {
		await follower.begin(new AbortController().signal);
		for (;;) {
			if (how.leaves !== null && got >= how.leaves * (end - start)) {
				return;
			}
			const bytes = await follower.read(into);
			if (bytes === 0) {
				break;
			}
			parts.push(Buffer.from(into.subarray(0, bytes)));
			got += bytes;
		}
	} catch {
		// Cut off, or told what is wrong: that is allowed.
		return;
	} finally {
		follower.close();
	}
	if (got !== end - start) {
		throw new Error('a reader was told that all is there, and it is not');
	}
	if (end === image.size && !Buffer.concat(parts).equals(image.bytes.subarray(start))) {
		throw new Error('a reader has a wrong file whole');
	}
}

test('whatever happens, nobody has a wrong file whole, nothing wrong is kept, nothing hangs or is left behind', async t => {
	await fc.assert(
		fc.asyncProperty(
			sizes,
			fc.array(fc.array(mishap, {maxLength: 5}), {minLength: 1, maxLength: 3}),
			fc.array(client, {minLength: 1, maxLength: 6}),
			fc.option(share),
			fc.constantFrom(0, 100_000, Infinity),
			fc.boolean(),
			async (size, scripts, clients, fullAt, finishAbandonedBytes, withSha1) => {
				const image = makeImage(withSha1 ? {size} : {size, claimedSha1: undefined, withMd5: true});
				const rig = await startStore(
					{teardown: () => undefined},
					{limits: {finishAbandonedBytes}, root: await tempDir(t)},
				);
				if (fullAt !== null) {
					fillUp(rig.store, fullAt * size);
				}
				const suppliers = scripts.map(
					(script, number) =>
						new FakeSupplier(
							`supplier-${number}`,
							image.bytes,
							script.map(step => stepOf(image, step)),
						),
				);
				try {
					await Promise.all(clients.map(how => visit(rig, image, suppliers, how)));
					await rig.idle();
					await rig.flights.suspend();
					t.is(await rig.host.metric('imgmirror_followers'), 0);
					for (const {sha1} of rig.store.list()) {
						t.true((await readFile(rig.layout.blob(sha1))).equals(image.bytes));
					}
				} finally {
					await rig.close();
				}
			},
		),
		{numRuns: 60, endOnFailure: true, includeErrorInReport: true},
	);
	t.pass();
});
