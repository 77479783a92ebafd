/**
 * Misses: a file that nobody has asked for yet, to one client, to 32 at once and to 1,000, over lines of known speed.
 *
 * The mirror has been running for a while, the file is a new one each time. What arrives is written, hashed twice and
 * made to last on the way; a direct download from the upstream does none of that.
 */
import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {makeFile, mebibyte, upstreamFolder, type BenchFile} from './files.js';
import {peakMiB, watchingMemory} from './processes.js';
import {compared, median, rounded, type Row} from './rows.js';
import type {Bench, Mirror, Server} from './servers.js';
import type {ClientResult} from './tools.js';

const run = promisify(execFile);

interface Site {
	readonly upstream: Awaited<ReturnType<Bench['upstream']>>;
	readonly mirror: Mirror;
	readonly files: readonly BenchFile[];
	stop(): Promise<void>;
}

/** An upstream with as many files of that size, and a mirror that has fetched something else before. */
export async function coldSite(
	bench: Bench,
	{count, size, bytesPerSecond}: {count: number; size: number; bytesPerSecond: number | undefined},
): Promise<Site> {
	const files: BenchFile[] = [];
	for (let made = 0; made < count; made++) {
		files.push(await makeFile(bench.folder, size));
	}
	const before = await Promise.all([1, 1, 1].map(() => makeFile(bench.folder, mebibyte)));
	const upstream = await bench.upstream(await upstreamFolder(bench.folder, [...files, ...before]), bytesPerSecond);
	const mirror = await bench.mirror(upstream.url);
	for (const {path} of before) {
		await bench.fetch(mirror.url + path, {connections: 2});
		await bench.fetch(mirror.url + path);
	}
	await settle();
	return {
		...{upstream, mirror, files},
		async stop() {
			await mirror.stop();
			await upstream.stop();
		},
	};
}

/** Its VCL takes a compiler and a second: nothing for a short run. */
function varnishIsHere(bench: Bench): boolean {
	return !bench.short && bench.has('varnishd');
}

/** What was written before is none of the next one's business. */
async function settle(): Promise<void> {
	await run('sync');
}

export async function benchCold(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const [size, count] = options.short ? [8 * mebibyte, 1] : [256 * mebibyte, 5];
	const rows: Row[] = [];
	const limited = await coldSite(bench, {size, count, bytesPerSecond: 200e6});
	const results = await inTurns(bench, 'cold, upstream 200 MB/s', limited, 1, [['direct', limited.upstream]]);
	const direct = results.map(({ours, peers}) => [ours, peers['direct'] ?? ours] as const);
	const head = {workload: 'cold', peerName: 'direct'};
	rows.push(
		compared(
			{...head, what: 'upstream 200 MB/s', unit: 's', target: 'ratio <= 1.01'},
			direct.map(([ours, peer]) => [ours.seconds, peer.seconds]),
			ratio => ratio <= 1.01,
		),
	);
	const later = median(direct.map(([ours, peer]) => ours.firstByteMs.max - peer.firstByteMs.max));
	rows.push({
		...compared(
			{...head, what: 'upstream 200 MB/s, first byte', unit: 'ms', target: 'within 5 ms of direct'},
			direct.map(([ours, peer]) => [ours.firstByteMs.max, peer.firstByteMs.max]),
		),
		holds: later <= 5,
		note: `${later.toFixed(1)} ms later`,
	});
	await limited.stop();

	const open = await coldSite(bench, {size, count, bytesPerSecond: undefined});
	const what = 'upstream unlimited';
	rows.push(
		...(await againstCaches(bench, {workload: 'cold', what, connections: 1, target: 'nginx proxy_cache'}, open)),
	);
	await open.stop();
	return rows;
}

export async function benchHerd(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const [size, count] = options.short ? [4 * mebibyte, 1] : [256 * mebibyte, 3];
	const clients = options.short ? 8 : 32;
	const rows: Row[] = [];
	const limited = await coldSite(bench, {size, count, bytesPerSecond: 100e6});
	const what = `${clients} clients, upstream 100 MB/s`;
	const results = await inTurns(bench, `herd, ${what}`, limited, clients, [['direct', limited.upstream]]);
	const head = {workload: 'herd', peerName: 'one direct'};
	rows.push(
		compared(
			{...head, what, unit: 's', target: 'ratio <= 1.01'},
			results.map(({ours, peers}) => [ours.seconds, peers['direct']?.seconds ?? NaN]),
			ratio => ratio <= 1.01,
		),
		slowestRow(results, what),
		onceRow(results, what),
	);
	await limited.stop();

	const open = await coldSite(bench, {size, count: options.short ? 1 : 5, bytesPerSecond: undefined});
	const target = varnishIsHere(bench) ? 'varnish' : 'nginx proxy_cache';
	const free = {workload: 'herd', what: `${clients} clients, upstream unlimited`, connections: clients, target};
	rows.push(...(await againstCaches(bench, free, open)));
	await open.stop();

	rows.push(...(await crowdRows(bench, options.short)));
	return rows;
}

