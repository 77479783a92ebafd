/**
 * What really lies in a data directory, counted from the disk alone: for comparing with what the store says.
 */
import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';

export interface DiskCount {
	/** Whole files: those with an info beside them. */
	readonly blobs: number;
	readonly blobBytes: number;
	readonly partials: number;
	readonly partialBytes: number;
}

/** Call it while nothing is under way. */
export async function countDisk(dataDir: string): Promise<DiskCount> {
	const blobs: number[] = [];
	for (const folder of await namesIn(join(dataDir, 'blobs'))) {
		const names = new Set(await namesIn(join(dataDir, 'blobs', folder)));
		for (const name of names) {
			if (/^[0-9a-f]{40}$/.test(name) && names.has(`${name}.info`)) {
				blobs.push(await sizeOf(join(dataDir, 'blobs', folder, name)));
			}
		}
	}
	const partials = await sizesIn(join(dataDir, 'partial'));
	return {
		blobs: blobs.length,
		blobBytes: sum(blobs),
		partials: partials.length,
		partialBytes: sum(partials),
	};
}

/** What else counts against the limit: files of uploads, and files among the blobs that have lost their info. */
export async function countOthers(
	dataDir: string,
): Promise<{readonly uploadBytes: number; readonly bareBytes: number}> {
	const uploads = (await namesIn(join(dataDir, 'uploads'))).filter(name => !name.includes('.'));
	const bare: number[] = [];
	for (const folder of await namesIn(join(dataDir, 'blobs'))) {
		const names = new Set(await namesIn(join(dataDir, 'blobs', folder)));
		for (const name of names) {
			if (/^[0-9a-f]{40}$/.test(name) && !names.has(`${name}.info`)) {
				bare.push(await sizeOf(join(dataDir, 'blobs', folder, name)));
			}
		}
	}
	return {
		uploadBytes: sum(await Promise.all(uploads.map(name => sizeOf(join(dataDir, 'uploads', name))))),
		bareBytes: sum(bare),
	};
}

async function sizesIn(folder: string): Promise<readonly number[]> {
	return Promise.all((await namesIn(folder)).map(name => sizeOf(join(folder, name))));
}

async function namesIn(folder: string): Promise<readonly string[]> {
	return readdir(folder).catch(() => []);
}

async function sizeOf(file: string): Promise<number> {
	return (await stat(file)).size;
}

function sum(numbers: readonly number[]): number {
	return numbers.reduce((all, number) => all + number, 0);
}
