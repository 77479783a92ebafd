import {mkdir, readFile, readdir, rm, stat, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {KeyvSqlite} from '@keyv/sqlite';
import type {KnownList} from '../../src/catalog/known.js';
import {Memory} from '../../src/catalog/memory.js';
import type {Manifest} from '../../src/image/manifest.js';
import {settle} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {day, image, images, minute, plain} from './fake-source.js';
import {noSqlite} from './start-catalog.js';

const backends = ['sqlite', 'files'] as const;
type Backend = (typeof backends)[number];

interface Opened {
	readonly memory: Memory;
	readonly host: TestHost;
	readonly directory: string;
	/** As another process would, later. */
	readonly reopen: () => Promise<Memory>;
}

async function open(t: ExecutionContext, backend: Backend, importSqlite?: () => Promise<unknown>): Promise<Opened> {
	const directory = await tempDir(t);
	const host = testHost();
	const all: Memory[] = [];
	const one = async (bring?: () => Promise<unknown>): Promise<Memory> => {
		await Promise.all(all.map(memory => memory.close()));
		const memory = await Memory.open({
			...{directory, file: 'memory.sqlite', host},
			...(backend === 'files' ? {importSqlite: noSqlite} : bring === undefined ? {} : {importSqlite: bring}),
		});
		t.is(memory.kind, backend);
		all.push(memory);
		return memory;
	};
	t.teardown(() => Promise.all(all.map(memory => memory.close())).then(() => undefined));
	return {memory: await one(importSqlite), host, directory, reopen: () => one()};
}

function listOf(host: TestHost, listed: readonly Manifest[], more: Partial<KnownList> = {}): KnownList {
	return {fetchedAt: host.clock.now(), skipped: 0, reasons: [], kind: 'imgapi', listed, gone: [], ...more};
}

function textsOf(list: KnownList | undefined): string[] | undefined {
	return list?.listed.map(({text}) => text);
}

/** The values that are stored. */
async function valueCount(directory: string): Promise<number> {
	const files = await readdir(path.join(directory, 'memory.files'), {recursive: true, withFileTypes: true}).catch(
		() => [],
	);
	if (files.length > 0) {
		return files.filter(file => file.isFile()).length;
	}
	const database = new KeyvSqlite({uri: `sqlite://${path.join(directory, 'memory.sqlite')}`});
	const rows: unknown = await database.query('SELECT key FROM keyv');
	await database.disconnect();
	return (rows as unknown[]).length;
}

for (const backend of backends) {
	test(`${backend}: a list is the same after a restart, with all that was said of it`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		const [listed, vanished, concealed] = [images(1203), image(), image()];
		const list = listOf(host, listed, {
			skipped: 3,
			reasons: ['no uuid'],
			kind: 'dsapi',
			gone: [
				{manifest: vanished, vanishedAt: 17, hidden: false},
				{manifest: concealed, vanishedAt: 18, hidden: true},
			],
		});
		await memory.saveList('a source: 1', list, day, true);

		t.deepEqual(await (await reopen()).loadList('a source: 1'), list);
	});

	test(`${backend}: sources do not see each other's lists`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		const [ours, theirs] = [images(3), images(2)];
		await memory.saveList('a', listOf(host, ours), day, true);
		await memory.saveList('a b', listOf(host, theirs), day, true);

		const again = await reopen();
		t.is((await again.loadList('a'))?.listed.length, 3);
		t.is((await again.loadList('a b'))?.listed.length, 2);
		t.is(await again.loadList('b'), undefined);
	});

	test(`${backend}: a crash in the middle of saving leaves the previous list`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		const first = images(1200);
		await memory.saveList('a', listOf(host, first), day, true);
		const crash = {
			...image(),
			get text(): string {
				throw new Error('crash');
			},
		};
		await t.throwsAsync(memory.saveList('a', listOf(host, [...images(1100), crash]), day, true), {message: 'crash'});

		const again = await reopen();
		t.deepEqual(
			textsOf(await again.loadList('a')),
			first.map(({text}) => text),
		);

		const second = images(700);
		await again.saveList('a', listOf(host, second), day, true);
		t.deepEqual(
			textsOf(await (await reopen()).loadList('a')),
			second.map(({text}) => text),
		);
	});

	test(`${backend}: pages that no list needs any more are deleted`, async t => {
		const {memory, host, directory, reopen} = await open(t, backend);
		await memory.saveList('a', listOf(host, images(2600)), day, true);
		await memory.saveList('a', listOf(host, images(400)), day, true);
		await memory.close();
		t.is(await valueCount(directory), 2);
		t.is((await (await reopen()).loadList('a'))?.listed.length, 400);
	});

	test(`${backend}: a list that did not change costs one small write`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		const listed = images(600);
		await memory.saveList('a', listOf(host, listed), day, true);
		await host.clock.advance(minute);
		const unreadable = Array.from({length: 600}, () => ({
			...image(),
			get text(): string {
				throw new Error('nobody has to look at this');
			},
		}));
		await memory.saveList('a', listOf(host, unreadable, {skipped: 9}), day, false);

		const again = await (await reopen()).loadList('a');
		t.is(again?.fetchedAt, host.clock.now());
		t.is(again?.skipped, 9);
		t.deepEqual(
			textsOf(again),
			listed.map(({text}) => text),
		);
	});

	test(`${backend}: pages are written anew before they expire under a list that never changes`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		await memory.saveList('a', listOf(host, images(1)), day, true);
		await host.clock.advance(2 * day);
		const other = image();
		await memory.saveList('a', listOf(host, [other]), day, false);

		t.deepEqual(textsOf(await (await reopen()).loadList('a')), [other.text]);
	});

	test(`${backend}: what is older than keepFor is gone`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		await memory.saveList('a', listOf(host, images(1)), 1, true);
		await memory.saveList('b', listOf(host, images(1)), Infinity, true);
		// keyv goes by the machine's clock, which nobody can move.
		for (const until = Date.now() + 3; Date.now() < until;) {
			await settle();
		}
		const again = await reopen();
		t.is(await again.loadList('a'), undefined);
		t.is((await again.loadList('b'))?.listed.length, 1);
	});

	test(`${backend}: loose images are there after a restart until they are too old`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		const [one, two, three] = [plain(image()), image(), image()];
		await memory.loadLoose('a', day);
		const now = host.clock.now();
		memory.setLoose('a', {manifest: one, fetchedAt: now, vanishedAt: now});
		memory.setLoose('a', {manifest: two, fetchedAt: now - 2 * day, vanishedAt: undefined});
		memory.setLoose('a', {manifest: three, fetchedAt: now, vanishedAt: undefined});
		memory.setLoose('b', {manifest: three, fetchedAt: now, vanishedAt: undefined});
		await memory.flush();
		memory.deleteLoose('a', three.uuid);

		const again = await reopen();
		t.is(again.loose('a', one.uuid), undefined);
		await again.loadLoose('a', day);
		t.deepEqual(again.loose('a', one.uuid), {source: 'a', manifest: one, fetchedAt: now, vanishedAt: now});
		t.is(again.loose('a', two.uuid), undefined);
		t.is(again.loose('a', three.uuid), undefined);
		t.is(again.loose('b', three.uuid), undefined);
	});

	test(`${backend}: a source that is forgotten is remembered when it comes back`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		const one = image();
		await memory.saveList('a', listOf(host, images(2)), day, true);
		await memory.loadLoose('a', day);
		memory.setLoose('a', {manifest: one, fetchedAt: host.clock.now(), vanishedAt: undefined});
		memory.deny('a', one.uuid, 'absent');
		memory.deny('b', one.uuid, 'absent');
		await memory.forget('a');
		t.is(memory.loose('a', one.uuid), undefined);
		t.is(memory.denial('a', one.uuid), undefined);
		t.is(memory.denial('b', one.uuid)?.why, 'absent');

		await memory.loadLoose('a', day);
		t.is(memory.loose('a', one.uuid)?.manifest.text, one.text);
		const again = await reopen();
		t.is((await again.loadList('a'))?.listed.length, 2);
	});

	test(`${backend}: loose images are bounded, on disk too`, async t => {
		const {memory, host, reopen} = await open(t, backend);
		const now = host.clock.now();
		await memory.loadLoose('a', day);
		for (const manifest of images(5200)) {
			memory.setLoose('a', {manifest, fetchedAt: now, vanishedAt: undefined});
		}
		t.is([...memory.looseImages()].length, 5000);
		const again = await reopen();
		await again.loadLoose('a', day);
		t.is([...again.looseImages()].length, 5000);
	});

	test(`${backend}: deleted between two runs, it begins anew`, async t => {
		const {memory, host, directory, reopen} = await open(t, backend);
		await memory.saveList('a', listOf(host, images(700)), day, true);
		await memory.close();
		await rm(path.join(directory, 'memory.sqlite'), {force: true});
		await rm(path.join(directory, 'memory.files'), {recursive: true, force: true});

		const again = await reopen();
		t.is(await again.loadList('a'), undefined);
		await again.saveList('a', listOf(host, images(3)), day, true);
		t.is((await (await reopen()).loadList('a'))?.listed.length, 3);
	});

	test(`${backend}: deleted while it is in use, it is whole again with the next save, changed or not`, async t => {
		const {memory, host, directory, reopen} = await open(t, backend);
		const listed = images(700);
		const one = image();
		await memory.loadLoose('a', day);
		await memory.saveList('a', listOf(host, listed), day, true);
		memory.setLoose('a', {manifest: one, fetchedAt: host.clock.now(), vanishedAt: undefined});
		await memory.flush();
		await rm(directory, {recursive: true});
		await memory.saveList('a', listOf(host, listed), day, false);
		await memory.flush();

		const again = await reopen();
		await again.loadLoose('a', day);
		t.is((await again.loadList('a'))?.listed.length, 700);
		t.is(again.loose('a', one.uuid)?.manifest.text, one.text);
	});

	test(`${backend}: a list whose pages are not all there is passed over`, async t => {
		const {memory, host, directory, reopen} = await open(t, backend);
		await memory.saveList('a', listOf(host, images(700)), day, true);
		await memory.close();
		if (backend === 'sqlite') {
			const database = new KeyvSqlite({uri: `sqlite://${path.join(directory, 'memory.sqlite')}`});
			await database.query(`DELETE FROM keyv WHERE key = 'page a 1 1'`);
			await database.disconnect();
		} else {
			const folder = path.join(directory, 'memory.files');
			for (const file of await readdir(folder, {recursive: true, withFileTypes: true})) {
				const name = path.join(file.parentPath, file.name);
				if (file.isFile() && (await readFile(name, 'utf8')).includes(' page a 1 1\n')) {
					await truncate(name, 1000);
				}
			}
		}
		t.is(await (await reopen()).loadList('a'), undefined);
		await host.logged(/source a: the list in memory is not whole/);
	});
}

