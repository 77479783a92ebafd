/**
 * Growth: what a client costs when there are 1, 10, 100 and 1,000 of them, who fetch as many bytes together.
 */
import {costOf} from './hits.js';
import {makeFile, mebibyte} from './files.js';
import {rounded, type Row} from './rows.js';
import type {Bench} from './servers.js';

export async function benchGrowth(bench: Bench, options: {readonly short: boolean}): Promise<Row[]> {
	const [size, together] = options.short ? [mebibyte, 100] : [16 * mebibyte, 1000];
	const file = await makeFile(bench.folder, size);
	const nginx = await bench.origin([file], []);
	const mirror = await bench.mirror(nginx.url);
	await bench.fetch(mirror.url + file.path, {requests: 3});
	const points = [1, 10, 100, 1000].filter(clients => clients <= together);
	const costs = [];
	for (const clients of points) {
		bench.progress(`growth: ${clients} at once`);
		costs.push(await costOf(bench, mirror, file, clients, together / clients));
	}
	await mirror.stop();
	await nginx.stop();
	const [first, last] = [costs[0], costs.at(-1)];
	const workload = 'growth';
	const rows: Row[] = costs.map(({cpuPerGb, rate, peakMiB}, place) => ({
		...{workload, what: `clients: ${points[place] ?? 0}`, unit: 's/GB', ours: rounded(cpuPerGb)},
		note: `${rounded(rate)} GB/s, ${rounded(peakMiB)} MiB private`,
	}));
	if (first !== undefined && last !== undefined) {
		const most = points.at(-1) ?? 0;
		const ratio = last.cpuPerGb / first.cpuPerGb;
		const each = ((last.peakMiB - first.peakMiB) * 1024) / (most - 1);
		rows.push(
			{
				...{workload, what: `clients: processor time at ${most} to that at 1`, unit: 'x', ours: rounded(ratio)},
				...{target: '<= 1.5', holds: ratio <= 1.5},
			},
			{
				...{workload, what: `clients: memory of each of ${most}`, unit: 'KiB', ours: rounded(each)},
				...{target: '<= 100 KiB', holds: each <= 100},
			},
		);
	}
	return rows;
}
