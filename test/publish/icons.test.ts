import {createHash} from 'node:crypto';
import {rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import type {IconOffer} from '../../src/publish/icons.js';
import {
	SlowBody,
	basic,
	bodyOf,
	change,
	failure,
	published,
	served,
	sha1Of,
	startPublisher,
	unread,
} from './start-publisher.js';

function icon(content: string | Buffer, more: Partial<IconOffer> = {}): IconOffer {
	return {contentType: 'image/png', sha1: undefined, size: Buffer.byteLength(content), body: bodyOf(content), ...more};
}

const refusals: readonly (readonly [string, IconOffer])[] = [
	['of no type', icon('x', {contentType: undefined, body: unread})],
	['of another type', icon('x', {contentType: 'image/svg+xml', body: unread})],
	['whose type has parameters', icon('x', {contentType: 'image/png; charset=x', body: unread})],
	['that is said to be too big', icon('x', {size: 131_073, body: unread})],
	['that is too big', icon(Buffer.alloc(131_073), {size: undefined})],
	['that is empty', icon('')],
	['with another sha1', icon('x', {sha1: sha1Of(Buffer.from('y'))})],
	['with a sha1 that is none', icon('x', {sha1: 'x'})],
	['shorter than was said', icon('x', {size: 2})],
];

for (const [what, wrong] of refusals) {
	test(`an icon ${what} is refused, and the one before it stays`, async t => {
		const rig = await startPublisher(t);
		const id = await published(rig);
		await rig.publisher.addIcon(id, icon('before'), change());
		const before = [rig.publisher.get(id)?.text, await rig.litter()];
		t.is(await failure(rig.publisher.addIcon(id, wrong, change())), 'Upload');
		t.deepEqual([rig.publisher.get(id)?.text, await rig.litter()], before);
	});
}

test('an icon is there in any state, is replaced, outlives a restart, and is taken away', async t => {
	const rig = await startPublisher(t);
	const {uuid: id} = await rig.publisher.create(basic, change());
	t.is(await failure(rig.publisher.icon(id)), 'ResourceNotFound');
	t.is(await failure(rig.publisher.deleteIcon(id, change())), 'ResourceNotFound');
	const big = Buffer.alloc(131_072, 7);
	const made = await rig.publisher.addIcon(id, icon(big, {sha1: sha1Of(big).toUpperCase()}), change());
	t.is(served(made)['icon'], true);
	t.is(made.state, 'unactivated');
	const gif = await rig.publisher.addIcon(id, icon('small', {contentType: 'image/gif'}), change());
	t.is(served(gif)['icon'], true);
	t.deepEqual((await rig.litter()).published, [`${id}.icon.${sha1Of(Buffer.from('small'))}`, `${id}.json`].sort());
	const again = await rig.restart();
	const had = await again.publisher.icon(id);
	t.is(had.bytes.toString(), 'small');
	t.like(had, {
		contentType: 'image/gif',
		storedAtMs: rig.host.clock.now(),
		md5: createHash('md5').update('small').digest('hex'),
	});
	const without = await again.publisher.deleteIcon(id, change());
	t.false('icon' in served(without));
	t.is(await failure(again.publisher.icon(id)), 'ResourceNotFound');
	t.deepEqual((await again.litter()).published, [`${id}.json`]);
});

test('the same icon may be sent again, under another type', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	await rig.publisher.addIcon(id, icon('same'), change());
	await rig.publisher.addIcon(id, icon('same', {contentType: 'image/jpeg'}), change());
	t.like(await rig.publisher.icon(id), {contentType: 'image/jpeg'});
	t.is((await rig.litter()).published.length, 2);
});

test('an icon whose image is deleted meanwhile leaves nothing', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const body = new SlowBody('icon');
	const adding = rig.publisher.addIcon(id, icon('icon', {body}), change());
	await body.begun;
	await rig.publisher.delete(id, {forceAllChannels: false}, change());
	body.finish();
	t.is(await failure(adding), 'ResourceNotFound');
	t.deepEqual((await rig.litter()).published, []);
});

test('two icons at once: one of them is there, whole', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	await Promise.all(['a', 'b', 'c'].map(text => rig.publisher.addIcon(id, icon(text), change())));
	const {bytes, sha1} = (await rig.publisher.icon(id)) as unknown as {bytes: Buffer; sha1: string};
	t.is(String(sha1Of(bytes)), sha1);
	t.is((await rig.litter()).published.length, 2);
});

test('an icon that is gone from the disk, or is another one, is a failure and not a wrong answer', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	await rig.publisher.addIcon(id, icon('icon'), change());
	const file = path.join(rig.layout.published, `${id}.icon.${sha1Of(Buffer.from('icon'))}`);
	await writeFile(file, 'no icon');
	t.is(await failure(rig.publisher.icon(id)), 'INTERNAL');
	await rm(file);
	t.is(await failure(rig.publisher.icon(id)), 'INTERNAL');
	await rig.publisher.deleteIcon(id, change());
	t.is(await failure(rig.publisher.icon(id)), 'ResourceNotFound');
});
