import {createHash} from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import type {ExportRequest, PlannedBlob, PlanEvent} from '../../src/airgap/api.js';
import {haveText} from '../../src/airgap/have.js';
import {digestOf, emptyLayer, parseImage, parseIndex} from '../../src/airgap/oci.js';
import {
	IntegrityError,
	InvalidParameterError,
	NoSpaceError,
	NotFoundError,
	SourceUnavailableError,
	StoppingError,
} from '../../src/errors.js';
import {digest} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {rule} from '../prefetch/rules.js';
import {FakeCarryOut, id, type CarriedOptions} from './fake-carry-out.js';
import {all, eventsOf, startExporter, toldOf} from './start-exporter.js';

const icon = {bytes: Buffer.from('a picture'), contentType: 'image/png'};

function blobsOf(events: readonly PlanEvent[]): readonly PlannedBlob[] {
	return eventsOf(events, 'image').flatMap(({blobs}) => blobs);
}

function bytesOf({text = '', base64}: PlannedBlob): Buffer {
	return base64 === undefined ? Buffer.from(text) : Buffer.from(base64, 'base64');
}

function uuidsIn(events: readonly PlanEvent[]): readonly (string | undefined)[] {
	const [index] = eventsOf(events, 'index');
	const entries = parseIndex(Buffer.from(index?.text ?? ''));
	return entries.map(({descriptor}) => descriptor.annotations['org.opencontainers.image.ref.name']);
}

/** As the far side would tell it of the images of these numbers. */
function haveOf(carry: FakeCarryOut, numbers: readonly number[]): string {
	return haveText(
		numbers.map(number => ({
			uuid: id(number),
			configSha256: digest('sha256', Buffer.from(carry.textOf(number))),
			sha1s: [carry.fileOf(number).sha1],
		})),
	);
}

test('an image goes with its manifest, its config, its file and its icon', async t => {
	const {carry, plan} = await startExporter(t);
	const uuid = await carry.add(1, {name: 'base', version: '2.0', icon, files: [1000, 500]});
	const events = await plan({selection: {uuids: [uuid]}});

	t.deepEqual(
		events.map(({what}) => what),
		['begin', 'image', 'index', 'end'],
	);
	t.deepEqual(events[0], {what: 'begin', images: 1, bytes: 1500, bytesToFetch: 0});
	const [event] = eventsOf(events, 'image');
	t.like(event, {uuid, name: 'base', version: '2.0', bytes: 1500, filesLeftOut: false});
	const [manifest, config, first, second, picture, ...others] = blobsOf(events);
	t.deepEqual(others, []);
	t.is(config?.text, carry.textOf(1));
	t.like(first, {size: 1000, file: {uuid, index: 0, sha1: carry.fileOf(1).sha1}});
	t.is(first?.digest, `sha256:${digest('sha256', carry.fileOf(1).bytes)}`);
	t.like(second, {size: 500, file: {uuid, index: 1, sha1: carry.fileOf(1, 1).sha1}});
	sameBytes(t, Buffer.from(picture?.base64 ?? '', 'base64'), icon.bytes);
	for (const blob of [manifest, config, picture]) {
		t.is(blob?.digest, digestOf(bytesOf(blob ?? {digest: '', size: 0})));
		t.is(blob?.size, bytesOf(blob ?? {digest: '', size: 0}).length);
	}
	const read = parseImage(Buffer.from(manifest?.text ?? ''));
	t.is(config?.digest, read.config.digest);
	t.deepEqual(
		read.files.map(({descriptor}) => descriptor.digest),
		[first?.digest, second?.digest],
	);
	t.is(read.icon?.digest, picture?.digest);
	t.deepEqual(uuidsIn(events), [uuid]);
	const sizes = blobsOf(events).reduce((sum, {size}) => sum + size, 0);
	t.deepEqual(events.at(-1), {what: 'end', images: 1, there: 0, failed: 0, bytes: sizes});
	t.deepEqual(carry.held, []);
});

