/**
 * Publishing: how fast one upload is against `cat > file; sha1sum file` on the same disk, and what eight at once cost.
 */
import {execFile} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {open} from 'node:fs/promises';
import path from 'node:path';
import {performance} from 'node:perf_hooks';
import {promisify} from 'node:util';
import {pseudoRandom} from '../helpers/make-image.js';
import {peakMiB} from './processes.js';
import {compared, rounded, type Row} from './rows.js';
import type {Bench} from './servers.js';

const run = promisify(execFile);

export async function benchUploads(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const [megabytes, rounds] = options.short ? [16, 1] : [512, 3];
	const file = path.join(bench.folder, 'upload');
	await writeRandom(file, megabytes);
	const mirror = await bench.mirror('http://127.0.0.1:9', {
		sources: [],
		access: {networks: [{cidrs: ['127.0.0.0/8'], may: ['publish']}]},
	});
	const upload = async (): Promise<void> => {
		const uuid = randomUUID();
		const manifest = JSON.stringify({v: 2, uuid, name: 'bench', version: '1', type: 'zone-dataset', os: 'smartos'});
		const imported = await fetch(`${mirror.url}/images/${uuid}?action=import`, {
			method: 'POST',
			headers: {'content-type': 'application/json'},
			body: manifest,
		});
		if (imported.status !== 200) {
			throw new Error(`import: ${imported.status} ${await imported.text()}`);
		}
		const url = `${mirror.url}/images/${uuid}/file?compression=none`;
		const {stdout} = await run('curl', ['-sS', '-f', '-T', file, '-o', '/dev/null', '-w', '%{http_code}', url]);
		if (stdout !== '200') {
			throw new Error(`the upload was answered ${stdout}`);
		}
		// Room for the next one.
		await fetch(`${mirror.url}/images/${uuid}`, {method: 'DELETE'});
	};
	const timed = async (work: () => Promise<unknown>): Promise<number> => {
		const begun = performance.now();
		await work();
		return (performance.now() - begun) / 1000;
	};
	const bytes = megabytes * 1_048_576;
	const rates: [number, number][] = [];
	for (let round = 0; round < rounds; round++) {
		bench.progress(`uploads: round ${round + 1} of ${rounds}`);
		const ours = await timed(upload);
		const cat = await timed(() =>
			run('/bin/sh', ['-c', 'cat "$1" > "$1.copy"; sha1sum "$1.copy"; rm "$1.copy"', 'sh', file]),
		);
		rates.push([bytes / ours / 1e6, bytes / cat / 1e6]);
	}
	bench.progress('uploads: 8 at once');
	const seconds = await timed(() => Promise.all(Array.from({length: 8}, upload)));
	const peak = peakMiB(mirror.pid);
	await mirror.stop();
	const [workload, unit] = ['uploads', 'MB/s'];
	return [
		compared({workload, what: `one of ${megabytes} MiB`, unit, peerName: 'cat; sha1sum'}, rates),
		{
			...{workload, what: '8 at once, together', unit, ours: rounded((8 * bytes) / seconds / 1e6)},
			note: `${peak} MiB resident at most`,
		},
	];
}

async function writeRandom(file: string, megabytes: number): Promise<void> {
	const block = pseudoRandom(1_048_576, 11);
	const handle = await open(file, 'w');
	try {
		for (let at = 0; at < megabytes; at++) {
			block.writeUInt32LE(at, 0);
			await handle.write(block);
		}
	} finally {
		await handle.close();
	}
}
