import test from 'ava';
import {pause} from '../../src/host.js';
import {ManualClock} from './manual-clock.js';
import {testHost} from './test-host.js';

test('timers run in the order of their times, those set on the way too', async t => {
	const clock = new ManualClock(1000);
	const ran: [string, number][] = [];
	const note = (name: string) => () => void ran.push([name, clock.now()]);
	clock.after(20, note('late'));
	clock.after(10, () => {
		note('early')();
		clock.after(5, note('nested'));
	});
	clock.after(10, note('early too'));
	clock.after(15, note('cancelled')).cancel();
	clock.after(100, note('never'));
	t.is(clock.nextInMs, 10);
	await clock.advance(50);
	t.deepEqual(ran, [
		['early', 1010],
		['early too', 1010],
		['nested', 1015],
		['late', 1020],
	]);
	t.is(clock.now(), 1050);
	t.is(clock.pending, 1);
});

test('what a timer sets off is done when advance returns', async t => {
	const clock = new ManualClock();
	let done = 0;
	const work = async (): Promise<void> => {
		for (let turn = 0; turn < 3; turn++) {
			await pause(clock, 10);
			done++;
		}
	};
	const working = work();
	await clock.advance(25);
	t.is(done, 2);
	await clock.next();
	await working;
	t.is(done, 3);
});

test('a test can wait for somebody to wait', async t => {
	const clock = new ManualClock();
	const waited = clock.timerDueIn(4000, 6000);
	clock.after(1, () => undefined);
	clock.after(5000, () => undefined);
	await waited;
	await clock.timers(2);
	t.is(clock.pending, 2);
});

test('the log is kept and can be waited for', async t => {
	const host = testHost();
	host.log.info({source: 'a'}, 'first');
	const later = host.logged(/second/);
	host.log.child({source: 'b'}).warn('the second');
	t.like(await later, {msg: 'the second', source: 'b', level: 40});
	t.like(await host.logged({source: 'a'}), {msg: 'first'});
	t.is(host.linesLike(/e/).length, 2);
	host.metrics.transfers.inc({outcome: 'done'}, 2);
	host.metrics.transfers.inc({outcome: 'failed'});
	t.is(await host.metric('imgmirror_transfers_total', {outcome: 'done'}), 2);
	t.is(await host.metric('imgmirror_transfers_total'), 3);
	t.is(await host.metric('imgmirror_store_bytes'), 0);
	const silent = testHost({logLevel: 'silent'});
	silent.log.error('no');
	t.deepEqual(silent.lines, []);
});
