import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {LastRuns} from '../../src/prefetch/last-runs.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';

test('when rules last ran is known after a restart, of those that there still are', async t => {
	const host = testHost();
	const file = join(await tempDir(t), 'runs.json');
	const first = new LastRuns(host, file);
	await first.read(['a', 'b']);
	first.set('a', 1000);
	first.set('b', 2000);
	first.set('gone', 3000);
	first.set('a', 4000);
	first.delete('none');
	await first.close();
	t.deepEqual(JSON.parse(await readFile(file, 'utf8')), {
		a: '1970-01-01T00:00:04.000Z',
		b: '1970-01-01T00:00:02.000Z',
		gone: '1970-01-01T00:00:03.000Z',
	});

	const second = new LastRuns(host, file);
	await second.read(['a', 'b', 'c']);
	t.deepEqual(
		['a', 'b', 'c', 'gone'].map(rule => second.get(rule)),
		[4000, 2000, undefined, undefined],
	);
	second.delete('a');
	await second.close();
	t.deepEqual(JSON.parse(await readFile(file, 'utf8')), {b: '1970-01-01T00:00:02.000Z'});
	t.deepEqual(host.lines, []);
});

test('a file that is not what it should be is as if no rule had run', async t => {
	const file = join(await tempDir(t), 'runs.json');
	for (const [text, isTold] of [
		['{', true],
		['null', false],
		['[1]', false],
		['{"a": 5}', false],
		['{"a": "never"}', false],
	] as const) {
		const host = testHost();
		await writeFile(file, text);
		const runs = new LastRuns(host, file);
		await runs.read(['a', '0']);
		t.is(runs.get('a'), undefined, text);
		t.is(host.linesLike({level: 40}).length, isTold ? 1 : 0, text);
	}
});

test('what cannot be written is told, and known all the same', async t => {
	const host = testHost();
	const runs = new LastRuns(host, join(await tempDir(t), 'nowhere', 'runs.json'));
	runs.set('a', 1000);
	await runs.close();
	t.is(runs.get('a'), 1000);
	t.is(host.linesLike(/cannot be written down/).length, 1);
});

test('without a file it lasts as long as the process', async t => {
	const runs = new LastRuns(testHost(), undefined);
	await runs.read(['a']);
	runs.set('a', 1000);
	await runs.close();
	t.is(runs.get('a'), 1000);
});
