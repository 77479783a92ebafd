import {createHmac} from 'node:crypto';
import test from 'ava';
import {eventTypes, type EventType} from '../../src/host.js';
import {headersOf} from '../../src/notify/message.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {Kept, hookSettings, startHook, startWebhooks, type StartedWebhooks, type Told} from './start-hook.js';

const image = {uuid: '1f32508c-e6e9-11e6-bc05-8fea9e979940', name: 'base-64', version: '16.4.1', public: true};
const minute = 60_000;

/** As the specification has it, by other means than ours. */
function expectedSignature({headers, text}: Told, key: Buffer): string {
	const hmac = createHmac('sha256', key);
	for (const part of [headers['webhook-id'], '.', headers['webhook-timestamp'], '.', text]) {
		hmac.update(String(part));
	}
	return `v1,${hmac.digest('base64')}`;
}

const outcomes = async ({host}: StartedWebhooks, hook = 'ops'): Promise<Record<string, number>> => {
	const {values} = await host.metrics.webhookDeliveries.get();
	return Object.fromEntries(
		values.filter(({labels}) => labels.hook === hook).map(({labels, value}) => [String(labels.outcome), value]),
	);
};

test('an event is posted as JSON, signed, with who tells it', async t => {
	const hook = await startHook(t);
	const key = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
	const rig = await startWebhooks(t, [hookSettings(hook.url, {secret: `whsec_${key.toString('base64')}`})]);
	rig.host.events.emit('image.cached', {image, source: 'joyent', bytes: 5});
	await rig.over(1);
	const [told] = hook.told;
	t.like(told, {method: 'POST', path: '/hook?token=s3cret'});
	t.deepEqual(told?.body, {
		type: 'image.cached',
		timestamp: '2026-01-01T00:00:00.000Z',
		data: {id: 1, type: 'image.cached', at: '2026-01-01T00:00:00.000Z', image, source: 'joyent', bytes: 5},
		mirror: {version: '1.2.3', host: 'mirror01'},
	});
	t.like(told?.headers, {
		'content-type': 'application/json',
		'content-length': String(told?.text.length),
		'user-agent': 'imgmirror/0.0.0-test',
		'webhook-timestamp': String(Date.parse('2026-01-01') / 1000),
	});
	t.is(told?.headers['accept-version'], undefined);
	t.regex(String(told?.headers['webhook-id']), /^evt_[\da-f-]{36}$/);
	t.is(told?.headers['webhook-signature'], told && expectedSignature(told, key));
	t.deepEqual(await outcomes(rig), {delivered: 1, failed: 0, 'given-up': 0, dropped: 0});
	t.is(await rig.host.metric('imgmirror_webhook_queue', {hook: 'ops'}), 0);
});

