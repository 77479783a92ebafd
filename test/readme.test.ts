import {readFile} from 'node:fs/promises';
import test from 'ava';
import {describeKeys} from '../src/config.js';

const read = (name: string): Promise<string> => readFile(new URL(`../../${name}`, import.meta.url), 'utf8');

test('the README explains every key of the configuration, with its default', async t => {
	const readme = await read('README.md');
	for (const {path, meaning} of describeKeys()) {
		t.true(readme.includes(`| \`${path}\` |`), `the README does not name ${path}`);
		t.true(readme.includes(meaning), `the README says something else of ${path}`);
	}
});

test('the README names every flag that takes a value', async t => {
	const readme = await read('README.md');
	const programs = await Promise.all(
		['program', 'publish-program', 'user-commands'].map(name => read(`src/cli/${name}.ts`)),
	);
	const flags = programs.flatMap(program => [...program.matchAll(/--[a-z-]+(?= [<[A-Z])/g)].map(([flag]) => flag));
	t.true(flags.length >= 20);
	for (const flag of flags) {
		t.true(readme.includes(flag), flag);
	}
});

test('the CHANGELOG begins with the version of the package', async t => {
	const {version} = JSON.parse(await read('package.json')) as {version: string};
	t.true((await read('CHANGELOG.md')).includes(`## ${version}`));
});
