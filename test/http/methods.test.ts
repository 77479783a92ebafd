import {METHODS} from 'node:http';
import test from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {startMirror} from '../helpers/start-mirror.js';

const uuid = makeImage().uuid;
const paths = [
	'/images',
	'/ping',
	`/images/${uuid}`,
	`/images/${uuid}/file`,
	'/ui/app.js',
	'/docs/openapi.json',
	'/datasets',
];

test('every method that HTTP knows is answered on every path: with 405 and what is allowed, or 404', async t => {
	const mirror = await startMirror(t, {sources: []});
	const served = new Set(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT']);
	const unusual = METHODS.filter(method => !served.has(method));
	t.true(unusual.length > 20);
	for (const method of unusual) {
		for (const path of paths) {
			const answer = await mirror.get(path, {method});
			t.is(answer.status, 405, `${method} ${path}`);
			t.regex(String(answer.headers['allow']), /\bGET\b.*\bHEAD\b.*\bOPTIONS\b/);
			t.true(path.startsWith('/datasets') || answer.text.includes('"MethodNotAllowedError"'), answer.text);
		}
		for (const path of ['/nothing', '/images/', `/images/${uuid}/nothing`, '/IMAGES', '/']) {
			const {status} = await mirror.get(path, {method});
			t.true(status === 404 || (status === 405 && ['/', '/images/'].includes(path)), `${method} ${path}: ${status}`);
		}
	}
});
