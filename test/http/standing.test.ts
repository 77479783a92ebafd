import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';
import {setImmediate} from 'node:timers/promises';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import test, {type ExecutionContext} from 'ava';
import {StoppingError} from '../../src/errors.js';
import {nobodyAt} from '../../src/http/callers.js';
import type {Front} from '../../src/http/front.js';
import {HttpDate} from '../../src/http/http-date.js';
import {Repeats, type Repeat} from '../../src/http/repeats.js';
import {StandingAnswer, type Standing} from '../../src/http/standing.js';
import {Together} from '../../src/http/together.js';
import {parseManifest} from '../../src/image/manifest.js';
import {parseImageQuery} from '../../src/image/query.js';
import {makeImage} from '../helpers/make-image.js';
import {alike, get, Talker, type TalkerAnswer} from '../helpers/talker.js';
import {testHost} from '../helpers/test-host.js';
import {FakeAccess} from './fake-access.js';
import {settings, startFront, type FrontOptions, type StartedFront} from './front.js';

const images = Array.from({length: 40}, () => makeImage({size: 100}));
const [image] = images as [(typeof images)[0]];
const {uuid} = parseManifest(image.text);
const all = parseImageQuery(new Map(), {
	...{authenticated: false, seesPrivate: true, channel: undefined, showChannels: false},
});

function standing(bytes: number): Standing {
	return {
		answer: {status: 200, head: '', body: [Buffer.alloc(bytes)]},
		rights: new Set(),
		asked: {
			...{method: 'GET', target: {path: '/', query: '', asked: '/', belowBase: true}, route: '/'},
			...{quiet: false, headers: {}},
		},
		notes: {},
		holds: () => true,
		partsNow: undefined,
	};
}

interface Started extends StartedFront {
	readonly talker: Talker;
	/** Asks until the answers would stand if they may, and gives them. */
	readonly warmUp: (text: string) => Promise<readonly TalkerAnswer[]>;
}

/** A front whose mirror can tell at once what is in its list, and a client that stays. */
async function start(t: ExecutionContext, options: FrontOptions = {}): Promise<Started> {
	const started = await startFront(t, {images, ...options});
	const {mirror, port} = started;
	const ask = {signal: new AbortController().signal};
	mirror.foundNow = await mirror.find(uuid, ask);
	mirror.listedNow = await mirror.list(all, ask);
	// The very same each time.
	const {listedNow} = mirror;
	mirror.list = async () => {
		await mirror.called('list');
		return mirror.listedNow ?? listedNow;
	};
	mirror.tellsState = true;
	mirror.calls.splice(0);
	const talker = await Talker.open(t, port);
	return {
		...{...started, talker},
		async warmUp(text) {
			const answers: TalkerAnswer[] = [];
			for (let round = 0; round < 6; round++) {
				answers.push(await talker.ask(text));
			}
			return answers;
		},
	};
}

const oneImage = get(`/images/${uuid}`);
const theList = get('/images', 'Accept-Encoding: gzip\r\n');

