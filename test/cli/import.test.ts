/**
 * `imgmirror import`: what is sent of a bundle, what is said of it, and how it ends.
 */
import {existsSync} from 'node:fs';
import {mkdir, open, rm, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {newKey} from '../../src/airgap/signature.js';
import {makeBundle} from '../airgap/make-bundle.js';
import {makeImage, pseudoRandom} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {farSide, farSideHere} from './fake-far-side.js';

const mb = 1_000_000;

test('a folder is sent as a tar, without the files that are there already', async t => {
	const {io, far, folder, run} = await farSide(t);
	const [old, fresh] = [makeImage({name: 'old', size: mb}), makeImage({name: 'fresh', size: 2 * mb})];
	const changed = makeImage({name: 'changed', size: mb});
	const bundle = makeBundle({images: [old, fresh, changed]});
	far.keep(old);
	far.kept.set(changed.uuid, {uuid: changed.uuid, configSha256: '0'.repeat(64), sha1s: [changed.sha1]});
	await bundle.writeFolder(join(folder, 'site'));
	t.is(await run('site'), 0, io.err);
	t.deepEqual(far.requests, ['GET /mirror/have', 'PUT /import']);
	const files = [bundle.image(old).file, bundle.image(changed).file];
	t.deepEqual(
		far.last.paths,
		[...bundle.files.keys()].filter(path => !files.includes(path)),
	);
	for (const [path, bytes] of far.last.bytes) {
		t.true(bytes.equals(bundle.bytes(path)), path);
	}
	t.deepEqual(far.last.query, {});
	t.is(Number(far.last.headers['content-length']), far.last.wireBytes);
	t.is(far.last.headers['content-type'], 'application/x-tar');
	t.regex(far.last.headers.accept ?? '', /application\/x-ndjson/);
	t.regex(
		io.out,
		new RegExp(
			[
				'^UUID                                  NAME     VERSION     SIZE  OUTCOME',
				`${old.uuid}  old      1\\.0\\.0    1\\.00 MB  here already`,
				`${fresh.uuid}  fresh    1\\.0\\.0    2\\.00 MB  imported`,
				`${changed.uuid}  changed  1\\.0\\.0    1\\.00 MB  updated`,
				'1 image imported, 1 updated, 1 here already: 2\\.00 MB in \\d+ s(?: \\(.*/s\\))?\n$',
			].join('\n'),
		),
	);
	const path = join(folder, 'site');
	t.is(
		io.err,
		`imgmirror: ${path}: 3 images with 4.00 MB: 1 here already, 1 here, but not as it comes, 2.00 MB to send\n` +
			`imgmirror: ${path}: signed by nobody\n`,
	);
});

test('a tar, its parts in any order, and one part of it come to the same', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	const bundle = makeBundle({images: [makeImage({size: mb}), makeImage({icon: pseudoRandom(500, 1)})]});
	await bundle.writeTar(join(folder, 'site.tar'));
	await mkdir(join(folder, 'parts'));
	await bundle.writeParts(join(folder, 'parts', 'site.tar'), 300_000);
	const wire = bundle.tar();
	for (const words of [
		['site.tar'],
		['parts/site.tar.003', 'parts/site.tar.001', 'parts/site.tar.004', 'parts/site.tar.002'],
		['parts/site.tar.002'],
		['parts/site.tar'],
	]) {
		fresh();
		far.kept.clear();
		t.is(await run(...words), 0, io.err);
		t.deepEqual(far.last.paths, [...bundle.files.keys()]);
		t.is(far.last.wireBytes, wire.length);
		t.regex(io.out, /\n2 images imported: 1\.01 MB in /);
	}
	t.is(far.imports.length, 4);
});

