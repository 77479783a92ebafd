import {gzipSync} from 'node:zlib';
import test from 'ava';
import {IntegrityError, NoSpaceError, StoppingError} from '../../src/errors.js';
import {Importer} from '../../src/airgap/import.js';
import type {ImportEvent} from '../../src/airgap/api.js';
import {FolderBundle} from '../../src/airgap/folder-bundle.js';
import {folderSpool} from '../../src/airgap/spool.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {FakeCarryIn} from './fake-carry-in.js';
import {hexOf, importBench, pathOf, readAll, specBundle, type ImageSpec} from './import-bundles.js';
import {TestBundle} from './make-bundle.js';

const uuid = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const mebibyte = 1024 * 1024;

const many = (count: number, size = 2000): readonly ImageSpec[] =>
	Array.from({length: count}, (_, index) => ({uuid: uuid(index), files: [pseudoRandom(size, index)]}));

/** A body that stands still after so many bytes, and counts what was asked of it. */
class Body implements AsyncIterable<Buffer> {
	read = 0;
	isLet = false;
	readonly #bytes: Buffer;
	readonly #still: number;
	#reached: () => void = () => undefined;
	readonly reached = new Promise<void>(resolve => {
		this.#reached = resolve;
	});

	constructor(bytes: Buffer, still = Infinity) {
		this.#bytes = bytes;
		this.#still = still;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
		try {
			while (this.read < this.#bytes.length) {
				if (this.read >= this.#still) {
					this.#reached();
					await new Promise(() => undefined);
				}
				const piece = this.#bytes.subarray(this.read, this.read + 64 * 1024);
				this.read += piece.length;
				yield piece;
			}
		} finally {
			this.isLet = true;
		}
	}
}

/** A promise that a test resolves. */
function door(): {readonly passed: Promise<void>; readonly open: () => void} {
	let open = (): void => undefined;
	const passed = new Promise<void>(resolve => {
		open = resolve;
	});
	return {passed, open: () => open()};
}

async function turn(): Promise<void> {
	for (let round = 0; round < 20; round++) {
		await new Promise(resolve => setImmediate(resolve));
	}
}

test('where there is no more room, the import ends; what is whole stays, and the next one goes on', async t => {
	for (const size of [2000, 1_200_000]) {
		const carry = new FakeCarryIn();
		const bench = await importBench(t, carry, {mostAside: 0});
		const {bundle} = specBundle(many(6, size));
		carry.roomBytes = 3 * size;
		const {error, end, done} = await bench.run(bundle);
		t.true(error instanceof NoSpaceError);
		t.is(end, undefined);
		t.true([...done.values()].every(({outcome}) => outcome === 'imported'));
		t.deepEqual([...done.keys()].sort(), [...carry.visible].sort());
		t.true(carry.visible.length <= 3);
		t.deepEqual(carry.faults(), []);
		t.is(bench.host.linesLike(/a bundle was imported/).length, 0);

		carry.roomBytes = Infinity;
		const before = carry.visible.length;
		const again = await bench.run(bundle);
		t.is(again.end?.there, before);
		t.is(again.end?.imported, 6 - before);
		t.deepEqual(carry.faults(), []);
	}
});

test('a mirror that goes away ends the import', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	carry.onKeep = async name => {
		if (name === uuid(1)) {
			throw new StoppingError('the mirror is going away');
		}
	};
	const {error, end, done} = await bench.run(specBundle(many(3)).bundle);
	t.true(error instanceof StoppingError);
	t.is(end, undefined);
	t.false(done.has(uuid(1)));
	t.deepEqual(carry.faults(), []);
});

test('aborted in the middle of a file that stands still, it ends at once and holds nothing', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	const {bundle} = specBundle([...many(2), {uuid: uuid(9), files: [pseudoRandom(5_000_000, 9)]}]);
	const body = new Body(bundle.tar(), 3_000_000);
	const controller = new AbortController();
	const reading = readAll(bench.start(body, controller.signal));
	await body.reached;
	await turn();
	t.deepEqual([...carry.visible].sort(), [uuid(0), uuid(1)]);
	t.is(carry.takesUnderWay, 1);
	controller.abort(new Error('enough'));
	const {error, done} = await reading;
	t.is(error?.message, 'enough');
	t.deepEqual([...done.keys()].sort(), [uuid(0), uuid(1)]);
	t.deepEqual(carry.faults(), []);
});

