/**
 * The server that a command works with: the one that a URL names, the one that runs on the data directory, or one
 * that is started for the command and stopped after it.
 *
 * Only one process works on a data directory, so commands never touch it themselves: they all speak HTTP.
 */
import type {Stats} from 'node:fs';
import {access, constants, readdir, stat} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {readConfig, type Config, type ConfigRequest} from '../config.js';
import {UsageError, describe} from '../errors.js';
import {dataMode, makeFolder} from '../host-folders.js';
import {pause, systemClock} from '../host.js';
import {NotRunningError} from './client-errors.js';
import {Client} from './client.js';
import {keepAwake, startInTurn} from './data-turn.js';
import {interruptible} from './interruption.js';
import type {Assemble, CliIo, Control} from './io.js';
import {commandLineError, parseTarget, socketTarget, type Target} from './target.js';

export interface Whereabouts {
	/** `--url`; without it, IMGMIRROR_URL, unless the command line names a configuration or a data directory. */
	readonly url: string | undefined;
	readonly config: ConfigRequest;
	/** It has to be on this machine, so the variable does not count. */
	readonly onlyHere?: boolean;
	/** A server that runs is what it is about: none is started. */
	readonly onlyRunning?: boolean;
	/** A data directory that is not there is made: what the command brings is to be kept there. */
	readonly mayCreate?: boolean;
	/** It is not about sources: of a server that is started for it nobody hears that none answers. */
	readonly withoutSources?: boolean;
}

export interface Server {
	readonly client: Client;
	/** The same server has the same name the next time, however it is reached then. */
	readonly name: string;
	/** None ran: this one is for the command, and ends with it. */
	readonly startedHere: boolean;
}

/** Throws ConfigError, UsageError, and whatever `use` throws. */
export async function withServer<T>(where: Whereabouts, io: CliIo, use: (server: Server) => Promise<T>): Promise<T> {
	const awake = keepAwake();
	try {
		const target = namedTarget(where, io);
		if (target !== undefined) {
			return await withClient(target, {name: target.shown, startedHere: false}, io, use);
		}
		const {onlyRunning = false, mayCreate = false, withoutSources = false} = where;
		return await withOwnServer(readConfig(where.config), {io, onlyRunning, mayCreate, withoutSources}, use);
	} finally {
		awake();
	}
}

/** `undefined`: it is the one of the data directory. Throws ConfigError. */
export function namedTarget({url, config, onlyHere = false}: Whereabouts, io: CliIo): Target | undefined {
	const here = [
		...(config.file === undefined ? [] : ['--config']),
		...(config.flags?.data === undefined ? [] : ['--data']),
	];
	if (url !== undefined) {
		if (here.length > 0) {
			throw commandLineError([`--url and ${here.join(' and ')}: expected one or the other, as each names a server`]);
		}
		return parseTarget(url, '--url');
	}
	const variable = io.env['IMGMIRROR_URL']?.trim() ?? '';
	return variable === '' || here.length > 0 || onlyHere ? undefined : parseTarget(variable, 'IMGMIRROR_URL');
}

