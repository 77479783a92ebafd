import test from 'ava';
import {BufferBudget} from '../../src/http/buffers.js';

const mebibyte = 1024 * 1024;

test('a few responses get large buffers, many get small ones, and all of them together stay within the budget', t => {
	const budget = new BufferBudget({maxBytes: 56 * mebibyte});
	const sizes = new Map<number, number>();
	for (let users = 1; users <= 4096; users++) {
		budget.enter();
		sizes.set(users, budget.size);
		t.true(users * budget.size * (budget.double ? 2 : 1) <= 64 * mebibyte, `${users} of ${budget.size}`);
	}
	for (const users of [1, 2, 28, 29, 32, 33, 57, 64, 100, 128, 500, 512, 1000, 2000]) {
		const taken = new BufferBudget({maxBytes: 56 * mebibyte});
		for (let user = 0; user < users; user++) {
			taken.enter();
		}
		for (let user = 0; user < users; user++) {
			taken.take();
			if (taken.double) {
				taken.take();
			}
		}
		t.true(taken.heldBytes <= 56 * mebibyte + users * 16_384, `${users} hold ${taken.heldBytes}`);
	}
	t.is(sizes.get(1), mebibyte);
	t.is(sizes.get(32), mebibyte);
	t.is(sizes.get(33), mebibyte / 2);
	t.is(sizes.get(128), mebibyte / 2);
	t.is(sizes.get(512), 131_072);
	t.is(sizes.get(1000), 65_536);
	t.is(sizes.get(4096), 16_384);
	t.is(budget.users, 4096);
});

test('past all measure, buffers get no smaller than 16 KiB', t => {
	const budget = new BufferBudget({maxBytes: mebibyte});
	for (let users = 0; users < 1000; users++) {
		budget.enter();
	}
	t.is(budget.size, 16_384);
	t.false(budget.double);
});

test('what stalled responses hold counts against what others get', t => {
	const budget = new BufferBudget({maxBytes: 64 * mebibyte});
	// Each comes, takes what it is given, and stalls.
	for (let users = 1; users <= 2000; users++) {
		budget.enter();
		budget.take();
		if (budget.double) {
			budget.take();
		}
	}
	t.true(budget.heldBytes <= 64 * mebibyte + 2000 * 16_384, `${budget.heldBytes}`);
	t.is(budget.size, 16_384);
});

test('a buffer given back is the next one taken, unless something may be reading from it yet', t => {
	const budget = new BufferBudget();
	budget.enter();
	const first = budget.take();
	const second = budget.take();
	t.not(first, second);
	t.is(budget.heldBytes, 2 * mebibyte);
	budget.give(second, false);
	budget.give(first, true);
	t.is(budget.heldBytes, 0);
	t.is(budget.take(), first);
	t.not(budget.take(), second);
});

test('what lies idle and what is in use stay within the budget together', t => {
	const budget = new BufferBudget({maxBytes: 16 * mebibyte});
	budget.enter();
	const taken = [budget.take(), budget.take()];
	t.is(taken[0]?.length, mebibyte);
	for (const buffer of taken) {
		budget.give(buffer, true);
	}
	t.is(budget.spareBytes, 2 * mebibyte);
	for (let kept = 0; kept < 20; kept++) {
		const {heldBytes} = budget;
		const buffer = Buffer.alloc(mebibyte);
		budget.take();
		budget.give(buffer, true);
		t.is(budget.heldBytes, heldBytes);
		t.true(budget.heldBytes + budget.spareBytes <= 16 * mebibyte);
	}
});

test('when more responses come, what was kept for larger reads serves smaller ones', t => {
	const budget = new BufferBudget({maxBytes: 16 * mebibyte});
	budget.enter();
	const first = budget.take();
	budget.give(first, true);
	while (budget.size > mebibyte / 4) {
		budget.enter();
	}
	const parts = [1, 2, 3, 4].map(() => budget.take());
	t.deepEqual(
		parts.map(({buffer, byteOffset, length}) => [buffer === first.buffer, byteOffset, length]),
		[0, 1, 2, 3].map(at => [true, (at * mebibyte) / 4, mebibyte / 4]),
	);
	t.is(budget.spareBytes, 0);
	t.not(budget.take().buffer, first.buffer);
});

test('with the last response, what was kept goes', t => {
	const budget = new BufferBudget();
	budget.enter();
	const buffer = budget.take();
	budget.give(buffer, true);
	budget.leave();
	t.is(budget.users, 0);
	budget.enter();
	t.not(budget.take(), buffer);
});
