/**
 * Lengths of time as people say them, for the log.
 */

const units = [
	[86_400_000, 'd'],
	[3_600_000, 'h'],
	[60_000, 'min'],
] as const;

/** From "1.5 s" to "30 d". */
export function inWords(ms: number): string {
	const unit = units.find(([length]) => ms >= 2 * length);
	if (unit === undefined) {
		return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
	}
	const [length, name] = unit;
	return `${Math.round(ms / length)} ${name}`;
}
