/**
 * What is said of a file that is on its way, whether it is kept or not.
 */
export interface FlightStatus {
	readonly image: string;
	readonly file: string;
	readonly size: number;
	readonly written: number;
	readonly resumedFrom: number;
	readonly followers: number;
	readonly source: string | undefined;
	/** For its turn. */
	readonly waiting: boolean;
	/** No client has come for it. */
	readonly background: boolean;
	/** Past the disk, to clients only. */
	readonly passing: boolean;
	/** Over the last ten seconds. */
	readonly bytesPerSecond: number;
	readonly sinceMs: number;
}
