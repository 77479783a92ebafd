/**
 * `imgmirror import` as a process of its own: large files, pipes, signals.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, readFileSync} from 'node:fs';
import {mkdir, open, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {join} from 'node:path';
import {text} from 'node:stream/consumers';
import test from 'ava';
import {blobPath, digestOf, indexText, layoutText, makeImage as artifactOf} from '../../src/airgap/oci.js';
import {parseManifest} from '../../src/image/manifest.js';
import {makeBundle} from '../airgap/make-bundle.js';
import {makeImage} from '../helpers/make-image.js';
import {imgmirror, mainFile} from '../helpers/run-command.js';
import {tempDir} from '../helpers/temp-dir.js';
import {farSide} from './fake-far-side.js';

const size = 600_000_000;

test('a large file goes through little memory', async t => {
	const folder = join(await tempDir(t), 'site');
	await mkdir(join(folder, 'blobs/sha256'), {recursive: true});
	const manifest = makeImage({file: {size}}).text;
	const layer = 'b'.repeat(64);
	const files = [{sha1: parseManifest(manifest).files[0]?.sha1 ?? '', sha256: layer, size}];
	const image = artifactOf({manifest: parseManifest(manifest), text: manifest, files});
	const entry = {digest: image.digest, size: image.size, uuid: 'any', name: 'n', version: '1', filesElsewhere: false};
	await writeFile(join(folder, 'oci-layout'), layoutText);
	await writeFile(join(folder, 'index.json'), indexText([entry]));
	await writeFile(join(folder, blobPath(image.digest)), image.manifestText);
	await writeFile(join(folder, blobPath(digestOf(manifest))), manifest);
	const handle = await open(join(folder, 'blobs/sha256', layer), 'w');
	await handle.truncate(size);
	await handle.close();

	let bytes = 0;
	let mostResident = 0;
	let pid = 0;
	const server = createServer((request, response) => {
		if (request.method === 'GET') {
			response.end('# imgmirror have 1\n');
			return;
		}
		response.writeHead(200).write('{"what":"begin","images":1}\n');
		request.on('data', (chunk: Buffer) => (bytes += chunk.length));
		request.on('end', () => {
			const status = existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';
			mostResident = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
			response.end('{"what":"end"}\n');
		});
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => server.close());
	const {port} = server.address() as AddressInfo;
	const child = spawn(process.execPath, [mainFile, 'import', folder, '-q', '--url', `http://127.0.0.1:${port}`]);
	pid = child.pid ?? 0;
	const [err, ended] = await Promise.all([text(child.stderr), once(child, 'close')]);
	t.is(ended[0], 0, err);
	t.true(bytes > size);
	t.true(mostResident < 300 * 2 ** 20, `${mostResident} bytes`);
});

test('what is piped in is imported; a pipe that stands still keeps no stopped process', async t => {
	const {far} = await farSide(t);
	const tar = makeBundle({images: [makeImage({name: 'base'}), makeImage({size: 2_000_000})]}).tar();
	const {code, stdout, stderr} = await imgmirror(['import', '-', '--url', far.url], {input: tar});
	t.is(code, 0, stderr);
	t.regex(stdout, /base .* imported\n[^]*\n2 images imported: /);
	t.is(far.last.wireBytes, tar.length);

	const child = spawn(process.execPath, [mainFile, 'import', '-', '--url', far.url]);
	const signed = (async () => {
		for await (const chunk of child.stderr) {
			if (String(chunk).includes('signed by')) {
				return;
			}
		}
	})();
	child.stdin.on('error', () => undefined);
	child.stdin.write(tar.subarray(0, 100_000));
	await signed;
	child.kill('SIGINT');
	const [stopped] = (await once(child, 'exit')) as [number | null];
	t.is(stopped, 130);
	child.stdin.destroy();
});