test('SQLite is what memory is kept in where it can be had', async t => {
	const host = testHost();
	const memory = await Memory.open({directory: await tempDir(t), file: 'memory.sqlite', host});
	t.is(memory.kind, 'sqlite');
	t.deepEqual(host.lines, []);
	await memory.close();
});

test('where SQLite is missing, one plain line says that memory is kept in files', async t => {
	const host = testHost();
	const memory = await Memory.open({directory: await tempDir(t), file: 'memory.sqlite', host, importSqlite: noSqlite});
	t.is(memory.kind, 'files');
	t.deepEqual(
		host.lines.map(({level, msg}) => [level, /memory is kept in files .*not installed/.test(msg)]),
		[[30, true]],
	);
	await memory.close();
});

test('where the database cannot be opened, memory is kept in files', async t => {
	const directory = await tempDir(t);
	await mkdir(path.join(directory, 'memory.sqlite'));
	const host = testHost();
	const memory = await Memory.open({directory, file: 'memory.sqlite', host});
	t.is(memory.kind, 'files');
	await memory.close();
});

test('another package under that name is not used', async t => {
	const directory = await tempDir(t);
	const host = testHost();
	const importSqlite = (): Promise<unknown> => Promise.resolve({});
	const memory = await Memory.open({directory, file: 'memory.sqlite', host, importSqlite});
	t.is(memory.kind, 'files');
	await memory.close();
});

