import {cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {addUser, run} from '../helpers/run-command.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startProcess} from '../helpers/start-process.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
/** Nobody looks at what of a copy is used. */
const env = {NODE_V8_COVERAGE: ''};

/** The program as it is built for use, beside the one that is tested: packages are found from there. */
const folder = mkdtempSync(path.join(root, 'build/joined-'));

test.before(async () => {
	cpSync(path.join(root, 'build/src'), folder, {
		recursive: true,
		filter: from => statSync(from).isDirectory() || !from.endsWith('.map'),
	});
	const {code, stderr} = await run(process.execPath, [path.join(root, 'scripts/join.mjs'), folder], {env});
	if (code !== 0) {
		throw new Error(stderr);
	}
});

test.after.always(() => {
	rmSync(folder, {recursive: true, force: true});
});

test('joined into a few files the mirror serves as it does in many', async t => {
	const main = path.join(folder, 'main.js');
	const image = makeImage({size: 3_000_000});
	const upstream = await startUpstream(t, {images: [image]});
	const data = path.join(await tempDir(t), 'data');
	await addUser(data, 'anna', 'secret');
	const mirror = await startProcess(t, {data, sources: [upstream.url], main, env});
	t.like(JSON.parse((await mirror.get('/ping')).body.toString()), {ping: 'pong', imgapi: true});
	t.true((await mirror.get('/images')).body.includes(image.uuid));
	// What hashes it is a thread with a file of its own.
	sameBytes(t, (await mirror.file(image)).body, image.bytes);
	const {headers, body} = await mirror.file(image);
	t.is(headers['x-cache'], 'hit');
	sameBytes(t, body, image.bytes);

	// So is what compares passwords.
	const login = (password: string): Record<string, string> => ({
		authorization: `Basic ${Buffer.from(`anna:${password}`).toString('base64')}`,
	});
	t.is((await mirror.get('/ping', {headers: login('wrong')})).status, 401);
	t.like(JSON.parse((await mirror.get('/ping', {headers: login('secret')})).body.toString()), {user: 'anna'});

	// What is loaded when it is needed throws the errors that those know who were there before.
	const exported = await mirror.get('/export?uuid=00000000-0000-4000-8000-000000000000', {headers: login('secret')});
	t.true(exported.status >= 400 && exported.status < 500, String(exported.status));
	const bundle = await mirror.get(`/export?uuid=${image.uuid}`, {headers: login('secret')});
	t.is(bundle.status, 200);
	t.true(bundle.body.length > image.bytes.length);
	t.is((await mirror.get('/ui/')).status, 200);
	t.deepEqual(await mirror.end('SIGTERM'), {code: 0, signal: null});
});

test('every command goes where it is served best, and ends as it would', async t => {
	const main = path.join(folder, 'main.js');
	const said = (...args: string[]): ReturnType<typeof run> => run(process.execPath, [main, ...args], {env});
	const [wrong, version, unknown, help] = await Promise.all([
		said('serve', '--no-such-option'),
		said('--version'),
		said('no-such-command'),
		said('serve', '--help'),
	]);
	t.is(wrong.code, 2);
	t.regex(wrong.stderr, /--no-such-option/);
	t.deepEqual([version.code, version.stderr], [0, '']);
	t.is(unknown.code, 2);
	t.is(help.code, 0);
	t.regex(help.stdout, /--listen/);
});

test('each module stands for the same names in a few files', async t => {
	const joined = path.join(folder, 'joined');
	const names = readdirSync(joined, {recursive: true, encoding: 'utf8'}).filter(name => name.endsWith('.js'));
	const stubs = names.filter(name => /^import \{\$\d+\} from/u.test(readFileSync(path.join(joined, name), 'utf8')));
	t.true(stubs.length > 200 && stubs.includes('errors.js') && stubs.includes('http/server.js'), String(stubs.length));
	for (const name of stubs) {
		const [own, usual] = await Promise.all([namesOf(path.join(joined, name)), namesOf(path.join(folder, name))]);
		t.deepEqual(own, usual, name);
	}
	// Workers load what they need, and not all.
	t.true(names.includes('blobs/hash-worker.js') && !stubs.includes('blobs/hash-worker.js'));
	t.false(existsSync(path.join(joined, 'page')));
	t.false(existsSync(path.join(joined, 'command-line.js')));
});

async function namesOf(file: string): Promise<readonly string[]> {
	return Object.keys((await import(file)) as object).sort();
}
