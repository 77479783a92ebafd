/**
 * Files to measure with, large ones among them, and folders of them as the benchmark's upstream serves them.
 */
import {createHash} from 'node:crypto';
import {link, mkdtemp, open, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {makeImage, pseudoRandom, type TestManifest} from '../helpers/make-image.js';

export const mebibyte = 1_048_576;

export interface BenchFile extends TestManifest {
	readonly size: number;
	/** Where its bytes lie. */
	readonly file: string;
	/** What a client asks for. */
	readonly path: string;
}

let made = 0;

/** A file that is like no other, never whole in this process's memory. */
export async function makeFile(folder: string, size: number): Promise<BenchFile> {
	const number = ++made;
	const file = path.join(folder, `file-${number}`);
	const block = pseudoRandom(Math.min(size, mebibyte), number);
	const hash = createHash('sha1');
	const handle = await open(file, 'w');
	try {
		for (let at = 0; at < size; at += block.length) {
			block.writeUInt32LE(at / block.length, 0);
			const piece = block.subarray(0, Math.min(block.length, size - at));
			hash.update(piece);
			await handle.write(piece);
		}
	} finally {
		await handle.close();
	}
	const image = makeImage({bytes: Buffer.alloc(0), claimedSha1: hash.digest('hex'), claimedSize: size});
	const {uuid, manifest, text} = image;
	return {uuid, manifest, text, size, file, path: `/images/${uuid}/file`};
}

/** A folder for `upstream.c`: an IMGAPI server that lists these. */
export async function upstreamFolder(folder: string, files: readonly BenchFile[]): Promise<string> {
	const root = await mkdtemp(path.join(folder, 'upstream-'));
	await writeFile(path.join(root, 'ping'), '{"ping":"pong","imgapi":true}');
	await writeFile(path.join(root, 'images'), listText(files));
	for (const {uuid, file, text} of files) {
		await writeFile(path.join(root, `images_${uuid}`), text);
		await link(file, path.join(root, `images_${uuid}_file`));
	}
	return root;
}

export function listText(images: readonly TestManifest[]): string {
	return JSON.stringify(
		images.map(({manifest}) => manifest),
		null,
		2,
	);
}
