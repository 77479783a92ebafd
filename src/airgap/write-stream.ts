/**
 * A bundle as a tar that goes into a pipe, in one run or not at all.
 *
 * Nothing can be taken back from a pipe: where a file turns out to be wrong, its last bytes are held back, so that nobody
 * at the other end has all of it.
 */
import {createHash} from 'node:crypto';
import type {PlanEntry} from './plan-entries.js';
import {TarLayout, padding, tarEnd, tarHeader} from './tar-write.js';
import {wrong} from './write-blob.js';
import type {WriteOptions} from './write-options.js';
import {entryBytes} from './write-plan.js';

/** Resolves with how many bytes went out. */
export async function streamTar(
	write: (bytes: Buffer) => Promise<void>,
	{plan, progress, fetch, signal}: Omit<WriteOptions, 'disk' | 'replace'>,
): Promise<number> {
	const layout = new TarLayout(plan.entries);
	progress.start(layout.size);
	let done = 0;
	const put = async (bytes: Buffer): Promise<void> => {
		if (bytes.length > 0) {
			signal.throwIfAborted();
			await write(bytes);
			done += bytes.length;
			progress.update(done);
		}
	};
	for (const entry of layout.entries) {
		await put(tarHeader(entry.path, entry.size));
		const bytes = entryBytes(entry);
		if (bytes === undefined) {
			await putVerified(put, entry, {fetch, signal});
		} else {
			await put(bytes);
		}
		await put(Buffer.alloc(padding(entry.size)));
	}
	await put(tarEnd);
	return done;
}

/** The last of its bytes go out only when all of them are right. */
async function putVerified(
	put: (bytes: Buffer) => Promise<void>,
	{blob}: PlanEntry,
	{fetch, signal}: Pick<WriteOptions, 'fetch' | 'signal'>,
): Promise<void> {
	if (blob === undefined) {
		return;
	}
	const hash = createHash('sha256');
	let read = 0;
	let last: Buffer = Buffer.alloc(0);
	if (blob.size > 0) {
		for await (const chunk of await fetch(blob, 0, signal)) {
			read += chunk.length;
			if (read > blob.size) {
				throw wrong(blob, 'has more bytes than it should');
			}
			hash.update(chunk);
			await put(last);
			last = chunk;
		}
	}
	if (read < blob.size) {
		throw wrong(blob, `ends after ${read} of ${blob.size} bytes`);
	}
	if (`sha256:${hash.digest('hex')}` !== blob.digest) {
		throw wrong(blob, 'is not the one that was planned: its digest is another');
	}
	await put(last);
}
