/**
 * A stream of bytes as lines of text, whichever way it is cut into pieces.
 */
export interface Reader {
	read(): Promise<{readonly done: boolean; readonly value?: Uint8Array | undefined}>;
	cancel(): Promise<void>;
}

/** Empty lines are left out. Who stops before the end has the rest cancelled. */
export async function* linesOf(reader: Reader): AsyncGenerator<string, void, undefined> {
	const decoder = new TextDecoder();
	let rest = '';
	let isOver = false;
	try {
		while (!isOver) {
			const {done, value} = await reader.read();
			isOver = done;
			const lines = (rest + (done ? decoder.decode() : decoder.decode(value, {stream: true}))).split('\n');
			rest = done ? '' : (lines.pop() ?? '');
			for (const line of lines) {
				if (line.trim() !== '') {
					yield line;
				}
			}
		}
	} finally {
		if (!isOver) {
			await reader.cancel().catch(() => undefined);
		}
	}
}
