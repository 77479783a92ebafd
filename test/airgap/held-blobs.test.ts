import test from 'ava';
import {HeldBlobs} from '../../src/airgap/held-blobs.js';
import type {Spool} from '../../src/airgap/spool.js';
import {NoSpaceError} from '../../src/errors.js';

const smallBytes = 64 * 1024;
/** As many of them as are held in memory. */
const most = 256;
const noDisk: Spool = {
	create: () => Promise.reject(new NoSpaceError('there is no disk')),
	close: () => Promise.resolve(),
};

async function* body(): AsyncGenerator<Buffer, void, undefined> {
	yield Buffer.alloc(smallBytes);
}

test('small blobs are held in memory while there is room, which is free again when they are dropped', async t => {
	const held = new HeldBlobs(noDisk);
	for (let number = 0; number < 2 * most; number++) {
		await held.keep(`sha256:${number}`, smallBytes, body());
		await held.drop(`sha256:${number}`);
		t.false(held.has(`sha256:${number}`));
	}
	for (let number = 0; number < most; number++) {
		await held.keep(`sha256:${number}`, smallBytes, body());
	}
	t.is(held.get('sha256:0')?.size, smallBytes);
	await t.throwsAsync(held.keep('sha256:more', smallBytes, body()), {instanceOf: NoSpaceError});
	t.throws(() => held.get('sha256:more'), {instanceOf: NoSpaceError, message: /came too early .*: there is no disk$/});
	t.true(held.has('sha256:more'));
	await held.drop('sha256:more');
	t.is(held.get('sha256:more'), undefined);
});
