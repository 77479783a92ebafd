/**
 * An exporter over a mirror without disks and sources, and what a plan of its comes to.
 */
import {Exporter} from '../../src/airgap/exporter.js';
import type {ExportRequest, PlanEvent, TarFile} from '../../src/airgap/api.js';
import type {PrefetchRule} from '../../src/prefetch/rule.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {FakeCarryOut} from './fake-carry-out.js';

export type EventOf<What extends PlanEvent['what']> = Extract<PlanEvent, {readonly what: What}>;

export interface StartedExporter {
	readonly carry: FakeCarryOut;
	readonly exporter: Exporter;
	readonly host: TestHost;
	readonly ask: {readonly signal: AbortSignal};
	readonly stop: AbortController;
	/** What indexes are signed with; `undefined`: they are not. */
	signature: string | undefined;
	readonly plan: (request: Partial<ExportRequest>) => Promise<readonly PlanEvent[]>;
}

export async function startExporter(
	t: Scope,
	{rules = []}: {readonly rules?: readonly PrefetchRule[]} = {},
): Promise<StartedExporter> {
	const carry = new FakeCarryOut(await tempDir(t));
	const host = testHost();
	const stop = new AbortController();
	const ask = {signal: stop.signal};
	const started: StartedExporter = {
		...{carry, host, stop, ask},
		signature: undefined,
		exporter: new Exporter({
			...{carry, host},
			keys: {
				sign: () =>
					Promise.resolve(
						started.signature === undefined ? undefined : {signature: started.signature, signedBy: 'SHA256:me'},
					),
			},
			rules: () => rules,
			datasetNames: () => ({cloudName: 'sdc', creatorName: 'us'}),
		}),
		plan: request => all(started.exporter.plan({origins: true, ...request}, ask)),
	};
	return started;
}

export function eventsOf<What extends PlanEvent['what']>(
	events: readonly PlanEvent[],
	what: What,
): readonly EventOf<What>[] {
	return events.filter((event): event is EventOf<What> => event.what === what);
}

/** Without the blobs of images: what an operator sees of them. */
export function toldOf(events: readonly PlanEvent[]): readonly string[] {
	return events.flatMap(event => {
		if (event.what === 'image') {
			return [`${event.name}${event.filesLeftOut ? ' without files' : ''}`];
		}
		if (event.what === 'left-out') {
			const {uuid, name = uuid, why, problem} = event;
			return [`${name} ${why}${problem === undefined ? '' : `: ${problem}`}`];
		}
		return [];
	});
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
	const read: T[] = [];
	for await (const item of items) {
		read.push(item);
	}
	return read;
}

/** A part of a tar, or all of it. */
export async function bytesOf(tar: TarFile, start = 0, end = tar.size): Promise<Buffer> {
	return Buffer.concat(await all(tar.read(start, end, new AbortController().signal)));
}
