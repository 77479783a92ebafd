import {mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {Keys} from '../../src/airgap/keys.js';
import {newKey, parsePublicKey, readSignature, sign} from '../../src/airgap/signature.js';
import {IntegrityError, InvalidParameterError, MirrorError, NotFoundError, RefusedError} from '../../src/errors.js';
import {has} from '../helpers/programs.js';
import {run} from '../helpers/run-command.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

const index = Buffer.from('{"schemaVersion":2,"manifests":[]}');
const near = newKey('near@example.com');
const nearKey = parsePublicKey(near.publicLine);
const other = newKey('other');
const otherKey = parsePublicKey(other.publicLine);

interface Started {
	readonly keys: Keys;
	readonly folder: string;
	readonly keyFile: string;
	readonly trustedFile: string;
	readonly host: TestHost;
}

async function start(t: Scope, configured: readonly string[] = []): Promise<Started> {
	const folder = await tempDir(t);
	const keyFile = path.join(folder, 'bundle-key.pem');
	const trustedFile = path.join(folder, 'trusted-keys');
	const host = testHost();
	return {
		keys: new Keys({keyFile, trustedFile, configured: () => configured, log: host.log}),
		...{folder, keyFile, trustedFile, host},
	};
}

const signedByNear = Buffer.from(sign(index, near.privatePem));

test('without a key nothing is signed, and nobody is trusted', async t => {
	const {keys} = await start(t);
	t.is(await keys.own(), undefined);
	t.is(await keys.sign(index), undefined);
	t.deepEqual(await keys.trusted(), []);
});

test('a new key is kept where only we can read it, and comes back with its comment', async t => {
	const {keys, keyFile, folder, host} = await start(t);
	const made = await keys.create({comment: 'the mirror in the cellar', replace: false});
	t.is(made.comment, 'the mirror in the cellar');
	t.regex(made.line, /^ssh-ed25519 \S+ the mirror in the cellar$/u);
	t.deepEqual(await keys.own(), made);
	t.is((await stat(keyFile)).mode & 0o777, 0o600);
	t.deepEqual(await readdir(folder), ['bundle-key.pem']);
	t.deepEqual(await keys.trusted(), [{...made, from: 'own'}]);
	t.is(host.linesLike({fingerprint: made.fingerprint}).length, 1);
	t.false(JSON.stringify(host.lines).includes('PRIVATE'));

	const text = await readFile(keyFile, 'utf8');
	t.true(text.startsWith(`${made.line}\n-----BEGIN PRIVATE KEY-----\n`));
});

test('a key is replaced only if one says so', async t => {
	const {keys} = await start(t);
	const first = await keys.create({comment: 'first', replace: false});
	const error = await t.throwsAsync(keys.create({comment: 'second', replace: false}), {instanceOf: RefusedError});
	t.is(error.refusal, 'KeyAlreadyExists');
	t.deepEqual(await keys.own(), first);
	const second = await keys.create({comment: 'second', replace: true});
	t.not(second.fingerprint, first.fingerprint);
	t.deepEqual(await keys.own(), second);
	t.deepEqual(
		(await keys.trusted()).map(({fingerprint}) => fingerprint),
		[second.fingerprint],
	);
});

test('of two that make a key at once, one is told that there is one', async t => {
	const {keys, folder} = await start(t);
	const made = await Promise.allSettled([
		keys.create({comment: 'a', replace: false}),
		keys.create({comment: 'b', replace: false}),
	]);
	t.deepEqual(made.map(({status}) => status).sort(), ['fulfilled', 'rejected']);
	t.is((await keys.own())?.comment, 'a');
	t.deepEqual(await readdir(folder), ['bundle-key.pem']);
});

test('a comment that does not fit on a line makes no key', async t => {
	const {keys, folder} = await start(t);
	await t.throwsAsync(keys.create({comment: 'a\nssh-ed25519', replace: false}), {instanceOf: InvalidParameterError});
	t.deepEqual(await readdir(folder), []);
});

test('what we sign, ssh-keygen and we ourselves check', async t => {
	if (!has(t, 'ssh-keygen')) {
		return;
	}
	const {keys, folder} = await start(t);
	const made = await keys.create({comment: 'us', replace: false});
	const signed = await keys.sign(index);
	t.is(signed?.signedBy, made.fingerprint);
	const signature = signed?.signature ?? '';
	t.true(readSignature(signature).verify(index));
	t.deepEqual(await keys.judge(index, Buffer.from(signature), {allowUnsigned: false}), {
		signedBy: {fingerprint: made.fingerprint, comment: 'us', trusted: true},
	});
	const file = path.join(folder, 'index.json.sig');
	await writeFile(file, signature);
	const checked = await run('ssh-keygen', ['-Y', 'check-novalidate', '-n', 'imgmirror-bundle', '-s', file], {
		input: index,
	});
	t.is(checked.code, 0, checked.stderr);
	t.true(checked.stdout.includes(made.fingerprint));
});

test('a key in PEM from elsewhere is taken as well, without a comment or beside that of another', async t => {
	const {keys, keyFile} = await start(t);
	await writeFile(keyFile, near.privatePem);
	t.deepEqual(await keys.own(), {...nearKey, line: nearKey.line.split(' ').slice(0, 2).join(' '), comment: ''});
	await writeFile(keyFile, `${other.publicLine}\r\n${near.privatePem}`);
	t.is((await keys.own())?.comment, '');
	t.is((await keys.own())?.fingerprint, nearKey.fingerprint);
	await writeFile(keyFile, `${near.publicLine}\r\n${near.privatePem.replaceAll('\n', '\r\n')}`);
	t.is((await keys.own())?.comment, 'near@example.com');
});

test('a key file that holds no key stops signing, is not overwritten unasked, and spoils no import', async t => {
	const {keys, keyFile, host} = await start(t);
	await writeFile(keyFile, 'nothing of the kind');
	await t.throwsAsync(keys.own(), {instanceOf: IntegrityError, message: /bundle-key\.pem cannot be used/u});
	await t.throwsAsync(keys.sign(index), {instanceOf: IntegrityError});
	await t.throwsAsync(keys.create({comment: '', replace: false}), {instanceOf: RefusedError});
	t.is(await readFile(keyFile, 'utf8'), 'nothing of the kind');
	await keys.trust(near.publicLine);
	t.true((await keys.judge(index, signedByNear, {allowUnsigned: false})).signedBy?.trusted);
	t.true(host.linesLike(/our own key cannot be read/u).length > 0);
	await keys.create({comment: 'new', replace: true});
	t.is((await keys.own())?.comment, 'new');
});

test('a key that is trusted stands in the file, and is trusted until it is not', async t => {
	const {keys, trustedFile, folder} = await start(t);
	const {key, added} = await keys.trust(`  ${near.publicLine}\r\n`);
	t.true(added);
	t.deepEqual(key, {...nearKey, from: 'file'});
	t.is(await readFile(trustedFile, 'utf8'), `${near.publicLine}\n`);
	t.is((await stat(trustedFile)).mode & 0o777, 0o644);
	t.deepEqual(await keys.trust(near.publicLine.replace('near@', 'someone@')), {key, added: false});
	await keys.trust(other.publicLine);
	t.deepEqual(
		(await keys.trusted()).map(({comment, from}) => [comment, from]),
		[
			['near@example.com', 'file'],
			['other', 'file'],
		],
	);
	t.deepEqual(await keys.untrust('other'), otherKey);
	t.deepEqual(await keys.untrust(nearKey.fingerprint), nearKey);
	t.deepEqual(await keys.trusted(), []);
	t.deepEqual(await readdir(folder), ['trusted-keys']);
	await t.throwsAsync(keys.untrust('other'), {instanceOf: NotFoundError});
	await t.throwsAsync(keys.untrust(''), {instanceOf: NotFoundError});
});

test('a fingerprint will do without the name of its hash', async t => {
	const {keys} = await start(t);
	await keys.trust(near.publicLine);
	t.is((await keys.untrust(nearKey.fingerprint.slice('SHA256:'.length))).fingerprint, nearKey.fingerprint);
});

test('of two keys with one comment the fingerprint has to be told', async t => {
	const {keys} = await start(t);
	const twins = [newKey('twin').publicLine, newKey('twin').publicLine];
	for (const line of twins) {
		await keys.trust(line);
	}
	const error = await t.throwsAsync(keys.untrust('twin'), {instanceOf: InvalidParameterError});
	for (const line of twins) {
		t.true(error.message.includes(parsePublicKey(line).fingerprint));
	}
	t.is((await keys.trusted()).length, 2);
});

test('what is no key is not trusted', async t => {
	const {keys, folder} = await start(t);
	for (const line of ['', 'x', near.privatePem, `${near.publicLine}\n${other.publicLine}`]) {
		await t.throwsAsync(keys.trust(line), {instanceOf: InvalidParameterError});
	}
	t.deepEqual(await readdir(folder), []);
});

test('the file is read anew each time, with whatever an operator put in, and what is said of it is said once', async t => {
	const {keys, trustedFile, host} = await start(t);
	const text = `\uFEFF# trusted on Monday\r\n${near.publicLine}\r\n\r\nnot a key\r\n  # and\n${near.publicLine}\n${other.publicLine}`;
	await writeFile(trustedFile, text);
	t.deepEqual(
		(await keys.trusted()).map(({comment}) => comment),
		['near@example.com', 'other'],
	);
	await keys.trusted();
	const warnings = host.linesLike(/a trusted key cannot be used/u);
	t.is(warnings.length, 1);
	t.regex(String(warnings[0]?.['fault']), /^line 4 of .*trusted-keys: /u);

	const third = newKey('third');
	await keys.trust(third.publicLine);
	t.is(await readFile(trustedFile, 'utf8'), `${text}\n${third.publicLine}\n`);
	// Both lines of one key go, and nothing else does.
	await keys.untrust('near@example.com');
	t.is(
		await readFile(trustedFile, 'utf8'),
		`\uFEFF# trusted on Monday\r\n\r\nnot a key\r\n  # and\n${other.publicLine}\n${third.publicLine}\n`,
	);
	await writeFile(trustedFile, '');
	t.deepEqual(await keys.trusted(), []);
});

test('keys that are trusted at once all stand in the file', async t => {
	const {keys} = await start(t);
	const lines = Array.from({length: 10}, (_, number) => newKey(`key ${number}`).publicLine);
	await Promise.all(lines.map(line => keys.trust(line)));
	t.deepEqual(
		(await keys.trusted()).map(({line}) => line),
		lines,
	);
});

test('keys of the configuration are trusted, and are not taken out of it', async t => {
	const {keys, host, trustedFile} = await start(t, [near.publicLine, 'nonsense']);
	await writeFile(trustedFile, `${near.publicLine}\n${other.publicLine}\n`);
	t.deepEqual(
		(await keys.trusted()).map(({comment, from}) => [comment, from]),
		[
			['near@example.com', 'config'],
			['other', 'file'],
		],
	);
	t.is(host.linesLike(/trusted key 2 of the configuration: that is no public key/u).length, 1);
	const error = await t.throwsAsync(keys.untrust('near@example.com'), {instanceOf: RefusedError});
	t.is(error.refusal, 'KeyIsConfigured');
	t.deepEqual(await keys.trust(near.publicLine), {key: {...nearKey, from: 'config'}, added: false});
	t.true((await keys.judge(index, signedByNear, {allowUnsigned: false})).signedBy?.trusted);
});

test('our own key cannot be distrusted', async t => {
	const {keys} = await start(t);
	await keys.create({comment: 'us', replace: false});
	const error = await t.throwsAsync(keys.untrust('us'), {instanceOf: RefusedError, message: /this mirror itself/u});
	t.is(error.refusal, 'KeyIsConfigured');
});

test('files that cannot be read are named', async t => {
	const {keys, trustedFile, keyFile} = await start(t);
	await mkdir(trustedFile);
	await t.throwsAsync(keys.untrust('x'), {instanceOf: MirrorError});
	await t.throwsAsync(keys.trust(near.publicLine), {instanceOf: MirrorError});
	await t.throwsAsync(keys.trusted(), {instanceOf: MirrorError, message: /trusted-keys cannot be read/u});
	await writeFile(keyFile, Buffer.alloc(1_048_577));
	await t.throwsAsync(keys.own(), {instanceOf: IntegrityError, message: /bundle-key\.pem is longer than any/u});
	const nowhere = new Keys({
		keyFile: path.join(keyFile, 'x'),
		trustedFile: path.join(keyFile, 'y'),
		configured: () => [],
		log: testHost().log,
	});
	await t.throwsAsync(nowhere.own(), {instanceOf: MirrorError, message: /cannot be read/u});
	await t.throwsAsync(nowhere.create({comment: '', replace: true}), {
		instanceOf: MirrorError,
		message: /cannot be written: there is no such folder/u,
	});
});

test('where a file cannot be put in its place, nothing is left behind', async t => {
	const {keys, folder, keyFile} = await start(t);
	await mkdir(path.join(keyFile, 'in the way'), {recursive: true});
	await t.throwsAsync(keys.create({comment: '', replace: true}), {
		instanceOf: MirrorError,
		message: /bundle-key\.pem cannot be written: it is a folder/u,
	});
	t.deepEqual(await readdir(folder), ['bundle-key.pem']);
});

async function refusalOf(
	t: {throwsAsync: (run: Promise<unknown>) => Promise<Error>},
	judged: Promise<unknown>,
): Promise<string> {
	const error = await t.throwsAsync(judged);
	if (!(error instanceof RefusedError) || error.refusal !== 'BundleNotTrusted') {
		throw error;
	}
	return error.message;
}

test('what nobody has signed comes in only if that is allowed', async t => {
	const {keys} = await start(t);
	t.regex(
		await refusalOf(t, keys.judge(index, undefined, {allowUnsigned: false})),
		/nobody has signed.*--allow-unsigned/u,
	);
	// Nor does a key that is trusted this once sign anything.
	t.regex(await refusalOf(t, keys.judge(index, undefined, {allowUnsigned: false, key: near.publicLine})), /nobody/u);
	t.deepEqual(await keys.judge(index, undefined, {allowUnsigned: true}), {});
});

test('what somebody has signed who is not trusted comes in only if that is allowed', async t => {
	const {keys} = await start(t);
	await keys.trust(other.publicLine);
	const message = await refusalOf(t, keys.judge(index, signedByNear, {allowUnsigned: false}));
	t.true(message.includes(nearKey.fingerprint));
	t.true(message.includes('imgmirror key trust'));
	t.true(message.includes('--allow-unsigned'));
	t.deepEqual(await keys.judge(index, signedByNear, {allowUnsigned: true}), {
		signedBy: {fingerprint: nearKey.fingerprint, trusted: false},
	});
	await keys.trust(near.publicLine);
	t.deepEqual(await keys.judge(index, signedByNear, {allowUnsigned: false}), {
		signedBy: {fingerprint: nearKey.fingerprint, comment: 'near@example.com', trusted: true},
	});
});

test('a key can be trusted this once', async t => {
	const {keys, folder} = await start(t);
	const signedBy = {fingerprint: nearKey.fingerprint, comment: 'near@example.com', trusted: true};
	t.deepEqual(await keys.judge(index, signedByNear, {allowUnsigned: false, key: near.publicLine}), {signedBy});
	t.deepEqual(await readdir(folder), []);
	t.true((await refusalOf(t, keys.judge(index, signedByNear, {allowUnsigned: false}))).includes(nearKey.fingerprint));
	await t.throwsAsync(keys.judge(index, signedByNear, {allowUnsigned: true, key: 'x'}), {
		instanceOf: InvalidParameterError,
	});
});

test('an index that was changed after it was signed never comes in, whatever is allowed', async t => {
	const {keys} = await start(t);
	await keys.trust(near.publicLine);
	const changed = Buffer.concat([index, Buffer.from('\n')]);
	for (const allowUnsigned of [false, true]) {
		const message = await refusalOf(t, keys.judge(changed, signedByNear, {allowUnsigned, key: near.publicLine}));
		t.regex(message, /the index was changed after it was signed/u);
		t.true(message.includes(nearKey.fingerprint));
		for (const garbage of [Buffer.alloc(0), Buffer.from('x'), signedByNear.subarray(0, 100), Buffer.alloc(100_000)]) {
			t.regex(await refusalOf(t, keys.judge(index, garbage, {allowUnsigned})), /the signature cannot be read/u);
		}
	}
});
