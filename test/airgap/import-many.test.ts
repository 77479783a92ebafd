import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import test from 'ava';
import type {ImportEvent} from '../../src/airgap/api.js';
import {tarHeader} from '../../src/airgap/tar-write.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {FakeCarryIn} from './fake-carry-in.js';
import {artifactOf, importBench, indexOf, layoutBytes, pathOf, type ImageSpec} from './import-bundles.js';

const uuid = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** Each tenth is built upon the one before it; all that are in one hundred share an icon. */
function spec(number: number): ImageSpec {
	return {
		uuid: uuid(number),
		name: `image-${number}`,
		files: [pseudoRandom(2000 + (number % 100), number)],
		icon: Buffer.from(`icon ${Math.floor(number / 100)}`),
		...(number % 10 === 9 ? {origin: uuid(number - 1)} : {}),
	};
}

/** Each as it is sent, and no more of them in one piece. */
async function* body(numbers: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
	const made = numbers.map(number => artifactOf(spec(number)));
	const member = (path: string, bytes: Buffer): Buffer =>
		Buffer.concat([tarHeader(path, bytes.length), bytes, Buffer.alloc(-bytes.length & 511)]);
	yield member('oci-layout', layoutBytes);
	yield member('index.json', indexOf(made.map(({entry}) => entry)));
	const sent = new Set<string>();
	for (const {blobs} of made) {
		const fresh = blobs.map(blob => ({path: pathOf(blob), blob})).filter(({path}) => !sent.has(path));
		yield Buffer.concat(fresh.map(({path, blob}) => member(path, blob)));
		for (const {path} of fresh) {
			sent.add(path);
		}
	}
	yield Buffer.alloc(1024);
}

const upTo = (count: number): readonly number[] => Array.from({length: count}, (_, number) => number);

async function heapBytes(): Promise<number> {
	setFlagsFromString('--expose-gc');
	const collect = runInNewContext('gc') as () => void;
	collect();
	await new Promise(resolve => setImmediate(resolve));
	collect();
	return process.memoryUsage().heapUsed;
}

test.serial('five thousand small images come in, and memory hardly grows with them', async t => {
	t.timeout(300_000);
	const count = 5000;
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	const heaps: number[] = [];
	let done = 0;
	let last: ImportEvent | undefined;
	const begunAt = performance.now();
	for await (const event of bench.start(body(upTo(count)))) {
		last = event;
		if (event.what === 'done' && ++done % 1250 === 0) {
			heaps.push(await heapBytes());
		}
	}
	const ms = performance.now() - begunAt;
	t.like(last, {what: 'end', imported: count, failed: 0});
	t.is(carry.visible.length, count);
	t.deepEqual(carry.faults(), []);
	t.true(carry.mostTakesUnderWay <= 8);
	t.true(carry.mostKeepsUnderWay <= 8);
	// Most of that is what the fake itself remembers of each.
	const perImage = ((heaps.at(-1) ?? Infinity) - (heaps[0] ?? 0)) / (count - 1250);
	t.true(perImage < 6000, `${Math.round(perImage)} bytes for each image`);
	t.log(`${Math.round(ms)} ms, ${Math.round(perImage)} bytes for each image`);
});

test.serial('thousands whose origins come after them come in as well', async t => {
	t.timeout(300_000);
	const count = 2000;
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	let last: ImportEvent | undefined;
	for await (const event of bench.start(body([...upTo(count)].reverse()))) {
		last = event;
	}
	t.like(last, {what: 'end', imported: count, failed: 0});
	t.deepEqual(carry.faults(), []);
	const places = new Map(carry.visible.map((name, place) => [name, place]));
	for (let number = 9; number < count; number += 10) {
		t.true((places.get(uuid(number - 1)) ?? Infinity) < (places.get(uuid(number)) ?? 0));
	}
});
