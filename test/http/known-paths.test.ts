import test from 'ava';
import type {Exchange} from '../../src/http/exchange.js';
import {KnownPaths} from '../../src/http/known-paths.js';

function asking(path: string | undefined, method = 'GET'): Exchange {
	return {method, target: {path, query: '', asked: path ?? '', belowBase: true}} as unknown as Exchange;
}

test('a path is known for the method that it was asked for with, and for nothing else', t => {
	const known = new KnownPaths();
	const answer = (): void => undefined;
	t.is(known.get(asking('/ping')), undefined);
	known.remember(asking('/ping'), answer);
	t.is(known.get(asking('/ping')), answer);
	t.is(known.get(asking('/ping', 'HEAD')), undefined);
	const head = (): void => undefined;
	known.remember(asking('/ping', 'HEAD'), head);
	t.is(known.get(asking('/ping', 'HEAD')), head);
	t.is(known.get(asking('/ping')), answer);
	t.is(known.get(asking('/images')), undefined);
	t.is(known.get(asking(undefined)), undefined);
});

test('however many paths there are, and however long, few are known', t => {
	const known = new KnownPaths();
	const answer = (): void => undefined;
	known.remember(asking(`/${'x'.repeat(1000)}`), answer);
	known.remember(asking('/ping', 'DELETE'), answer);
	known.remember(asking(undefined), answer);
	t.is(known.size, 0);
	for (let number = 0; number < 10_000; number++) {
		known.remember(asking(`/images/${number}`), answer);
	}
	t.true(known.size <= 2000);
	t.is(known.get(asking('/images/9999')), answer);
});
