/**
 * V8's heap while a mirror starts.
 *
 * A start reads much that stays and little that goes soon, so V8 takes the space for what is short-lived up to its most
 * and keeps that for good: 32 MiB of it. `main.ts` has it kept small until all is read, and what reading has left behind
 * collected, before anybody is served.
 */
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import type {SmallHeap} from './cli/io.js';

const keepSize = '--semi-space-growth-factor=1';
const grow = '--semi-space-growth-factor=2';

export function startWithSmallHeap(): SmallHeap {
	setFlagsFromString(keepSize);
	return {
		collect() {
			setFlagsFromString('--expose-gc');
			const collect: unknown = runInNewContext('gc');
			setFlagsFromString('--no-expose-gc');
			if (typeof collect === 'function') {
				(collect as () => void)();
			}
		},
		release() {
			setFlagsFromString(grow);
		},
	};
}
