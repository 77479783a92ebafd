/**
 * Bytes in fewer pieces: each is a write of its own on its way out.
 */

/** The same bytes. What has `enough` of them goes on as it is: to copy it would cost more than to send it. */
export async function* gathered(
	pieces: AsyncIterable<Buffer>,
	enough: number,
): AsyncGenerator<Buffer, void, undefined> {
	let waiting: Buffer[] = [];
	let bytes = 0;
	for await (const piece of pieces) {
		const isLarge = piece.length >= enough;
		if (!isLarge) {
			waiting.push(piece);
			bytes += piece.length;
		}
		if (bytes > 0 && (isLarge || bytes >= enough)) {
			yield Buffer.concat(waiting);
			waiting = [];
			bytes = 0;
		}
		if (isLarge) {
			yield piece;
		}
	}
	if (bytes > 0) {
		yield Buffer.concat(waiting);
	}
}
