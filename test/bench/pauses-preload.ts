/**
 * Runs inside a measured mirror, before it: tells the longest pause of the event loop since it was asked last.
 *
 * On SIGUSR2 it writes milliseconds to the file that BENCH_PAUSES names, and begins anew.
 */
import {renameSync, writeFileSync} from 'node:fs';
import {monitorEventLoopDelay} from 'node:perf_hooks';

const file = process.env['BENCH_PAUSES'] ?? '';
const resolution = 1;
const delays = monitorEventLoopDelay({resolution});
delays.enable();
process.on('SIGUSR2', () => {
	const longest = Math.max(0, delays.max / 1e6 - resolution);
	delays.reset();
	writeFileSync(`${file}.part`, String(longest));
	renameSync(`${file}.part`, file);
});
