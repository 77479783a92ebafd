/**
 * What processes cost: processor time of all their threads, and memory that is theirs alone. Linux tells; elsewhere NaN.
 */
import {existsSync, readFileSync, readdirSync} from 'node:fs';

/** Seconds of processor time that the threads of these processes have used until now; those that ended do not count. */
export function cpuSeconds(pids: readonly number[]): number {
	if (pids.length === 0) {
		return NaN;
	}
	const files = pids.flatMap(pid => {
		const threads = `/proc/${pid}/task`;
		return existsSync(threads) ? readdirSync(threads).map(thread => `${threads}/${thread}/schedstat`) : [''];
	});
	return files.reduce((sum, file) => sum + (file === '' ? NaN : Number(read(file).split(' ', 1)[0]) / 1e9), 0);
}

/** Memory of one process that no other shares, in MiB. */
export function privateMiB(pid: number): number {
	const parts = [...read(`/proc/${pid}/smaps_rollup`).matchAll(/^Private_(?:Clean|Dirty): +(\d+)/gmu)];
	return parts.length === 0 ? NaN : parts.reduce((sum, [, kib]) => sum + Number(kib), 0) / 1024;
}

/** Resident now, in MiB. */
export function residentMiB(pid: number): number {
	return statusMiB(pid, 'VmRSS');
}

/** The most that was ever resident, in MiB. */
export function peakMiB(pid: number): number {
	return statusMiB(pid, 'VmHWM');
}

/** Of nginx: its workers. */
export function childrenOf(parent: number): readonly number[] {
	if (!existsSync('/proc')) {
		return [];
	}
	return readdirSync('/proc')
		.filter(name => /^\d+$/u.test(name))
		.filter(pid => {
			const [, above] = read(`/proc/${pid}/stat`)
				.replace(/^.*\) /su, '')
				.split(' ');
			return above === String(parent);
		})
		.map(Number);
}

/** The most private memory that was seen while `work` ran, and what that gave. */
export async function watchingMemory<T>(
	pids: readonly number[],
	work: () => Promise<T>,
): Promise<{readonly result: T; readonly peakMiB: number}> {
	let peak = 0;
	const look = (): void => {
		peak = Math.max(
			peak,
			pids.reduce((sum, pid) => sum + privateMiB(pid), 0),
		);
	};
	look();
	const timer = setInterval(look, 100);
	try {
		const result = await work();
		look();
		return {result, peakMiB: peak};
	} finally {
		clearInterval(timer);
	}
}

function statusMiB(pid: number, field: string): number {
	return Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(read(`/proc/${pid}/status`))?.[1] ?? NaN) / 1024);
}

function read(file: string): string {
	try {
		return readFileSync(file, 'utf8');
	} catch {
		return '';
	}
}
