/**
 * Bundles on a command line that needs no mirror: each that was named is opened, looked at and closed again.
 *
 * `bundle-inspect.ts` and `bundle-verify.ts` say what is looked at, and show it.
 */
import {tmpdir} from 'node:os';
import {resolve} from 'node:path';
import type {BundleFiles} from '../airgap/bundle-files.js';
import {groupBundles} from '../airgap/bundle-parts.js';
import type {CheckedImage} from '../airgap/check-bundle.js';
import {openBundle} from '../airgap/open-bundle.js';
import {readSignature} from '../airgap/signature.js';
import {folderSpool} from '../airgap/spool.js';
import {IntegrityError, MirrorError, describe} from '../errors.js';
import {InterruptedError} from './client-errors.js';
import {interruptible} from './interruption.js';
import type {CliIo} from './io.js';
import {counted, humanBytes, painter, printable} from './words.js';

/** `undefined`: it could not be read, and that has been said. */
export interface Looked<T> {
	readonly name: string;
	readonly found: T | undefined;
	readonly problem?: string;
}

/** One bundle after the other; what is wrong with one does not keep the others from being looked at. */
export async function lookAtBundles<T>(
	words: readonly string[],
	io: CliIo,
	look: (files: BundleFiles, signal: AbortSignal) => Promise<T>,
): Promise<readonly Looked<T>[]> {
	const paths = words.map(word => (word === '-' ? word : resolve(io.directory, word)));
	const looked: Looked<T>[] = [];
	await interruptible(io, async signal => {
		for (const group of await groupBundles(paths)) {
			const name = group[0] === '-' ? 'stdin' : (group[0] ?? '');
			try {
				looked.push({name, found: await lookAt(group, {io, signal, look})});
			} catch (error) {
				if (!(error instanceof MirrorError) || error instanceof InterruptedError) {
					throw error;
				}
				const problem = describe(error);
				looked.push({name, found: undefined, problem});
				io.stderr.write(`imgmirror: ${printable(problem)}\n`);
			}
		}
	});
	return looked;
}

async function lookAt<T>(
	group: readonly string[],
	{
		io,
		signal,
		look,
	}: {
		readonly io: CliIo;
		readonly signal: AbortSignal;
		readonly look: (files: BundleFiles, signal: AbortSignal) => Promise<T>;
	},
): Promise<T> {
	const files = await openBundle(group, {stdin: io.stdin, signal, spool: () => folderSpool(tmpdir())});
	try {
		return await look(files, signal);
	} finally {
		await files.close();
	}
}

/** Who says that the index is as it was made. */
export type SignatureState =
	| {readonly state: 'none'}
	| {readonly state: 'right'; readonly fingerprint: string}
	/** It is no signature, or one over something else: the index has been changed. */
	| {readonly state: 'wrong'; readonly problem: string; readonly fingerprint?: string};

export async function signatureOf(files: BundleFiles): Promise<SignatureState> {
	const index = await files.index();
	try {
		const signature = await files.signature();
		if (signature === undefined) {
			return {state: 'none'};
		}
		const read = readSignature(signature);
		const {fingerprint} = read;
		return read.verify(index)
			? {state: 'right', fingerprint}
			: {state: 'wrong', fingerprint, problem: 'the index has been changed after it was signed'};
	} catch (error) {
		if (!(error instanceof IntegrityError)) {
			throw error;
		}
		return {state: 'wrong', problem: error.message};
	}
}

/** In one line. `note`: what is to be said of the key. */
export function signatureLine(signature: SignatureState, io: CliIo, note = ''): string {
	const paint = painter(io.stdout, io);
	switch (signature.state) {
		case 'none':
			return paint('yellow', `not signed${note}`);
		case 'right':
			return `signed with the key ${signature.fingerprint}${note}`;
		case 'wrong':
			return paint('red', `the signature is not right: ${printable(signature.problem)}`);
	}
}

/** `3 images, 1.53 GB, 1 of them without its files`. */
export function sumsLine(images: readonly CheckedImage[]): string {
	const bytes = images.filter(({outcome}) => outcome !== 'left-out').reduce((sum, {size}) => sum + size, 0);
	const leftOut = images.filter(({outcome}) => outcome === 'left-out').length;
	const broken = images.filter(({outcome}) => outcome === 'broken').length;
	return [
		counted(images.length, 'image'),
		humanBytes(bytes),
		...(leftOut === 0 ? [] : [`${leftOut} without files, which the far side has`]),
		...(broken === 0 ? [] : [`${broken} broken`]),
	].join(', ');
}

/** Origins that whoever takes it in must have, or get elsewhere. */
export function originsElsewhere(images: readonly CheckedImage[]): readonly string[] {
	const here = new Set(images.map(({uuid}) => uuid));
	return [...new Set(images.flatMap(({origin}) => (origin === undefined || here.has(origin) ? [] : [origin])))].sort();
}

/** What else is to be said of it. */
export function remarks({
	images,
	foreign,
	odd,
}: {
	readonly images: readonly CheckedImage[];
	readonly foreign: number;
	readonly odd: readonly string[];
}): readonly string[] {
	const origins = originsElsewhere(images);
	const most = 10;
	const named = origins.length > most ? [...origins.slice(0, most), `${origins.length - most} more`] : origins;
	return [
		...(origins.length === 0 ? [] : [`origins that are not in it: ${named.join(', ')}`]),
		...(foreign === 0 ? [] : [`passed over: ${counted(foreign, 'artifact')} of other kinds`]),
		...odd.map(problem => `passed over: ${problem}`),
	].map(printable);
}
