/**
 * `imgmirror config check`, `show` and `example`: what a configuration comes to, without running it.
 */
import {exampleConfig, readConfig, showConfig, type ConfigRequest} from '../config.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';

/** Throws ConfigError. */
export function configCheck(request: ConfigRequest, io: CliIo): number {
	const {file, data, listen, sources} = readConfig(request);
	const lines = [
		`${file ?? 'the built-in configuration'}: no faults`,
		`  listens on ${listen.map(({address, tls}) => (tls === undefined ? address : `${address} (TLS)`)).join(', ')}`,
		`  keeps everything in ${data}`,
		...sources.map(({name, type, urls}) => `  fronts ${name}: ${urls.join(', ')} (${type})`),
	];
	io.stdout.write(`${lines.join('\n')}\n`);
	return exitCodes.ok;
}

/** Throws ConfigError. */
export function configShow(request: ConfigRequest, io: CliIo): number {
	io.stdout.write(`${JSON.stringify(showConfig(request), null, '\t')}\n`);
	return exitCodes.ok;
}

export function configExample(io: CliIo): number {
	io.stdout.write(`${JSON.stringify(exampleConfig(), null, '\t')}\n`);
	return exitCodes.ok;
}
