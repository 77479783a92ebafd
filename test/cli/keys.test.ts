/**
 * `imgmirror key`: the key that bundles are signed with, and those that are trusted.
 */
import {existsSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import test from 'ava';
import type {PublicKey, TrustedKey} from '../../src/airgap/api.js';
import {newKey, parsePublicKey} from '../../src/airgap/signature.js';
import {runCli} from '../../src/cli/run.js';
import {tempDir} from '../helpers/temp-dir.js';
import {bench} from './fake-operator.js';

const pair = (comment: string): {key: PublicKey; privatePem: string} => {
	const {publicLine, privatePem} = newKey(comment);
	return {key: parsePublicKey(publicLine), privatePem};
};
const {key: near, privatePem} = pair('imgmirror@near');
const {key: other} = pair('');

const trusted = (key: PublicKey, from: TrustedKey['from'] = 'file'): TrustedKey => ({...key, from});

test('key new prints the public line alone, and says on stderr what to do with it', async t => {
	const {io, server, run} = await bench(t);
	server.json('POST /mirror/keys', near);
	t.is(await run('key', 'new'), 0, io.err);
	t.deepEqual(server.asked.at(-1)?.body, {comment: 'imgmirror@127.0.0.1', replace: false});
	t.is(io.out, `${near.line}\n`);
	t.is(
		io.err,
		`imgmirror: bundles are signed with ${near.fingerprint} from now on; on the far side, ` +
			`"imgmirror key trust '${near.line}'" has them taken\n`,
	);
	io.out = '';
	t.is(await run('key', 'new', '--comment', 'head office', '--replace', '-j'), 0);
	t.deepEqual(server.asked.at(-1)?.body, {comment: 'head office', replace: true});
	t.deepEqual(JSON.parse(io.out), near);
});

test('the key of the server of this machine is called after the machine', async t => {
	const {server, io, runHere} = await bench(t);
	const code = await runHere('key', 'new');
	t.is(code, 1, 'nothing is there to answer it');
	t.regex(io.err, /\/mirror\/keys does not exist/);
	t.deepEqual(server.asked, []);
});

test('a second key is made only for who says so', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('POST /mirror/keys', {status: 409, code: 'KeyAlreadyExists', message: 'there is a key already'});
	t.is(await run('key', 'new'), 1);
	t.regex(
		io.err,
		/there is a key already \(KeyAlreadyExists\)\n {2}"imgmirror key show" prints it; --replace makes a new one all the same\n$/,
	);
	t.is(io.out, '');
});

test('a key of its own that is damaged hides no others, and is told of', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/keys', {ownProblem: '/data/bundle-key.pem cannot be used', trusted: [trusted(other)]});
	t.is(await run('key', 'list'), 0, io.err);
	t.true(io.out.includes(other.fingerprint));
	const told =
		"imgmirror: the mirror's own key cannot be used: /data/bundle-key.pem cannot be used\n" +
		'  restore the file from a backup, or make a new key with "imgmirror key new --replace"\n';
	t.is(io.err, told);
	io.err = '';
	t.is(await run('key', 'show'), 1);
	t.is(io.err, told);
});

test('key show prints the line, and fails where there is none', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/keys', {own: near, trusted: []});
	t.is(await run('key', 'show'), 0);
	t.is(io.out, `${near.line}\n`);
	t.is(io.err, '');
	io.out = '';
	t.is(await run('key', 'show', '--json'), 0);
	t.deepEqual(JSON.parse(io.out), near);
	server.json('GET /mirror/keys', {trusted: []});
	io.out = '';
	t.is(await run('key', 'show'), 1);
	t.is(io.out, '');
	t.regex(io.err, /there is no key yet, so bundles go out unsigned: "imgmirror key new" makes one\n$/);
});

