/**
 * What this browser keeps for us between visits. Where it keeps nothing, everything works but the remembering.
 */
export function recall(key: string): string | undefined {
	try {
		return localStorage.getItem(key) ?? undefined;
	} catch {
		return undefined;
	}
}

export function remember(key: string, value: string): void {
	try {
		localStorage.setItem(key, value);
	} catch {
		// Full, or forbidden.
	}
}

export function forget(key: string): void {
	try {
		localStorage.removeItem(key);
	} catch {
		// Forbidden.
	}
}

/** All keys that begin so. */
export function keysLike(prefix: string): readonly string[] {
	try {
		return Array.from({length: localStorage.length}, (_, at) => localStorage.key(at) ?? '').filter(key =>
			key.startsWith(prefix),
		);
	} catch {
		return [];
	}
}
