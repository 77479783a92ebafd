import {readFileSync} from 'node:fs';
import {dirname} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {describeKeys, exampleConfig, readConfig, showConfig} from '../../src/config.js';

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
			at = key.endsWith('[]') ? (object[name] as unknown[])[0] : object[name];
		}
	}
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
