import {execFileSync} from 'node:child_process';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {PassThrough, Readable} from 'node:stream';
import test, {type ExecutionContext} from 'ava';
import {newKey, parsePublicKey, sign} from '../../src/airgap/signature.js';
import {runCli} from '../../src/cli/run.js';
import {blobPathOf, inPieces, makeBundle, tarOf} from '../airgap/make-bundle.js';
import {makeImage} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';

const uuids = ['01b2c898-945f-11e1-a523-af1afbe22822', '11b2c898-945f-11e1-a523-af1afbe22822'] as const;
const elsewhere = '04a48d7d-6bb5-4e83-8c3b-e60a99e0f48f';
const base = makeImage({uuid: uuids[0], name: 'base', version: '1.0.0', size: 1_500_000, origin: elsewhere});
const child = makeImage({uuid: uuids[1], name: 'bäd\u001b[2J', version: '2', size: 2000, origin: base});
const key = newKey('near');
const {fingerprint} = parsePublicKey(key.publicLine);
const signed = makeBundle({images: [base, child], sign: index => sign(index, key.privatePem)});
const unsigned = makeBundle({images: [base, child]});

interface Bench {
	readonly io: FakeIo;
	readonly folder: string;
	readonly run: (...argv: string[]) => Promise<number>;
	readonly json: () => readonly Readonly<Record<string, unknown>>[];
}

async function bench(t: ExecutionContext): Promise<Bench> {
	const io = new FakeIo();
	const folder = await tempDir(t);
	io.directory = folder;
	return {
		io,
		folder,
		async run(...argv) {
			io.out = '';
			io.err = '';
			return runCli(['bundle', ...argv], io);
		},
		json: () => JSON.parse(io.out) as Readonly<Record<string, unknown>>[],
	};
}

test('inspect shows what is in a bundle, and needs no server', async t => {
	const {io, folder, run} = await bench(t);
	await signed.writeFolder(join(folder, 'site'));
	t.is(await run('inspect', 'site'), 0);
	t.is(
		io.out,
		[
			'UUID                                  NAME     VERSION  OS       SIZE     ORIGIN',
			`${uuids[0]}  base     1.0.0    smartos  1.50 MB  ${elsewhere}`,
			`${uuids[1]}  bäd�[2J  2        smartos  2.00 kB  ${uuids[0]}`,
			'2 images, 1.50 MB',
			`signed with the key ${fingerprint}`,
			`origins that are not in it: ${elsewhere}`,
			'',
		].join('\n'),
	);
	t.is(io.err, '');
	t.deepEqual(io.assembled, []);
});

test('inspect says what is missing, left out, unsigned or strange', async t => {
	const {io, folder, run} = await bench(t);
	const delta = makeBundle({images: [base, child], elsewhere: [base]});
	const broken = delta.without(delta.image(1).file ?? '');
	await writeFile(
		join(folder, 'x.tar'),
		tarOf([...[...broken.files].map(([path, bytes]) => ({path, bytes})), {path: '../evil', bytes: Buffer.from('x')}]),
	);
	t.is(await run('inspect', 'x.tar'), 0);
	const lines = io.out.split('\n');
	t.regex(lines[0] ?? '', / {2}NOTE$/);
	t.regex(lines[2] ?? '', / {2}without its files$/);
	t.regex(lines[1] ?? '', / {2}broken: its file: blob sha256:\w{12}… is missing$/);
	t.deepEqual(lines.slice(3), [
		'2 images, 2.00 kB, 1 without files, which the far side has, 1 broken',
		'not signed',
		`origins that are not in it: ${elsewhere}`,
		'passed over: ../evil is no path that stays inside the tar',
		'',
	]);
});

