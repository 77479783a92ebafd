import {connect} from 'node:net';
import test from 'ava';
import {open} from '../helpers/http-client.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startMirror} from '../helpers/start-mirror.js';
import {startUpstream} from '../helpers/start-upstream.js';

test('cold, then warm: the second time nothing is asked of upstream', async t => {
	const image = makeImage({size: 3_000_000});
	const upstream = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}]});

	const cold = await mirror.file(image);
	t.true(cold.body.equals(image.bytes));
	t.like(cold.headers, {'x-cache': 'miss', 'x-source': 'up', 'content-length': '3000000', etag: `"${image.sha1}"`});
	await mirror.idle();
	upstream.forget();
	await upstream.stop();
	const warm = await mirror.file(image);
	t.true(warm.body.equals(image.bytes));
	t.like(warm.headers, {'x-cache': 'hit', 'x-source': 'up', 'content-length': '3000000', etag: `"${image.sha1}"`});
	t.deepEqual(upstream.fileRequests, []);
});

test('100 clients joining one transfer at different offsets cost one upstream request', async t => {
	const image = makeImage({size: 4_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 1_000_000});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const first = mirror.file(image);
	await upstream.reached(1_000_000);
	const offsets = Array.from({length: 99}, (_, number) => number * 40_000);
	const others = offsets.map(offset => mirror.file(image, {headers: {range: `bytes=${offset}-`}}));
	await mirror.followers(image, 100);
	upstream.release();

	const whole = await first;
	t.true(whole.body.equals(image.bytes));
	for (const [number, answer] of (await Promise.all(others)).entries()) {
		const offset = offsets[number] ?? 0;
		t.is(answer.status, 206);
		t.is(answer.headers['x-cache'], 'join');
		t.is(answer.headers['content-range'], `bytes ${offset}-3999999/4000000`);
		t.true(answer.body.equals(image.bytes.subarray(offset)));
	}
	t.deepEqual(upstream.fileRequests, [image.uuid]);
});

test('a slow reader among fast ones holds nobody up, and gets its file', async t => {
	const image = makeImage({size: 3_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 100_000});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const slow = mirror.file(image, {bytesPerSecond: 1_000_000});
	const fast = Array.from({length: 8}, () => mirror.file(image));
	await mirror.followers(image, 9);
	upstream.release();
	let slowIsDone = false;
	void slow.then(() => {
		slowIsDone = true;
	});
	for (const answer of await Promise.all(fast)) {
		t.true(answer.body.equals(image.bytes));
	}
	t.false(slowIsDone);
	t.true((await slow).body.equals(image.bytes));
	t.deepEqual(upstream.fileRequests, [image.uuid]);
});

test('the first client hanging up stops nothing', async t => {
	const image = makeImage({size: 2_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 500_000});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const first = await open(`${mirror.url}/images/${image.uuid}/file`);
	await upstream.reached(500_000);
	const second = mirror.file(image);
	await mirror.followers(image, 2);
	first.destroy();
	await mirror.followers(image, 1);
	upstream.release();
	sameBytes(t, (await second).body, image.bytes);
	t.deepEqual(upstream.fileRequests, [image.uuid]);
});

test('a client that leaves before anything has come of its file is no error', async t => {
	const image = makeImage({size: 200_000});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {holdAt: 0});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	for (let times = 1; times <= 3; times++) {
		const socket = connect(Number(new URL(mirror.url).port), '127.0.0.1');
		socket.write(`GET /images/${image.uuid}/file HTTP/1.1\r\nHost: mirror\r\nx-request-id: left-${times}\r\n\r\n`);
		await mirror.followers(image, 1);
		// Some stop sending only, as nc does: whoever asked for a file and does so has left.
		socket[times === 2 ? 'destroy' : 'end']();
		t.like(await mirror.host.logged({requestId: `left-${times}`}), {msg: 'client left', status: 499});
		await mirror.followers(image, 0);
	}
	upstream.release();
	await mirror.idle();
	t.deepEqual(mirror.host.linesLike({level: 50}), []);
	sameBytes(t, (await mirror.file(image)).body, image.bytes);
});

