/**
 * The real curl, as publishers type it.
 *
 * Tests give it arguments and what comes through its standard input, and read what it printed. With `-i`, the headers
 * of the last answer stand apart from its body.
 */
import {spawn} from 'node:child_process';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';

export interface Curled {
	/** curl's own, 0 unless it failed. */
	readonly status: number | null;
	/** Without headers. */
	readonly out: string;
	readonly err: string;
	/** With `-i`: by lower-case name. */
	readonly headers: Readonly<Record<string, string | undefined>>;
	/** With `-i`: the HTTP status. */
	readonly code: number | undefined;
}

export async function curl(args: readonly string[], input?: Buffer | Readable, cwd?: string): Promise<Curled> {
	const child = spawn('curl', ['--noproxy', '*', ...args], {cwd, stdio: 'pipe'});
	const [out, err, status] = await Promise.all([
		textOf(child.stdout),
		textOf(child.stderr),
		new Promise<number | null>((resolve, reject) => {
			child.once('error', reject);
			child.once('close', resolve);
		}),
		// It may have its answer before it has read everything.
		pipeline(Buffer.isBuffer(input) ? Readable.from([input]) : (input ?? Readable.from([])), child.stdin).catch(
			() => undefined,
		),
	]);
	const heads = args.includes('-i') ? /^(?:HTTP\/1\.1 .*?\r\n\r\n)+/su.exec(out)?.[0] : undefined;
	const last = heads?.trimEnd().split('\r\n\r\n').at(-1) ?? '';
	return {
		status,
		out: out.slice(heads?.length ?? 0),
		err,
		headers: Object.fromEntries(
			last
				.split('\r\n')
				.slice(1)
				.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
		),
		code: last === '' ? undefined : Number(last.split(' ')[1]),
	};
}

async function textOf(stream: Readable): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of stream as AsyncIterable<Buffer>) {
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString();
}
