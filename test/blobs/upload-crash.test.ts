import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile, readdir, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import {isSha1, type Sha1} from '../../src/image/manifest.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {smallDisk} from '../helpers/small-disk.js';
import {tempDir} from '../helpers/temp-dir.js';
import {contentOf, most, sent} from './sending.js';
import {startStore} from './start-store.js';

const child = fileURLToPath(new URL('./publishing-child.js', import.meta.url));

interface Fate {
	/** The words of every line that came out, also after the one at which it was killed. */
	readonly lines: readonly (readonly string[])[];
	readonly signal: string | null;
	readonly problem: string;
}

/** Lets a process publish until it has said so many lines, then kills it at once. */
async function publishUntilKilled(root: string, after: number, limit = ''): Promise<Fate> {
	const command = `${limit}exec "$0" "$@"`;
	const running = spawn('/bin/sh', ['-c', command, process.execPath, child, root], {stdio: ['ignore', 'pipe', 'pipe']});
	const lines: string[][] = [];
	let problem = '';
	running.stderr.setEncoding('utf8').on('data', (text: string) => {
		problem += text;
	});
	createInterface(running.stdout).on('line', line => {
		lines.push(line.split(' '));
		if (lines.length === after) {
			running.kill('SIGKILL');
		}
	});
	const [, signal] = (await once(running, 'close')) as [number | null, string | null];
	return {lines, signal, problem};
}

function said(fate: Fate, what: string): readonly Sha1[] {
	return fate.lines.flatMap(([word, sha1 = '']) => (word === what && isSha1(sha1) ? [sha1] : []));
}

/** Whatever happened to the process before, this must hold when the next one begins. */
async function checkAfter(t: ExecutionContext, root: string, fate: Fate): Promise<void> {
	const rig = await startStore(t, {root});
	const recorded = new Set<Sha1>();
	for (const name of await rig.store.listFolder(rig.layout.published)) {
		const text = await rig.store.readRecord(path.join(rig.layout.published, name));
		const record = JSON.parse(text ?? '') as {sha1: Sha1; md5: string; size: number};
		// A record is whole, and the blob that it names is here and right: after a crash of ours it is not read again.
		const info = rig.store.stat(record.sha1);
		t.like(info, record);
		const content = info && (await contentOf(rig.store, info));
		t.is(content && makeImage({bytes: content}).sha1, record.sha1);
		rig.store.pin(record.sha1, 'record');
		recorded.add(record.sha1);
	}
	for (const sha1 of said(fate, 'kept')) {
		t.true(recorded.has(sha1));
	}
	for (const sha1 of said(fate, 'gone')) {
		t.false(recorded.has(sha1));
	}
	await rig.store.own.sweep();
	t.deepEqual([...rig.store.list()].map(({sha1}) => sha1).sort(), [...recorded].sort());

	// What was being sent is there as far as that was said, and can be gone on with; nothing else is.
	const uploads = await rig.store.listFolder(rig.layout.uploads);
	const named = new Set(uploads.filter(name => name.endsWith('.json')).map(name => name.slice(0, -5)));
	t.deepEqual(
		uploads.filter(name => !name.endsWith('.json') && !named.has(name)),
		[],
	);
	for (const id of named) {
		const upload = await rig.store.upload({id, size: undefined, maxBytes: most});
		const bytes = await readFile(upload.file);
		t.is(upload.written, bytes.length);
		const {sha1} = makeImage({bytes});
		t.is((await upload.digests()).sha1, sha1);
		await upload.discard();
		await rig.store.removeRecord(rig.layout.uploadInfo(id));
	}
	for (const folder of [rig.layout.published, rig.layout.blobs]) {
		const names = await readdir(folder, {recursive: true});
		t.deepEqual(
			names.filter(name => name.endsWith('.new')),
			[],
		);
	}
	const folders = await readdir(rig.layout.blobs);
	for (const folder of folders) {
		for (const name of await readdir(path.join(rig.layout.blobs, folder))) {
			t.true(recorded.has(name.slice(0, 40) as Sha1), name);
		}
	}
	await rig.close();
}

test('killed at any instant, what was published is there whole, and nothing else is', async t => {
	const root = await tempDir(t);
	for (const after of [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 20, 25]) {
		const fate = await publishUntilKilled(root, after);
		t.is(fate.signal, 'SIGKILL', fate.problem);
		await checkAfter(t, root, fate);
	}
});

test('what was said to be on the disk of an upload is there after a kill', async t => {
	for (const after of [2, 3, 4]) {
		const root = await tempDir(t);
		const fate = await publishUntilKilled(root, after);
		for (const [, id = '', bytes] of fate.lines.filter(([word]) => word === 'sent')) {
			const rig = await startStore(t, {root});
			const upload = await rig.store.upload({id, size: undefined, maxBytes: most});
			// Gone: it had been committed by then.
			t.true(upload.written >= Number(bytes) || (upload.written === 0 && rig.store.count > 0));
			await rig.close();
		}
	}
});