for (const [what, text, verb] of [
	['a manifest', oneImage, 'find'],
	['a manifest, asked with a request id', get(`/images/${uuid}`, 'x-request-id: mine\r\n'), 'find'],
	['the head of a manifest', get(`/images/${uuid}`, '', 'HEAD'), 'find'],
	['a list, compressed', theList, 'list'],
	['the head of a list', get('/images', '', 'HEAD'), 'list'],
	['a list of datasets', get('/datasets'), 'search'],
	['the head of a list of datasets', get('/datasets?os=smartos', '', 'HEAD'), 'search'],
] as const) {
	test(`what is said again is not found again: ${what}`, async t => {
		const {mirror, talker, warmUp, host} = await start(t);
		const before = await warmUp(text);
		const calls = mirror.callsOf(verb);
		t.true(calls < 6, `${calls} calls`);
		const answers = [...before, await talker.ask(text), await talker.ask(text)];
		t.is(mirror.callsOf(verb), calls);
		const [first = {status: 0, head: '', body: ''}] = answers;
		t.is(first.status, 200);
		t.deepEqual(
			answers.map(alike),
			answers.map(() => alike(first)),
		);
		const ids = new Set(answers.map(({head}) => /^x-request-id: (.*)$/imu.exec(head)?.[1]));
		t.is(ids.size, text.includes('mine') ? 1 : 8);

		// In log and metrics it is a request like any; the last one is there once its answer is out.
		await talker.ask(get('/ping'));
		const lines = host.lines.filter(({msg, route}) => msg === 'request' && route !== '/ping');
		t.is(lines.length, 8);
		t.is(new Set(lines.map(({requestId}) => requestId)).size, ids.size);
		const [line, ...others] = lines.map((each): Record<string, unknown> => ({...each, requestId: '', time: ''}));
		for (const other of others) {
			t.deepEqual(other, line);
		}
		const [method, route] = [text.split(' ')[0] ?? '', String(line?.['route'])];
		t.is(await host.metric('imgmirror_requests_total', {method, route, status: '200'}), 8);
	});
}

test('a client that has it already is told so, again and again', async t => {
	const {mirror, talker, warmUp} = await start(t);
	const {head} = await talker.ask(oneImage);
	const etag = /^etag: (.*)$/imu.exec(head)?.[1] ?? '';
	const text = get(`/images/${uuid}`, `If-None-Match: ${etag}\r\n`);
	await warmUp(text);
	const calls = mirror.callsOf('find');
	const {status, body, head: again} = await talker.ask(text);
	t.is(mirror.callsOf('find'), calls);
	t.is(status, 304);
	t.is(body, '');
	t.regex(again, new RegExp(`^etag: ${etag}`, 'imu'));
	t.notRegex(again, /content-length/iu);
});

test('another manifest, another source, another age: what is found is said', async t => {
	const {mirror, talker, warmUp} = await start(t);
	await warmUp(oneImage);
	const calls = mirror.callsOf('find');
	const {foundNow} = mirror;
	const manifest = mirror.manifests.find(each => each.uuid !== uuid);
	for (const change of [{cache: 'stale' as const}, {source: 'other'}, {...(manifest && {manifest})}]) {
		mirror.foundNow = foundNow && {...foundNow, ...change};
		t.is((await talker.ask(oneImage)).status, 200);
	}
	t.is(mirror.callsOf('find'), calls + 3);
	// That it cannot be told now is no answer either.
	mirror.foundNow = undefined;
	await talker.ask(oneImage);
	t.is(mirror.callsOf('find'), calls + 4);
	mirror.foundNow = foundNow;
	mirror.cache = 'stale';
	// What was answered last is what stands.
	t.regex((await talker.ask(oneImage)).head, /^x-cache: hit/imu);
	t.is(mirror.callsOf('find'), calls + 4);
});

test('another list, or the same of another age: what is listed is said', async t => {
	const {mirror, talker, warmUp} = await start(t);
	await warmUp(theList);
	const calls = mirror.callsOf('list');
	const {listedNow} = mirror;
	mirror.listedNow = listedNow && {...listedNow, cache: 'stale'};
	t.regex((await talker.ask(theList)).head, /^x-cache: stale/imu);
	t.is(mirror.callsOf('list'), calls + 1);
	t.regex((await talker.ask(theList)).head, /^x-cache: stale/imu);
	t.is(mirror.callsOf('list'), calls + 1);
	mirror.listedNow = listedNow && {...listedNow, encodings: [], etag: 'another'};
	t.notRegex((await talker.ask(theList)).head, /content-encoding/iu);
	t.is(mirror.callsOf('list'), calls + 2);
});