test('what nothing is new in is said to be so', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	const images = [makeImage(), makeImage()];
	far.keep(...images);
	await makeBundle({images}).writeFolder(join(folder, 'two'));
	await makeBundle({images: images.slice(0, 1)}).writeFolder(join(folder, 'one'));
	await makeBundle({images: []}).writeFolder(join(folder, 'none'));
	t.is(await run('two'), 0);
	t.regex(io.out, /\nnothing new: all 2 images are here already\n$/);
	t.true(io.err.includes('2 images with 20.0 kB: 2 here already, 0 B to send'));
	fresh();
	t.is(await run('one'), 0);
	t.regex(io.out, /\nnothing new: the image is here already\n$/);
	fresh();
	t.is(await run('none'), 0);
	t.is(io.out, 'there are no images in it: nothing to import\n');
});

test('several bundles are taken in one after the other, and reported as one', async t => {
	const {io, far, folder, run} = await farSide(t);
	const [base, child] = [makeImage({name: 'base'}), makeImage({name: 'child'})];
	const first = makeBundle({images: [base]});
	const delta = makeBundle({images: [base, child], elsewhere: [base]});
	await first.writeFolder(join(folder, 'monday'));
	await delta.writeTar(join(folder, 'tuesday.tar'));
	t.is(await run('monday', 'tuesday.tar', '-j'), 0, io.err);
	t.is(far.imports.length, 2);
	const {ms, ...report} = JSON.parse(io.out) as {ms: number};
	t.is(typeof ms, 'number');
	const image = {uuid: base.uuid, name: 'base', version: '1.0.0', bytes: 10_000};
	t.deepEqual(report as unknown, {
		...{imported: 2, updated: 0, there: 1, failed: 0, bytes: 20_000},
		bundles: [
			{name: join(folder, 'monday'), images: 1, bytes: 10_000, bytesSent: far.imports[0]?.wireBytes},
			{name: join(folder, 'tuesday.tar'), images: 2, bytes: 10_000, bytesSent: far.imports[1]?.wireBytes},
		],
		images: [
			{...image, outcome: 'imported'},
			{...image, outcome: 'there'},
			{...image, uuid: child.uuid, name: 'child', outcome: 'imported'},
		],
		warnings: [],
	});
});

test('what is compressed or piped in goes as it is', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	const bundle = makeBundle({images: [makeImage({size: mb})]});
	const packed = gzipSync(bundle.tar(), {level: 1});
	await writeFile(join(folder, 'site.tar.gz'), packed);
	await writeFile(join(folder, 'split.tar.gz.001'), packed.subarray(0, 300_000));
	await writeFile(join(folder, 'split.tar.gz.002'), packed.subarray(300_000));
	for (const word of ['site.tar.gz', 'split.tar.gz.002', 'split.tar.gz']) {
		fresh();
		far.kept.clear();
		t.is(await run(word), 0, io.err);
		t.is(far.last.wireBytes, packed.length);
		t.is(Number(far.last.headers['content-length']), packed.length);
		t.regex(io.out, /\n1 image imported: 1\.00 MB in /);
		t.true(io.err.endsWith(': 1 image, signed by nobody\n'), io.err);
	}
	for (const chunks of [[bundle.tar()], [packed.subarray(0, 1), packed.subarray(1)]]) {
		fresh();
		far.kept.clear();
		io.stdin = Readable.from(chunks);
		t.is(await run('-'), 0, io.err);
		t.is(far.last.headers['transfer-encoding'], 'chunked');
		t.is(far.last.wireBytes, Buffer.concat(chunks).length);
		t.is(io.err, 'imgmirror: stdin: 1 image, signed by nobody\n');
	}
	t.false(far.requests.includes('GET /mirror/have'));
});

test('an answer is heard while the bundle is still being sent', async t => {
	const {io, far, folder, run} = await farSide(t);
	const image = makeImage({size: 20 * mb});
	await makeBundle({images: [image]}).writeFolder(join(folder, 'site'));
	let heard = 0;
	far.signedBy = {fingerprint: 'SHA256:abc', comment: 'near', trusted: true};
	far.whileReading = async () => {
		await io.until(() => io.err.includes('signed by near (SHA256:abc)\n'));
		heard = far.last.wireBytes;
	};
	t.is(await run('site'), 0, io.err);
	t.true(heard > 0 && heard < image.size, `${heard} bytes had come`);
	t.true(far.last.wireBytes > image.size);
});

