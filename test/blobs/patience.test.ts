/**
 * How long clients wait for a source that is gone.
 */
import test from 'ava';
import {Supply} from '../../src/blobs/supply.js';
import {SourceUnavailableError} from '../../src/errors.js';
import {FakeSupplier, type Step} from '../helpers/fake-supplier.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {testHost} from '../helpers/test-host.js';
import {SkippingClock} from '../cli/skipping-clock.js';
import {wantedOf} from './start-store.js';

const image = makeImage({size: 100_000});

/** A source that does what the script says, and is then away for so long. */
class AwaySupplier extends FakeSupplier {
	readonly #clock: SkippingClock;
	readonly #awayMs: number;
	readonly #how: () => Error;
	#steps: number;
	#backAtMs: number | undefined;

	constructor(clock: SkippingClock, script: readonly Step[], awayMs: number, how: () => Error) {
		super('s', image.bytes, script);
		[this.#clock, this.#awayMs, this.#how, this.#steps] = [clock, awayMs, how, script.length];
	}

	override async open(at: {readonly offset: number}): ReturnType<FakeSupplier['open']> {
		if (this.#steps-- <= 0) {
			this.#backAtMs ??= this.#clock.skippedMs + this.#awayMs;
			if (this.#clock.skippedMs < this.#backAtMs) {
				throw this.#how();
			}
		}
		return super.open(at);
	}
}

const refuses = (): Error => new SourceUnavailableError('s', 'connection refused');

async function taken(options: {
	readonly awayMs: number;
	readonly script?: readonly Step[];
	readonly patienceMs?: number;
	readonly downForMs?: number;
	readonly background?: boolean;
	readonly how?: () => Error;
}): Promise<
	{readonly bytes: Buffer; readonly waitedMs: number} | {readonly problem: string; readonly waitedMs: number}
> {
	const {awayMs, script = [], patienceMs, downForMs, background = false, how = refuses} = options;
	const clock = new SkippingClock();
	const supplier = new AwaySupplier(clock, script, awayMs, how);
	supplier.doubtful = downForMs !== undefined;
	supplier.downSinceMs = downForMs === undefined ? undefined : clock.now() - downForMs;
	const supply = new Supply({
		...{wanted: wantedOf(image), suppliers: () => [supplier], host: testHost({clock, random: () => 1}), retries: 2},
		...{patienceMs, position: 0, isBackground: () => background},
	});
	const parts: Buffer[] = [];
	try {
		for (;;) {
			const chunks = await supply.next(new AbortController().signal);
			if (chunks === undefined) {
				return {bytes: Buffer.concat(parts), waitedMs: clock.skippedMs};
			}
			parts.push(...(chunks as readonly Buffer[]));
		}
	} catch (error) {
		return {problem: String(error), waitedMs: clock.skippedMs};
	}
}

const half: readonly Step[] = [{cutAt: 50_000}];

for (const [what, options] of [
	['in the middle of a file, it is waited for', {script: half, awayMs: 18_000, patienceMs: 20_000}],
	['before its first byte, it is waited for half as long', {awayMs: 8000, patienceMs: 20_000}],
	['for a moment, its retries do', {awayMs: 300}],
	['and is so since a moment ago, it is waited for', {awayMs: 5000, patienceMs: 20_000, downForMs: 2000}],
	[
		'down already, and back in the middle of a file, it is waited for like any other',
		{script: half, awayMs: 18_000, patienceMs: 20_000, downForMs: 60_000},
	],
] as const) {
	test(`of a source that goes away ${what}`, async t => {
		const outcome = await taken(options);
		if (!('bytes' in outcome)) {
			return t.fail(outcome.problem);
		}
		sameBytes(t, outcome.bytes, image.bytes);
		t.true(outcome.waitedMs >= options.awayMs);
	});
}

for (const [what, mostMs, options] of [
	['no longer than one is willing to wait', 23_000, {script: half, awayMs: 60_000, patienceMs: 20_000}],
	['and not that long before the first byte', 13_000, {awayMs: 60_000, patienceMs: 20_000}],
	['and nobody waits for one that was down already', 1000, {awayMs: 60_000, patienceMs: 20_000, downForMs: 60_000}],
	[
		'and what no client waits for comes later',
		1000,
		{script: half, awayMs: 60_000, patienceMs: 20_000, background: true},
	],
	[
		'and what answers, but not with the file, will not do so later',
		...([1000] as const),
		{
			...{script: half, awayMs: 60_000, patienceMs: 20_000},
			how: () => new SourceUnavailableError('s', '500 Internal Server Error', {scope: 'item'}),
		},
	],
	['and without patience its retries are all', 1000, {script: half, awayMs: 60_000}],
] as const) {
	test(`a source that stays away is given up, ${what}`, async t => {
		const outcome = await taken(options);
		t.true('problem' in outcome && outcome.waitedMs <= mostMs, JSON.stringify(outcome).slice(0, 200));
	});
}
