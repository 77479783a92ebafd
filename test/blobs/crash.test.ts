import {mkdir, readFile, readdir, writeFile} from 'node:fs/promises';
import test from 'ava';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {sha1Of, startStore} from './start-store.js';

const image = makeImage({size: 100_000});
const sha1 = sha1Of(image);
const wrong = Buffer.from(image.bytes).fill(1, 50, 60);
const info = (size: number): string =>
	JSON.stringify({sha1, size, sha256: image.sha256, md5: image.md5, source: 'a', storedAt: '2026-01-01T00:00:00Z'});

const blobs = {none: undefined, cut: image.bytes.subarray(0, 40_000), longer: Buffer.concat([wrong, wrong])};
const partials = {none: undefined, whole: image.bytes, begun: image.bytes.subarray(0, 10), wrong};
const infos = {none: undefined, empty: '', whole: info(100_000), other: info(99)};

for (const [blobIs, blob] of Object.entries(blobs)) {
	for (const [partialIs, partial] of Object.entries(partials)) {
		test(`found at the start: the file ${blobIs}, its partial ${partialIs}, any info: never served, soon right`, async t => {
			for (const [infoIs, content] of Object.entries(infos)) {
				const root = await tempDir(t);
				const layout = new Layout(root);
				await prepareLayout(layout);
				await mkdir(layout.blobFolder(sha1));
				const left = `${layout.info(sha1)}.0a0b0c0d.new`;
				await writeFile(left, '{"sha1');
				for (const [file, bytes] of [
					[layout.blob(sha1), blob],
					[layout.partial(sha1), partial],
					[layout.info(sha1), content],
				] as const) {
					if (bytes !== undefined) {
						await writeFile(file, bytes);
					}
				}
				const rig = await startStore(t, {root});
				t.is(rig.store.stat(sha1), undefined, infoIs);

				const a = new FakeSupplier('a', image.bytes);
				const first = await rig.fetch(image, [a]).catch(() => 'cut off');
				t.true(first === 'cut off' || image.bytes.equals(Buffer.from(first)), infoIs);
				await rig.idle();
				t.true((await readFile(layout.blob(sha1))).equals(image.bytes), infoIs);
				t.deepEqual(await readdir(layout.partials), [], infoIs);
				await t.throwsAsync(readFile(left), {code: 'ENOENT'});
				await rig.close();
			}
		});
	}
}
