import {gunzipSync} from 'node:zlib';
import test from 'ava';
import type {Right} from '../../src/access/caller.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {row, storedFile, uuidNumber} from './fake-operate.js';
import {ask, startFront, type Answer} from './front.js';

const users: Readonly<Record<string, readonly Right[]>> = {reader: ['private'], pub: ['publish'], op: ['operate']};
const login = (name: string): {authorization: string} => ({authorization: basicLogin(name)});
const one = uuidNumber(1);

function codeOf(answer: Answer): string {
	return (answer.json as {code: string}).code;
}

function namesOf(answer: Answer): readonly string[] {
	return (answer.json as {name: string}[]).map(({name}) => name);
}

const reads = [
	...['/mirror/images', `/mirror/images/${one}`, '/mirror/storage', '/mirror/prefetch', '/mirror/sources'],
	...['/mirror/conflicts', '/mirror/transfers', '/mirror/failures', '/mirror/held', '/mirror/history'],
];
const writes = [
	...[`/mirror/images/${one}?action=pin`, '/mirror/evict', '/mirror/verify', '/mirror/prefetch'],
	...['/mirror/prefetch/run?rule=newest', '/mirror/refresh'],
];

test('what an operator sees is for those who may see all images', async t => {
	const {url} = await startFront(t, {access: new FakeAccess(users, {network: ['read']})});
	const lan = await startFront(t, {access: new FakeAccess({}, {network: ['read', 'private']})});
	for (const path of [...reads, '/events']) {
		const stranger = await ask(url, path);
		t.is(stranger.status, 401, path);
		t.is(codeOf(stranger), 'UnauthorizedError');
		t.is((await ask(url, path, {method: 'HEAD', headers: login('reader')})).status, 200, path);
		t.is((await ask(lan.url, path, {method: 'HEAD'})).status, 200, path);
	}
	for (const path of reads) {
		const {status, headers} = await ask(url, path, {headers: login('reader')});
		t.is(status, 200, path);
		t.is(headers['content-type'], 'application/json');
		t.regex(String(headers['cache-control']), /no-store|no-cache/, path);
		t.is(headers['access-control-allow-origin'], undefined, path);
		t.is((await ask(url, `${path}?typo=1`, {headers: login('reader')})).status, 422, path);
	}
	for (const from of [{origin: 'http://other.example'}, {'sec-fetch-site': 'cross-site'}]) {
		t.is((await ask(lan.url, '/mirror/images', {headers: from})).status, 401);
	}
});

test('what an operator does is for operators, and each act has its line in the log', async t => {
	const {url, host, operate, prefetch} = await startFront(t, {access: new FakeAccess(users)});
	for (const path of writes) {
		t.is((await ask(url, path, {method: 'POST'})).status, 401, path);
		t.is((await ask(url, path, {method: 'POST', headers: login('pub')})).status, 403, path);
	}
	t.is((await ask(url, '/mirror/log')).status, 401);
	t.is((await ask(url, '/mirror/log', {headers: login('pub')})).status, 403);
	t.deepEqual(operate.calls, []);
	t.deepEqual(prefetch.calls, []);

	const act = (path: string, body?: object): Promise<Answer> =>
		ask(url, path, {
			method: 'POST',
			headers: {...login('op'), 'x-request-id': path},
			body: body === undefined ? '' : JSON.stringify(body),
		});
	const pinned = await act(`/mirror/images/${one}?action=pin`);
	t.is(pinned.status, 200);
	t.like(pinned.json, {uuid: one, unchanged: false});
	t.deepEqual(operate.calls.at(-1), ['pin', one, {name: 'op'}, `/mirror/images/${one}?action=pin`]);
	await act(`/mirror/images/${one}?action=unpin`);
	await act(`/mirror/images/${one}?action=hold`, {note: 'it breaks lx'});
	t.deepEqual(operate.calls.at(-1), ['hold', one, 'it breaks lx', {name: 'op'}]);
	await act(`/mirror/images/${one}?action=hold`);
	t.deepEqual(operate.calls.at(-1), ['hold', one, undefined, {name: 'op'}]);
	t.deepEqual((await act(`/mirror/images/${one}?action=release`)).json, {released: [one]});
	t.deepEqual((await act('/mirror/evict', {uuids: [one, one], force: true})).json, [{uuid: one, bytes: 5}]);
	t.deepEqual(operate.calls.at(-1), ['evict', [one], {force: true}, {name: 'op'}]);
	t.deepEqual((await act('/mirror/refresh?source=upstream')).json, [
		{source: 'upstream', problem: 'it does not answer'},
	]);
	t.is((await act('/mirror/refresh?source=other')).status, 404);
	t.is((await act('/mirror/prefetch/run?rule=newest')).status, 202);
	t.is((await act('/mirror/prefetch/run?rule=other')).status, 404);
	t.is((await act('/mirror/prefetch/run')).status, 409);
	const actions = host
		.linesLike({msg: 'audit'})
		.map(line => line['audit'] as {user?: string; action: string; image?: string; status: number})
		.filter(({user}) => user === 'op');
	t.deepEqual(
		actions.map(({action, image, status}) => [action, image, status]),
		[
			['pin', one, 200],
			['unpin', one, 200],
			['hold', one, 200],
			['hold', one, 200],
			['release', one, 200],
			['evict by force', one, 200],
			['refresh upstream', undefined, 200],
			['refresh other', undefined, 404],
			['run prefetch rule newest', undefined, 202],
			['run prefetch rule other', undefined, 404],
			['run prefetch rule', undefined, 409],
		],
	);
});

