/**
 * A whole mirror in this process, configured as an operator would: through the configuration's own reader.
 *
 * Its data is in a temporary directory, it listens on port 0, and it ends with the test. `restart` is what happens
 * when the process is stopped and started again on the same data.
 */
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {assemble, type RunningMirror} from '../../src/assemble.js';
import {readConfig, type Config} from '../../src/config.js';
import type {Clock} from '../../src/host.js';
import {get, type Answer, type GetOptions} from './http-client.js';
import type {TestImage} from './make-image.js';
import {ShiftedClock} from './shifted-clock.js';
import {tempDir, type Scope} from './temp-dir.js';
import {testHost, type TestHost} from './test-host.js';

export interface MirrorOptions {
	/** As in a configuration file: URLs, or sources. */
	readonly sources: readonly (string | Readonly<Record<string, unknown>>)[];
	/** Further keys of the configuration file. */
	readonly config?: Readonly<Record<string, unknown>>;
	/** A new temporary directory unless given. */
	readonly data?: string;
	readonly clock?: Clock;
}

/** Patience that suits tests: what is dead is found dead at once. */
const patience = {connectTimeout: '2s', headerTimeout: '20s', idleTimeout: '20s', retries: 1};

export interface TestMirror {
	readonly host: TestHost<Clock>;
	readonly url: string;
	readonly data: string;
	readonly running: RunningMirror;
	get(path: string, options?: GetOptions): Promise<Answer>;
	/** The file of an image. */
	file(image: TestImage, options?: GetOptions): Promise<Answer>;
	/** Resolves once `look` finds something in the mirror's status. */
	until<T>(look: (status: MirrorStatus) => T): Promise<Exclude<T, undefined | false>>;
	/** Resolves when that many clients follow the transfer of the image. */
	followers(image: TestImage, count: number): Promise<void>;
	/** Resolves when no transfer is under way. */
	idle(): Promise<void>;
	/** Sets the mirror's clock ahead of the machine's; not for one with a clock of its own. */
	ahead(ms: number): void;
	reload(options: Partial<MirrorOptions>): Promise<readonly string[]>;
	stop(): Promise<void>;
	/** Stops it and starts it again on the same data, with other options if given. */
	restart(options?: Partial<MirrorOptions>): Promise<TestMirror>;
}

export interface MirrorStatus {
	readonly merged: number;
	readonly conflictCount: number;
	readonly sources: readonly {
		readonly name: string;
		readonly images: number;
		readonly fetchedAt?: string;
		readonly lastError?: string;
		readonly fresh: boolean;
		readonly skipped: number;
	}[];
	readonly transfers: readonly {
		readonly image: string;
		readonly written: number;
		readonly followers: number;
		readonly waiting: boolean;
		readonly source?: string;
	}[];
	readonly store: {
		readonly files: number;
		readonly bytes: number;
		readonly quarantine: readonly {readonly size: number}[];
	};
}

export async function startMirror(t: Scope, options: MirrorOptions): Promise<TestMirror> {
	const data = options.data ?? path.join(await tempDir(t), 'data');
	const clock = options.clock ?? new ShiftedClock();
	const host = testHost<Clock>({clock});
	const config = await configOf(t, {...options, data});
	const running = await assemble(config, {version: '0.0.0-test', stderr: {write: () => undefined}, host});
	t.teardown(() => running.stop());
	const [url = ''] = running.addresses;
	const status = async (): Promise<MirrorStatus> => (await running.mirror.status()) as MirrorStatus;

	const mirror: TestMirror = {
		host,
		url,
		data,
		running,
		get: (at, how) => get(url + at, how),
		file: (image, how) => get(`${url}/images/${image.uuid}/file`, how),
		async until(look) {
			for (;;) {
				const found = look(await status());
				if (found !== undefined && found !== false) {
					return found as never;
				}
				// A status takes some work: to be asked for it without a break, many mirrors at once would do nothing else.
				await new Promise(resolve => setTimeout(resolve, 5));
			}
		},
		async followers(image, count) {
			await mirror.until(({transfers}) => transfers.some(one => one.image === image.uuid && one.followers === count));
		},
		async idle() {
			await mirror.until(({transfers}) => transfers.length === 0);
		},
		ahead(ms) {
			if (!(clock instanceof ShiftedClock)) {
				throw new TypeError("the clock is the test's own to move");
			}
			clock.ahead(ms);
		},
		async reload(changed) {
			return running.reload(await configOf(t, {...options, ...changed, data}));
		},
		stop: () => running.stop(),
		async restart(changed = {}) {
			await running.stop();
			return startMirror(t, {...options, ...changed, data, clock});
		},
	};
	return mirror;
}

async function configOf(t: Scope, options: MirrorOptions): Promise<Config> {
	const file = path.join(await tempDir(t), 'imgmirror.json');
	const content = {
		listen: ['127.0.0.1:0'],
		data: options.data,
		drainTimeout: '10s',
		sources: options.sources,
		...options.config,
		transfers: {patience: 'never', ...(options.config?.['transfers'] as object | undefined)},
		sourceDefaults: {...patience, ...(options.config?.['sourceDefaults'] as object | undefined)},
	};
	await writeFile(file, JSON.stringify(content));
	return readConfig({file, env: {}});
}
