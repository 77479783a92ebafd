/**
 * Plans taken in from the wire, and what the far side has according to a bundle.
 */
import {createHash} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import {join} from 'node:path';
import {rm, writeFile} from 'node:fs/promises';
import test from 'ava';
import fc from 'fast-check';
import type {PlanEvent, PlannedBlob} from '../../src/airgap/api.js';
import {haveOfBundle} from '../../src/airgap/have-of-bundle.js';
import {parseHave} from '../../src/airgap/have.js';
import {openBundle} from '../../src/airgap/open-bundle.js';
import {PackedTexts} from '../../src/airgap/packed-texts.js';
import {folderSpool} from '../../src/airgap/spool.js';
import {PlanCollector, entryBytes} from '../../src/airgap/write-plan.js';
import {IntegrityError} from '../../src/errors.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {makeBundle} from './make-bundle.js';
import {eventsOf, planOf} from './write-bench.js';

const icon = Buffer.from('89504e470d0a1a0a00fffe80', 'hex');
const base = makeImage({size: 500, name: 'base'});
const child = makeImage({size: 300, name: 'child', origin: base, icon});

const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

test('a plan has the entries of the tar, and gives back the bytes that were told', t => {
	const bundle = makeBundle({images: [base, child]});
	const plan = planOf(eventsOf(bundle, [base, child]));
	t.deepEqual(
		plan.entries.map(({path}) => path),
		[...bundle.files.keys()],
	);
	const again = [...plan.entries].reverse();
	for (const entry of [...plan.entries, ...again]) {
		const bytes = entryBytes(entry);
		sameBytes(t, bytes ?? (entry.size === 500 ? base.bytes : child.bytes), bundle.bytes(entry.path), entry.path);
	}
	t.is(plan.files, 2);
	t.is(plan.etag, planOf(eventsOf(bundle, [base, child])).etag);
	const signed = makeBundle({images: [base, child], sign: () => 'x'});
	t.not(plan.etag, planOf(eventsOf(signed, [base, child])).etag);
});

test('what is told beside is kept for the report', t => {
	const collector = new PlanCollector();
	const events: readonly PlanEvent[] = [
		{what: 'begin', images: 1, bytes: 5, bytesToFetch: 3},
		{what: 'warning', message: 'mind'},
		{what: 'fetching', uuid: base.uuid, name: 'base', version: '1', bytes: 3},
		{what: 'progress', bytesDone: 3},
		{
			...{what: 'image', uuid: child.uuid, name: 'child', version: '1'},
			bytes: 5,
			originOf: 'x',
			filesLeftOut: true,
			blobs: [],
		},
		{what: 'left-out', uuid: base.uuid, why: 'there'},
		{what: 'end', images: 1, there: 1, failed: 0, bytes: 0},
	];
	for (const event of events) {
		collector.take(event);
	}
	t.is(collector.plan(), undefined);
	t.is(collector.begin?.bytesToFetch, 3);
	t.is(collector.end?.there, 1);
	t.deepEqual(collector.warnings, ['mind']);
	t.deepEqual(collector.images, [
		{uuid: child.uuid, name: 'child', version: '1', bytes: 5, originOf: 'x', filesLeftOut: true},
	]);
	t.is(collector.leftOut[0]?.uuid, base.uuid);
});