test('all images of a large catalog can be named one by one', async t => {
	const {url, operate, prefetch} = await startFront(t, {access: new FakeAccess(users)});
	const act = (path: string, body: object): Promise<Answer> =>
		ask(url, path, {method: 'POST', headers: login('op'), body: JSON.stringify(body)});
	const uuids = Array.from({length: 50_000}, (_, at) => `${at.toString(16).padStart(8, '0')}${one.slice(8)}`);
	for (const [path, body] of [
		['/mirror/evict', {uuids}],
		['/mirror/verify', {uuids}],
		['/mirror/prefetch', {selection: {uuids}, dryRun: true}],
		['/mirror/export', {selection: {uuids}}],
	] as const) {
		t.is((await act(path, body)).status, 200, path);
	}
	t.deepEqual(operate.calls.find(([verb]) => verb === 'evict')?.[1], uuids);
	t.deepEqual(prefetch.calls, [['plan', {uuids}]]);
	const refused = await act('/mirror/evict', {uuids: [...uuids, one]});
	t.is(refused.status, 422);
	t.regex(refused.text, /uuids must be a list of 1 to 50000 uuids/);
});

test('what means nothing is refused before anything is done', async t => {
	const {url, operate, prefetch} = await startFront(t, {access: new FakeAccess(users)});
	for (const [path, body, status, code] of [
		[`/mirror/images/${one}`, undefined, 422, 'InvalidParameter'],
		[`/mirror/images/${one}?action=eat`, undefined, 422, 'InvalidParameter'],
		[`/mirror/images/${one}?action=pin&force=true`, undefined, 422, 'InvalidParameter'],
		[`/mirror/images/${one}?action=hold`, {reason: 'x'}, 422, 'InvalidParameter'],
		[`/mirror/images/${one}?action=hold`, {note: 5}, 422, 'InvalidParameter'],
		['/mirror/images/nouuid?action=pin', undefined, 404, 'ResourceNotFound'],
		['/mirror/evict', undefined, 422, 'InvalidParameter'],
		['/mirror/evict', [one], 422, 'InvalidParameter'],
		['/mirror/evict', {uuids: []}, 422, 'InvalidParameter'],
		['/mirror/evict', {uuids: ['x']}, 422, 'InvalidParameter'],
		['/mirror/evict', {uuids: [one], force: 'yes'}, 422, 'InvalidParameter'],
		['/mirror/evict', {uuids: Array.from({length: 50_001}, () => one)}, 422, 'InvalidParameter'],
		['/mirror/evict', '{"uuids": [', 400, 'InvalidContent'],
		['/mirror/verify', {bytesPerSecond: -1}, 422, 'InvalidParameter'],
		['/mirror/verify', {bytesPerSecond: 1.5}, 422, 'InvalidParameter'],
		['/mirror/verify', {files: 3}, 422, 'InvalidParameter'],
		['/mirror/prefetch', {}, 422, 'InvalidParameter'],
		['/mirror/prefetch', {selection: {nmae: ['x']}}, 422, 'InvalidParameter'],
		['/mirror/prefetch', {selection: {newest: 0}}, 422, 'InvalidParameter'],
		['/mirror/prefetch', {selection: {publishedSince: 'soon'}}, 422, 'InvalidParameter'],
		['/mirror/prefetch', {selection: {name: [5]}}, 422, 'InvalidParameter'],
		['/mirror/prefetch', {selection: {}, concurrent: 0}, 422, 'InvalidParameter'],
		['/mirror/prefetch', {selection: {}, dryRun: 1}, 422, 'InvalidParameter'],
		['/mirror/refresh?sources=x', undefined, 422, 'InvalidParameter'],
	] as const) {
		const answer = await ask(url, path, {
			method: 'POST',
			headers: login('op'),
			body: typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body),
		});
		t.is(answer.status, status, `${path} ${JSON.stringify(body)}: ${answer.text}`);
		t.is(codeOf(answer), code);
	}
	t.deepEqual([...operate.calls, ...prefetch.calls], []);
	for (const path of ['/mirror/images?limit=x', '/mirror/images?here=there', '/mirror/history?hours=0']) {
		t.is((await ask(url, path)).status, 422, path);
	}
	const known = (await ask(url, '/mirror/images?nmae=x')).json as {message: string; errors: object[]};
	t.regex(known.message, /no such parameter here: "nmae"; known are name, version/);
	t.deepEqual(known.errors, [{field: 'nmae', code: 'Invalid', message: 'is not known here'}]);
	const long = JSON.stringify({['k'.repeat(1_000_000)]: 1});
	const said = await ask(url, '/mirror/evict', {method: 'POST', headers: login('op'), body: long});
	t.is(said.status, 422);
	t.true(said.text.length < 1000, 'what is wrong is named, not sent back whole');
	t.is((await ask(url, `/mirror/images/${uuidNumber(77)}`)).status, 404);
	t.is((await ask(url, '/mirror/images', {method: 'DELETE'})).status, 405);
	t.is((await ask(url, '/mirror/images', {headers: {accept: 'image/png'}})).status, 406);
});

