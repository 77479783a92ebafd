/**
 * Steps of work that does not wait for whoever hears of them.
 *
 * A client that sends and is told of it at the same time may not listen before it has sent everything: would the work
 * wait for it, both would for ever. What it has not heard yet is kept, up to a bound.
 */
type Steps<Step> = AsyncGenerator<Step, void, undefined>;

export interface AheadOptions<Step> {
	/** So many are kept. */
	readonly most: number;
	/** Whether `next` says all that `last` did, so that nobody needs to hear `last` any more. */
	readonly outdates: (last: Step, next: Step) => boolean;
}

/** The same steps. Whoever stops hearing them has to see to it that the work ends: that is waited for. */
export async function* ahead<Step>(steps: Steps<Step>, {most, outdates}: AheadOptions<Step>): Steps<Step> {
	let kept: Step[] = [];
	let end: {readonly failure?: unknown} | undefined;
	let isStopped = false;
	// Resolves what the one waits for that the other has done.
	let moved: () => void = () => undefined;
	const move = (): Promise<void> =>
		new Promise(resolve => {
			moved = resolve;
		});

	async function work(): Promise<void> {
		try {
			for await (const step of steps) {
				const last = kept.at(-1);
				if (last !== undefined && outdates(last, step)) {
					kept.pop();
				}
				kept.push(step);
				moved();
				while (kept.length >= most && !isStopped) {
					await move();
				}
				if (isStopped) {
					break;
				}
			}
			end = {};
		} catch (failure) {
			end = {failure};
		}
		moved();
	}

	const working = work();
	try {
		for (;;) {
			const heard = kept;
			kept = [];
			moved();
			yield* heard;
			if (kept.length > 0) {
				continue;
			}
			if (end !== undefined) {
				break;
			}
			await move();
		}
	} finally {
		isStopped = true;
		moved();
		await working;
	}
	if ('failure' in end) {
		throw end.failure;
	}
}
