/**
 * Whether bytes are those that were expected. AVA's `deepEqual` takes seconds for a megabyte of them; this takes none,
 * and says in a line where they differ.
 */
import type {ExecutionContext} from 'ava';

export function sameBytes(
	t: ExecutionContext,
	actual: Uint8Array | undefined,
	expected: Uint8Array | undefined,
	message?: string,
): void {
	t.is(difference(actual, expected), undefined, message);
}

function difference(actual: Uint8Array | undefined, expected: Uint8Array | undefined): string | undefined {
	if (actual === undefined || expected === undefined) {
		return actual === expected ? undefined : `${described(actual)} instead of ${described(expected)}`;
	}
	if (Buffer.compare(actual, expected) === 0) {
		return undefined;
	}
	const at = actual.findIndex((byte, index) => byte !== expected[index]);
	const from = at === -1 ? actual.length : at;
	return (
		`${described(actual)} instead of ${described(expected)}, from byte ${from} on: ` +
		`${excerpt(actual, from)} instead of ${excerpt(expected, from)}`
	);
}

function described(bytes: Uint8Array | undefined): string {
	return bytes === undefined ? 'nothing' : `${bytes.length} bytes`;
}

function excerpt(bytes: Uint8Array, from: number): string {
	return JSON.stringify(Buffer.from(bytes.subarray(from, from + 40)).toString('latin1'));
}
