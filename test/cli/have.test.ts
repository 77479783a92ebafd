/**
 * `imgmirror have`: what is here, printed or written to a stick.
 */
import {execFileSync} from 'node:child_process';
import {
	chmodSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	readdirSync,
	readlinkSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {runCli} from '../../src/cli/run.js';
import {makeImage} from '../helpers/make-image.js';
import {farSide} from './fake-far-side.js';

test('have prints what the server has, as it says it', async t => {
	const {io, far} = await farSide(t);
	const images = [makeImage(), makeImage()];
	far.keep(...images);
	const run = (...argv: string[]): Promise<number> => runCli(['have', '--url', far.url, ...argv], io);
	t.is(await run(), 0, io.err);
	t.deepEqual(far.requests, ['GET /mirror/have']);
	const lines = io.out.split('\n');
	t.is(lines[0], '# imgmirror have 1');
	t.is(lines.length, 4);
	for (const {uuid, sha1} of images) {
		t.true(lines.some(line => line.startsWith(`${uuid} `) && line.endsWith(` ${sha1}`)));
	}
	t.is(io.err, '');
	const {out} = io;
	io.out = '';
	t.is(await run('--to', '-'), 0);
	t.is(io.out, out);
});

test('have writes a file whole, or not at all, and says what it is good for', async t => {
	const {io, far, folder} = await farSide(t);
	far.keep(makeImage(), makeImage());
	const run = (...argv: string[]): Promise<number> => runCli(['have', '--url', far.url, ...argv], io);
	const file = join(folder, 'far.have');
	writeFileSync(file, 'what was there before');
	t.is(await run('--to', 'far.have'), 0, io.err);
	t.is(io.out, '');
	t.is(
		io.err,
		`imgmirror: ${file} says what is here, 2 images; on the near side, "imgmirror export --have FILE" leaves them out\n`,
	);
	t.is(readFileSync(file, 'utf8').split('\n').length, 4);
	t.deepEqual(readdirSync(folder), ['far.have']);
	mkdirSync(join(folder, 'folder'));
	chmodSync(join(folder, 'folder'), 0o755);
	for (const to of ['folder', 'none/far.have']) {
		io.err = '';
		t.is(await run('--to', to), 1);
		t.regex(io.err, /(?:folder|none\/far\.have) cannot be written: /);
	}
	t.deepEqual(readdirSync(folder), ['far.have', 'folder']);
});

test('have replaces what a link leads to, and leaves the link', async t => {
	const {io, far, folder} = await farSide(t);
	far.keep(makeImage());
	const run = (...argv: string[]): Promise<number> => runCli(['have', '--url', far.url, ...argv], io);
	for (const name of ['stick', 'links']) {
		mkdirSync(join(folder, name));
	}
	writeFileSync(join(folder, 'stick', 'old.have'), 'what was there before');
	symlinkSync('../stick/old.have', join(folder, 'links', 'old'));
	symlinkSync('../stick/new.have', join(folder, 'links', 'new'));
	symlinkSync('new', join(folder, 'links', 'far'));
	symlinkSync('circle', join(folder, 'links', 'circle'));
	symlinkSync('../stick', join(folder, 'links', 'folder'));
	for (const [to, target] of [
		['links/old', 'old.have'],
		['links/far', 'new.have'],
		['links/new', 'new.have'],
	] as const) {
		t.is(await run('--to', to), 0, io.err);
		t.true(lstatSync(join(folder, to)).isSymbolicLink());
		t.regex(readFileSync(join(folder, 'stick', target), 'utf8'), /^# imgmirror have 1\n/);
	}
	t.is(readlinkSync(join(folder, 'links', 'far')), 'new');
	io.err = '';
	t.is(await run('--to', 'links/circle'), 1);
	t.regex(io.err, /circle cannot be written: ELOOP/);
	t.is(await run('--to', 'links/folder'), 1);
	t.regex(io.err, /links\/folder cannot be written: it is a folder: name a file in it\n/);
	t.deepEqual(readdirSync(join(folder, 'stick')), ['new.have', 'old.have']);
	t.deepEqual(readdirSync(join(folder, 'links')), ['circle', 'far', 'folder', 'new', 'old']);
});

test('have writes into what is no regular file, and leaves it where it is', async t => {
	const {io, far, folder} = await farSide(t);
	far.keep(makeImage());
	const fifo = join(folder, 'fifo');
	execFileSync('mkfifo', [fifo]);
	symlinkSync('fifo', join(folder, 'link'));
	for (const to of ['fifo', 'link']) {
		const [text, code] = await Promise.all([
			readFile(fifo, 'utf8'),
			runCli(['have', '--url', far.url, '--to', to], io),
		]);
		t.is(code, 0, io.err);
		t.regex(text, /^# imgmirror have 1\n/);
	}
	t.true(lstatSync(fifo).isFIFO());
	t.true(lstatSync(join(folder, 'link')).isSymbolicLink());
	t.deepEqual(readdirSync(folder), ['fifo', 'link']);
});

test('have takes nothing else for what a server has', async t => {
	const {io, far, folder} = await farSide(t);
	const run = (...argv: string[]): Promise<number> => runCli(['have', '--url', far.url, ...argv], io);
	for (const text of ['<html>', '', '# imgmirror have 2\n', '# imgmirror have 1\nnonsense\n']) {
		far.have = text;
		io.err = '';
		t.is(await run('--to', 'far.have'), 1, text);
		t.regex(io.err, /what http:\S+ answers does not say what it has: .*line \d/);
	}
	t.deepEqual(readdirSync(folder), []);
	far.have = {status: 401, code: 'UnauthorizedError', message: 'a login is wanted'};
	io.err = '';
	t.is(await run(), 1);
	t.regex(io.err, /this takes the right "private"/);
});
