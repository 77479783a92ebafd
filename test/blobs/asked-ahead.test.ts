import {writeFile} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {sha1Of, startStore, type StoreRig} from './start-store.js';

/** A store that has taken a file before, and knows since then how much room there is. */
async function startUsed(t: ExecutionContext): Promise<StoreRig> {
	const rig = await startStore(t);
	const before = makeImage({size: 10_000});
	await rig.fetch(before, [new FakeSupplier('a', before.bytes)]);
	await rig.idle();
	while (!rig.store.keeper.surelyHas(1)) {
		await turn();
	}
	return rig;
}

function turn(): Promise<void> {
	return new Promise(resolve => setImmediate(resolve));
}

test('a new file is asked for while the disk makes ready for it', async t => {
	const rig = await startUsed(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes);
	const partial = rig.store.partial.bind(rig.store);
	rig.store.partial = async wanted => {
		while (a.opened.length === 0) {
			await turn();
		}
		return partial(wanted);
	};
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	await rig.idle();
	t.deepEqual(a.opened, [0]);
	t.is(rig.store.stat(sha1Of(image))?.size, 300_000);
});

test('where more is here than was known, it is asked for what is missing', async t => {
	const rig = await startUsed(t);
	const image = makeImage({size: 300_000});
	await writeFile(rig.layout.partial(image.sha1), image.bytes.subarray(0, 100_000));
	const a = new FakeSupplier('a', image.bytes);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(a.opened, [0, 100_000]);
});

test('where the beginning is known to be here, nothing is asked for twice', async t => {
	const rig = await startUsed(t);
	const image = makeImage({size: 300_000});
	await writeFile(rig.layout.partial(image.sha1), image.bytes.subarray(0, 100_000));
	await rig.store.partialsOnDisk();
	const a = new FakeSupplier('a', image.bytes);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(a.opened, [100_000]);
});

test('where there is no room after all, the client is served past the disk', async t => {
	const rig = await startUsed(t);
	const image = makeImage({size: 300_000});
	rig.store.freeBytes = async () => 10;
	const a = new FakeSupplier('a', image.bytes);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	await rig.idle();
	t.deepEqual(a.opened, [0, 0]);
	t.is(rig.store.stat(sha1Of(image)), undefined);
});

test('a source that fails while the disk makes ready is asked again', async t => {
	const rig = await startUsed(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{cutAt: 0}, {cutAt: 200_000}]);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(a.opened, [0, 0, 200_000]);
});
