/**
 * How far the counters have come since they were last looked at.
 *
 * The metrics count up for as long as the process lives, and begin at 0 with the next one; here is what came to them in
 * between. `History` looks once a minute.
 */
import type {Metrics} from '../host.js';
import type {Tally} from './points.js';

export interface Reading {
	readonly requests: number;
	readonly errors: number;
	readonly out: Tally;
	readonly in: Tally;
	readonly files: Tally;
	readonly connections: number;
	readonly storeBytes: number;
}

/** Nobody's work: whoever looks whether we live does so all day. */
const probes: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

interface Sample {
	readonly value: number;
	readonly labels: Readonly<Partial<Record<string, string | number>>>;
}

export class Readings {
	readonly #metrics: Metrics;
	/** What each counter said last, by names of our own. */
	readonly #last = new Map<string, Tally>();

	constructor(metrics: Metrics) {
		this.#metrics = metrics;
	}

	/** What has been counted since the last call; the first one: since the process began. */
	async next(): Promise<Reading> {
		const {requests, bytesToClients, bytesFromSources, fileRequests, connections, storeBytes} = this.#metrics;
		// All are read before anything is reckoned: they are of one moment, as nearly as can be.
		const [asked, out, from, files, open, stored] = await Promise.all(
			[requests, bytesToClients, bytesFromSources, fileRequests, connections, storeBytes].map(
				async (metric): Promise<readonly Sample[]> => (await metric.get()).values,
			),
		);
		const clients = (asked ?? []).filter(({labels}) => !probes.has(String(labels['route'])));
		const failed = clients.filter(({labels}) => Number(labels['status']) >= 500);
		return {
			requests: total(this.#grown('requests', tally(clients, 'route'))),
			errors: total(this.#grown('errors', tally(failed, 'route'))),
			out: this.#grown('out', tally(out, 'cache')),
			in: this.#grown('in', tally(from, 'source')),
			files: this.#grown('files', tally(files, 'cache')),
			connections: open?.[0]?.value ?? 0,
			storeBytes: stored?.[0]?.value ?? 0,
		};
	}

	#grown(counter: string, now: Tally): Tally {
		const before = this.#last.get(counter) ?? {};
		this.#last.set(counter, now);
		const growth = Object.entries(now).map(([name, value]): [string, number] => {
			const last = before[name] ?? 0;
			// It was set back: all that it says has come since.
			return [name, value >= last ? value - last : value];
		});
		return Object.fromEntries(growth.filter(([, value]) => value > 0));
	}
}

function tally(samples: readonly Sample[] | undefined, label: string): Tally {
	const sums: Record<string, number> = {};
	for (const {labels, value} of samples ?? []) {
		const name = String(labels[label]);
		sums[name] = (sums[name] ?? 0) + value;
	}
	return sums;
}

function total(tally: Tally): number {
	return Object.values(tally).reduce((sum, value) => sum + value, 0);
}