test('aborted before it begins, nothing is read', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const body = new Body(specBundle(many(2)).bundle.tar());
	const {error, events} = await readAll(bench.start(body, AbortSignal.abort(new Error('enough'))));
	t.is(error?.message, 'enough');
	t.deepEqual(events, []);
	t.is(body.read, 0);
});

test('who stops reading the lines ends the import, and the body is let go of', async t => {
	for (const after of ['begin', 'image', 'done'] as const) {
		const carry = new FakeCarryIn();
		const bench = await importBench(t, carry, {mostAside: 0});
		const body = new Body(specBundle(many(30, 300_000)).bundle.tar());
		for await (const {what} of bench.start(body)) {
			if (what === after) {
				break;
			}
		}
		t.true(body.isLet);
		t.true(carry.visible.length < 30);
		t.deepEqual(carry.faults(), []);
	}
});

test('images that wait for their origin are let go of with the rest', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const waiting = many(5).map(spec => ({...spec, origin: uuid(99)}));
	const {bundle} = specBundle([...waiting, {uuid: uuid(99), files: [pseudoRandom(3_000_000, 9)]}]);
	const controller = new AbortController();
	const body = new Body(bundle.tar(), 1_000_000);
	const reading = readAll(bench.start(body, controller.signal));
	await body.reached;
	await turn();
	t.is(carry.held.length, 5);
	controller.abort(new Error('enough'));
	t.is((await reading).error?.message, 'enough');
	t.deepEqual(carry.visible, []);
	t.deepEqual(carry.faults(), []);
});

test('a body that breaks off is a failure of the import, not of its images', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const {bundle} = specBundle(many(20, 100_000));
	const tar = bundle.tar();
	const broken = (async function* (): AsyncGenerator<Buffer, void, undefined> {
		yield* new Body(tar.subarray(0, tar.length / 2));
		throw new Error('socket hang up');
	})();
	const {error, end, done} = await readAll(bench.start(broken));
	t.is(error?.message, 'socket hang up');
	t.is(end, undefined);
	t.true(done.size > 5);
	t.true([...done.values()].every(({outcome}) => outcome === 'imported'));
	t.deepEqual(carry.faults(), []);
});

test('a body is read to its end, also where nobody needs the rest of it', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	const tar = specBundle(many(2, 3_000_000)).bundle.tar();
	const packed = gzipSync(tar, {level: 1});
	await readAll(bench.start(new Body(tar)));
	for (const bytes of [tar, packed]) {
		const body = new Body(bytes);
		const {end} = await readAll(bench.start(body));
		t.is(end?.there, 2);
		t.is(body.read, bytes.length);
	}
	const broken = (async function* (): AsyncGenerator<Buffer, void, undefined> {
		yield* new Body(tar.subarray(0, 5_000_000));
		throw new Error('socket hang up');
	})();
	t.is((await readAll(bench.start(broken))).end?.there, 2);
});

test('a file of a folder that cannot be read spoils that image alone', async t => {
	const carry = new FakeCarryIn();
	const {bundle, images} = specBundle(many(3));
	const files = new FolderBundle(await bundle.writeFolder(await tempDir(t)));
	const spoiled = images[1]?.files[0]?.slice('blobs/sha256/'.length);
	const blob = files.blob.bind(files);
	files.blob = async digest => {
		if (digest === `sha256:${spoiled}`) {
			throw Object.assign(new Error('EIO: i/o error, read'), {code: 'EIO'});
		}
		return blob(digest);
	};
	const importer = new Importer({
		host: testHost(),
		carry,
		keys: {judge: async () => ({})},
		spool: () => folderSpool('/nonexistent'),
	});
	const ask = {signal: new AbortController().signal};
	const by = {name: undefined, operator: true};
	const {done, end} = await readAll(importer.importFiles(files, {allowUnsigned: true, dryRun: false}, by, ask));
	t.is(done.get(uuid(1))?.problem, 'EIO: i/o error, read');
	t.is(end?.imported, 2);
	await files.close();
});

test('what a cut tar lacks is told of the images that it is lacking to', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const {bundle, images} = specBundle(many(3, 100_000));
	const tar = bundle.tar();
	const {error, end, done} = await readAll(bench.start(new Body(tar.subarray(0, tar.length - 60_000))));
	t.is(error, undefined);
	t.is(end?.imported, 2);
	t.is(end?.failed, 1);
	t.regex(done.get(images[2]?.uuid ?? '')?.problem ?? '', /the tar ends in the middle of/);
});