test('another list of datasets, or the same of another age, or for others: what is listed is said', async t => {
	const access = new FakeAccess({}, {network: ['read']});
	const {mirror, talker, warmUp, front} = await start(t, {access});
	const datasets = get('/datasets');
	const [first] = await warmUp(datasets);
	t.is(mirror.callsOf('search'), 1, 'it is kept from the first on');
	mirror.cache = 'stale';
	const stale = await talker.ask(datasets);
	t.regex(stale.head, /^x-cache: stale/imu);
	t.is(stale.body, first?.body ?? '');
	t.is(mirror.callsOf('search'), 1);
	mirror.version++;
	t.is((await talker.ask(datasets)).body, first?.body ?? '');
	t.is(mirror.callsOf('search'), 2);
	// Where a client finds us is what it says.
	const elsewhere = await talker.ask(datasets.replace(/^Host: .*$/imu, 'Host: elsewhere'));
	t.is(mirror.callsOf('search'), 3);
	t.true(elsewhere.body.includes('"url": "http://elsewhere/'));
	t.is((await talker.ask(datasets)).body, first?.body ?? '');
	t.is(mirror.callsOf('search'), 3);
	access.network = ['read', 'private'];
	await talker.ask(datasets);
	t.is(mirror.callsOf('search'), 4, 'who sees more has another list');
	access.network = ['read'];
	front.setOptions({...settings, publicUrl: 'http://pub'});
	t.true((await talker.ask(datasets)).body.includes('"url": "http://pub/'));
	// It cannot be told what the list is.
	mirror.tellsState = false;
	const calls = mirror.callsOf('search');
	await talker.ask(datasets);
	await talker.ask(datasets);
	t.is(mirror.callsOf('search'), calls + 2);
});

for (const [what, text, parts] of [
	['compressed', theList, 1],
	['in parts', get('/images'), 2],
] as const) {
	test(`a list that is no more is not kept for the sake of what was answered: ${what}`, async t => {
		const {mirror, talker, warmUp} = await start(t);
		const {listedNow} = mirror;
		const only = (): WeakRef<object> => {
			const [bytes = Buffer.alloc(0)] = listedNow?.chunks() ?? [];
			const chunks = parts === 1 ? [bytes] : [bytes.subarray(0, 100), bytes.subarray(100)];
			mirror.listedNow = listedNow && {...listedNow, chunks: () => chunks};
			return new WeakRef(mirror.listedNow ?? {});
		};
		const list = only();
		const [first] = await warmUp(text);
		const calls = mirror.callsOf('list');
		t.is((await talker.ask(text)).body, first?.body ?? '');
		t.is(mirror.callsOf('list'), calls, 'it stands');
		mirror.listedNow = undefined;
		setFlagsFromString('--expose-gc');
		const collect = runInNewContext('gc') as () => void;
		for (let round = 0; round < 100 && list.deref() !== undefined; round++) {
			await setImmediate();
			collect();
		}
		t.is(list.deref(), undefined);
	});
}

test('what may be seen is looked at anew, and what was set as well', async t => {
	const access = new FakeAccess();
	const {mirror, talker, warmUp, front} = await start(t, {access});
	await warmUp(oneImage);
	const calls = mirror.callsOf('find');
	front.setOptions({...settings, basePath: ''});
	t.is((await talker.ask(oneImage)).status, 200);
	t.is(mirror.callsOf('find'), calls + 1, 'what was answered under other settings');
	t.is((await talker.ask(oneImage)).status, 200);
	t.is(mirror.callsOf('find'), calls + 1);
	access.network = [];
	t.is((await talker.ask(oneImage)).status, 401);
	access.network = ['read'];
	t.is((await talker.ask(oneImage)).status, 200);
	t.is(mirror.callsOf('find'), calls + 2);
});

test('what goes wrong is answered by who knows how', async t => {
	const {mirror, talker, warmUp} = await start(t);
	await warmUp(oneImage);
	mirror.findNow = mirror.before.find = () => {
		throw new StoppingError('the mirror is stopping');
	};
	t.is((await talker.ask(oneImage)).status, 503);
	t.is((await talker.ask(get(`/images/${uuid}`, 'Accept: text/html\r\n'))).status, 406);
});

