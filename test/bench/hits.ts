/**
 * Hits: a file that is held, to 1, 8 and 64 clients, against nginx with sendfile; with the native helper and without it.
 */
import {performance} from 'node:perf_hooks';
import {makeFile, mebibyte, type BenchFile} from './files.js';
import {cpuSeconds, watchingMemory} from './processes.js';
import {compared, median, rounded, type Row} from './rows.js';
import type {Bench, Mirror, Server} from './servers.js';

interface Cost {
	readonly rate: number;
	readonly cpuPerGb: number;
	readonly peakMiB: number;
	readonly slowestMs: number;
}

/** GB/s and the rest of so many clients that fetch the file so many times each. */
export async function costOf(
	bench: Bench,
	{url, pids}: Server,
	file: BenchFile,
	connections: number,
	requests: number,
): Promise<Cost> {
	const before = cpuSeconds(pids);
	const {result, peakMiB} = await watchingMemory(pids, () => bench.fetch(url + file.path, {connections, requests}));
	const gigabytes = result.bytes / 1e9;
	return {
		rate: gigabytes / result.seconds,
		cpuPerGb: (cpuSeconds(pids) - before) / gigabytes,
		peakMiB,
		slowestMs: result.firstByteMs.max,
	};
}

interface Load {
	readonly connections: number;
	readonly requests: number;
	readonly rounds: number;
}

/** No further round begins after that: a mirror of a tenth of nginx's speed would take half an hour. */
const patienceMs = 40_000;

const short: readonly Load[] = [1, 8, 64].map(connections => ({connections, requests: 1, rounds: 1}));

export async function benchHits(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const loads = options.short
		? short
		: [
				{connections: 1, requests: 8, rounds: 5},
				{connections: 8, requests: 2, rounds: 5},
				{connections: 64, requests: 1, rounds: 3},
			];
	const file = await makeFile(bench.folder, (options.short ? 8 : 1024) * mebibyte);
	const small = await makeFile(bench.folder, (options.short ? 1 : 64) * mebibyte);
	const nginx = await bench.origin([file, small], []);
	const mirror = await warm(bench, nginx, [file, small], {});
	const rows = await hitRows(bench, 'hits', mirror, nginx, file, loads, {
		ratio: () => 0.9,
		cpu: 1.3,
	});
	bench.progress('hits: memory with a smaller file');
	const {peakMiB: peak} = await costOf(bench, mirror, small, 64, options.short ? 1 : 8);
	const most = rows.find(({unit}) => unit === 'MiB')?.ours ?? NaN;
	rows.push({
		workload: 'hits',
		what: `the same with a file of ${small.size / mebibyte} MiB`,
		unit: 'MiB',
		ours: rounded(peak),
		target: 'the larger file takes <= 16 MiB more',
		holds: most - peak <= 16,
	});
	await mirror.stop();
	await nginx.stop();
	return rows;
}

/** As on platforms without the helper: Node.js's own streams. */
export async function benchPlainHits(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const loads = options.short
		? short
		: [
				{connections: 1, requests: 8, rounds: 3},
				{connections: 8, requests: 1, rounds: 3},
				{connections: 64, requests: 1, rounds: 1},
			];
	const file = await makeFile(bench.folder, (options.short ? 8 : 1024) * mebibyte);
	const nginx = await bench.origin([file], []);
	let note: string | undefined;
	const mirror = await warm(bench, nginx, [file], {http: {sendfile: 'off'}}).catch((error: unknown) => {
		if (!bench.isOther) {
			throw error;
		}
		note = 'this mirror knows no http.sendfile';
		return warm(bench, nginx, [file], {});
	});
	const rows = await hitRows(bench, 'hits, no helper', mirror, nginx, file, loads, {ratio: () => 0.35});
	const first = rows.find(({unit}) => unit === 'GB/s');
	if (first !== undefined) {
		rows.push({
			...{workload: first.workload, what: '1 client, on its own', unit: 'GB/s', ours: first.ours},
			...{target: '>= 2 GB/s', holds: first.ours >= 2},
		});
	}
	await mirror.stop();
	await nginx.stop();
	return note === undefined ? rows : rows.map(row => ({...row, note: [row.note, note].filter(Boolean).join('; ')}));
}

async function warm(bench: Bench, nginx: Server, files: readonly BenchFile[], config: object): Promise<Mirror> {
	const mirror = await bench.mirror(nginx.url, config);
	for (const server of [mirror, nginx]) {
		for (const {path} of files) {
			await bench.fetch(server.url + path);
		}
	}
	return mirror;
}

async function hitRows(
	bench: Bench,
	workload: string,
	mirror: Server,
	nginx: Server,
	file: BenchFile,
	loads: readonly Load[],
	targets: {readonly ratio: (connections: number) => number; readonly cpu?: number},
): Promise<Row[]> {
	const [speed, cost, memory]: [Row[], Row[], Row[]] = [[], [], []];
	for (const {connections, requests, rounds} of loads) {
		const clients = connections === 1 ? '1 client' : `${connections} clients`;
		const pairs: [Cost, Cost][] = [];
		const begun = performance.now();
		for (let round = 0; round < rounds && performance.now() - begun < patienceMs; round++) {
			bench.progress(`${workload}: ${clients}, round ${round + 1} of ${rounds}`);
			pairs.push([
				await costOf(bench, mirror, file, connections, requests),
				await costOf(bench, nginx, file, connections, requests),
			]);
		}
		const least = targets.ratio(connections);
		const slowest = median(pairs.map(([ours]) => ours.slowestMs));
		const peers = median(pairs.map(([, peer]) => peer.slowestMs));
		speed.push(
			compared(
				{
					...{workload, what: clients, unit: 'GB/s', peerName: 'nginx', target: `ratio >= ${least}`},
					note: `slowest first byte ${slowest.toFixed(0)} ms, nginx ${peers.toFixed(0)} ms`,
				},
				pairs.map(([ours, peer]) => [ours.rate, peer.rate]),
				ratio => ratio >= least,
			),
		);
		const most = targets.cpu;
		cost.push(
			compared(
				{
					...{workload, what: `${clients}, processor time`, unit: 's/GB', peerName: 'nginx'},
					...(most === undefined ? {} : {target: `ratio <= ${most}`}),
				},
				pairs.map(([ours, peer]) => [ours.cpuPerGb, peer.cpuPerGb]),
				ratio => (most === undefined ? undefined : ratio <= most),
			),
		);
		if (connections === 64) {
			const [peak, peerPeak] = [0, 1].map(which => Math.max(...pairs.map(pair => pair[which]?.peakMiB ?? NaN)));
			memory.push({
				...{workload, what: `${clients}, peak private memory`, unit: 'MiB', peerName: 'nginx'},
				...{
					ours: rounded(peak ?? NaN),
					peer: rounded(peerPeak ?? NaN),
					target: '< 120 MiB',
					holds: (peak ?? NaN) < 120,
				},
			});
		}
	}
	return [...speed, ...cost, ...memory];
}
