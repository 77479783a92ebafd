import test from 'ava';
import fc from 'fast-check';
import {createLogger, LogTail, type LogEntry, type LogLevel} from '../src/host.js';

function started(options: ConstructorParameters<typeof LogTail>[0] = {}, level: LogLevel = 'info') {
	const written: string[] = [];
	const tail = new LogTail(options);
	const log = createLogger({level, format: 'text', write: line => written.push(line), tail});
	return {tail, log, written};
}

const words = (entries: readonly LogEntry[]): (string | undefined)[] => entries.map(({msg}) => msg);

test('the tail has what the log has, as objects, whatever the log looks like', t => {
	const {tail, log, written} = started();
	log.info({image: 'x', audit: {user: 'alice'}}, 'one');
	log.debug('not let through');
	log.error({err: new Error('broken')}, 'two');
	const [one, two, ...more] = tail.lines();
	t.like(one, {level: 30, msg: 'one', image: 'x', audit: {user: 'alice'}});
	t.regex(String(one?.time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
	t.like(two, {level: 50, msg: 'two', err: {message: 'broken'}});
	t.deepEqual(more, []);
	t.is(written.length, 2);
	t.true(written[0]?.includes(' info  one image=x audit.user=alice'));
});

test('with another level the tail has more, or less', t => {
	const {tail, log} = started({}, 'warn');
	log.info('no');
	log.warn('yes');
	log.level = 'debug';
	log.debug('now');
	t.deepEqual(words(tail.lines()), ['yes', 'now']);
});

test('lines are had from a level upwards, and the last ones of them', t => {
	const {tail, log} = started({}, 'trace');
	for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'info', 'warn'] as const) {
		log[level](level);
	}
	t.deepEqual(words(tail.lines({level: 'warn'})), ['warn', 'error', 'fatal', 'warn']);
	t.deepEqual(words(tail.lines({level: 'warn', last: 2})), ['fatal', 'warn']);
	t.deepEqual(words(tail.lines({last: 3})), ['fatal', 'info', 'warn']);
	t.deepEqual(words(tail.lines({level: 'silent'})), []);
	t.deepEqual(words(tail.lines({last: 0})), []);
});

test('who listens is told at once, in order, until it stops listening', t => {
	const {tail, log} = started();
	const heard: (string | undefined)[] = [];
	const stop = tail.listen(({msg}) => heard.push(msg));
	log.info('one');
	t.deepEqual(heard, ['one']);
	log.info('two');
	stop();
	log.info('three');
	t.deepEqual(heard, ['one', 'two']);
	t.is(tail.lines().length, 3);
});

test('a listener that throws, or logs, harms nobody', t => {
	const {tail, log, written} = started();
	const heard: (string | undefined)[] = [];
	tail.listen(() => {
		log.info('I have heard something');
	});
	tail.listen(() => {
		throw new Error('no');
	});
	tail.listen(({msg}) => heard.push(msg));
	log.info('one');
	log.info('two');
	t.deepEqual(heard, ['one', 'two']);
	t.deepEqual(words(tail.lines()), ['one', 'I have heard something', 'two', 'I have heard something']);
	t.is(written.length, 4);
});

test('one endless line takes the room of no other', t => {
	const {tail, log, written} = started();
	log.info('before');
	log.warn({dump: 'x'.repeat(3_000_000)}, 'y'.repeat(5000));
	const [before, long] = tail.lines();
	t.is(before?.msg, 'before');
	t.is(long?.level, 40);
	t.is(long?.msg, `${'y'.repeat(1000)}…`);
	t.true(Number(long?.['charactersLeftOut']) > 3_000_000);
	t.true((written[1]?.length ?? 0) > 3_000_000);
});

test('it never holds more than it may, and always the newest', t => {
	fc.assert(
		fc.property(
			fc.array(fc.integer({min: 0, max: 400}), {maxLength: 60}),
			fc.integer({min: 1, max: 20}),
			fc.integer({min: 100, max: 3000}),
			(sizes, lines, maxBytes) => {
				const tail = new LogTail({lines, maxBytes});
				const all = sizes.map((size, n) => JSON.stringify({level: 30, time: 't', msg: `${n} ${'x'.repeat(size)}`}));
				for (const line of all) {
					tail.feed(`${line}\n`);
				}
				const kept = tail.lines().map(entry => JSON.stringify(entry));
				t.deepEqual(kept, kept.length === 0 ? [] : all.slice(-kept.length));
				t.true(kept.length <= lines);
				t.true(kept.length <= 1 || kept.join('').length <= maxBytes);
				// And no less than fits.
				const next = all[all.length - kept.length - 1];
				t.true(next === undefined || kept.length === lines || kept.join('').length + next.length > maxBytes);
			},
		),
	);
});
