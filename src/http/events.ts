/**
 * What happens, as it happens, for the page and whoever else reads server-sent events.
 *
 * Each event is laid out once, however many read it. Its id names this process as well: whoever comes back to the same
 * one is told what it missed, and to another one, that it has to look at everything anew.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import type {Host, MirrorEvent, Timer} from '../host.js';
import {mayStill, type Gate} from './callers.js';
import type {Exchange} from './exchange.js';
import {refuseOthers} from './fields.js';
import {Outlet, untilOver} from './outlet.js';
import {seeing, type Route} from './routes.js';

/** Proxies take a connection for dead when nothing comes for a minute. */
const heartbeatMs = 15_000;
const retryMs = 2000;

const heartbeat = Buffer.from(':\n\n');

interface Reader {
	readonly outlet: Outlet;
	readonly exchange: Exchange;
}

export interface EventContext {
	readonly host: Pick<Host, 'clock' | 'events'>;
	readonly access: Gate;
	readonly instanceId: string;
	/** Aborted when the server goes down. */
	readonly stopping: AbortSignal;
}

export function eventRoutes(context: EventContext): readonly Route[] {
	const stream = new EventStream(context);

	async function events(exchange: Exchange): Promise<void> {
		refuseOthers(exchange.query, []);
		exchange.stream({'Content-Type': 'text/event-stream'});
		if (exchange.head) {
			exchange.end();
			return;
		}
		await stream.read(exchange);
	}

	return [{speaks: 'plain', path: '/events', quiet: true, methods: {GET: seeing(events)}}];
}

class EventStream {
	readonly #host: EventContext['host'];
	readonly #access: Gate;
	readonly #instanceId: string;
	readonly #stopping: AbortSignal;
	readonly #readers = new Set<Reader>();
	#last: number;
	#timer: Timer | undefined;

	constructor({host, access, instanceId, stopping}: EventContext) {
		this.#host = host;
		this.#access = access;
		this.#instanceId = instanceId;
		this.#stopping = stopping;
		this.#last = host.events.since(0)?.at(-1)?.id ?? 0;
		const unlisten = host.events.listen(event => this.#tell(event));
		stopping.addEventListener('abort', unlisten, {once: true});
	}

	async read(exchange: Exchange): Promise<void> {
		const reader = {outlet: new Outlet(exchange), exchange};
		// In one tick: no event is missed between those that are there and those that come.
		reader.outlet.push(this.#greeting(exchange.headers['last-event-id']));
		this.#readers.add(reader);
		this.#watch();
		try {
			await untilOver(reader.outlet, {left: exchange.signal, stopping: this.#stopping});
		} finally {
			this.#readers.delete(reader);
			if (this.#readers.size === 0) {
				this.#timer?.cancel();
				this.#timer = undefined;
			}
		}
	}

	/** What was missed; and where it goes on, so that who leaves before the first event can come back to it. */
	#greeting(lastEventId: string | string[] | undefined): Buffer {
		const retry = `retry: ${retryMs}\n`;
		const here = `id: ${this.#idOf(this.#last)}\n`;
		if (lastEventId === undefined || lastEventId === '') {
			return Buffer.from(`${retry}${here}\n`);
		}
		const at = this.#placeOf(lastEventId.toString());
		const missed = at === undefined ? undefined : this.#host.events.since(at);
		if (missed === undefined) {
			const because = at === undefined ? 'another process' : 'too long ago';
			return Buffer.from(`${retry}${here}event: reset\ndata: ${JSON.stringify({because})}\n\n`);
		}
		return Buffer.concat([Buffer.from(`${retry}\n`), ...missed.map(event => this.#textOf(event))]);
	}

	#tell(event: MirrorEvent): void {
		this.#last = event.id;
		if (this.#readers.size === 0) {
			return;
		}
		const text = this.#textOf(event);
		for (const {outlet} of this.#readers) {
			outlet.push(text);
		}
	}

	#textOf(event: MirrorEvent): Buffer {
		return Buffer.from(`id: ${this.#idOf(event.id)}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
	}

	#idOf(id: number): string {
		return `${this.#instanceId}-${id}`;
	}

	/** `undefined`: of another process, or none of ours. */
	#placeOf(lastEventId: string): number | undefined {
		const prefix = `${this.#instanceId}-`;
		const number = lastEventId.startsWith(prefix) ? lastEventId.slice(prefix.length) : '';
		return /^\d{1,15}$/u.test(number) ? Number(number) : undefined;
	}

	#watch(): void {
		this.#timer ??= this.#host.clock.after(heartbeatMs, () => {
			this.#timer = undefined;
			for (const reader of this.#readers) {
				reader.outlet.push(heartbeat);
				void this.#recheck(reader);
			}
			this.#watch();
		});
	}

	async #recheck({exchange, outlet}: Reader): Promise<void> {
		if (!(await mayStill(exchange, this.#access, 'private'))) {
			await outlet.end();
		}
	}
}