test('a file size limit stops an upload, and it can go on when that is gone', async t => {
	const root = await tempDir(t);
	// 100 blocks of 512 bytes: less than the first part of an upload.
	const fate = await publishUntilKilled(root, 1000, 'ulimit -f 100; ');
	t.is(fate.signal, null);
	t.regex(fate.problem, /NoSpaceError/);
	await checkAfter(t, root, fate);
});

test('a disk that fills up in the middle of an upload: it is told so, can go on, or leaves nothing', async t => {
	const root = await smallDisk(t, 4);
	if (root === undefined) {
		t.pass();
		return;
	}
	const rig = await startStore(t, {root});
	const image = makeImage({size: 3_000_000});
	const upload = await rig.store.upload({id: 'x', size: image.size, maxBytes: most});
	await upload.append([image.bytes.subarray(0, 1_000_000)]);
	// Somebody else takes the room that was there when it began.
	const ballast = path.join(root, 'ballast');
	await writeFile(ballast, Buffer.alloc(2_000_000));
	await t.throwsAsync(upload.append([image.bytes.subarray(1_000_000)]), {name: 'NoSpaceError', message: /ENOSPC/});
	t.true((await rig.host.metric('imgmirror_disk_errors_total', {code: 'ENOSPC'})) > 0);
	t.true(upload.written >= 1_000_000);
	t.true((await readFile(upload.file)).equals(image.bytes.subarray(0, upload.written)));
	await rm(ballast);
	await upload.append([image.bytes.subarray(upload.written)]);
	const info = await rig.store.commitUpload(upload, {source: 'local', storedAtMs: 0});
	t.like(info, {sha1: image.sha1, md5: image.md5});
	sameBytes(t, upload.first(16), image.bytes.subarray(0, 16));

	await t.throwsAsync(rig.store.upload({size: 3_000_000, maxBytes: most}), {name: 'NoSpaceError'});
	const unknown = await rig.store.upload({size: undefined, maxBytes: most});
	await t.throwsAsync(unknown.append([makeImage({size: 3_000_000}).bytes]), {name: 'NoSpaceError'});
	await unknown.discard();
	t.deepEqual(await readdir(rig.layout.uploads), []);
	t.true(((await rig.store.freeBytes()) ?? 0) > 500_000);
});

test('a disk that has no room for what is said of a blob leaves the upload as it was', async t => {
	const root = await smallDisk(t, 1);
	if (root === undefined) {
		t.pass();
		return;
	}
	const rig = await startStore(t, {root});
	const image = makeImage({size: 500_000});
	const upload = await sent(rig.store, image.bytes);
	const ballast = path.join(root, 'ballast');
	const fill = async (): Promise<void> => {
		for (const bytes of [4096, 1]) {
			for (let at = 0; ; at++) {
				try {
					await writeFile(`${ballast}.${bytes}.${at}`, Buffer.alloc(bytes * 16));
				} catch {
					break;
				}
			}
		}
	};
	await fill();
	await t.throwsAsync(rig.store.commitUpload(upload, {source: 'local', storedAtMs: 0}), {name: 'NoSpaceError'});
	t.is(rig.store.count, 0);
	t.true((await readFile(upload.file)).equals(image.bytes));
	await t.throwsAsync(rig.store.writeRecord(path.join(rig.layout.published, 'x.json'), 'x'.repeat(10_000)), {
		name: 'NoSpaceError',
	});
	t.deepEqual(await readdir(rig.layout.published), []);
	for (const name of await readdir(root)) {
		if (name.startsWith('ballast')) {
			await rm(path.join(root, name));
		}
	}
	t.is((await rig.store.commitUpload(upload, {source: 'local', storedAtMs: 0})).size, 500_000);
});

test('everything that may be found at the start is either gone on with or gone', async t => {
	const root = await tempDir(t);
	const layout = new Layout(root);
	await prepareLayout(layout);
	await writeFile(layout.upload('nameless'), 'bytes');
	await writeFile(layout.upload('named'), 'bytes');
	await writeFile(layout.uploadInfo('named'), '{}');
	await writeFile(layout.uploadInfo('empty'), '{}');
	await writeFile(`${layout.uploadInfo('half')}.00000000.new`, '{');
	await writeFile(path.join(layout.uploads, 'README.txt'), 'mine');
	const rig = await startStore(t, {root});
	t.deepEqual((await readdir(layout.uploads)).sort(), ['README.txt', 'empty.json', 'named', 'named.json']);
	t.is((await rig.store.upload({id: 'empty', size: undefined, maxBytes: most})).written, 0);
	t.is((await rig.store.upload({id: 'named', size: undefined, maxBytes: most})).written, 5);
});