test('the list is filtered by what IMGAPI knows and by what only a mirror knows', async t => {
	const {url, operate} = await startFront(t);
	operate.images = [
		row(1, {name: 'base-64', version: '20.4', os: 'smartos', source: 'local', sources: ['local']}),
		row(2, {name: 'debian-12', type: 'lx-dataset', os: 'linux', here: 'here', pinned: true, public: false}),
		row(3, {name: 'base-32', state: 'disabled', here: 'coming', wantedBy: ['rule'], sources: ['upstream', 'other']}),
		row(4, {name: 'base', owner: uuidNumber(9), vanished: true, held: {source: 'upstream', why: 'operator'}}),
	];
	for (const [query, found] of [
		['', [1, 2, 3, 4]],
		['name=base', [4]],
		['name=~base', [1, 3, 4]],
		['name=', [1, 2, 3, 4]],
		['name=~base&version=~1.', [3, 4]],
		['os=linux', [2]],
		['type=!lx-dataset', [1, 3, 4]],
		['type=lx-dataset', [2]],
		[`owner=${uuidNumber(9)}`, [4]],
		['state=disabled', [3]],
		['state=all', [1, 2, 3, 4]],
		['public=false', [2]],
		['source=local', [1]],
		['source=other', [3]],
		['here=here', [2]],
		['here=true', [2]],
		['here=false', [1, 3, 4]],
		['here=coming', [3]],
		['pinned=true', [2]],
		['pinned=false&held=false', [1, 3]],
		['held=true', [4]],
		['wanted=true', [3]],
		['vanished=true', [4]],
		['limit=2', [1, 2]],
		['offset=3', [4]],
		['name=~base&offset=1&limit=1', [3]],
		['limit=0', [1, 2, 3, 4]],
		['offset=10', []],
	] as const) {
		const answer = await ask(url, `/mirror/images?${query}`);
		t.deepEqual(
			namesOf(answer),
			operate.images.filter((_, place) => (found as readonly number[]).includes(place + 1)).map(({name}) => name),
			query,
		);
	}
	t.is((await ask(url, '/mirror/images?name=~base&limit=1')).headers['x-total-count'], '3');
});

