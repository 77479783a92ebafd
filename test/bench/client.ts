/**
 * The benchmark's client, a process of its own: fetches one URL over so many connections and throws the bytes away.
 *
 * `node client.js URL CONNECTIONS REQUESTS` asks REQUESTS times on each connection and prints one line of JSON. Bytes go
 * into one fixed buffer, so that it measures servers and not Node's allocator.
 */
import {connect} from 'node:net';
import {performance} from 'node:perf_hooks';

export interface ClientResult {
	readonly seconds: number;
	readonly bytes: number;
	readonly requests: number;
	/** Answers that were no 200, or cut short. */
	readonly failed: number;
	/** Milliseconds until the first byte of the body, sorted. */
	readonly firstByteMs: readonly number[];
}

const [target = '', connections = '1', requests = '1'] = process.argv.slice(2);
const url = new URL(target);
const scratch = Buffer.allocUnsafeSlow(1_048_576);
const result = {bytes: 0, requests: 0, failed: 0, firstByteMs: [] as number[]};

function run(count: number): Promise<void> {
	return new Promise((resolve, reject) => {
		let head = '';
		let left = -1;
		let done = 0;
		let askedAt = 0;
		const ask = (): void => {
			head = '';
			left = -1;
			askedAt = performance.now();
			socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
		};
		const take = (length: number, buffer: Uint8Array): void => {
			let body = length;
			if (left === -1) {
				head += Buffer.from(buffer.buffer, 0, Math.min(length, 16_384)).toString('latin1');
				const end = head.indexOf('\r\n\r\n');
				if (end === -1) {
					return;
				}
				body = length - (end + 4 - (head.length - Math.min(length, 16_384)));
				left = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? '0');
				result.failed += head.startsWith('HTTP/1.1 200') ? 0 : 1;
			}
			if (body > 0 && result.firstByteMs.length < 10_000 && left > 0 && head !== 'begun') {
				result.firstByteMs.push(performance.now() - askedAt);
				head = 'begun';
			}
			left -= body;
			result.bytes += body;
			if (left === 0) {
				result.requests++;
				done++;
				if (done === count) {
					socket.end();
					resolve();
				} else {
					ask();
				}
			}
		};
		const socket = connect({
			port: Number(url.port),
			host: url.hostname,
			onread: {
				buffer: scratch,
				callback(length, buffer) {
					take(length, buffer);
					return true;
				},
			},
		});
		socket.on('connect', ask);
		socket.on('error', reject);
		socket.on('close', () => {
			if (done < count) {
				result.failed++;
				resolve();
			}
		});
	});
}

const begun = performance.now();
await Promise.all(Array.from({length: Number(connections)}, () => run(Number(requests))));
const seconds = (performance.now() - begun) / 1000;
result.firstByteMs.sort((a, b) => a - b);
process.stdout.write(`${JSON.stringify({seconds, ...result})}\n`);
