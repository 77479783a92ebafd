import test from 'ava';
import {SourceUnavailableError} from '../../src/errors.js';
import {makeImage} from '../helpers/make-image.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {ask, makeAddress, openTestSource, readList, uuidOf} from './make-source.js';

for (const [kind, expected] of [
	['imgapi', 'imgapi'],
	['dsapi', 'dsapi'],
	['both', 'imgapi'],
	['static', 'imgapi'],
] as const) {
	test(`a server of kind ${kind} is taken for ${expected} by its ping`, async t => {
		const upstream = await startUpstream(t, {kind, images: [makeImage()]});
		const source = makeAddress(t, 'auto', upstream.url);

		t.is(source.kind, undefined);
		t.is((await readList(source)).images.length, 1);
		t.is(source.kind, expected);
		t.is(upstream.of('ping').length, 1);
	});
}

for (const [kind, what, how] of [
	['imgapi', 'is missing', {status: 404}],
	['imgapi', 'is HTML', {body: 'html'}],
	['imgapi', 'is no object', {text: '["pong"]'}],
	['dsapi', 'is missing', {status: 404}],
	['dsapi', 'is plain text', {text: 'pong'}],
] as const) {
	test(`a server of kind ${kind} whose ping ${what} is known by its list`, async t => {
		const upstream = await startUpstream(t, {kind, images: [makeImage()]});
		upstream.misbehave('ping', how);
		const source = makeAddress(t, 'auto', upstream.url);

		t.is((await readList(source)).images.length, 1);
		t.is(source.kind, kind);
	});
}

test('a URL that ends in /datasets is a DSAPI one without asking', async t => {
	const upstream = await startUpstream(t, {kind: 'both', images: [makeImage()]});
	const source = makeAddress(t, 'auto', `${upstream.url}/datasets`);

	t.is(source.kind, 'dsapi');
	await readList(source);
	t.deepEqual(
		upstream.requests.map(({path}) => path),
		['/datasets'],
	);
});

test('a failed attempt is not remembered as an answer', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const source = makeAddress(t, 'auto', upstream.url);

	for (const how of [{status: 503}, {status: 401}, {cutAt: 0.5}] as const) {
		upstream.misbehave('ping', how, {times: 1});
		await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});
		t.is(source.kind, undefined);
	}
	t.truthy(await source.find(uuidOf(image), ask()));
	t.is(source.kind, 'imgapi');
});

test('what is neither says so, until it is one', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('any', {body: 'html'});
	const source = makeAddress(t, 'auto', upstream.url);

	await t.throwsAsync(readList(source), {message: /answers neither like an IMGAPI nor like a DSAPI server/});
	upstream.behave();
	t.is((await readList(source)).images.length, 1);
});

test('many who ask at once cost one question, and one of them leaving ends it for nobody else', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('ping', {stallHeaders: true}, {times: 1});
	const source = makeAddress(t, 'auto', upstream.url);
	const gone = new Error('gone');
	const first = new AbortController();

	const leaving = source.find(uuidOf(image), ask(first.signal));
	const staying = Promise.all([1, 2, 3].map(() => source.find(uuidOf(image), ask())));
	await upstream.holding();
	first.abort(gone);
	await t.throwsAsync(leaving, {is: gone});
	upstream.release();

	t.is((await staying).length, 3);
	t.is(upstream.of('ping').length, 1);
});

test('closing ends an open question', async t => {
	const upstream = await startUpstream(t);
	upstream.misbehave('ping', {stallHeaders: true});
	const source = openTestSource(t, upstream.url, {type: 'auto'});

	const list = readList(source);
	await upstream.holding();
	const closed = source.close();

	await t.throwsAsync(list, {message: /being closed/});
	await closed;
});