test('an image without a file has the empty layer, once for all of them', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {files: []});
	await carry.add(2, {files: []});
	const events = await plan({selection: {name: ['*']}});
	const empty = blobsOf(events).filter(blob => blob.digest === emptyLayer.digest);
	t.deepEqual(empty, [{digest: emptyLayer.digest, size: 2, text: '{}'}]);
	t.is(blobsOf(events).length, 5);
});

test('a file that two images have goes once', async t => {
	const {carry, plan} = await startExporter(t);
	const bytes = Buffer.alloc(2000, 'same');
	await carry.add(1, {files: [bytes]});
	await carry.add(2, {files: [bytes], here: false});
	const events = await plan({selection: {name: ['*']}});
	t.deepEqual(events[0], {what: 'begin', images: 2, bytes: 2000, bytesToFetch: 0});
	t.is(blobsOf(events).filter(({file}) => file !== undefined).length, 1);
	t.deepEqual(carry.fetched, []);
});

test('origins come along, disabled ones and such as only a source knows, before what is built upon them', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(9, {name: 'bottom', state: 'disabled', known: false});
	await carry.add(5, {name: 'middle', state: 'disabled', origin: 9});
	await carry.add(1, {name: 'top', origin: 5});
	await carry.add(2, {name: 'other', origin: 9});
	await carry.add(3, {name: 'not asked for'});
	const events = await plan({selection: {uuids: [id(2), id(1)]}});
	t.deepEqual(toldOf(events), ['bottom', 'other', 'middle', 'top']);
	t.deepEqual(
		eventsOf(events, 'image').map(({originOf}) => originOf),
		[id(1), undefined, id(1), undefined],
	);
	t.deepEqual(uuidsIn(events), [id(9), id(2), id(5), id(1)]);
	t.deepEqual(eventsOf(events, 'warning'), []);
});

test('without origins, each that is missing is named once', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(9, {name: 'bottom', version: '3'});
	await carry.add(1, {name: 'first', origin: 9});
	await carry.add(2, {name: 'second', origin: 9});
	await carry.add(3, {name: 'third', origin: 2});
	await carry.add(4, {name: 'fourth', origin: 77});
	const selection = {uuids: [id(1), id(2), id(3), id(4)]};
	const events = await plan({selection, origins: false});
	t.deepEqual(toldOf(events), ['first', 'second', 'fourth', 'third']);
	t.deepEqual(
		eventsOf(events, 'warning').map(({message}) => message),
		[
			`bottom 3 (${id(9)}), the origin of first 1.0.0 (${id(1)}), does not go along`,
			`${id(77)}, the origin of fourth 1.0.0 (${id(4)}), does not go along`,
		],
	);
	const delta = await plan({selection, origins: false, have: haveOf(carry, [9])});
	t.is(eventsOf(delta, 'warning').length, 1);
});

test('an origin that nobody has keeps only what is built upon it from going', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'orphan', origin: 99});
	await carry.add(2, {name: 'its child', origin: 1});
	await carry.add(3, {name: 'fine'});
	const events = await plan({selection: {name: ['*']}});
	const why = `it is built upon ${id(99)}, which cannot go: nobody has it`;
	t.deepEqual(toldOf(events), [`orphan failed: ${why}`, 'fine', `its child failed: ${why}`]);
	t.like(events.at(-1), {images: 1, failed: 2});
	t.deepEqual(uuidsIn(events), [id(3)]);
});

test('what is asked for by uuid and cannot be had is named, and the rest goes', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {state: 'disabled', name: 'old'});
	await carry.add(2, {state: 'unactivated', name: 'unborn'});
	await carry.add(3, {known: false, name: 'far away'});
	await carry.add(4);
	await carry.add(6, {known: false});
	carry.findMishaps.set(id(4), new SourceUnavailableError('there', 'no route'));
	carry.findMishaps.set(id(6), new SourceUnavailableError('there', 'no answer'));
	const events = await plan({selection: {uuids: [6, 5, 4, 3, 2, 1].map(id)}});
	t.deepEqual(toldOf(events), [
		`${id(4)} failed: source there: no route`,
		`${id(5)} failed: nobody has it`,
		`${id(6)} failed: source there: no answer`,
		'old',
		'unborn failed: it has not been activated yet',
		'far away',
	]);
	t.like(events.at(-1), {images: 2, there: 0, failed: 4});
});