test('where nothing can be written at all, the mirror goes on from RAM', async t => {
	const directory = path.join(await tempDir(t), 'not', 'a', 'directory');
	await writeFile(path.join(path.dirname(path.dirname(path.dirname(directory))), 'not'), '');
	const host = testHost();
	const memory = await Memory.open({directory, file: 'memory.sqlite', host, importSqlite: noSqlite});
	await memory.saveList('a', listOf(host, images(2)), day, true);
	t.is((await memory.loadList('a'))?.listed.length, 2);
	t.is(host.linesLike(/cannot be kept at all/).length, 1);
	await memory.close();
});

const damages: readonly (readonly [string, (file: string) => Promise<void>])[] = [
	[
		'garbage',
		file => writeFile(file, 'this is no database at all, though it is longer than a header is. '.repeat(200)),
	],
	['a few bytes', file => writeFile(file, 'SQLite format 3\0')],
	['half of it', async file => truncate(file, Math.floor((await stat(file)).size / 2 / 4096) * 4096)],
	[
		'a hole in it',
		async file => {
			const bytes = await readFile(file);
			await writeFile(file, bytes.fill(0xff, 8192, bytes.length - 4096));
		},
	],
	[
		'the database of another program',
		async file => {
			await rm(file);
			const database = new KeyvSqlite({uri: `sqlite://${file}`, table: 'theirs'});
			await database.set('a', 'b');
			await database.disconnect();
		},
	],
];

for (const [what, damage] of damages) {
	test(`instead of a database with ${what}, an empty one is begun, and the other moved aside with a warning`, async t => {
		const {memory, host, directory, reopen} = await open(t, 'sqlite');
		await memory.saveList('a', listOf(host, images(1200)), day, true);
		await memory.close();
		const file = path.join(directory, 'memory.sqlite');
		await damage(file);
		const damaged = await readFile(file);

		const again = await reopen();
		t.is(await again.loadList('a'), undefined);
		const [aside] = (await readdir(directory)).filter(name => /^memory\.sqlite\.broken-[0-9TZ]+$/.test(name));
		sameBytes(t, await readFile(path.join(directory, aside ?? '')), damaged);
		t.is(host.linesLike(/memory begins empty/).length, 1);

		await again.saveList('a', listOf(host, images(3)), day, true);
		t.is((await (await reopen()).loadList('a'))?.listed.length, 3);
	});
}

