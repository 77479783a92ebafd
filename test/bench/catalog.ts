/**
 * The catalog: lists as they are, compressed and unchanged, one manifest, and lists that are filtered.
 *
 * nginx gives the very bytes that the mirror gave, as a static file, compressed beforehand where the mirror compresses.
 */
import {mkdtemp, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {get} from '../helpers/http-client.js';
import {makeManifests} from '../helpers/make-image.js';
import {compared, median, rounded, type Row} from './rows.js';
import type {Bench, Served, Server} from './servers.js';
import type {FetchOptions} from './tools.js';

const connections = 8;

export async function benchCatalog(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const rows: Row[] = [];
	for (const count of options.short ? [100] : [1000, 10_000]) {
		rows.push(...(await listRows(bench, count, options.short)));
	}
	rows.push(...(await filterRows(bench, options.short ? 500 : 25_000, options.short)));
	return rows;
}

interface Asked {
	readonly what: string;
	readonly path: string;
	readonly encoding?: 'gzip' | 'br';
	/** Ask with the ETag that the server gave. */
	readonly known?: boolean;
	readonly target: {readonly ratio: number; readonly perSecond?: number};
}

const small = {ratio: 0.35, perSecond: 15_000};

async function listRows(bench: Bench, count: number, short: boolean): Promise<Row[]> {
	const manifests = makeManifests(count);
	const list = `list of ${count.toLocaleString('en-US')}`;
	const asked: Asked[] = [
		{what: list, path: '/images', target: {ratio: 0.8}},
		{what: `${list}, gzip`, path: '/images', encoding: 'gzip', target: {ratio: 0.8}},
		{what: `${list}, brotli`, path: '/images', encoding: 'br', target: {ratio: 0.8}},
		// An answer without a body costs what a small one does.
		{what: `${list}, 304`, path: '/images', known: true, target: small},
	];
	if (count < 10_000) {
		const one = `/images/${manifests[Math.floor(count / 2)]?.uuid ?? ''}`;
		asked.push({what: 'one manifest', path: one, target: small});
	}
	const origin = await bench.origin([], manifests);
	const mirror = await bench.mirror(origin.url);
	await listed(mirror.url);
	const rows: Row[] = [];
	for (const one of asked) {
		rows.push(await askedRow(bench, mirror, one, short));
	}
	await mirror.stop();
	await origin.stop();
	return rows;
}

/** Waits for the first list that is whole. */
async function listed(url: string): Promise<void> {
	const {status, complete} = await get(`${url}/images`, {hashOnly: true});
	if (status !== 200 || !complete) {
		throw new Error(`${url}/images was answered ${status}`);
	}
}

async function askedRow(bench: Bench, mirror: Server, asked: Asked, short: boolean): Promise<Row> {
	const {what, path: at, encoding, known, target} = asked;
	const wish = {'accept-encoding': encoding ?? 'identity'};
	// A compressed form may be made when it is asked for, and be there for the second one.
	let answer = await get(mirror.url + at, {headers: wish});
	for (
		let tries = 0;
		encoding !== undefined && answer.headers['content-encoding'] !== encoding && tries < 20;
		tries++
	) {
		await new Promise(resolve => setTimeout(resolve, 250));
		answer = await get(mirror.url + at, {headers: wish});
	}
	const given = answer.headers['content-encoding'];
	const folder = await mkdtemp(path.join(bench.folder, 'answer-'));
	const file = path.join(folder, 'body');
	await writeFile(file, answer.body);
	const served: Served = {path: at, file, type: 'application/json'};
	const nginx = await bench.nginxFiles([given === undefined ? served : {...served, encoding: given}]);
	const theirs = await get(nginx.url + at, {method: 'HEAD'});
	const options = (etag: string | undefined): FetchOptions => ({
		...{connections, headers: [`Accept-Encoding: ${encoding ?? 'identity'}`]},
		...(known ? {status: 304, headers: [`If-None-Match: ${etag ?? ''}`]} : {}),
	});
	bench.progress(`catalog: ${what}`);
	const ours = await pacer(bench, mirror.url + at, options(answer.headers.etag), short);
	const peer = await pacer(bench, nginx.url + at, options(theirs.headers.etag), short);
	const pairs: [number, number][] = [];
	for (let round = 0; round < (short ? 1 : 5); round++) {
		pairs.push([await ours(), await peer()]);
	}
	await nginx.stop();
	const {ratio: least, perSecond} = target;
	const size = known ? 'no body' : `${(answer.body.length / 1000).toFixed(answer.body.length < 1e4 ? 1 : 0)} kB`;
	const refused = encoding !== undefined && given !== encoding ? `; asked for ${encoding}, got ${given ?? 'none'}` : '';
	return compared(
		{
			...{workload: 'catalog', what, unit: 'requests/s', peerName: 'nginx', note: size + refused},
			target:
				perSecond === undefined ? `ratio >= ${least}` : `>= ${perSecond.toLocaleString('en-US')} or ratio >= ${least}`,
		},
		pairs,
		(ratio, rate) => refused === '' && (ratio >= least || (perSecond !== undefined && rate >= perSecond)),
	);
}

/** Measures requests per second, with as many of them as take about a second. */
async function pacer(
	bench: Bench,
	urls: string | readonly string[],
	options: FetchOptions,
	short: boolean,
): Promise<() => Promise<number>> {
	const seconds = short ? 0.05 : 0.8;
	let requests = 1;
	for (;;) {
		const probe = await bench.fetch(urls, {...options, requests});
		if (probe.seconds >= seconds / 8) {
			requests = Math.max(1, Math.round((requests * seconds) / probe.seconds));
			break;
		}
		requests *= 4;
	}
	return async () => {
		const result = await bench.fetch(urls, {...options, requests});
		return result.requests / result.seconds;
	};
}

async function filterRows(bench: Bench, count: number, short: boolean): Promise<Row[]> {
	const manifests = makeManifests(count);
	const origin = await bench.origin([], manifests);
	const operator = {access: {networks: [{cidrs: ['127.0.0.0/8'], may: ['operate', 'private']}]}};
	const mirror = await bench.mirror(origin.url, operator);
	await listed(mirror.url);
	const names = [...new Set(manifests.map(({manifest}) => String(manifest['name'])))];
	const owner = String(manifests[0]?.manifest['owner']);
	const more = ['', '&type=zone-dataset', `&owner=${owner}`, '&state=active', '&tag.smartdc_service=true'];
	const urls = more.flatMap(rest => names.map(name => `${mirror.url}/images?name=${name}&os=smartos${rest}`));
	const versions = manifests
		.slice(0, 200)
		.map(({manifest}) => `${mirror.url}/images?version=${encodeURIComponent(String(manifest['version']))}`);
	const of = `of ${count.toLocaleString('en-US')}`;
	const rows: Row[] = [];
	for (const [what, asked] of [
		['by name and os', urls],
		['by version', versions],
	] as const) {
		bench.progress(`catalog: list ${of} filtered ${what}`);
		// The first few warm up what has never run before.
		const [early, late] = [asked.slice(0, names.length), asked.slice(names.length)];
		await bench.fetch(early, {requests: early.length});
		const first = await bench.fetch(late, {requests: late.length});
		const again = late.slice(-names.length);
		const cached = await bench.fetch(again, {requests: again.length * 4});
		const rate = await pacer(bench, again, {connections}, short);
		const each = Math.round(first.bytes / first.requests / 1000);
		const head = {workload: 'catalog', unit: 'ms'};
		rows.push(
			{
				...{...head, what: `list ${of} ${what}, first time`, ours: rounded(first.firstByteMs.median)},
				...{target: '< 3 ms', holds: first.firstByteMs.median < 3},
				note: `median of ${late.length} filters; p99 ${first.firstByteMs.p99.toFixed(1)} ms; ${each} kB each`,
			},
			{
				...{...head, what: `list ${of} ${what}, again`, ours: rounded(cached.firstByteMs.median)},
				note: `${Math.round(await rate()).toLocaleString('en-US')} requests/s by ${connections} clients`,
			},
		);
	}
	rows.push(await unchangedRow(bench, mirror, of, short));
	await mirror.stop();
	await origin.stop();
	return rows;
}

/** A refresh that brings nothing new must leave everything that was made ready as it is. */
async function unchangedRow(bench: Bench, mirror: Server, of: string, short: boolean): Promise<Row> {
	const gzip = {headers: ['Accept-Encoding: gzip']};
	await bench.fetch(`${mirror.url}/images`, {...gzip, requests: 3});
	const times: [number, number][] = [];
	for (let round = 0; round < (short ? 1 : 5); round++) {
		const before = await bench.fetch(`${mirror.url}/images`, gzip);
		const answer = await fetch(`${mirror.url}/mirror/refresh`, {method: 'POST'});
		if (!answer.ok) {
			throw new Error(`refresh: ${answer.status} ${await answer.text()}`);
		}
		await answer.arrayBuffer();
		times.push([(await bench.fetch(`${mirror.url}/images`, gzip)).firstByteMs.max, before.firstByteMs.max]);
	}
	const later = median(times.map(([after, before]) => after - before));
	return {
		...compared(
			{workload: 'catalog', what: `list ${of}, gzip, after a refresh without news`, unit: 'ms', peerName: 'before it'},
			times,
		),
		...{target: '<= 5 ms more', holds: later <= 5},
	};
}