interface Round {
	readonly ours: ClientResult;
	readonly peers: Readonly<Record<string, ClientResult>>;
	/** Bytes that the upstream sent us for it, and those that the file has. */
	readonly sent: number;
	readonly size: number;
}

/** Each file once to as many clients from the mirror, and from each peer; from the upstream itself to one. */
async function inTurns(
	bench: Bench,
	what: string,
	{upstream, mirror, files}: Site,
	connections: number,
	peers: readonly (readonly [name: string, server: Server])[],
): Promise<readonly Round[]> {
	const rounds: Round[] = [];
	for (const [number, {path, size}] of files.entries()) {
		bench.progress(`${what}: round ${number + 1} of ${files.length}`);
		const before = await upstream.sent();
		const ours = await bench.fetch(mirror.url + path, {connections});
		const sent = (await upstream.sent()) - before;
		await settle();
		const others: Record<string, ClientResult> = {};
		for (const [name, server] of peers) {
			others[name] = await bench.fetch(server.url + path, {connections: server === upstream ? 1 : connections});
			await settle();
		}
		rounds.push({ours, peers: others, sent, size});
	}
	return rounds;
}

/** The unlimited upstream, where other caches are what can be reached. `target`: whom we must not be slower than. */
async function againstCaches(
	bench: Bench,
	{workload, what, connections, target}: {workload: string; what: string; connections: number; target: string},
	site: Site,
): Promise<Row[]> {
	const caches: [string, Server][] = [['nginx proxy_cache', await bench.nginxCache(site.upstream.url)]];
	if (varnishIsHere(bench)) {
		caches.push(['varnish', await bench.varnish(site.upstream.url)]);
	}
	const results = await inTurns(bench, `${workload}, ${what}`, site, connections, [
		['direct', site.upstream],
		...caches,
	]);
	for (const [, server] of caches) {
		await server.stop();
	}
	const rows = ['direct', ...caches.map(([name]) => name)].map(peerName => {
		const held = (ratio: number): boolean | undefined => (peerName === target ? ratio <= 1 : undefined);
		return compared(
			{
				...{workload, what, unit: 's', peerName: peerName === 'direct' && connections > 1 ? 'one direct' : peerName},
				...(peerName === target ? {target: 'ratio <= 1'} : {}),
			},
			results.map(({ours, peers}) => [ours.seconds, peers[peerName]?.seconds ?? NaN]),
			held,
		);
	});
	return connections === 1 ? rows : [...rows, onceRow(results, what)];
}

function slowestRow(results: readonly Round[], what: string): Row {
	const slowest = median(results.map(({ours}) => ours.firstByteMs.max));
	return {
		...{workload: 'herd', what: `${what}, slowest first byte`, unit: 'ms', ours: rounded(slowest)},
		...{target: '< 20 ms', holds: slowest < 20},
	};
}

function onceRow(results: readonly Round[], what: string): Row {
	const ratios = results.map(({sent, size}) => sent / size);
	return {
		...{workload: 'herd', what: `${what}, sent by the upstream`, unit: 'x the file', ours: Math.max(...ratios)},
		...{target: 'exactly 1', holds: ratios.every(ratio => ratio === 1)},
	};
}

/** A thousand on one transfer. */
async function crowdRows(bench: Bench, short: boolean): Promise<Row[]> {
	const clients = short ? 50 : 1000;
	const size = (short ? 1 : 64) * mebibyte;
	const site = await coldSite(bench, {size, count: 1, bytesPerSecond: 100e6});
	const {mirror, files, upstream} = site;
	bench.progress(`herd, ${clients} clients on one transfer`);
	const before = await upstream.sent();
	const {result, peakMiB: peak} = await watchingMemory(mirror.pids, () =>
		bench.fetch(mirror.url + (files[0]?.path ?? ''), {connections: clients}),
	);
	const sent = ((await upstream.sent()) - before) / size;
	const resident = peakMiB(mirror.pid);
	const what = `${clients} clients, one transfer of ${size / mebibyte} MiB`;
	await site.stop();
	const head = {workload: 'herd', unit: 'MiB', target: '< 200 MiB, all complete'};
	const note = `all ${result.requests} complete in ${result.seconds.toFixed(1)} s, upstream sent ${sent} x`;
	return [
		{...head, what: `${what}: peak private`, ours: rounded(peak), holds: peak < 200, note},
		{...head, what: `${what}: peak resident`, ours: resident, holds: resident < 200},
	];
}
