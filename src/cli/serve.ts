/**
 * `imgmirror serve`: a mirror from its start to its end, and the signals in between.
 *
 * SIGHUP reads the configuration again, SIGTERM and SIGINT stop gracefully, a second one at once. Everything the mirror
 * does in between is `assemble`'s and never comes by here.
 */
import {configChanges, readConfig, type Config, type ConfigRequest} from '../config.js';
import {ConfigError, DataInUseError, MirrorError, asError, describe} from '../errors.js';
import {createLogger, pause, systemClock, type Logger} from '../host.js';
import {banner} from './banner.js';
import {startInTurn} from './data-turn.js';
import {exitCodes} from './exit-codes.js';
import type {Assemble, CliIo, Output, RunningMirror} from './io.js';
import {explainStartupFailure} from './startup-failure.js';

/** A server that was started for one command is often gone soon. */
const commandEndsWithinMs = 10_000;

/** Resolves with the exit code once the mirror has stopped. Throws ConfigError before anything was started. */
export async function serve(request: ConfigRequest, io: CliIo): Promise<number> {
	const run = new Run(request, readConfig(request), io);
	run.listen();
	try {
		return await run.untilStopped();
	} finally {
		run.unlisten();
	}
}

class Run {
	readonly #request: ConfigRequest;
	readonly #io: CliIo;
	readonly #handlers: ReadonlyMap<string, (value: unknown) => void>;
	readonly #ending: Promise<string>;
	#config: Config;
	/** The mirror's own as soon as there is one. */
	#log: Logger;
	#mirror: RunningMirror | undefined;
	#end: (signal: string) => void = () => undefined;
	#endedBy: string | undefined;
	#reloading: Promise<void> | undefined;
	#reloadWanted = false;

	constructor(request: ConfigRequest, config: Config, io: CliIo) {
		this.#request = request;
		this.#config = config;
		this.#io = io;
		this.#log = loggerFor(config, io.stderr);
		this.#ending = new Promise(resolve => {
			this.#end = resolve;
		});
		this.#handlers = new Map<string, (value: unknown) => void>([
			['SIGHUP', () => this.#onHangup()],
			['SIGTERM', () => this.#onStop('SIGTERM')],
			['SIGINT', () => this.#onStop('SIGINT')],
			['uncaughtException', error => this.#onCrash(error, 'an error that nobody caught')],
			['unhandledRejection', error => this.#onCrash(error, 'a rejection that nobody handled')],
		]);
	}

	/** Before the start: a signal during it must not kill the process half-way. */
	listen(): void {
		for (const [event, handler] of this.#handlers) {
			this.#io.process.on(event, handler);
		}
	}

	unlisten(): void {
		for (const [event, handler] of this.#handlers) {
			this.#io.process.off(event, handler);
		}
	}

	async untilStopped(): Promise<number> {
		try {
			this.#mirror = await this.#start();
			if (this.#mirror === undefined) {
				return exitCodes.ok;
			}
			this.#log = this.#mirror.log;
			this.#io.heap?.release();
		} catch (error) {
			if (error instanceof ConfigError) {
				throw error;
			}
			const sockets = this.#config.listen.flatMap(({path}) => path ?? []);
			this.#io.stderr.write(`imgmirror: ${explainStartupFailure(error, sockets)}\n`);
			return exitCodes.failure;
		}
		if (this.#endedBy === undefined) {
			this.#announce(this.#mirror);
			this.#startReload();
		}
		this.#log.info({signal: await this.#ending}, 'stopping');
		await this.#reloading;
		try {
			await this.#mirror.stop();
		} catch (error) {
			this.#log.error({err: error}, 'could not stop in order');
			return exitCodes.failure;
		}
		this.#log.info('stopped');
		return exitCodes.ok;
	}

	/** `undefined`: stopped before the data directory was free. */
	async #start(): Promise<RunningMirror | undefined> {
		// Only now: the server is most of the program, and no other command needs it.
		const assemble: Assemble = this.#io.assemble ?? (await import('../assemble.js')).assemble;
		const {version, stderr, heap, clock = systemClock} = this.#io;
		return startInTurn(() => assemble(this.#config, {version, stderr, onRead: () => heap?.collect()}), {
			clock,
			forMs: commandEndsWithinMs,
			onWait: () => {
				this.#log.info(
					{data: this.#config.data},
					'another imgmirror is using the data directory: waiting for it to end',
				);
			},
			isNeedless: error => error instanceof DataInUseError && this.#endedBy !== undefined,
			pause: delayMs => pause(clock, delayMs),
		});
	}

	#announce({addresses}: RunningMirror): void {
		const interfaces = this.#io.networkInterfaces();
		const line = banner({version: this.#io.version, addresses, config: this.#config, interfaces});
		this.#io.stdout.write(`${line}\n`);
	}

	#onStop(signal: string): void {
		if (this.#endedBy !== undefined) {
			// Whoever asks twice does not want to wait. What is on disk is good for a resume, as after a crash.
			this.#log.warn({signal}, 'stopping at once');
			this.#io.exit(exitCodes.failure);
			return;
		}
		this.#endedBy = signal;
		this.#end(signal);
	}

	#onCrash(error: unknown, message: string): void {
		// The log writes synchronously; still, nothing may keep a process that is in an unknown state.
		try {
			this.#log.fatal({err: asError(error)}, message);
		} finally {
			this.#io.exit(exitCodes.failure);
		}
	}

	#onHangup(): void {
		this.#reloadWanted = true;
		this.#startReload();
	}

	/** One at a time; however many are asked for meanwhile, one more afterwards sees what they would have seen. */
	#startReload(): void {
		if (!this.#reloadWanted || this.#reloading !== undefined || this.#mirror === undefined) {
			return;
		}
		this.#reloadWanted = false;
		this.#reloading = this.#reload(this.#mirror).finally(() => {
			this.#reloading = undefined;
			this.#startReload();
		});
	}

	async #reload(mirror: RunningMirror): Promise<void> {
		if (this.#endedBy !== undefined) {
			return;
		}
		try {
			const config = readConfig(this.#request);
			// Also where nothing differs: files that it names may.
			const notes = await mirror.reload(config);
			this.#takeOver(config);
			for (const note of notes) {
				this.#log.warn(note);
			}
		} catch (error) {
			for (const fault of error instanceof ConfigError ? error.faults : []) {
				this.#log.error({fault}, 'configuration fault');
			}
			const reason = error instanceof MirrorError ? {reason: describe(error)} : {err: error};
			this.#log.error(reason, 'the configuration was not taken over: everything goes on as before');
		}
	}

	#takeOver(config: Config): void {
		const changes = configChanges(this.#config, config);
		this.#config = config;
		for (const change of changes) {
			this.#log.info({change}, 'configuration changed');
		}
		this.#log.info(
			{file: config.file, changes: changes.length},
			changes.length === 0 ? 'configuration read again: none of its keys has changed' : 'configuration read again',
		);
	}
}

function loggerFor({log}: Config, stderr: Output): Logger {
	const auto = stderr.isTTY === true ? 'text' : 'json';
	return createLogger({
		level: log.level,
		format: log.format === 'auto' ? auto : log.format,
		write: line => stderr.write(line),
	});
}
