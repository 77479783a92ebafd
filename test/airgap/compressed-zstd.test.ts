import {randomBytes} from 'node:crypto';
import {chmod, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {largestWindowBytes} from '../../src/airgap/zstd-frames.js';
import {ownZstdWays, unzstd, type ZstdWays} from '../../src/airgap/zstd.js';
import {asError, IntegrityError} from '../../src/errors.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {collect, Pieces} from './raw-tar.js';
import {block, frameHeader, likeNode, skippableFrame, ways, zstd} from './zstd-made.js';

/** Of somebody who does not stop anything. */
const patient = (): AbortSignal => new AbortController().signal;

function undone(bytes: Buffer, how: ZstdWays, pieceSize = 4096): Promise<Buffer> {
	return collect(unzstd(new Pieces(bytes, pieceSize), patient(), how));
}

/** Nothing repeats, everything repeats near by, and far away. */
const random = randomBytes(300_000);
const text = Buffer.from(Array.from({length: 20_000}, (_, index) => `line ${index % 997} of ${index}\n`).join(''));
const far = Buffer.concat([random, Buffer.alloc(3_000_000, text), random]);

const samples = [
	...[Buffer.alloc(0), Buffer.from('a'), Buffer.from('ab'.repeat(10))].map(bytes => ({bytes, options: ['-3']})),
	...[['-1'], ['-19'], ['--fast=5', '--no-check']].map(options => ({bytes: text, options})),
	...[['-3'], ['--no-content-size', '-12'], ['--long=27', '-1']].map(options => ({bytes: far, options})),
	{bytes: random, options: ['-3', '--no-check']},
].map(({bytes, options}) => ({bytes, options, made: zstd(bytes, ...options)}));

/** 1 KiB, the least; 128 MiB, the most; and an eighth more. */
const smallWindow = 0;
const largestWindow = 17 << 3;
const tooLargeWindow = (17 << 3) | 1;

for (const [name, how] of Object.entries(ways)) {
	test(`${name} undoes whatever zstd makes`, async t => {
		for (const {bytes, made, options} of samples) {
			t.true((await undone(made, how)).equals(bytes), `${bytes.length} bytes, ${options.join(' ')}`);
		}
		t.true((await undone(zstd(text.subarray(0, 50_000)), how, 1)).equals(text.subarray(0, 50_000)), 'a byte at a time');
		t.true((await undone(zstd(far), how, 10_000_000)).equals(far), 'all at once');
	});

	test(`${name} undoes frame after frame, and passes over what is meant to be`, async t => {
		const frames = [
			skippableFrame(Buffer.from('passed over')),
			zstd(text),
			zstd(Buffer.alloc(0)),
			skippableFrame(Buffer.alloc(0), 15),
			zstd(random, '--no-check'),
			zstd(Buffer.from('x'), '--no-content-size'),
			skippableFrame(Buffer.alloc(100_000, 'y'), 7),
		];
		const expected = Buffer.concat([text, random, Buffer.from('x')]);
		for (const pieceSize of [1000, 65_536, 10_000_000]) {
			t.true((await undone(Buffer.concat(frames), how, pieceSize)).equals(expected));
		}
		sameBytes(t, await undone(skippableFrame(Buffer.from('nothing else')), how), Buffer.alloc(0));
		sameBytes(t, await undone(Buffer.alloc(0), how), Buffer.alloc(0));
	});

	test(`${name} undoes blocks of every type, made by hand`, async t => {
		const made = Buffer.concat([
			frameHeader({rest: [smallWindow]}),
			block(0, 0, Buffer.alloc(0)),
			block(0, 3, Buffer.from('raw')),
			block(1, 1000, Buffer.from('r')),
			block(0, 1024, Buffer.alloc(1024, 'w')),
			block(1, 0, Buffer.from('n'), true),
		]);
		t.is((await undone(made, how)).toString(), `raw${'r'.repeat(1000)}${'w'.repeat(1024)}`);
		const shortest = Buffer.concat([frameHeader({flags: 0x20, rest: [0]}), block(0, 0, Buffer.alloc(0), true)]);
		sameBytes(t, await undone(Buffer.concat([shortest, shortest, zstd(text)]), how), text);
		const largest = Buffer.concat([frameHeader({rest: [largestWindow]}), block(1, 131_072, Buffer.from('l'), true)]);
		sameBytes(t, await undone(largest, how), Buffer.alloc(131_072, 'l'));
	});

	test(`${name}: data that is cut off gives what it held until there, and says so`, async t => {
		const whole = Buffer.concat([
			zstd(text, '-1'),
			skippableFrame(Buffer.from('skip')),
			zstd(random.subarray(0, 5000)),
		]);
		const expected = await undone(whole, how);
		const first = zstd(text, '-1').length;
		const boundaries = [0, first, first + 12, whole.length];
		const fixed = [1, 3, 4, 5, 6, 8, first - 1, first + 1, first + 9, first + 11, first + 13, whole.length - 1];
		await fc.assert(
			fc.asyncProperty(fc.nat(whole.length - 1), async cut => {
				const pieces: Buffer[] = [];
				let failure: unknown;
				try {
					for await (const piece of unzstd(new Pieces(whole.subarray(0, cut)), patient(), how)) {
						pieces.push(piece);
					}
				} catch (error) {
					failure = error;
				}
				const out = Buffer.concat(pieces);
				t.true(expected.subarray(0, out.length).equals(out));
				if (boundaries.includes(cut)) {
					t.is(failure, undefined);
				} else {
					t.true(failure instanceof IntegrityError, asError(failure).stack);
					t.is(asError(failure).message, 'the zstd data is cut off');
				}
			}),
			{numRuns: 8 + fixed.length, examples: fixed.map(cut => [cut])},
		);
	});

	test(`${name}: damaged data ends in IntegrityError, or in bytes that digests will judge`, async t => {
		const whole = zstd(text, '-5');
		let refused = 0;
		await fc.assert(
			fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({min: 1, max: 255}), async (where, flip) => {
				const bytes = Buffer.from(whole);
				bytes[where] = (bytes[where] ?? 0) ^ flip;
				try {
					const out = await undone(bytes, how);
					t.true(how.program === undefined && how.builtIn === undefined ? out.length >= 0 : out.equals(text));
				} catch (error) {
					refused++;
					t.true(error instanceof IntegrityError, asError(error).stack);
					t.regex(asError(error).message, /^the zstd data /);
				}
			}),
			{numRuns: 12},
		);
		t.true(refused > 0);
	});

	test(`${name} is asked for nothing that it could not bear`, async t => {
		const last = block(0, 1, Buffer.from('x'), true);
		const cases: readonly (readonly [Buffer, RegExp])[] = [
			[frameHeader({rest: [tooLargeWindow]}), /^the zstd data needs a window of 144 MiB: compress it without "--long"/],
			[frameHeader({rest: [0xff]}), /needs a window of 3932160 MiB/],
			[frameHeader({flags: 0xa0, rest: [0, 0, 0, 9]}), /needs a window of 144 MiB/],
			[frameHeader({flags: 0xe0, rest: [0, 0, 0, 0, 0, 0, 0, 0x7f]}), /needs a window of \d{10,} MiB/],
			[frameHeader({flags: 0x08, rest: [0]}), /^the zstd data is of a kind that is not known here$/],
			[frameHeader({flags: 0x01, rest: [0, 7]}), /^the zstd data needs a dictionary, which did not come with it$/],
			[frameHeader({flags: 0x03, rest: [0, 7, 7, 7, 7]}), /needs a dictionary/],
			[
				Buffer.concat([frameHeader({rest: [smallWindow]}), block(1, 2000, Buffer.from('x'))]),
				/a block in it cannot be one$/,
			],
			[Buffer.concat([frameHeader({rest: [smallWindow]}), block(0, 1025, Buffer.alloc(1025))]), /cannot be one$/],
			[Buffer.concat([frameHeader({rest: [largestWindow]}), block(1, 131_073, Buffer.from('x'))]), /cannot be one$/],
			[Buffer.concat([frameHeader({rest: [largestWindow]}), block(3, 5, Buffer.alloc(5))]), /cannot be one$/],
			[Buffer.from('and now for something else'), /^the zstd data is damaged: something else follows a frame of it$/],
		];
		for (const [bytes, message] of cases) {
			const error = await t.throwsAsync(undone(Buffer.concat([zstd(text), bytes, last, last]), how), {
				instanceOf: IntegrityError,
			});
			t.regex(error.message, message);
		}
	});

	test(`${name}: what the source throws comes through, after what came before`, async t => {
		const lost = new Error('the line broke');
		const made = zstd(far, '-1');
		const pieces: Buffer[] = [];
		const error = await t.throwsAsync(async () => {
			for await (const piece of unzstd(new Pieces(made.subarray(0, -10), 4096, lost), patient(), how)) {
				pieces.push(piece);
			}
		});
		t.is(error, lost);
		const out = Buffer.concat(pieces);
		t.true(far.subarray(0, out.length).equals(out));
	});

	test(`${name}: whoever stops, or aborts, is rid of it`, async t => {
		const made = zstd(far, '-1', '-B100000');
		const source = new Pieces(Buffer.concat([made, made, made]), 1000);
		for await (const piece of unzstd(source, patient(), how)) {
			t.true(piece.length > 0);
			break;
		}
		await closed(source);
		t.true(source.given < 3 * made.length);

		const abort = new AbortController();
		const reason = new Error('that is enough');
		const error = await t.throwsAsync(async () => {
			for await (const piece of unzstd(new Pieces(made, 1000), abort.signal, how)) {
				t.true(piece.length > 0);
				abort.abort(reason);
			}
		});
		t.is(error, reason);
		await t.throwsAsync(collect(unzstd(new Pieces(made), abort.signal, how)), {is: reason});
	});
}

