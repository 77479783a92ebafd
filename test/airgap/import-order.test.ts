import test from 'ava';
import {Origins, type Standing} from '../../src/airgap/import-order.js';

const uuid = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** Answers so far, by image. */
function watch(origins: Origins): {
	readonly got: Map<string, Standing>;
	readonly ask: (image: number, origin: number) => Promise<void>;
} {
	const got = new Map<string, Standing>();
	return {
		got,
		async ask(image, origin) {
			void origins.of(uuid(image), uuid(origin)).then(standing => got.set(uuid(image), standing));
			await turn();
		},
	};
}

async function turn(): Promise<void> {
	await new Promise(resolve => setImmediate(resolve));
}

test('who asks for an origin that has ended is answered at once', async t => {
	const origins = new Origins([uuid(1), uuid(2)]);
	origins.read(uuid(1), uuid(1));
	origins.end(uuid(1), true);
	origins.read(uuid(2), uuid(2));
	t.is(await origins.of(uuid(2), uuid(1)), 'here');
	t.is(await origins.of(uuid(3), uuid(9)), 'absent');
	t.is(origins.outcome(uuid(1)), 'here');
	t.is(origins.outcome(uuid(2)), undefined);
});

test('who asks for one on its way, or still to come, waits for how it ends', async t => {
	const origins = new Origins([1, 2, 3].map(uuid));
	const {got, ask} = watch(origins);
	origins.read(uuid(2), uuid(2));
	await ask(2, 1);
	origins.read(uuid(3), uuid(3));
	await ask(3, 1);
	t.is(got.size, 0);
	origins.read(uuid(1), uuid(1));
	await turn();
	t.is(got.size, 0);
	t.false(origins.hasFailed(uuid(1)));
	origins.end(uuid(1), false);
	await turn();
	t.deepEqual([...got.values()], ['failed', 'failed']);
	t.true(origins.hasFailed(uuid(1)));
});

test('where tags are not uuids, an origin is known to be missing only when all has been read', async t => {
	const origins = new Origins(['web:1', 'base:1']);
	const {got, ask} = watch(origins);
	origins.read('web:1', uuid(1));
	await ask(1, 7);
	t.is(got.size, 0);
	origins.read('base:1', uuid(2));
	await turn();
	t.is(got.get(uuid(1)), 'absent');
});

test('where one cannot even be told which it is, it may be the origin that is missed', async t => {
	const origins = new Origins(['web:1', 'base:1', uuid(5)]);
	const {got, ask} = watch(origins);
	origins.read('web:1', uuid(1));
	await ask(1, 7);
	origins.spoiled('base:1', []);
	await turn();
	t.is(got.get(uuid(1)), 'unreadable');
	// That one has a name.
	await ask(6, 5);
	t.false(got.has(uuid(6)));
	origins.spoiled(uuid(5), [uuid(5), uuid(4)]);
	await turn();
	t.is(got.get(uuid(6)), 'failed');
	t.is(await origins.of(uuid(8), uuid(4)), 'failed');
});

test('what only says that it is another spoils nothing for that one', async t => {
	const origins = new Origins([uuid(1), uuid(2), uuid(3)]);
	origins.read(uuid(1), uuid(1));
	origins.end(uuid(1), true);
	origins.read(uuid(2), uuid(2));
	origins.spoiled(uuid(3), [uuid(3), uuid(1), uuid(2)]);
	t.is(await origins.of(uuid(9), uuid(1)), 'here');
	const {got, ask} = watch(origins);
	await ask(9, 2);
	t.is(got.size, 0);
	origins.end(uuid(2), true);
	await turn();
	t.is(got.get(uuid(9)), 'here');
});

test('a second entry of an image makes up for the first', async t => {
	const origins = new Origins([uuid(1), uuid(1)]);
	const {got, ask} = watch(origins);
	origins.read(uuid(1), uuid(1));
	origins.end(uuid(1), false);
	t.false(origins.hasFailed(uuid(1)));
	await ask(2, 1);
	t.is(got.size, 0);
	origins.read(uuid(1), uuid(1));
	origins.end(uuid(1), true);
	await turn();
	t.is(got.get(uuid(2)), 'here');
});

test('what was passed over is nobody, and nothing waits for it', async t => {
	const origins = new Origins([uuid(1), 'container']);
	const {got, ask} = watch(origins);
	await ask(2, 1);
	origins.passOver(uuid(1));
	await turn();
	t.is(got.size, 0);
	origins.passOver('container');
	await turn();
	t.is(got.get(uuid(2)), 'absent');
});

test('images built upon each other are told so, however long the circle is', async t => {
	const numbers = [0, 1, 2, 3, 4];
	const origins = new Origins([...numbers, 5].map(uuid));
	const {got, ask} = watch(origins);
	for (const number of numbers) {
		origins.read(uuid(number), uuid(number));
		await ask(number, (number + 1) % numbers.length);
	}
	t.deepEqual([...got], [[uuid(4), 'circle']]);
	origins.end(uuid(4), false);
	await turn();
	t.is(got.get(uuid(3)), 'failed');
	origins.read(uuid(5), uuid(5));
	t.is(await origins.of(uuid(5), uuid(5)), 'circle');
});

test('when the import ends, everybody is told', async t => {
	const origins = new Origins([1, 2].map(uuid));
	const {got, ask} = watch(origins);
	await ask(3, 1);
	await ask(4, 2);
	origins.stop();
	await turn();
	t.deepEqual([...got.values()], ['stopped', 'stopped']);
	t.is(await origins.of(uuid(5), uuid(1)), 'stopped');
});
