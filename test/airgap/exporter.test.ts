import test from 'ava';
import {parseHave} from '../../src/airgap/have.js';
import {
	InvalidParameterError,
	IntegrityError,
	MirrorError,
	NoSpaceError,
	NotFoundError,
	SourceUnavailableError,
} from '../../src/errors.js';
import {digest} from '../helpers/make-image.js';
import {id} from './fake-carry-out.js';
import {bytesOf, startExporter} from './start-exporter.js';

const everything = {origins: true, selection: {name: ['*']}};

test('what a tar is made of stays here until the tar is closed', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	await carry.add(1);
	await carry.add(2, {here: false});
	const tar = await exporter.export(everything, ask);
	const held = [carry.fileOf(1).sha1, carry.fileOf(2).sha1].sort();
	t.deepEqual(carry.held, held);
	const other = await exporter.export({origins: true, all: true}, ask);
	tar.close();
	t.deepEqual(carry.held, held, 'the other one still needs them');
	tar.close();
	t.is((await bytesOf(other)).length, other.size);
	other.close();
	t.deepEqual(carry.held, []);
});

test('an export of what cannot go whole throws before anything is fetched, naming what cannot go', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	await carry.add(1, {name: 'orphan', origin: 99});
	await carry.add(2, {here: false});
	await t.throwsAsync(exporter.export(everything, ask), {
		instanceOf: NotFoundError,
		message: `what is asked for cannot go: orphan 1.0.0 (${id(1)}): it is built upon ${id(99)}, which cannot go: nobody has it`,
	});
	t.deepEqual(carry.fetched, []);
	t.deepEqual(carry.held, []);
});

test('an export throws what says most about what to do', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	await carry.add(1, {name: 'one', here: false});
	await carry.add(2, {name: 'two', here: false});
	const failWith = async (error: Error): Promise<Error> => {
		carry.fetchMishaps.set(id(1), error);
		return t.throwsAsync(exporter.export(everything, ask));
	};
	for (const error of [
		new NoSpaceError('full'),
		new IntegrityError('wrong'),
		new NotFoundError('gone'),
		new SourceUnavailableError('there', 'no route'),
	]) {
		const thrown = await failWith(error);
		t.is(thrown.constructor, error.constructor);
		t.is(thrown.cause, error);
		t.regex(thrown.message, /one 1\.0\.0/u);
		t.notRegex(thrown.message, /two/u);
		t.deepEqual(carry.held, []);
	}
	t.is((await failWith(new TypeError('a mistake'))).constructor, MirrorError);
	t.false(carry.fetched.includes(id(2)));
	const missing = {origins: true, selection: {uuids: Array.from({length: 15}, (_, number) => id(500 + number))}};
	await t.throwsAsync(exporter.export(missing, ask), {instanceOf: NotFoundError, message: /; and 5 more$/u});
	await carry.add(3, {state: 'unactivated'});
	await t.throwsAsync(exporter.export({origins: true, selection: {uuids: [id(3)]}}, ask), {
		instanceOf: InvalidParameterError,
		message: /has not been activated yet/u,
	});
});

test('warnings of an export are logged', async t => {
	const {carry, exporter, ask, host} = await startExporter(t);
	await carry.add(1, {name: 'child', origin: 99});
	const tar = await exporter.export({...everything, origins: false}, ask);
	tar.close();
	t.is(host.linesLike(/export: .*the origin of child/u).length, 1);
});

test('an export of what the far side has all of is an empty bundle', async t => {
	const {carry, exporter, ask} = await startExporter(t);
	await carry.add(1);
	const tar = await exporter.export({...everything, have: await exporter.have()}, ask);
	t.true(tar.size < 4096);
	t.true((await bytesOf(tar)).includes('"manifests":[]'));
	tar.close();
});

test('what is here is told by uuid, config and files', async t => {
	const {carry, exporter} = await startExporter(t);
	await carry.add(2, {files: [10, 20]});
	await carry.add(1, {files: []});
	await carry.add(3, {here: false});
	await carry.add(4, {state: 'disabled', saysSha1: false});
	const line = (number: number, sha1s: string): string =>
		`${id(number)} ${digest('sha256', Buffer.from(carry.textOf(number)))} ${sha1s}\n`;
	t.is(
		await exporter.have(),
		`# imgmirror have 1\n${line(1, '-')}${line(2, `${carry.fileOf(2, 0).sha1},${carry.fileOf(2, 1).sha1}`)}${line(4, carry.fileOf(4).sha1)}`,
	);
});

test('an image that goes while that is told is left out', async t => {
	const {carry, exporter, host} = await startExporter(t);
	await carry.add(1);
	await carry.add(2);
	carry.findMishaps.set(id(1), new NotFoundError('gone'));
	const have = parseHave(await exporter.have());
	t.is(have.size, 1);
	t.is(have.has(id(1), ''), 'absent');
	t.is(host.linesLike({image: id(1)}).length, 1);
});