for (const range of ['refused', 'unlabelled', 'other-total', 'mislabelled', 'shifted'] as const) {
	test(`a file that breaks at half of a server that answers ranges wrongly (${range}) is had whole, the first time`, async t => {
		const image = makeImage({size: 2_000_000});
		const upstream = await startUpstream(t, {kind: 'static', images: [image]});
		upstream.misbehave('file', {range});
		upstream.misbehave('file', {cutAt: 0.5}, {times: 1});
		const mirror = await startMirror(t, {sources: [{url: upstream.url, type: 'imgapi'}]});
		const answer = await mirror.file(image);
		t.true(answer.complete);
		sameBytes(t, answer.body, image.bytes);
		t.is(upstream.fileRequests.length, 3);
		await mirror.idle();
		t.is((await mirror.file(image)).headers['x-cache'], 'hit');
	});
}

test('a file without length whose connection ends at half is had whole, the first time', async t => {
	const image = makeImage({size: 2_000_000});
	const upstream = await startUpstream(t, {kind: 'static', ranges: true, images: [image]});
	upstream.misbehave('file', {contentLength: 'close', cutAt: 0.5}, {times: 1});
	const mirror = await startMirror(t, {sources: [{url: upstream.url, type: 'imgapi'}]});
	const answer = await mirror.file(image);
	t.true(answer.complete);
	sameBytes(t, answer.body, image.bytes);
	t.is(upstream.fileRequests.length, 2);
	t.true(upstream.bytesSent <= 2_100_000);
});

test('a file that cannot be had keeps nobody from asking its source for other things', async t => {
	const [broken, origin] = [makeImage({size: 1000}), makeImage({size: 1000, state: 'disabled'})];
	const upstream = await startUpstream(t, {images: [broken, origin]});
	upstream.misbehave('file', {status: 500}, {uuid: broken.uuid});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const unknown = '11111111-2222-4333-8444-555555555555';
	for (let time = 0; time < 3; time++) {
		t.is((await mirror.file(broken)).status, 503);
		t.is((await mirror.get(`/images/${unknown.replace(/^1/, String(time + 2))}`)).status, 404);
	}
	// Not in the list, and not asked for before.
	sameBytes(t, (await mirror.file(origin)).body, origin.bytes);
	t.true(upstream.of('manifest').length >= 4);
});

test('an image of which a source gives only errors is unknown there, and no other is', async t => {
	const [broken, origin] = [makeImage({state: 'disabled'}), makeImage({size: 1000, state: 'disabled'})];
	const upstream = await startUpstream(t, {images: [makeImage(), broken, origin]});
	upstream.misbehave('manifest', {status: 500}, {uuid: broken.uuid});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	for (let time = 0; time < 5; time++) {
		t.is((await mirror.get(`/images/${broken.uuid}`)).status, 503);
		t.is((await mirror.get(`/images/${time}1111111-2222-4333-8444-555555555555`)).status, 404);
	}
	t.is((await mirror.get(`/images/${origin.uuid}`)).status, 200);
	// It was not asked for each time, nor is it held against it for long.
	t.true(upstream.of('manifest').filter(({uuid}) => uuid === broken.uuid).length < 5);
	upstream.behave('manifest');
	mirror.ahead(15_000);
	t.is((await mirror.get(`/images/${broken.uuid}`)).status, 200);
});

test('a transfer whose only client hung up is finished all the same', async t => {
	const image = makeImage({size: 2_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 500_000});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const first = await open(`${mirror.url}/images/${image.uuid}/file`);
	await upstream.reached(500_000);
	first.destroy();
	await mirror.followers(image, 0);
	upstream.release();
	await mirror.idle();
	t.is((await mirror.file(image)).headers['x-cache'], 'hit');
	t.deepEqual(upstream.fileRequests, [image.uuid]);
});

for (const ranges of [true, false]) {
	test(`an upstream cut at 50 % that ${ranges ? 'honours ranges is asked for the rest only' : 'knows no ranges is passed over'}`, async t => {
		const image = makeImage({size: 2_000_000});
		const upstream = await startUpstream(t, {kind: 'static', ranges, images: [image]});
		upstream.misbehave('file', {cutAt: 0.5}, {times: 1});
		const mirror = await startMirror(t, {sources: [{url: upstream.url, type: 'imgapi'}]});
		const answer = await mirror.file(image);
		t.true(answer.complete);
		t.true(answer.body.equals(image.bytes));
		t.is(upstream.fileRequests.length, 2);
		t.true(upstream.bytesSent <= (ranges ? 2_100_000 : 3_100_000));
	});
}

