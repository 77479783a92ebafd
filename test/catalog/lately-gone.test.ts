import fc from 'fast-check';
import test from 'ava';
import {NotFoundError} from '../../src/errors.js';
import {LatelyGone} from '../../src/catalog/lately-gone.js';
import {compareImages, type Manifest} from '../../src/image/manifest.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {changed, entry, FakeSource, image, images, minute, someAsk} from './fake-source.js';
import {query, startCatalog, uuidsOf} from './start-catalog.js';

test('whatever the list was and is, what went is known, and nothing else', t => {
	const all = images(40).sort(compareImages);
	const others = all.map(one => changed(one, {description: 'another'}));
	const some = fc.array(fc.constantFrom('none', 'one', 'other'), {minLength: 40, maxLength: 40});
	t.notThrows(() =>
		fc.assert(
			fc.property(fc.array(some, {minLength: 1, maxLength: 4}), choices => {
				const gone = new LatelyGone(new ManualClock());
				const seen = new Set<string>();
				let now: readonly Manifest[] = [];
				for (const choice of choices) {
					now = choice
						.flatMap((how, at) => (how === 'none' ? [] : [(how === 'one' ? all : others)[at]]))
						.filter(one => one !== undefined);
					gone.see(now);
					for (const {uuid} of now) {
						seen.add(uuid);
					}
				}
				for (const {uuid} of all) {
					const isHere = now.some(one => one.uuid === uuid);
					if (!isHere) {
						t.is(gone.image(uuid)?.uuid, seen.has(uuid) ? uuid : undefined);
					}
				}
			}),
		),
	);
});

test('it is forgotten after a while, and no more than a thousand are kept, the newest of them', async t => {
	const clock = new ManualClock();
	const gone = new LatelyGone(clock);
	const all = images(1500).sort(compareImages);
	gone.see(all);
	gone.see([]);
	t.is(gone.image(all.at(-1)?.uuid ?? t.fail()), all.at(-1));
	t.is(all.filter(({uuid}) => gone.image(uuid) !== undefined).length, 1000);
	await clock.advance(10 * minute);
	t.is(all.filter(({uuid}) => gone.image(uuid) !== undefined).length, 0);
});

test('a list that is read page by page goes on where an image stood that was taken back meanwhile', async t => {
	const all = images(6);
	const source = new FakeSource('s', all);
	const {catalog, clock} = await startCatalog(t, [entry(source, {vanished: 'hide'})]);
	await catalog.refresh();
	const pageFrom = async (marker: Manifest): Promise<readonly string[]> => {
		const asked = query(`marker=${marker.uuid}&limit=3`);
		const found = uuidsOf((await catalog.search(asked, someAsk())).images);
		const bytes = Buffer.concat([...(await catalog.list(asked, someAsk())).parts()]).toString();
		t.deepEqual(
			(JSON.parse(bytes) as {uuid: string}[]).map(({uuid}) => uuid),
			found,
		);
		return found;
	};
	const [, , third, fourth, fifth, last] = all as [Manifest, Manifest, Manifest, Manifest, Manifest, Manifest];
	t.deepEqual(await pageFrom(third), [third.uuid, fourth.uuid, fifth.uuid]);
	t.deepEqual(await pageFrom(last), [last.uuid]);
	source.images = all.filter(one => one !== third && one !== last);
	await catalog.refresh();
	await catalog.settled();
	t.deepEqual(await pageFrom(third), [fourth.uuid, fifth.uuid]);
	t.deepEqual(await pageFrom(last), []);
	await t.throwsAsync(pageFrom(image()), {instanceOf: NotFoundError});
	await clock.advance(10 * minute);
	await t.throwsAsync(pageFrom(last), {instanceOf: NotFoundError});
});