test('what is no bundle is refused before anybody is asked, with what was expected', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	const bundle = makeBundle({images: [makeImage({size: mb})]});
	await mkdir(join(folder, 'empty'));
	await writeFile(join(folder, 'text'), 'this is not a bundle'.repeat(100));
	await writeFile(join(folder, 'nothing'), '');
	await writeFile(join(folder, 'packed.xz'), Buffer.from('fd377a585a000000', 'hex'));
	await bundle.without('index.json').writeTar(join(folder, 'noindex.tar'));
	await bundle.writeParts(join(folder, 'split.tar'), 300_000);
	await rm(join(folder, 'split.tar.002'));
	await bundle.writeFolder(join(folder, 'good'));
	for (const [word, said] of [
		['missing', /there is no \S+\/missing\n/],
		['empty', /\/empty is no bundle: there is no index\.json in it; expected a bundle/],
		['text', /\/text: .*expected a bundle/],
		['nothing', /\/nothing/],
		['packed.xz', /\/packed\.xz is no bundle: this is compressed by xz: unpack it first/],
		['noindex.tar', /\/noindex\.tar is no bundle: there is no index\.json/],
		['split.tar.001', /split\.tar was split, and its part 002 is missing: there are 001, 003, 004/],
	] as const) {
		fresh();
		// Nothing of the good one is sent before all have been looked at.
		t.is(await run('good', word), 1, word);
		t.regex(io.err, said, word);
		t.is(io.out, '');
	}
	t.deepEqual(far.requests, []);
	t.is(await run(), 2);
});

test('who has signed it decides, and what the server refuses is said with its reason', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	await makeBundle({images: [makeImage({size: 5 * mb})]}).writeFolder(join(folder, 'site'));
	far.refusal = {status: 403, code: 'BundleNotTrusted', message: 'nobody has signed this bundle: allow it with X'};
	t.is(await run('site'), 1);
	t.regex(
		io.err,
		/\nimgmirror: http:\S+ says: nobody has signed this bundle: allow it with X \(BundleNotTrusted\)\n {2}nothing of it was imported\n$/,
	);
	t.notRegex(io.err, /takes the right/);
	t.is(io.out, '');
	fresh();
	t.is(await run('site', '--json'), 1);
	t.like(JSON.parse(io.out), {imported: 0, failed: 0, images: []});
	t.regex((JSON.parse(io.out) as {problem: string}).problem, /nobody has signed this bundle/);
	far.refusal = {status: 403, code: 'NotAuthorizedError', message: 'you may not'};
	fresh();
	t.is(await run('site'), 1);
	t.regex(io.err, /this takes the right "operate"/);
	far.refusal = undefined;
	far.signedBy = {fingerprint: 'SHA256:xyz', trusted: false};
	fresh();
	t.is(await run('site', '--allow-unsigned'), 0);
	t.deepEqual(far.last.query, {allowUnsigned: 'true'});
	t.regex(io.err, /: signed by SHA256:xyz, whose key is not trusted\n$/);
});

test('a key can be trusted for once: its line, or a file', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	await makeBundle({images: [makeImage()]}).writeFolder(join(folder, 'site'));
	const {publicLine, privatePem} = newKey('near side');
	await writeFile(join(folder, 'near.pub'), `# the near side\n${publicLine}\n`);
	await writeFile(join(folder, 'both.pub'), `${publicLine}\n${newKey('other').publicLine}\n`);
	await writeFile(join(folder, 'private.pem'), privatePem);
	for (const key of [publicLine, 'near.pub']) {
		t.is(await run('site', '--key', key), 0, io.err);
		t.deepEqual(far.last.query, {key: publicLine});
	}
	io.stdin = Readable.from([`${publicLine}\n`]);
	t.is(await run('site', '--key', '-'), 0, io.err);
	t.deepEqual(far.last.query, {key: publicLine});
	const asked = far.requests.length;
	for (const [argv, code, said] of [
		[['site', '--key', 'none.pub'], 1, /none\.pub cannot be read: .*expected a file with a public key, or its line/],
		[['site', '--key', 'both.pub'], 2, /--key: expected one key, got 2/],
		[['site', '--key', 'private.pem'], 1, /private\.pem is a private key, and that goes nowhere/],
		[['site', '--key', 'ssh-ed25519 AAAA'], 1, /the command line: /],
		[['-', '--key', '-'], 2, /--key: what is piped in is the bundle/],
	] as const) {
		fresh();
		t.is(await run(...argv), code, argv.join(' '));
		t.regex(io.err, said);
	}
	t.is(far.requests.length, asked);
});