test('chains that close to circles end', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'hen', origin: 2});
	await carry.add(2, {name: 'egg', origin: 1});
	await carry.add(3, {name: 'feather', origin: 1});
	t.deepEqual(toldOf(await plan({selection: {name: ['feather']}})), ['hen', 'egg', 'feather']);
});

test('a chain that never ends is no chain', async t => {
	const {carry, plan} = await startExporter(t);
	for (let number = 1; number <= 150; number++) {
		await carry.add(number, {files: [], origin: number + 1});
	}
	const events = await plan({selection: {uuids: [id(1)]}});
	t.like(events.at(-1), {what: 'end', images: 0, failed: 101});
	t.true(carry.asked.length < 5);
	for (const {problem = ''} of eventsOf(events, 'left-out')) {
		t.regex(problem, /more than 100 images in the chain/u);
		t.true(problem.length < 200);
	}
});

test('what is not here is fetched first, one after another, and progress is told', async t => {
	const {carry, plan, host} = await startExporter(t);
	await carry.add(1, {name: 'first', files: [1000], here: false});
	await carry.add(2, {name: 'second', files: [3000], here: false, saysSha1: false});
	await carry.add(3, {name: 'third', files: [500]});
	carry.onFetch = async (uuid, {onProgress}) => {
		if (uuid === id(2)) {
			onProgress(2000);
			await new Promise(resolve => setImmediate(resolve));
			await host.clock.advance(200);
			await new Promise(resolve => setImmediate(resolve));
		}
	};
	const events = await plan({selection: {name: ['*']}});
	t.deepEqual(events.slice(0, 6), [
		{what: 'begin', images: 3, bytes: 4500, bytesToFetch: 4000},
		{what: 'fetching', uuid: id(1), name: 'first', version: '1.0.0', bytes: 1000},
		{what: 'progress', bytesDone: 1000},
		{what: 'fetching', uuid: id(2), name: 'second', version: '1.0.0', bytes: 3000},
		{what: 'progress', bytesDone: 3000},
		{what: 'progress', bytesDone: 4000},
	]);
	t.is(eventsOf(events, 'progress').length, 3);
	t.deepEqual(toldOf(events), ['first', 'second', 'third']);
	t.deepEqual(carry.fetched, [id(1), id(2)]);
	t.is(blobsOf(events).filter(({file}) => file !== undefined).length, 3);
});

test('what is here is held before anything is fetched, and let go of in the end', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {here: false});
	await carry.add(2);
	const seen: unknown[] = [];
	carry.onFetch = () => {
		seen.push(carry.held);
		return Promise.resolve();
	};
	await plan({selection: {name: ['*']}});
	t.deepEqual(seen, [[carry.fileOf(2).sha1]]);
	t.deepEqual(carry.held, []);
});

test('a file that does not come keeps its image and what is built upon it from going', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'base', here: false});
	await carry.add(2, {name: 'child', origin: 1, here: false});
	await carry.add(3, {name: 'grandchild', origin: 2});
	await carry.add(4, {name: 'other', here: false});
	carry.fetchMishaps.set(id(1), new NoSpaceError('the store is full'));
	const events = await plan({selection: {name: ['*']}});
	t.deepEqual(toldOf(events), [
		'base failed: the store is full',
		'other',
		`child failed: it is built upon base 1.0.0 (${id(1)}), which cannot go: the store is full`,
		`grandchild failed: it is built upon base 1.0.0 (${id(1)}), which cannot go: the store is full`,
	]);
	t.deepEqual(carry.fetched, [id(1), id(4)]);
	t.like(events.at(-1), {images: 1, failed: 3});
	t.deepEqual(eventsOf(events, 'progress').at(-1), {what: 'progress', bytesDone: 3000});
});

