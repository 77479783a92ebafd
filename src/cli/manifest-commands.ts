/**
 * `imgmirror manifest` and `imgmirror lint`: manifests made of files or had from a server, and looked over.
 */
import {createHash, randomUUID} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {basename, resolve} from 'node:path';
import {MirrorError, describe} from '../errors.js';
import {systemClock} from '../host.js';
import {adviceOn, type Advice} from '../image/advice.js';
import {isUuid, type Compression, type JsonObject} from '../image/manifest.js';
import {exitCodes} from './exit-codes.js';
import {compressionFor} from './file-kind.js';
import {describeImage, type ImageFlags} from './image-flags.js';
import {interruptible} from './interruption.js';
import type {CliIo} from './io.js';
import {showProgress} from './progress.js';
import {withServer, type Whereabouts} from './reach.js';
import {StreamCheck} from './stream-check.js';
import {commandLineError} from './target.js';
import {FileBytes, PipeBytes} from './upload-bytes.js';
import {painter, printable, table} from './words.js';

export interface ManifestOptions {
	readonly where: Whereabouts;
	/** The file of the image; `-`: what is piped in. */
	readonly file: string | undefined;
	readonly flags: ImageFlags;
	readonly compression: Compression | undefined;
	/** An image of a server, instead of a file. */
	readonly from: string | undefined;
	readonly channel: string | undefined;
	readonly output: string | undefined;
	readonly quiet: boolean;
}

export async function writeManifest(options: ManifestOptions, io: CliIo): Promise<number> {
	const {file, from, output} = options;
	if ((file === undefined) === (from === undefined)) {
		throw commandLineError(['expected either a FILE or --from UUID']);
	}
	const manifest =
		from === undefined ? await manifestOfFile(file ?? '-', options, io) : await manifestFrom(from, options, io);
	const text = `${JSON.stringify(manifest, null, 2)}\n`;
	if (output === undefined || output === '-') {
		io.stdout.write(text);
		return exitCodes.ok;
	}
	const path = resolve(io.directory, output);
	await writeFile(path, text).catch((error: unknown) => {
		throw new MirrorError(`${path} cannot be written: ${describe(error)}`, {cause: error});
	});
	return exitCodes.ok;
}

async function manifestFrom(uuid: string, {where, channel}: ManifestOptions, io: CliIo): Promise<JsonObject> {
	if (!isUuid(uuid)) {
		throw commandLineError([`--from: expected the uuid of an image, got ${JSON.stringify(uuid)}`]);
	}
	return withServer(where, io, async ({client}) => {
		const wanted = channel ?? client.target.channel;
		const query = wanted === undefined ? '' : `?channel=${encodeURIComponent(wanted)}`;
		return client.json({path: `/images/${uuid}${query}`});
	});
}

async function manifestOfFile(file: string, options: ManifestOptions, io: CliIo): Promise<JsonObject> {
	if (file === '-' && io.stdin.isTTY === true) {
		throw commandLineError(['FILE: expected something piped in']);
	}
	const guessed = file === '-' ? {} : guessFrom(basename(file));
	const {manifest, file: said} = await describeImage(options.flags, {directory: io.directory, guessed});
	const bytes =
		file === '-'
			? new PipeBytes(io.stdin, {inspector: new StreamCheck()})
			: await FileBytes.open(resolve(io.directory, file));
	const progress = showProgress({io, clock: io.clock ?? systemClock, quiet: options.quiet, label: `reading ${file}`});
	try {
		const compression = compressionFor(await bytes.first(), options.compression ?? said.compression);
		progress.start(bytes.size);
		const {sha1, size} = await interruptible(io, async signal => {
			const hash = createHash('sha1');
			let read = 0;
			for (let last = false; !last;) {
				const stretch = await bytes.stretch(read);
				for await (const piece of stretch.pieces) {
					signal.throwIfAborted();
					hash.update(piece);
					read += piece.length;
					progress.update(read);
				}
				({last} = stretch);
			}
			return {sha1: hash.digest('hex'), size: read};
		});
		return {...inOrder(manifest), files: [{sha1, size, compression}]};
	} finally {
		progress.end();
		await bytes.close();
	}
}