test('broken images are named, last, with what can be done; the others come through', async t => {
	const {io, far, folder, run} = await farSide(t);
	const [bad, good, gone] = [makeImage({name: 'bad'}), makeImage({name: 'good'}), makeImage({name: 'gone'})];
	const bundle = makeBundle({images: [bad, good, gone]});
	const {file: badFile = ''} = bundle.image(bad);
	const {file: goneFile = ''} = bundle.image(gone);
	await bundle.flipped(badFile, 77).without(goneFile).writeFolder(join(folder, 'site'));
	t.is(await run('site'), 1);
	t.false(far.last.paths.includes(goneFile));
	t.true(far.last.paths.includes(badFile));
	const lines = io.out.split('\n');
	t.regex(lines[1] ?? '', /good .* imported$/);
	t.regex(lines[2] ?? '', /bad .* failed: blob sha256:\S+ is damaged$/);
	t.regex(lines[3] ?? '', /gone .* failed: blob sha256:\S+ is not in the bundle$/);
	t.regex(lines[4] ?? '', /^1 image imported, 2 failed: 10\.0 kB in /);
	t.regex(io.err, /\nimgmirror: bad 1\.0\.0: failed: blob \S+ is damaged\n/);
	t.true(
		io.err.endsWith(
			'\n2 images did not come through, the other one did. What is broken or missing has to be carried again:\n' +
				'  imgmirror bundle verify BUNDLE    tells, on either side, what of the bundle is broken\n' +
				`  imgmirror export ${bad.uuid} ${gone.uuid} --to FILE.tar    makes, on the near side, a bundle of these\n`,
		),
		io.err,
	);
	t.deepEqual([...far.kept.keys()], [good.uuid]);
});

test('manifests that lie or are missing spoil nothing here: the server names them', async t => {
	const {io, far, folder, run} = await farSide(t);
	const images = [1, 2, 3, 4].map(number => makeImage({name: `image-${number}`}));
	const bundle = makeBundle({images});
	const [flipped, missing, longer] = [bundle.image(0), bundle.image(1), bundle.image(2)];
	await bundle
		.flipped(flipped.manifest, 5)
		.without(missing.manifest)
		.changed(longer.config, bytes => Buffer.concat([bytes, Buffer.from(' ')]))
		.writeTar(join(folder, 'site.tar'));
	t.is(await run('site.tar', '-q'), 1);
	const {paths} = far.last;
	t.true(paths.includes(flipped.manifest), 'it is of the right size');
	t.false(paths.includes(flipped.file ?? ''));
	t.false(paths.includes(missing.manifest));
	t.false(paths.includes(longer.config));
	t.true(paths.includes(longer.file ?? ''));
	t.deepEqual(
		[...far.kept.keys()],
		images.slice(3).map(({uuid}) => uuid),
	);
	t.regex(io.out, /\n1 image imported, 3 failed: /);
	t.true(io.err.startsWith('3 images did not come through, the other one did.'), 'quiet is about progress');
});

