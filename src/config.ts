/**
 * The configuration's door: reads it, checks every key, reports all faults at once; plain readonly data out.
 *
 * What may be configured is said by the tables in `config/keys.ts`, `config/source.ts` and `config/addresses.ts`;
 * nobody outside of this room looks into a file or at the environment.
 */
import type {Written} from './config/kinds.js';
import {read, type ConfigRequest} from './config/read.js';
import {written} from './config/show.js';
import type {Config} from './config/types.js';

export type {
	AccessConfig,
	ChannelConfig,
	Config,
	DayWindow,
	HoldConfig,
	ImageFilter,
	ListenConfig,
	PrefetchRuleConfig,
	ProxyEnvironment,
	RightConfig,
	ScheduleConfig,
	ServerMode,
	SourceConfig,
	SourceType,
	TlsConfig,
	Vanished,
	WebhookConfig,
} from './config/types.js';
export type {ConfigRequest} from './config/read.js';
export type {Flags} from './config/overrides.js';
export type {KeyDescription} from './config/show.js';
export {formatDuration, formatRate, formatSize} from './config/units.js';
export {changes as configChanges, describeKeys, example as exampleConfig} from './config/show.js';

/** Throws a ConfigError that has a line for each fault. */
export function readConfig(request: ConfigRequest): Config {
	return read(request).config;
}

/** What `readConfig` makes of the same request, in the form of a file, with secrets masked. */
export function showConfig(request: ConfigRequest): Readonly<Record<string, Written>> {
	return written(read(request));
}
