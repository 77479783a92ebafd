/**
 * For whoever runs the mirror: numbers for Prometheus, whether it lives and is ready, how it fares.
 *
 * Everything here is cheap to ask and says nothing that the log would not; `status` is the mirror's own.
 */
import type {Metrics} from '../host.js';
import type {CacheOutcome, MirrorApi} from '../mirror.js';
import type {Exchange} from './exchange.js';
import {open, type Route} from './routes.js';

const outcomes: readonly CacheOutcome[] = ['hit', 'join', 'miss', 'stale', 'local', 'pass'];

export function operatorRoutes(options: {
	readonly mirror: MirrorApi;
	readonly metrics: Metrics;
	readonly isStopping: () => boolean;
}): readonly Route[] {
	const {mirror, metrics, isStopping} = options;
	// A counter that appears with its first count has not risen, as Prometheus sees it.
	for (const cache of outcomes) {
		metrics.bytesToClients.inc({cache}, 0);
	}

	async function scrape(exchange: Exchange): Promise<void> {
		await mirror.updateMetrics();
		const text = Buffer.from(await metrics.text());
		exchange.body(200, text, {'Content-Type': metrics.registry.contentType});
	}

	function live(exchange: Exchange): void {
		exchange.json(200, {status: 'alive'}, {'Cache-Control': 'no-store'});
	}

	async function ready(exchange: Exchange): Promise<void> {
		const readiness = await mirror.readiness();
		// They may name images that are not for everybody.
		const warnings = exchange.caller.rights.has('private') ? readiness.warnings : undefined;
		const problems = isStopping() ? ['the mirror is stopping', ...readiness.problems] : readiness.problems;
		const isReady = readiness.ready && !isStopping();
		exchange.json(
			isReady ? 200 : 503,
			{
				status: isReady ? 'ready' : 'not ready',
				problems,
				...(warnings === undefined || warnings.length === 0 ? {} : {warnings}),
			},
			{'Cache-Control': 'no-store'},
		);
	}

	async function status(exchange: Exchange): Promise<void> {
		const namesImages = exchange.caller.rights.has('private');
		exchange.json(200, await mirror.status({namesImages}), {'Cache-Control': 'no-store'});
	}

	return [
		{speaks: 'plain', path: '/metrics', quiet: true, methods: {GET: scrape}},
		{speaks: 'plain', path: '/healthz', quiet: true, methods: {GET: open(live, 'none')}},
		{speaks: 'plain', path: '/readyz', quiet: true, methods: {GET: open(ready, 'none')}},
		{speaks: 'plain', path: '/status', methods: {GET: status}},
	];
}