/** The source is let go of once it has given what it was asked for last. */
async function closed(source: Pieces): Promise<void> {
	while (!source.isClosed) {
		await new Promise(resolve => setImmediate(resolve));
	}
}

test('the package and the program see the same in what was damaged behind its frame header', async t => {
	const whole = zstd(text.subarray(0, 100_000), '-3', '--no-check');
	await fc.assert(
		fc.asyncProperty(fc.nat(whole.length - 10), fc.integer({min: 1, max: 255}), async (where, flip) => {
			const bytes = Buffer.from(whole);
			bytes[where + 9] = (bytes[where + 9] ?? 0) ^ flip;
			const [program, ours] = await Promise.allSettled(
				['the program', 'the package'].map(name => undone(bytes, ways[name] ?? ownZstdWays())),
			);
			// Each takes some of what the other refuses. What both take is the same.
			if (program?.status === 'fulfilled' && ours?.status === 'fulfilled') {
				t.true(ours.value.equals(program.value));
			} else {
				t.true(program?.status === 'rejected' || ours?.status === 'rejected');
			}
		}),
		{numRuns: 12},
	);
});

test('where there is no program, or it cannot be started, the package does it', async t => {
	const folder = await tempDir(t);
	const file = path.join(folder, 'zstd');
	await writeFile(file, 'no program');
	for (const program of [path.join(folder, 'nothing'), file, folder]) {
		t.true((await undone(zstd(text), {builtIn: undefined, program})).equals(text));
	}
});