test('a stalled upstream is left for another source after the idle timeout', async t => {
	const image = makeImage({size: 2_000_000});
	const stalled = await startUpstream(t, {images: [image], holdAfter: 1_000_000});
	const other = await startUpstream(t, {kind: 'static', images: [image]});
	const mirror = await startMirror(t, {
		sources: [
			{name: 'stalled', url: stalled.url, idleTimeout: '300ms'},
			{name: 'other', url: other.url, type: 'imgapi'},
		],
	});
	await mirror.until(({sources}) => sources.every(({fetchedAt}) => fetchedAt !== undefined));
	t.true((await mirror.file(image)).body.equals(image.bytes));
	t.deepEqual(other.rangeRequests.length, 1);
});

test('wrong bytes: no client gets a complete file, nothing is kept, the next request is fine', async t => {
	const image = makeImage({size: 2_000_000});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {wrongBytes: {at: 0.3}}, {times: 1});
	const mirror = await startMirror(t, {sources: [{name: 'liar', url: upstream.url}]});
	const answers = await Promise.all(Array.from({length: 5}, () => mirror.file(image)));
	for (const answer of answers) {
		t.false(answer.complete);
		t.true(answer.bytes <= 2_000_000 - 65_536);
	}
	await mirror.idle();
	t.is(upstream.fileRequests.length, 1);
	t.is(await mirror.host.metric('imgmirror_verification_failures_total', {source: 'liar'}), 1);
	t.is(mirror.host.linesLike({level: 50, image: image.uuid}).length > 0, true);
	const status = await mirror.until(found => found);
	t.is(status.store.quarantine[0]?.size, 2_000_000);
	t.is(status.store.files, 0);

	const next = await mirror.file(image);
	t.true(next.body.equals(image.bytes));
});

test('a source that sends wrong files, one after the other, is asked after those that do not, until it is right again', async t => {
	const images = Array.from({length: 6}, () => makeImage({size: 300_000}));
	const only = makeImage({size: 300_000});
	const liar = await startUpstream(t, {images: [...images, only]});
	const honest = await startUpstream(t, {images});
	liar.misbehave('file', {wrongBytes: {at: 0.3}});
	const mirror = await startMirror(t, {
		sources: [
			{name: 'liar', url: liar.url},
			{name: 'honest', url: honest.url},
		],
	});
	const complete: boolean[] = [];
	for (const image of images.slice(0, 5)) {
		complete.push((await mirror.file(image)).complete);
		await mirror.idle();
	}
	t.deepEqual(complete, [false, false, false, true, true]);
	t.is(liar.fileRequests.length, 3);
	t.is(mirror.host.linesLike(/sends wrong files/).length, 1);
	const told = async (): Promise<object> => ({
		warnings: ((await mirror.get('/readyz')).json() as {warnings?: readonly string[]}).warnings ?? [],
		wrong: ((await mirror.get('/mirror/sources')).json() as readonly {name: string; wrongFiles?: true}[])
			.filter(({wrongFiles}) => wrongFiles)
			.map(({name}) => name),
	});
	t.deepEqual(await told(), {warnings: ['a source sends wrong files: liar'], wrong: ['liar']});

	liar.behave();
	t.true((await mirror.file(only)).complete);
	await mirror.idle();
	t.deepEqual(await told(), {warnings: [], wrong: []});
	t.is((await mirror.file(images[5] ?? t.fail())).headers['x-source'], 'liar');
});

test('a source that goes away in the middle of a file, and comes back, costs its clients nothing but the time', async t => {
	const image = makeImage({size: 3_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 1_500_000});
	const mirror = await startMirror(t, {
		sources: [{url: upstream.url, retries: 0}],
		config: {transfers: {patience: '60s'}},
	});
	const answers = Promise.all([mirror.file(image), mirror.file(image)]);
	await upstream.reached(1_500_000);
	await mirror.followers(image, 2);
	await upstream.stop();
	await mirror.host.logged({msg: 'a transfer was interrupted', failures: 2});
	upstream.release();
	await upstream.start();
	for (const answer of await answers) {
		sameBytes(t, answer.body, image.bytes);
	}
	t.is(upstream.fileRequests.length, 2);
	t.is(upstream.rangeRequests.length, 1);
});

