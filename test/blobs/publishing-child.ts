/**
 * A process that stores files as publishing does, until it is killed: a blob, then the record that names it.
 *
 * `node publishing-child.js DATA`. Says on stdout what is to outlive it, a line each: `begun ID`, `sent ID BYTES`,
 * `blob SHA1`, `kept SHA1`, `gone SHA1`.
 */
import {randomUUID} from 'node:crypto';
import {writeSync} from 'node:fs';
import path from 'node:path';
import {Hashing} from '../../src/blobs/hashing.js';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import {DiskStore} from '../../src/blobs/store.js';
import {systemClock} from '../../src/host.js';
import {makeImage} from '../helpers/make-image.js';
import {testHost} from '../helpers/test-host.js';
import {most, sent} from './sending.js';

const layout = new Layout(process.argv[2] ?? '');
const store = new DiskStore({
	layout,
	host: testHost({clock: systemClock}),
	hashing: new Hashing(),
	quarantine: {keepForMs: 1e9, maxBytes: 1e9},
});
await prepareLayout(layout);
await store.load();

function say(what: string): void {
	writeSync(1, `${what}\n`);
}

/** A new image each time: sent in two goes, committed, recorded; every second one is deleted again. */
async function publish(number: number): Promise<void> {
	const image = makeImage({size: 150_000, seed: Math.floor(Math.random() * 1e9)});
	const id = randomUUID();
	await store.writeRecord(layout.uploadInfo(id), '{}');
	const begun = await store.upload({id, size: image.size, maxBytes: most});
	say(`begun ${id}`);
	await begun.append([image.bytes.subarray(0, 70_000)]);
	say(`sent ${id} ${begun.written}`);
	await begun.close();
	const upload = await sent(store, image.bytes, id);
	const {sha1} = await store.commitUpload(upload, {source: 'local', storedAtMs: 0, pinnedBy: id});
	await store.removeRecord(layout.uploadInfo(id));
	say(`blob ${sha1}`);
	const record = path.join(layout.published, `${sha1}.json`);
	await store.writeRecord(record, JSON.stringify({sha1, md5: image.md5, size: image.size}));
	if (number % 2 === 0) {
		say(`kept ${sha1}`);
		return;
	}
	await store.removeRecord(record);
	say(`gone ${sha1}`);
	await store.release(sha1, id);
}

for (let number = 0; ; number += 2) {
	await Promise.all([publish(number), publish(number + 1)]);
}
