import test from 'ava';
import {datasetPath} from '../../src/image/dataset.js';
import {parseManifest} from '../../src/image/manifest.js';
import {makeImage} from '../helpers/make-image.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ask, startFront} from './front.js';

test('requests for files are counted by where the bytes came from, and nothing else is', async t => {
	const image = makeImage({size: 100_000});
	const {url, mirror, host} = await startFront(t, {images: [image]});
	const file = `/images/${image.uuid}/file`;
	let requests = 0;
	const counted = async (path: string, options: Parameters<typeof ask>[2] = {}): Promise<number> => {
		const before = await host.metric('imgmirror_file_requests_total');
		const requestId = `request-${++requests}`;
		await ask(url, path, {...options, headers: {...options.headers, 'x-request-id': requestId}});
		await host.logged({requestId});
		return (await host.metric('imgmirror_file_requests_total')) - before;
	};

	mirror.cache = 'miss';
	mirror.cacheOnceOpen = 'join';
	t.is(await counted(file), 1);
	t.is(await host.metric('imgmirror_file_requests_total', {cache: 'join'}), 1);
	mirror.cache = 'hit';
	mirror.cacheOnceOpen = undefined;
	t.is(await counted(file, {headers: {range: 'bytes=10-'}}), 1);
	const path = datasetPath(parseManifest(image.text), 0);
	t.is(await counted(`/datasets/${image.uuid}/${path}`), 1);
	t.is(await counted(`/assets/${path}`), 1);
	t.is(await host.metric('imgmirror_file_requests_total', {cache: 'hit'}), 3);

	t.is(await counted(file, {method: 'HEAD'}), 0);
	t.is(await counted(file, {headers: {'if-none-match': `"${image.sha1}"`}}), 0);
	t.is(await counted(file, {headers: {range: 'bytes=100000-'}}), 0);
	t.is(await counted(`${file}?index=7`), 0);
	t.is(await counted(`/images/${image.uuid}`), 0);
	t.is(await counted('/images'), 0);
	t.is(await counted('/datasets'), 0);
});

test('what clients send is counted as it comes', async t => {
	const {url, host} = await startFront(t, {access: new FakeAccess({pub: ['publish']})});
	const body = JSON.stringify({name: 'x'.repeat(1000)});
	await ask(url, '/images', {
		method: 'POST',
		body,
		headers: {'content-type': 'application/json', 'x-request-id': 'sent', authorization: basicLogin('pub')},
	});
	await host.logged({requestId: 'sent'});
	t.is(await host.metric('imgmirror_received_bytes_total'), body.length);
});
