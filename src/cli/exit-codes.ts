/**
 * What the process ends with.
 *
 * Service managers and scripts tell by it whether starting it again could help.
 */
export const exitCodes = {
	ok: 0,
	/** Something on this machine did not work out; it may do so later. */
	failure: 1,
	/** The command line or the configuration is wrong, and stays so until somebody changes it. */
	usage: 2,
	/** Told to stop by a signal, as shells say it. */
	interrupted: 130,
} as const;
