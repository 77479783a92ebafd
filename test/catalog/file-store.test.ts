import {readFile, readdir, writeFile, mkdir} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {FileStore} from '../../src/catalog/file-store.js';
import {tempDir} from '../helpers/temp-dir.js';

async function filesIn(directory: string): Promise<string[]> {
	const entries = await readdir(directory, {recursive: true, withFileTypes: true});
	return entries.filter(entry => entry.isFile()).map(entry => path.join(entry.parentPath, entry.name));
}

test('a value is what was set last, and nothing after it is deleted', async t => {
	const store = await FileStore.open(await tempDir(t));
	t.is(await store.get('a'), undefined);
	await store.set('a', 'one\ntwo');
	await store.set('a', 'three\n\nü');
	t.is(await store.get('a'), 'three\n\nü');
	t.true(await store.delete('a'));
	t.false(await store.delete('a'));
	t.is(await store.get('a'), undefined);
});

test('values are there after a restart', async t => {
	const directory = await tempDir(t);
	await (await FileStore.open(directory)).set('a', '1');
	t.is(await (await FileStore.open(directory)).get('a'), '1');
});

test('a file that was cut short, changed or renamed is not a value', async t => {
	const directory = await tempDir(t);
	const store = await FileStore.open(directory);
	for (const damage of [
		(text: string) => text.slice(0, -1),
		(text: string) => text.replace('12345', '12354'),
		(text: string) => text.replace(' a\n', ' b\n'),
		() => '',
		() => 'no line end',
	]) {
		await store.set('a', '12345');
		const [file = ''] = await filesIn(directory);
		await writeFile(file, damage(await readFile(file, 'utf8')));
		t.is(await store.get('a'), undefined);
		t.deepEqual(await filesIn(directory), []);
	}
});

test('opening clears away what has expired and what a crash has left', async t => {
	const directory = await tempDir(t);
	const store = await FileStore.open(directory);
	await store.set('short', '1', 1000);
	await store.set('long', '2', 1_000_000);
	await store.set('for ever', '3');
	await mkdir(path.join(directory, 'ab'), {recursive: true});
	await writeFile(path.join(directory, 'ab', 'cd.0.new'), 'half');
	await writeFile(path.join(directory, 'not ours'), '');

	const later = await FileStore.open(directory, {now: Date.now() + 500_000});
	t.is(await later.get('short'), undefined);
	t.is(await later.get('long'), '2');
	t.is(await later.get('for ever'), '3');
	t.is((await filesIn(directory)).length, 3);
});

test('beyond its bound, what was written first goes first', async t => {
	const directory = await tempDir(t);
	const store = await FileStore.open(directory, {maxBytes: 3000});
	const value = 'x'.repeat(900);
	for (const key of ['a', 'b', 'c']) {
		await store.set(key, value);
	}
	await store.set('a', value);
	await store.set('d', value);
	t.is(await store.get('b'), undefined);
	t.is(await store.get('a'), value);
	t.is(await store.get('d'), value);

	const huge = 'y'.repeat(9000);
	await store.set('huge', huge);
	t.is(await store.get('huge'), huge);
	t.is((await filesIn(directory)).length, 1);

	await FileStore.open(directory, {maxBytes: 3000});
	t.is((await filesIn(directory)).length, 0);
});

test('a value that cannot be put in its place leaves nothing behind', async t => {
	const directory = await tempDir(t);
	const store = await FileStore.open(directory);
	await store.set('a', '1');
	const [file = ''] = await filesIn(directory);
	await store.delete('a');
	await mkdir(path.join(file, 'in the way'), {recursive: true});
	await t.throwsAsync(store.set('a', '2'));
	await t.throwsAsync(store.get('a'));
	await t.throwsAsync(store.delete('a'));
	t.deepEqual(await filesIn(directory), []);
});

test('cleared, it is empty and still usable', async t => {
	const directory = await tempDir(t);
	const store = await FileStore.open(directory);
	await store.set('a', '1');
	await store.clear();
	t.is(await store.get('a'), undefined);
	await store.set('a', '2');
	t.is(await store.get('a'), '2');
});
