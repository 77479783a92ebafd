/**
 * What a command has of the process it runs in.
 *
 * `main.ts` hands in the real thing, tests a stand-in: nothing in this room touches `process` itself.
 */
import type {networkInterfaces} from 'node:os';
import type {Config} from '../config.js';
import type {Clock, Logger} from '../host.js';

export interface Output {
	/** `done` is called once it has gone out, or never will. */
	write(text: string | Uint8Array, done?: (error?: Error | null) => void): unknown;
	readonly isTTY?: boolean;
	/** Of the terminal. */
	readonly columns?: number;
	readonly rows?: number;
}

/** What is piped in. Read once. */
export interface Input extends AsyncIterable<unknown> {
	readonly isTTY?: boolean;
}

/** The way to the server of a data directory, for whoever runs as the same account. */
export interface Control {
	/** The path of the socket, whether or not anybody listens there. */
	controlSocket(data: string): Promise<string>;
	isRunning(data: string): Promise<boolean>;
}

/** A mirror that runs: what `assemble` makes. */
export interface RunningMirror {
	/** The mirror's own, in the form that it began with: what is written there is shown by "imgmirror log", too. */
	readonly log: Logger;
	/** Where it really listens: `http://127.0.0.1:8080`, `https://[::]:8443`, `unix:/run/imgmirror.sock`. */
	readonly addresses: readonly string[];
	/** Takes over what can be changed while running; says what cannot. */
	reload(config: Config): Promise<readonly string[]>;
	/** Lets responses finish as long as the configuration says, then suspends transfers. */
	stop(): Promise<void>;
}

export interface AssembleOptions {
	readonly version: string;
	/** Where the log goes. */
	readonly stderr: Output;
	/** For one command: nothing is begun that nobody asked for. */
	readonly briefly?: boolean;
	/** Called once all that a start reads is read, before anybody is served. */
	readonly onRead?: () => void;
}

export type Assemble = (config: Config, options: AssembleOptions) => Promise<RunningMirror>;

/** Signals, and errors that nobody caught. */
export interface ProcessEvents {
	on(event: string, listener: (value: unknown) => void): unknown;
	off(event: string, listener: (value: unknown) => void): unknown;
}

/** The memory of a process while it starts a mirror. */
export interface SmallHeap {
	/** Everything that a start reads is read. */
	collect(): void;
	/** The start is over. */
	release(): void;
}

export interface CliIo {
	readonly stdin: Input;
	readonly stdout: Output;
	readonly stderr: Output;
	/** Kept small while a mirror starts. */
	readonly heap?: SmallHeap;
	readonly env: Readonly<Record<string, string | undefined>>;
	/** Relative paths begin here. */
	readonly directory: string;
	readonly version: string;
	readonly process: ProcessEvents;
	/** At once, whatever is under way. */
	exit(code: number): void;
	/** Instead of the real ones: for tests. */
	readonly assemble?: Assemble;
	readonly control?: Control;
	readonly clock?: Clock;
	readonly networkInterfaces: typeof networkInterfaces;
}
