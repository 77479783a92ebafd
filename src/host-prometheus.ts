/**
 * The parts of prom-client that every start needs. prom-client has its only door here.
 *
 * Its index brings more along than it is itself, above all for Node's own numbers: these come once a start is over. A
 * version of it that has its parts elsewhere is loaded whole.
 */
import {createRequire} from 'node:module';
import type * as Prometheus from 'prom-client';

interface Parts {
	readonly Counter: typeof Prometheus.Counter;
	readonly Gauge: typeof Prometheus.Gauge;
	readonly Histogram: typeof Prometheus.Histogram;
	readonly Registry: typeof Prometheus.Registry;
}

export type Counter<T extends string = string> = Prometheus.Counter<T>;
export type Gauge<T extends string = string> = Prometheus.Gauge<T>;
export type Histogram<T extends string = string> = Prometheus.Histogram<T>;
export type Registry = Prometheus.Registry;

export const {Counter, Gauge, Histogram, Registry} = loadParts(createRequire(import.meta.url));

/** Resolves when Node's own numbers are among those of the registry. */
export async function collectProcessMetrics(register: Registry): Promise<void> {
	const {collectDefaultMetrics} = await import('prom-client');
	collectDefaultMetrics({register});
}

function loadParts(load: (file: string) => unknown): Parts {
	try {
		return {
			Counter: load('prom-client/lib/counter.js') as Parts['Counter'],
			Gauge: load('prom-client/lib/gauge.js') as Parts['Gauge'],
			Histogram: load('prom-client/lib/histogram.js') as Parts['Histogram'],
			Registry: load('prom-client/lib/registry.js') as Parts['Registry'],
		};
	} catch {
		return load('prom-client') as Parts;
	}
}