for (const [what, text] of [
	['an error', get(`/images/${uuid}?account=x`)],
	['a condition that fails', get(`/images/${uuid}`, 'If-Match: "x"\r\n')],
	['an answer to a page of another site', get(`/images/${uuid}`, 'Origin: http://other\r\n')],
] as const) {
	test(`${what} does not stand`, async t => {
		const access = new FakeAccess();
		const {talker} = await start(t, {access});
		for (let round = 0; round < 8; round++) {
			await talker.ask(text);
		}
		t.is(access.asked.length, 8);
	});
}

test('an answer that is not taken is cut, and said to be', async t => {
	const host = testHost();
	const {clock} = host;
	let taken = 0;
	// Takes all and is never through with it.
	const socket = Object.assign(
		new Duplex({
			read: () => undefined,
			write(chunk: Buffer) {
				taken += chunk.length;
			},
		}),
		{setTimeout: () => socket},
	) as unknown as Socket;
	const front: Front = {
		...{
			host,
			date: new HttpDate(clock),
			together: new Together(),
			native: undefined,
			product: 'imgmirror/1',
			instanceId: '',
		},
		...{hostName: 'here', uploadIdleMs: () => 0},
	};
	let done = 0;
	const answer = new StandingAnswer(standing(100_000), [Buffer.alloc(100_000)], {
		...{front, socket, peer: {kind: 'tcp', address: '127.0.0.1'}},
		...{caller: nobodyAt({kind: 'tcp', address: '127.0.0.1'}), limits: {keepAliveMs: 5000, idleMs: 1000}},
		onDone: () => {
			done++;
		},
	});
	answer.start();
	// It goes out at the end of the round.
	t.is(taken, 0);
	await setImmediate();
	t.true(taken > 0);
	answer.closeAfter();
	answer.malformed();
	t.is(done, 0);
	answer.cut('the client takes nothing any more');
	answer.over();
	answer.over();
	t.is(done, 1);
	t.true(socket.destroyed);
	const [line, ...others] = host.linesLike({route: '/'});
	t.is(others.length, 0);
	t.like(line, {msg: 'answer cut short', problem: 'the client takes nothing any more', status: 200, bytes: 0});
});

test('answers are kept as long as they are not too much together', t => {
	const repeats = new Repeats();
	const known = Array.from({length: 20}, (_, at): Repeat => {
		const repeat = {
			method: 'GET',
			url: `/${at}`,
			headers: {},
			target: standing(0).asked.target,
			answer: () => undefined,
		};
		repeats.remember(`${at}`, repeat);
		return repeat;
	});
	const pick = (at: number): Repeat => {
		const [repeat] = known.slice(at);
		if (repeat === undefined) {
			throw new Error(`there is no ${at}`);
		}
		return repeat;
	};
	const kept = (): number => known.filter(repeat => repeat.standing !== undefined).length;
	for (const repeat of known.slice(0, 16)) {
		repeats.answered(repeat, standing(2 ** 20));
		repeats.answered(repeat, standing(2 ** 20));
	}
	t.is(kept(), 16);
	repeats.answered(pick(0), undefined);
	repeats.answered(pick(16), standing(2 ** 20));
	t.is(kept(), 16);
	repeats.answered(pick(17), standing(1));
	t.is(kept(), 0);
	repeats.answered(pick(18), standing(16 * 2 ** 20));
	t.is(kept(), 1);
	repeats.forgetAnswers();
	t.is(kept(), 0);

	// Who is known already is not forgotten for it.
	repeats.remember('0', {...pick(0)});
	t.is(repeats.get('0'), known[0]);
	for (let at = 0; at < 1000; at++) {
		repeats.remember(`more ${at}`, pick(0));
	}
	t.is(repeats.get('0'), undefined);
	t.is(repeats.get('more 999'), known[0]);
});
