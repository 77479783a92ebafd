import test from 'ava';
import fc from 'fast-check';
import {
	acceptsJson,
	checkVersion,
	encodingFor,
	encodingsFor,
	knowsChannels,
	namesHtml,
	namesJson,
} from '../../src/http/negotiate.js';

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

test('an encoding is chosen only of those that are named and not refused', t => {
	for (const [header, offered, chosen] of [
		[undefined, ['gzip'], undefined],
		['', ['gzip'], undefined],
		['gzip', ['gzip'], 'gzip'],
		['GZIP;q=1.0', ['gzip'], 'gzip'],
		['deflate, gzip;q=0.1', ['br', 'gzip'], 'gzip'],
		['gzip, deflate, br, zstd', ['br', 'gzip'], 'br'],
		['gzip;q=0', ['gzip'], undefined],
		['*', ['gzip'], 'gzip'],
		['*;q=0', ['gzip'], undefined],
		['gzip;q=0, *', ['gzip'], undefined],
		['identity', ['gzip'], undefined],
		['br', [], undefined],
	] as const) {
		t.is(encodingFor(header, offered), chosen, header);
	}
	fc.assert(
		fc.property(fc.string(), fc.constantFrom('br', 'gzip'), (junk, name) => {
			const chosen = encodingFor(`${junk},${name};q=0`, ['br', 'gzip']);
			return chosen !== name && (chosen === undefined || junk.includes('*') || junk.toLowerCase().includes(chosen));
		}),
	);
	t.pass();
});

test('encodings come in the order in which they are liked', t => {
	const both = ['br', 'gzip'] as const;
	for (const [header, taken] of [
		[undefined, ['identity', 'br', 'gzip']],
		['', ['identity']],
		['gzip, br', ['br', 'gzip', 'identity']],
		['gzip, br;q=0.9', ['gzip', 'br', 'identity']],
		['gzip;q=0.2, identity;q=0.5', ['identity', 'gzip']],
		['gzip, identity', ['gzip', 'identity']],
		['gzip;q=nonsense', ['gzip', 'identity']],
		['gzip;q=7;x=y', ['gzip', 'identity']],
		['br; Q=0.001', ['br', 'identity']],
		['br;q=0.000', ['identity']],
		['*;q=0.5', ['br', 'gzip', 'identity']],
		['*;q=0', ['identity']],
		['identity;q=0', ['identity']],
		['identity;q=0, br', ['br']],
		['*;q=0, gzip', ['gzip']],
		['deflate, *;q=0', ['identity']],
	] as const) {
		t.deepEqual(encodingsFor(header, both), taken, header);
	}
	t.notThrows(() =>
		fc.assert(
			fc.property(fc.string(), header => {
				const taken = encodingsFor(header, both);
				return taken.length > 0 && new Set(taken).size === taken.length;
			}),
		),
	);
});

test('channels are known to those who take the second version', t => {
	for (const [header, knows] of [
		[undefined, false],
		['', false],
		['~1', false],
		['~2', true],
		['*', true],
		['~1||~2', true],
		['>=1.5', true],
		['1.x', false],
		['nonsense', false],
	] as const) {
		t.is(knowsChannels(header), knows, header);
	}
});

test('browsers are told by the HTML that they name', t => {
	t.true(namesHtml('text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'));
	t.false(namesHtml('*/*'));
	t.false(namesHtml('application/json'));
	t.false(namesHtml(undefined));
	t.false(namesHtml('text/html;q=0'));
});