test('25,000 rows come whole, compressed for those who take it so, and not again to whoever has them', async t => {
	const {url, operate} = await startFront(t);
	operate.images = Array.from({length: 25_000}, (_, number) => row(number));
	let turns = 0;
	let looking = true;
	const look = (): void => {
		turns++;
		if (looking) {
			setImmediate(look);
		}
	};
	look();
	const plain = await ask(url, '/mirror/images', {method: 'HEAD'});
	looking = false;
	// Others had their turn while it was laid out.
	t.true(turns > 100, String(turns));
	const zipped = await ask(url, '/mirror/images', {headers: {'accept-encoding': 'gzip'}});
	t.is(zipped.headers['content-encoding'], 'gzip');
	t.is(zipped.headers.vary, 'Accept-Encoding');
	t.true(zipped.body.length < 2_000_000);
	const whole = await ask(url, '/mirror/images');
	t.is(whole.headers['content-encoding'], undefined);
	t.is(whole.headers['content-length'], plain.headers['content-length']);
	t.is(Number(whole.headers['content-length']), whole.body.length);
	t.true(gunzipSync(zipped.body).equals(whole.body));
	t.deepEqual(whole.json, operate.images);
	t.is(whole.text.split('\n').length, 25_002);

	for (const [answer, accept] of [
		[whole, {}],
		[zipped, {'accept-encoding': 'gzip'}],
	] as const) {
		const again = await ask(url, '/mirror/images', {
			headers: {...accept, 'if-none-match': String(answer.headers.etag)},
		});
		t.is(again.status, 304);
		t.is(again.body.length, 0);
		t.is(again.headers['x-total-count'], '25000');
	}
	t.not(whole.headers.etag, zipped.headers.etag);

	// The same images in another array are the same list; another image is not.
	operate.images = [...operate.images];
	t.is((await ask(url, '/mirror/images', {method: 'HEAD'})).headers.etag, whole.headers.etag);
	operate.images = operate.images.with(7, row(7, {here: 'here'}));
	t.not((await ask(url, '/mirror/images', {method: 'HEAD'})).headers.etag, whole.headers.etag);
});

test('clients that leave in the middle of a long list leave nothing behind', async t => {
	const {url, operate, host} = await startFront(t);
	operate.images = Array.from({length: 5000}, (_, number) => row(number));
	const leave = new AbortController();
	const asked = ask(url, '/mirror/images', {signal: leave.signal, headers: {'x-request-id': 'left'}});
	leave.abort();
	await t.throwsAsync(asked);
	t.is(((await ask(url, '/mirror/images')).json as object[]).length, 5000);
	t.deepEqual(host.linesLike({level: 50}), []);
});

test('of the files on the disk, a thousand are told unless more are asked for', async t => {
	const {url, operate} = await startFront(t);
	operate.stored = Array.from({length: 1500}, (_, number) => storedFile(number));
	const files = async (query: string): Promise<number> =>
		((await ask(url, `/mirror/storage${query}`)).json as {all: object[]}).all.length;
	t.is(await files(''), 1000);
	t.is(await files('?files=3'), 3);
	t.is(await files('?files=0'), 0);
	t.is(await files('?files=all'), 1500);
	const zipped = await ask(url, '/mirror/storage?files=all', {headers: {'accept-encoding': 'br, gzip;q=0.5'}});
	t.is(zipped.headers['content-encoding'], 'gzip');
	t.deepEqual(JSON.parse(gunzipSync(zipped.body).toString()), {
		...(await operate.storage()),
	});
	t.is((await ask(url, '/mirror/storage?files=some')).status, 422);
});

test('the last hours are a day unless it is said', async t => {
	const {url, history} = await startFront(t);
	t.like((await ask(url, '/mirror/history')).json, {stepMs: 60_000});
	await ask(url, '/mirror/history?hours=168');
	t.is((await ask(url, '/mirror/history?hours=169')).status, 422);
	t.deepEqual(history.calls, [24, 168]);
});