test('a source that gives nothing holds up no other, however many clients wait for it', async t => {
	const [stuck, fine] = [Array.from({length: 12}, () => makeImage({size: 50_000})), makeImage({size: 50_000})];
	const slow = await startUpstream(t, {images: stuck});
	const fast = await startUpstream(t, {images: [fine]});
	slow.misbehave('file', {holdAt: 0});
	const mirror = await startMirror(t, {
		sources: [
			{name: 'slow', url: slow.url, transfers: 2},
			{name: 'fast', url: fast.url},
		],
		config: {transfers: {concurrent: 3}},
	});
	const answers = stuck.map(image => mirror.file(image));
	await slow.holding(2);
	await mirror.until(({transfers}) => transfers.length === stuck.length);
	t.true((await mirror.file(fine)).body.equals(fine.bytes));
	slow.release();
	for (const [at, answer] of (await Promise.all(answers)).entries()) {
		sameBytes(t, answer.body, stuck[at]?.bytes);
	}
});

test('what its clients have left gives way at its source to those who wait, and is finished after them', async t => {
	const [left, wanted] = [makeImage({size: 2_000_000}), makeImage({size: 50_000})];
	const upstream = await startUpstream(t, {images: [left, wanted]});
	upstream.misbehave('file', {holdAt: 0.5}, {times: 1});
	const mirror = await startMirror(t, {sources: [{url: upstream.url, transfers: 1}]});
	const leaving = await open(`${mirror.url}/images/${left.uuid}/file`);
	await upstream.holding();
	const waiting = mirror.file(wanted);
	await mirror.until(({transfers}) => transfers.length === 2);
	leaving.destroy();
	t.true((await waiting).body.equals(wanted.bytes));
	await mirror.idle();
	upstream.forget();
	sameBytes(t, (await mirror.file(left)).body, left.bytes);
	t.deepEqual(upstream.fileRequests, []);
});

test('wrong bytes of a small file: the client is told in words', async t => {
	const image = makeImage({size: 20_000});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {wrongBytes: 'all'}, {times: 1});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const answer = await mirror.file(image);
	t.is(answer.status, 503);
	t.like(answer.json(), {code: 'RemoteSourceError'});
	t.true((await mirror.file(image)).body.equals(image.bytes));
});

for (const [what, how] of Object.entries({
	'a longer file': {contentLength: 5},
	'a shorter file': {contentLength: -5},
	'status 500': {status: 500},
	'status 503 with HTML': {status: 503, body: 'html'},
	'HTML with status 200': {text: '<html>Please log in</html>', headers: {'Content-Type': 'text/html'}},
	'no HTTP at all': {raw: 'SSH-2.0-OpenSSH_9\r\n'},
	'a redirect to a file': {redirect: 'file:///etc/passwd'},
} as const)) {
	test(`${what} from upstream: 503 in IMGAPI's words, nothing kept, the next request is fine`, async t => {
		const image = makeImage({size: 300_000});
		const upstream = await startUpstream(t, {images: [image]});
		upstream.misbehave('file', how);
		const mirror = await startMirror(t, {sources: [upstream.url]});
		const answer = await mirror.file(image);
		t.is(answer.status, 503);
		t.like(answer.json(), {code: 'RemoteSourceError'});
		t.is(answer.headers['content-type'], 'application/json');
		await mirror.idle();
		upstream.behave();
		t.true((await mirror.file(image)).body.equals(image.bytes));
	});
}

test('the file is 404 where the source says it has none', async t => {
	const image = makeImage({size: 300_000});
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('file', {status: 404});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const answer = await mirror.file(image);
	t.is(answer.status, 404);
	t.like(answer.json(), {code: 'ResourceNotFound'});
});

