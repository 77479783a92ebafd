/**
 * The keys of bundles over HTTP.
 */
import {hostname} from 'node:os';
import test, {type ExecutionContext} from 'ava';
import {IntegrityError} from '../../src/errors.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ownKey} from './fake-airgap.js';
import {ask, startFront, type Answer, type StartedFront} from './front.js';

const headers = {authorization: basicLogin('op')};
const line = 'ssh-ed25519 AAAA+word far side';

interface Keys extends StartedFront {
	readonly send: (method: string, path: string, body?: unknown) => Promise<Answer>;
}

async function start(t: ExecutionContext): Promise<Keys> {
	const front = await startFront(t, {access: new FakeAccess({op: ['operate']}, {network: ['read']})});
	return {
		...front,
		send: (method, path, body) =>
			ask(front.url, path, {method, headers, ...(body === undefined ? {} : {body: JSON.stringify(body)})}),
	};
}

test('there is a key once it is made, and it is replaced only where that is said', async t => {
	const {send, airgap, host} = await start(t);
	const none = await send('GET', '/mirror/keys');
	t.deepEqual(none.json, {trusted: []});
	t.is(none.headers['cache-control'], 'no-store');
	const made = await send('POST', '/mirror/keys', {comment: 'near side'});
	t.is(made.status, 200);
	t.deepEqual(made.json, {...ownKey, comment: 'near side'});
	t.deepEqual((await send('GET', '/mirror/keys')).json, {
		own: {...ownKey, comment: 'near side'},
		trusted: [{...ownKey, comment: 'near side', from: 'own'}],
	});
	const again = await send('POST', '/mirror/keys', {comment: 'x'});
	t.is(again.status, 409);
	t.like(again.json, {code: 'KeyAlreadyExists'});
	t.is((await send('POST', '/mirror/keys', {comment: 'x', replace: true})).status, 200);
	t.deepEqual(airgap.keys.calls.at(-1), ['create', {comment: 'x', replace: true}]);
	// Without a body, it is called after this machine.
	t.is((await send('POST', '/mirror/keys')).status, 409);
	t.deepEqual(airgap.keys.calls.at(-1), ['create', {comment: `imgmirror@${hostname()}`, replace: false}]);
	t.like(await host.logged({msg: 'audit'}), {
		audit: {user: 'op', action: `make bundle key ${ownKey.fingerprint}`, status: 200},
	});
});

test('where our own key cannot be used, that is said beside the keys that are trusted', async t => {
	const {send, airgap} = await start(t);
	await send('POST', '/mirror/keys/trusted', {key: line});
	airgap.keys.damage = new IntegrityError('/data/bundle-key.pem cannot be used');
	const answer = await send('GET', '/mirror/keys');
	t.is(answer.status, 200);
	t.like(answer.json, {ownProblem: '/data/bundle-key.pem cannot be used', trusted: [{line, comment: 'far'}]});
	t.false('own' in (answer.json as object));
});

test('keys are trusted and not any more, by fingerprint or comment', async t => {
	const {send, airgap, host} = await start(t);
	const first = await send('POST', '/mirror/keys/trusted', {key: line});
	t.is(first.status, 200);
	const fingerprint = `SHA256:${'AAAA+word'.padEnd(43, '+')}`;
	t.deepEqual(first.json, {key: {line, fingerprint, comment: 'far', from: 'file'}, added: true});
	t.like((await send('POST', '/mirror/keys/trusted', {key: line})).json, {added: false});
	t.is((await send('DELETE', '/mirror/keys/trusted?key=nobody')).status, 404);
	// A plus sign that nobody has encoded.
	const gone = await send('DELETE', `/mirror/keys/trusted?key=${fingerprint}`);
	t.is(gone.status, 204);
	t.is(gone.text, '');
	t.deepEqual(airgap.keys.calls.at(-1), ['untrust', fingerprint]);
	await send('POST', '/mirror/keys/trusted', {key: line});
	t.is((await send('DELETE', '/mirror/keys/trusted?key=far')).status, 204);
	await send('POST', '/mirror/keys/trusted', {key: line});
	t.is((await send('DELETE', `/mirror/keys/trusted?key=${encodeURIComponent(fingerprint)}`)).status, 204);
	await send('DELETE', '/mirror/keys/trusted?key=two+words');
	t.deepEqual(airgap.keys.calls.at(-1), ['untrust', 'two words']);
	t.deepEqual(airgap.keys.lines, []);
	const actions = host.linesLike({msg: 'audit'}).map(({audit}) => (audit as {action: string}).action);
	t.true(actions.includes(`trust bundle key ${fingerprint}`));
	t.true(actions.includes(`trust bundle key ${fingerprint} no more`));
	t.true(actions.includes('trust bundle key no more'));
});

test('what is no key, and what means nothing, is refused', async t => {
	const {send, airgap} = await start(t);
	t.like(await send('POST', '/mirror/keys/trusted', {key: 'ssh-rsa AAAA'}), {status: 422});
	airgap.keys.calls.length = 0;
	for (const [method, path, body] of [
		['GET', '/mirror/keys?own=true'],
		['POST', '/mirror/keys?replace=true', {}],
		['POST', '/mirror/keys', {coment: 'x'}],
		['POST', '/mirror/keys', {comment: ''}],
		['POST', '/mirror/keys', {comment: 'two\nlines'}],
		['POST', '/mirror/keys', {comment: 'nul\0'}],
		['POST', '/mirror/keys', {comment: ' x'}],
		['POST', '/mirror/keys', {comment: 'x'.repeat(201)}],
		['POST', '/mirror/keys', {replace: 'yes'}],
		['POST', '/mirror/keys/trusted', {}],
		['POST', '/mirror/keys/trusted', {key: 5}],
		['POST', '/mirror/keys/trusted', {key: line, comment: 'x'}],
		['POST', '/mirror/keys/trusted?key=x', {key: line}],
		['DELETE', '/mirror/keys/trusted?key=a&key=b'],
		['DELETE', '/mirror/keys/trusted?key=a&force=true'],
	] as const) {
		const answer = await send(method, path, body);
		t.is(answer.status, 422, `${method} ${path} ${JSON.stringify(body)}`);
		t.like(answer.json, {code: 'InvalidParameter'});
	}
	t.like((await send('DELETE', '/mirror/keys/trusted')).json, {code: 'MissingParameter'});
	t.like((await send('DELETE', '/mirror/keys/trusted?key=')).json, {code: 'MissingParameter'});
	t.deepEqual(airgap.keys.calls, []);
});
