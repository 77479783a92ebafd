/**
 * Where the drop folder may be: anywhere but where the mirror keeps what is its own.
 *
 * Paths are compared as they are written. Where links lead, `publish/` finds out when it looks there.
 */
import {relative, sep} from 'node:path';
import {Fault, shown, type Place} from './place.js';
import type {Config} from './types.js';

/** What the mirror keeps in the data directory, as `blobs/layout.ts` has it. */
export const ownPlaces: readonly string[] = [
	...[
		'blobs',
		'partial',
		'quarantine',
		'digests',
		'memory',
		'lock.sock',
		'published',
		'own',
		'uploads',
		'jobs',
		'users.json',
	],
	...['keys', 'pins.json', 'usage', 'index', 'scrub', 'holds.json', 'history.json', 'hooks.json', 'prefetch.json'],
	...['bundle-key.pem', 'trusted-keys', 'spool', 'alive', 'control.sock'],
];

/** What is taken in from a drop folder is cleared away there. Said of the whole configuration, as no key knows both. */
export function checkDropFolder({data, publish}: Pick<Config, 'data' | 'publish'>, at: Place): void {
	const {dropFolder} = publish;
	const place = at.child('publish').child('dropFolder');
	if (dropFolder === undefined || place.isFaulty || at.child('data').isFaulty) {
		return;
	}
	const steps = relative(data, dropFolder).split(sep);
	const isAround = steps.every(step => step === '' || step === '..');
	const [first = ''] = steps;
	if (isAround || ownPlaces.includes(first)) {
		const expected = 'a folder apart from what the mirror keeps in its data directory';
		const which = isAround ? 'which is that directory, or has it inside' : `which is of the mirror's own ${first}`;
		place.report(new Fault(expected, `${shown(dropFolder)}, ${which}`));
	}
}
