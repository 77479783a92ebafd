/**
 * zstd data as the real program makes it, or made by hand; and every way to undo it.
 */
import {spawnSync} from 'node:child_process';
import {Transform, type Duplex} from 'node:stream';
import {ownZstdWays, type ZstdWays} from '../../src/airgap/zstd.js';

// Starting a program costs more than what it does here, and tests ask for the same again and again.
const made = new WeakMap<Buffer, Map<string, Buffer>>();

export function zstd(bytes: Buffer, ...args: readonly string[]): Buffer {
	const key = args.join(' ');
	const known = made.get(bytes) ?? new Map<string, Buffer>();
	made.set(bytes, known);
	const result = known.get(key) ?? compressed(bytes, args);
	known.set(key, result);
	return result;
}

function compressed(bytes: Buffer, args: readonly string[]): Buffer {
	const {stdout, stderr, status} = spawnSync('zstd', ['-c', '-q', ...args], {input: bytes, maxBuffer: 2 ** 30});
	if (status !== 0) {
		throw new Error(stderr.toString());
	}
	return stdout;
}

/** A frame of nothing but its header's claim; `window` as the format packs it. */
export function frameHeader({flags = 0, rest}: {readonly flags?: number; readonly rest: readonly number[]}): Buffer {
	return Buffer.from([0x28, 0xb5, 0x2f, 0xfd, flags, ...rest]);
}

/** 0: the bytes themselves; 1: one byte, so many times; 2: compressed. */
export function block(type: number, size: number, content: Buffer, isLast = false): Buffer {
	const header = Buffer.alloc(3);
	header.writeUIntLE((size << 3) | (type << 1) | (isLast ? 1 : 0), 0, 3);
	return Buffer.concat([header, content]);
}

export function skippableFrame(content: Buffer, kind = 0): Buffer {
	const header = Buffer.alloc(8);
	header.writeUInt32LE(0x184d2a50 + kind, 0);
	header.writeUInt32LE(content.length, 4);
	return Buffer.concat([header, content]);
}

/** As Node.js does it from some version on: one frame, and a word of its own for what is wrong. */
export function likeNode(): Duplex {
	const given: Buffer[] = [];
	return new Transform({
		transform(chunk: Buffer, _encoding, done): void {
			given.push(chunk);
			done();
		},
		flush(done): void {
			const {stdout, status} = spawnSync('zstd', ['-dcq'], {input: Buffer.concat(given), maxBuffer: 2 ** 30});
			if (status === 0) {
				done(null, stdout);
			} else {
				done(Object.assign(new Error('Data corruption detected'), {code: 'ZSTD_error_corruption_detected'}));
			}
		},
	});
}

/** All that can be tested here. */
export const ways: Readonly<Record<string, ZstdWays>> = {
	'the program': {builtIn: undefined, program: 'zstd'},
	'the package': {builtIn: undefined, program: undefined},
	'something like Node.js': {builtIn: likeNode, program: undefined},
	...(ownZstdWays().builtIn === undefined ? {} : {'Node.js itself': {...ownZstdWays(), program: undefined}}),
};
