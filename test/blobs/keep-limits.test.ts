import test from 'ava';
import {excessOf, noLimits, standingOf, type KeepLimits} from '../../src/blobs/keep-limits.js';

const now = {usedBytes: 600, reservedBytes: 50, capacityBytes: 1000};

test('the narrower of the size limit and the floor counts, and the marks are shares of it', t => {
	const limits: KeepLimits = {...noLimits, maxBytes: 500, minFreeBytes: 100, highMark: 0.9, lowMark: 0.8};
	const bySize = standingOf(limits, now);
	t.like(bySize, {allowedBytes: 500, highBytes: 450, lowBytes: 400, bound: 'limit', freeBytes: 400});
	t.is(excessOf(bySize), 150);
	const byFloor = standingOf({...limits, minFreeBytes: 600}, now);
	t.like(byFloor, {allowedBytes: 400, highBytes: 360, lowBytes: 320, bound: 'floor'});
	t.is(excessOf(byFloor), 250);
});

test('a low mark above the high one is as good as the high one', t => {
	const {highBytes, lowBytes} = standingOf({...noLimits, maxBytes: 500, highMark: 0.5, lowMark: 0.9}, now);
	t.deepEqual([highBytes, lowBytes], [250, 250]);
});

test('without limits nothing goes before the disk is full; a disk that tells nothing is no limit', t => {
	const none = standingOf(noLimits, now);
	t.like(none, {allowedBytes: 1000, highBytes: Infinity, lowBytes: Infinity, bound: 'floor'});
	const blind = standingOf({...noLimits, minFreeBytes: 100}, {...now, capacityBytes: undefined});
	t.like(blind, {allowedBytes: Infinity, freeBytes: undefined});
	t.like(standingOf({...noLimits, minFreeBytes: 5000}, now), {allowedBytes: 0, highBytes: 0, bound: 'floor'});
});
