/**
 * What those who hash files and the thread that does it say to each other.
 */

export type ToWorker =
	| {
			readonly what: 'open';
			readonly id: number;
			readonly file: string;
			readonly algorithms: readonly Algorithm[];
			readonly urgency: Urgency;
			/** Says after each turn how far it has come. */
			readonly reports: boolean;
			readonly progress: BigInt64Array<SharedArrayBuffer>;
	  }
	/** `ends`: the file has as many bytes as `progress` says. */
	| {readonly what: 'advance'; readonly id: number; readonly ends: boolean}
	| {readonly what: 'abandon'; readonly id: number}
	| ToWrite;

/** To be written by the thread, and hashed out of memory if the file has been hashed up to there. */
export interface ToWrite {
	readonly what: 'write';
	/** The file's hash, which may be over. */
	readonly id: number;
	/** What the answer is called by. */
	readonly call: number;
	readonly fd: number;
	readonly at: number;
	readonly parts: readonly {readonly memory: SharedArrayBuffer; readonly from: number; readonly bytes: number}[];
}

/** What a thread is begun with: how many calls to write it has not yet begun with. It interrupts its hashing for them. */
export interface ForWorker {
	readonly calls: Int32Array<SharedArrayBuffer>;
}

/** Of `progress`: how far the file is written, and 1 while the thread waits to be told that it has come further. */
export const progressAt = {written: 0, waits: 1} as const;

export type FromWorker =
	| {readonly id: number; readonly done: number}
	| {readonly id: number; readonly digests: Readonly<Record<string, string>>}
	| ({readonly id: number} & Failure)
	/** `failure`: of what was to be written behind these bytes. */
	| {readonly call: number; readonly written: number; readonly failure?: Failure};

/** `code` and `errno` where it was the system that failed. */
export interface Failure {
	readonly error: string;
	readonly code?: string;
	readonly errno?: number;
}

/** `now`: somebody waits for it. `soon`: when nothing else is to be done now. `idle`: when nothing else is to be done. */
export type Urgency = 'now' | 'soon' | 'idle';
export type Algorithm = 'sha1' | 'sha256' | 'md5';
export type Digests = Readonly<Partial<Record<Algorithm, string>>>;
