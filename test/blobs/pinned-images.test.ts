import {mkdir, readFile, readdir, rename, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {NoSpaceError} from '../../src/errors.js';
import {Layout} from '../../src/blobs/layout.js';
import {PinnedImages} from '../../src/blobs/pinned-images.js';
import type {Uuid} from '../../src/image/manifest.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

const one = '11111111-1111-4111-8111-111111111111' as Uuid;
const two = '22222222-2222-4222-8222-222222222222' as Uuid;

async function startPins(
	t: ExecutionContext,
	root?: string,
): Promise<{pins: PinnedImages; host: TestHost; layout: Layout}> {
	const layout = new Layout(root ?? (await tempDir(t)));
	const host = testHost();
	const pins = new PinnedImages({layout, host});
	await pins.load();
	return {pins, host, layout};
}

test('pins last from when they are said to, with when and by whom', async t => {
	const {pins, layout, host} = await startPins(t);
	t.deepEqual([...pins.list()], []);
	const before = pins.generation;
	t.true(await pins.pin(one, {by: 'ada'}));
	t.not(pins.generation, before);
	await host.clock.advance(1000);
	t.true(await pins.pin(two));
	const generation = pins.generation;
	t.false(await pins.pin(one, {by: 'bob'}), 'who pinned it first stands there');
	t.is(pins.generation, generation);
	t.is(await host.metric('imgmirror_pinned_images'), 2);

	// Nothing was closed.
	const after = await startPins(t, layout.root);
	const atMs = host.clock.now();
	t.deepEqual(
		[...after.pins.list()],
		[
			{uuid: one, atMs: atMs - 1000, by: 'ada'},
			{uuid: two, atMs, by: undefined},
		],
	);
	t.true(after.pins.has(one));
	t.true(await after.pins.unpin(one));
	t.false(await after.pins.unpin(one));
	t.false(after.pins.has(one));
	t.deepEqual(
		[...(await startPins(t, layout.root)).pins.list()].map(({uuid}) => uuid),
		[two],
	);
});

test('pins at once are all there', async t => {
	const {pins, layout} = await startPins(t);
	const uuids = Array.from({length: 20}, (_, at) => `33333333-3333-4333-8333-${String(at).padStart(12, '0')}` as Uuid);
	t.deepEqual(
		await Promise.all(uuids.map(uuid => pins.pin(uuid))),
		uuids.map(() => true),
	);
	const after = await startPins(t, layout.root);
	t.deepEqual([...after.pins.list()].map(({uuid}) => uuid).sort(), uuids);
});

test('a file that cannot be read is kept aside and shouted about, never written over', async t => {
	for (const content of ['{"images": [', '{"images": {}}', '{"images": [{"uuid": "x"}]}', '[]', 'null']) {
		const root = await tempDir(t);
		await writeFile(new Layout(root).pins, content);
		const {pins, host} = await startPins(t, root);
		t.is(host.linesLike({level: 50}).length, 1);
		t.deepEqual([...pins.list()], []);
		t.regex(host.troubles.list().join(), /^which images are pinned cannot be read: pin them anew/);
		await pins.pin(one);
		t.deepEqual(host.troubles.list(), []);
		const aside = (await readdir(root)).find(name => name.includes('unreadable')) ?? '';
		t.is(await readFile(path.join(root, aside), 'utf8'), content);
		t.true((await startPins(t, root)).pins.has(one));
	}
});

test('what the disk does not take is not pinned', async t => {
	const {pins, layout} = await startPins(t);
	await pins.pin(one);
	const away = `${layout.root}-away`;
	await rename(layout.root, away);
	await writeFile(layout.root, 'in the way');
	await t.throwsAsync(pins.pin(two), {instanceOf: NoSpaceError});
	await t.throwsAsync(pins.unpin(one), {instanceOf: NoSpaceError});
	t.false(pins.has(two));
	t.true(pins.has(one));
	await rm(layout.root);
	await rename(away, layout.root);
	t.true(await pins.pin(two));
	t.true((await startPins(t, layout.root)).pins.has(two));
});

test('a folder in its place is moved aside like any other nonsense', async t => {
	const root = await tempDir(t);
	await mkdir(new Layout(root).pins);
	const {pins} = await startPins(t, root);
	t.true(await pins.pin(one));
	t.true((await startPins(t, root)).pins.has(one));
});