test('a file that goes before it was held, or is not what the manifest says, is told', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'gone'});
	await carry.add(2, {name: 'lied about', saysSha1: false});
	carry.onFetch = async (uuid: string) => {
		await Promise.resolve();
		if (uuid === id(1)) {
			throw new NotFoundError('no more');
		}
	};
	await carry.lose(carry.fileOf(1).sha1);
	const whole = carry.hold.bind(carry);
	carry.hold = (sha1, by) => {
		const blob = whole(sha1, by);
		return blob === undefined ? undefined : {...blob, size: 7};
	};
	const events = await plan({selection: {name: ['*']}});
	t.is(toldOf(events)[0], 'gone failed: nobody has it');
	t.regex(toldOf(events)[1] ?? '', /^lied about failed: file 0 of image/u);
	t.is(toldOf(events).length, 2);
});

test('a file that has gone after all is told', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'slippery', here: false});
	carry.fetch = () => Promise.resolve();
	t.deepEqual(toldOf(await plan({selection: {name: ['*']}})), ['slippery failed: file 0 was here, and has gone']);
});

test('what the far side has is left out, and of what has changed only the manifest goes', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'same'});
	await carry.add(2, {name: 'changed', icon});
	await carry.add(3, {name: 'new'});
	await carry.add(4, {name: 'new with old file', files: [carry.fileOf(1).bytes]});
	await carry.add(5, {name: 'built upon same', origin: 1});
	const have = haveOf(carry, [1, 2]);
	carry.setText(2, carry.textOf(2).replace('"os"', '"description": "new words",\n  "os"'));
	const events = await plan({selection: {name: ['*']}, have});
	t.deepEqual(toldOf(events), [
		'same there',
		'changed without files',
		'new',
		'new with old file without files',
		'built upon same',
	]);
	t.deepEqual(events[0], {what: 'begin', images: 4, bytes: 2000, bytesToFetch: 0});
	t.deepEqual(
		eventsOf(events, 'image').map(({blobs}) => blobs.map(({file}) => file?.uuid)),
		[
			[undefined, undefined, undefined],
			[undefined, undefined, id(3)],
			[undefined, undefined],
			[undefined, undefined, id(5)],
		],
	);
	const [index] = eventsOf(events, 'index');
	t.deepEqual(
		parseIndex(Buffer.from(index?.text ?? '')).map(({filesElsewhere}) => filesElsewhere),
		[true, false, true, false],
	);
	t.like(events.at(-1), {images: 4, there: 1, failed: 0});
});

test('an image that the far side has needs nothing fetched, and an origin that only it has is no hindrance', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'there', here: false});
	await carry.add(2, {name: 'child', origin: 9});
	const elsewhere = new FakeCarryOut(await tempDir(t));
	await elsewhere.add(9);
	const have = haveOf(carry, [1]) + haveOf(elsewhere, [9]);
	const events = await plan({selection: {name: ['*']}, have});
	t.deepEqual(toldOf(events), ['there there', 'child']);
	t.deepEqual(carry.fetched, []);
	const nothing = await plan({selection: {name: ['there']}, have});
	t.deepEqual(uuidsIn(nothing), []);
	t.deepEqual(nothing.at(-1), {what: 'end', images: 0, there: 1, failed: 0, bytes: 0});
});

test('origins of what is left out are looked at all the same', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'base'});
	await carry.add(2, {name: 'child', origin: 1});
	t.deepEqual(toldOf(await plan({selection: {name: ['child']}, have: haveOf(carry, [2])})), ['base', 'child there']);
});

test('a dry run fetches nothing, holds nothing, and tells what would be', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'here', icon});
	await carry.add(2, {name: 'not here', here: false, files: [5000]});
	await carry.add(3, {name: 'there'});
	const have = haveOf(carry, [3]);
	carry.onFind = () => {
		t.deepEqual(carry.held, []);
	};
	const events = await plan({selection: {name: ['*']}, have, dryRun: true});
	t.deepEqual(events, [
		{what: 'begin', images: 2, bytes: 6000, bytesToFetch: 5000},
		{
			...{what: 'image', uuid: id(1), name: 'here', version: '1.0.0', bytes: 1000},
			...{filesLeftOut: false, blobs: []},
		},
		{
			...{what: 'image', uuid: id(2), name: 'not here', version: '1.0.0', bytes: 5000},
			...{filesLeftOut: false, blobs: []},
		},
		{what: 'left-out', uuid: id(3), name: 'there', version: '1.0.0', why: 'there'},
		{what: 'end', images: 2, there: 1, failed: 0, bytes: 6000},
	]);
	t.deepEqual(carry.fetched, []);
});

