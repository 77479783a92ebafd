/**
 * `export` as a process: killed in the middle, and at the head of a pipe.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {makeBundle} from '../airgap/make-bundle.js';
import {difference, eventsOf, treeOf} from '../airgap/write-bench.js';
import {makeImage} from '../helpers/make-image.js';
import {imgmirror, mainFile, run} from '../helpers/run-command.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {startExportServer} from './export-server.js';

const images = [makeImage({size: 400_000, seed: 1}), makeImage({size: 300_000, seed: 2})];
const bundle = makeBundle({images, sign: () => 'signature'});

test('killed with -9 in the middle, again and again, it goes on to the very same bundle', async t => {
	const folder = await tempDir(t);
	for (const [to, more] of [
		['site', []],
		['x.tar', []],
		['y.tar', ['--split', '100 kB']],
	] as const) {
		const server = await startExportServer(t, images);
		server.events = eventsOf(bundle, images);
		const argv = ['export', '--url', server.url, '--all', '--to', to, ...more];
		for (const bytes of [150_000, 330_000, 520_000]) {
			const child = spawn(process.execPath, [mainFile, ...argv], {cwd: folder, stdio: 'ignore'});
			server.onSent = sent => {
				if (sent >= bytes) {
					child.kill('SIGKILL');
				}
			};
			const [, signal] = (await once(child, 'exit')) as [unknown, unknown];
			t.is(signal, 'SIGKILL');
		}
		server.onSent = () => undefined;
		const {code, stdout, stderr} = await imgmirror(argv, {cwd: folder});
		t.is(code, 0, stderr);
		t.regex(stdout, /2 images with \S+ kB exported to /);
	}
	t.is(difference(await treeOf(join(folder, 'site')), bundle.files), '');
	const names = (await readdir(folder)).filter(name => name.startsWith('y'));
	t.is(names.length, 8);
	const parts = await Promise.all(names.sort().map(name => readFile(join(folder, name))));
	sameBytes(t, Buffer.concat(parts), await readFile(join(folder, 'x.tar')));
	t.is((await readdir(folder)).length, 2 + names.length);
});

test('the pipe of a shell gets a tar that tar can read, and its other end may leave', async t => {
	const server = await startExportServer(t, images);
	server.events = eventsOf(bundle, images);
	const folder = await tempDir(t);
	await mkdir(join(folder, 'out'));
	const command = `"${process.execPath}" "${mainFile}" export --url ${server.url} --all --to -`;
	const shell = (script: string): ReturnType<typeof run> =>
		run('/bin/bash', ['-o', 'pipefail', '-c', script], {cwd: folder});
	const whole = await shell(`${command} | tar xf - -C out`);
	t.is(whole.code, 0, whole.stderr);
	t.is(whole.stdout, '');
	t.regex(whole.stderr, /exported to the pipe in .*\nsigned with SHA256:test\n$/);
	t.is(difference(await treeOf(join(folder, 'out')), bundle.files), '');
	const cut = await shell(`${command} -q | head -c 100000 | wc -c`);
	t.is(cut.stdout.trim(), '100000');
	t.is(cut.code, 1);
	t.regex(cut.stderr, /^imgmirror: the pipe takes no more: whoever reads it has ended/);
});