test('a tar that is cut off brings what is whole, and is said to be cut', async t => {
	const {io, far, folder, run} = await farSide(t);
	const images = [makeImage({name: 'first', size: 100_000}), makeImage({name: 'second', size: 100_000})];
	const bundle = makeBundle({images});
	const path = await bundle.writeTar(join(folder, 'site.tar'));
	await truncate(path, bundle.tar().length - 50_000);
	t.is(await run('site.tar'), 1);
	t.regex(io.err, /warning: \S+site\.tar: the tar (?:is cut off|ends in the middle)/);
	t.deepEqual([...far.kept.keys()], [images[0]?.uuid]);
	t.regex(io.out, /second .* failed: blob \S+ is not in the bundle/);
	io.err = '';
	t.is(await run('site.tar', '-q'), 1);
	t.regex(io.err, /^imgmirror: warning: \S+site\.tar: the tar .*\n1 image did not come through/, 'it is no progress');
});

test('a file that changes or goes while it is sent spoils its image alone', async t => {
	const {io, far, folder, run} = await farSide(t);
	const [shrunk, gone] = [makeImage({name: 'shrunk', size: 15 * mb}), makeImage({name: 'gone', size: mb})];
	const [grown, good] = [makeImage({name: 'grown', size: 300_000}), makeImage({name: 'good', size: mb})];
	const bundle = makeBundle({images: [shrunk, gone, grown, good]});
	const site = await bundle.writeFolder(join(folder, 'site'));
	const fileOf = (image: {uuid: string}): string => join(site, bundle.image(image).file ?? '');
	far.whileReading = async () => {
		await truncate(fileOf(shrunk), 14 * mb);
		await rm(fileOf(gone));
		const handle = await open(fileOf(grown), 'a');
		await handle.write('more');
		await handle.close();
	};
	t.is(await run('site'), 1);
	// As many bytes as were promised, so that what follows is found.
	t.is(Number(far.last.headers['content-length']), far.last.wireBytes);
	t.is(far.last.bytes.get(bundle.image(shrunk).file ?? '')?.length, 15 * mb);
	t.deepEqual([...far.kept.keys()], [grown.uuid, good.uuid]);
	t.regex(io.err, /warning: blobs\/sha256\/\w{64} cannot be read: .*ends after 14000000 of 15000000 bytes/);
	t.regex(io.err, /warning: blobs\/sha256\/\w{64} cannot be read: it has gone/);
	t.regex(io.out, /\n2 images imported, 2 failed: /);
});

test('a stick that was pulled out ends it, and says that going on is possible', async t => {
	const {io, far, folder, run} = await farSide(t);
	const images = [1, 2, 3, 4, 5, 6].map(() => makeImage({size: 8 * mb}));
	const site = await makeBundle({images}).writeFolder(join(folder, 'site'));
	far.whileReading = () => rm(join(site, 'blobs'), {recursive: true});
	t.is(await run('site', '-j'), 1);
	t.regex(io.err, /imgmirror: \S+\/site cannot be read any more \(is it still there\?\): /);
	const {problem, warnings} = JSON.parse(io.out) as {problem: string; warnings: readonly string[]};
	t.regex(problem, /cannot be read any more/);
	t.is(warnings.length, 2);
});

test('a server that goes away, or has no more room, leaves what was done', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	const images = [makeImage({name: 'first'}), makeImage({name: 'second'})];
	await makeBundle({images}).writeFolder(join(folder, 'site'));
	far.told = events => events.slice(0, 3);
	far.cut = true;
	t.is(await run('site'), 1);
	t.regex(io.out, /first .* imported\n.*second .* not done\n1 image imported: 10\.0 kB in /);
	t.regex(
		io.err,
		/: the connection to http:\S+ broke\n {2}1 of 2 images is there and stays; the same command again goes on with the rest\n$/,
	);
	far.cut = false;
	fresh();
	t.is(await run('site'), 1);
	t.regex(io.err, /: the server has stopped before the end\n {2}1 of 2 images is there and stays; the same/);
	far.told = events => [
		...events.slice(0, 2),
		{what: 'error', code: 'ServiceUnavailableError', message: 'no room: 5 GB are needed, 1 GB is free'},
	];
	fresh();
	t.is(await run('site', '--json'), 1);
	t.regex(
		io.err,
		/says: no room: 5 GB are needed, 1 GB is free \(ServiceUnavailableError\)\n {2}1 of 2 images is there/,
	);
	t.like(JSON.parse(io.out), {imported: 0, there: 1, images: [{outcome: 'there'}]});
	far.told = events => events;
	fresh();
	t.is(await run('site'), 0);
	t.regex(io.out, /nothing new/);
});

