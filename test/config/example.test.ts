import {readFileSync} from 'node:fs';
import {dirname} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {describeKeys, exampleConfig, readConfig, showConfig} from '../../src/config.js';
import {configOf} from './config-file.js';

const file = fileURLToPath(new URL('../../../config.example.json', import.meta.url));
const text = readFileSync(file, 'utf8');

test('config.example.json is what "imgmirror config example" prints', t => {
	t.deepEqual(JSON.parse(text), exampleConfig());
	// The order counts as well: it is read by people.
	t.is(JSON.stringify(JSON.parse(text)), JSON.stringify(exampleConfig()));
});

test('it has no faults and is the same as the built-in defaults', t => {
	const {file: from, ...example} = readConfig({file, env: {}});
	const {file: none, ...builtIn} = readConfig({env: {}, directory: dirname(file)});
	t.is(from, file);
	t.is(none, undefined);
	t.deepEqual(example, builtIn);
});

test('every key that the reader knows is in it, with a comment beside', t => {
	const example: unknown = JSON.parse(text);
	for (const {path, meaning} of describeKeys()) {
		let at = example;
		const keys = path.split('.');
		for (const [index, key] of keys.entries()) {
			const name = key.replace('[]', '');
			const object = at as Record<string, unknown>;
			t.true(Object.hasOwn(object, name), path);
			if (index === keys.length - 1) {
				t.is(object[`// ${name}`], meaning);
			}
			// What stands for the keys of a list that is empty is a comment.
			at = key.endsWith('[]') ? ((object[name] as unknown[])[0] ?? object[`// ${name}[0]`]) : object[name];
		}
	}
});

test('what stands in it as a comment for an element of an empty list is one', async t => {
	const example = JSON.parse(text) as {prefetch: Record<string, unknown>} & Record<string, unknown>;
	const content = {
		prefetch: {rules: [example.prefetch['// rules[0]']]},
		webhooks: [example['// webhooks[0]']],
	};
	const {prefetch, webhooks} = await configOf(t, content);
	t.like(prefetch.rules[0], {name: 'bases', newest: 2, schedule: {kind: 'every', everyMs: 86_400_000}});
	t.like(webhooks[0], {name: 'ops', events: ['source', 'disk', 'verification.failed'], secret: undefined});
});

test('every key has a meaning of one line', t => {
	for (const {path, meaning} of describeKeys()) {
		t.regex(meaning, /^[^\n|]{5,}[.]$/, path);
	}
});

test('what is shown of the defaults is itself a configuration, and the same', t => {
	const directory = dirname(file);
	const shown = showConfig({env: {}, directory});
	t.false(Object.hasOwn(shown, 'sourceDefaults'));
	t.like(shown, {listen: ['127.0.0.1:8080'], quarantine: {keepFor: '7d', maxSize: '5 GB'}, drainTimeout: '30s'});
});
