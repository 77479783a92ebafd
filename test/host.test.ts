import test from 'ava';
import {createLogger} from '../src/host.js';

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