test('an icon that cannot be had, or is no picture, stays behind with a warning', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'lost', iconLost: true});
	await carry.add(2, {name: 'odd', icon: {bytes: Buffer.from('<svg/>'), contentType: 'image/svg+xml'}});
	await carry.add(3, {name: 'huge', icon: {bytes: Buffer.alloc(131_073), contentType: 'image/png'}});
	const whole = carry.icon.bind(carry);
	await carry.add(4, {name: 'broken', icon});
	carry.icon = image => (image.manifest.name === 'broken' ? Promise.reject(new TypeError('no')) : whole(image));
	const events = await plan({selection: {name: ['*']}});
	t.deepEqual(toldOf(events), ['lost', 'odd', 'huge', 'broken']);
	t.is(eventsOf(events, 'warning').length, 4);
	t.is(
		eventsOf(events, 'warning')[0]?.message,
		`the icon of lost 1.0.0 (${id(1)}) cannot be had and does not go along`,
	);
	t.true(blobsOf(events).every(({base64}) => base64 === undefined));
});

test('the index is signed where there is a key', async t => {
	const started = await startExporter(t);
	await started.carry.add(1);
	started.signature = '-----BEGIN SSH SIGNATURE-----\n';
	const [index] = eventsOf(await started.plan({all: true}), 'index');
	t.like(index, {signature: '-----BEGIN SSH SIGNATURE-----\n', signedBy: 'SHA256:me'});
});

test('channels, everything that is here, and rules', async t => {
	const {carry, plan} = await startExporter(t, {rules: [rule({name: 'bases', include: {name: ['base*']}})]});
	await carry.add(1, {name: 'base-a'});
	await carry.add(2, {name: 'base-b', here: false});
	await carry.add(3, {name: 'old', state: 'disabled'});
	await carry.add(4, {name: 'web'});
	await carry.add(5, {name: 'unborn', state: 'unactivated'});
	carry.channels.set('staging', [id(4), id(2)]);
	t.deepEqual(toldOf(await plan({channel: 'staging'})), ['base-b', 'web']);
	t.deepEqual(toldOf(await plan({selection: {rule: 'bases'}})), ['base-a', 'base-b']);
	t.deepEqual(toldOf(await plan({channel: 'staging', selection: {name: ['base*']}})), ['base-b']);
	await carry.lose(carry.fileOf(2).sha1);
	t.deepEqual(toldOf(await plan({all: true})), ['base-a', 'old', 'web']);
	t.deepEqual(toldOf(await plan({all: true, selection: {}})), ['base-a', 'old', 'web']);
	t.deepEqual(toldOf(await plan({all: true, channel: 'staging'})), ['web']);
	t.deepEqual(toldOf(await plan({all: true, selection: {rule: 'bases'}})), ['base-a']);
	t.deepEqual(toldOf(await plan({all: true, selection: {uuids: [id(2), id(3)]}})), [
		`${id(2)} failed: its files are not all here`,
		'old',
	]);
	t.deepEqual(toldOf(await plan({channel: 'staging', selection: {uuids: [id(1), id(4)]}})), [
		`${id(1)} failed: it is not in channel staging`,
		'web',
	]);
});

test('the newest of each name are counted among those that are chosen from', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'base', version: '1', publishedAt: '2020-01-01T00:00:00Z'});
	await carry.add(2, {name: 'base', version: '2', publishedAt: '2020-01-02T00:00:00Z'});
	carry.channels.set('staging', [id(1)]);
	const versions = async (request: object): Promise<readonly string[]> =>
		eventsOf(await plan(request), 'image').map(({version}) => version);
	t.deepEqual(await versions({selection: {name: ['base'], newest: 1}}), ['2']);
	t.deepEqual(await versions({selection: {name: ['base'], newest: 1}, channel: 'staging'}), ['1']);
});

