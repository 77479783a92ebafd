/**
 * Starts: how long until a mirror serves that knows 25,000 images and holds 10,000 files, what memory it has then, and
 * what each further file costs it. Its sources are away: it begins with what it remembers.
 */
import {mkdtemp, rm} from 'node:fs/promises';
import path from 'node:path';
import {performance} from 'node:perf_hooks';
import {setTimeout as sleep} from 'node:timers/promises';
import {get} from '../helpers/http-client.js';
import type {TestManifest} from '../helpers/make-image.js';
import {cpuSeconds, privateMiB, residentMiB} from './processes.js';
import {median, rounded, type Row} from './rows.js';
import type {Bench} from './servers.js';
import {ListServer, sourcesOf, writeHeldFiles, type SourceType} from './start-data.js';

const workload = 'start';
/** What a start leaves to be done is done by then. */
const settleMs = 5000;
/** Of folders of files, before what is in them is written down. */
const quietMs = 2500;

/** One start. */
interface Start {
	readonly imageSeconds: number;
	readonly listSeconds: number;
	readonly residentMiB: number;
	readonly privateMiB: number;
	/** Of one small file. */
	readonly cpuMsPerFile: number;
}

interface Directory {
	readonly data: string;
	readonly held: readonly TestManifest[];
	readonly config: object;
}

export async function benchStart(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const [images, held, rounds] = options.short ? [500, 100, 1] : [25_000, 10_000, 5];
	const directory = await remembered(bench, {images, held, types: ['imgapi']});
	const starts = await startsOf(bench, directory, rounds);
	const both = await remembered(bench, {images, held, types: ['imgapi', 'dsapi']});
	const withBoth = await startsOf(bench, both, Math.ceil(rounds / 2));
	await rm(directory.data, {recursive: true, force: true});
	await rm(both.data, {recursive: true, force: true});
	const what = `${images} images, ${held} files`;
	const seconds = median(starts.map(({imageSeconds}) => imageSeconds));
	const resident = median(starts.map(start => start.residentMiB));
	return [
		{
			...{workload, what: `${what}: to the first image`, unit: 's', ours: rounded(seconds)},
			...{target: '<= 1 s', holds: seconds <= 1, note: `best ${best(starts, 'imageSeconds')}`},
		},
		row(`${what}: to the whole list`, 's', starts, 'listSeconds'),
		{
			...{workload, what: `${what}: resident when idle`, unit: 'MiB', ours: rounded(resident)},
			...{target: '< 120 MiB', holds: resident < 120},
		},
		row(`${what}: private when idle`, 'MiB', starts, 'privateMiB'),
		row(`the same from two sources: to the first image`, 's', withBoth, 'imageSeconds'),
		row(`the same from two sources: resident when idle`, 'MiB', withBoth, 'residentMiB'),
		...(await curve(bench, options.short ? [10, 100] : [10, 1000, 10_000, 100_000])),
	];
}

/** The same number of images as files: each file is some image's. */
async function curve(bench: Bench, points: readonly number[]): Promise<Row[]> {
	const found: {readonly files: number; readonly start: Start}[] = [];
	for (const files of points) {
		bench.progress(`start: ${files} files`);
		const directory = await remembered(bench, {images: files, held: files, types: ['imgapi']});
		const starts = await startsOf(bench, directory, bench.short ? 1 : 3);
		await rm(directory.data, {recursive: true, force: true});
		const [fastest] = starts.toSorted((a, b) => a.imageSeconds - b.imageSeconds);
		if (fastest !== undefined) {
			found.push({files, start: fastest});
		}
	}
	const first = found[0];
	return found.flatMap(({files, start}): Row[] => {
		const more = files - (first?.files ?? 0);
		const each = (now: number, before = NaN, scale = 1): number => rounded(((now - before) / more) * scale);
		const perFile =
			more === 0
				? ''
				: `; each file ${each(start.imageSeconds, first?.start.imageSeconds, 1e6)} us,` +
					` ${each(start.residentMiB, first?.start.residentMiB, 1024)} KiB`;
		const note = `${rounded(start.residentMiB)} MiB resident${perFile}`;
		return [
			{workload, what: `files: ${files}, to the first image`, unit: 's', ours: rounded(start.imageSeconds), note},
			{workload, what: `files: ${files}, processor time of a request`, unit: 'ms', ours: rounded(start.cpuMsPerFile)},
		];
	});
}

/** A data directory as a mirror leaves it that has asked its sources and stopped. */
async function remembered(
	bench: Bench,
	{images, held, types}: {images: number; held: number; types: readonly SourceType[]},
): Promise<Directory> {
	const data = await mkdtemp(path.join(bench.folder, 'start-'));
	const listed = writeHeldFiles(data, {images, held});
	const server = await ListServer.open(listed);
	const config = {data, sources: sourcesOf(server.url, types)};
	const mirror = await bench.mirror(server.url, config);
	await get(`${mirror.url}/images`, {hashOnly: true});
	await sleep(quietMs);
	await mirror.stop();
	server.close();
	return {data, held: listed.slice(0, held), config};
}

async function startsOf(bench: Bench, directory: Directory, rounds: number): Promise<Start[]> {
	const starts: Start[] = [];
	for (let round = 0; round < rounds; round++) {
		starts.push(await oneStart(bench, directory));
	}
	return starts;
}

async function oneStart(bench: Bench, {held, config}: Directory): Promise<Start> {
	const from = performance.now();
	const since = (): number => (performance.now() - from) / 1000;
	const mirror = await bench.mirror('', config);
	await get(`${mirror.url}/images/${held[0]?.uuid ?? ''}`, {hashOnly: true});
	const imageSeconds = since();
	await sleep(bench.short ? 0 : settleMs);
	const memory = {residentMiB: residentMiB(mirror.pid), privateMiB: privateMiB(mirror.pid)};
	const usedBefore = cpuSeconds(mirror.pids);
	const asked = held.slice(0, 1000);
	const rounds = bench.short ? 1 : Math.ceil(1000 / asked.length);
	for (let round = 0; round < rounds; round++) {
		for (const {uuid} of asked) {
			await get(`${mirror.url}/images/${uuid}/file`, {hashOnly: true});
		}
	}
	const cpuMsPerFile = ((cpuSeconds(mirror.pids) - usedBefore) * 1000) / (rounds * asked.length);
	await mirror.stop();
	return {imageSeconds, listSeconds: await untilList(bench, config), cpuMsPerFile, ...memory};
}

/** In a start of its own: a list takes memory. */
async function untilList(bench: Bench, config: object): Promise<number> {
	const from = performance.now();
	const mirror = await bench.mirror('', config);
	await get(`${mirror.url}/images`, {hashOnly: true});
	const seconds = (performance.now() - from) / 1000;
	await mirror.stop();
	return seconds;
}

function row(what: string, unit: string, starts: readonly Start[], key: keyof Start): Row {
	const ours = rounded(median(starts.map(start => start[key])));
	return {workload, what, unit, ours, note: `best ${best(starts, key)}`};
}

function best(starts: readonly Start[], key: keyof Start): number {
	return rounded(Math.min(...starts.map(start => start[key])));
}
