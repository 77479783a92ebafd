import {createHash, randomBytes} from 'node:crypto';
import {mkdir, writeFile} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {watchLoop} from '../../src/blobs/busy-loop.js';
import {Hashing} from '../../src/blobs/hashing.js';
import {LateMd5} from '../../src/blobs/late-md5.js';
import {Layout} from '../../src/blobs/layout.js';
import type {Sha1} from '../../src/image/manifest.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';

const delayMs = 5000;

/** `busy`: what is answered in turn, `false` after that. Blobs are on the disk; `next` resolves with what is told next. */
async function start(t: ExecutionContext, {blobs, busy}: {blobs: number; busy: boolean[]}) {
	const layout = new Layout(await tempDir(t));
	const clock = new ManualClock();
	const hashing = new Hashing();
	t.teardown(() => hashing.close());
	const files = new Map<Sha1, Buffer>();
	for (let made = 0; made < blobs; made++) {
		const bytes = randomBytes(100_000);
		const sha1 = createHash('sha1').update(bytes).digest('hex') as Sha1;
		await mkdir(layout.blobFolder(sha1), {recursive: true});
		await writeFile(layout.blob(sha1), bytes);
		files.set(sha1, bytes);
	}
	const told: string[] = [];
	let tell = (): void => undefined;
	let asked = 0;
	const md5s = new LateMd5({
		...{layout, hashing, host: testHost({clock})},
		sizeOf: sha1 => files.get(sha1)?.length,
		onMd5: async (_sha1, md5) => {
			told.push(md5);
			tell();
		},
		isBusy: () => {
			asked++;
			return busy.shift() ?? false;
		},
	});
	return {
		...{clock, md5s, told},
		asked: () => asked,
		sha1s: [...files.keys()],
		expected: [...files.values()].map(bytes => createHash('md5').update(bytes).digest('hex')),
		async reach(count: number) {
			while (told.length < count) {
				await new Promise<void>(resolve => {
					tell = resolve;
				});
			}
		},
	};
}

test('a mirror that is busy has its MD5s later', async t => {
	// Asked at the beginning of each delay, which says nothing, and at its end.
	const rig = await start(t, {blobs: 2, busy: [true, true, false, true, true, false, true, false]});
	for (const sha1 of rig.sha1s) {
		rig.md5s.add(sha1);
	}
	await rig.clock.advance(delayMs);
	t.is(rig.asked(), 3, 'it is busy, and another delay has begun');
	await rig.clock.advance(delayMs);
	t.is(rig.asked(), 5);
	t.deepEqual(rig.told, []);
	await rig.clock.advance(delayMs);
	await rig.reach(1);
	while (rig.asked() < 8) {
		await new Promise(resolve => setImmediate(resolve));
	}
	t.is(rig.told.length, 1, 'it is busy again after the first');
	await rig.clock.advance(delayMs);
	await rig.reach(2);
	t.deepEqual(rig.told, rig.expected);
});

test('a mirror that is always busy has its MD5s after ten minutes', async t => {
	const rig = await start(t, {blobs: 3, busy: Array<boolean>(1000).fill(true)});
	for (const sha1 of rig.sha1s) {
		rig.md5s.add(sha1);
	}
	await rig.clock.advance(600_000 - 1);
	t.deepEqual(rig.told, []);
	await rig.clock.advance(1);
	await rig.reach(3);
	t.deepEqual(rig.told, rig.expected);
});

test('what is stored after the others were done has its turn', async t => {
	const rig = await start(t, {blobs: 2, busy: []});
	for (const [before, sha1] of rig.sha1s.entries()) {
		rig.md5s.add(sha1);
		await rig.clock.advance(delayMs);
		await rig.reach(before + 1);
		await new Promise(resolve => setImmediate(resolve));
	}
	t.deepEqual(rig.told, rig.expected);
});

test('the event loop is busy when it has hardly waited', async t => {
	const isBusy = watchLoop();
	for (let turns = 0; turns < 20; turns++) {
		await new Promise(resolve => setImmediate(resolve));
		createHash('sha1').update(Buffer.alloc(1_000_000)).digest();
	}
	t.true(isBusy());
});