test('key list says whose bundles are taken, and why', async t => {
	const {io, server, run} = await bench(t);
	const keys = [trusted(near, 'own'), trusted(other), trusted({...other, comment: 'c\u001b[2J'}, 'config')];
	server.json('GET /mirror/keys', {own: near, trusted: keys});
	t.is(await run('key', 'list'), 0);
	t.is(
		io.out,
		[
			`${'FINGERPRINT'.padEnd(near.fingerprint.length)}  COMMENT         FROM`,
			`${near.fingerprint}  imgmirror@near  its own`,
			`${other.fingerprint}  -               trusted`,
			`${other.fingerprint}  c�[2J           configuration`,
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('key', 'list', '-j'), 0);
	t.like(JSON.parse(io.out), [{from: 'own'}, {from: 'file'}, {from: 'config'}]);
	server.json('GET /mirror/keys', {trusted: []});
	io.out = '';
	t.is(await run('key', 'list'), 0);
	t.is(io.out, '');
	t.regex(io.err, /no key is trusted, so only unsigned bundles can be imported, with --allow-unsigned/);
});

test('key trust takes a line, in quotes or not, files, and a pipe', async t => {
	const {io, server, run} = await bench(t);
	io.directory = await tempDir(t);
	const answer = {key: trusted(near), added: true};
	server.json('POST /mirror/keys/trusted', answer);
	await writeFile(join(io.directory, 'near.pub'), `\uFEFF# ours\r\n\r\n${near.line}\r\n${other.line}\r\n`);
	for (const [words, lines] of [
		[[near.line], [near.line]],
		[near.line.split(' '), [near.line]],
		[['near.pub'], [near.line, other.line]],
		[['-'], [near.line]],
	] as const) {
		io.out = '';
		io.stdin = Readable.from([Buffer.from(`${near.line}\n`)]);
		const before = server.asked.length;
		t.is(await run('key', 'trust', ...words), 0, io.err);
		t.deepEqual(
			server.asked.slice(before),
			lines.map(key => ({what: 'POST /mirror/keys/trusted', body: {key}})),
		);
		t.true(
			io.out.startsWith(`imgmirror@near (${near.fingerprint}) is trusted: bundles that it has signed are taken\n`),
		);
	}
	io.out = '';
	t.is(await run('key', 'trust', near.line, '--json'), 0);
	t.deepEqual(JSON.parse(io.out) as unknown, [answer]);
	server.json('POST /mirror/keys/trusted', {key: trusted(other), added: false});
	io.out = '';
	t.is(await run('key', 'trust', other.line), 0);
	t.is(io.out, `${other.fingerprint} was trusted already\n`);
});

test('what is no public key is not handed on, least of all a private one', async t => {
	const {io, server, run} = await bench(t);
	io.directory = await tempDir(t);
	await writeFile(join(io.directory, 'key.pem'), privatePem);
	await writeFile(join(io.directory, 'empty'), '# nothing\n\n');
	await writeFile(join(io.directory, 'text'), 'hello\n');
	for (const [word, said] of [
		['key.pem', /key\.pem is a private key, and that goes nowhere: what is wanted is its public line/],
		['empty', /there is no key in empty\n/],
		['text', /imgmirror: text: /],
		[' ', /expected a public key, got nothing/],
		['none', /none cannot be read: .*expected a file with a public key, or its line, "ssh-ed25519 AAAA…"\n/],
		['ssh-rsa AAAAB3NzaC1yc2E= me', /the command line: /],
		['-', /there is no key in what was piped in/],
	] as const) {
		io.err = '';
		t.is(await run('key', 'trust', word), 1, word);
		t.regex(io.err, said, word);
	}
	t.deepEqual(server.asked, []);
	t.is(await run('key', 'trust'), 2);
});

test('keys can be trusted before there is anything else', async t => {
	const {io, runHere} = await bench(t);
	t.is(await runHere('key', 'trust', near.line), 1, 'the stand-in does not know of it');
	const data = join(await tempDir(t), 'new', 'data');
	io.err = '';
	t.is(await runCli(['key', 'list', '--data', data], io), 1);
	t.regex(io.err, /there is no data directory/);
	t.false(existsSync(data));
	io.err = '';
	await runCli(['key', 'trust', near.line, '--data', data], io);
	t.true(existsSync(data));
	t.true(io.err.startsWith(`imgmirror: made the data directory ${data}\n`), io.err);
});

test('key untrust names a key by fingerprint or comment', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('DELETE /mirror/keys/trusted?key=head%20office', {text: ''});
	t.is(await run('key', 'untrust', 'head office'), 0, io.err);
	t.is(io.out, 'head office is trusted no more: bundles that it has signed are refused\n');
	server.answers.set('DELETE /mirror/keys/trusted', {
		...{status: 404, code: 'ResourceNotFound', message: 'no such key is trusted'},
	});
	t.is(await run('key', 'untrust', near.fingerprint), 1);
	t.is(server.asked.at(-1)?.what, 'GET /mirror/sources');
	t.true(server.asked.some(({what}) => what.endsWith(`?key=${encodeURIComponent(near.fingerprint)}`)));
	t.regex(io.err, /no such key is trusted \(ResourceNotFound\)/);
	server.answers.set('DELETE /mirror/keys/trusted', {status: 403, code: 'NotAuthorizedError', message: 'you may not'});
	io.err = '';
	t.is(await run('key', 'untrust', 'x'), 1);
	t.regex(io.err, /this takes the right "operate"/);
});

test('"key" alone prints what there is', async t => {
	const {io} = await bench(t);
	t.is(await runCli(['key'], io), 2);
	t.regex(io.err, / new .* show .* list .* trust .* untrust /s);
});