test('inspect and verify tell programs the same as JSON', async t => {
	const {io, folder, run, json} = await bench(t);
	await signed.writeFolder(join(folder, 'site'));
	await unsigned.writeTar(join(folder, 'x.tar'));
	t.is(await run('inspect', '--json', 'site', 'none', 'x.tar'), 1);
	const [site, none, tar] = json();
	const images = [
		{
			...{uuid: uuids[0], name: 'base', version: '1.0.0', type: 'zone-dataset', os: 'smartos', size: 1_500_000},
			...{origin: elsewhere, outcome: 'right'},
		},
		{
			...{uuid: uuids[1], name: 'bäd\u001b[2J', version: '2', type: 'zone-dataset', os: 'smartos', size: 2000},
			...{origin: uuids[0], outcome: 'right'},
		},
	];
	const rest = {images, foreign: 0, odd: []};
	t.deepEqual(site, {
		...{bundle: join(folder, 'site'), form: 'folder', signature: {state: 'right', fingerprint}},
		...rest,
	});
	t.deepEqual(none, {bundle: join(folder, 'none'), problem: `there is no ${join(folder, 'none')}`});
	t.deepEqual(tar, {bundle: join(folder, 'x.tar'), form: 'tar', signature: {state: 'none'}, ...rest});
	t.is(io.err, `imgmirror: there is no ${join(folder, 'none')}\n`);

	t.is(await run('verify', '-q', '--json', 'site', 'none'), 1);
	t.deepEqual(json(), [
		{...site, right: true},
		{...none, right: false},
	]);
	t.is(await run('verify', '-q', '--json', 'x.tar', '--key', key.publicLine), 1);
	t.deepEqual(json(), [{...tar, right: false, signedWithKey: false}]);
});

test('verify reads everything, and says that it is right', async t => {
	const {io, folder, run} = await bench(t);
	await signed.writeFolder(join(folder, 'site'));
	const parts = await unsigned.writeParts(join(folder, 'x.tar'), 400_000);
	t.is(await run('verify', 'site'), 0);
	t.is(io.out, `2 images, 1.50 MB\nsigned with the key ${fingerprint}\norigins that are not in it: ${elsewhere}\n`);
	t.is(io.err, 'imgmirror: 2 images with 1.50 MB\n');
	t.is(await run('verify', '--quiet', ...parts, 'site'), 0);
	t.is(io.err, '');
	t.deepEqual(io.out.split('\n'), [
		`${parts[0] ?? ''}:`,
		'2 images, 1.50 MB',
		'not signed',
		`origins that are not in it: ${elsewhere}`,
		`${join(folder, 'site')}:`,
		'2 images, 1.50 MB',
		`signed with the key ${fingerprint}`,
		`origins that are not in it: ${elsewhere}`,
		'',
	]);
});

test('verify names what is broken, and what is built upon it', async t => {
	const {io, folder, run} = await bench(t);
	await signed.flipped(signed.image(0).file ?? '', 1_400_000).writeTar(join(folder, 'x.tar'));
	t.is(await run('verify', 'x.tar'), 1);
	const lines = io.out.split('\n');
	t.regex(
		lines[0] ?? '',
		/^base 1\.0\.0 \(01b2c898-.*\) is broken: its file: blob sha256:\w{12}… is damaged: its bytes have another digest$/,
	);
	t.is(lines[1], `bäd�[2J 2 (${uuids[1]}) is broken: its origin ${uuids[0]} is broken`);
	t.is(lines[2], '2 images, 1.50 MB, 2 broken');
	t.is(await run('inspect', 'x.tar'), 0);
	t.false(io.out.includes('broken'));
});

test('a signature must fit the index, and be of the key that is given', async t => {
	const {io, folder, run} = await bench(t);
	await signed.writeTar(join(folder, 'x.tar'));
	await writeFile(join(folder, 'near.pub'), `# ours\n${key.publicLine}\n`);
	const stranger = newKey('somebody').publicLine;

	t.is(await run('verify', 'x.tar', '--key', 'near.pub'), 0);
	t.true(io.out.includes(`signed with the key ${fingerprint}, which is the one of --key\n`));
	t.is(await run('verify', 'x.tar', '--key', stranger), 1);
	t.true(io.out.includes(`signed with the key ${fingerprint}, which is not the one of --key\n`));
	t.is(await run('verify', 'x.tar', '--key', 'none.pub'), 1);
	t.regex(io.err, /none\.pub cannot be read/);
	await unsigned.writeTar(join(folder, 'unsigned.tar'));
	t.is(await run('verify', 'unsigned.tar', '--key', 'near.pub'), 1);
	t.true(io.out.includes('not signed\n'));
	t.is(await run('verify', 'unsigned.tar'), 0);

	const changed = makeBundle({images: [base], sign: () => signed.bytes('index.json.sig').toString()});
	await changed.writeFolder(join(folder, 'changed'));
	t.is(await run('verify', 'changed'), 1);
	t.true(io.out.includes('the signature is not right: the index has been changed after it was signed\n'));
	t.is(await run('inspect', 'changed'), 0);
	t.true(io.out.includes('the signature is not right: the index has been changed'));
	await signed.changed('index.json.sig', () => Buffer.from('hello')).writeFolder(join(folder, 'garbage'));
	t.is(await run('verify', 'garbage'), 1);
	t.regex(io.out, /^the signature is not right: /m);
});