test('an empty file, as a crash may leave it, is a new database', async t => {
	const directory = await tempDir(t);
	await writeFile(path.join(directory, 'memory.sqlite'), '');
	await writeFile(path.join(directory, 'memory.sqlite-wal'), 'left over');
	const host = testHost();
	const memory = await Memory.open({directory, file: 'memory.sqlite', host});
	await memory.saveList('a', listOf(host, images(3)), day, true);
	t.is((await memory.loadList('a'))?.listed.length, 3);
	t.deepEqual(host.lines, []);
	await memory.close();
});

/** SQLite on a disk that is full while `full` says so. */
function sqliteThatFails(trouble: {code: string | undefined; writes: number}): () => Promise<unknown> {
	class FailingSqlite extends KeyvSqlite {
		override async set(key: string, value: unknown): Promise<unknown> {
			trouble.writes++;
			if (trouble.code !== undefined) {
				throw Object.assign(new Error(`${trouble.code}: database or disk is full`), {code: trouble.code});
			}
			return super.set(key, value) as Promise<unknown>;
		}
	}
	return () => Promise.resolve({KeyvSqlite: FailingSqlite});
}

test('a full disk is said once, the old list stays, and the next one is written when there is room', async t => {
	const trouble: {code: string | undefined; writes: number} = {code: undefined, writes: 0};
	const {memory, host, directory, reopen} = await open(t, 'sqlite', sqliteThatFails(trouble));
	await memory.saveList('a', listOf(host, images(2)), day, true);
	trouble.code = 'SQLITE_FULL';
	await memory.saveList('a', listOf(host, images(3)), day, true);
	await memory.saveList('a', listOf(host, images(4)), day, true);
	memory.setLoose('a', {manifest: image(), fetchedAt: host.clock.now(), vanishedAt: undefined});
	await memory.flush();
	t.is(host.linesLike(/memory fails.*full/).length, 1);
	const onlooker = await Memory.open({directory, file: 'memory.sqlite', host});
	t.is((await onlooker.loadList('a'))?.listed.length, 2);
	await onlooker.close();

	trouble.code = undefined;
	const last = images(5);
	await memory.saveList('a', listOf(host, last), day, false);
	t.is(host.linesLike(/memory is written again/).length, 1);
	t.deepEqual(
		textsOf(await (await reopen()).loadList('a')),
		last.map(({text}) => text),
	);
});

test('a database that breaks while it is in use is checked, and taken up again with the next save', async t => {
	const trouble: {code: string | undefined; writes: number} = {code: undefined, writes: 0};
	const {memory, host, reopen} = await open(t, 'sqlite', sqliteThatFails(trouble));
	await memory.saveList('a', listOf(host, images(2)), day, true);
	trouble.code = 'SQLITE_CORRUPT';
	await memory.saveList('a', listOf(host, images(3)), day, true);
	trouble.code = undefined;
	await memory.saveList('a', listOf(host, images(4)), day, true);
	t.is(host.linesLike(/a new one is begun/).length, 1);
	t.is((await (await reopen()).loadList('a'))?.listed.length, 4);
});

test('files: where they cannot be written, that is said once and tolerated', async t => {
	const {memory, host, directory} = await open(t, 'files');
	const folder = path.join(directory, 'memory.files');
	await rm(folder, {recursive: true});
	await writeFile(folder, 'in the way');
	await memory.saveList('a', listOf(host, images(3)), day, true);
	await memory.saveList('a', listOf(host, images(4)), day, true);
	t.is(host.linesLike(/memory fails/).length, 1);
	await rm(folder);
	await memory.saveList('a', listOf(host, images(5)), day, true);
	t.is(host.linesLike(/memory is written again/).length, 1);
	t.is((await memory.loadList('a'))?.listed.length, 5);
});

test('denials are bounded', async t => {
	const {memory} = await open(t, 'files');
	const manifest = image();
	memory.deny('first', manifest.uuid, 'absent');
	for (let number = 0; number < 50_000; number++) {
		memory.deny(String(number), manifest.uuid, 'absent');
	}
	t.is(memory.denial('first', manifest.uuid), undefined);
	t.is(memory.denial('49999', manifest.uuid)?.why, 'absent');
	memory.allow('49999', manifest.uuid);
	t.is(memory.denial('49999', manifest.uuid), undefined);
});
