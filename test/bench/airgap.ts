/**
 * Carrying images by hand, at size: ten thousand small images, and one of 8 GiB.
 *
 *   npm run --silent build:test && node build/test/bench/airgap.js [--small N] [--large BYTES] [--dir DIR]
 *
 * A bundle is made up and imported into one mirror, exported from it as a tar, imported into a second one, and exported
 * from that: times, and the most memory that each mirror ever took. What the two export must be the same bytes. Needs
 * about four times the size on the disk, and Linux to tell the memory.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {createReadStream} from 'node:fs';
import {mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {performance} from 'node:perf_hooks';
import {createInterface} from 'node:readline';
import {pipeline} from 'node:stream/promises';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {indexText, makeImage, type IndexEntry} from '../../src/airgap/oci.js';
import {blobPath, layoutText} from '../../src/airgap/oci-terms.js';
import {padding, tarEnd, tarHeader} from '../../src/airgap/tar-write.js';
import {isSha1, parseManifest} from '../../src/image/manifest.js';

const mebibyte = 1_048_576;
const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));

interface Blob {
	readonly hex: string;
	readonly size: number;
	readonly bytes: () => Iterable<Buffer>;
}

/** Bytes that cannot be guessed from the file's size, made anew each time they are read. */
function* body(seed: number, size: number): Generator<Buffer, void, undefined> {
	const block = createHash('sha512').update(`image ${seed}`).digest();
	const piece = Buffer.alloc(Math.min(mebibyte, size), block);
	for (let done = 0; done < size; done += piece.length) {
		piece.writeUInt32LE(Math.floor(done / mebibyte), 0);
		yield piece.subarray(0, Math.min(piece.length, size - done));
	}
}

function digestsOf(seed: number, size: number): {readonly sha1: string; readonly sha256: string} {
	const [sha1, sha256] = [createHash('sha1'), createHash('sha256')];
	for (const piece of body(seed, size)) {
		sha1.update(piece);
		sha256.update(piece);
	}
	return {sha1: sha1.digest('hex'), sha256: sha256.digest('hex')};
}

function madeUp(
	count: number,
	size: number,
): {readonly index: string; readonly blobs: readonly Blob[]; readonly bytes: number} {
	const entries: IndexEntry[] = [];
	const blobs: Blob[] = [];
	for (let number = 0; number < count; number++) {
		const {sha1, sha256} = digestsOf(number, size);
		if (!isSha1(sha1)) {
			throw new TypeError('sha1 made something else');
		}
		const uuid = `${String(number).padStart(8, '0')}-0000-4000-8000-000000000000`;
		const [name, version] = [`image-${number % 500}`, `1.${number}`];
		const text = JSON.stringify(
			{
				...{v: 2, uuid, owner: '00000000-0000-0000-0000-000000000000', name, version, state: 'active'},
				...{disabled: false, public: true, published_at: new Date(1.5e12 + number * 1000).toISOString()},
				...{type: 'zone-dataset', os: 'smartos', files: [{sha1, size, compression: 'none'}]},
				description: 'An image that is only here to be carried about, with a sentence of the usual length.',
			},
			undefined,
			2,
		);
		const made = makeImage({manifest: parseManifest(text), text, files: [{sha1, sha256, size}]});
		entries.push({digest: made.digest, size: made.size, uuid, name, version, filesElsewhere: false});
		blobs.push(textBlob(made.manifestText), textBlob(text), {hex: sha256, size, bytes: () => body(number, size)});
	}
	return {index: indexText(entries), blobs, bytes: count * size};
}

function textBlob(text: string): Blob {
	const bytes = Buffer.from(text);
	return {hex: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, bytes: () => [bytes]};
}

async function* tarOf(index: string, blobs: readonly Blob[]): AsyncGenerator<Buffer, void, undefined> {
	const first = [
		{path: 'oci-layout', ...textBlob(layoutText)},
		{path: 'index.json', ...textBlob(index)},
	];
	for (const {path: name, size, bytes} of [
		...first,
		...blobs.map(blob => ({...blob, path: blobPath(`sha256:${blob.hex}`)})),
	]) {
		yield tarHeader(name, size);
		for (const piece of bytes()) {
			// It is written anew for the next piece.
			yield Buffer.from(piece);
		}
		yield Buffer.alloc(padding(size));
	}
	yield tarEnd;
}

interface Mirror {
	readonly url: string;
	readonly child: ChildProcess;
	peakMiB(): Promise<number>;
	stop(): Promise<void>;
}

