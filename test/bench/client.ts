/**
 * The benchmark's client where no C compiler is: the same arguments as `client.c`, the same line of JSON.
 *
 * Bytes go into one fixed buffer, so that it measures servers and not Node's allocator; it cannot read slowly.
 */
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import {performance} from 'node:perf_hooks';
import {parseArgs} from 'node:util';
import {percentile} from './rows.js';
import type {ClientResult} from './tools.js';

const {values, positionals} = parseArgs({
	allowPositionals: true,
	options: {
		connections: {type: 'string', short: 'c', default: '1'},
		requests: {type: 'string', short: 'k', default: '1'},
		status: {type: 'string', short: 's', default: '200'},
		header: {type: 'string', short: 'H', multiple: true, default: []},
	},
});
const [host = '', port = '', ...given] = positionals;
const paths = given.flatMap(one => (one.startsWith('@') ? readFileSync(one.slice(1), 'utf8').split('\n') : [one]));
const extra = values.header.map(header => `${header}\r\n`).join('');
const scratch = Buffer.allocUnsafeSlow(1_048_576);
const firstByteMs: number[] = [];
let [bytes, requests, failed, asked] = [0, 0, 0, 0];

function run(count: number): Promise<void> {
	return new Promise(resolve => {
		let head = '';
		let left = -1;
		let done = 0;
		let askedAt = performance.now();
		const ask = (): void => {
			head = '';
			left = -1;
			socket.write(`GET ${paths[asked++ % paths.length] ?? '/'} HTTP/1.1\r\nHost: ${host}:${port}\r\n${extra}\r\n`);
		};
		const finished = (): void => {
			requests++;
			done++;
			if (done === count) {
				socket.end();
				resolve();
			} else {
				askedAt = performance.now();
				ask();
			}
		};
		const take = (chunk: Buffer): void => {
			let body = chunk.length;
			if (left === -1) {
				const before = head.length;
				head += chunk.toString('latin1', 0, 16_384);
				const end = head.indexOf('\r\n\r\n');
				if (end === -1) {
					return;
				}
				body -= end + 4 - before;
				const length = /\ncontent-length: *(\d+)/i.exec(head)?.[1];
				left = Number(length ?? 0);
				const empty = values.status === '304' || values.status === '204';
				if (!head.startsWith(`HTTP/1.1 ${values.status}`) || (length === undefined && !empty)) {
					socket.destroy();
					return;
				}
				left = empty ? 0 : left;
			}
			if ((body > 0 || left === 0) && head !== 'begun') {
				firstByteMs.push(performance.now() - askedAt);
				head = 'begun';
			}
			left -= body;
			bytes += body;
			if (left === 0) {
				finished();
			}
		};
		const socket = connect({
			port: Number(port),
			host,
			onread: {
				buffer: scratch,
				callback(length) {
					take(scratch.subarray(0, length));
					return true;
				},
			},
		});
		socket.on('connect', ask);
		// What follows is the close, which counts what is missing.
		socket.on('error', () => undefined);
		socket.on('close', () => {
			failed += count - done;
			resolve();
		});
	});
}

const begun = performance.now();
await Promise.all(Array.from({length: Number(values.connections)}, () => run(Number(values.requests))));
const seconds = (performance.now() - begun) / 1000;
const {user, system} = process.cpuUsage();
const at = (share: number): number => percentile(firstByteMs, share);
const result: ClientResult = {
	...{seconds, bytes, requests, failed, cpuSeconds: (user + system) / 1e6},
	firstByteMs: {min: at(0), median: at(0.5), p99: at(0.99), max: at(1)},
};
process.stdout.write(`${JSON.stringify(result)}\n`);