test('a program that fails is not believed, and says why', async t => {
	const folder = await tempDir(t);
	const file = path.join(folder, 'zstd');
	for (const [script, message] of [
		[
			'cat >/dev/null; echo "/*stdin*\\\\ : Decoding error (36) : Data corruption detected" >&2; exit 1',
			/\(Data corruption detected\)$/,
		],
		['exit 3', /^the zstd data is damaged \(zstd ended with 3\)$/],
		['head -c 100000 /dev/zero; kill -9 $$', /^the zstd data is damaged \(zstd ended with SIGKILL\)$/],
	] as const) {
		await writeFile(file, `#!/bin/sh\n${script}\n`);
		await chmod(file, 0o755);
		const error = await t.throwsAsync(undone(zstd(far), {builtIn: undefined, program: file}), {
			instanceOf: IntegrityError,
		});
		t.regex(error.message, message);
	}
});

test('a program whose output nobody wants any more is ended', async t => {
	const folder = await tempDir(t);
	const file = path.join(folder, 'zstd');
	const pidFile = path.join(folder, 'pid');
	await writeFile(file, `#!/bin/sh\necho $$ > ${pidFile}\nexec cat /dev/zero\n`);
	await chmod(file, 0o755);
	for await (const piece of unzstd(new Pieces(zstd(far)), patient(), {builtIn: undefined, program: file})) {
		t.true(piece.length > 0);
		break;
	}
	const pid = Number(await readFile(pidFile, 'utf8'));
	while (isRunning(pid)) {
		await new Promise(resolve => setImmediate(resolve));
	}
	t.false(isRunning(pid));
});

function isRunning(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}

test('what this machine has is used: Node.js before the program', async t => {
	const own = ownZstdWays();
	t.is(own.program, 'zstd');
	t.is(own.builtIn !== undefined, 'zstd' in process.versions);
	let used = 0;
	const builtIn = (): ReturnType<typeof likeNode> => {
		used++;
		return likeNode();
	};
	t.true(
		(await undone(Buffer.concat([zstd(text), zstd(text)]), {builtIn, program: '/nowhere'})).equals(
			Buffer.concat([text, text]),
		),
	);
	t.is(used, 2, 'once for each frame');
	t.is(largestWindowBytes, 2 ** 27);
});
