import test, {type ExecutionContext} from 'ava';
import {Imgadm} from '../helpers/imgadm.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {startMirror, type TestMirror} from '../helpers/start-mirror.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {fetched} from '../mirror/site.js';

interface Chain {
	readonly first: TestMirror;
	readonly last: TestMirror;
	readonly images: readonly TestImage[];
}

/** Upstream, a mirror of it, a mirror of that. */
async function startChain(t: ExecutionContext): Promise<Chain> {
	const base = makeImage({size: 70_000, state: 'disabled'});
	const child = makeImage({size: 300_000, origin: base, icon: Buffer.from('an icon')});
	const plain = makeImage({size: 50_000, compression: 'none'});
	const upstream = await startUpstream(t, {images: [base, child, plain]});
	const first = await startMirror(t, {sources: [{name: 'up', url: upstream.url, type: 'imgapi'}]});
	const last = await startMirror(t, {sources: [{name: 'first', url: first.url}]});
	return {first, last, images: [base, child, plain]};
}

test('a mirror of a mirror gives what the first gives, byte for byte, and its conditionals hold', async t => {
	const {first, last, images} = await startChain(t);
	const [ofFirst, ofLast] = [await first.get('/images'), await last.get('/images')];
	t.is(ofLast.text, ofFirst.text);
	const listTag = String(ofLast.headers['etag']);
	t.is((await last.get('/images', {headers: {'if-none-match': listTag}})).status, 304);
	for (const {uuid, pretty} of images) {
		const [one, other] = [await first.get(`/images/${uuid}`), await last.get(`/images/${uuid}`)];
		t.is(other.text, pretty);
		t.is(one.text, other.text);
		t.is(one.headers['etag'], other.headers['etag']);
		const etag = String(one.headers['etag']);
		for (const mirror of [first, last]) {
			t.is((await mirror.get(`/images/${uuid}`, {headers: {'if-none-match': etag}})).status, 304);
		}
	}
	const icon = await last.get(`/images/${images[1]?.uuid ?? ''}/icon`);
	t.is(icon.text, 'an icon');
});

test('files come through the chain: HEAD, ranges and conditionals, before and after they are here', async t => {
	const {first, last, images} = await startChain(t);
	for (const image of images) {
		const path = `/images/${image.uuid}/file`;
		const before = await last.get(path, {method: 'HEAD'});
		t.is(before.status, 200);
		t.is(before.headers['content-length'], String(image.size));
		t.is((await first.get(path, {method: 'HEAD'})).headers['etag'], before.headers['etag']);

		const part = await last.get(path, {headers: {range: 'bytes=1000-1999'}});
		t.is(part.status, 206);
		t.true(part.body.equals(image.bytes.subarray(1000, 2000)));
		t.true(['hit', 'miss', 'join'].includes(await fetched(last, image)));
		await first.idle();
		const etag = String((await last.get(path, {method: 'HEAD'})).headers['etag']);
		for (const mirror of [first, last]) {
			const rest = await mirror.get(path, {headers: {range: `bytes=${image.size - 10}-`, 'if-range': etag}});
			t.is(rest.status, 206);
			t.true(rest.body.equals(image.bytes.subarray(-10)));
			t.is((await mirror.get(path, {headers: {'if-none-match': etag}})).status, 304);
			t.is((await mirror.get(path, {headers: {'if-match': '"another"'}})).status, 412);
			const whole = await mirror.get(path);
			t.is(whole.headers['x-cache'], 'hit');
			t.true(whole.body.equals(image.bytes));
		}
	}
});

test('what has not been here survives both mirrors: the second fetches it from what the first keeps', async t => {
	const {first, last, images} = await startChain(t);
	const [base, child] = images;
	if (base === undefined || child === undefined) {
		throw new Error('there are three');
	}
	await fetched(first, child);
	await fetched(first, base);
	t.is(await fetched(last, child), 'miss');
	const imported = await new Imgadm(last.url).import(child.uuid);
	t.deepEqual(imported.map(({uuid}) => uuid).sort(), [base.uuid, child.uuid].sort());
});

test('a channel of the first is asked for through all that come after it', async t => {
	const released = makeImage({extra: {channels: ['dev', 'release']}});
	const built = makeImage({extra: {channels: ['dev']}});
	const upstream = await startUpstream(t, {
		...{images: [released, built], channels: ['dev', 'release'], defaultChannel: 'dev'},
	});
	const first = await startMirror(t, {sources: [{name: 'up', url: `${upstream.url}?channel=release`, type: 'imgapi'}]});
	const last = await startMirror(t, {sources: [{name: 'first', url: `${first.url}?channel=release`}]});
	const uuids = async (mirror: TestMirror): Promise<readonly string[]> =>
		((await mirror.get('/images')).json() as readonly {uuid: string}[]).map(({uuid}) => uuid);
	t.deepEqual(await uuids(first), [released.uuid]);
	t.deepEqual(await uuids(last), [released.uuid]);
	t.is((await last.get(`/images/${built.uuid}`)).status, 404);
	t.true((await last.file(released)).body.equals(released.bytes));
	t.true(
		upstream.requests
			.filter(({path}) => path.startsWith('/images'))
			.every(({query}) => query.get('channel') === 'release'),
	);
});

test('channels of our own reach a mirror that asks for one, and no other', async t => {
	const channels = [
		{name: 'dev', description: 'all', default: true},
		{name: 'release', description: 'good'},
	];
	const first = await startMirror(t, {
		sources: [],
		config: {channels, access: {networks: [{cidrs: ['127.0.0.1'], may: ['operate']}]}},
	});
	const made: string[] = [];
	for (const channel of ['dev', 'release']) {
		const answer = await first.get(`/publish?name=mine-${channel}&version=1&channel=${channel}`, {
			method: 'POST',
			body: makeImage().bytes,
		});
		t.is(answer.status, 200, answer.text);
		made.push((answer.json() as {uuid: string}).uuid);
	}
	const [dev = '', release = ''] = made;
	for (const [channel, has] of [
		['dev', dev],
		['release', release],
	] as const) {
		const second = await startMirror(t, {sources: [{name: 'first', url: `${first.url}?channel=${channel}`}]});
		const third = await startMirror(t, {sources: [{name: 'second', url: second.url}]});
		for (const mirror of [second, third]) {
			t.deepEqual(
				((await mirror.get('/images')).json() as readonly {uuid: string}[]).map(({uuid}) => uuid),
				[has],
			);
		}
	}
});