test('the signature is that of the Standard Webhooks, to their own example', t => {
	const headers = headersOf(
		'msg_p5jXN8AQM9LWM0D4loKWxJek',
		'{"test": 2432232314}',
		1_614_265_330_000,
		'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
	);
	t.is(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

test('a secret without the prefix is the key itself; without one nothing is signed', async t => {
	const [one, two] = [await startHook(t), await startHook(t)];
	const rig = await startWebhooks(t, [
		hookSettings(one.url, {name: 'one', secret: 'pässword'}),
		hookSettings(two.url, {name: 'two'}),
	]);
	rig.host.events.emit('disk.low', {});
	await rig.over(2);
	const [told] = one.told;
	t.is(told?.headers['webhook-signature'], told && expectedSignature(told, Buffer.from('pässword')));
	t.is(two.told[0]?.headers['webhook-signature'], undefined);
	t.truthy(two.told[0]?.headers['webhook-id']);
});

test('a login in the URL and headers of the configuration go along, and take the place of none of ours', async t => {
	const hook = await startHook(t);
	const rig = await startWebhooks(t, [
		hookSettings(hook.url.replace('//', '//me:p%40ss@'), {
			headers: {'X-Team': 'storage', 'Webhook-Id': 'mine', 'Content-Type': 'text/plain'},
		}),
	]);
	rig.host.events.emit('disk.low', {});
	await rig.over(1);
	t.like(hook.told[0]?.headers, {
		authorization: `Basic ${Buffer.from('me:p@ss').toString('base64')}`,
		'x-team': 'storage',
		'content-type': 'application/json',
	});
	t.regex(String(hook.told[0]?.headers['webhook-id']), /^evt_/);
	t.is(hook.told[0]?.path, '/hook?token=s3cret');
});

test('a hook that names nothing is told what is worth it; others what they name, by type or first word', async t => {
	const hooks = await Promise.all(Array.from({length: 5}, () => startHook(t)));
	const events = [[], ['source'], ['image.deleted', 'disk.low'], ['transfer'], ['transfer.progress', 'webhook']];
	const rig = await startWebhooks(
		t,
		hooks.map(({url}, n) => hookSettings(url, {name: `hook-${n}`, events: events[n] ?? []})),
	);
	const told: readonly (readonly EventType[])[] = [
		[
			'image.new',
			'image.vanished',
			'image.held',
			'image.released',
			'image.cached',
			'image.evicted',
			'image.published',
			'verification.failed',
			'source.down',
			'disk.low',
			'scrub.ended',
			'prefetch.ended',
			'bundle.imported',
		],
		['source.down', 'source.refreshed'],
		['image.deleted', 'disk.low'],
		['transfer.begun', 'transfer.ended', 'transfer.failed'],
		['transfer.progress', 'webhook.failed'],
	];
	for (const type of eventTypes) {
		if (type !== 'source.up' && type !== 'disk.ok') {
			rig.host.events.emit(type, {source: 'joyent'});
		}
	}
	await rig.over(told.flat().length);
	t.deepEqual(
		hooks.map(({types}) => types),
		told,
	);
});

test('what fails is tried again, later and later, with the same id and a signature of its own', async t => {
	const hook = await startHook(t);
	const rig = await startWebhooks(t, [hookSettings(hook.url, {secret: 'x'})]);
	const {clock, host} = rig;
	hook.next(500, 404, 302, 'cut', 503);
	host.events.emit('image.cached', {image});
	host.events.emit('disk.low', {});
	const pauses = [5000, 10_000, 20_000, 40_000, 80_000];
	for (const [n, ms] of pauses.entries()) {
		await rig.over(n + 1);
		t.deepEqual(
			hook.types,
			Array.from({length: n + 1}, () => 'image.cached'),
		);
		await clock.advance(ms - 1);
		t.is(hook.told.length, n + 1);
		await clock.advance(1);
	}
	await rig.over(pauses.length + 2);
	t.deepEqual(hook.types.slice(-2), ['image.cached', 'disk.low']);
	t.is(new Set(hook.told.slice(0, 6).map(({headers}) => headers['webhook-id'])).size, 1);
	t.is(new Set(hook.told.slice(0, 6).map(({text}) => text)).size, 1);
	t.is(new Set(hook.told.map(({headers}) => headers['webhook-signature'])).size, 7);
	for (const told of hook.told) {
		t.is(told.headers['webhook-signature'], expectedSignature(told, Buffer.from('x')));
	}
	t.deepEqual(await outcomes(rig), {delivered: 2, failed: 5, 'given-up': 0, dropped: 0});
	t.deepEqual(
		host.lines.filter(({level}) => level >= 30).map(({msg}) => msg),
		['a webhook could not be told', 'a webhook answers again'],
	);
	t.false(JSON.stringify(host.lines).includes('s3cret'));
	t.deepEqual(rig.webhooks.report(), [{name: 'ops', waiting: 0, gone: false}]);
});

test('pauses grow to an hour and no further, and no two mirrors come back at the same moment', async t => {
	const hook = await startHook(t);
	hook.manner = 500;
	let random = 0;
	const rig = await startWebhooks(t, [hookSettings(hook.url)], {random: () => random});
	rig.host.events.emit('image.cached', {image});
	const pauses: number[] = [];
	for (let n = 1; n <= 14; n++) {
		await rig.over(n);
		random = n % 2;
		// Besides it only the write of what waits may be due.
		await rig.clock.timerDueIn(3001, 4_000_000);
		await rig.clock.advance(3000);
		pauses.push((rig.clock.nextInMs ?? 0) + 3000);
		await rig.clock.next();
	}
	t.deepEqual(pauses.slice(0, 4), [3750, 12_500, 15_000, 50_000]);
	t.is(pauses.at(-2), 2_700_000);
	t.is(pauses.at(-1), 3_600_000);
});

test('a hook that asks to be left alone is', async t => {
	const hook = await startHook(t);
	const rig = await startWebhooks(t, [hookSettings(hook.url)]);
	hook.next(
		{status: 429, headers: {'retry-after': '90'}},
		{status: 503, headers: {'retry-after': '2'}},
		{
			status: 500,
			headers: {'retry-after': '9999'},
		},
	);
	rig.host.events.emit('disk.low', {});
	for (const [n, ms] of [90_000, 10_000, 20_000].entries()) {
		await rig.over(n + 1);
		await rig.clock.advance(ms - 1);
		t.is(hook.told.length, n + 1);
		await rig.clock.advance(1);
	}
	await rig.over(4);
	t.like(await outcomes(rig), {delivered: 1});
});

test('a hook that is gone is told nothing more until the configuration is read again', async t => {
	const hook = await startHook(t);
	const settings = [hookSettings(hook.url)];
	const rig = await startWebhooks(t, settings);
	const failures: unknown[] = [];
	rig.host.events.listen(({type, problem, more}) => {
		if (type === 'webhook.failed') {
			failures.push({problem, more});
		}
	});
	hook.next(410);
	rig.host.events.emit('image.cached', {image});
	rig.host.events.emit('image.evicted', {image});
	await rig.over(1);
	rig.host.events.emit('image.cached', {image});
	await rig.clock.advance(48 * 60 * minute);
	t.is(hook.told.length, 1);
	t.deepEqual(failures, [
		{
			problem: 'answered 410: it is told nothing more until the configuration is read again',
			more: {hook: 'ops', messages: 2},
		},
	]);
	t.like(rig.webhooks.report()[0], {gone: true, waiting: 0, lastProblem: 'answered 410'});
	t.deepEqual(await outcomes(rig), {delivered: 0, failed: 1, 'given-up': 2, dropped: 0});

	rig.webhooks.setSettings(settings);
	rig.host.events.emit('disk.low', {});
	await rig.over(2);
	t.deepEqual(hook.types, ['image.cached', 'disk.low']);
	t.like(rig.webhooks.report()[0], {gone: false});
});

test('a redirect leads nowhere', async t => {
	const [hook, other] = [await startHook(t), await startHook(t)];
	for (const status of [301, 302, 303, 307, 308]) {
		hook.next({status, headers: {location: other.url}});
	}
	const rig = await startWebhooks(t, [hookSettings(hook.url)]);
	rig.host.events.emit('disk.low', {});
	for (let n = 1; n <= 5; n++) {
		await rig.over(n);
		await rig.clock.advance(10 * minute);
	}
	await rig.over(6);
	t.is(other.told.length, 0);
	t.like(await outcomes(rig), {delivered: 1, failed: 5});
});

test('a hook that never answers is given up after its time, and tried again', async t => {
	const hook = await startHook(t);
	hook.next('hang');
	const rig = await startWebhooks(t, [hookSettings(hook.url, {timeoutMs: 2500})]);
	rig.host.events.emit('disk.low', {});
	await hook.received(1);
	await rig.clock.advance(2499);
	t.is(rig.host.linesLike(/could not be told/).length, 0);
	await rig.clock.advance(1);
	await rig.over(1);
	t.like(rig.host.linesLike(/could not be told/)[0], {problem: 'did not answer within 2500 ms', hook: 'ops'});
	await rig.clock.advance(5000);
	await rig.over(2);
	t.like(await outcomes(rig), {delivered: 1, failed: 1});
});

test('an answer without end was an answer', async t => {
	const hook = await startHook(t);
	hook.next('flood', 'slow');
	const rig = await startWebhooks(t, [hookSettings(hook.url)]);
	rig.host.events.emit('image.cached', {image});
	await rig.over(1);
	rig.host.events.emit('image.evicted', {image});
	await hook.received(2);
	// It says 200 and then nothing for as long as it may.
	await rig.clock.advance(10_000);
	await rig.over(2);
	t.like(await outcomes(rig), {delivered: 2, failed: 0});
});

test('one dead hook delays no other, and each hears in the order of things', async t => {
	const [dead, well] = [await startHook(t), await startHook(t)];
	dead.manner = 'hang';
	const rig = await startWebhooks(t, [
		hookSettings(dead.url, {name: 'dead'}),
		hookSettings('http://127.0.0.1:9/nobody-is-here', {name: 'away'}),
		hookSettings(well.url, {name: 'well'}),
	]);
	for (let n = 0; n < 30; n++) {
		rig.host.events.emit('image.cached', {image, bytes: n});
	}
	await well.received(30);
	t.deepEqual(
		well.told.map(({body}) => body.data['bytes']),
		Array.from({length: 30}, (_, n) => n),
	);
	t.is(dead.told.length, 1);
	t.is(rig.webhooks.report()[0]?.waiting, 30);
	t.regex((await rig.host.logged({hook: 'away', level: 40}))['problem'] as string, /^http:\/\/127\.0\.0\.1:9\/ /);
});

test('what waits too long is given up, which is told once until the hook answers again', async t => {
	const [hook, other] = [await startHook(t), await startHook(t)];
	hook.manner = 500;
	const rig = await startWebhooks(t, [
		hookSettings(hook.url, {name: 'dead', retryForMs: 60_000}),
		hookSettings(other.url, {name: 'other', events: ['webhook']}),
	]);
	const {clock, host} = rig;
	const errors = (): number => host.linesLike({level: 50}).length;
	host.events.emit('image.cached', {image, bytes: 1});
	// Tried at 0, 5, 15, 35 and 75 seconds; at the last of these it is too old, and the one that is not stays.
	await rig.over(1);
	for (const [n, ms] of [5000, 10_000, 20_000].entries()) {
		await clock.advance(ms);
		await rig.over(n + 2);
	}
	t.like(await outcomes(rig, 'dead'), {'given-up': 0, failed: 4});
	host.events.emit('image.cached', {image, bytes: 2});
	await clock.advance(40_000);
	await hook.received(5);
	await other.received(1);
	await rig.over(6);
	t.like(await outcomes(rig, 'dead'), {'given-up': 1, failed: 5});
	t.like(other.told[0]?.body.data, {
		type: 'webhook.failed',
		more: {hook: 'dead', messages: 1},
	});
	t.is(errors(), 1);
	t.is(rig.webhooks.report()[0]?.waiting, 1);

	await clock.advance(80_000);
	await hook.received(6);
	await rig.over(7);
	t.like(await outcomes(rig, 'dead'), {'given-up': 2, failed: 6});
	t.is(other.told.length, 1);
	t.is(errors(), 1);

	// It answers, and fails again: another outage.
	hook.manner = 200;
	host.events.emit('image.cached', {image, bytes: 3});
	await clock.advance(60 * minute);
	await hook.received(7);
	await rig.over(8);
	hook.manner = 500;
	host.events.emit('image.cached', {image, bytes: 4});
	await hook.received(8);
	await rig.over(9);
	await clock.advance(60_000);
	for (let n = 9; n <= 11; n++) {
		await clock.advance(60_000);
		await rig.over(n);
	}
	await other.received(2);
	t.is(errors(), 2);
});

test('with nothing to try for, it is told once', async t => {
	const hook = await startHook(t);
	hook.next(500);
	const rig = await startWebhooks(t, [hookSettings(hook.url, {retryForMs: 0})]);
	rig.host.events.emit('image.cached', {image});
	rig.host.events.emit('image.evicted', {image});
	await rig.over(1);
	t.is(rig.webhooks.report()[0]?.waiting, 0);
	rig.host.events.emit('disk.low', {});
	await rig.clock.advance(5000);
	await rig.over(2);
	t.deepEqual(hook.types, ['image.cached', 'disk.low']);
});

test('a message that a hook will not have does not keep it from the others', async t => {
	const hook = await startHook(t);
	hook.next(400, 422, 400, 413, 400);
	const rig = await startWebhooks(t, [hookSettings(hook.url)]);
	rig.host.events.emit('image.cached', {image});
	rig.host.events.emit('disk.low', {});
	for (let n = 1; n <= 5; n++) {
		await rig.over(n);
		await rig.clock.advance(80_000);
	}
	await rig.over(6);
	t.deepEqual(hook.types, [...Array.from({length: 5}, () => 'image.cached'), 'disk.low']);
	t.deepEqual(await outcomes(rig), {delivered: 1, failed: 5, 'given-up': 1, dropped: 0});
});

test('no more waits than ten thousand; the oldest go, and are counted', async t => {
	const hook = await startHook(t);
	hook.next('hang');
	const rig = await startWebhooks(t, [hookSettings(hook.url)]);
	for (let n = 0; n < 10_005; n++) {
		rig.host.events.emit('image.new', {bytes: n});
	}
	await hook.received(1);
	t.like(await outcomes(rig), {dropped: 5});
	t.is(rig.webhooks.report()[0]?.waiting, 10_000);
	t.is(rig.host.linesLike({level: 50}).length, 1);
	t.is(await rig.host.metric('imgmirror_webhook_queue'), 10_000);
	// The one that was on its way is not among those that went.
	await rig.clock.advance(10_000);
	await rig.over(1);
	await rig.clock.advance(5000);
	await hook.received(4);
	t.deepEqual(
		hook.told.slice(0, 4).map(({body}) => body.data['bytes']),
		[0, 0, 6, 7],
	);
});

test('what is not told outlives a restart, in its order and with its ids', async t => {
	const hook = await startHook(t);
	hook.manner = 503;
	const kept = new Kept();
	const one = await startWebhooks(t, [hookSettings(hook.url)], {kept});
	one.host.events.emit('image.cached', {image});
	one.host.events.emit('disk.low', {});
	await one.over(1);
	await one.webhooks.stop();
	t.is(kept.writes, 1);
	const [first] = hook.told;
	one.host.events.emit('image.evicted', {image});

	hook.manner = 200;
	const two = await startWebhooks(t, [hookSettings(hook.url)], {
		kept,
		clock: new ManualClock(one.clock.now() + 5 * minute),
	});
	await two.over(2);
	t.deepEqual(hook.types, ['image.cached', 'image.cached', 'disk.low']);
	t.is(hook.told[1]?.headers['webhook-id'], first?.headers['webhook-id']);
	t.is(hook.told[1]?.text, first?.text);
	await two.webhooks.stop();
	const three = await startWebhooks(t, [hookSettings(hook.url)], {kept});
	t.is(three.webhooks.report()[0]?.waiting, 0);
});

test('when the process just ends, what happened some seconds before is told by the next', async t => {
	const hook = await startHook(t);
	hook.manner = 503;
	const kept = new Kept();
	const one = await startWebhooks(t, [hookSettings(hook.url)], {kept});
	one.host.events.emit('image.cached', {image});
	await one.over(1);
	await one.clock.advance(3000);
	t.is(kept.writes, 1);
	one.host.events.emit('image.evicted', {image});
	one.die();

	hook.manner = 200;
	const two = await startWebhooks(t, [hookSettings(hook.url)], {kept});
	await two.over(1);
	t.deepEqual(hook.types, ['image.cached', 'image.cached']);
});

test('what waited for days while the mirror was off is tried at least once', async t => {
	const hook = await startHook(t);
	hook.manner = 503;
	const kept = new Kept();
	const one = await startWebhooks(t, [hookSettings(hook.url)], {kept});
	one.host.events.emit('image.cached', {image});
	await one.over(1);
	await one.webhooks.stop();
	hook.manner = 200;
	const two = await startWebhooks(t, [hookSettings(hook.url)], {
		kept,
		clock: new ManualClock(one.clock.now() + 10 * 24 * 60 * minute),
	});
	await two.over(1);
	t.like(await outcomes(two), {delivered: 1});
});

test('whatever stands in the file of what waits, it starts', async t => {
	const hook = await startHook(t);
	for (const text of [
		'',
		'garbage',
		'null',
		'{"version":2,"hooks":{"ops":[1]}}',
		'{"version":1,"hooks":[]}',
		'{"version":1,"hooks":{"ops":{"a":1}}}',
		'{"version":1,"hooks":{"ops":[null,3,{},{"id":"a","at":1,"event":{}},{"id":"a","at":"x","event":{"id":1,"type":"disk.low","at":"x"}}]}}',
	]) {
		const kept = new Kept();
		kept.text = text;
		const rig = await startWebhooks(t, [hookSettings(hook.url)], {kept});
		t.is(rig.webhooks.report()[0]?.waiting, 0, text);
		await rig.webhooks.stop();
		t.deepEqual([kept.aside, kept.text], [text, undefined]);
		const [line, ...more] = rig.host.linesLike({level: 40});
		t.like(line, {keptAs: 'hooks.json.unreadable'});
		t.regex(String(line?.['msg']), /cannot be read/);
		t.deepEqual(more, []);
	}
	const unreadable = new Kept();
	unreadable.unreadable = new Error('EISDIR');
	const without = await startWebhooks(t, [hookSettings(hook.url)], {kept: unreadable});
	t.like(without.host.linesLike({level: 40})[0], {problem: 'EISDIR', keptAs: 'hooks.json.unreadable'});
	const kept = new Kept();
	kept.text =
		'{"version":1,"hooks":{"ops":[{"id":"a","at":1e15,"event":{"id":1,"type":"disk.low","at":"x"}}],"other":[{"id":"b","at":1,"event":{"id":1,"type":"disk.low","at":"x"}}]}}';
	const rig = await startWebhooks(t, [hookSettings(hook.url)], {kept});
	await rig.over(1);
	t.deepEqual(hook.types, ['disk.low']);
	t.like(rig.host.linesLike({level: 40})[0], {hook: 'other', messages: 1});
});

test('a hook can be added, changed and taken away while it runs', async t => {
	const [one, two] = [await startHook(t), await startHook(t)];
	one.manner = 500;
	const rig = await startWebhooks(t, [hookSettings(one.url, {name: 'one'})]);
	rig.host.events.emit('image.cached', {image});
	await rig.over(1);

	// Where it has moved to, it is tried at once, with what it missed.
	rig.webhooks.setSettings([
		hookSettings(two.url, {name: 'one'}),
		hookSettings(two.url, {name: 'two', events: ['disk']}),
	]);
	await rig.over(2);
	t.deepEqual(two.types, ['image.cached']);
	rig.host.events.emit('disk.low', {});
	await rig.over(4);
	t.deepEqual(two.types, ['image.cached', 'disk.low', 'disk.low']);

	two.manner = 'hang';
	rig.host.events.emit('image.evicted', {image});
	await two.received(4);
	rig.webhooks.setSettings([]);
	await rig.over(5);
	rig.host.events.emit('image.cached', {image});
	t.deepEqual(rig.webhooks.report(), []);
	t.like(rig.host.linesLike(/no more was not told/)[0], {hook: 'one', messages: 1});
	t.deepEqual((await rig.host.metrics.webhookQueue.get()).values, []);
});

test('it stops at once, whoever is just not answering', async t => {
	const hook = await startHook(t);
	hook.manner = 'hang';
	const rig = await startWebhooks(t, [hookSettings(hook.url)]);
	rig.host.events.emit('source.down', {source: 'joyent'});
	rig.host.events.emit('source.up', {source: 'joyent'});
	await hook.received(1);
	await rig.webhooks.stop();
	await rig.over(1);
	t.is(rig.clock.pending, 0);
	// What was on its way, and what was held back.
	const {hooks} = JSON.parse(rig.kept.text ?? '') as {hooks: {ops: {event: {type: string}}[]}};
	t.deepEqual(
		hooks.ops.map(({event}) => event.type),
		['source.down', 'source.up'],
	);
	t.is(rig.host.linesLike(/could not be told/).length, 0);
});

test('a disk that takes nothing keeps nobody from being told', async t => {
	const hook = await startHook(t);
	const rig = await startWebhooks(t, [hookSettings(hook.url)]);
	rig.kept.fails = true;
	rig.host.events.emit('image.cached', {image});
	await rig.over(1);
	await rig.clock.advance(60_000);
	t.is(rig.host.linesLike({level: 40}).length, 1);
	rig.kept.fails = false;
	await rig.clock.advance(3000);
	t.is(rig.kept.writes, 1);
	t.deepEqual(hook.types, ['image.cached']);
});

test('much that happens is written now and then, not each by itself', async t => {
	const hook = await startHook(t);
	const rig = await startWebhooks(t, [hookSettings(hook.url)]);
	for (let n = 0; n < 50; n++) {
		rig.host.events.emit('image.cached', {image});
	}
	await rig.over(50);
	t.is(rig.kept.writes, 0);
	await rig.clock.advance(3000);
	t.is(rig.kept.writes, 1);
	t.is(rig.clock.pending, 0);
});
