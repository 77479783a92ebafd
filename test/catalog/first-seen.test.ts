import test from 'ava';
import {FirstSeen} from '../../src/catalog/first-seen.js';
import {atOnce} from '../../src/host-slices.js';
import {parseManifest, type Uuid} from '../../src/image/manifest.js';
import {makeImage} from '../helpers/make-image.js';

const day = 24 * 3_600_000;
const start = Date.parse('2026-01-01T00:00:00Z');
const newUuid = (): Uuid => parseManifest(makeImage().text).uuid;

test('when an image was first seen is forgotten only when it has been gone for long without a break', t => {
	const [image, other] = [newUuid(), newUuid()];
	const seen = new FirstSeen();
	seen.note('up', [other], undefined);
	t.is(seen.note('up', [image], start), 1);
	const isGone = (uuid: Uuid): boolean => uuid !== image;
	t.true(atOnce(seen.sweep('up', isGone, start + day)));
	// Back, and gone again, between two looks.
	t.is(seen.note('up', [image], start + day + 1), 0);
	t.true(atOnce(seen.sweep('up', isGone, start + 95 * day)));
	t.is(seen.ms('up', image), start);
	t.false(atOnce(seen.sweep('up', isGone, start + 120 * day)));
	t.is(seen.ms('up', image), start);
	t.true(atOnce(seen.sweep('up', isGone, start + 186 * day)));
	t.is(seen.ms('up', image), undefined);
	t.is(seen.note('up', [image], start + 187 * day), 1, 'it is new');
	t.is(seen.ms('up', image), start + 187 * day);
});

test('it looks once a day, also after the clock was set back', t => {
	const image = newUuid();
	const seen = new FirstSeen();
	seen.note('up', [image], start);
	const looks: number[] = [];
	for (const now of [start, start + day / 2, start + day, start - 400 * day]) {
		atOnce(seen.sweep('up', () => looks.push(now) > 0, now));
	}
	t.deepEqual(looks, [start, start + day, start - 400 * day]);
});

test('what is written is read again as it was', async t => {
	const uuids = [newUuid(), newUuid(), newUuid()] as const;
	const seen = new FirstSeen();
	seen.note('up', [uuids[0]], undefined);
	seen.note('up', [uuids[1], uuids[2]], start);
	atOnce(seen.sweep('up', uuid => uuid !== uuids[2], start));
	seen.use(new Set(['other']), start);
	const again = new FirstSeen();
	again.read(JSON.parse(JSON.stringify(await seen.encode())));
	t.true(again.knows('up'));
	t.deepEqual(
		uuids.map(uuid => again.ms('up', uuid)),
		[undefined, start, start],
	);
	t.true(atOnce(again.sweep('up', uuid => uuid !== uuids[2], start + 91 * day)));
	t.is(again.ms('up', uuids[2]), undefined, 'since when it is missing is kept, too');
	t.true(again.use(new Set(['other']), start + 91 * day));
	t.false(again.knows('up'), 'nobody has configured it for long');
});
