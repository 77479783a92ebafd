import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {configChanges} from '../../src/config.js';
import {tempDir} from '../helpers/temp-dir.js';
import {configOf, faultsOf} from './config-file.js';

test('a URL alone is a webhook, and is called after its host', async t => {
	const {webhooks} = await configOf(t, {
		webhooks: ['https://hooks.example.com/a', 'http://hooks.example.com/b', 'http://[::1]:9/'],
	});
	t.deepEqual(webhooks[0], {
		name: 'hooks.example.com',
		url: 'https://hooks.example.com/a',
		events: [],
		secret: undefined,
		headers: {},
		retryForMs: 86_400_000,
		timeoutMs: 10_000,
	});
	t.deepEqual(
		webhooks.map(({name}) => name),
		['hooks.example.com', 'hooks.example.com-2', '1'],
	);
});

test('every key of a webhook reaches its place', async t => {
	const {webhooks} = await configOf(t, {
		webhooks: {
			name: 'ops',
			url: 'https://me:pw@hooks.example.com/x?token=y',
			events: ['image', 'image.cached', 'source.*', 'disk.low'],
			secret: 's e c',
			headers: {'x-team': 'ops', '// x': 'a comment'},
			retryFor: '2h',
			timeout: '3s',
		},
	});
	t.deepEqual(webhooks, [
		{
			name: 'ops',
			url: 'https://me:pw@hooks.example.com/x?token=y',
			events: ['image', 'image.cached', 'source', 'disk.low'],
			secret: 's e c',
			headers: {'x-team': 'ops'},
			retryForMs: 2 * 3_600_000,
			timeoutMs: 3000,
		},
	]);
});

test('the secret can stand in a file or a variable', async t => {
	const directory = await tempDir(t);
	writeFileSync(join(directory, 'hook.secret'), 'from the file\n');
	const content = {
		webhooks: [
			{url: 'http://a', secretFile: 'hook.secret'},
			{url: 'http://b', secretEnv: 'HOOK'},
		],
	};
	const {webhooks} = await configOf(t, content, {directory, env: {HOOK: 'from the variable'}});
	t.deepEqual(
		webhooks.map(({secret, secretFrom}) => [secret, secretFrom]),
		[
			['from the file', {secretFile: join(directory, 'hook.secret')}],
			['from the variable', {secretEnv: 'HOOK'}],
		],
	);
});

test('the base64 of a key is looked at wherever it stands', async t => {
	const directory = await tempDir(t);
	writeFileSync(join(directory, 'hook.secret'), 'whsec_geheim!!\n');
	const content = {
		webhooks: [
			{url: 'http://a', secretFile: 'hook.secret'},
			{url: 'http://b', secretEnv: 'HOOK'},
		],
	};
	const faults = await faultsOf(t, content, {directory, env: {HOOK: 'whsec_'}});
	t.is(faults.length, 2);
	t.regex(faults[0] ?? '', /^webhooks\[0\]\.secretFile .*base64 of a key after "whsec_", got something else;/);
	t.regex(faults[1] ?? '', /^webhooks\[1\]\.secretEnv .*got nothing;/);
	t.false(faults.join('').includes('geheim'));
	for (const secret of [
		'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
		'whsec_QUI=',
		'whsec_QUI',
		'whsec_-_-_',
		'whsec',
		'c_!!',
	]) {
		t.is((await configOf(t, {webhooks: [{url: 'http://a', secret}]})).webhooks[0]?.secret, secret);
	}
});

test('another secret is a change, though it is not shown', async t => {
	const hook = (secret: string): object => ({webhooks: [{url: 'http://a', secret}]});
	const directory = await tempDir(t);
	const [before, after] = [await configOf(t, hook('one'), {directory}), await configOf(t, hook('two'), {directory})];
	t.deepEqual(configChanges(before, after), ['webhooks.a.secret: "********", now "********"']);
});

const url = 'http://a';
const wrong: Readonly<Record<string, readonly [hook: unknown, fault: RegExp]>> = {
	'a hook without URL': [{name: 'a'}, /^webhooks\.url .*got nothing$/],
	'a URL of another kind': ['ftp://a', /^webhooks\.url .*expected an http or https URL/],
	'a URL without scheme': ['hooks.example.com', /did you mean "https:\/\/hooks\.example\.com"\?$/],
	'an event that is none': [
		{url, events: ['image.cache']},
		/^webhooks\.events\[0\] .*got "image\.cache"; did you mean "image\.cached"\?$/,
	],
	'an event that is like none': [
		{url, events: 'zzz'},
		/got "zzz"; there are image, transfer, verification, source, disk/,
	],
	'what images do not do': [{url, events: 'image.zzzzzzzz'}, /there are image\.new, image\.changed/],
	'what only disks are': [{url, events: 'low'}, /got "low"; there is disk\.low$/],
	'an event that is a number': [{url, events: 5}, /got 5;/],
	'two secrets': [
		{url, secret: 'geheim', secretEnv: 'A'},
		/one of secret, secretFile and secretEnv, got secret and secretEnv$/,
	],
	'a secret of two lines': [{url, secret: 'geheim\n'}, /^webhooks\.secret .*got something else$/],
	'a key of nothing': [{url, secret: 'whsec_'}, /^webhooks\.secret .*base64 of a key after "whsec_", got nothing;/],
	'a key that is no base64': [
		{url, secret: 'whsec_geheim!!'},
		/^webhooks\.secret .*got something else; any other secret/,
	],
	'a key of one letter': [{url, secret: 'whsec_g'}, /^webhooks\.secret .*got something else;/],
	'a file that is not there': [
		{url, secretFile: '/none/geheim'},
		/^webhooks\.secretFile .*one line, the secret, got .*no such file/,
	],
	'a variable that is not set': [{url, secretEnv: 'NONE'}, /^webhooks\.secretEnv .*that is set, got "NONE"$/],
	'a length as a header': [{url, headers: {'content-length': '5'}}, /not the mirror's own business/],
	'no time to answer': [{url, timeout: '0s'}, /^webhooks\.timeout .*at least 100ms$/],
};
for (const [what, [hook, fault]] of Object.entries(wrong)) {
	test(`refused with a reason: ${what}`, async t => {
		const faults = await faultsOf(t, {webhooks: hook});
		t.is(faults.length, 1, faults.join('\n'));
		t.regex(faults[0] ?? '', fault);
		t.false(faults.join('').includes('geheim') && !what.includes('file'));
	});
}

test('two webhooks cannot have one name', async t => {
	const faults = await faultsOf(t, {
		webhooks: [
			{name: 'a', url},
			{name: 'a', url},
		],
	});
	t.deepEqual(faults, ['webhooks[1].name (line 1): expected a name of its own for each webhook, got "a" again']);
});
