import {symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import {DataLock} from '../../src/blobs/lock.js';
import {UsageError} from '../../src/errors.js';
import {tempDir} from '../helpers/temp-dir.js';

async function prepared(root: string): Promise<Layout> {
	const layout = new Layout(root);
	await prepareLayout(layout);
	return layout;
}

test('only one has a data directory, and the next may have it afterwards', async t => {
	const layout = await prepared(await tempDir(t));
	const lock = await DataLock.take(layout);
	await t.throwsAsync(DataLock.take(layout), {instanceOf: UsageError, message: /another imgmirror/});
	await lock.release();
	await (await DataLock.take(layout)).release();
});

test('what a dead process left there is in nobody’s way', async t => {
	const layout = await prepared(await tempDir(t));
	await writeFile(layout.lock, '');
	const lock = await DataLock.take(layout);
	await t.notThrowsAsync(lock.release());
});

test('a directory with a long path has one lock, however it is spelled and wherever a process was started', async t => {
	const folder = await tempDir(t);
	const long = path.join(folder, 'x'.repeat(120));
	const layout = await prepared(long);
	const short = path.join(folder, 'short');
	await symlink(long, short);
	const lock = await DataLock.take(layout);
	await t.throwsAsync(DataLock.take(new Layout(short)), {instanceOf: UsageError});
	const before = process.cwd();
	try {
		process.chdir(long);
		await t.throwsAsync(DataLock.take(layout), {instanceOf: UsageError});
	} finally {
		process.chdir(before);
	}
	await lock.release();
});
