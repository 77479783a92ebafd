import fc from 'fast-check';
import test from 'ava';
import {Places, type Place} from '../../src/blobs/places.js';

const never = new AbortController().signal;

interface Holder {
	readonly place: Place;
	readonly wasBackground: boolean;
	readonly abort: AbortController;
	state: 'outside' | 'waiting' | 'held' | 'over';
	open: boolean;
	takes: boolean;
}

function newPlaces(clients: number, background: number): Places {
	return new Places({limits: {clients, background}, onChange: () => undefined});
}

test('clients go in the order in which they ask; the background goes when none of them takes bytes', async t => {
	const places = newPlaces(1, 1);
	const order: string[] = [];
	const ask = (name: string, how: {background: boolean; jumps?: boolean}) => {
		const place = places.begin(how);
		void place.turn(never).then(() => order.push(name));
		return place;
	};
	const first = ask('first', {background: false});
	const ahead = ask('ahead', {background: true});
	const again = ask('again', {background: true, jumps: true});
	const second = ask('second', {background: false});
	await Promise.resolve();
	t.deepEqual(order, ['first']);
	first.takes(false);
	await Promise.resolve();
	t.deepEqual(order, ['first'], 'the second waits yet');
	first.giveBack();
	first.end();
	second.takes(false);
	await Promise.resolve();
	t.deepEqual(order, ['first', 'second', 'again']);
	again.giveBack();
	again.end();
	await Promise.resolve();
	t.deepEqual(order, ['first', 'second', 'again', 'ahead']);
	second.takes(true);
	t.deepEqual([second.open, ahead.open], [true, false]);
});

test('who waits for a source lends its place, up to a number, and others come after it has it back', async t => {
	const places = newPlaces(1, 1);
	const order: number[] = [];
	const all = Array.from({length: 70}, (_, number) => {
		const place = places.begin({background: false});
		void place.turn(new AbortController().signal).then(() => {
			order.push(number);
			place.lend(true);
		});
		return place;
	});
	for (let turn = 0; turn < 100; turn++) {
		await Promise.resolve();
	}
	t.deepEqual(
		order,
		Array.from({length: 65}, (_, number) => number),
	);
	for (const place of all.slice(0, 4)) {
		place.lend(false);
	}
	all[10]?.giveBack();
	await Promise.resolve();
	t.is(order.length, 65, 'those that were lent are had back first');
	for (const place of all.slice(0, 4)) {
		place.giveBack();
	}
	await Promise.resolve();
	await Promise.resolve();
	t.true(order.length > 65);
});

test('what waits in the background and is wanted by a client takes its turn behind the clients that asked before', async t => {
	const places = newPlaces(1, 1);
	const order: string[] = [];
	const ask = (name: string, background: boolean): Place => {
		const place = places.begin({background});
		void place.turn(never).then(() => order.push(name));
		return place;
	};
	const first = ask('first', false);
	const ahead = ask('ahead', true);
	const second = ask('second', false);
	ahead.toClients();
	const end = async (place: Place): Promise<void> => {
		place.giveBack();
		place.end();
		await Promise.resolve();
	};
	await end(first);
	t.deepEqual(order, ['first', 'second']);
	await end(second);
	t.deepEqual(order, ['first', 'second', 'ahead']);
});

const step = fc.record({
	what: fc.constantFrom('client', 'ahead', 'jump', 'promote', 'takes', 'rests', 'abort', 'end', 'limits'),
	which: fc.nat(20),
	limits: fc.tuple(fc.integer({min: 1, max: 4}), fc.nat(3)),
});

test('whatever comes and goes: never more than allowed, nobody is kept from a free place, no background beside a client', async t => {
	await fc.assert(
		fc.asyncProperty(fc.array(step, {maxLength: 60}), async steps => {
			let limits: readonly [number, number] = [2, 2];
			const places = newPlaces(...limits);
			let holders: Holder[] = [];
			let allowedClients: number = limits[0];
			for (const {what, which, limits: newLimits} of steps) {
				const chosen = holders[which % Math.max(1, holders.length)];
				const goneOn = chosen?.place.background === true && chosen.state === 'held';
				switch (what) {
					case 'client':
					case 'ahead':
					case 'jump': {
						const background = what !== 'client';
						const place = places.begin({background, jumps: what === 'jump'});
						const abort = new AbortController();
						const holder: Holder = {
							...{place, abort, wasBackground: background, state: 'waiting', open: place.open, takes: true},
						};
						place.onGate(open => {
							holder.open = open;
						});
						place.turn(abort.signal).then(
							() => {
								holder.state = 'held';
							},
							() => {
								holder.state = 'outside';
							},
						);
						holders.push(holder);
						break;
					}
					case 'promote':
						chosen?.place.toClients();
						// One that runs goes on beyond the limit.
						allowedClients += goneOn ? 1 : 0;
						break;
					case 'takes':
					case 'rests':
						chosen?.place.takes(what === 'takes');
						if (chosen !== undefined) {
							chosen.takes = what === 'takes';
						}
						break;
					case 'abort':
						if (chosen?.state === 'waiting') {
							chosen.abort.abort(new Error('left'));
							chosen.place.end();
							holders = holders.filter(one => one !== chosen);
						}
						break;
					case 'end':
						if (chosen?.state === 'held') {
							chosen.place.giveBack();
							chosen.place.end();
							holders = holders.filter(one => one !== chosen);
						}
						break;
					case 'limits':
						limits = newLimits;
						places.setLimits({clients: limits[0], background: limits[1]});
						break;
				}
				await Promise.resolve();
				await Promise.resolve();
				const clients = holders.filter(({place}) => !place.background);
				const ahead = holders.filter(({place}) => place.background);
				const busy = clients.some(({takes}) => takes);
				const held = (all: readonly Holder[]): number => all.filter(({state}) => state === 'held').length;
				if (held(clients) < limits[0] && clients.some(({state}) => state === 'waiting')) {
					throw new Error('a client waits though there is a place');
				}
				if (!busy && held(ahead) < limits[1] && ahead.some(({state}) => state === 'waiting')) {
					throw new Error('one in the background waits though nobody is in need');
				}
				if (ahead.some(({state, open}) => state === 'held' && open === busy)) {
					throw new Error('one in the background may take bytes beside a client, or may not though there is none');
				}
				if (clients.some(({state, open}) => state === 'held' && !open)) {
					throw new Error('a client is kept from taking bytes');
				}
				allowedClients = Math.max(limits[0], allowedClients, held(clients) > allowedClients ? -1 : 0);
				if (held(clients) > allowedClients + holders.filter(one => one.wasBackground).length) {
					throw new Error('more clients than allowed');
				}
			}
		}),
		{numRuns: 300},
	);
	t.pass();
});
