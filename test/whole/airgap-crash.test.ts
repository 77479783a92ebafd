import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile, readdir, rename, stat} from 'node:fs/promises';
import http from 'node:http';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import path from 'node:path';
import {setTimeout} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {imgmirror, mainFile} from '../helpers/run-command.js';
import {startMirror} from '../helpers/start-mirror.js';
import {startProcess} from '../helpers/start-process.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';
import {operator} from '../mirror/site.js';

const settings = {access: operator, store: {minFree: '0'}, bundles: {allowUnsigned: true}};

/** A line that ends after so many bytes of answers: nothing more comes, and nobody is told. */
class Line {
	passed = 0;
	readonly #target: URL;
	readonly #server = createServer(socket => {
		this.#join(socket);
	});
	#most = Infinity;
	#stopped: (() => void) | undefined;

	constructor(target: string) {
		this.#target = new URL(target);
	}

	async open(t: ExecutionContext): Promise<string> {
		this.#server.listen(0, '127.0.0.1');
		await once(this.#server, 'listening');
		t.teardown(() => this.#server.close());
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	/** Resolves when that many bytes have passed from now on. */
	async after(bytes: number): Promise<void> {
		this.passed = 0;
		this.#most = bytes;
		await new Promise<void>(resolve => {
			this.#stopped = resolve;
		});
		this.#most = Infinity;
		this.passed = 0;
	}

	#join(near: Socket): void {
		const far = connect(Number(this.#target.port), this.#target.hostname);
		const end = (): void => {
			near.destroy();
			far.destroy();
		};
		near
			.on('error', end)
			.on('close', end)
			.on('data', chunk => far.write(chunk));
		far.on('error', end).on('close', end);
		far.on('data', chunk => {
			if (this.passed + chunk.length > this.#most) {
				far.pause();
				this.#stopped?.();
				return;
			}
			this.passed += chunk.length;
			near.write(chunk);
		});
	}
}

/** Of what is not whole yet, and of what is beside it. */
async function writtenTo(folder: string): Promise<number> {
	const names = (await readdir(folder, {recursive: true})).filter(name => !name.startsWith('whole'));
	const sizes = await Promise.all(names.map(name => stat(path.join(folder, name)).catch(() => undefined)));
	return sizes.reduce((sum, found) => sum + (found?.isFile() === true ? found.size : 0), 0);
}

test('an export that is killed goes on where it was, as folder and as tar', async t => {
	const base = makeImage({name: 'base', size: 40_000_000});
	const web = makeImage({name: 'web', size: 45_000_000, origin: base});
	const upstream = await startUpstream(t, {images: [base, web]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url, type: 'imgapi'}], config: settings});
	const line = new Line(mirror.url);
	const url = await line.open(t);
	const folder = await tempDir(t);
	const whole = path.join(folder, 'whole');
	const moved = path.join(await tempDir(t), 'moved');
	t.is((await imgmirror(['export', web.uuid, '--to', whole, '--url', mirror.url])).code, 0);
	t.is((await imgmirror(['export', web.uuid, '--to', `${whole}.tar`, '--url', mirror.url])).code, 0);

	for (const name of ['folder', 'bundle.tar']) {
		const to = path.join(folder, name);
		const args = ['export', web.uuid, '--to', to, '--url', url];
		// A tar is made to last, and may be gone on with, every 32 MiB.
		for (const enough of [36_000_000, 69_000_000]) {
			const child = spawn(process.execPath, [mainFile, ...args], {stdio: 'ignore'});
			const died = once(child, 'exit');
			await line.after(40_000_000);
			// What has passed is on its way through buffers still.
			while ((await writtenTo(folder)) < enough) {
				await setTimeout(20);
			}
			child.kill('SIGKILL');
			await died;
			t.false((await readdir(folder)).includes('bundle.tar'));
			t.false(name === 'folder' && (await readdir(to).catch((): string[] => [])).includes('index.json'));
		}
		const ended = await imgmirror(args);
		t.is(ended.code, 0, ended.stderr);
		t.true(line.passed < 25_000_000, `${name}: ${line.passed} bytes came again`);
		// What is beside the next one would count as written.
		await (name === 'folder' ? rename(to, moved) : undefined);
	}
	t.true((await readFile(path.join(folder, 'bundle.tar'))).equals(await readFile(`${whole}.tar`)));
	const files = (await readdir(whole, {recursive: true})).sort();
	t.deepEqual((await readdir(moved, {recursive: true})).sort(), files);
	t.is((await imgmirror(['bundle', 'verify', moved])).code, 0);
});

test('an import during which the server is killed leaves whole images only, and goes on', async t => {
	const images = [
		makeImage({name: 'a', size: 500_000}),
		makeImage({name: 'b', size: 2_000_000}),
		makeImage({name: 'c', size: 700_000}),
	];
	const upstream = await startUpstream(t, {images});
	const near = await startMirror(t, {sources: [{name: 'up', url: upstream.url, type: 'imgapi'}], config: settings});
	const bundle = (await near.get('/export?name=*')).body;
	const data = path.join(await tempDir(t), 'data');
	const uuids = new Set(images.map(({uuid}) => uuid));
	let whole = 0;
	// In the middle of the index, of each file, and after the last of them.
	for (const share of [0.0005, 0.1, 0.3, 0.6, 0.85, 0.999]) {
		const far = await startProcess(t, {data, sources: [], config: settings});
		const request = http.request(`${far.url}/import`, {method: 'PUT', headers: {'content-length': bundle.length}});
		const cut = once(request, 'error');
		await new Promise(resolve => request.write(bundle.subarray(0, Math.floor(bundle.length * share)), resolve));
		await far.end('SIGKILL');
		await cut;

		const again = await startProcess(t, {data, sources: [], config: settings});
		const listed = (await again.get('/images')).json() as readonly {uuid: string}[];
		t.true(listed.length >= whole && listed.every(({uuid}) => uuids.has(uuid)));
		whole = listed.length;
		for (const {uuid} of listed) {
			const image = images.find(one => one.uuid === uuid);
			t.true(image !== undefined && (await again.file(image)).body.equals(image.bytes));
		}
		await again.end('SIGTERM');
	}
	const far = await startProcess(t, {data, sources: [], config: settings});
	const answer = await far.get('/import', {method: 'PUT', body: bundle});
	t.is(answer.status, 200, answer.text);
	t.like(answer.json(), {imported: 3 - whole, there: whole, failed: 0});
	for (const image of images) {
		t.true((await far.file(image)).body.equals(image.bytes));
	}
	t.deepEqual((await readdir(path.join(data, 'uploads'))).concat(await readdir(path.join(data, 'partial'))), []);
	t.false((await readdir(data)).includes('spool'));
});
