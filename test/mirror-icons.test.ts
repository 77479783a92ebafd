import test from 'ava';
import {parseManifest} from '../src/image/manifest.js';
import {IconCache} from '../src/mirror-icons.js';
import {makeImage} from './helpers/make-image.js';

const icon = (bytes: number) =>
	({bytes: Buffer.alloc(bytes), contentType: 'image/png', storedAtMs: 0, source: 'a', cache: 'miss'}) as const;

test('icons are kept up to a size, the oldest go first; one that is kept twice counts once', t => {
	const icons = new IconCache({maxBytes: 100});
	const [one, two, three] = [makeImage(), makeImage(), makeImage()].map(image => parseManifest(image.text));
	if (one === undefined || two === undefined || three === undefined) {
		throw new Error('three images');
	}
	for (let time = 0; time < 10; time++) {
		icons.keep(one, icon(40));
	}
	icons.keep(two, icon(40));
	t.deepEqual([icons.get(one)?.bytes.length, icons.get(two)?.bytes.length], [40, 40]);
	icons.keep(three, icon(60));
	t.deepEqual(
		[one, two, three].map(manifest => icons.get(manifest)?.bytes.length),
		[undefined, 40, 60],
	);
});
