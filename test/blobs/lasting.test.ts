import fs from 'node:fs/promises';
import {syncBuiltinESMExports} from 'node:module';
import path from 'node:path';
import test from 'ava';
import {bodyOf, sha1Of} from '../publish/start-publisher.js';
import {startStore} from './start-store.js';

/** What is asked of the file system from now on, in order: names as in the data directory. */
async function watchDisk(root: string): Promise<() => readonly string[]> {
	let calls: string[] = [];
	const names = new Map<number, string>();
	const short = (file: unknown): string =>
		path.relative(root, String(file)).replaceAll(/\.[0-9a-f]{8}\.new$/g, '.new') || '.';
	const {open, rename, rm} = fs;
	const probe = await open(root, 'r');
	const handles = Object.getPrototypeOf(probe) as {sync: typeof probe.sync};
	await probe.close();
	const {sync} = handles;
	handles.sync = async function (this: typeof probe) {
		await sync.call(this);
		// Slower than the hashing: whoever does not wait for the disk is found out.
		await new Promise(resolve => setTimeout(resolve, names.get(this.fd)?.startsWith('uploads/') ? 1000 : 10));
		calls.push(`sync ${names.get(this.fd) ?? ''}`);
	};
	fs.open = async (...given) => {
		const handle = await open(...given);
		names.set(handle.fd, short(given[0]));
		return handle;
	};
	fs.rename = async (from, to) => {
		await rename(from, to);
		calls.push(`rename ${short(from)} to ${short(to)}`);
	};
	fs.rm = async (...given) => {
		await rm(...given);
		calls.push(`rm ${short(given[0])}`);
	};
	syncBuiltinESMExports();
	return () => {
		const before = calls;
		calls = [];
		return before;
	};
}

test.serial('what lasts is on the disk before it has its name, and its name is before anybody is told', async t => {
	const {store, layout} = await startStore(t);
	const calls = await watchDisk(layout.root);

	const upload = await store.upload({size: undefined, maxBytes: 100});
	await upload.fill(bodyOf('content'));
	const sha1 = sha1Of(Buffer.from('content'));
	await store.commitUpload(upload, {source: 'local', storedAtMs: 1});
	const folder = `blobs/${sha1.slice(0, 2)}`;
	const placed = calls();
	const inOrder = [
		`sync uploads/${upload.id}`,
		`sync ${folder}/${sha1}.info.new`,
		`rename ${folder}/${sha1}.info.new to ${folder}/${sha1}.info`,
		`rename uploads/${upload.id} to ${folder}/${sha1}`,
		`sync ${folder}`,
	];
	t.deepEqual(
		placed.filter(call => inOrder.includes(call)).filter((call, at, all) => all.indexOf(call) === at),
		inOrder,
		placed.join('\n'),
	);
	t.true(placed.includes('sync blobs'), 'the folder is new');

	const record = path.join(layout.published, 'x.json');
	await store.writeRecord(record, '{}');
	t.deepEqual(calls(), [
		'sync published/x.json.new',
		'rename published/x.json.new to published/x.json',
		'sync published',
	]);
	await store.removeRecord(record);
	t.deepEqual(calls(), ['rm published/x.json', 'sync published']);

	await store.delete(sha1);
	// An info without its blob is cleared away at the next start; nobody would clear away the other.
	t.deepEqual(
		calls().filter(call => call.startsWith(`rm ${folder}`)),
		[`rm ${folder}/${sha1}`, `rm ${folder}/${sha1}.info`],
	);
});
