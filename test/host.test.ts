import test from 'ava';
import {createLogger, Events, eventTypes, Metrics} from '../src/host.js';
import {ManualClock} from './helpers/manual-clock.js';

test('a text line has a word for each field, also of what is grouped', t => {
	const lines: string[] = [];
	const log = createLogger({level: 'info', format: 'text', write: line => lines.push(line)});
	log.info({audit: {user: 'alice', outcome: 'not so', status: 200}, ms: 3, ids: ['a']}, 'audit');
	t.is(
		lines.join('').replace(/^\S+ /, ''),
		'info  audit audit.user=alice audit.outcome="not so" audit.status=200 ms=3 ids="[\\"a\\"]"\n',
	);
});

test('a failure comes with its stack, on lines of its own', t => {
	const lines: string[] = [];
	const log = createLogger({level: 'info', format: 'text', write: line => lines.push(line)});
	log.error({err: new Error('broken')}, 'no luck');
	t.regex(lines.join(''), /error no luck \nError: broken\n {4}at /);
});

test('counters whose labels are known stand at 0 before anything has happened', async t => {
	const text = await new Metrics().registry.metrics();
	for (const line of [
		'imgmirror_client_bytes_total{cache="hit"} 0',
		'imgmirror_file_requests_total{cache="pass"} 0',
		'imgmirror_transfers_total{outcome="failed"} 0',
		'imgmirror_disk_errors_total{code="ENOSPC"} 0',
		'imgmirror_evictions_total{reason="age"} 0',
		'imgmirror_evicted_bytes_total{reason="limit"} 0',
		'imgmirror_scrub_failures_total{outcome="lost"} 0',
		'imgmirror_scrubbed_bytes_total 0',
		'imgmirror_events_total{type="source.down"} 0',
		'imgmirror_transfers_background{state="waiting"} 0',
		'imgmirror_disk_low 0',
	]) {
		t.true(text.split('\n').includes(line), line);
	}
});

test('metrics are named as Prometheus has it, and each says what it is', async t => {
	const all = await new Metrics().registry.getMetricsAsJSON();
	t.true(all.length > 40);
	for (const {name, help, type} of all) {
		t.regex(name, /^imgmirror_[a-z][a-z0-9_]*[a-z]$/, name);
		t.is(name.endsWith('_total'), String(type) === 'counter', `${name} is a ${type}`);
		t.false(/_(ms|mb|kb|minutes|percent)(_|$)/.test(name), name);
		t.regex(help, /^\p{Lu}[^\n]*\.$|^1 [^\n]*\.$/u, name);
		t.true(String(type) !== 'histogram' || name.endsWith('_seconds'), name);
	}
});

test('every event is counted, by its type', async t => {
	const metrics = new Metrics();
	const events = new Events(new ManualClock());
	const stop = metrics.countEvents(events);
	for (const type of [...eventTypes, 'disk.low'] as const) {
		events.emit(type);
	}
	stop();
	events.emit('disk.low');
	const {values} = await metrics.events.get();
	t.deepEqual(
		Object.fromEntries(values.map(({labels, value}) => [labels.type, value])),
		Object.fromEntries(eventTypes.map(type => [type, type === 'disk.low' ? 2 : 1])),
	);
});
