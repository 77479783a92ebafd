import {setImmediate} from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import {ahead} from '../../src/http/ahead.js';

type Steps = AsyncGenerator<number, void, undefined>;

const never = {most: 1000, outdates: () => false};

async function all(steps: Steps): Promise<number[]> {
	const heard: number[] = [];
	for await (const step of steps) {
		heard.push(step);
	}
	return heard;
}

test('every step is heard once and in order, however slow either side is', async t => {
	const turns = fc.array(fc.nat(2), {maxLength: 30});
	await fc.assert(
		fc.asyncProperty(turns, turns, fc.integer({min: 1, max: 5}), async (given, taken, most) => {
			const wait = async (times: number): Promise<void> => {
				for (let time = 0; time < times; time++) {
					await setImmediate();
				}
			};
			async function* work(): Steps {
				for (const [at, times] of given.entries()) {
					await wait(times);
					yield at;
				}
			}
			const heard: number[] = [];
			for await (const step of ahead(work(), {most, outdates: () => false})) {
				await wait(taken[heard.length] ?? 0);
				heard.push(step);
			}
			t.deepEqual(heard, [...given.keys()]);
		}),
		{numRuns: 50},
	);
});

test('the work goes on while nobody listens, up to a bound', async t => {
	let given = 0;
	async function* work(): Steps {
		for (; given < 100; given++) {
			await Promise.resolve();
			yield given;
		}
	}
	const steps = ahead(work(), {most: 10, outdates: () => false});
	t.deepEqual(await steps.next(), {done: false, value: 0});
	for (let turn = 0; turn < 50; turn++) {
		await setImmediate();
	}
	t.true(given >= 10 && given <= 12, String(given));
	t.deepEqual(
		await all(steps),
		Array.from({length: 99}, (_, at) => at + 1),
	);
});

test('a step that the next one outdates is left out, unless it has been heard', async t => {
	async function* work(): Steps {
		await Promise.resolve();
		yield* [1, 2, 3, 50, 4, 5];
	}
	const steps = ahead(work(), {most: 10, outdates: (last, next) => last < 10 && next < 10});
	t.deepEqual(await steps.next(), {done: false, value: 1});
	for (let turn = 0; turn < 10; turn++) {
		await setImmediate();
	}
	t.deepEqual(await all(steps), [3, 50, 5]);
});

test('what went wrong is told after all that went before it', async t => {
	async function* work(): Steps {
		yield* [1, 2];
		await Promise.resolve();
		throw new RangeError('no more');
	}
	const heard: number[] = [];
	const steps = ahead(work(), never);
	const error = await t.throwsAsync(async () => {
		for await (const step of steps) {
			await setImmediate();
			heard.push(step);
		}
	});
	t.true(error instanceof RangeError);
	t.deepEqual(heard, [1, 2]);
});

test('whoever stops listening waits until the work has ended', async t => {
	const seen: string[] = [];
	let go: () => void = () => undefined;
	async function* work(): Steps {
		try {
			yield 1;
			await new Promise<void>(resolve => (go = resolve));
			yield 2;
			seen.push('went on');
		} finally {
			seen.push('ended');
		}
	}
	const steps = ahead(work(), never);
	await steps.next();
	await setImmediate();
	const stopped = steps.return().then(() => seen.push('stopped'));
	await setImmediate();
	t.deepEqual(seen, []);
	go();
	await stopped;
	t.deepEqual(seen, ['ended', 'stopped']);
});
