import test from 'ava';
import fc from 'fast-check';
import {RequestError} from '../../src/http/request-error.js';
import {parseTarget} from '../../src/http/target.js';

const uuid = '7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1';

const rows: readonly (readonly [url: string, basePath: string, path: string | undefined, query?: string])[] = [
	['/images', '', '/images'],
	['/images?a=b&c', '', '/images', 'a=b&c'],
	['/images?a=b?c', '', '/images', 'a=b?c'],
	['//images', '', '/images'],
	[`///images//${uuid}///file`, '', `/images/${uuid}/file`],
	['/images/', '', '/images'],
	['/images//', '', '/images'],
	[`/images/${uuid}/`, '', `/images/${uuid}/`],
	['/ping/', '', '/ping/'],
	['/', '', '/'],
	['*', '', '/'],
	['', '', '/'],
	['?x', '', '/', 'x'],
	[`http://any.host/datasets/${uuid}/x.zfs.gz`, '', `/datasets/${uuid}/x.zfs.gz`],
	[`HTTPS://any.host:8443/datasets/${uuid}?a=b`, '', `/datasets/${uuid}`, 'a=b'],
	['https://any.host', '', '/'],
	['https://any.host?q', '', '/', 'q'],
	['https://user@[::1]:80//ping', '', '/ping'],
	['/images#part', '', '/images'],
	['images', '', undefined],
	['/x/http://y', '', '/x/http:/y'],
	['/mirror/images', '/mirror', '/images'],
	['//mirror//images', '/mirror', '/images'],
	['/mirror/images/', '/mirror', '/images'],
	['/mirror', '/mirror', '/'],
	['/mirror/', '/mirror', '/'],
	['/mirrors/images', '/mirror', undefined],
	['/images', '/mirror', undefined],
	['/', '/mirror', undefined],
	['/ping', '/mirror', '/ping'],
	['/pings', '/mirror', undefined],
	['/datasets', '/mirror', '/datasets'],
	[`/datasets/${uuid}/x`, '/mirror', `/datasets/${uuid}/x`],
	['/datasetsx', '/mirror', undefined],
	['http://any.host/mirror/ping', '/mirror', '/ping'],
];

for (const [url, basePath, path, query = ''] of rows) {
	test(`the target ${JSON.stringify(url)} below ${JSON.stringify(basePath)} leads to ${path ?? 'nothing'}`, t => {
		const target = parseTarget(url, basePath);
		t.is(target.path, path);
		t.is(target.query, query);
	});
}

for (const url of ['/images/%zz', '/%', '/images/%f', '/%ff', '/images/%c0%ae%c0%ae', 'http://host/%E0%A4%A']) {
	test(`the target ${url} is a bad request`, t => {
		const error = t.throws(() => parseTarget(url, ''), {instanceOf: RequestError});
		t.is(error.code, 'BAD_REQUEST');
	});
}

test('a target is cut at its marks, with slashes made one, however plain it is', t => {
	const piece = fc.constantFrom('/', '//', '/a', 'b', '.', ':', '%41', '?', '#', 'http://h', '-', '~', '😀', "'", '|');
	t.notThrows(() =>
		fc.assert(
			fc.property(fc.array(piece, {maxLength: 8}), pieces => {
				const url = `/${pieces.join('')}`;
				const [asked = ''] = url.split(/[?#]/u, 1);
				const [, query = ''] = /^[^?#]*\?([^#]*)/u.exec(url) ?? [];
				const path = asked.replaceAll(/\/+/gu, '/');
				const target = parseTarget(url, '');
				t.is(target.path, path === '/images/' ? '/images' : path);
				t.is(target.query, query);
				t.is(target.asked, asked);
			}),
		),
	);
});

test('any target gives a path that starts with a slash and has none doubled, or none, or is a bad request', t => {
	t.notThrows(() =>
		fc.assert(
			fc.property(fc.string({unit: 'binary-ascii'}), fc.constantFrom('', '/mirror'), (url, basePath) => {
				try {
					const {path} = parseTarget(url, basePath);
					return path === undefined || /^\/(?!\/)/.test(path);
				} catch (error) {
					return error instanceof RequestError;
				}
			}),
			{numRuns: 2000},
		),
	);
});