test('a bundle may be piped in, packed or not', async t => {
	const {io, folder, run} = await bench(t);
	await signed.writeTar(join(folder, 'x.tar'));
	io.stdin = Readable.from(inPieces(signed.tar()));
	t.is(await run('verify', '-'), 0);
	t.true(io.out.startsWith('2 images, 1.50 MB\n'));
	t.is(io.err, 'imgmirror: 2 images\n');
	execFileSync('gzip', ['-k', 'x.tar'], {cwd: folder});
	t.is(await run('verify', '-q', 'x.tar.gz'), 0);
	io.stdin = Readable.from(inPieces(signed.blobsFirst().tar('./')));
	t.is(await run('inspect', '-', '--json'), 0);
	t.regex(io.out, /"bundle": "stdin",\n {4}"form": "stream"/);
	io.stdin = Readable.from([]);
	t.is(await run('inspect', '-'), 1);
	t.regex(io.err, /stdin is no bundle: this is no tar: it is empty/);
});

test('on a terminal there are colours, and a bar while it reads', async t => {
	const {io, folder, run} = await bench(t);
	io.stdout.isTTY = true;
	io.stderr.isTTY = true;
	await signed.flipped(signed.image(1).file ?? '').writeTar(join(folder, 'x.tar'));
	t.is(await run('verify', 'x.tar'), 1);
	t.true(io.err.includes('verifying'));
	t.true(io.out.includes('\u001b[31m'));
	await unsigned.without(unsigned.image(0).file ?? '').writeTar(join(folder, 'y.tar'));
	t.is(await run('inspect', 'y.tar'), 0);
	t.true(io.out.includes(`\u001b[31m${uuids[0]}`));
	t.true(io.out.includes('\u001b[33mnot signed\u001b[0m'));
});

test('Ctrl-C ends it', async t => {
	const {io, run} = await bench(t);
	const stdin = new PassThrough();
	stdin.write(signed.tar().subarray(0, 5000));
	io.stdin = stdin;
	const verifying = run('verify', '-');
	await io.until(() => io.err.includes('2 images'));
	io.process.emit('SIGINT');
	t.is(await verifying, 130);
	t.is(io.err, 'imgmirror: 2 images\nimgmirror: stopped\n');
});

test('many origins elsewhere are counted, and other artifacts named', async t => {
	const {io, folder, run} = await bench(t);
	const images = Array.from({length: 12}, (_, index) =>
		makeImage({size: 10, origin: `04a48d7d-6bb5-4e83-8c3b-0000000000${String(index).padStart(2, '0')}`}),
	);
	const blob = Buffer.from('{}');
	const bundle = makeBundle({images}).withFile(blobPathOf(blob), blob);
	const index = JSON.parse(bundle.index.toString()) as {manifests: unknown[]};
	index.manifests.push({mediaType: 'application/vnd.example', digest: `sha256:${'1'.repeat(64)}`, size: 1});
	await bundle.changed('index.json', () => Buffer.from(JSON.stringify(index))).writeFolder(join(folder, 'x'));
	t.is(await run('inspect', 'x'), 0);
	t.regex(io.out, /origins that are not in it: 04a48d7d-.*000009, 2 more\npassed over: 1 artifact of other kinds\n$/);
});

test('what is typed wrong is a matter of usage', async t => {
	const {io, run} = await bench(t);
	t.is(await run('inspect'), 2);
	t.is(await run('verify', '--nonsense', 'x'), 2);
	t.is(await run('help', 'verify'), 0);
	t.regex(io.out, /imgmirror bundle verify \[options\] <bundle\.\.\.>/);
	t.is(await run('verify', 'a', '-'), 1);
});
