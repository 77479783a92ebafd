import test from 'ava';
import {acceptsJson, checkVersion, namesJson} from '../../src/http/negotiate.js';

for (const range of [
	undefined,
	'',
	' ',
	'*',
	'~2',
	'~1',
	'2',
	'1',
	'2.0.0',
	'>=2',
	'>=1 <3',
	'~1||~2',
	'1.x',
	'^1.0.0',
]) {
	test(`Accept-Version ${JSON.stringify(range ?? 'left out')} is served`, t => {
		t.notThrows(() => checkVersion(range));
	});
}

for (const range of ['~99', '3', '<1', '>2', 'two', '2.0.0.0', '~', 'x'.repeat(300), '*||'.repeat(1000)]) {
	test(`Accept-Version ${JSON.stringify(range.slice(0, 20))} is refused`, t => {
		t.throws(() => checkVersion(range), {code: 'INVALID_VERSION'});
	});
}

const accepts: readonly (readonly [header: string | undefined, json: boolean, byName: boolean])[] = [
	[undefined, true, false],
	['', true, false],
	['*/*', true, false],
	['application/json', true, true],
	['Application/JSON; charset=utf-8', true, true],
	['application/*', true, false],
	['text/plain', true, false],
	['text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2', true, false],
	['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true, false],
	['application/octet-stream', true, false],
	['application/xml, application/json;q=0.1', true, true],
	['nonsense', true, false],
	['application/xml', false, false],
	['text/html', false, false],
	['image/*', false, false],
	['*/*;q=0', false, false],
	['application/json;q=0, */*', false, false],
	['application/json;q=0.000', false, false],
];

for (const [header, json, byName] of accepts) {
	test(`Accept ${JSON.stringify(header ?? 'left out')} ${json ? 'takes' : 'excludes'} JSON`, t => {
		t.is(acceptsJson(header), json);
		t.is(namesJson(header), byName);
	});
}