/** The server of the data directory, whether it runs or not. */
async function withOwnServer<T>(
	config: Config,
	{
		io,
		onlyRunning,
		mayCreate,
		withoutSources,
	}: Required<Pick<Whereabouts, 'onlyRunning' | 'mayCreate' | 'withoutSources'>> & {
		readonly io: CliIo;
	},
	use: (server: Server) => Promise<T>,
): Promise<T> {
	const {data} = config;
	const there = await stat(data).catch(() => undefined);
	const folder = there === undefined && mayCreate ? await made(data, io) : there;
	if (folder?.isDirectory() !== true) {
		// To make one would be to publish to nobody.
		throw new UsageError(
			`there is no data directory ${data}: name the server with --url http://USER:PASSWORD@HOST, ` +
				'or its data directory with --data or --config',
		);
	}
	const elsewhere = `run this as the account that ${data} belongs to, or name the server with --url http://USER:PASSWORD@HOST`;
	if (!(await isOurs(data))) {
		throw new UsageError(`${data} is another account's: ${elsewhere}`);
	}
	const control = io.control ?? (await import('../assemble-control.js'));
	const name = `data:${data}`;
	const running = async (startedHere: boolean): Promise<T> =>
		withClient(socketTarget(await control.controlSocket(data), ''), {name, startedHere}, io, use);
	if (await control.isRunning(data)) {
		return running(false);
	}
	if (onlyRunning) {
		throw new NotRunningError(`no server runs on ${data}`);
	}
	if (folder.uid !== userInfo().uid) {
		// Root may write there, but the server could not write to what root has made.
		throw new UsageError(`no server runs on ${data}, which is another account's: start it, or ${elsewhere}`);
	}
	if (await isForeign(data)) {
		throw new UsageError(
			`${data} is no data directory of an imgmirror, and none is made of it for this: name the server with ` +
				'--url http://USER:PASSWORD@HOST, or its data directory with --data or --config',
		);
	}
	const stop = await startPrivately(config, withoutSources ? 'error' : 'warn', {control, io});
	if (stop === undefined) {
		return running(false);
	}
	try {
		return await running(true);
	} finally {
		await stop();
	}
}

async function made(data: string, io: CliIo): Promise<Stats> {
	try {
		await makeFolder(data, dataMode);
		io.stderr.write(`imgmirror: made the data directory ${data}\n`);
		return await stat(data);
	} catch (error) {
		throw new UsageError(`the data directory ${data} cannot be made: ${describe(error)}`, {cause: error});
	}
}

/** A server reads all it has before it answers. */
const beginsWithinMs = 30_000;

/** What a data directory has from the first start on, or from the first user. */
const marks: ReadonlySet<string> = new Set(['version', 'blobs', 'users.json', 'keys', 'control.sock']);

/** Something else is kept there. A mistyped path must not be strewn with a mirror's files. */
async function isForeign(folder: string): Promise<boolean> {
	const names = (await readdir(folder)).filter(name => !name.startsWith('.') && name !== 'lost+found');
	return names.length > 0 && !names.some(name => marks.has(name));
}

async function isOurs(folder: string): Promise<boolean> {
	return access(folder, constants.W_OK).then(
		() => true,
		(error: unknown) => !(error instanceof Error && 'code' in error && error.code === 'EACCES'),
	);
}

/** `undefined`: somebody else has started one meanwhile. */
async function startPrivately(
	config: Config,
	level: 'warn' | 'error',
	{control, io}: {readonly control: Control; readonly io: CliIo},
): Promise<(() => Promise<void>) | undefined> {
	const assemble: Assemble = io.assemble ?? (await import('../assemble.js')).assemble;
	const start = async (): Promise<() => Promise<void>> => {
		const mirror = await assemble(
			// Its log is the command's: only what went wrong.
			{...config, listen: [], log: {level, format: 'text'}},
			{version: io.version, stderr: io.stderr, briefly: true},
		);
		return () => mirror.stop();
	};
	const clock = io.clock ?? systemClock;
	return startInTurn(start, {
		clock,
		forMs: beginsWithinMs,
		onWait() {
			io.stderr.write(`imgmirror: another imgmirror is using ${config.data}: waiting until it answers, or ends\n`);
		},
		isNeedless: () => control.isRunning(config.data),
		pause: delayMs => interruptible(io, signal => pause(clock, delayMs, signal)),
	});
}

async function withClient<T>(
	target: Target,
	about: Omit<Server, 'client'>,
	io: CliIo,
	use: (server: Server) => Promise<T>,
): Promise<T> {
	const client = new Client({target, clock: io.clock ?? systemClock, version: io.version});
	try {
		return await use({client, ...about});
	} finally {
		client.close();
	}
}
