import {spawnSync} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import test, {type ExecutionContext} from 'ava';
import {decompressed} from '../../src/airgap/compressed.js';
import {readTar} from '../../src/airgap/tar-read.js';
import {unzstd} from '../../src/airgap/zstd.js';
import {Pieces, rawHeader} from './raw-tar.js';
import {block, frameHeader, zstd} from './zstd-made.js';

// A file of its own, and one test after another: what they measure is the process's memory.

const {signal} = new AbortController();
const text = Buffer.from(Array.from({length: 20_000}, (_, index) => `line ${index % 997} of ${index}\n`).join(''));
const zstdOfText = zstd(text);

/** A tar whose only file is a lot of zeros, in few bytes. */
function bomb(t: ExecutionContext, packed: (input: string) => string, megabytes: number): Buffer {
	const header = rawHeader({name: 'blobs/sha256/bomb', size: megabytes * 1_048_576}).toString('base64');
	const {stdout, status} = spawnSync(
		'bash',
		['-c', packed(`{ echo ${header} | base64 -d; head -c ${megabytes}M /dev/zero; head -c 1024 /dev/zero; }`)],
		{maxBuffer: 2 ** 26},
	);
	t.is(status, 0);
	return stdout;
}

for (const [name, packed] of [
	['gzip', (input: string) => `${input} | gzip -1`],
	['zstd', (input: string) => `${input} | zstd -q -c`],
] as const) {
	test.serial(`a bomb of ${name} fills neither memory nor disk: it goes off as slowly as it is read`, async t => {
		const bytes = bomb(t, packed, 512);
		t.true(bytes.length < 3_000_000);
		const before = process.memoryUsage.rss();
		let most = before;
		const source = new Pieces(bytes, 16_384);
		const {stream} = await decompressed(source, signal);
		// Stopped early, nearly nothing was unpacked.
		let seen = 0;
		for await (const {body, size} of readTar(stream)) {
			t.is(size, 2 ** 29);
			for await (const piece of body) {
				seen += piece.length;
				if (seen > 10_000_000) {
					break;
				}
			}
			break;
		}
		// Of zstd, a few kilobytes are all of it.
		t.true(source.given < bytes.length || bytes.length < 200_000, 'it was not read to its end');

		const again = await decompressed(new Pieces(bytes, 16_384), signal);
		let all = 0;
		for await (const piece of again.stream) {
			all += piece.length;
			most = Math.max(most, process.memoryUsage.rss());
		}
		t.is(all, 2 ** 29 + 1536);
		t.true(most - before < 100 * 1_048_576, `${Math.round((most - before) / 1_048_576)} MiB`);
	});
}

for (const [name, program] of [
	['the program', 'zstd'],
	['the package', undefined],
] as const) {
	const how = {builtIn: undefined, program};
	test.serial(`${name}: memory stays flat, whether frames are many or one holds half a gigabyte`, async t => {
		const many = Buffer.concat(Array.from({length: 300}, () => zstdOfText));
		const rle = Buffer.concat(Array.from({length: 2000}, () => block(1, 131_072, Buffer.from('z'))));
		const bomb = Buffer.concat([frameHeader({rest: [10 << 3]}), rle, rle, block(0, 0, Buffer.alloc(0), true)]);
		for (const [bytes, expected] of [
			[many, 300 * text.length],
			[bomb, 4000 * 131_072],
		] as const) {
			const before = process.memoryUsage.rss();
			let most = before;
			let length = 0;
			let longestMs = 0;
			let lastMs = performance.now();
			const beat = setInterval(() => {
				longestMs = Math.max(longestMs, performance.now() - lastMs);
				lastMs = performance.now();
			}, 5);
			for await (const piece of unzstd(new Pieces(bytes, 65_536), signal, how)) {
				length += piece.length;
				most = Math.max(most, process.memoryUsage.rss());
			}
			clearInterval(beat);
			t.is(length, expected);
			t.true(most - before < 150 * 1_048_576, `${Math.round((most - before) / 1_048_576)} MiB`);
			t.true(longestMs < 2000, `others have waited for ${Math.round(longestMs)} ms`);
		}
	});
}

test.serial('a single frame of much data that does not repeat is not kept', async t => {
	// As long as every block comes whole, the package alone would keep all that it was given.
	const raw = block(0, 131_072, randomBytes(131_072));
	async function* frame(): AsyncGenerator<Buffer, void, undefined> {
		yield frameHeader({rest: [10 << 3]});
		for (let index = 0; index < 2500; index++) {
			yield raw;
		}
		yield block(0, 0, Buffer.alloc(0), true);
	}
	const before = process.memoryUsage.rss();
	let most = before;
	let length = 0;
	for await (const piece of unzstd(frame(), signal, {builtIn: undefined, program: undefined})) {
		length += piece.length;
		most = Math.max(most, process.memoryUsage.rss());
	}
	t.is(length, 2500 * 131_072);
	t.true(most - before < 150 * 1_048_576, `${Math.round((most - before) / 1_048_576)} MiB`);
});
