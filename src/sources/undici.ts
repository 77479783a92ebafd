/**
 * The parts of undici that we use. undici has its only door here.
 *
 * Its index brings fetch, web sockets, caches and mocks along, three quarters of its weight, and each start would pay
 * for them. A version of it that has its parts elsewhere is loaded whole.
 */
import {createRequire} from 'node:module';
import type * as Undici from 'undici';

export type {Dispatcher} from 'undici';
export type ConnectOptions = Undici.buildConnector.Options;
export type ConnectCallback = Undici.buildConnector.Callback;

interface Parts {
	readonly Agent: typeof Undici.Agent;
	readonly Pool: typeof Undici.Pool;
	readonly ProxyAgent: typeof Undici.ProxyAgent;
	readonly buildConnector: typeof Undici.buildConnector;
}

export const {Agent, Pool, ProxyAgent, buildConnector} = loadParts(createRequire(import.meta.url));

function loadParts(load: (file: string) => unknown): Parts {
	try {
		const dispatcher = load('undici/lib/dispatcher/dispatcher.js') as {readonly prototype: object};
		// As its index does it.
		// `connect` is what its proxy agent asks for a tunnel with.
		Object.assign(dispatcher.prototype, {
			request: load('undici/lib/api/api-request.js'),
			connect: load('undici/lib/api/api-connect.js'),
		});
		return {
			Agent: load('undici/lib/dispatcher/agent.js') as Parts['Agent'],
			Pool: load('undici/lib/dispatcher/pool.js') as Parts['Pool'],
			ProxyAgent: load('undici/lib/dispatcher/proxy-agent.js') as Parts['ProxyAgent'],
			buildConnector: load('undici/lib/core/connect.js') as Parts['buildConnector'],
		};
	} catch {
		return load('undici') as Parts;
	}
}