test('a plan that lies, or would name files as it likes, is refused', t => {
	const take = (blob: PlannedBlob): void => {
		new PlanCollector().take({
			...{what: 'image', uuid: base.uuid, name: 'x', version: '1', bytes: 0, filesLeftOut: false},
			blobs: [blob],
		});
	};
	const right = {digest: digestOf('abc'), size: 3};
	t.notThrows(() => take({...right, text: 'abc'}));
	t.notThrows(() => take({...right, base64: 'YWJj'}));
	const file = {uuid: base.uuid, index: 0, sha1: base.sha1};
	t.notThrows(() => take({...right, file}));
	for (const [blob, words] of [
		[{...right, text: 'abd'}, /has other bytes for sha256:ba78.* than it says/],
		[{...right, base64: 'YWJ'}, /has other bytes/],
		[{...right, size: 4, text: 'abc'}, /has other bytes/],
		[{...right, digest: 'sha256:../../../etc/passwd', text: 'abc'}, /the plan has a blob "sha256:\.\./],
		[{...right, digest: `sha512:${'a'.repeat(64)}`, text: 'abc'}, /the plan has a blob/],
		[{...right, size: -1, file}, /of -1 bytes/],
		[{...right, size: 1.5, file}, /of 1\.5 bytes/],
		[right, /does not say where sha256:ba78.* is to be had/],
		[{...right, file: {...file, uuid: '../x'}}, /does not say where/],
		[{...right, file: {...file, index: -1}}, /does not say where/],
	] as const) {
		t.throws(() => take(blob), {instanceOf: IntegrityError, message: words});
	}
});

test('packed texts come back as they were, in whatever order they are read', t => {
	fc.assert(
		fc.property(
			fc.array(fc.tuple(fc.uint8Array({maxLength: 50}), fc.nat({max: 3000})), {maxLength: 300}),
			fc.infiniteStream(fc.nat()),
			(given, order) => {
				const texts = new PackedTexts();
				const all = given.map(([bytes, times]) => Buffer.concat(Array.from({length: times}, () => bytes)));
				const readers = all.map(bytes => texts.add(bytes));
				const forth = readers.every((read, index) => read().equals(all[index] ?? Buffer.alloc(0)));
				const jumps = [...order.take(20)].every(number => {
					const index = number % Math.max(1, all.length);
					return readers[index]?.().equals(all[index] ?? Buffer.alloc(0)) ?? true;
				});
				return forth && jumps;
			},
		),
		{numRuns: 50},
	);
	t.pass();
});

test('what the far side has is read from the bundle that it took in, and only what is whole counts', async t => {
	const folder = await tempDir(t);
	const delta = makeImage({size: 200, name: 'delta'});
	const bare = makeImage({name: 'bare', extra: {files: []}});
	const images = [base, child, delta, bare];
	const bundle = makeBundle({images, elsewhere: [delta]});
	const signal = new AbortController().signal;
	const read = async (path: string): Promise<{have: string; warnings: string[]}> => {
		const files = await openBundle([path], {signal, spool: () => folderSpool(folder)});
		const warnings: string[] = [];
		try {
			return {have: await haveOfBundle(files, message => void warnings.push(message)), warnings};
		} finally {
			await files.close();
		}
	};
	const has = (have: string, {uuid, pretty}: TestImage): string =>
		parseHave(have).has(uuid, createHash('sha256').update(pretty).digest('hex'));

	await bundle.writeFolder(join(folder, 'x'));
	await bundle.writeTar(join(folder, 'x.tar'));
	await writeFile(join(folder, 'x.tar.gz'), gzipSync(bundle.tar()));
	for (const name of ['x', 'x.tar', 'x.tar.gz']) {
		const {have, warnings} = await read(join(folder, name));
		t.deepEqual(warnings, []);
		t.is(parseHave(have).size, 4);
		for (const image of images) {
			t.is(has(have, image), 'same', `${name}: ${image.uuid}`);
			t.is(parseHave(have).hasFile(image.sha1), image !== bare);
		}
	}
	// Cut off, missing, damaged: of each of these, the far side may have nothing.
	await rm(join(folder, 'x', bundle.image(base).file ?? ''));
	await writeFile(
		join(folder, 'x', bundle.image(child).config),
		'x'.repeat(bundle.bytes(bundle.image(child).config).length),
	);
	await rm(join(folder, 'x', bundle.image(bare).manifest));
	const {have, warnings} = await read(join(folder, 'x'));
	t.is(warnings.length, 3);
	t.regex(
		warnings[0] ?? '',
		new RegExp(`/x does not have all of ${base.uuid}, so it goes again: a file of it is missing or cut$`),
	);
	t.is(parseHave(have).size, 1);
	t.is(has(have, delta), 'same');
	t.is(has(have, base), 'absent');
	await writeFile(join(folder, 'x', 'index.json'), '{}');
	await t.throwsAsync(read(join(folder, 'x')), {instanceOf: IntegrityError});
});
