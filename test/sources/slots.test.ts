import {randomUUID} from 'node:crypto';
import {once} from 'node:events';
import test from 'ava';
import {SourceUnavailableError} from '../../src/errors.js';
import {Slots} from '../../src/sources/slots.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {ask, manifestOf, openTestSource, readBody, readList, uuidOf} from './make-source.js';

const never = new AbortController().signal;

test('slots are given in the order in which they were asked for', async t => {
	const slots = new Slots(2);
	const order: number[] = [];
	const first = await slots.take(never);
	const second = await slots.take(never);
	const waiting = [3, 4, 5].map(async number => {
		const giveBack = await slots.take(never);
		order.push(number);
		return giveBack;
	});
	t.deepEqual([slots.taken, slots.waiting], [2, 3]);

	first();
	first();
	const third = await waiting[0];
	t.deepEqual([slots.taken, slots.waiting], [2, 2]);
	second();
	third?.();
	for (const giveBack of await Promise.all(waiting)) {
		giveBack();
	}

	t.deepEqual(order, [3, 4, 5]);
	t.deepEqual([slots.taken, slots.waiting], [0, 0]);
});

test('who stops waiting takes nothing', async t => {
	const slots = new Slots(1);
	const held = await slots.take(never);
	const abort = new AbortController();
	const reason = new Error('gone');
	const leaving = slots.take(abort.signal);
	const staying = slots.take(never);

	abort.abort(reason);
	await t.throwsAsync(leaving, {is: reason});
	await t.throwsAsync(slots.take(abort.signal), {is: reason});
	held();
	(await staying)();

	t.deepEqual([slots.taken, slots.waiting], [0, 0]);
});

test('no more files than configured are on their way at once; manifests do not count', async t => {
	const images = [makeImage({size: 100_000}), makeImage({size: 100_000}), makeImage({size: 100_000})];
	const upstream = await startUpstream(t, {images});
	upstream.misbehave('file', {holdAt: 0.5});
	const source = openTestSource(t, upstream.url, {transfers: 2});

	const [first, second, third] = images.map(image => source.openFile(manifestOf(image), 0, {offset: 0}, ask()));
	const firstBody = await first;
	await second;
	await source.find(manifestOf(images[2] ?? makeImage()).uuid, ask());
	t.is(upstream.fileRequests.length, 2);

	const closed = once(firstBody?.stream ?? process, 'close');
	firstBody?.stream.destroy();
	await closed;
	await third;
	t.is(upstream.fileRequests.length, 3);
	upstream.release();
	sameBytes(t, await readBody((await third) ?? (await Promise.reject(new Error('no body')))), images[2]?.bytes);
	(await second)?.stream.destroy();
});

test('a slot comes back when the file cannot be opened, and when it breaks', async t => {
	const image = makeImage({size: 100_000});
	const upstream = await startUpstream(t, {images: [image]});
	const source = openTestSource(t, upstream.url, {transfers: 1});
	const open = () => source.openFile(manifestOf(image), 0, {offset: 0}, ask());

	upstream.misbehave('file', {status: 500}, {times: 1});
	await t.throwsAsync(open(), {instanceOf: SourceUnavailableError});
	upstream.misbehave('file', {cutAt: 0.5}, {times: 1});
	await t.throwsAsync(readBody(await open()), {instanceOf: SourceUnavailableError});

	sameBytes(t, await readBody(await open()), image.bytes);
});

/** Somebody who fetches ahead. */
function ahead(): {background: boolean; gaveWay: number; giveWay(): void} {
	return {
		background: true,
		gaveWay: 0,
		giveWay() {
			this.gaveWay++;
		},
	};
}

test('clients get slots before whatever is fetched ahead, however long that has waited', async t => {
	const slots = new Slots(1);
	const order: string[] = [];
	const held = await slots.take(never);
	const taking = (who: string, yielding?: ReturnType<typeof ahead>) =>
		slots.take(never, yielding).then(giveBack => {
			order.push(who);
			giveBack();
		});
	const promoted = ahead();
	const all = [taking('ahead', ahead()), taking('promoted', promoted), taking('client'), taking('last client')];
	promoted.background = false;
	held();
	await Promise.all(all);
	t.deepEqual(order, ['promoted', 'client', 'last client', 'ahead']);
});

test('what is fetched ahead gives its slot up for a client that waits, as many as there are clients, and once each', async t => {
	const slots = new Slots(3);
	const holders = [ahead(), ahead(), ahead()];
	const giveBack = await Promise.all(holders.map(holder => slots.take(never, holder)));
	const another = slots.take(never, ahead());
	t.deepEqual(
		holders.map(({gaveWay}) => gaveWay),
		[0, 0, 0],
		'not for its like',
	);
	const [first] = holders;
	if (first !== undefined) {
		first.background = false;
	}
	const client = slots.take(never);
	const leaving = new AbortController();
	const impatient = t.throwsAsync(slots.take(leaving.signal));
	t.deepEqual(
		holders.map(({gaveWay}) => gaveWay),
		[0, 1, 1],
		'a client has come for the first',
	);
	leaving.abort(new Error('left'));
	await impatient;
	giveBack[1]?.();
	const clientsSlot = await client;
	giveBack[2]?.();
	(await another)();
	clientsSlot();
	giveBack[0]?.();
	t.deepEqual([slots.taken, slots.waiting], [0, 0]);
});

test('a slot whose clients have left is given up for one that waits; who waits is told, and told when that is over', async t => {
	const slots = new Slots(1);
	const told: boolean[] = [];
	const holder: ReturnType<typeof ahead> & {left?: () => void} = {...ahead(), background: false};
	const giveBack = await slots.take(never, holder);
	const waiting = {...ahead(), background: false, waits: (waits: boolean) => told.push(waits)};
	const client = slots.take(never, waiting);
	const leaving = new AbortController();
	const impatient = t.throwsAsync(slots.take(leaving.signal, waiting));
	t.deepEqual(told, [true, true]);
	leaving.abort(new Error('left'));
	await impatient;
	t.deepEqual(told, [true, true, false]);
	t.is(holder.gaveWay, 0);
	holder.background = true;
	holder.left?.();
	t.is(holder.gaveWay, 1);
	giveBack();
	(await client)();
	t.deepEqual(told, [true, true, false, false]);
	(await slots.take(never, waiting))();
	t.is(told.length, 4, 'there was nothing to wait for');
});

test('whoever asks for thousands of images keeps nobody from lists and files, and is no fault of the source', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const source = openTestSource(t, upstream.url);
	upstream.misbehave('manifest', {holdAt: 0});
	const many = Array.from({length: 6 + 200}, () => source.find(uuidOf({uuid: randomUUID()}), ask()));
	await upstream.holding(6);
	const refused = await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});
	t.is(refused.scope, 'none');
	await t.throwsAsync(source.readIcon(manifestOf(image), ask()), {message: /too many questions/u});
	t.is((await readList(source)).images.length, 1);
	sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);
	const asked = (): number => upstream.requests.filter(({route}) => route === 'manifest').length;
	t.is(asked(), 6);
	t.like(source.health(), {state: 'up', failures: 0});

	upstream.release();
	t.deepEqual(
		await Promise.all(many),
		many.map(() => undefined),
	);
	t.is(asked(), many.length);
	t.is((await source.find(uuidOf(image), ask()))?.uuid, uuidOf(image));
});
