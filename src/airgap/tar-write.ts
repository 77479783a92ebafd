/**
 * A tar as we write it: ustar, plain files only, nothing in it that differs from one machine or day to the next.
 *
 * Whoever writes a bundle takes headers and paddings from here, and from `TarLayout` where each byte of the tar comes
 * from before any of it is written. Bodies are not its business.
 */
import {MirrorError} from '../errors.js';

export const blockBytes = 512;

/** What eleven octal digits hold. Larger sizes stand in a pax header before. */
const largestOctal = 0o77777777777;

/** No path of a bundle is longer, and a NUL would end it early. */
const fitting = /^[\x20-\x7e]{1,100}$/u;

/** Two empty blocks. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockBytes);

export interface TarItem {
	readonly path: string;
	readonly size: number;
}

/** Where an item's header, and the first byte of the item itself, stand in the tar. */
export type LaidOut<Item extends TarItem> = Item & {readonly headerOffset: number; readonly bodyOffset: number};

/** Items in their order, and the end mark. */
export class TarLayout<Item extends TarItem> {
	readonly entries: readonly LaidOut<Item>[];
	/** Of the whole tar, with its end mark. */
	readonly size: number;

	constructor(items: Iterable<Item>) {
		const entries: LaidOut<Item>[] = [];
		let position = 0;
		for (const item of items) {
			const bodyOffset = position + headerBytes(item.size);
			entries.push({...item, headerOffset: position, bodyOffset});
			position = bodyOffset + item.size + padding(item.size);
		}
		this.entries = entries;
		this.size = position + tarEnd.length;
	}

	/** How many entries begin at or before `position`: the last of them is the one that it lies in, unless it is the end mark. */
	countUntil(position: number): number {
		let low = 0;
		let high = this.entries.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.entries[middle]?.headerOffset ?? Infinity) <= position) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}
		return low;
	}
}

/** What stands before the bytes of a file. */
export function tarHeader(path: string, size: number): Buffer {
	if (!Number.isSafeInteger(size) || size < 0) {
		throw new MirrorError(`a file in a tar cannot have ${size} bytes`);
	}
	if (size <= largestOctal) {
		return ustarHeader(path, size, '0');
	}
	const records = paxRecord('size', String(size));
	const name = `PaxHeaders/${path.slice(path.lastIndexOf('/') + 1).slice(0, 80)}`;
	// Those that know pax take the size from there; of the rest, none could read a file of that size.
	return Buffer.concat([
		ustarHeader(name, records.length, 'x'),
		records,
		Buffer.alloc(padding(records.length)),
		ustarHeader(path, 0, '0'),
	]);
}

/** Whether a file's header block is one that `tarHeader` writes, and not another tool's for the same file. */
export function isOurHeader(block: Buffer, {path, size}: TarItem): boolean {
	return fitting.test(path) && size <= largestOctal && block.equals(ustarHeader(path, size, '0'));
}

/** How long `tarHeader` is for a file of that size. */
export function headerBytes(size: number): number {
	return size <= largestOctal ? blockBytes : 3 * blockBytes;
}

/** How many zeros stand behind the bytes of a file. */
export function padding(size: number): number {
	return (blockBytes - (size % blockBytes)) % blockBytes;
}

function ustarHeader(path: string, size: number, type: string): Buffer {
	if (!fitting.test(path)) {
		throw new MirrorError(`${JSON.stringify(path)} cannot be the name of a file in a tar`);
	}
	const block = Buffer.alloc(blockBytes);
	block.write(path, 0, 'latin1');
	block.write('0000644', 100, 'latin1');
	block.write('0000000', 108, 'latin1');
	block.write('0000000', 116, 'latin1');
	block.write(octal(size, 11), 124, 'latin1');
	block.write('00000000000', 136, 'latin1');
	// The checksum counts itself as spaces.
	block.write('        ', 148, 'latin1');
	block.write(type, 156, 'latin1');
	block.write('ustar\u000000', 257, 'latin1');
	block.write('0000000', 329, 'latin1');
	block.write('0000000', 337, 'latin1');
	const sum = block.reduce((total, byte) => total + byte, 0);
	block.write(`${octal(sum, 6)}\0`, 148, 'latin1');
	return block;
}

/** `<length> <key>=<value>` and a newline; the length counts its own digits. */
function paxRecord(key: string, value: string): Buffer {
	const rest = ` ${key}=${value}\n`;
	let length = rest.length + 1;
	while (String(length).length + rest.length !== length) {
		length = String(length).length + rest.length;
	}
	return Buffer.from(`${length}${rest}`, 'latin1');
}

function octal(value: number, digits: number): string {
	return value.toString(8).padStart(digits, '0');
}