test('a plan is an answer, fetching is a stream of lines', async t => {
	const {url, prefetch} = await startFront(t, {access: new FakeAccess(users)});
	const fetch = (body: object): Promise<Answer> =>
		ask(url, '/mirror/prefetch', {method: 'POST', headers: login('op'), body: JSON.stringify(body)});
	const selection = {name: 'debian*', os: ['linux'], newest: 2, publishedSince: '2024-01-01', uuids: [one]};
	const asPlan = await fetch({selection, dryRun: true});
	t.like(asPlan.json, {bytesToFetch: 5});
	t.deepEqual(prefetch.calls, [['plan', {...selection, name: ['debian*']}]]);
	const asLines = await fetch({selection: {rule: 'newest'}, bytesPerSecond: 1000, concurrent: 4});
	t.is(asLines.headers['content-type'], 'application/x-ndjson');
	t.is(asLines.text.trimEnd().split('\n').length, 3);
	t.deepEqual(prefetch.calls.at(-1), ['fetch', {rule: 'newest'}, {bytesPerSecond: 1000, concurrent: 4}]);
	await fetch({selection: {}});
	t.deepEqual(prefetch.calls.at(-1), ['fetch', {}, {bytesPerSecond: 0, concurrent: 2}]);
});

test('what the mirror warns of is for those who may see all images', async t => {
	const lan = await startFront(t);
	const ready = {ready: true, problems: [], warnings: ['a source is down: upstream']};
	lan.mirror.ready = ready;
	t.deepEqual((await ask(lan.url, '/readyz')).json, {
		status: 'ready',
		problems: [],
		warnings: ['a source is down: upstream'],
	});
	const outside = await startFront(t, {access: new FakeAccess({}, {network: ['read']})});
	outside.mirror.ready = ready;
	t.deepEqual((await ask(outside.url, '/readyz')).json, {status: 'ready', problems: []});
});

test('a manifest is checked by the rules of publishing, without being published', async t => {
	const {url, mirror, host} = await startFront(t, {access: new FakeAccess({}, {network: ['read']})});
	const check = (body: unknown): Promise<Answer> =>
		ask(url, '/mirror/check', {method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body)});
	const fine = await check({name: 'x', version: '1', type: 'zone-dataset', os: 'smartos', description: 'y'});
	t.is(fine.status, 200);
	const {errors, advice} = fine.json as {errors: object[]; advice: {field: string}[]};
	t.deepEqual(errors, []);
	t.true(advice.some(({field}) => field === 'homepage'));
	t.like((await check({name: 'x', type: 'zvol', os: 'plan9', typo: 1})).json, {
		errors: [
			{field: 'typo', code: 'Invalid', message: 'is no field that servers take with such an image'},
			...[
				{field: 'version', code: 'MissingParameter'},
				{field: 'os', code: 'Invalid'},
			],
		],
	});
	t.deepEqual((await check('[]')).json, {
		errors: [{field: 'manifest', code: 'Invalid', message: 'is no JSON object'}],
		advice: [],
	});
	t.is((await check('{')).status, 400);
	t.is((await check({name: 'x'.repeat(130 * 1024)})).status, 413);
	t.is((await ask(url, '/mirror/check?x=1', {method: 'POST'})).status, 422);
	t.deepEqual(mirror.publish.calls, []);
	t.deepEqual(host.linesLike({msg: 'audit'}), []);
	const closed = await startFront(t, {access: new FakeAccess({}, {network: []})});
	t.is((await ask(closed.url, '/mirror/check', {method: 'POST'})).status, 401);
});

test('which images are taken is part of the check', async t => {
	const {url} = await startFront(t, {mode: 'private'});
	const body = JSON.stringify({name: 'x', version: '1', type: 'zone-dataset', os: 'smartos', public: true});
	const {errors} = (await ask(url, '/mirror/check', {method: 'POST', body})).json as {errors: {field: string}[]};
	t.deepEqual(
		errors.map(({field}) => field),
		['public'],
	);
});