test('an error in the middle of the bundle is heard although there is more to send', async t => {
	const {io, far, folder, run} = await farSide(t);
	await makeBundle({images: [makeImage({size: 30 * mb})]}).writeFolder(join(folder, 'site'));
	far.whileReading = async () => {
		throw new Error('no more is read');
	};
	far.told = () => [{what: 'error', code: 'ServiceUnavailableError', message: 'the mirror is stopping'}];
	t.is(await run('site'), 1);
	t.regex(io.err, /the mirror is stopping \(ServiceUnavailableError\)\n$/);
	t.true(far.last.wireBytes < 30 * mb);
});

test('it can be stopped, and says what stays', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	const images = [makeImage({name: 'first'}), makeImage({name: 'second'})];
	await makeBundle({images}).writeFolder(join(folder, 'site'));
	far.told = events => [events[0], events[1], {what: 'warning', message: 'now'}].map(event => event ?? {});
	const stopped = async (): Promise<void> => {
		await io.until(() => io.err.includes('warning: now'));
		io.process.emit('SIGINT', 'SIGINT');
		await far.gone();
	};
	far.ending = stopped;
	t.is(await run('site'), 130);
	t.regex(io.out, /first .* imported\n1 image imported: /);
	t.true(
		io.err.endsWith(
			'\nimgmirror: stopped: 1 of 2 images is there and stays; the same command again goes on with the rest\n',
		),
		io.err,
	);
	// Before anything came of it, there is nothing to be said.
	fresh();
	far.told = () => [{what: 'warning', message: 'now'}];
	t.is(await run('site'), 130);
	t.true(io.err.endsWith('\nimgmirror: stopped\n'), io.err);
	t.is(io.out, '');
	// Also where a pipe brings nothing more.
	fresh();
	const stdin = new Readable({read: () => undefined});
	stdin.push(Buffer.alloc(100));
	io.stdin = stdin;
	const running = run('-');
	await far.came(3);
	io.process.emit('SIGTERM', 'SIGTERM');
	t.is(await running, 130);
});

test('a dry run sends everything, keeps nothing, and makes no data directory', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	const [bad, good] = [makeImage({name: 'bad'}), makeImage({name: 'good'})];
	const bundle = makeBundle({images: [bad, good]});
	await bundle.flipped(bundle.image(bad).file ?? '').writeFolder(join(folder, 'site'));
	t.is(await run('site', '--dry-run'), 1);
	t.deepEqual(far.last.query, {dryRun: 'true'});
	t.is(far.kept.size, 0);
	t.regex(io.out, /good .* to import\n.*bad .* failed: .*\n1 image to import, 1 failed: /);
	fresh();
	t.is(await run('site', '--dry-run', '-j'), 1);
	t.like(JSON.parse(io.out), {imported: 1, failed: 1, dryRun: true});
	const here = await farSideHere(t);
	await bundle.writeFolder(join(here.folder, 'site'));
	t.is(await here.run('site', '--dry-run'), 1);
	t.regex(here.io.err, /there is no data directory/);
	t.false(existsSync(here.data));
});

