/**
 * The older server's tar of one image: for whoever may have its file, and nobody else.
 */
import {randomUUID} from 'node:crypto';
import test from 'ava';
import {attachment} from '../../src/http/header-text.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {tarBytes} from './fake-airgap.js';
import {ask, startFront} from './front.js';

const readers = (): FakeAccess => new FakeAccess({viewer: ['private']}, {network: ['read']});

test('anybody gets the tar of a public image, whole or in part', async t => {
	const image = makeImage();
	const {url, airgap} = await startFront(t, {images: [image], access: readers()});
	airgap.tar.fileName = 'base-64-1.0.tar';
	const {status, headers, body} = await ask(url, `/api/export/${image.uuid}`);
	t.is(status, 200);
	sameBytes(t, body, tarBytes(0, 25_000));
	t.like(headers, {
		'content-type': 'application/x-tar',
		'content-disposition': 'attachment; filename="base-64-1.0.tar"',
		'access-control-allow-origin': '*',
		'x-source': 'upstream',
	});
	t.deepEqual(airgap.dsapid, [image.uuid]);
	const part = await ask(url, `/api/export/${image.uuid}`, {headers: {range: 'bytes=24990-'}});
	t.is(part.status, 206);
	sameBytes(t, part.body, tarBytes(24_990, 25_000));
	const head = await ask(url, `/api/export/${image.uuid}`, {method: 'HEAD'});
	t.is(head.headers['content-length'], '25000');
	t.is(airgap.tar.reads.length, 2);
	t.is(airgap.tar.closed, 3);
	// Whoever has no right here is no worse off for a wrong login.
	const wrong = {authorization: basicLogin('viewer', 'wrong')};
	t.is((await ask(url, `/api/export/${image.uuid}`, {headers: wrong})).status, 200);
	t.is((await ask(url, `/api/export/${image.uuid}`, {method: 'POST'})).status, 405);
});

test('what somebody may not see is not there, in the words of datasets', async t => {
	const image = makeImage({public: false});
	const bare = makeImage({extra: {files: undefined}, state: 'unactivated'});
	const {url, airgap} = await startFront(t, {images: [image, bare], access: readers()});
	const told = async (id: string): Promise<unknown> => {
		const answer = await ask(url, `/api/export/${id}`);
		t.is(answer.status, 404, id);
		return answer.json;
	};
	const unknown = randomUUID();
	t.deepEqual(await told(unknown), {
		...{code: 'ResourceNotFound', message: `image ${unknown} not found`},
		error: {message: `image ${unknown} not found`, code: 404},
	});
	t.deepEqual(await told(image.uuid), {
		...{code: 'ResourceNotFound', message: `image ${image.uuid} not found`},
		error: {message: `image ${image.uuid} not found`, code: 404},
	});
	await told('no-uuid');
	await told('..%2f..%2fetc%2fpasswd');
	await told(bare.uuid);
	t.deepEqual(airgap.dsapid, []);
	const headers = {authorization: basicLogin('viewer')};
	t.is((await ask(url, `/api/export/${image.uuid}`, {headers})).status, 200);
	t.is((await ask(url, `/api/export/${image.uuid}?account=${randomUUID()}`, {headers})).status, 404);
	t.is((await ask(url, `/api/export/${image.uuid}?account=x`, {headers})).status, 422);
	t.deepEqual(airgap.dsapid, [image.uuid]);
});

test('where reading needs a login, this does as well', async t => {
	const image = makeImage();
	const {url, airgap} = await startFront(t, {images: [image], access: new FakeAccess({}, {network: []})});
	t.is((await ask(url, `/api/export/${image.uuid}`)).status, 401);
	t.deepEqual(airgap.dsapid, []);
});

test('any name can be saved under', t => {
	t.is(attachment('base-1.0.tar'), 'attachment; filename="base-1.0.tar"');
	t.is(attachment('a"b.tar'), `attachment; filename="a'b.tar"; filename*=UTF-8''a%22b.tar`);
	t.is(attachment('a/../b\\c\r\nd.tar'), 'attachment; filename="a_.._b_c__d.tar"');
	t.is(attachment('bär (1)*.tar'), `attachment; filename="b?r (1)*.tar"; filename*=UTF-8''b%C3%A4r%20%281%29%2a.tar`);
	t.is(attachment('\uD800.tar'), `attachment; filename="?.tar"; filename*=UTF-8''%EF%BF%BD.tar`);
});