test('a slow store has eight small files to write at most, and the body waits', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	const {passed, open} = door();
	carry.onTake = () => passed;
	const size = 900_000;
	const body = new Body(specBundle(many(30, size)).bundle.tar());
	const reading = readAll(bench.start(body));
	await turn();
	t.is(carry.takesUnderWay, 8);
	t.true(carry.mostBytesUnderWay <= 8 * mebibyte);
	const {read} = body;
	t.true(read < 10 * size);
	await turn();
	t.is(body.read, read);
	open();
	t.is((await reading).end?.imported, 30);
	t.is(carry.mostTakesUnderWay, 8);
	t.true(carry.mostBytesUnderWay <= 8 * mebibyte);
});

test('a large file goes through at the pace of the store, and small ones before it are written meanwhile', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	const {bundle} = specBundle([...many(3), {uuid: uuid(9), files: [pseudoRandom(30 * mebibyte, 9)]}]);
	const {passed, open} = door();
	const begun = door();
	const take = carry.take.bind(carry);
	carry.take = (file, ask) =>
		take(
			file.size < mebibyte
				? file
				: {
						...file,
						body: (async function* () {
							let read = 0;
							for await (const piece of file.body) {
								read += piece.length;
								if (read >= 2 * mebibyte) {
									begun.open();
									await passed;
								}
								yield piece;
							}
						})(),
					},
			ask,
		);
	const body = new Body(bundle.tar());
	const reading = readAll(bench.start(body));
	await begun.passed;
	await turn();
	t.true(body.read < 3 * mebibyte);
	t.deepEqual([...carry.visible].sort(), [uuid(0), uuid(1), uuid(2)]);
	open();
	const {end, events} = await reading;
	t.is(end?.imported, 4);
	const told = events.filter(event => event.what === 'progress').map(({bytesDone}) => bytesDone);
	t.true(told.length >= 4);
	t.deepEqual(
		told,
		[...told].sort((a, b) => a - b),
	);
	t.is(told.at(-1), 30 * mebibyte + 6000);
});

test('images are written eight at a time, and no more are read before one of them is', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const {passed, open} = door();
	carry.onKeep = () => passed;
	const specs = Array.from({length: 40}, (_, index) => ({uuid: uuid(index)}));
	const events: ImportEvent[] = [];
	const reading = bench.run(specBundle(specs).bundle, 'folder', {
		onEvent: event => {
			events.push(event);
		},
	});
	await turn();
	while (events.length < 9) {
		await turn();
	}
	await turn();
	t.is(carry.mostKeepsUnderWay, 8);
	t.true(events.filter(({what}) => what === 'image').length <= 10);
	open();
	t.is((await reading).end?.imported, 40);
	t.is(carry.mostKeepsUnderWay, 8);
});

test('a reader who takes its time slows the import down, and misses nothing', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry, {mostAside: 0});
	const specs = Array.from({length: 1500}, (_, index) => ({uuid: uuid(index)}));
	const lines = bench.start(new Body(specBundle(specs).bundle.tar()));
	await lines.next();
	await lines.next();
	await turn();
	for (let round = 0; round < 20; round++) {
		await turn();
	}
	t.true(carry.visible.length < 700);
	const {events, end} = await readAll(lines);
	t.is(end?.imported, 1500);
	t.is(events.filter(({what}) => what === 'done').length, 1500);
});

test('of images that come before their origins, only so many are held', async t => {
	const carry = new FakeCarryIn();
	const importer = new Importer({
		...{host: testHost(), carry, keys: {judge: async () => ({})}, spool: () => folderSpool('/nonexistent')},
		mostParkedBytes: 10_000,
	});
	const specs = Array.from({length: 10}, (_, index) => ({
		...{uuid: uuid(index), description: 'long '.repeat(300)},
		...(index === 9 ? {} : {origin: uuid(index + 1)}),
	}));
	const files = new FolderBundle(await specBundle(specs).bundle.writeFolder(await tempDir(t)));
	const run = (): Promise<Awaited<ReturnType<typeof readAll>>> => {
		const ask = {signal: new AbortController().signal};
		const by = {name: undefined, operator: true};
		return readAll(importer.importFiles(files, {allowUnsigned: true, dryRun: false}, by, ask));
	};
	const first = await run();
	t.true((first.end?.failed ?? 0) > 0);
	t.true((first.end?.imported ?? 0) > 0);
	t.true([...first.done.values()].some(({problem = ''}) => /^too many images .* once more/.test(problem)));
	let rounds = 1;
	for (let failed = first.end?.failed; failed !== 0; rounds++) {
		const next = await run();
		t.true((next.end?.failed ?? Infinity) < (failed ?? 0));
		failed = next.end?.failed;
	}
	t.true(rounds > 1);
	t.is(carry.visible.length, 10);
	await files.close();
});

