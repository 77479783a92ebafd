/**
 * A process for commands to run in, without one: what they write is kept, signals come when a test sends them.
 */
import {EventEmitter, once} from 'node:events';
import {Readable} from 'node:stream';
import type {AssembleOptions, CliIo, Control, Input, RunningMirror} from '../../src/cli/io.js';
import type {Config} from '../../src/config.js';
import {LogTail, createLogger, systemClock, type Clock, type Logger} from '../../src/host.js';

export interface LogLine {
	readonly level: number;
	readonly msg: string;
	readonly [key: string]: unknown;
}

export class FakeIo implements CliIo {
	readonly process = new EventEmitter();
	readonly env: Record<string, string> = {};
	directory = process.cwd();
	/** What is piped in; nothing, unless a test says so. */
	stdin: Input = Readable.from([]);
	/** The machine's, unless a test brings another one. */
	clock: Clock = systemClock;
	/** Of a machine on which no server runs. */
	control: Control = {controlSocket: async data => `${data}/control.sock`, isRunning: async () => false};
	readonly version = '1.2.3';
	readonly networkInterfaces = (): ReturnType<CliIo['networkInterfaces']> => ({});
	readonly exits: number[] = [];
	/** What `assemble` was called with. */
	readonly assembled: {readonly config: Config; readonly options: AssembleOptions}[] = [];
	readonly mirror = new FakeMirror();
	readonly #changes = new EventEmitter();
	out = '';
	err = '';
	/** Rejects instead of assembling, or waits before. */
	beforeAssembled: () => Promise<void> = async () => undefined;

	readonly stdout: {write(text: string): void; isTTY?: boolean} = {
		write: (text: string): void => {
			this.out += text;
			this.#changes.emit('change');
		},
	};

	readonly stderr: {write(text: string): void; isTTY?: boolean; columns?: number} = {
		write: (text: string): void => {
			this.err += text;
			this.#changes.emit('change');
		},
	};

	exit(code: number): void {
		this.exits.push(code);
		this.#changes.emit('change');
	}

	readonly assemble = async (config: Config, options: AssembleOptions): Promise<RunningMirror> => {
		this.assembled.push({config, options});
		this.#changes.emit('change');
		await this.beforeAssembled();
		const auto = this.stderr.isTTY === true ? 'text' : 'json';
		this.mirror.log = createLogger({
			level: config.log.level,
			format: config.log.format === 'auto' ? auto : config.log.format,
			tail: this.mirror.logTail,
			write: line => this.stderr.write(line),
		});
		return this.mirror;
	};

	/** Resolves once that holds; looked at after everything that is written. */
	async until(holds: () => boolean): Promise<void> {
		while (!holds()) {
			await once(this.#changes, 'change');
		}
	}

	/** Of the JSON log. */
	get logged(): readonly LogLine[] {
		return this.err
			.split('\n')
			.filter(line => line.startsWith('{'))
			.map(line => JSON.parse(line) as LogLine);
	}
}

export class FakeMirror implements RunningMirror {
	readonly addresses = ['http://127.0.0.1:8080'];
	readonly logTail = new LogTail();
	/** As configured once it is assembled. */
	log: Logger = createLogger({level: 'silent', format: 'json', write: () => undefined});
	readonly reloads: Config[] = [];
	stops = 0;
	onReload: () => Promise<readonly string[]> = async () => [];
	onStop: () => Promise<void> = async () => undefined;

	async reload(config: Config): Promise<readonly string[]> {
		this.reloads.push(config);
		return this.onReload();
	}

	async stop(): Promise<void> {
		this.stops++;
		return this.onStop();
	}
}
