/**
 * `npm run bench`: how fast the mirror is, as ratios against nginx in the same run.
 *
 * Each workload runs against both in turns, several rounds; what is printed are medians of the ratios inside a round,
 * so that a noisy machine disturbs both alike. `--short` only proves that it runs. Needs nginx.
 */
import {execFile} from 'node:child_process';
import {performance} from 'node:perf_hooks';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {makeImage, makeManifests} from '../helpers/make-image.js';
import type {ClientResult} from './client.js';
import {Bench, peakMiB, residentMiB} from './servers.js';
import {benchUploads} from './uploads.js';

const run = promisify(execFile);
const isShort = process.argv.includes('--short');
const rounds = isShort ? 1 : 5;
const megabytes = isShort ? 16 : 256;
const client = fileURLToPath(new URL('client.js', import.meta.url));

async function fetchAll(url: string, connections: number, requests: number): Promise<ClientResult> {
	const {stdout} = await run(process.execPath, [client, url, String(connections), String(requests)]);
	const result = JSON.parse(stdout) as ClientResult;
	if (result.failed > 0) {
		throw new Error(`${result.failed} of ${connections * requests} requests to ${url} failed`);
	}
	return result;
}

function median(values: readonly number[]): number {
	return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

const table: Record<string, Record<string, string | number>> = {};

/** Runs both in turns; notes the rates and the median of their ratio. */
async function compare(
	name: string,
	unit: string,
	ours: () => Promise<number>,
	peer: () => Promise<number>,
): Promise<void> {
	const pairs: [number, number][] = [];
	for (let round = 0; round < rounds; round++) {
		pairs.push([await ours(), await peer()]);
	}
	table[name] = {
		ours: Number(median(pairs.map(([a]) => a)).toPrecision(3)),
		nginx: Number(median(pairs.map(([, b]) => b)).toPrecision(3)),
		unit,
		ratio: Number(median(pairs.map(([a, b]) => a / b)).toFixed(2)),
	};
}

const bench = await Bench.open();
try {
	const image = makeImage({size: megabytes * 1_048_576});
	const path = `/images/${image.uuid}/file`;
	const origin = await bench.origin([image], [], undefined);
	const warm = await bench.mirror(origin);
	await fetchAll(warm.url + path, 1, 1);
	const rate = async (url: string, connections: number, requests: number): Promise<number> => {
		const {bytes, seconds} = await fetchAll(url, connections, requests);
		return bytes / seconds / 1e9;
	};
	for (const connections of [1, 8, 64]) {
		const requests = Math.max(1, Math.floor(16 / connections));
		await compare(
			`hit, ${connections} connections`,
			'GB/s',
			() => rate(warm.url + path, connections, requests),
			() => rate(origin + path, connections, requests),
		);
	}
	table['memory after hits'] = {ours: await peakMiB(warm.pid), unit: 'MiB, peak'};

	const lists: [string, number][] = isShort
		? [['list of 1,000', 1000]]
		: [
				['list of 1,000', 1000],
				['list of 10,000', 10_000],
			];
	for (const [name, count] of lists) {
		const manifests = makeManifests(count);
		const listOrigin = await bench.origin([], manifests, undefined);
		const mirror = await bench.mirror(listOrigin);
		await fetchAll(`${mirror.url}/images`, 1, 1);
		const times = Math.ceil(20_000 / count);
		const perSecond = async (url: string): Promise<number> => {
			const {requests, seconds} = await fetchAll(url, 4, times);
			return requests / seconds;
		};
		await compare(
			name,
			'requests/s',
			() => perSecond(`${mirror.url}/images`),
			() => perSecond(`${listOrigin}/images`),
		);
		if (count === 1000) {
			const one = manifests[0]?.uuid ?? '';
			const many = async (url: string): Promise<number> => {
				const {requests, seconds} = await fetchAll(url, 16, 1000);
				return requests / seconds;
			};
			await compare(
				'one manifest',
				'requests/s',
				() => many(`${mirror.url}/images/${one}`),
				() => many(`${listOrigin}/image`),
			);
		}
	}

	for (const [name, limit] of [
		['upstream unlimited', undefined],
		['upstream 100 MB/s', 100_000_000],
	] as const) {
		const slow = await bench.origin([image], [], limit);
		for (const [who, connections] of [
			['cold, one client', 1],
			['herd, 32 clients', 32],
		] as const) {
			const ratios: number[] = [];
			const seconds: number[] = [];
			const firstBytes: number[] = [];
			for (let round = 0; round < (isShort ? 1 : 3); round++) {
				const cold = await bench.mirror(slow);
				await fetchAll(`${cold.url}/images`, 1, 1);
				const ours = await fetchAll(cold.url + path, connections, 1);
				const direct = await fetchAll(slow + path, 1, 1);
				ratios.push(ours.seconds / direct.seconds);
				seconds.push(ours.seconds);
				firstBytes.push(ours.firstByteMs.at(-1) ?? NaN);
				process.kill(cold.pid, 'SIGKILL');
			}
			table[`${who}, ${name}`] = {
				ours: Number(median(seconds).toPrecision(3)),
				unit: `s; slowest first byte ${median(firstBytes).toFixed(0)} ms`,
				'x one direct download': Number(median(ratios).toFixed(2)),
			};
		}
	}

	const published = await benchUploads(bench, {megabytes: isShort ? 16 : 512, rounds: isShort ? 1 : 3});
	table['upload'] = {
		ours: Number((published.bytes / median(published.upload) / 1e6).toPrecision(3)),
		'cat; sha1sum': Number((published.bytes / median(published.cat) / 1e6).toPrecision(3)),
		unit: 'MB/s',
		ratio: Number(median(published.upload.map((took, at) => (published.cat[at] ?? NaN) / took)).toFixed(2)),
	};
	table['8 uploads at once'] = {
		ours: Number((published.eight.bytes / published.eight.seconds / 1e6).toPrecision(3)),
		unit: `MB/s together; ${published.eight.peakMiB} MiB peak`,
	};

	const count = isShort ? 1000 : 25_000;
	const big = await bench.origin([], makeManifests(count), undefined);
	const begun = performance.now();
	const mirror = await bench.mirror(big, {
		sources: [{name: 'origin', url: big, type: 'imgapi', listTtl: isShort ? '1s' : '5s'}],
	});
	const listed = await fetchAll(`${mirror.url}/images`, 1, 1);
	table[`${count} manifests`] = {
		ours: Number(((performance.now() - begun) / 1000).toFixed(2)),
		unit: `s from start of the process to the whole list sent (${(listed.bytes / 1e6).toFixed(1)} MB)`,
	};
	const metrics = async (): Promise<{refreshes: number; seconds: number}> => {
		const text = await (await fetch(`${mirror.url}/metrics`)).text();
		const of = (suffix: string): number =>
			Number(
				new RegExp(`imgmirror_source_seconds_${suffix}\\{[^}]*what="list"[^}]*\\} ([\\d.e-]+)`).exec(text)?.[1] ?? 0,
			);
		return {refreshes: of('count'), seconds: of('sum')};
	};
	const before = await metrics();
	for (let now = before; now.refreshes < before.refreshes + 2; now = await metrics()) {
		await fetchAll(`${mirror.url}/ping`, 1, 1);
	}
	table['memory with them, after two refreshes'] = {ours: await residentMiB(mirror.pid), unit: 'MiB resident'};
} finally {
	await bench.close();
}
console.table(table);