test('what does not fit in the size that was asked for is counted; origins weigh where they come along', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'base'});
	await carry.add(2, {name: 'child', origin: 1});
	await carry.add(3, {name: 'big', files: [9000]});
	const selection = {name: ['child', 'big'], maxBytes: 1500};
	await t.throwsAsync(plan({selection}), {instanceOf: InvalidParameterError});
	const events = await plan({selection, origins: false});
	t.deepEqual(toldOf(events), ['child']);
	t.is(eventsOf(events, 'warning').at(-1)?.message, '1 image does not fit in the size that was asked for');
	const both = await plan({selection: {...selection, maxBytes: 2000}});
	t.deepEqual(toldOf(both), ['base', 'child']);
});

test('sources that have nothing in a channel are not taken for silent', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {name: 'only here', sources: []});
	await carry.add(2, {name: 'theirs', sources: ['a']});
	carry.channels.set('c', [id(1)]);
	await t.throwsAsync(plan({channel: 'c', selection: {sources: ['a']}}), {message: 'there is no image like that'});
	t.deepEqual(toldOf(await plan({channel: 'c', selection: {sources: ['b']}})), ['only here']);
});

test('what cannot be asked for is thrown at once', async t => {
	const {exporter, ask, plan, carry} = await startExporter(t);
	t.throws(() => exporter.plan({origins: true}, ask), {instanceOf: InvalidParameterError, message: /not said/u});
	t.throws(() => exporter.plan({origins: true, selection: {}}, ask), {instanceOf: InvalidParameterError});
	t.throws(() => exporter.plan({origins: true, selection: {rule: 'x'}}, ask), {instanceOf: NotFoundError});
	t.throws(() => exporter.plan({origins: true, all: true, have: 'nonsense'}, ask), {
		instanceOf: InvalidParameterError,
	});
	await t.throwsAsync(plan({all: true}), {instanceOf: InvalidParameterError, message: 'there is no image like that'});
	await carry.add(1);
	await t.throwsAsync(plan({selection: {name: ['x']}}), {instanceOf: InvalidParameterError});
	await t.throwsAsync(plan({channel: 'x'}), {message: 'no channel x'});
});

test('whoever stops reading ends what is being fetched', async t => {
	const {carry, exporter, ask, host} = await startExporter(t);
	await carry.add(1, {here: false});
	await carry.add(2);
	let aborted = false;
	carry.onFetch = async (_, {signal, onProgress}) => {
		onProgress(1);
		await new Promise<void>(resolve => {
			signal.addEventListener('abort', () => {
				aborted = true;
				resolve();
			});
			setImmediate(() => void host.clock.advance(200));
		});
	};
	for await (const event of exporter.plan({origins: true, selection: {name: ['*']}}, ask)) {
		if (event.what === 'progress') {
			t.deepEqual(carry.held, [carry.fileOf(2).sha1]);
			break;
		}
	}
	t.true(aborted);
	t.deepEqual(carry.held, []);
});

test('what fails to come while nobody is listening is told all the same', async t => {
	const {carry, exporter, ask, host} = await startExporter(t);
	const uuid = await carry.add(1, {here: false});
	let fail = (): void => undefined;
	carry.onFetch = async (_, {onProgress}) => {
		onProgress(1);
		await new Promise<void>((_resolve, reject) => {
			fail = () => reject(new IntegrityError('other bytes came'));
			setImmediate(() => void host.clock.advance(200));
		});
	};
	const problems: (string | undefined)[] = [];
	for await (const event of exporter.plan({origins: true, selection: {name: ['*']}}, ask)) {
		if (event.what === 'progress' && event.bytesDone === 1) {
			fail();
			await new Promise(resolve => setImmediate(resolve));
		} else if (event.what === 'left-out') {
			problems.push(event.problem);
		}
	}
	t.deepEqual(problems, ['other bytes came']);
	t.deepEqual(carry.fetched, [uuid]);
	t.deepEqual(carry.held, []);
});

