import test from 'ava';
import {Imgadm} from '../helpers/imgadm.js';
import {makeImage, makeManifests} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startMirror} from '../helpers/start-mirror.js';
import {startUpstream} from '../helpers/start-upstream.js';

for (const kind of ['imgapi', 'dsapi'] as const) {
	for (const protocol of ['/', '/datasets'] as const) {
		test(`imgadm's whole sequence works on ${protocol} with upstreams of kind ${kind}`, async t => {
			const base = makeImage({size: 200_000});
			const middle = makeImage({size: 100_000, origin: base});
			const top = makeImage({size: 50_000, origin: middle, compression: 'bzip2'});
			const other = makeImage({size: 1000});
			const upstream = await startUpstream(t, {kind, images: [base, middle, top]});
			const second = await startUpstream(t, {kind: 'imgapi', images: [other]});
			const mirror = await startMirror(t, {sources: [upstream.url, second.url]});
			const imgadm = new Imgadm(mirror.url + protocol);

			await imgadm.addSource();
			await mirror.until(({sources}) => sources.every(({fetchedAt}) => fetchedAt !== undefined));
			const listed = (await imgadm.avail()).map(manifest => manifest['uuid']);
			t.deepEqual([...listed].sort(), [base, middle, top, other].map(({uuid}) => uuid).sort());
			for (let round = 0; round < 2; round++) {
				const imported = await imgadm.import(top.uuid);
				t.deepEqual(
					imported.map(({uuid}) => uuid),
					[base.uuid, middle.uuid, top.uuid],
				);
				sameBytes(
					t,
					Buffer.concat(imported.map(({file}) => file)),
					Buffer.concat([base.bytes, middle.bytes, top.bytes]),
				);
			}
			t.deepEqual([...upstream.fileRequests].sort(), [base.uuid, middle.uuid, top.uuid].sort());
		});
	}
}

test('an origin that is disabled, so in no list, comes along', async t => {
	const base = makeImage({size: 100_000, state: 'disabled'});
	const top = makeImage({size: 1000, origin: base});
	const upstream = await startUpstream(t, {images: [base, top]});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	for (const protocol of ['', '/datasets']) {
		const imgadm = new Imgadm(mirror.url + protocol);
		t.deepEqual(
			(await imgadm.avail()).map(manifest => manifest['uuid']),
			[top.uuid],
		);
		const imported = await imgadm.import(top.uuid);
		t.deepEqual(
			imported.map(({uuid}) => uuid),
			[base.uuid, top.uuid],
		);
		sameBytes(t, Buffer.concat(imported.map(({file}) => file)), Buffer.concat([base.bytes, top.bytes]));
	}
});

test('imgadm update finds nothing changed: manifests are what the source says, to the letter', async t => {
	const odd = makeImage({
		extra: {zzz: {b: 1, a: [1.5, null]}, tags: {'2': 'two', '1': 'one', ünï: '\u0000'}, requirements: {}},
	});
	const upstream = await startUpstream(t, {images: [odd]});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	t.is((await mirror.get(`/images/${odd.uuid}`)).text, odd.pretty);
	t.is((await mirror.get('/images')).text, JSON.stringify([odd.manifest], null, 2));
});

test('a channel in the source URL is no hindrance', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const imgadm = new Imgadm(`${mirror.url}?channel=dev`);
	await imgadm.addSource();
	t.is((await imgadm.avail()).length, 1);
	sameBytes(t, (await imgadm.import(image.uuid))[0]?.file, image.bytes);
});

test('25,000 manifests from a server that pages, and more beside them, are one list to imgadm', async t => {
	const many = makeManifests(25_000);
	const few = makeManifests(1500, {startAt: 30_000});
	const upstream = await startUpstream(t, {images: many, maxPage: 1000});
	const second = await startUpstream(t, {images: few});
	const mirror = await startMirror(t, {sources: [upstream.url, second.url]});
	await mirror.until(({merged}) => merged === 26_500);
	const listed = await new Imgadm(mirror.url).avail();
	t.is(listed.length, 26_500);
	t.is(new Set(listed.map(manifest => manifest['uuid'])).size, 26_500);
});