/** imgadm wants a uuid; whoever looks for one looks at the top. */
function inOrder(manifest: JsonObject): JsonObject {
	const {v, uuid, ...rest} = manifest;
	return {v, uuid: uuid ?? randomUUID(), ...rest};
}

/** As `imgadm create` names files: `NAME-VERSION.zfs.gz`. */
function guessFrom(file: string): {name?: string; version?: string} {
	const match = /^(.+?)-v?(\d[\w.+-]*?)\.(?:zfs|zvol|img|raw)(?:\.\w+)?$/.exec(file);
	return match === null ? {} : {name: match[1] ?? '', version: match[2] ?? ''};
}

export interface LintOptions {
	readonly files: readonly string[];
	readonly mode: 'any' | 'public' | 'private' | undefined;
	/** Advice is reason enough to fail. */
	readonly strict: boolean;
	readonly json: boolean;
}

interface Finding extends Advice {
	readonly file: string;
}

export async function lint({files, mode, strict, json}: LintOptions, io: CliIo): Promise<number> {
	const nowMs = (io.clock ?? systemClock).now();
	const findings: Finding[] = [];
	for (const file of files) {
		const found = await read(file, io);
		const advice = 'problem' in found ? [found.problem] : adviceOn(found.manifest, {mode, nowMs});
		findings.push(...advice.map(one => ({file, ...one})));
	}
	if (json) {
		io.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
	} else {
		show(findings, files.length > 1, io);
	}
	const isWrong = ({level}: Advice): boolean => strict || level === 'error';
	return findings.some(isWrong) ? exitCodes.failure : exitCodes.ok;
}

/** What cannot be read, or is no JSON, is a fault like others: the files after it are looked at, too. */
async function read(file: string, io: CliIo): Promise<{readonly manifest: unknown} | {readonly problem: Advice}> {
	const problem = (message: string): {readonly problem: Advice} => ({problem: {level: 'error', field: '', message}});
	let text;
	try {
		text = file === '-' ? await readAll(io) : await readFile(resolve(io.directory, file), 'utf8');
	} catch (error) {
		return problem(`it cannot be read: ${describe(error)}`);
	}
	try {
		return {manifest: JSON.parse(text) as unknown};
	} catch (error) {
		return problem(`it is no JSON: ${describe(error)}`);
	}
}

async function readAll({stdin}: CliIo): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of stdin) {
		chunks.push(chunk instanceof Uint8Array ? Buffer.from(chunk) : Buffer.from(String(chunk)));
	}
	return Buffer.concat(chunks).toString('utf8');
}

const colours = {error: 'red', warning: 'yellow', advice: 'dim'} as const;

function show(findings: readonly Finding[], several: boolean, io: CliIo): void {
	const paint = painter(io.stdout, io);
	if (findings.length === 0) {
		io.stdout.write('nothing to say against it\n');
		return;
	}
	const rows = findings.map(({file, level, field, message}) => [
		...(several ? [file] : []),
		level,
		field || '-',
		message,
	]);
	const lines = table(rows).split('\n');
	for (const [index, {level}] of findings.entries()) {
		io.stdout.write(`${(lines[index] ?? '').replace(level, paint(colours[level], level))}\n`);
	}
	const count = (level: Advice['level']): number => findings.filter(one => one.level === level).length;
	const words = (['error', 'warning', 'advice'] as const)
		.map(level => ({level, number: count(level)}))
		.filter(({number}) => number > 0)
		.map(({level, number}) => `${number} ${level}${number === 1 || level === 'advice' ? '' : 's'}`);
	io.stdout.write(`${printable(words.join(', '))}\n`);
}