test('an abort ends it, and everything is let go of', async t => {
	const {carry, exporter, ask, stop} = await startExporter(t);
	await carry.add(1, {here: false});
	await carry.add(2);
	carry.onFetch = async (_, {signal}) => {
		stop.abort(new Error('the client has left'));
		t.true(signal.aborted);
		await Promise.resolve();
	};
	await t.throwsAsync(all(exporter.plan({origins: true, selection: {name: ['*']}}, ask)), {
		message: 'the client has left',
	});
	t.deepEqual(carry.held, []);
});

test('a mirror that goes away makes no bundle without what it could not fetch', async t => {
	const {carry, plan} = await startExporter(t);
	await carry.add(1, {here: false});
	carry.fetchMishaps.set(id(1), new StoppingError('the mirror is stopping'));
	await t.throwsAsync(plan({selection: {name: ['*']}}), {instanceOf: StoppingError});
});

test('thousands of images leave others their turn', async t => {
	const {carry, plan, exporter} = await startExporter(t);
	const bytes = Buffer.from('small');
	for (let number = 1; number <= 3000; number++) {
		await carry.add(number, {files: [bytes], ...(number > 1500 ? {origin: number - 1500} : {})});
	}
	let turns = 0;
	const timer = setInterval(() => turns++, 1);
	const have = await exporter.have();
	t.true(turns > 0);
	turns = 0;
	const events = await plan({all: true});
	clearInterval(timer);
	t.true(turns > 5);
	t.like(events.at(-1), {images: 3000, failed: 0});
	const nothing = await plan({all: true, have});
	t.like(nothing.at(-1), {images: 0, there: 3000});
});

/** A handful of images with all that makes plans differ. */
const imageSet = fc.uniqueArray(
	fc.record(
		{
			number: fc.integer({min: 1, max: 12}),
			origin: fc.integer({min: 1, max: 14}),
			files: fc.array(fc.constantFrom(10, 2000), {maxLength: 2}),
			name: fc.constantFrom('a', 'b'),
			state: fc.constantFrom('active', 'disabled'),
			here: fc.boolean(),
			icon: fc.constant(icon),
		},
		{requiredKeys: ['number']},
	),
	{selector: ({number}) => number, minLength: 1, maxLength: 8},
);

test('property: the same images make the same plan, however they are found', async t => {
	await fc.assert(
		fc.asyncProperty(imageSet, fc.infiniteStream(fc.nat()), async (images, numbers) => {
			const shuffled = [...images]
				.map(image => ({image, at: Number(numbers.next().value)}))
				.sort((a, b) => a.at - b.at)
				.map(({image}) => image);
			const one = await planOf(t, images, {});
			t.deepEqual(await planOf(t, shuffled, {here: true}), one);
			t.deepEqual(await planOf(t, shuffled, {here: true}, {all: true}), one);
			for (const {digest: named, size, text, base64} of one.blobs) {
				if (text !== undefined || base64 !== undefined) {
					const bytes = bytesOf({
						digest: named,
						size,
						...(text === undefined ? {} : {text}),
						...(base64 === undefined ? {} : {base64}),
					});
					t.is(named, `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
					t.is(size, bytes.length);
				}
			}
		}),
		{numRuns: 40},
	);
});

async function planOf(
	t: Scope,
	images: readonly (CarriedOptions & {readonly number: number})[],
	more: CarriedOptions,
	request?: Partial<ExportRequest>,
): Promise<{readonly index: string | undefined; readonly blobs: readonly PlannedBlob[]}> {
	const {carry, plan} = await startExporter(t);
	for (const {number, ...options} of images) {
		await carry.add(number, {...options, ...more});
	}
	const events = await plan(request ?? {selection: {uuids: images.map(({number}) => id(number))}});
	return {index: eventsOf(events, 'index')[0]?.text, blobs: blobsOf(events)};
}
