/**
 * A process that has a blob and then opens as many files as it may, and the blob as the last of them.
 *
 * `node opening-child.js DATA`. Says on stdout what comes of that, and of the same when the others are closed.
 */
import {closeSync, openSync} from 'node:fs';
import {Hashing} from '../../src/blobs/hashing.js';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import {DiskStore} from '../../src/blobs/store.js';
import {codeOf} from '../../src/errors.js';
import {systemClock} from '../../src/host.js';
import {makeImage} from '../helpers/make-image.js';
import {testHost} from '../helpers/test-host.js';
import {stored} from './sending.js';

const layout = new Layout(process.argv[2] ?? '');
const hashing = new Hashing();
const store = new DiskStore({
	layout,
	host: testHost({clock: systemClock}),
	hashing,
	quarantine: {keepForMs: 1e9, maxBytes: 1e9},
});
await prepareLayout(layout);
await store.load();
const {sha1} = await stored(store, makeImage({size: 1000}).bytes);

async function outcome(): Promise<string> {
	try {
		const handle = await store.open(sha1);
		await handle?.close();
		return handle === undefined ? 'gone' : 'open';
	} catch (error) {
		return codeOf(error) ?? String(error);
	}
}

const others: number[] = [];
try {
	for (;;) {
		others.push(openSync('/dev/null', 'r'));
	}
} catch {
	// Now there are as many as there may be.
}
const first = await outcome();
for (const fd of others) {
	closeSync(fd);
}
process.stdout.write(`${first} ${await outcome()}\n`);
await store.close();
await hashing.close();