test('the same file in two sources, even under other uuids: the second goes on where the first died', async t => {
	const image = makeImage({size: 2_000_000});
	const twin = makeImage({bytes: image.bytes});
	const first = await startUpstream(t, {images: [image], holdAfter: 1_000_000});
	const second = await startUpstream(t, {kind: 'static', images: [twin]});
	const mirror = await startMirror(t, {
		sources: [
			{name: 'first', url: first.url},
			{name: 'second', url: second.url, type: 'imgapi'},
		],
	});
	await mirror.until(({sources}) => sources.every(({fetchedAt}) => fetchedAt !== undefined));
	const reading = mirror.file(image);
	await first.reached(1_000_000);
	await mirror.until(({transfers}) => (transfers[0]?.written ?? 0) > 0);
	await first.stop();
	const answer = await reading;
	t.true(answer.body.equals(image.bytes));
	t.deepEqual(second.fileRequests, [twin.uuid]);
	t.regex(second.rangeRequests[0] ?? '', /^bytes=\d{6,}-$/);
	// One blob, two images.
	await mirror.idle();
	t.is((await mirror.file(twin)).headers['x-cache'], 'hit');
});

test('ranges and conditionals, on a file that is here and on one that is arriving', async t => {
	const image = makeImage({size: 1_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 500_000});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const arriving = mirror.file(image);
	await upstream.reached(500_000);
	const part = await mirror.file(image, {headers: {range: 'bytes=100-199'}});
	t.is(part.status, 206);
	t.true(part.body.equals(image.bytes.subarray(100, 200)));
	const head = await mirror.file(image, {method: 'HEAD'});
	t.like(head.headers, {'content-length': '1000000', 'x-cache': 'join'});
	upstream.release();
	await arriving;
	await mirror.idle();
	const tail = await mirror.file(image, {headers: {range: 'bytes=-10', 'if-range': `"${image.sha1}"`}});
	t.true(tail.body.equals(image.bytes.subarray(-10)));
	t.is((await mirror.file(image, {headers: {'if-none-match': `"${image.sha1}"`}})).status, 304);
	t.is((await mirror.file(image, {headers: {'if-none-match': image.sha1}})).status, 304);
	t.is((await mirror.file(image, {headers: {range: 'bytes=1000000-'}})).status, 416);
	t.is((await mirror.get(`/images/${image.uuid}/file?index=1`)).status, 404);
});

test('the very next request after a cold one is a hit, with all that a hit has', async t => {
	const image = makeImage({size: 20_000_000});
	const small = makeImage({size: 100_000, claimedSha1: undefined});
	const upstream = await startUpstream(t, {images: [image, small]});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	for (const one of [image, small]) {
		t.is((await mirror.file(one)).headers['x-cache'], 'miss');
		const {headers} = await mirror.file(one);
		t.like(headers, {'x-cache': 'hit', etag: `"${one.sha1}"`, 'content-md5': one.contentMd5});
		t.true(headers['last-modified'] !== undefined);
	}
	t.is(upstream.fileRequests.length, 2);
});

test('a HEAD of a file that is not here begins no transfer', async t => {
	const image = makeImage({size: 1_000_000});
	const upstream = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	const head = await mirror.file(image, {method: 'HEAD'});
	t.like(head.headers, {'content-length': '1000000', 'x-cache': 'miss'});
	t.deepEqual(upstream.fileRequests, []);
});

test('an old DSAPI image without SHA-1: the MD5 is checked, the SHA-1 found is enforced from then on', async t => {
	const image = makeImage({size: 300_000, claimedSha1: undefined, withMd5: true});
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image]});
	const mirror = await startMirror(t, {sources: [{url: `${upstream.url}/datasets`, name: 'old'}]});
	t.true((await mirror.file(image)).body.equals(image.bytes));
	await mirror.idle();
	t.like((await mirror.file(image)).headers, {'x-cache': 'hit', etag: `"${image.sha1}"`});
	const again = await mirror.restart();
	t.like((await again.file(image)).headers, {'x-cache': 'hit', etag: `"${image.sha1}"`});
	t.is(upstream.fileRequests.length, 1);
});

test('the request id goes through to upstream', async t => {
	const image = makeImage({size: 300_000});
	const upstream = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {sources: [upstream.url]});
	await mirror.file(image, {headers: {'x-request-id': 'my-request-17'}});
	t.is(upstream.of('file')[0]?.headers['x-request-id'], 'my-request-17');
	t.true(mirror.host.lines.some(line => line['requestId'] === 'my-request-17' || line['id'] === 'my-request-17'));
});