test('on a machine without a data directory one is made, and a server started for it', async t => {
	const {io, far, data, folder, run, fresh} = await farSideHere(t);
	const image = makeImage();
	t.is(await run('nothing'), 1);
	t.false(existsSync(data), 'not for what is no bundle');
	fresh();
	await makeBundle({images: [image]}).writeFolder(join(folder, 'site'));
	t.is(await run('site'), 0, io.err);
	t.true(
		io.err.startsWith(`imgmirror: made the data directory ${data}\nimgmirror: no server runs on ${data}: started`),
	);
	t.is(io.assembled.length, 1);
	t.is(io.assembled[0]?.config.log.level, 'error', 'that no source answers is nothing to tell');
	t.is(io.mirror.stops, 1);
	t.deepEqual([...far.kept.keys()], [image.uuid]);
	fresh();
	t.is(await run('site'), 0, io.err);
	t.false(io.err.includes('made the data directory'));
	await writeFile(join(folder, 'file'), '');
	io.env['IMGMIRROR_DATA'] = '';
	fresh();
	const {runCli} = await import('../../src/cli/run.js');
	t.is(await runCli(['import', 'site', '--data', join(folder, 'file', 'data')], io), 1);
	t.regex(io.err, /the data directory \S+ cannot be made: ENOTDIR/);
});

test('an older server, or another one, is told apart', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	await makeBundle({images: [makeImage()]}).writeFolder(join(folder, 'site'));
	far.have = {status: 404, code: 'ResourceNotFound', message: '/mirror/have does not exist'};
	t.is(await run('site'), 1);
	t.regex(io.err, /http:\S+ knows nothing of bundles: it is an older imgmirror, or another image server\n$/);
	far.have = 'hello';
	fresh();
	t.is(await run('site'), 1);
	t.regex(io.err, /what http:\S+ answers does not say what it has: .*line 1 is not "# imgmirror have 1"/);
	t.deepEqual(far.imports, []);
});

test('a pipe that nothing comes through, that breaks, or that is a terminal is no bundle', async t => {
	const {io, far, folder, run, fresh} = await farSide(t);
	io.stdin = Readable.from([]);
	t.is(await run('-'), 1);
	t.regex(io.err, /nothing came in through stdin, so nothing was imported: did the command before it fail\?/);
	fresh();
	const tar = makeBundle({images: [makeImage({size: mb})]}).tar();
	io.stdin = Readable.from(
		(async function* () {
			yield tar.subarray(0, 500_000);
			await io.until(() => io.err.includes('signed by'));
			throw new Error('the tape tore');
		})(),
	);
	t.is(await run('-'), 1);
	t.regex(io.err, /stdin cannot be read: the tape tore/);
	fresh();
	const requests = far.requests.length;
	io.stdin = Object.assign(Readable.from([]), {isTTY: true});
	t.is(await run('-'), 2);
	t.regex(io.err, /BUNDLE: expected a bundle that is piped in/);
	t.is(far.requests.length, requests);
	t.truthy(folder);
});

test('a named pipe is read as it comes', async t => {
	const {io, far, run} = await farSide(t);
	const {execFileSync} = await import('node:child_process');
	const pipe = join(await tempDir(t), 'pipe');
	execFileSync('mkfifo', [pipe]);
	const bundle = makeBundle({images: [makeImage({size: mb})]});
	const [code] = await Promise.all([run(pipe), writeFile(pipe, bundle.tar())]);
	t.is(code, 0, io.err);
	t.is(far.last.wireBytes, bundle.tar().length);
});

test('what comes from the wire takes hold of no terminal', async t => {
	const {io, far, folder, run} = await farSide(t);
	await makeBundle({images: [makeImage()]}).writeFolder(join(folder, 'site'));
	const bad = {
		uuid: 'x\u001b[2J',
		name: 'n\u001b[2J',
		version: 'v\nw',
		bytes: 'many',
		outcome: 'odd',
		problem: 'p\u0007',
	};
	far.told = () => [{what: 'warning', message: 'w\u001b[2J'}, {what: 'done', ...bad}, {what: 'later'}, {what: 'end'}];
	t.is(await run('site'), 1);
	t.false(/[\u0007\u001b]/.test(io.out + io.err));
	t.regex(io.out, /n�\[2J .*v w .* failed: p�\n/);
	t.regex(io.err, /warning: w�\[2J\n/);
	t.regex(io.err, /imgmirror export UUID… --to FILE\.tar/);
});