async function startMirror(folder: string): Promise<Mirror> {
	const configFile = path.join(folder, 'imgmirror.json');
	await writeFile(
		configFile,
		JSON.stringify({
			...{listen: ['127.0.0.1:0'], data: path.join(folder, 'data'), sources: [], store: {minFree: '0'}},
			...{bundles: {allowUnsigned: true}, log: {level: 'warn', format: 'json'}},
			access: {networks: [{cidrs: ['127.0.0.1'], may: ['operate']}]},
		}),
	);
	const child = spawn(process.execPath, [main, 'serve', '--config', configFile], {stdio: ['ignore', 'pipe', 'pipe']});
	child.stderr.pipe(process.stderr);
	let url = '';
	for await (const line of createInterface(child.stdout)) {
		url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0] ?? '';
		if (url !== '') {
			break;
		}
		process.stderr.write(`${line}\n`);
	}
	child.stdout.resume();
	return {
		url,
		child,
		async peakMiB() {
			const status = await readFile(`/proc/${child.pid ?? 0}/status`, 'utf8');
			return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024);
		},
		async stop() {
			child.kill('SIGTERM');
			await once(child, 'exit');
		},
	};
}

async function timed<T>(what: string, bytes: number, work: () => Promise<T>): Promise<T> {
	const began = performance.now();
	const result = await work();
	const seconds = (performance.now() - began) / 1000;
	console.log(`${what}: ${seconds.toFixed(1)} s, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`);
	return result;
}

/** curl, as whoever has no command line of ours would do it. */
async function curl(args: readonly string[], input?: AsyncIterable<Buffer>): Promise<string> {
	const child = spawn('curl', ['-sS', '--fail-with-body', ...args], {stdio: ['pipe', 'pipe', 'inherit']});
	const ended = once(child, 'close') as Promise<[number]>;
	const out: Buffer[] = [];
	child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
	if (input === undefined) {
		child.stdin.end();
	} else {
		// It may have its answer before it has sent everything: what is here already need not come.
		await pipeline(input, child.stdin).catch(() => undefined);
	}
	const [code] = await ended;
	if (code !== 0) {
		throw new Error(`curl ${args.join(' ')}: exit ${code}: ${Buffer.concat(out).toString().slice(0, 2000)}`);
	}
	return Buffer.concat(out).toString();
}

async function sha256Of(file: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const chunk of createReadStream(file, {highWaterMark: mebibyte})) {
		hash.update(chunk as Buffer);
	}
	return hash.digest('hex');
}

async function measure(what: string, count: number, size: number, parent: string): Promise<void> {
	console.log(`\n${what}`);
	const folder = await mkdtemp(path.join(parent, 'imgmirror-airgap-'));
	try {
		const {index, blobs, bytes} = madeUp(count, size);
		const exported: string[] = [];
		let bring: () => Promise<unknown> = () => Promise.resolve();
		for (const name of ['near', 'far']) {
			const own = await mkdtemp(path.join(folder, `${name}-`));
			const mirror = await startMirror(own);
			const before = await mirror.peakMiB();
			const from = exported[0];
			bring = () =>
				curl(
					['-T', from ?? '-', '-o', '/dev/null', `${mirror.url}/import`],
					from === undefined ? tarOf(index, blobs) : undefined,
				);
			await timed(`${name}: import`, bytes, bring);
			const afterImport = await mirror.peakMiB();
			const tar = path.join(folder, `${name}.tar`);
			await timed(`${name}: export`, bytes, () => curl(['-o', tar, `${mirror.url}/export?all=true`]));
			await timed(`${name}: the same import again`, bytes, bring);
			console.log(
				`${name}: peak memory ${before} MiB at the start, ${afterImport} after the import, ${await mirror.peakMiB()} at the end`,
			);
			exported.push(tar);
			await mirror.stop();
			if (name === 'near') {
				await rm(own, {recursive: true});
			}
		}
		const [one, other] = [await sha256Of(exported[0] ?? ''), await sha256Of(exported[1] ?? '')];
		console.log(
			`the two exports are ${one === other ? 'the same' : 'NOT THE SAME'}, ${(await stat(exported[0] ?? '')).size} bytes`,
		);
		process.exitCode = one === other ? (process.exitCode ?? 0) : 1;
	} finally {
		await rm(folder, {recursive: true, force: true});
	}
}

const {values} = parseArgs({
	options: {
		small: {type: 'string', default: '10000'},
		large: {type: 'string', default: String(8 * 1024 * mebibyte)},
		dir: {type: 'string', default: tmpdir()},
	},
});
if (Number(values.small) > 0) {
	await measure(`${values.small} images of 20 kB`, Number(values.small), 20_000, values.dir);
}
if (Number(values.large) > 0) {
	await measure(`one image of ${(Number(values.large) / 1e9).toFixed(1)} GB`, 1, Number(values.large), values.dir);
}
