import {mkdirSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {readConfig} from '../../src/config.js';
import {ConfigError} from '../../src/errors.js';
import {tempDir} from '../helpers/temp-dir.js';
import {configFile, configOf, faultsOf} from './config-file.js';

const minute = 60_000;
const day = 24 * 60 * minute;

test('with nothing configured, the public image servers are fronted on loopback', async t => {
	const directory = await tempDir(t);
	const config = readConfig({env: {}, directory});
	const [source] = config.sources;
	t.is(config.file, undefined);
	t.is(config.data, join(directory, 'data'));
	t.deepEqual(config.listen, [
		{address: '127.0.0.1:8080', host: '127.0.0.1', port: 8080, path: undefined, mode: undefined, tls: undefined},
	]);
	t.is(config.sources.length, 1);
	t.is(source?.name, 'smartos');
	t.is(source?.type, 'imgapi');
	t.deepEqual(source?.urls, ['https://images.smartos.org', 'https://images.joyent.com']);
	t.deepEqual(
		[source?.listTtlMs, source?.missingTtlMs, source?.keepForMs, source?.retries, source?.bandwidth, source?.proxy],
		[5 * minute, minute, 30 * day, 3, 0, 'env'],
	);
	t.deepEqual(config.transfers, {concurrent: 8, finishAbandonedBytes: Infinity, patienceMs: 20_000});
	t.deepEqual(config.quarantine, {keepForMs: 7 * day, maxBytes: 5e9});
	t.deepEqual(source?.hold, {publishedMs: 0, seenMs: 0, untilReleased: false});
	t.deepEqual(config.store, {
		maxBytes: Infinity,
		minFreeBytes: -1,
		maxUnusedMs: 100 * 365 * day,
		highMark: 0.95,
		lowMark: 0.9,
		keepPartialsMs: 7 * day,
	});
	t.deepEqual(config.scrub, {everyMs: 30 * day, bytesPerSecond: 20e6, window: undefined});
	t.deepEqual(config.prefetch, {concurrent: 2, rules: []});
	t.deepEqual([config.webhooks, config.page, config.http.sessionMs], [[], true, day / 2]);
	t.deepEqual(config.environment, {httpProxy: undefined, httpsProxy: undefined, noProxy: undefined});
});

test('no file is read that nobody named', async t => {
	const directory = await tempDir(t);
	for (const name of ['imgmirror.json', 'config.json']) {
		writeFileSync(join(directory, name), '{"basePath": "/found"}');
	}
	t.is(readConfig({env: {}, directory}).basePath, '');
});

test('a file with nothing in it is told of without a line that is not there', async t => {
	for (const text of ['', ' \n\t\n', '\uFEFF']) {
		t.deepEqual(await faultsOf(t, text), ['expected an object with keys, got an empty file; without any, write {}']);
	}
	const [fault] = await faultsOf(t, '{"page":\n');
	t.regex(fault ?? '', /^line 2, column 1: .*got the end of the file$/);
});

test('a path of nothing is no directory', async t => {
	const error = t.throws(() => readConfig({file: '', env: {}}), {instanceOf: ConfigError});
	t.is(error.message, 'the configuration: 1 fault');
	t.deepEqual(error.faults, [
		'--config: expected the path of a file, got ""; without --config nothing but the defaults is read',
	]);
	t.is(readConfig({env: {IMGMIRROR_CONFIG: ''}, directory: await tempDir(t)}).file, undefined);
});

test('an empty object is the same as no file', async t => {
	const directory = await tempDir(t);
	const {file, ...fromFile} = await configOf(t, {}, {directory});
	const {file: none, ...builtIn} = readConfig({env: {}, directory});
	t.is(file, join(directory, 'config.json'));
	t.is(none, undefined);
	t.deepEqual(fromFile, builtIn);
});

test('every simple key reaches its place', async t => {
	const config = await configOf(t, {
		'//': 'anything',
		data: '/var/imgmirror',
		listen: ['0.0.0.0:80', 'unix:/run/imgmirror.sock'],
		basePath: '/mirror/',
		publicUrl: 'https://images.example.com/mirror/',
		log: {'// level': 'loud', level: 'debug', format: 'json'},
		sources: [],
		transfers: {concurrent: 3, finishAbandoned: '1 GB', patience: 'never'},
		quarantine: {keepFor: 'always', maxSize: 0},
		http: {headersTimeout: '10s', keepAliveTimeout: '1m', clientIdleTimeout: 'never', maxHeaderSize: '32 KiB'},
		drainTimeout: 0,
		datasets: {cloudName: 'lab', creatorName: 'me'},
	});
	t.like(config, {
		data: '/var/imgmirror',
		basePath: '/mirror',
		publicUrl: 'https://images.example.com/mirror',
		log: {level: 'debug', format: 'json'},
		sources: [],
		transfers: {concurrent: 3, finishAbandonedBytes: 1e9, patienceMs: 0},
		quarantine: {keepForMs: 100 * 365 * day, maxBytes: 0},
		http: {headersTimeoutMs: 10_000, keepAliveTimeoutMs: minute, clientIdleTimeoutMs: 0, maxHeaderBytes: 32_768},
		drainTimeoutMs: 0,
		datasets: {cloudName: 'lab', creatorName: 'me'},
	});
	t.deepEqual(
		config.listen.map(({address}) => address),
		['0.0.0.0:80', 'unix:/run/imgmirror.sock'],
	);
});

test('all faults are reported at once, in the order of the file, with their lines', async t => {
	const faults = await faultsOf(
		t,
		`{
			"port": 8080,
			"data": 5,
			"log": {"level": "verbose", "formt": "json"},
			"sources": [
				{"uri": "https://images.example.com"},
				"images.example.com",
				{"url": "http://10.0.0.1", "listTtl": 15, "retries": "3"}
			]
		}`,
	);
	t.deepEqual(faults, [
		'port (line 2): expected a known key, got "port"; did you mean "listen"?',
		'data (line 3): expected a path, absolute or relative to the configuration file, got 5',
		'log.formt (line 4): expected a known key, got "formt"; did you mean "format"?',
		'log.level (line 4): expected "trace", "debug", "info", "warn", "error", "fatal" or "silent", got "verbose"',
		'sources[0].url (line 6): expected an http or https URL such as "https://images.example.com", or an array of at least 1, got nothing',
		'sources[0].uri (line 6): expected a known key, got "uri"; did you mean "url"?',
		'sources[1].url (line 7): expected an http or https URL such as "https://images.example.com", got "images.example.com"; did you mean "https://images.example.com"?',
		'sources[2].listTtl (line 8): expected a duration such as "500ms", "30s", "15m", "1h30m" or "30 days", got 15; the unit is missing: write "15s" or "15m"',
		'sources[2].retries (line 8): expected a whole number from 0 to 100, got "3"; write it without quotes',
	]);
});

const unknownKeys: Readonly<Record<string, readonly [config: object, suggestion: string]>> = {
	host: [{host: '::'}, 'listen'],
	dataDir: [{dataDir: '/x'}, 'data'],
	data_dir: [{data_dir: '/x'}, 'data'],
	sorces: [{sorces: []}, 'sources'],
	upstreams: [{upstreams: []}, 'sources'],
	public_url: [{public_url: 'x'}, 'publicUrl'],
	logLevel: [{logLevel: 'info'}, 'log.level'],
	level: [{level: 'info'}, 'log.level'],
	listTtl: [{listTtl: '5m'}, 'sources[].listTtl'],
	maxSize: [{maxSize: 1}, 'store.maxSize'],
	rules: [{rules: []}, 'prefetch.rules'],
	cron: [{prefetch: {cron: '@daily'}}, 'rules[].cron'],
	maxAge: [{store: {maxAge: '1d'}}, 'maxUnused'],
	minAge: [{sources: [{url: 'http://a', minAge: '7d'}]}, 'hold'],
	schedule: [{prefetch: {rules: [{name: 'a', schedule: '@daily'}]}}, 'cron'],
	hooks: [{hooks: []}, 'webhooks'],
	ui: [{ui: false}, 'page'],
	sessionTimeout: [{sessionTimeout: '1h'}, 'http.sessionFor'],
	'ttl of a source': [{sources: [{url: 'http://a', ttl: '5m'}]}, 'listTtl'],
	'password of a source': [{sources: [{url: 'http://a', password: 'x'}]}, 'auth.password'],
	'cert of a listener': [{listen: [{address: '1', tls: {cert: 'x'}}]}, 'certFile'],
	'host of a listener': [{listen: [{host: '1'}]}, 'address'],
	'names of a filter': [{sources: [{url: 'http://a', include: {names: ['x']}}]}, 'name'],
};
for (const [what, [config, suggestion]] of Object.entries(unknownKeys)) {
	test(`the unknown key "${what}" is answered with "${suggestion}"`, async t => {
		const faults = await faultsOf(t, config);
		t.true(
			faults.some(fault => fault.endsWith(`did you mean "${suggestion}"?`)),
			faults.join('\n'),
		);
	});
}

test('an unknown key that is like no other is answered with all that are known', async t => {
	const [fault] = await faultsOf(t, {quarantine: {zzzzzz: 1}});
	t.is(fault, 'quarantine.zzzzzz (line 1): expected one of keepFor, maxSize, got the unknown key "zzzzzz"');
});

const wrong: Readonly<Record<string, readonly [config: unknown, fault: RegExp]>> = {
	'an array for the whole': [[1], /^the configuration: expected an object, got an array of 1$/],
	'null for a section': [{log: null}, /^log \(line 1\): expected an object, got null$/],
	'a string for a section': [{http: 'fast'}, /^http .*got "fast"$/],
	'a path of blanks': [{data: ' '}, /^data .*got " "$/],
	'a path with ~': [{data: '~/images'}, /^data .*only a shell knows "~"/],
	'a path with NUL': [{data: 'a\0b'}, /^data .*expected a path/],
	'no listener': [{listen: []}, /^listen .*got an empty array$/],
	'too many transfers': [{transfers: {concurrent: 0}}, /^transfers\.concurrent .*from 1 to 10000, got 0$/],
	'half a transfer': [{transfers: {concurrent: 1.5}}, /from 1 to 10000, got 1\.5$/],
	'a quoted boolean': [
		{sources: [{url: 'http://a', insecure: 'true'}]},
		/expected true or false, got "true"; write true without/,
	],
	'a number for a boolean': [{sources: [{url: 'http://a', insecure: 1}]}, /expected true or false, got 1$/],
	'a size with a wrong unit': [
		{quarantine: {maxSize: '5 pounds'}},
		/expected a size such as .*"5 pounds"; "pounds" is no unit of size$/,
	],
	'a negative size': [{quarantine: {maxSize: -5}}, /expected a size such as .*got -5$/],
	'a size out of range': [{http: {maxHeaderSize: '1 GB'}}, /got "1 GB"; at most 1 MiB$/],
	'a duration that is too short': [{http: {headersTimeout: '1ms'}}, /got "1ms"; at least 1s$/],
	'a timeout that timers cannot do': [{drainTimeout: '1 year'}, /at most 24d$/],
	'a word that does not fit': [{transfers: {finishAbandoned: 'sometimes'}}, /expected "always", "never" or a size/],
	'a URN part with a colon': [{datasets: {cloudName: 'a:b'}}, /datasets\.cloudName.*a word without ":"/],
	'a base path without slash': [{basePath: 'mirror'}, /basePath.*it begins with "\/"/],
	'a base path that climbs': [{basePath: '/a/../b'}, /basePath.*expected a path such as/],
	'a base path that is a number': [{basePath: 1}, /basePath.*got 1$/],
	'a public URL without scheme': [{publicUrl: 'mirror:8080'}, /publicUrl.*did you mean "https:\/\/mirror:8080"\?$/],
	'a public URL with a query': [{publicUrl: 'http://m/?a=b'}, /without a query/],
	'a public URL with a password': [{publicUrl: 'http://u:p@m/'}, /\*{8}@m.*without a query, a user/],
	'a public URL that lacks the base path': [
		{basePath: '/m', publicUrl: 'https://x'},
		/publicUrl.*ends in the basePath "\/m", got "https:\/\/x"/,
	],
	'defaults for sources that name a URL': [
		{sourceDefaults: {url: 'http://a'}},
		/^sourceDefaults\.url .*got the unknown key "url"$/,
	],
	'a wrong default for sources, once': [
		{sourceDefaults: {retries: -1}, sources: ['http://a', 'http://b']},
		/^sourceDefaults\.retries/,
	],
	'a very long value': [{basePath: 'x'.repeat(500)}, /got "x{70,80}…"/],
};
for (const [what, [config, fault]] of Object.entries(wrong)) {
	test(`refused with a reason: ${what}`, async t => {
		const faults = await faultsOf(t, config);
		t.is(faults.length, 1, faults.join('\n'));
		t.regex(faults[0] ?? '', fault);
	});
}

test('a key that is written twice is a fault', async t => {
	t.deepEqual(await faultsOf(t, '{\n"data": "a",\n"data": "b"}'), [
		'data (line 3): expected each key once, got data again; it stands in line 2 already',
	]);
});

test('a text that is not JSON is shown with line, column and the line itself', async t => {
	t.deepEqual(await faultsOf(t, '{\n\t"data": "a"\n\t"listen": 80\n}'), [
		'line 3, column 2: expected a comma or "}", got "\\""; the line is: "listen": 80',
	]);
});

test('of such a line, nothing is shown that looks like a secret', async t => {
	for (const line of [
		'"password": "hunter2" 5',
		'"password" "hunter2"',
		'"Authorization": "hunter2" "x"',
		"'pass': 'hunter2'",
	]) {
		const [fault] = await faultsOf(t, `{${line}}`);
		t.regex(fault ?? '', /the line is: .*\*{8}/, line);
		t.notRegex(fault ?? '', /hunter2(?!.*the line is)|the line is.*hunter2/, line);
	}
	t.regex((await faultsOf(t, '{"url" = "http://me:hunter2@a"}'))[0] ?? '', /"http:\/\/\*{8}@a"/);
});

test('a file that is not there, a directory and bytes that are no text are faults', async t => {
	const directory = await tempDir(t);
	const faults = (file: string, env = {}): readonly string[] =>
		t.throws(() => readConfig({...(file === '' ? {} : {file}), env, directory}), {instanceOf: ConfigError}).faults;
	t.regex(
		faults('none.json')[0] ?? '',
		/^--config: expected a readable file, got ".*none\.json"; ENOENT: no such file/,
	);
	t.regex(faults('.')[0] ?? '', /^--config: .*EISDIR/);
	t.regex(faults('', {IMGMIRROR_CONFIG: 'none.json'})[0] ?? '', /^IMGMIRROR_CONFIG: .*ENOENT/);
	writeFileSync(join(directory, 'latin.json'), Buffer.from([0x7b, 0xff, 0x7d]));
	t.regex(faults('latin.json')[0] ?? '', /it is not UTF-8$/);
});

test('the message says how many faults there are, and where', async t => {
	const file = await configFile(t, {a: 1, b: 2});
	t.is(t.throws(() => readConfig({file, env: {}}), {instanceOf: ConfigError}).message, `${file}: 2 faults`);
	t.is(
		t.throws(() => readConfig({env: {}, flags: {logLevel: 'x'}}), {instanceOf: ConfigError}).message,
		'the configuration: 1 fault',
	);
});

test('relative paths begin at the file, those of flags and variables at the working directory', async t => {
	const directory = await tempDir(t);
	mkdirSync(join(directory, 'etc'));
	const file = await configFile(t, {data: 'images', listen: 'unix:run/sock'}, join(directory, 'etc'));
	const paths = (env: Readonly<Record<string, string>>, flags = {}): readonly unknown[] => {
		const {data, listen} = readConfig({file: 'etc/config.json', env, flags, directory});
		return [data, listen[0]?.path];
	};
	t.is(dirname(file), join(directory, 'etc'));
	t.deepEqual(paths({}), [join(directory, 'etc/images'), join(directory, 'etc/run/sock')]);
	t.deepEqual(paths({IMGMIRROR_DATA: 'x', IMGMIRROR_LISTEN: 'unix:y'}), [join(directory, 'x'), join(directory, 'y')]);
	t.deepEqual(paths({}, {data: 'z', listen: ['unix:/w']}), [join(directory, 'z'), '/w']);
});

test('a flag goes before a variable, that before the file', async t => {
	const content = {basePath: '/file', log: {level: 'warn', format: 'json'}, data: '/file', publicUrl: 'http://f/file'};
	const env = {
		IMGMIRROR_BASE_PATH: '/env',
		IMGMIRROR_LOG_LEVEL: 'error',
		IMGMIRROR_PUBLIC_URL: 'http://e/env',
		IMGMIRROR_DATA: ' ',
	};
	const fromEnv = await configOf(t, content, {env});
	t.like(fromEnv, {basePath: '/env', log: {level: 'error', format: 'json'}, data: '/file', publicUrl: 'http://e/env'});
	const flags = {basePath: '/flag', publicUrl: 'http://g/flag', logLevel: 'debug', logFormat: 'text', data: '/flag'};
	const fromFlags = await configOf(t, content, {env, flags});
	t.like(fromFlags, {
		basePath: '/flag',
		log: {level: 'debug', format: 'text'},
		data: '/flag',
		publicUrl: 'http://g/flag',
	});
});

test('listeners and sources of a variable or of flags replace those of the file', async t => {
	const content = {listen: 1, sources: ['http://file'], sourceDefaults: {retries: 7}};
	const env = {
		IMGMIRROR_LISTEN: '0.0.0.0:80, [::]:80',
		IMGMIRROR_SOURCES: 'a=http://one http://two,http://three/datasets',
	};
	const fromEnv = await configOf(t, content, {env});
	t.deepEqual(
		fromEnv.listen.map(({address}) => address),
		['0.0.0.0:80', '[::]:80'],
	);
	t.deepEqual(
		fromEnv.sources.map(({name, type, urls, retries}) => [name, type, urls[0], retries]),
		[
			['a', 'auto', 'http://one', 7],
			['two', 'auto', 'http://two', 7],
			['three', 'dsapi', 'http://three', 7],
		],
	);
	const flags = {listen: ['8081', 'unix:/s'], sources: ['lab=https://lab.example.com/?channel=dev']};
	const fromFlags = await configOf(t, content, {env, flags});
	t.deepEqual(
		fromFlags.listen.map(({address}) => address),
		['127.0.0.1:8081', 'unix:/s'],
	);
	t.deepEqual(
		fromFlags.sources.map(({name, urls, channel}) => [name, urls[0], channel]),
		[['lab', 'https://lab.example.com', 'dev']],
	);
});

test('faults of flags and variables name these', async t => {
	const faults = await faultsOf(
		t,
		{log: {format: 'json'}},
		{
			env: {IMGMIRROR_LOG_LEVEL: 'loud', IMGMIRROR_SOURCE: 'http://a', IMGMIRROR_SOURCES: 'lab=x'},
			flags: {listen: ['nowhere'], data: '~'},
		},
	);
	t.deepEqual(
		faults.map(fault => fault.split(': expected')[0]),
		['--data', '--listen', 'IMGMIRROR_LOG_LEVEL', 'IMGMIRROR_SOURCES', 'IMGMIRROR_SOURCE'],
	);
	t.regex(faults.at(-1) ?? '', /did you mean "IMGMIRROR_SOURCES"\?$/);
});

test('a variable that a container platform sets for a service of our name is no fault', async t => {
	t.deepEqual(
		await faultsOf(t, {}, {env: {IMGMIRROR_PORT: 'tcp://10.0.0.1:8080', IMGMIRROR_SERVICE_HOST: '10.0.0.1'}}),
		[],
	);
});

test('a flag for a section that is no object leaves the fault as it is', async t => {
	const faults = await faultsOf(t, {log: 'loud'}, {flags: {logLevel: 'debug'}});
	t.deepEqual(faults, ['log (line 1): expected an object, got "loud"']);
	t.is((await faultsOf(t, '[]', {flags: {logLevel: 'debug'}})).length, 1);
});

test('proxies come from the environment, lower case first, with or without scheme', t => {
	const of = (env: Readonly<Record<string, string>>): unknown => readConfig({env}).environment;
	t.deepEqual(
		of({http_proxy: 'http://a:1', HTTP_PROXY: 'http://b', HTTPS_PROXY: 'proxy:3128/', no_proxy: ' .lan,10.0.0.0/8 '}),
		{
			httpProxy: 'http://a:1',
			httpsProxy: 'http://proxy:3128',
			noProxy: '.lan,10.0.0.0/8',
		},
	);
	t.deepEqual(of({http_proxy: '', HTTP_PROXY: 'http://u:p@b'}), {
		httpProxy: 'http://u:p@b',
		httpsProxy: undefined,
		noProxy: undefined,
	});
});

test('a proxy variable that cannot be used is a fault only if a source would use it', async t => {
	const env = {HTTPS_PROXY: 'socks5://proxy'};
	t.deepEqual(await faultsOf(t, {}, {env}), ['HTTPS_PROXY: expected the URL of an HTTP proxy, got "socks5://proxy"']);
	t.deepEqual(await faultsOf(t, {sourceDefaults: {proxy: 'none'}}, {env}), []);
});

test('whatever JSON it is given, the reader gives a configuration or faults', async t => {
	const file = await configFile(t, {});
	const key = fc.constantFrom(
		'data',
		'listen',
		'sources',
		'sourceDefaults',
		'log',
		'http',
		'url',
		'name',
		'auth',
		'headers',
		'tls',
		'address',
		'__proto__',
		'x',
	);
	const {value} = fc.letrec(tie => ({
		value: fc.oneof(
			{depthSize: 'small'},
			fc.jsonValue({maxDepth: 1}),
			fc.constantFrom('http://a', '5m', '1 GB', 'unix:/x', 8080, []),
			fc.dictionary(key, tie('value'), {maxKeys: 6, noNullPrototype: false}),
			fc.array(tie('value'), {maxLength: 3}),
		),
	}));
	fc.assert(
		fc.property(value, content => {
			writeFileSync(file, JSON.stringify(content));
			try {
				readConfig({file, env: {}});
				t.pass();
			} catch (error) {
				t.true(error instanceof ConfigError);
				t.true(
					error instanceof ConfigError && error.faults.length > 0 && error.faults.every(fault => !fault.includes('\n')),
				);
			}
		}),
		{numRuns: 500},
	);
});
