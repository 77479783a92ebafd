/**
 * Pauses: how long the event loop stands still at most while 25,000 manifests of two sources are read, merged, listed
 * and filtered. Whoever asks for anything else waits that long.
 */
import {mkdtemp, readFile, rename, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {get} from '../helpers/http-client.js';
import {makeManifests, type TestManifest} from '../helpers/make-image.js';
import {listText} from './files.js';
import {residentMiB} from './processes.js';
import {median, rounded, type Row} from './rows.js';
import type {Bench, Mirror} from './servers.js';

const preload = fileURLToPath(new URL('pauses-preload.js', import.meta.url));

export async function benchPauses(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const [count, rounds] = options.short ? [1000, 1] : [25_000, 3];
	const longest = new Map<string, number[]>();
	const resident: number[] = [];
	for (let round = 0; round < rounds; round++) {
		bench.progress(`pauses: round ${round + 1} of ${rounds}`);
		const {pauses, residentMiB: now} = await oneRound(bench, count);
		for (const [what, pause] of pauses) {
			longest.set(what, [...(longest.get(what) ?? []), pause]);
		}
		resident.push(now);
	}
	const workload = 'pauses';
	const target = '<= 50 ms';
	return [
		...[...longest].map(([what, pauses]): Row => {
			const ours = rounded(median(pauses));
			return {
				workload,
				what,
				unit: 'ms',
				ours,
				target,
				holds: ours <= 50,
				note: `most ${rounded(Math.max(...pauses))}`,
			};
		}),
		{workload, what: `memory then, of ${count} manifests`, unit: 'MiB', ours: median(resident), note: 'resident'},
	];
}

async function oneRound(bench: Bench, count: number): Promise<{pauses: Map<string, number>; residentMiB: number}> {
	const manifests = makeManifests(count);
	const [lists, file] = [await mkdtemp(path.join(bench.folder, 'lists-')), path.join(bench.folder, 'pauses')];
	const write = async (name: string, images: readonly TestManifest[]): Promise<string> => {
		const list = path.join(lists, name);
		await writeFile(`${list}.part`, listText(images));
		await rename(`${list}.part`, list);
		return list;
	};
	// Most of what the second one has is in the first as well.
	const offered = {first: manifests, second: manifests.slice(Math.floor(count / 10))};
	const nginx = await bench.nginxFiles([
		{path: '/first/images', file: await write('first', offered.first), type: 'application/json'},
		{path: '/second/images', file: await write('second', offered.second), type: 'application/json'},
	]);
	const sources = ['first', 'second'].map(name => ({
		...{name, url: `${nginx.url}/${name}`, type: 'imgapi', listTtl: '1h'},
	}));
	const config = {sources, access: {networks: [{cidrs: ['127.0.0.0/8'], may: ['operate', 'private']}]}};
	const mirror = await bench.mirror(nginx.url, config, {preload, env: {BENCH_PAUSES: file}});
	const pauses = new Map<string, number>();
	// Loading the program is no pause of anything.
	await longestPause(mirror, file);
	const during = async (what: string, work: () => Promise<unknown>): Promise<void> => {
		await work();
		pauses.set(what, await longestPause(mirror, file));
	};
	const list = (query = '', encoding = 'identity'): Promise<unknown> =>
		get(`${mirror.url}/images${query}`, {hashOnly: true, headers: {'accept-encoding': encoding}});
	const refresh = async (): Promise<void> => {
		const answer = await fetch(`${mirror.url}/mirror/refresh`, {method: 'POST'});
		if (!answer.ok) {
			throw new Error(`refresh: ${answer.status} ${await answer.text()}`);
		}
		await answer.arrayBuffer();
	};
	await during('first lists, merged', list);
	await during('whole list, plain, gzip, brotli', async () => {
		for (const encoding of ['identity', 'gzip', 'br']) {
			await list('', encoding);
		}
	});
	await during('filtered lists', async () => {
		for (const query of ['?name=imgapi&os=smartos', '?name=~api', '?type=zone-dataset', '?tag.smartdc_service=true']) {
			await list(query);
		}
	});
	await during('refresh without news', async () => {
		await refresh();
		await list();
	});
	await during('refresh with news', async () => {
		const news = makeManifests(20, {startAt: count});
		await write('first', [...offered.first.slice(10), ...news]);
		await write('second', [...offered.second, ...news]);
		await refresh();
		await list('', 'gzip');
	});
	const now = residentMiB(mirror.pid);
	await mirror.stop();
	await nginx.stop();
	await rm(lists, {recursive: true});
	return {pauses, residentMiB: now};
}

async function longestPause(mirror: Mirror, file: string): Promise<number> {
	process.kill(mirror.pid, 'SIGUSR2');
	for (;;) {
		const text = await readFile(file, 'utf8').catch(() => undefined);
		if (text !== undefined) {
			await rm(file);
			return Number(text);
		}
		await new Promise(resolve => setTimeout(resolve, 5));
	}
}
