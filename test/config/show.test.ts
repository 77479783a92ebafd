import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {configChanges, readConfig, showConfig} from '../../src/config.js';
import {testCertificates} from '../helpers/certificates.js';
import {tempDir} from '../helpers/temp-dir.js';
import {configFile, configOf} from './config-file.js';

test('what is shown reads back as the same configuration', async t => {
	const {certFile, keyFile, caFile} = testCertificates;
	const directory = await tempDir(t);
	writeFileSync(join(directory, 'pw'), 'x');
	const content = {
		data: 'd',
		listen: [{address: '0.0.0.0:443', tls: {certFile, keyFile}}, {address: 'unix:s', mode: '0600'}, '[::]:80'],
		basePath: '/b',
		publicUrl: 'https://x/b',
		sourceDefaults: {retries: 1, caFile},
		sources: [
			'http://a/datasets',
			{url: ['http://b', 'http://c'], channel: 'dev', bandwidth: '3 MB/s', proxy: 'none', keepFor: 'always'},
			{url: 'http://d', auth: {user: 'u', passwordFile: 'pw'}, headers: {'x-a': 'b'}, include: {name: 'x*'}},
			{url: 'http://e', hold: {seen: '3d', untilReleased: true}},
		],
		transfers: {finishAbandoned: '10 MB'},
		quarantine: {keepFor: 'never'},
		http: {clientIdleTimeout: 'never', sessionFor: '30m'},
		store: {maxSize: '1.5 TB', minFree: 0, maxUnused: '90d', highMark: '99.5%', lowMark: '7%', keepPartials: 'always'},
		scrub: {every: 'never', rate: 'none', window: '22:00-24:00'},
		prefetch: {
			concurrent: 1,
			rules: [
				{name: 'a', cron: '0 3 * * MON', publishedSince: '2026-01-31', sources: 'a', maxSize: '10 GB'},
				{name: 'b', every: '90m', publishedSince: '2026-01-31T01:00:00+01:00', version: '24.x', newest: 3},
				{name: 'c', publishedWithin: '90d', window: '06:30-7:05', bandwidth: '80 Mbit/s', exclude: {os: 'linux'}},
			],
		},
		webhooks: [
			'http://hook',
			{url: 'https://hook/x', events: ['image.*', 'source.down'], secretFile: 'pw', headers: {'x-a': 'b'}},
			{name: 'last', url: 'http://hook', retryFor: 'never', timeout: '500ms'},
		],
		page: false,
	};
	const config = await configOf(t, content, {directory});
	const shown = showConfig({file: join(directory, 'config.json'), env: {}});
	t.deepEqual(await configOf(t, shown, {directory}), config);
});

test('secrets are masked', async t => {
	const file = await configFile(t, {
		sources: [
			'http://me:hunter1@a',
			{url: 'http://b', auth: {user: 'me', password: 'hunter2'}, proxy: 'http://me:hunter3@proxy'},
			{url: 'http://c', headers: {Authorization: 'hunter4', 'X-Api-Key': 'hunter5', 'x-site': 'lab'}},
			{url: 'http://d', auth: {user: 'me', passwordEnv: 'PW'}},
		],
		webhooks: [
			{url: 'http://me:hunter7@h/?token=hunter8', secret: 'hunter9', headers: {'X-Token': 'hunter10'}},
			{url: 'http://i', secretEnv: 'PW'},
		],
	});
	const text = JSON.stringify(showConfig({file, env: {PW: 'hunter6'}}));
	t.false(text.includes('hunter'));
	t.true(text.includes('"password":"********"'));
	t.true(text.includes('"proxy":"http://********@proxy"'));
	t.true(text.includes('"Authorization":"********"'));
	t.true(text.includes('"x-site":"lab"'));
	t.true(text.includes('"passwordEnv":"PW"'));
	t.true(text.includes('"url":"http://********@h/?********"'));
	t.true(text.includes('"secret":"********"'));
	t.true(text.includes('"secretEnv":"PW"'));
});

test('what a flag or a variable has set has a comment that says so', t => {
	const shown = showConfig({
		env: {IMGMIRROR_DATA: '/d', IMGMIRROR_SOURCES: 'http://a'},
		flags: {listen: ['80'], logLevel: 'warn'},
	});
	t.like(shown, {
		'// data': 'from IMGMIRROR_DATA',
		'// listen': 'from --listen',
		'// sources': 'from IMGMIRROR_SOURCES',
		log: {'// level': 'from --log-level', level: 'warn'},
	});
	t.false(Object.hasOwn(shown, '// basePath'));
});

test('changes are told by path, in the words of the file', async t => {
	const before = await configOf(t, {
		sources: [
			{name: 'a', url: 'http://a'},
			{name: 'b', url: 'http://b'},
		],
	});
	const after = await configOf(t, {
		data: '/elsewhere',
		log: {level: 'debug'},
		listen: [8081],
		sources: [
			{name: 'b', url: 'http://b', listTtl: '10m', include: {name: 'x'}},
			{name: 'a', url: 'http://a', retries: 9},
		],
	});
	t.deepEqual(configChanges(before, after), [
		`data: ${JSON.stringify(before.data)}, now "/elsewhere"`,
		'listen: ["127.0.0.1:8080"], now ["127.0.0.1:8081"]',
		'log.level: "info", now "debug"',
		'sources.a.retries: 3, now 9',
		'sources.b.include.name: [], now ["x"]',
		'sources.b.listTtl: "5m", now "10m"',
		'order of sources: ["a","b"], now ["b","a"]',
	]);
	t.deepEqual(configChanges(before, before), []);
});

test('rules and webhooks are told apart by their names', async t => {
	const before = await configOf(t, {prefetch: {rules: [{name: 'a'}, {name: 'b'}]}, webhooks: ['http://h']});
	const after = await configOf(t, {
		prefetch: {concurrent: 5, rules: [{name: 'b', newest: 1}, {name: 'a'}]},
		webhooks: [{url: 'http://h', timeout: '5s'}],
	});
	t.deepEqual(configChanges(before, {...after, data: before.data}), [
		'prefetch.concurrent: 2, now 5',
		'prefetch.rules.b.newest: null, now 1',
		'webhooks.h.timeout: "10s", now "5s"',
	]);
	const without = await configOf(t, {prefetch: {concurrent: 5, rules: {name: 'a'}}});
	const lines = configChanges({...without, data: after.data}, after);
	t.true(lines.includes('webhooks.h.url: nothing, now "http://h/"'));
	t.true(lines.every(line => /^(?:webhooks\.h|prefetch\.rules\.b)\./.test(line)));
});

test('a source that comes or goes is a change; so is a password, though it is not shown', async t => {
	const one = readConfig({env: {}, flags: {sources: ['a=http://me:old@a']}});
	const two = readConfig({env: {}, flags: {sources: ['a=http://me:new@a', 'b=http://b']}});
	const changes = configChanges(one, two);
	t.true(changes.includes('sources.a.auth.password: "********", now "********"'));
	t.true(changes.includes('sources.b.url: nothing, now "http://b"'));
	t.true(configChanges(two, one).includes('sources.b.url: "http://b", now nothing'));
});
