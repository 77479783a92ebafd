/**
 * `imgmirror bundle inspect`: what is in a bundle, without reading all of it.
 */
import type {BundleFiles} from '../airgap/bundle-files.js';
import {checkBundle, type CheckedImage} from '../airgap/check-bundle.js';
import {lookAtBundles, remarks, signatureLine, signatureOf, sumsLine, type SignatureState} from './bundle.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {humanBytes, painter, printable, table} from './words.js';

export interface InspectOptions {
	readonly bundles: readonly string[];
	readonly json: boolean;
}

interface Contents {
	readonly form: BundleFiles['form'];
	readonly signature: SignatureState;
	readonly images: readonly CheckedImage[];
	/** Artifacts of other kinds. */
	readonly foreign: number;
	readonly odd: readonly string[];
}

export async function inspectBundles({bundles, json}: InspectOptions, io: CliIo): Promise<number> {
	const looked = await lookAtBundles(bundles, io, contentsOf);
	if (json) {
		const all = looked.map(({name, found, problem}) => ({bundle: name, ...found, ...(problem && {problem})}));
		io.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
	} else {
		for (const {name, found} of looked) {
			if (found !== undefined) {
				io.stdout.write(looked.length > 1 ? `${printable(name)}:\n` : '');
				show(found, io);
			}
		}
	}
	return looked.every(({found}) => found !== undefined) ? exitCodes.ok : exitCodes.failure;
}

async function contentsOf(files: BundleFiles, signal: AbortSignal): Promise<Contents> {
	const signature = await signatureOf(files);
	const images: CheckedImage[] = [];
	let foreign = 0;
	for await (const event of checkBundle(files, {deep: false, signal})) {
		if (event.what === 'image') {
			images.push(event.image);
		} else if (event.what === 'begin') {
			({foreign} = event);
		}
	}
	return {form: files.form, signature, images, foreign, odd: files.odd};
}

function show({signature, images, foreign, odd}: Contents, io: CliIo): void {
	const paint = painter(io.stdout, io);
	const hasNotes = images.some(({outcome}) => outcome !== 'right');
	const rows = images.map(image => [
		image.uuid,
		image.name || '-',
		image.version || '-',
		image.os || '-',
		humanBytes(image.size),
		image.origin ?? '-',
		...(hasNotes ? [noteOf(image)] : []),
	]);
	const heads = ['UUID', 'NAME', 'VERSION', 'OS', 'SIZE', 'ORIGIN', ...(hasNotes ? ['NOTE'] : [])];
	for (const [index, line] of table([heads, ...rows])
		.trimEnd()
		.split('\n')
		.entries()) {
		const isBroken = images[index - 1]?.outcome === 'broken';
		io.stdout.write(`${isBroken ? paint('red', line) : line}\n`);
	}
	const lines = [sumsLine(images), signatureLine(signature, io), ...remarks({images, foreign, odd})];
	io.stdout.write(lines.map(line => `${line}\n`).join(''));
}

function noteOf({outcome, problem = ''}: CheckedImage): string {
	switch (outcome) {
		case 'right':
			return '';
		case 'left-out':
			return 'without its files';
		case 'broken':
			return `broken: ${problem}`;
	}
}