test('a file that cannot be let go of does not fail the import', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const take = carry.take.bind(carry);
	carry.take = async (file, ask) => {
		const taken = await take(file, ask);
		const release = taken.release.bind(taken);
		return Object.assign(taken, {
			release: async () => {
				await release();
				throw new Error('EIO: i/o error, unlink');
			},
		});
	};
	const {end} = await bench.run(specBundle(many(2)).bundle);
	t.is(end?.imported, 2);
	t.is(bench.host.linesLike({msg: 'a file of a bundle cannot be let go of'}).length, 2);
});

test('a store that gives bytes another digest than the bundle does is not believed', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const take = carry.take.bind(carry);
	carry.take = async (file, ask) => Object.assign(await take(file, ask), {sha256: ''});
	const {done} = await bench.run(specBundle(many(1)).bundle);
	t.regex(done.get(uuid(0))?.problem ?? '', /is damaged/);
	t.deepEqual(carry.held, []);
	const vanishing = new FakeCarryIn();
	vanishing.holdStored = async () => undefined;
	const shared = {files: [pseudoRandom(2000, 1)]};
	const two = await (
		await importBench(t, vanishing)
	).run(
		specBundle([
			{uuid: uuid(1), ...shared, icon: Buffer.from('icon')},
			{uuid: uuid(2), ...shared},
		]).bundle,
		'folder',
	);
	t.is(two.end?.failed, 1);
	t.true([...two.done.values()].some(({problem = ''}) => problem.endsWith('has gone from the store again')));
	t.false(two.error instanceof IntegrityError);
});

test('where a bundle cannot let go of what nobody needs, the import ends, and nobody waits for ever', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const large = {uuid: uuid(1), files: [pseudoRandom(2 * mebibyte, 1)]};
	const [image] = specBundle([large]).images;
	const {bundle: one} = specBundle([large]);
	const manifest = one.files.get(image?.manifest ?? '')?.toString() ?? '';
	// The same image once more.
	const again = Buffer.from(manifest.replace(/\}$/, ',"subject":null}'));
	const entry = {
		mediaType: 'application/vnd.oci.image.manifest.v1+json',
		digest: `sha256:${hexOf('sha256', again)}`,
		size: again.length,
	};
	const {bundle: two} = specBundle([large], {more: [entry]});
	const damaged = [image?.files[0] ?? '', pseudoRandom(2 * mebibyte, 9)] as const;
	const bundle = new TestBundle(new Map([...two.files, [pathOf(again), again], damaged]), []);
	const files = new FolderBundle(await bundle.writeFolder(await tempDir(t)));
	files.drop = () => Promise.reject(new Error('the disk is broken'));
	const options = {allowUnsigned: true, dryRun: false};
	const ask = {signal: new AbortController().signal};
	const {error, events} = await readAll(bench.importer.importFiles(files, options, {name: 'ann', operator: true}, ask));
	t.is(error?.message, 'the disk is broken');
	t.deepEqual(
		events.filter(({what}) => what === 'begin' || what === 'end'),
		[{what: 'begin', images: 2}],
	);
	t.deepEqual(carry.faults(), []);
});

test('a file that was here is let go of where the bundle cannot pass over its own', async t => {
	const carry = new FakeCarryIn();
	const bench = await importBench(t, carry);
	const one = {uuid: uuid(1), files: [pseudoRandom(2000, 1)]};
	t.is((await bench.run(specBundle([one]).bundle)).end?.imported, 1);
	const files = new FolderBundle(await specBundle([{...one, uuid: uuid(2)}]).bundle.writeFolder(await tempDir(t)));
	files.drop = () => Promise.reject(new Error('the disk is broken'));
	const options = {allowUnsigned: true, dryRun: false};
	const ask = {signal: new AbortController().signal};
	const {error} = await readAll(bench.importer.importFiles(files, options, {name: 'ann', operator: true}, ask));
	t.is(error?.message, 'the disk is broken');
	t.deepEqual(carry.faults(), []);
});
