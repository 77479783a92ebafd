/**
 * A slow reader: whether 8 fast clients notice one at 1 MB/s beside them, and whether it gets its file.
 *
 * Once where the file is held: fast ones fetch a large one again and again while the slow one reads another. Once where
 * all nine follow the same transfer, which must not wait for the slowest. The slow one's file is larger than what
 * sockets hold, and short enough that it is done in less than a minute.
 */
import {coldSite} from './cold.js';
import {makeFile, mebibyte} from './files.js';
import {median, rounded, type Row} from './rows.js';
import type {Bench} from './servers.js';
import {program} from './tools.js';

const fast = 8;

export async function benchSlowReader(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	// Only this client can read slowly.
	program(bench.tools, 'client');
	return [await besideHits(bench, options.short), await besideTransfer(bench, options.short)];
}

async function besideHits(bench: Bench, short: boolean): Promise<Row> {
	const large = await makeFile(bench.folder, (short ? 4 : 1024) * mebibyte);
	const slowFile = await makeFile(bench.folder, (short ? 1 : 16) * mebibyte);
	const nginx = await bench.origin([large, slowFile], []);
	const mirror = await bench.mirror(nginx.url);
	await bench.fetch([mirror.url + large.path, mirror.url + slowFile.path], {requests: 2});
	const once = async (): Promise<number> => (await bench.fetch(mirror.url + large.path, {connections: fast})).seconds;
	await once();
	const [alone, beside]: [number[], number[]] = [[], []];
	const aloneFor = async (times: number): Promise<void> => {
		for (let time = 0; time < times; time++) {
			alone.push(await once());
		}
	};
	let slowest = 0;
	// In turns: what the machine does besides changes within a minute by more than is to be measured.
	const rounds = short ? 1 : 3;
	for (let round = 0; round < rounds; round++) {
		bench.progress(`slow reader: beside hits, round ${round + 1} of ${rounds}`);
		await aloneFor(short ? 2 : 5);
		const reading = bench.fetch(mirror.url + slowFile.path, {bytesPerSecond: short ? 4e6 : 1e6});
		const state = {done: false};
		const watched = reading.finally(() => (state.done = true));
		// What becomes of it is seen below, when the fast ones are done.
		watched.catch(() => undefined);
		do {
			const seconds = await once();
			// One that ended when the slow one was done says nothing.
			if (!state.done || beside.length === 0) {
				beside.push(seconds);
			}
		} while (!state.done);
		slowest = Math.max(slowest, (await watched).seconds);
	}
	await aloneFor(short ? 1 : 5);
	await mirror.stop();
	await nginx.stop();
	const what = `${fast} fast clients of ${large.size / mebibyte} MiB, held`;
	return slowRow(what, beside, alone, `the slow one had its ${slowFile.size / mebibyte} MiB`, slowest);
}

async function besideTransfer(bench: Bench, short: boolean): Promise<Row> {
	const [size, count] = short ? [mebibyte, 2] : [32 * mebibyte, 6];
	const [line, slowly] = short ? [20e6, 4e6] : [40e6, 1e6];
	const site = await coldSite(bench, {size, count, bytesPerSecond: line});
	const {mirror, files} = site;
	const [alone, beside]: [number[], number[]] = [[], []];
	const reading: Promise<{seconds: number}>[] = [];
	for (const [number, {path}] of files.entries()) {
		bench.progress(`slow reader: on a transfer, ${number + 1} of ${files.length}`);
		const withSlow = number % 2 === 1;
		if (withSlow) {
			const slow = bench.fetch(mirror.url + path, {bytesPerSecond: slowly});
			slow.catch(() => undefined);
			reading.push(slow);
		}
		const {seconds} = await bench.fetch(mirror.url + path, {connections: fast});
		(withSlow ? beside : alone).push(seconds);
	}
	const slow = await Promise.all(reading);
	await site.stop();
	const what = `${fast} fast clients on one transfer of ${size / mebibyte} MiB at ${line / 1e6} MB/s`;
	const longest = Math.max(...slow.map(({seconds}) => seconds));
	return slowRow(what, beside, alone, 'each slow one had all of it', longest);
}

function slowRow(
	what: string,
	beside: readonly number[],
	alone: readonly number[],
	note: string,
	seconds: number,
): Row {
	const ratio = median(beside) / median(alone);
	return {
		...{workload: 'slow reader', what, unit: 's', ours: rounded(median(beside)), peer: rounded(median(alone))},
		...{peerName: 'without it', ratio: Number(ratio.toFixed(3)), target: 'ratio <= 1.02', holds: ratio <= 1.02},
		note: `${note} after ${seconds.toFixed(1)} s`,
	};
}
